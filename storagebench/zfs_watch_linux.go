package storagebench

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// watchEvery is half of what a request may wait for a zfs-fuse that can be woken.
const watchEvery = 100 * time.Millisecond

// watch looks after those who wait for zfs-fuse, as long as there is one. It
// wakes a zfs-fuse that sleeps where it should not, and kills one that owes an
// answer and does nothing at all for the patience: slow is not stuck. Time is
// counted in looks, so that it passes for nobody while the host sleeps.
func (z *zfsFuse) watch() {
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	var before zfsWork
	for looks := 0; ; {
		select {
		case <-z.ended:
			return
		case <-every.C:
		}
		owes := z.owes()
		switch {
		case !owes && z.asked.Load() == 0:
			looks = 0
			continue
		case !owes: // a command or an unmount waits, and not for ever
			looks = min(looks, 1)
		}
		idle := time.Duration(looks) * watchEvery
		now := z.work()
		if looks == 0 || now.since(before, idle) {
			looks, before = 1, now
			continue
		}
		threads := z.threads()
		if slices.ContainsFunc(threads, zfsThread.busy) {
			looks, before = 1, now
			continue
		}
		if slices.ContainsFunc(threads, z.deaf) {
			z.wake()
		}
		if patience := time.Duration(z.patience.Load()); owes && idle >= patience {
			z.kill(fmt.Errorf("it owed an answer and did nothing for %v, and was killed", patience))
			return
		}
		looks++
	}
}

// owes tells whether a request to one of its file systems waits for an answer.
func (z *zfsFuse) owes() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	for _, connection := range z.mounts {
		if z.namespace.unanswered(connection) > 0 {
			return true
		}
	}
	return false
}

// zfsWork is what zfs-fuse has done so far.
type zfsWork struct {
	processor time.Duration
	io        string // bytes it read and wrote
	inFlight  bool   // its device has yet to do something
}

// since tells whether anything was done: a zfs-fuse that does nothing has
// threads that look each second whether there is something to do.
func (w zfsWork) since(before zfsWork, idle time.Duration) bool {
	return w.inFlight || w.io != before.io || w.processor-before.processor > clockTick+idle/20
}

// clockTick is the unit of proc_pid_stat(5): USER_HZ is 100 on all that we run on.
const clockTick = 10 * time.Millisecond

func (z *zfsFuse) work() zfsWork {
	var w zfsWork
	if fields := procStat(z.proc("stat")); len(fields) > 12 { // utime and stime
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		w.processor = time.Duration(user+system) * clockTick
	}
	io, _ := os.ReadFile(z.proc("io"))
	_, w.io, _ = strings.Cut(string(io), "read_bytes") // proc_pid_io(5)
	counters, err := z.device.Counters()
	w.inFlight = err == nil && counters.InFlight > 0
	return w
}

func (z *zfsFuse) proc(names ...string) string {
	return filepath.Join("/proc", strconv.Itoa(z.daemon.Process.Pid), filepath.Join(names...))
}

// procStat gives what follows the name of a process, its state first.
func procStat(name string) []string {
	text, _ := os.ReadFile(name)
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
}

// zfsThread is what a thread of zfs-fuse is about.
type zfsThread struct {
	state   string // "S", proc_pid_stat(5)
	reading int    // a descriptor, or -1
}

// busy threads run, or want to, or wait for a device.
func (t zfsThread) busy() bool { return t.state == "R" || t.state == "D" }

func (z *zfsFuse) threads() (all []zfsThread) {
	tasks, _ := filepath.Glob(z.proc("task", "*"))
	for _, task := range tasks {
		t := zfsThread{reading: -1}
		if fields := procStat(filepath.Join(task, "stat")); len(fields) > 0 {
			t.state = fields[0]
		}
		text, _ := os.ReadFile(filepath.Join(task, "syscall")) // proc_pid_syscall(5)
		if call := strings.Fields(string(text)); len(call) > 1 && call[0] == strconv.Itoa(unix.SYS_READ) {
			if fd, err := strconv.ParseInt(call[1], 0, 0); err == nil {
				t.reading = int(fd)
			}
		}
		all = append(all, t)
	}
	return all
}

// deaf threads sleep, with the only lock of all that listen, until one certain
// file system asks something. fuse_listener.c, zfsfuse_listener_loop, finds with
// poll(2) which one does, and reads it with that lock. What was asked can be gone
// between: a FUSE_INTERRUPT, for a signal to who waits, when the request that it is
// about was answered, or a request of a process that was killed.
func (z *zfsFuse) deaf(t zfsThread) bool {
	if t.reading < 0 {
		return false
	}
	file, _ := os.Readlink(z.proc("fd", strconv.Itoa(t.reading)))
	return file == "/dev/fuse"
}

// wake asks something of each file system, for it is not known which one is
// listened to. Who asks would keep it from being unmounted.
func (z *zfsFuse) wake() {
	if !z.near.TryLock() {
		return // it is asked, or unmounted
	}
	z.mu.Lock()
	roots := slices.Collect(maps.Keys(z.mounts))
	z.mu.Unlock()
	var asked sync.WaitGroup
	for _, root := range roots {
		asked.Go(func() { unix.Statfs(root, new(unix.Statfs_t)) })
	}
	go func() {
		asked.Wait()
		z.near.Unlock()
	}()
}
