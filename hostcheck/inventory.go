package hostcheck

import (
	"context"
	"path/filepath"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	gohost "github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"
)

// inventory answers what kind of machine this is.
type inventory interface {
	// CPU gives the model of the first processor.
	CPU() (model string, err error)
	// Memory gives bytes of usable memory and of swap space.
	Memory() (total, swap uint64, err error)
	// Virtualization guesses what the host runs under, and as what: "kvm" as
	// "host" or "guest". The guess may be wrong; see [virtualization].
	Virtualization() (system, role string)
}

// gopsutil is an inventory. Its host.Info is not used: it starts lsb_release.
// Its v3 line is frozen, hence the interface.
type gopsutil struct{ ctx context.Context }

func newGopsutil(root string) gopsutil {
	under := func(dir string) string { return filepath.Join(root, dir) }
	return gopsutil{context.WithValue(context.Background(), common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: under("proc"),
		common.HostSysEnvKey:  under("sys"),
		common.HostEtcEnvKey:  under("etc"),
		common.HostVarEnvKey:  under("var"),
		common.HostRunEnvKey:  under("run"),
		common.HostDevEnvKey:  under("dev"),
		common.HostRootEnvKey: root,
	})}
}

func (g gopsutil) CPU() (string, error) {
	infos, err := cpu.InfoWithContext(g.ctx)
	if err != nil || len(infos) == 0 {
		return "", err
	}
	return infos[0].ModelName, nil
}

func (g gopsutil) Memory() (total, swap uint64, err error) {
	m, err := mem.VirtualMemoryWithContext(g.ctx)
	if err != nil {
		return 0, 0, err
	}
	return m.Total, m.SwapTotal, nil
}

func (g gopsutil) Virtualization() (system, role string) {
	system, role, err := gohost.VirtualizationWithContext(g.ctx)
	if err != nil {
		return "", ""
	}
	return system, role
}
