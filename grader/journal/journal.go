// Package journal keeps the ratings of a run in an append-only file.
//
// The file is JSON lines: a manifest, which says who rated, then one entry a
// record. Every line ends in the member "crc", the CRC-32C of the bytes before
// it. What Append has acknowledged is on disk; a run that dies while writing
// leaves at most whole lines that nobody was told of and one unfinished line,
// which the next Open cuts off. Any other line that is not as it was written is
// damage: the file is refused with the line's number and left alone, until Repair
// moves such lines aside. Ratings and signals are kept in single precision, hidden
// states in bfloat16.
//
// A run opens its journal with Open and keeps little more than the keys of its
// entries in memory; Read gives all that a file says. Merge makes one journal of
// several.
package journal

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"winnow/grader/record"
)

// Journal is a scores file that is open for appending. Its methods may be
// called by several goroutines: Append and Close wait for one another, while
// Status and Len answer at any time, during an Append as before it.
type Journal struct {
	path  string
	disk  disk
	known known

	mu    sync.Mutex // of all below
	file  file
	size  int64 // bytes of what is acknowledged
	parse *parser
	err   error // why nothing more may be written

	// Memory of the last Append for the next one.
	buf   []byte
	codes []uint8 // of the entries' statuses
	keys  map[record.Key]struct{}
}

// Open opens the journal at path for a run whose judge is m, and makes it if
// it is missing or empty.
//
// The file stays locked until Close: a second Open fails with ErrLocked. An
// unfinished last line is cut off with a warning. A *DamageError, a
// *VersionError or a *MismatchError leaves the file as it is.
func Open(path string, m Manifest) (*Journal, error) { return open(path, m, realDisk()) }

func open(path string, m Manifest, d disk) (*Journal, error) {
	line, m, err := m.line()
	if err != nil {
		return nil, fmt.Errorf("open journal %s: manifest of this run: %w", path, err)
	}
	f, err := claim(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, disk: d, file: d.wrap(f), parse: newParser(m), keys: map[record.Key]struct{}{}}
	if err := j.load(f, m, line); err != nil {
		return nil, errors.Join(err, j.Close())
	}
	return j, nil
}

func (j *Journal) load(f *os.File, m Manifest, manifestLine []byte) error {
	c, err := load(j.path, f, &j.known)
	if err != nil {
		return err
	}
	if c.lines == 0 {
		j.known.begin(m)
		return j.create(manifestLine)
	}
	if diffs := c.manifest.Differences(m); len(diffs) > 0 {
		return &MismatchError{Path: j.path, Differences: diffs}
	}
	if j.size = c.size; c.torn > 0 {
		slog.Warn("the journal's last line is unfinished and is cut off", "path", j.path, "line", c.lines+1, "bytes", c.torn)
		if err := j.file.Truncate(j.size); err != nil {
			return failed("cut the unfinished last line of journal", j.path, err)
		}
	}
	// A run that was killed may have left lines, and the file's name, that were
	// never synced. From here on they are known.
	if err := j.file.Sync(); err != nil {
		return failed("open journal", j.path, err)
	}
	return j.syncDir()
}

// create begins the file anew, with the manifest's line.
func (j *Journal) create(manifestLine []byte) error {
	if err := j.file.Truncate(0); err != nil {
		return failed("begin journal", j.path, err)
	}
	if err := j.write(manifestLine); err != nil {
		return failed("begin journal", j.path, err)
	}
	return j.syncDir()
}

func (j *Journal) syncDir() error {
	if err := j.disk.syncDir(filepath.Dir(j.path)); err != nil {
		return failed("open journal", j.path, fmt.Errorf("its directory: %w", err))
	}
	return nil
}

// Status returns the status of the record with this key, if it has an entry that
// is on disk.
func (j *Journal) Status(key record.Key) (record.Status, bool) { return j.known.status(key) }

// Len returns the number of entries that are on disk.
func (j *Journal) Len() int { return j.known.len() }

// Append writes entries and returns once they are on disk and known to Status. It
// keeps nothing of them.
//
// An entry that cannot stand in the journal fails the call before anything is
// written: one whose key is there already, that has a rating without the status
// record.OK or not one for each criterion with it, whose ratings are not on the
// manifest's scale, or whose signals, hidden state or calibrated probability are not
// those that the manifest names. After a failed write or fsync nothing is tried again:
// every later call fails.
func (j *Journal) Append(entries []Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return fmt.Errorf("append to journal %s: nothing more is written: %w", j.path, j.err)
	}
	if len(entries) == 0 {
		return nil
	}
	if err := j.encode(entries); err != nil {
		return fmt.Errorf("append to journal %s: %w", j.path, err)
	}
	if err := j.write(j.buf); err != nil {
		return fmt.Errorf("append to journal %s: %w; what was graded before is kept: %s and run again to go on", j.path, err, remedy(err))
	}
	j.known.mu.Lock()
	defer j.known.mu.Unlock()
	for i := range entries {
		j.known.codes[entries[i].Key] = j.codes[i]
	}
	return nil
}

// encode puts the lines of entries into j.buf, reads each back, and puts the
// codes of their statuses into j.codes.
func (j *Journal) encode(entries []Entry) error {
	j.buf, j.codes = j.buf[:0], j.codes[:0]
	clear(j.keys)
	for i := range entries {
		e := &entries[i]
		code, err := j.encodeOne(e)
		if err != nil {
			return fmt.Errorf("entry %s of record %d: %w", e.Key, e.Index, err)
		}
		j.codes = append(j.codes, code)
		j.keys[e.Key] = struct{}{}
	}
	return nil
}

func (j *Journal) encodeOne(e *Entry) (code uint8, err error) {
	_, twice := j.keys[e.Key]
	if _, known := j.Status(e.Key); twice || known {
		return 0, errors.New("its key is in the journal already")
	}
	start := len(j.buf)
	if j.buf, err = j.parse.append(j.buf, *e); err != nil {
		return 0, err
	}
	f, err := j.parse.parse(j.buf[start:])
	switch {
	case err != nil:
		return 0, err
	case len(j.buf)-start+sealBytes > maxLineBytes:
		return 0, errLongLine
	}
	j.buf = seal(j.buf, start)
	return j.known.code(f.status)
}

// write appends b to the file for good. If it cannot, it takes back what it
// wrote; if it cannot do that either, the next Open cuts what is unfinished.
//
// That holds for a failed fsync too: the kernel may have dropped the pages and
// call them clean, so that a later run would read, and believe, lines that are
// not on disk. Taking them back is no second try: their records have no entry.
func (j *Journal) write(b []byte) error {
	n, err := j.file.WriteAt(b, j.size)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err == nil {
		err = j.file.Sync()
	}
	if err == nil {
		j.size += int64(len(b))
		return nil
	}
	j.err = err
	if back := j.file.Truncate(j.size); back != nil {
		err = fmt.Errorf("%w (and what was written cannot be taken back: %w)", err, back)
	}
	return err
}

// Close unlocks and closes the file. Calling it again does nothing.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if j.err == nil {
		j.err = errClosed
	}
	if err != nil {
		return failed("close journal", j.path, err)
	}
	return nil
}
