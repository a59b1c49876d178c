package vmtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"plimsoll/internal/vmtest/guest"
)

// machine is what QEMU is told.
type machine struct {
	kernel, initrd, disk, console string // paths
	append                        string // more of the kernel's command line
	cpus, memory                  int    // memory in MiB
}

// without are features of the emulated processor that are off. Emulated
// cmpxchg16b sometimes leaves wrong flags behind, which Linux 6.12 takes for a
// double fault; without it the kernel has another way. The others are dear:
// string instructions go byte by byte, page tables have a fifth level, and every
// switch of context has more to save. All tests together take half the time.
const without = ",-cx16,-erms,-la57,-smap,-smep,-umip,-pku,-xsave,-avx,-avx2"

// args is QEMU's command line. The console goes to a file, the virtio port of
// the guest to standard output. Machine "microvm" starts half a second earlier
// than "pc", but hung now and then (QEMU 7.2, emulated).
func (m machine) args() []string {
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "pc", "-cpu", "max" + without, "-accel", "tcg,thread=multi",
		"-smp", strconv.Itoa(m.cpus), "-m", strconv.Itoa(m.memory),
		"-kernel", m.kernel, "-initrd", m.initrd,
		// panic=-1 reboots at once, which -no-reboot makes an exit. The self-tests
		// of the crypto modules take half a second of emulated time. The kernel
		// cannot calibrate the emulated time stamp counter, which is the host's: it
		// would take a clock that costs twenty times as much, and count the CPU time
		// of cgroups by the tick. 112 is X86_FEATURE_REP_GOOD (cpufeatures.h). On a busy
		// host the boot's test of the timer interrupt may find it broken, and panics.
		"-append", strings.TrimSpace("console=ttyS0 loglevel=5 panic=-1 cryptomgr.notests no_timer_check tsc=reliable clearcpuid=112 rdinit=/init " + m.append),
		"-chardev", "file,id=console,path=" + escape(m.console), "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "file,id=port,path=/dev/stdout",
		"-device", "virtserialport,chardev=port,name=" + guest.Port,
		"-drive", "if=none,id=scratch,format=raw,cache=unsafe,file=" + escape(m.disk),
		"-device", "virtio-blk-pci,drive=scratch",
	}
}

// escape quotes a path for QEMU's option syntax, where a comma ends a value.
func escape(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// bootAgain is boot, and up to two times more if the machine's clock is wrong
// (see checkClock) or it died before its init had a word: an emulated kernel
// that patches its own code can trip over that.
func (m machine) bootAgain(ctx context.Context, handle func(guest.Event) error) error {
	var errs []error
	for range 3 {
		spoke := false
		err := m.boot(ctx, func(e guest.Event) error {
			spoke = true
			return handle(e)
		})
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if spoke || ctx.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// boot runs the machine until it powers itself off, and hands on its events. An
// end before guest.Done is an error that quotes the console.
func (m machine) boot(ctx context.Context, handle func(guest.Event) error) error {
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", m.args()...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	port, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the virtual machine: %w (hint: apt-get install qemu-system-x86)", err)
	}
	last, err := decode(port, func(e guest.Event) error {
		if e.Kind == guest.Boot {
			if err := checkClock(e.Took, time.Since(began).Seconds()); err != nil {
				return err
			}
		}
		return handle(e)
	})
	if err != nil {
		cmd.Process.Kill()
	}
	exit := cmd.Wait()
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("virtual machine killed: %w; %s", context.Cause(ctx), m.consoleTail())
	case exit != nil:
		return fmt.Errorf("virtual machine: %w: %s", exit, &stderr)
	case last != guest.Done:
		return fmt.Errorf("virtual machine stopped after event %q; %s", last, m.consoleTail())
	}
	return nil
}

// checkClock compares seconds that the guest counted since its kernel started
// with those since QEMU did. The kernel measures the time stamp counter against
// the emulated PIT for some milliseconds; a host too busy to let QEMU run in
// them makes it believe in a counter ten times slower than it is ("PIT
// calibration deviates from HPET", pit_hpet_ptimer_calibrate_cpu in
// arch/x86/kernel/tsc.c), and every timeout comes ten times too early.
func checkClock(guest, host float64) error {
	if guest > 1.1*host {
		return fmt.Errorf("the virtual machine's clock is wrong: %.1f s in its %.1f s of life", guest, host)
	}
	return nil
}

// decode returns the kind of the last whole event.
func decode(r io.Reader, handle func(guest.Event) error) (last string, err error) {
	for dec := json.NewDecoder(r); ; {
		var e guest.Event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return last, nil
		} else if err != nil {
			return last, fmt.Errorf("read the guest's events: %w", err)
		}
		last = e.Kind
		if err := handle(e); err != nil {
			return last, err
		}
	}
}

// consoleTail quotes the last lines of the console.
func (m machine) consoleTail() string {
	const most = 25
	b, err := os.ReadFile(m.console)
	if err != nil {
		return "no console: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(b), "\r", "")), "\n")
	return "last lines of its console:\n\t" + strings.Join(lines[max(0, len(lines)-most):], "\n\t")
}
