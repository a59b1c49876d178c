package hostcheck

import (
	"os"
	"os/user"
)

// homeDirectory is that of the user behind sudo, where there is one.
func homeDirectory() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		if u, err := user.Lookup(name); err == nil {
			return u.HomeDir
		}
	}
	home, _ := os.UserHomeDir()
	return home
}
