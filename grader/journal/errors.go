package journal

import (
	"errors"
	"fmt"
	"strings"
)

// ErrLocked says that another process, or another Journal of this one, is
// writing the file.
var ErrLocked = errors.New("another run is writing this file: wait for it to end, or give this run a file of its own")

// errClosed is what a closed journal answers.
var errClosed = errors.New("the journal is closed")

// DamageError says that a line of a journal is not what was once written there.
type DamageError struct {
	Path string
	Line int // from 1
	Msg  string
}

// Error names the file and the line, and says what to do.
func (e *DamageError) Error() string {
	next := "restore the file from a copy, or delete this line to have its record graded again"
	if e.Line == 1 {
		next = "restore the file from a copy, or give the path of a new file to grade every record again"
	}
	return fmt.Sprintf("%s:%d: %s; %s", e.Path, e.Line, e.Msg, next)
}

// VersionError says that a journal has the format of another version of this
// program.
type VersionError struct {
	Path    string
	Version int // of its format
}

// Error names the file and both versions, and says what to do.
func (e *VersionError) Error() string {
	maker, next := "an older", "grade again into a new file"
	if e.Version > version {
		maker, next = "a newer", "use that version, or grade again into a new file"
	}
	return fmt.Sprintf("%s: made by %s version of winnow: its format has version %d, this one reads version %d; %s",
		e.Path, maker, e.Version, version, next)
}

// MismatchError says that a journal holds the ratings of another judge than
// the one that is about to write to it.
type MismatchError struct {
	Path        string
	Differences []string // of Manifest.Differences; at least one
}

// Error names the file and every difference, and says what to do.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s: its ratings and those of this run may not be mixed: %s; repeat the earlier settings, or give the path of a new file",
		e.Path, strings.Join(e.Differences, "; "))
}
