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
	c, err := load(path, f, x)
	if err != nil {
		return Manifest{}, nil, err
	}
	if c.lines == 0 {
		return Manifest{}, nil, &DamageError{path, 1, "the file holds no complete manifest, so it has no ratings"}
	}
	x.Torn = c.torn
	return c.manifest, x, nil
}

// contents is what a journal's file holds beside its entries.
type contents struct {
	manifest Manifest
	lines    int   // whole ones; 0 if the file is empty or ends inside its manifest
	size     int64 // bytes of its whole lines
	torn     int   // bytes of an unfinished last line
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

// load reads a journal from its beginning to its end.
func load(path string, r io.Reader, into sink) (contents, error) {
	var c contents
	var parse *parser
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10)}
	for {
		line, err := lines.next()
		damage := func(err error) (contents, error) {
			var version *VersionError
			if errors.As(err, &version) {
				version.Path = path
				return contents{}, version
			}
			return contents{}, &DamageError{path, c.lines + 1, err.Error()}
		}
		switch {
		case err == io.EOF:
			if c.lines == 0 && !startsManifest(line) {
				return damage(errors.New("this is no journal"))
			}
			c.torn = len(line)
			return c, nil
		case err == errLongLine:
			return damage(err)
		case err != nil:
			return contents{}, fmt.Errorf("read journal %s: line %d: %w", path, c.lines+1, err)
		}
		if c.lines == 0 && !startsManifest(line) {
			return damage(errors.New("this is no journal: its first line is no manifest"))
		}
		body, err := unseal(line)
		if err != nil {
			return damage(err)
		}
		if c.lines == 0 {
			if c.manifest, err = parseManifest(body); err != nil {
				return damage(err)
			}
			parse = newParser(c.manifest)
			into.begin(c.manifest)
		} else {
			f, err := parse.parse(body)
			if err == nil {
				err = into.add(f)
			}
			if err != nil {
				return damage(err)
			}
		}
		c.size += int64(len(line)) + 1 // the newline
		c.lines++
	}
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
	if err != nil {
		return Manifest{}, &DamageError{path, 1, "the file holds no complete manifest"}
	}
	body, err := unseal(line)
	if err != nil {
		return Manifest{}, &DamageError{path, 1, err.Error()}
	}
	m, err := parseManifest(body)
	if err != nil {
		return Manifest{}, &DamageError{path, 1, err.Error()}
	}
	return m, nil
}
