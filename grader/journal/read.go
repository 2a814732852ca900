package journal

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"winnow/grader/rating"
)

// Read reads the journal at path without locking or changing it. A last line
// without its newline is left out: a run may be writing it.
func Read(path string) (Manifest, *Index, error) {
	f, err := os.Open(path)
	if err != nil {
		return Manifest{}, nil, fmt.Errorf("read journal: %w", err)
	}
	defer func() { _ = f.Close() }() // nothing was written
	c, err := load(path, f)
	if err != nil {
		return Manifest{}, nil, err
	}
	if c.index == nil {
		return Manifest{}, nil, &DamageError{path, 1, "the file holds no complete manifest, so it has no ratings"}
	}
	return c.manifest, c.index, nil
}

// contents is what a journal's file holds.
type contents struct {
	manifest Manifest
	index    *Index // nil if the file is empty or ends inside its manifest
	size     int64  // bytes of its whole lines
	lines    int
}

// load reads a journal from its beginning to its end.
func load(path string, r io.Reader) (contents, error) {
	var c contents
	var parse *parser
	lines := lineReader{r: bufio.NewReaderSize(r, 256<<10)}
	for {
		line, err := lines.next()
		damage := func(err error) (contents, error) {
			return contents{}, &DamageError{path, c.lines + 1, err.Error()}
		}
		switch {
		case err == io.EOF:
			switch {
			case c.index != nil:
				c.index.Torn = len(line)
			case !startsManifest(line):
				return damage(errors.New("this is no journal"))
			}
			return c, nil
		case err == errLongLine:
			return damage(err)
		case err != nil:
			return contents{}, fmt.Errorf("read journal %s: line %d: %w", path, c.lines+1, err)
		}
		if c.lines == 0 && !startsManifest(line) {
			return damage(errors.New("this is no journal: its first line is no manifest"))
		}
		size := int64(len(line)) + 1 // the newline
		body, err := unseal(line)
		if err != nil {
			return damage(err)
		}
		if c.index == nil {
			if c.manifest, err = parseManifest(body); err != nil {
				return damage(err)
			}
			scale := rating.Scale(c.manifest.Scale)
			c.index, parse = newIndex(scale), newParser(scale)
		} else {
			f, err := parse.parse(body)
			if err != nil {
				return damage(err)
			}
			if c.index.Has(f.key) {
				return damage(fmt.Errorf("the key %s stands in an earlier line too", f.key))
			}
			c.index.add(f)
		}
		c.size += size
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
