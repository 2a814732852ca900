package journal

import (
	"errors"
	"fmt"
	"strings"

	"winnow/grader/record"
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
	next := "restore the file from a copy, or run winnow journal repair to move damaged lines aside, and have their records graded again"
	if e.Line == 1 {
		next = "restore the file from a copy, give the path of a new file to grade every record again, or see winnow journal repair --help"
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
// the run that is about to write to it, or than another journal.
type MismatchError struct {
	Path        string
	Than        string   // the other journal; empty if it is a run
	Differences []string // of their manifests; at least one
}

// Error names the file and every difference, and says what to do.
func (e *MismatchError) Error() string {
	other, next := "this run", "repeat the earlier settings, or give the path of a new file"
	if e.Than != "" {
		other, next = e.Than, "put together only files of one model, rubric and settings"
	}
	return fmt.Sprintf("%s: its ratings and those of %s may not be mixed: %s; %s", e.Path, other, strings.Join(e.Differences, "; "), next)
}

// ConflictError says that two journals of one judge have different entries for
// one record.
type ConflictError struct {
	Key   record.Key
	Lines [2]Line
	More  int // records of which the same is true
}

// Line is a line of a journal.
type Line struct {
	Path string
	Line int // from 1
}

// Error names both lines and says what to do.
func (e *ConflictError) Error() string {
	more := ""
	if e.More > 0 {
		more = fmt.Sprintf(" (and so have %d records more)", e.More)
	}
	a, b := e.Lines[0], e.Lines[1]
	return fmt.Sprintf("%s:%d and %s:%d have different entries for the record %s%s: they are of sources in another order, or of ratings that are not deterministic; leave one file out, or take the entry of the file named first with --prefer first",
		a.Path, a.Line, b.Path, b.Line, e.Key, more)
}

// lineError says what is wrong with a line of the journal at path.
func lineError(path string, line int, err error) error {
	var version *VersionError
	if errors.As(err, &version) {
		version.Path = path
		return version
	}
	return &DamageError{path, line, err.Error()}
}
