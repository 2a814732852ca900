//go:build !linux

package child

import "syscall"

// attributes makes the process one that terminals do not send signals to.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// oomKills cannot tell.
func oomKills() (n int64, ok bool) { return 0, false }
