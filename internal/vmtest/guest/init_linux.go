package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Init does the job and powers the machine off. It must be process 1, and it
// does not return.
func Init() {
	// What goes wrong before the port is open can only be said on the console.
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "vmtest init:", err)
	}
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func work() error {
	data, err := os.ReadFile(JobFile)
	if err != nil {
		return err
	}
	var job Job
	if err := json.Unmarshal(data, &job); err != nil {
		return fmt.Errorf("%s: %w", JobFile, err)
	}
	// A host that was killed cannot stop us: never outlive the limit.
	time.AfterFunc(job.Limit, func() { unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF) })
	if !inService() {
		if err := setUp(job); err != nil {
			return err
		}
		if job.systemd() {
			return becomeSystemd()
		}
	}
	port, err := openPort()
	if err != nil {
		return err
	}
	defer port.Close()
	send := sender(port)
	send(booted())
	for i, r := range job.Runs {
		send(Event{Kind: Start, Run: i})
		begin := time.Now()
		status := perform(r, job, func(p []byte) { send(Event{Kind: Output, Run: i, Data: p}) })
		send(Event{Kind: Exit, Run: i, Status: status, Took: time.Since(begin).Seconds()})
		if err := sendCoverage(send); err != nil {
			return err
		}
	}
	send(Event{Kind: Done})
	return nil
}

// sender serialises events. A port that cannot be written is a host that went
// away: nothing is left to do but to stop.
func sender(port *os.File) func(Event) {
	var mu sync.Mutex
	enc := json.NewEncoder(port)
	return func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if err := enc.Encode(e); err != nil {
			fmt.Fprintln(os.Stderr, "vmtest init: write event:", err)
			unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
		}
	}
}

func booted() Event {
	var u unix.Utsname
	unix.Uname(&u)
	var now unix.Timespec
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return Event{Kind: Boot, Name: unix.ByteSliceToString(u.Release[:]), Took: time.Duration(now.Nano()).Seconds()}
}

// openPort finds the virtio port by its name: which vport it is depends on the
// other devices. The device answers a moment after its module is loaded.
func openPort() (*os.File, error) {
	for range 500 {
		names, _ := filepath.Glob("/sys/class/virtio-ports/*/name")
		for _, n := range names {
			b, err := os.ReadFile(n)
			if err == nil && strings.TrimSpace(string(b)) == Port {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(n)), os.O_WRONLY, 0)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return nil, fmt.Errorf("no virtio port named %s after 5 s", Port)
}

func sendCoverage(send func(Event)) error {
	files, err := filepath.Glob(CoverDir + "/cov*")
	if err != nil {
		return err
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		send(Event{Kind: File, Name: filepath.Base(f), Data: data})
	}
	return nil
}
