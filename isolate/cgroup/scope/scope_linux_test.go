package scope

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestBusAddress(t *testing.T) {
	for _, tt := range []struct {
		name       string
		files      []string
		uid        int
		runtimeDir string // below the root of the test
		want, err  string
	}{
		{"root", []string{"run/systemd/system/", "run/dbus/system_bus_socket"}, 0, "", "/run/dbus/system_bus_socket", ""},
		{"root, in a user's session", []string{"run/systemd/system/", "run/dbus/system_bus_socket", "run/user/1000/bus"}, 0, "run/user/1000", "/run/dbus/system_bus_socket", ""},
		{"user", []string{"run/systemd/system/", "run/dbus/system_bus_socket", "elsewhere/bus"}, 1000, "elsewhere", "/elsewhere/bus", ""},
		{"user after su", []string{"run/systemd/system/", "run/user/1000/bus"}, 1000, "", "/run/user/1000/bus", ""},
		{"user who is not logged in", []string{"run/systemd/system/", "run/dbus/system_bus_socket"}, 1000, "", "", "loginctl enable-linger"},
		{"no bus", []string{"run/systemd/system/"}, 0, "", "", "apt-get install dbus"},
		{"a bus without systemd", []string{"run/dbus/system_bus_socket"}, 0, "", "", "systemd does not manage this host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, file := range tt.files {
				path := filepath.Join(root, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if strings.HasSuffix(file, "/") {
					path += "/."
				}
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), touch(path)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.runtimeDir != "" {
				tt.runtimeDir = filepath.Join(root, tt.runtimeDir)
			}
			got, err := busAddress(root, tt.uid, tt.runtimeDir)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %q, %v, want an error with %q", got, err, tt.err)
				}
				return
			}
			if want := "unix:path=" + dbus.EscapeBusAddressValue(root+tt.want); got != want || err != nil {
				t.Errorf("got %q, %v, want %q", got, err, want)
			}
		})
	}
}

func touch(path string) error {
	if strings.HasSuffix(path, "/.") {
		return os.MkdirAll(path, 0o755)
	}
	return os.WriteFile(path, nil, 0o600)
}

func TestWaitFor(t *testing.T) {
	const ours = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
	removed := func(job dbus.ObjectPath, result string) *dbus.Signal {
		return &dbus.Signal{Body: []any{uint32(7), job, "x.scope", result}}
	}
	other := &dbus.Signal{Body: []any{":1.7"}} // NameAcquired
	for _, tt := range []struct {
		name    string
		signals []*dbus.Signal
		err     string
	}{
		{"done", []*dbus.Signal{other, removed("/other", "failed"), removed(ours, "done")}, ""},
		{"failed", []*dbus.Signal{removed(ours, "failed")}, `"failed"`},
		{"lost", []*dbus.Signal{removed("/other", "done")}, "closed"},
	} {
		signals := make(chan *dbus.Signal, len(tt.signals))
		for _, s := range tt.signals {
			signals <- s
		}
		close(signals)
		err := waitFor(t.Context(), ours, signals)
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := waitFor(ctx, ours, make(chan *dbus.Signal)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}
