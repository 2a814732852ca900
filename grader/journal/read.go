package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"winnow/grader/record"
)

// Read reads the journal at path without locking or changing it. A last line
// without its newline is left out: a run may be writing it.
func Read(path string) (Manifest, *Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	x := new(Index)
	c, err := loadWhole(path, f, x)
	if err != nil {
		return Manifest{}, nil, err
	}
	x.Torn = c.torn
	return c.manifest, x, nil
}

// contents is what a journal's file holds beside its entries.
type contents struct {
	manifest     Manifest
	manifestLine []byte // without its newline
	lines        int    // whole ones; 0 if the file is empty or ends inside its manifest
	size         int64  // bytes of its whole lines
	torn         int    // bytes of an unfinished last line
}

// sink takes the entries of a journal in the order of their lines. What add
// returns is what makes the line no part of this journal.
type sink interface {
	begin(m Manifest)
	add(f flat) error
}

func errTwice(key record.Key) error {
	return fmt.Errorf("the key %s stands in an earlier line too", key)
}

var (
	errNoJournal  = errors.New("this is no journal: its first line is no manifest")
	errNoManifest = errors.New("the file holds no complete manifest, so it has no ratings")
	errJoined     = errors.New("this is the first line of another journal: winnow merge puts several together")
)

// loadWhole is load for a file that a run has begun.
func loadWhole(path string, r io.Reader, into sink) (contents, error) {
	c, err := load(path, r, into)
	if err == nil && c.lines == 0 {
		err = lineError(path, 1, errNoManifest)
	}
	return c, err
}

// load reads a journal from its beginning to its end.
func load(path string, r io.Reader, into sink) (contents, error) {
	var c contents
	var parse *parser
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	for {
		line, err := lines.next()
		switch {
		case err == io.EOF:
			if c.lines == 0 && !startsManifest(bytes.TrimRight(line, "\x00")) {
				return contents{}, lineError(path, 1, errNoJournal)
			}
			c.torn = len(line)
			return c, nil
		case err == errLongLine:
			return contents{}, lineError(path, c.lines+1, err)
		case err != nil:
			return contents{}, readError(path, c.lines+1, err)
		}
		if c.lines == 0 {
			if c.manifest, err = manifestOfLine(line); err == nil {
				c.manifestLine = bytes.Clone(line)
				parse = newParser(c.manifest)
				into.begin(c.manifest)
			}
		} else {
			err = take(line, parse, into, c.lines+1, c.size)
		}
		if err != nil {
			return contents{}, lineError(path, c.lines+1, err)
		}
		c.size += int64(len(line)) + 1 // the newline
		c.lines++
	}
}

func readError(path string, line int, err error) error {
	return fmt.Errorf("read journal %s: line %d: %w; %s", path, line, err, remedy(err))
}

// manifestOfLine reads a journal's first line.
func manifestOfLine(line []byte) (Manifest, error) {
	if !startsManifest(line) {
		return Manifest{}, errNoJournal
	}
	body, err := unseal(line)
	if err != nil {
		return Manifest{}, err
	}
	return parseManifest(body)
}

// take hands the entry of a line, which stands in its file at an offset, to a
// sink.
func take(line []byte, parse *parser, into sink, number int, at int64) error {
	body, err := unseal(line)
	if err != nil {
		return err
	}
	f, err := parse.parse(body)
	if err != nil {
		if bytes.HasPrefix(body, []byte(manifestStart)) {
			return errJoined
		}
		return err
	}
	f.line, f.at, f.bytes = int32(number), at, int32(len(line))
	return into.add(f)
}

// startsManifest says whether line may be what is left of a manifest that was
// being written. Nothing else may be overwritten: it is someone's file.
func startsManifest(line []byte) bool {
	n := min(len(line), len(manifestStart))
	return string(line[:n]) == manifestStart[:n]
}

// lineReader reads lines of up to maxLineBytes.
type lineReader struct {
	r    *bufio.Reader
	long []byte
}

// next returns the next line without its newline; with io.EOF, what stands
// after the last newline. It is valid until the next call.
func (l *lineReader) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	if err == bufio.ErrBufferFull {
		l.long = append(l.long[:0], line...)
		for err == bufio.ErrBufferFull {
			if len(l.long) > maxLineBytes {
				return nil, errLongLine
			}
			line, err = l.r.ReadSlice('\n')
			l.long = append(l.long, line...)
		}
		line = l.long
	}
	if err != nil {
		return line, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}

// ReadManifest reads the first line of the journal at path and nothing else.
func ReadManifest(path string) (Manifest, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	lines := lineReader{r: bufio.NewReader(f)}
	line, err := lines.next()
	switch {
	case err == io.EOF:
		return Manifest{}, lineError(path, 1, errNoManifest)
	case err == errLongLine:
		return Manifest{}, lineError(path, 1, err)
	case err != nil:
		return Manifest{}, readError(path, 1, err)
	}
	m, err := manifestOfLine(line)
	if err != nil {
		return Manifest{}, lineError(path, 1, err)
	}
	return m, nil
}
