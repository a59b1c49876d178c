package scope

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// Wait bounds how long Enter waits for systemd when its context does not end sooner.
const Wait = 10 * time.Second

const (
	manager     = "org.freedesktop.systemd1"
	managerPath = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerAPI  = "org.freedesktop.systemd1.Manager"
)

// Enter asks systemd for the scope NAME.scope and returns when this process, with
// all its threads, is in it: root asks the host's systemd, a user his own. Where
// there is none to ask it is an *UnavailableError.
func Enter(ctx context.Context, name, description string) error {
	address, err := busAddress("/", os.Geteuid(), os.Getenv("XDG_RUNTIME_DIR"))
	if err != nil {
		return err
	}
	return enter(ctx, address, name+".scope", description)
}

// UnavailableError says why there is no systemd to ask, and what to do about it.
type UnavailableError struct {
	Reason error
	Hint   string // "" where systemd does not manage the host at all
}

func (e *UnavailableError) Unwrap() error { return e.Reason }

func (e *UnavailableError) Error() string {
	if e.Hint == "" {
		return e.Reason.Error()
	}
	return e.Reason.Error() + " (hint: " + e.Hint + ")"
}

// busAddress is that of the bus which the manager of this user's units is on:
// never that of a desktop's session or a login as another user, which
// DBUS_SESSION_BUS_ADDRESS may name.
func busAddress(root string, uid int, runtimeDir string) (string, error) {
	if _, err := os.Stat(filepath.Join(root, "run/systemd/system")); err != nil { // sd_booted(3)
		return "", &UnavailableError{fmt.Errorf("systemd does not manage this host: %w", err), ""}
	}
	socket := filepath.Join(root, "run/dbus/system_bus_socket")
	hint := "apt-get install dbus"
	if uid != 0 {
		if runtimeDir == "" { // su, cron: the manager may still be there
			runtimeDir = filepath.Join(root, "run/user", strconv.Itoa(uid))
		}
		socket = filepath.Join(runtimeDir, "bus")
		hint = "log in anew instead of su, or: loginctl enable-linger; apt-get install dbus-user-session"
	}
	if _, err := os.Stat(socket); err != nil {
		return "", &UnavailableError{fmt.Errorf("no bus leads to systemd: %w", err), hint}
	}
	return "unix:path=" + dbus.EscapeBusAddressValue(socket), nil
}

// property is one of StartTransientUnit's, whose names are those of unit files
// but for the types (org.freedesktop.systemd1(5)).
type property struct {
	Name  string
	Value dbus.Variant
}

func properties(description string) []property {
	return []property{
		{"Description", dbus.MakeVariant(description)},
		{"Delegate", dbus.MakeVariant(true)},
		// 0 is who asks, as the bus knows him: our number in another pid
		// namespace could be anyone's (bus_scope_set_transient_property in
		// systemd's src/core/dbus-scope.c).
		{"PIDs", dbus.MakeVariant([]uint32{0})},
		// A scope that was killed is not to stay as failed (since systemd 236).
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		// The default of 15% of the host's pids would be the wall of a fleet.
		{"TasksMax", dbus.MakeVariant(uint64(math.MaxUint64))},
	}
}

// auxiliary units, of which a scope has none.
type auxiliary struct {
	Name       string
	Properties []property
}

func enter(ctx context.Context, address, unit, description string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, Wait, fmt.Errorf("no answer within %s", Wait))
	defer cancel()
	if err := start(ctx, address, unit, description); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("ask systemd for %s: %w", unit, err)
	}
	return nil
}

func start(ctx context.Context, address, unit, description string) error {
	conn, err := dbus.Connect(address, dbus.WithContext(ctx), dbus.WithAuth(dbus.AuthExternal(strconv.Itoa(os.Geteuid()))))
	if err != nil {
		return fmt.Errorf("connect to %s: %w", address, err)
	}
	defer conn.Close()
	// Before the request: the job may be done before we are answered.
	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchInterface(managerAPI), dbus.WithMatchMember("JobRemoved"), dbus.WithMatchObjectPath(managerPath)); err != nil {
		return err
	}
	systemd := conn.Object(manager, managerPath)
	if err := systemd.CallWithContext(ctx, managerAPI+".Subscribe", 0).Err; err != nil {
		return err
	}
	var job dbus.ObjectPath
	request := systemd.CallWithContext(ctx, managerAPI+".StartTransientUnit", 0, unit, "fail", properties(description), []auxiliary{})
	if err := request.Store(&job); err != nil {
		return err
	}
	return waitFor(ctx, job, signals)
}

// waitFor returns when the job is done: with an error unless it was done well.
func waitFor(ctx context.Context, job dbus.ObjectPath, signals <-chan *dbus.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, open := <-signals:
			if !open {
				return errors.New("the bus closed the connection")
			}
			var id uint32
			var of dbus.ObjectPath
			var unit, result string
			if dbus.Store(s.Body, &id, &of, &unit, &result) != nil || of != job {
				continue // of another signal, or another job
			}
			if result != "done" {
				return fmt.Errorf("its job ended as %q", result)
			}
			return nil
		}
	}
}
