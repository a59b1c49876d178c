package storagebench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"plimsoll/storagebench/block"
	"plimsoll/storagebench/dm"
)

// LVMThin is the same thin provisioning through LVM's tools: its users have no
// other way, so their start and LVM's own metadata are part of every figure.
type LVMThin struct{}

func (LVMThin) Info() Info {
	return Info{
		Name: "lvm-thin", Kind: Block, Copies: Extent,
		Help: "each layer and each clone a thin logical volume with ext4, made by lvcreate, sharing chunks of 64 KiB",
	}
}

func (LVMThin) Probe(ctx context.Context, dir string) error {
	return probeThin(ctx, "lvm-thin", dir, "lvm", "mkfs.ext4")
}

func (LVMThin) Open(ctx context.Context, dir string, o Options) (Pool, error) {
	if err := needThin("lvm-thin", "lvm", "mkfs.ext4"); err != nil {
		return nil, err
	}
	control, err := dm.Open()
	if err != nil {
		return nil, missing("lvm-thin", err)
	}
	v := &lvmVolumes{control: control, group: o.name()}
	if err = noneYet(control, lvmDM(v.group, ""), ofLVM); err == nil {
		err = o.record(Resource{"vg", v.group})
	}
	if err != nil {
		return nil, errors.Join(err, control.Close())
	}
	device, err := o.thinDevice(ctx, dir)
	if err != nil {
		return nil, errors.Join(missing("lvm-thin", err), control.Close())
	}
	v.config, v.device = lvmConfig(device.Path), device
	p := newThinPool(dir, device, v)
	if err := v.build(ctx); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// lvmConfig has LVM see these devices only, with no help from the host: no
// devices file, no udev, no daemons, no archive in /etc, no thin_check, which
// would be run each time the pool is activated. See lvm.conf(5).
func lvmConfig(devices ...string) string {
	var accept []string
	for _, d := range devices {
		accept = append(accept, `"a|^`+regexp.QuoteMeta(d)+`$|"`)
	}
	filter := `[` + strings.Join(append(accept, `"r|.*|"`), ",") + `]`
	if len(devices) == 0 {
		filter = `["a|.*|"]`
	}
	return `devices { use_devicesfile=0 filter=` + filter + ` global_filter=` + filter +
		` obtain_device_list_from_udev=0 external_device_info_source="none" }` +
		` global { event_activation=0 use_lvmpolld=0 thin_check_executable="" }` +
		` activation { udev_sync=0 udev_rules=0 verify_udev_operations=0 monitoring=0 thin_pool_autoextend_threshold=100 error_when_full=1 }` +
		` backup { backup=0 archive=0 }`
}

// lvmTag marks groups of ours, whatever else bears such a name.
const lvmTag = "plimsoll"

// ofLVM begins the uuids of volumes: UUID_PREFIX in LVM's dev_manager.c.
const ofLVM = "LVM-"

type lvmVolumes struct {
	control *dm.Control
	group   string
	config  string
	device  *block.Device
	size    int64 // of the pool's data, and of each volume, in bytes
	gone    atomic.Int32
}

func (v *lvmVolumes) lvm(ctx context.Context, command string, args ...string) error {
	return lvm(ctx, v.config, command, args...)
}

// lvm runs a command to its end: one that is killed may leave devices suspended.
func lvm(ctx context.Context, config, command string, args ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := block.Command(context.WithoutCancel(ctx), "lvm", append([]string{command, "--yes", "--quiet", "--config", config}, args...)...)
	return err
}

func (v *lvmVolumes) build(ctx context.Context) error {
	size, err := deviceSize(v.device.Path)
	if err != nil {
		return err
	}
	if err := v.lvm(ctx, "vgcreate", "--force", "--addtag", lvmTag, v.group, v.device.Path); err != nil {
		return err
	}
	// All that is left, as dm-thin has it: the volume group's own metadata take
	// 1 MiB, and extents are whole.
	err = v.lvm(ctx, "lvcreate", "--type", "thin-pool", "--name", "pool", "--extents", "100%FREE",
		"--chunksize", fmt.Sprintf("%db", blockSize), "--zero", "n",
		"--poolmetadatasize", fmt.Sprintf("%db", thinMetadata(size)), "--poolmetadataspare", "n", v.group)
	if err != nil {
		return err
	}
	out, err := block.Command(ctx, "lvm", "lvs", "--config", v.config, "--noheadings", "--options", "lv_size",
		"--units", "b", "--nosuffix", v.group+"/pool")
	if err != nil {
		return err
	}
	v.size, err = strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	return err
}

func (v *lvmVolumes) create(ctx context.Context, volume string) (string, error) {
	err := v.lvm(ctx, "lvcreate", "--type", "thin", "--name", volume, "--wipesignatures", "n",
		"--virtualsize", fmt.Sprintf("%db", v.size), "--thinpool", "pool", v.group)
	if err != nil {
		return "", err
	}
	return v.path(volume)
}

// snapshot is marked as what is activated on demand only, as LVM has it for
// thin snapshots (lvmthin(7), "Thin snapshot activation"): else the host's own
// rules might, when they see the volume group.
func (v *lvmVolumes) snapshot(ctx context.Context, volume, origin string) (string, error) {
	err := v.lvm(ctx, "lvcreate", "--snapshot", "--setactivationskip", "y", "--ignoreactivationskip", "--name", volume, v.group+"/"+origin)
	if err != nil {
		return "", err
	}
	return v.path(volume)
}

// path is devtmpfs's node; those in /dev/GROUP may be links that udev is late with.
func (v *lvmVolumes) path(volume string) (string, error) {
	i, err := v.control.Info(lvmDM(v.group, volume))
	return i.Path(), err
}

func (v *lvmVolumes) deactivate(ctx context.Context, volume string) error {
	return v.lvm(ctx, "lvchange", "--activate", "n", v.group+"/"+volume)
}

// remove: LVM removes nothing that is open. Such a volume's users get errors
// from now on, and it stays under another name until the group goes.
func (v *lvmVolumes) remove(ctx context.Context, volume string, used bool) error {
	if !used {
		return v.lvm(ctx, "lvremove", "--force", v.group+"/"+volume)
	}
	gone := fmt.Sprintf("gone%d", v.gone.Add(1))
	if err := v.lvm(ctx, "lvrename", v.group, volume, gone); err != nil {
		return err
	}
	return v.control.Drop(lvmDM(v.group, gone))
}

// usage: LVM keeps the target apart from the volume that bears its name as soon
// as there is a volume on it.
func (v *lvmVolumes) usage() (dm.ThinUsage, error) {
	pool := lvmDM(v.group, "pool")
	u, err := thinUsage(v.control, pool+"-tpool")
	if errors.Is(err, unix.ENXIO) {
		u, err = thinUsage(v.control, pool)
	}
	return u, err
}

func (v *lvmVolumes) close(ctx context.Context) error {
	err := undoVolumes(ctx, v.control, v.config, v.group)
	if v.device.File == "" { // the user's
		err = errors.Join(err, v.lvm(ctx, "pvremove", "--force", "--force", v.device.Path))
	}
	if err != nil {
		return err
	}
	return v.control.Close()
}

// lvmDM is what the device mapper calls a volume: dm_build_dm_name in libdm.
func lvmDM(group, volume string) string {
	double := strings.NewReplacer("-", "--").Replace
	return double(group) + "-" + double(volume)
}

// undoVG removes a volume group that a kill left. A loop device that nothing
// was active on has taken it along.
func undoVG(ctx context.Context, group string) error {
	if !dm.Loaded() {
		return nil
	}
	c, err := dm.Open()
	if err != nil {
		return err
	}
	defer c.Close()
	if err := lvmIdle(ctx, group); err != nil {
		return err
	}
	return undoVolumes(ctx, c, lvmConfig(), group)
}

// lvmIdle waits for commands about a group that have outlived who started them:
// they could make what is being removed.
func lvmIdle(ctx context.Context, group string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		files, err := filepath.Glob("/proc/[0-9]*/cmdline")
		if err != nil {
			return err
		}
		busy := slices.ContainsFunc(files, func(file string) bool {
			text, _ := os.ReadFile(file) // gone by now, perhaps
			program, args, _ := strings.Cut(string(text), "\x00")
			return filepath.Base(program) == "lvm" && slices.ContainsFunc(strings.Split(args, "\x00"), func(arg string) bool {
				return arg == group || strings.HasPrefix(arg, group+"/")
			})
		})
		if !busy {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("volume group %s: an lvm command is still running: %w", group, ctx.Err())
		}
	}
}

// undoVolumes has LVM remove the group. Where it cannot, since its device is
// gone, a volume is used or a command was killed half way, the device mapper
// does first; and what LVM would have removed of its own in /dev goes too.
func undoVolumes(ctx context.Context, c *dm.Control, config, group string) error {
	prefix := lvmDM(group, "")
	if _, err := detached(c, prefix, ofLVM); err != nil {
		return err
	}
	// That there is none is no error for a selection.
	ours := fmt.Sprintf(`vg_name="%s" && vg_tags=%s`, group, lvmTag)
	remove := func() error { return lvm(ctx, config, "vgremove", "--force", "--force", "--select", ours) }
	errs := []error{remove()}
	if err := removeDM(ctx, c, prefix, ofLVM); err != nil {
		return errors.Join(append(errs, err)...)
	}
	if errs[0] != nil {
		errs[0] = remove()
	}
	nodes, err := filepath.Glob("/dev/mapper/" + prefix + `[^\-]*`)
	errs = append(errs, err, os.RemoveAll("/dev/"+group))
	for _, n := range nodes {
		errs = append(errs, os.Remove(n))
	}
	return errors.Join(errs...)
}
