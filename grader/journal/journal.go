// Package journal keeps the ratings of a run in an append-only file.
//
// The file is JSON lines: a manifest, which says who rated, then one entry a
// record. Every line ends in the member "crc", the CRC-32C of the bytes before
// it. What Append has acknowledged is on disk; a run that dies while writing
// leaves at most whole lines that nobody was told of and one unfinished line,
// which the next Open cuts off. Ratings are kept in single precision.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Journal is a scores file that is open for appending. It is for one goroutine
// at a time.
type Journal struct {
	path  string
	file  file
	size  int64 // bytes of what is acknowledged
	index *Index
	parse *parser
	buf   []byte
	err   error // why nothing more may be written
}

// file is what a Journal needs of an *os.File.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// Open opens the journal at path for a run whose judge is m, and makes it if
// it is missing or empty. The Index holds its entries; Append adds to it.
//
// The file stays locked until Close: a second Open fails with ErrLocked. An
// unfinished last line is cut off with a warning. A *DamageError or a
// *MismatchError leaves the file as it is.
func Open(path string, m Manifest) (*Journal, *Index, error) {
	return open(path, m, func(f *os.File) file { return f })
}

// open lets a test put itself between a journal and its file.
func open(path string, m Manifest, wrap func(*os.File) file) (*Journal, *Index, error) {
	line, m, err := m.line()
	if err != nil {
		return nil, nil, fmt.Errorf("open journal %s: manifest of this run: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, nil, fmt.Errorf("open journal: %w", err)
	}
	j := &Journal{path: path, file: wrap(f)}
	if err := j.load(f, m, line); err != nil {
		return nil, nil, errors.Join(err, j.Close())
	}
	return j, j.index, nil
}

func (j *Journal) load(f *os.File, m Manifest, manifestLine []byte) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("open journal %s: want a regular file, found one with mode %s", j.path, info.Mode())
	}
	if err := lock(f); err != nil {
		return fmt.Errorf("lock journal %s: %w", j.path, err)
	}
	c, err := load(j.path, f)
	if err != nil {
		return err
	}
	scale := rating.Scale(m.Scale)
	j.parse = newParser(scale)
	if c.index == nil {
		j.index = newIndex(scale)
		return j.create(manifestLine)
	}
	if diffs := c.manifest.Differences(m); len(diffs) > 0 {
		return &MismatchError{j.path, diffs}
	}
	j.index, j.size = c.index, c.size
	if torn := c.index.Torn; torn > 0 {
		slog.Warn("the journal's last line is unfinished and is cut off", "path", j.path, "line", c.lines+1, "bytes", torn)
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("cut the unfinished last line of journal %s: %w", j.path, err)
		}
		if err := j.file.Sync(); err != nil {
			return fmt.Errorf("cut the unfinished last line of journal %s: %w", j.path, err)
		}
	}
	return nil
}

// create begins the file anew, with the manifest's line.
func (j *Journal) create(manifestLine []byte) error {
	if err := j.file.Truncate(0); err != nil {
		return fmt.Errorf("begin journal %s: %w", j.path, err)
	}
	if err := j.write(manifestLine); err != nil {
		return fmt.Errorf("begin journal %s: %w", j.path, err)
	}
	if err := syncDir(filepath.Dir(j.path)); err != nil {
		return fmt.Errorf("begin journal %s: its directory: %w", j.path, err)
	}
	return nil
}

// lock takes the file for this journal alone, or fails with ErrLocked.
func lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return ErrLocked
		default:
			return err
		}
	}
}

// syncDir makes a new file's name last. Some file systems cannot do so, and
// say EINVAL.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return errors.Join(err, dir.Close())
	}
	return dir.Close()
}

// Append writes entries and returns once they are on disk and in the Index.
//
// An entry that cannot stand in the journal fails the call before anything is
// written: one whose key is there already, that has a rating without the
// status record.OK or none with it, or whose rating is not on the manifest's
// scale. After a failed write nothing is tried again: every later call fails.
func (j *Journal) Append(entries []Entry) error {
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
		return fmt.Errorf("append to journal %s: %w; what was graded before is kept: remove the cause and run again to go on", j.path, err)
	}
	for line := range bytes.Lines(j.buf) {
		f, err := j.parse.parse(line[:len(line)-sealBytes-1])
		if err != nil {
			panic("journal: a line that could be read cannot be read again: " + err.Error())
		}
		j.index.add(f)
	}
	return nil
}

// encode puts the lines of entries into j.buf and reads each back.
func (j *Journal) encode(entries []Entry) error {
	j.buf = j.buf[:0]
	keys := make(map[record.Key]bool, len(entries))
	for _, e := range entries {
		start := len(j.buf)
		body, err := appendBody(j.buf, e)
		if err == nil {
			_, err = j.parse.parse(body[start:])
		}
		if err == nil && len(body)-start+sealBytes > maxLineBytes {
			err = errLongLine
		}
		if err == nil && (keys[e.Key] || j.index.Has(e.Key)) {
			err = errors.New("its key is in the journal already")
		}
		if err != nil {
			return fmt.Errorf("entry %s of record %d: %w", e.Key, e.Index, err)
		}
		keys[e.Key] = true
		j.buf = seal(body, start)
	}
	return nil
}

// write appends b to the file for good. If it cannot, it takes back what it
// wrote, so that whole lines are left; if it cannot do that either, the next
// Open will. After a failed fsync the lines stay: they are whole, and whether
// they are on disk nobody knows.
func (j *Journal) write(b []byte) error {
	n, err := j.file.WriteAt(b, j.size)
	if err == nil && n != len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		j.err = err
		return errors.Join(err, j.file.Truncate(j.size))
	}
	if err := j.file.Sync(); err != nil {
		j.err = err
		return err
	}
	j.size += int64(len(b))
	return nil
}

// Close unlocks and closes the file. Calling it again does nothing.
func (j *Journal) Close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	if j.err == nil {
		j.err = errClosed
	}
	if err != nil {
		return fmt.Errorf("close journal %s: %w", j.path, err)
	}
	return nil
}
