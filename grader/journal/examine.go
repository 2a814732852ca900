package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// Checkup is what Verify or Repair found in a journal.
type Checkup struct {
	Lines    int  // whole ones, the manifest's included
	Sound    int  // entries that are as they were written
	Damaged  int  // lines that are not
	Mended   int  // lines that are but for a carriage return at their end
	Torn     int  // bytes of an unfinished last line, which is no damage
	Supplied bool // whether the manifest is lost and another journal's stands for it

	Written string // file that Repair wrote; empty if there was nothing to repair
	Moved   string // file that the damaged lines were added to; empty if there were none
}

// OK says whether the journal can be read as it is.
func (c Checkup) OK() bool { return c.Damaged == 0 && c.Mended == 0 && !c.Supplied }

// Verify looks at every line of the journal at path, without locking or changing
// it, and tells of each damaged one, in order. Damage is no error, unless it is the
// manifest's: without it there is a *DamageError or a *VersionError.
func Verify(path string, tell func(line int, reason string)) (Checkup, error) {
	f, err := os.Open(path)
	if err != nil {
		return Checkup{}, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	x := examiner{path: path, visit: telling(tell)}
	err = x.run(f)
	return x.sum, err
}

// telling makes a visitor of who wants to hear of damaged lines.
func telling(tell func(line int, reason string)) func(finding) error {
	return func(f finding) error {
		switch {
		case tell == nil || f.more || f.err == errTorn:
		case f.err != nil:
			tell(f.number, f.err.Error())
		case f.mended:
			tell(f.number, errCRLF.Error())
		}
		return nil
	}
}

// finding is one line of a journal, or a piece of one that is too long.
type finding struct {
	number int
	at     int64  // of its first byte in the file
	text   []byte // as it belongs into a journal if it is sound, else as it stands there; valid until the next one
	err    error  // why it is no part of the journal; nil if it is sound
	mended bool   // whether a carriage return was taken from its end
	more   bool   // whether it goes on with the line of the finding before
}

var errTorn = errors.New("the line is unfinished")

// supply is a manifest for a journal that has lost its own.
type supply struct {
	manifest Manifest
	path     string // of the journal that it stands in
}

// examiner looks at every line of a journal, whatever those before it are.
type examiner struct {
	path     string
	supplied *supply // may be nil
	visit    func(finding) error

	sum      Checkup
	manifest Manifest
	parse    *parser // nil before the first line
	known    known
	foreign  int // line of another judge's manifest, to whom what follows belongs; 0 if there is none
}

// run looks at the journal from its beginning to its end.
func (x *examiner) run(r io.Reader) error {
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	at := int64(0)
	for {
		line, err := lines.next()
		f := finding{number: x.sum.Lines + 1, at: at, text: line}
		switch {
		case err == io.EOF:
			return x.end(f)
		case err == errLongLine:
			f.text = lines.long
			if at, err = x.long(f, lines.r); err != nil {
				return err
			}
		case err != nil:
			return readError(x.path, f.number, err)
		default:
			at += int64(len(line)) + 1
			if err := x.line(f); err != nil {
				return err
			}
		}
		x.sum.Lines++
	}
}

// line judges one line.
func (x *examiner) line(f finding) error {
	whole := f.text
	if _, err := unseal(whole); err == errCRLF {
		f.text, f.mended = whole[:len(whole)-1], true
	}
	if x.parse == nil {
		var isEntry bool
		if isEntry, f.err = x.first(f.text); f.err != nil && x.parse == nil {
			return f.err
		}
		if !isEntry {
			return x.report(f, whole)
		}
	}
	if f.err = x.entry(f); f.err == nil {
		x.sum.Sound++
	}
	return x.report(f, whole)
}

// report counts a judged line and shows it.
func (x *examiner) report(f finding, whole []byte) error {
	switch {
	case f.err != nil:
		f.text, f.mended = whole, false
		x.sum.Damaged++
	case f.mended:
		x.sum.Mended++
	}
	return x.visit(f)
}

// first judges a journal's first line. If that is no manifest and one was
// supplied, the line may be an entry, whose manifest was lost as a whole.
func (x *examiner) first(line []byte) (isEntry bool, err error) {
	m, err := manifestOfLine(line)
	var version *VersionError
	switch {
	case err == nil && x.supplied != nil:
		if diffs := m.differences(x.supplied.manifest, x.path, x.supplied.path); len(diffs) > 0 {
			return false, &MismatchError{Path: x.path, Than: x.supplied.path, Differences: diffs}
		}
	case err == nil:
	case errors.As(err, &version):
		return false, lineError(x.path, 1, err)
	case x.supplied == nil:
		return false, lineError(x.path, 1, fmt.Errorf("%w; without its manifest nobody knows who rated, so no entry can be trusted, unless --manifest-from gives the file that of another one of the same run", err))
	default:
		m, x.sum.Supplied = x.supplied.manifest, true
		isEntry = err == errNoJournal
	}
	x.manifest, x.parse = m, newParser(m)
	x.known.begin(m)
	return isEntry, err
}

// entry says why a line is no entry of this journal.
func (x *examiner) entry(f finding) error {
	if bytes.HasPrefix(f.text, []byte(manifestStart)) {
		x.foreign = f.number
		if m, err := manifestOfLine(f.text); err == nil && len(x.manifest.Differences(m)) == 0 {
			x.foreign = 0
		}
		return errJoined
	}
	if x.foreign > 0 {
		return fmt.Errorf("the line stands below the manifest of another judge, in line %d", x.foreign)
	}
	return take(f.text, x.parse, &x.known, f.number, f.at)
}

// long shows a line that is too long, piece by piece. f has the first, r what
// follows. It returns where the next line begins.
func (x *examiner) long(f finding, r *bufio.Reader) (next int64, err error) {
	if x.parse == nil {
		return 0, lineError(x.path, 1, errLongLine)
	}
	f.err = errLongLine
	x.sum.Damaged++
	for last, newline := false, 0; ; {
		if err := x.visit(f); err != nil {
			return 0, err
		}
		f.at += int64(len(f.text))
		if last {
			return f.at + int64(newline), nil
		}
		f.more = true
		f.text, err = r.ReadSlice('\n')
		switch err {
		case bufio.ErrBufferFull:
		case nil:
			f.text, last, newline = f.text[:len(f.text)-1], true, 1
		case io.EOF:
			last = true
		default:
			return 0, readError(x.path, f.number, err)
		}
	}
}

// end judges what stands after the last newline.
func (x *examiner) end(f finding) error {
	if x.parse == nil {
		if !startsManifest(bytes.TrimRight(f.text, "\x00")) {
			return lineError(x.path, 1, errNoJournal)
		}
		return lineError(x.path, 1, errNoManifest)
	}
	if x.sum.Torn = len(f.text); x.sum.Torn == 0 {
		return nil
	}
	f.err = errTorn
	return x.visit(f)
}
