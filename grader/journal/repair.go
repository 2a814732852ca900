package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"unicode/utf8"
)

// DamagedSuffix is added to a journal's name for the file that Repair moves its
// damaged lines to.
const DamagedSuffix = ".damaged"

// RepairOptions says how a journal is repaired.
type RepairOptions struct {
	Out          string // new file for what is sound; empty to put it in the journal's place
	ManifestFrom string // journal of the same judge, for one whose own manifest is damaged; may be empty

	Tell func(line int, reason string) // told of each damaged line, in order; may be nil
}

// Repair moves the damaged lines of the journal at path aside, to the file that
// is named after its result with DamagedSuffix behind it, as JSON lines with
// number, offset, reason and text. What is sound takes the journal's place, to the
// byte as it stood there; carriage returns at the ends of sound lines are removed.
// The records of the lines that are gone have no entry and can be graded again.
//
// The journal is locked meanwhile (ErrLocked). A crash or an error leaves it
// whole, as it was or repaired. Where nothing is damaged nothing is written. A
// damaged manifest is a *DamageError without ManifestFrom, and with it if no line
// is an entry under that manifest; a sound one that differs from it is a
// *MismatchError.
func Repair(path string, o RepairOptions) (Checkup, error) { return repair(path, o, realDisk()) }

func repair(path string, o RepairOptions, d disk) (Checkup, error) {
	var from *supply
	var manifestLine []byte
	if o.ManifestFrom != "" {
		m, err := ReadManifest(o.ManifestFrom)
		if err != nil {
			return Checkup{}, err
		}
		if manifestLine, m, err = m.line(); err != nil {
			return Checkup{}, fmt.Errorf("manifest of %s: %w", o.ManifestFrom, err)
		}
		from = &supply{m, o.ManifestFrom}
	}
	to, flags := o.Out, os.O_RDONLY
	if to == "" {
		to, flags = path, os.O_RDWR
	} else if info, err := os.Stat(to); err == nil && (info.Size() > 0 || !info.Mode().IsRegular()) {
		return Checkup{}, fmt.Errorf("repair journal %s: %s is there already: give the name of a new file", path, to)
	}
	f, err := claim(path, flags)
	if err != nil {
		return Checkup{}, err
	}
	defer func() { _ = f.Close() }() // nothing was written to it

	x := examiner{path: path, supplied: from, visit: telling(o.Tell)}
	if err := x.run(f); err != nil || x.sum.OK() {
		return x.sum, err
	}
	if x.sum.Supplied && x.sum.Sound == 0 {
		return x.sum, &DamageError{path, 1, fmt.Sprintf("none of the %d lines is an entry under the manifest of %s", x.sum.Lines, o.ManifestFrom)}
	}
	if !x.sum.Supplied {
		manifestLine = nil // the file has its own
	}
	info, err := f.Stat()
	if err != nil {
		return x.sum, fmt.Errorf("repair journal: %w", err)
	}
	w := rewriting{path: path, from: from, manifestLine: manifestLine, found: x.sum, disk: d}
	if x.sum.Damaged > 0 || x.sum.Torn > 0 {
		x.sum.Moved = to + DamagedSuffix
	}
	x.sum.Written = to
	return x.sum, d.replace(to, info.Mode().Perm(), func(sound io.Writer) error {
		if x.sum.Moved == "" {
			return w.run(f, sound, io.Discard)
		}
		return d.extend(x.sum.Moved, func(damaged io.Writer) error { return w.run(f, sound, damaged) })
	})
}

// extend appends what write writes to the file at path, for good.
func (d disk) extend(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return fmt.Errorf("open file for damaged lines: %w", err)
	}
	out := d.wrap(f)
	defer func() {
		if cerr := out.Close(); cerr != nil {
			err = errors.Join(err, failed("close", path, cerr))
		}
	}()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("open file for damaged lines: %w", err)
	}
	last := []byte{'\n'}
	if size > 0 {
		if _, err := f.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("open file for damaged lines: %w", err)
		}
	}
	if err := writeAll(out, path, size, func(w io.Writer) error {
		if last[0] != '\n' { // a repair that failed
			if _, err := w.Write([]byte{'\n'}); err != nil {
				return err
			}
		}
		return write(w)
	}); err != nil {
		return err
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return failed("write", path, fmt.Errorf("its directory: %w", err))
	}
	return nil
}

// rewriting writes a journal's sound and damaged lines to two files.
type rewriting struct {
	path         string
	from         *supply
	manifestLine []byte // to begin with; nil if the journal has its own
	found        Checkup
	disk         disk
}

// damagedLine is a line of the file of damaged lines.
type damagedLine struct {
	Line   int     `json:"line"`
	Offset int64   `json:"offset"`           // in the journal, of the first byte
	Reason string  `json:"reason"`           // why it was moved
	Text   *string `json:"text,omitempty"`   // the line without its newline
	Base64 []byte  `json:"base64,omitempty"` // the same, if it is not UTF-8
}

func (r rewriting) run(f io.ReadSeeker, sound, damaged io.Writer) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("repair journal %s: %w", r.path, err)
	}
	if _, err := sound.Write(r.manifestLine); err != nil {
		return err
	}
	enc := json.NewEncoder(damaged)
	enc.SetEscapeHTML(false)
	x := examiner{path: r.path, supplied: r.from}
	x.visit = func(f finding) error {
		if f.err == nil {
			if _, err := sound.Write(f.text); err != nil {
				return err
			}
			_, err := sound.Write([]byte{'\n'})
			return err
		}
		line := damagedLine{Line: f.number, Offset: f.at, Reason: f.err.Error()}
		if utf8.Valid(f.text) {
			text := string(f.text)
			line.Text = &text
		} else {
			line.Base64 = f.text
		}
		return enc.Encode(line)
	}
	if err := x.run(f); err != nil {
		return err
	}
	if x.sum != r.found {
		return fmt.Errorf("repair journal %s: it changed meanwhile: run again when nothing writes to it", r.path)
	}
	return nil
}
