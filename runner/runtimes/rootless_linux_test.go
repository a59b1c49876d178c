package runtimes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUserNamespacesForbidden(t *testing.T) {
	for _, tt := range []struct {
		files map[string]string
		want  string
	}{
		{map[string]string{}, "CONFIG_USER_NS"},
		{map[string]string{"proc/self/ns/user": ""}, ""},
		{map[string]string{"proc/self/ns/user": "", "proc/sys/user/max_user_namespaces": "0\n"}, "sysctl -w user.max_user_namespaces"},
		{map[string]string{"proc/self/ns/user": "", "proc/sys/kernel/unprivileged_userns_clone": "0\n"}, "sysctl -w kernel.unprivileged_userns_clone=1"},
		{map[string]string{"proc/self/ns/user": "", "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1\n"}, "userns,"},
		{map[string]string{"proc/self/ns/user": "", "proc/sys/kernel/apparmor_restrict_unprivileged_userns": "0\n",
			"proc/sys/user/max_user_namespaces": "96365\n"}, ""},
	} {
		root := t.TempDir()
		for name, text := range tt.files {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		missing := userNamespacesForbidden(root)
		if (missing != nil) != (tt.want != "") || missing != nil && !strings.Contains(missing.Error(), tt.want) {
			t.Errorf("%v: %v, want %q", tt.files, missing, tt.want)
		}
	}
}
