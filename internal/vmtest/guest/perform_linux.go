package guest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// perform runs one test binary to its end and returns how it ended, "" for
// success. It starts from a fresh cgroup and coverage directory, and no process
// of it is left afterwards.
func perform(r Run, job Job, output func([]byte)) string {
	cmd, err := command(r)
	if err != nil {
		return err.Error()
	}
	if job.Cgroup == "v2" && !job.systemd() {
		dir, err := freshScope(r.User)
		if err != nil {
			return err.Error()
		}
		defer dir.Close()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	}
	pr, pw, err := os.Pipe()
	if err != nil {
		return err.Error()
	}
	defer pr.Close()
	cmd.Stdout, cmd.Stderr = pw, pw
	err = cmd.Start()
	pw.Close()
	if err != nil {
		return err.Error()
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		buf := make([]byte, 32<<10)
		for {
			n, err := pr.Read(buf)
			if n > 0 {
				output(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	// The binary's own -test.timeout comes first and prints its goroutines;
	// this is for one that cannot even do that.
	kill := time.AfterFunc(job.Timeout+5*time.Second, func() { unix.Kill(cmd.Process.Pid, unix.SIGKILL) })
	ws := reap(cmd.Process.Pid)
	kill.Stop()
	if job.systemd() {
		endSession(cmd.Process.Pid)
	} else if err := killAll(); err != nil {
		return err.Error()
	}
	<-drained
	switch {
	case ws.Signaled():
		return "signal: " + ws.Signal().String()
	case ws.ExitStatus() != 0:
		return fmt.Sprintf("exit status %d", ws.ExitStatus())
	}
	return ""
}

func command(r Run) (*exec.Cmd, error) {
	cmd := exec.Command(r.Path, r.Args...)
	cmd.Dir = r.Dir
	// Nobody here makes the nodes in /dev/mapper that libdevmapper leaves to udev.
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin", "TMPDIR=" + scratch + "/tmp", "DM_DISABLE_UDEV=1"}, r.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	uid := 0
	if r.User == "user" {
		uid = UserID
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: UserID, Gid: UserID}
		cmd.Env = append(cmd.Env, "USER="+UserName, "HOME="+userHome, "XDG_RUNTIME_DIR="+userRuntime)
	} else {
		cmd.Env = append(cmd.Env, "USER=root", "HOME=/root")
	}
	if err := os.RemoveAll(CoverDir); err != nil {
		return nil, err
	}
	return cmd, makeDir(CoverDir, 0o700, uid)
}

// reap waits for every child that ends, as process 1 must, until pid has.
func reap(pid int) (ws unix.WaitStatus) {
	for {
		got, err := unix.Wait4(-1, &ws, 0, nil)
		if got == pid || err != nil && err != unix.EINTR {
			return ws
		}
	}
}

// killAll ends every process but this one, and thaws them to that end: in a
// frozen v1 cgroup a task takes no signal, not even this.
func killAll() error {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		unix.Kill(-1, unix.SIGKILL)
		filepath.WalkDir(cgroupRoot+"/freezer", func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == "freezer.state" {
				os.WriteFile(p, []byte("THAWED"), 0) // what stays frozen runs out the deadline
			}
			return nil
		})
		for {
			pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
			if err == unix.ECHILD {
				return nil
			}
			if pid <= 0 {
				break
			}
		}
	}
	return errors.New("processes left that SIGKILL does not end")
}

// freshScope makes the cgroup of a run anew: the last one may have left
// subgroups, and then nothing can be started in it (cgroups(7), "no internal
// processes").
func freshScope(user string) (*os.File, error) {
	scope, uid := cgroupRoot+"/"+rootScope, 0
	if user == "user" {
		scope, uid = cgroupRoot+"/"+userScope, UserID
	}
	var dirs []string
	err := filepath.WalkDir(scope, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, p)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for _, d := range slices.Backward(dirs) {
		if err := unix.Rmdir(d); err != nil {
			return nil, fmt.Errorf("rmdir %s: %w", d, err)
		}
	}
	if err := os.Mkdir(scope, 0o755); err != nil {
		return nil, err
	}
	if err := chownCgroup(scope, uid); err != nil {
		return nil, err
	}
	return os.Open(scope)
}

// chownCgroup delegates a cgroup: these files and no others, see cgroups(7),
// "Cgroups delegation: delegating a hierarchy to a less privileged user".
func chownCgroup(dir string, uid int) error {
	for _, f := range []string{"", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"} {
		if err := os.Chown(filepath.Join(dir, f), uid, uid); err != nil {
			return err
		}
	}
	return nil
}
