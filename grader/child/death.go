package child

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// suspicion says whether a process died because memory ran out.
type suspicion int

const (
	unlikely suspicion = iota
	possible           // the kernel does not say why it killed the process
	certain
)

// death is how a process ended that should not have. All requests in flight get
// it as their error.
type death struct {
	cause  string // such as "was killed by SIGSEGV (segmentation fault)"
	words  string // the last lines that it wrote of errors; may be empty
	memory suspicion
	sent   bool // somebody else killed it, which says nothing of the model
}

// Error says how the process ended, and its last words.
func (d *death) Error() string {
	s := "the engine's process " + d.cause
	if d.words != "" {
		s += "; its last words: " + d.words
	}
	return s
}

// Error is a model that cannot be used because the process of its engine dies.
type Error struct {
	Model string // its name
	Doing string // what the engine did, such as "loading it"
	Death string // how it ended and its last words
}

// Error names the model, what was done, and how the process ended.
func (e *Error) Error() string {
	return fmt.Sprintf("model %s: %s: %s", e.Model, e.Doing, e.Death)
}

// runtimeSignal is how Go's runtime names a signal that it ends the process for,
// with exit code 2.
var runtimeSignal = regexp.MustCompile(`(?m)^(SIG[A-Z0-9]+): (.+)$|\[signal (SIG[A-Z0-9]+): ([^\]]+?)( code=.*)?\]`)

// describe says how a process that nobody killed ended.
func describe(state *os.ProcessState, lines []string) (cause string, signal syscall.Signal) {
	if state == nil {
		return "cannot be waited for", 0
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		s := status.Signal()
		return fmt.Sprintf("was killed by %s (%s)", unix.SignalName(s), s), s
	}
	if state.ExitCode() == 2 {
		if m := runtimeSignal.FindStringSubmatch(strings.Join(lines, "\n")); m != nil {
			return fmt.Sprintf("was killed by %s (%s)", m[1]+m[3], m[2]+m[4]), 0
		}
	}
	return fmt.Sprintf("ended with exit code %d", state.ExitCode()), 0
}

// memoryWords is what engines print when an allocation fails.
var memoryWords = regexp.MustCompile(`(?i)out of memory|insufficient memory|bad_alloc|failed to allocate|cannot allocate memory`)

// suspect says whether memory ran out. killsBefore is what oomKills said when the
// process was started.
func suspect(signal syscall.Signal, lines []string, killsBefore int64, known bool) suspicion {
	if memoryWords.MatchString(strings.Join(lines, "\n")) {
		return certain
	}
	if signal != syscall.SIGKILL {
		return unlikely
	}
	kills, ok := oomKills()
	switch {
	case !ok || !known:
		return possible
	case kills > killsBefore:
		return certain
	}
	return unlikely // somebody sent it
}

// lastWords makes one line of the last lines that say something.
func lastWords(lines []string) string {
	const most, bytesEach = 3, 240
	var words []string
	for i := len(lines) - 1; i >= 0 && len(words) < most; i-- {
		line := strings.ToValidUTF8(strings.TrimSpace(lines[i]), "�")
		if line == "" || traceBegins.MatchString(line) {
			continue
		}
		if len(line) > bytesEach {
			line = strings.ToValidUTF8(line[:bytesEach], "") + "…"
		}
		words = append([]string{line}, words...)
	}
	return strings.Join(words, "; ")
}
