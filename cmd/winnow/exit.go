package main

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"winnow/grader/child"
	"winnow/grader/journal"
)

// Exit codes of the program.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitUngraded   = 3
	exitModel      = 4
	exitJournal    = 5
	exitLocked     = 6
	exitSignalBase = 128
)

// usageError is a command line that makes no sense.
type usageError struct{ err error }

func (e usageError) Error() string { return e.err.Error() }
func (e usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// modelError is a model or device that cannot be used.
type modelError struct{ err error }

func (e modelError) Error() string { return e.err.Error() }
func (e modelError) Unwrap() error { return e.err }

// ungradedError ends a run that went through but left records without a rating.
type ungradedError struct{ records int }

func (e ungradedError) Error() string {
	return fmt.Sprintf("%d records could not be graded: their status and reason are in the scores file", e.records)
}

// signalError is the signal that interrupted a run.
type signalError struct{ signal syscall.Signal }

func (e signalError) Error() string { return "interrupted by " + e.signal.String() }

// exitCode maps an error to the program's exit code.
func exitCode(err error) int {
	var usage usageError
	var model modelError
	var died *child.Error
	var ungraded ungradedError
	var sig signalError
	var damage *journal.DamageError
	var mismatch *journal.MismatchError
	var version *journal.VersionError
	var conflict *journal.ConflictError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &sig):
		return exitSignalBase + int(sig.signal)
	case errors.As(err, &usage):
		return exitUsage
	case errors.As(err, &ungraded):
		return exitUngraded
	case errors.As(err, &damage), errors.As(err, &mismatch), errors.As(err, &version), errors.As(err, &conflict):
		return exitJournal
	case errors.Is(err, journal.ErrLocked):
		return exitLocked
	case errors.As(err, &model), errors.As(err, &died):
		return exitModel
	}
	return exitFailed
}

// report tells the user of an error, as a line of JSON for who asked for JSON,
// and returns the exit code.
func report(stderr io.Writer, err error, asJSON bool) int {
	code := exitCode(err)
	switch {
	case err == nil:
	case asJSON:
		_ = printJSON(stderr, struct {
			Kind    string `json:"kind"`
			Code    int    `json:"code"`
			Message string `json:"message"`
		}{"error", code, err.Error()})
	default:
		say(stderr, "winnow: %v\n", err)
	}
	return code
}

// say writes to stderr. A run goes on when nobody can read its talk.
func say(stderr io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(stderr, format, args...)
}
