package child

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// attributes makes the process one that terminals do not send signals to, and
// that dies with the thread that starts it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// oomKills returns how many processes the kernel has killed for want of memory,
// here or in a container of this machine. ok is false if it does not say.
func oomKills() (n int64, ok bool) {
	b, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0, false
	}
	for line := range bytes.Lines(b) {
		if rest, found := bytes.CutPrefix(line, []byte("oom_kill ")); found {
			n, err = strconv.ParseInt(string(bytes.TrimSpace(rest)), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
