package data

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"winnow/grader/record"
)

// files is the source of several files, of which one is open at a time.
type files struct {
	paths   []string
	options Options
	at      int   // of the file that is open
	file    *file // the one that is open
	before  int   // records of the files before it
	read    int   // records read of it
	layout  record.Layout
	mixed   error // why their records cannot stand in one file
	err     error // of the last Next; sticky
}

// Next implements record.Source.
func (s *files) Next() (*record.Record, error) {
	for s.err == nil {
		rec, err := s.file.Next()
		if err == nil {
			s.read = rec.Index + 1
			rec.Index += s.before
			return rec, nil
		}
		s.err = err
		if errors.Is(err, io.EOF) {
			s.err = s.advance()
		}
	}
	return nil, s.err
}

// advance goes to the next file. Behind the last one it returns io.EOF.
func (s *files) advance() error {
	if s.at == 0 {
		s.layout = s.file.Layout()
	}
	s.before, s.read = s.before+s.read, 0
	if s.at++; s.at == len(s.paths) {
		return io.EOF
	}
	err := s.file.Close()
	if err == nil {
		var next *file
		if next, err = open(s.paths[s.at], s.options); err == nil {
			s.file = next
			return nil
		}
	}
	if errors.As(err, new(*record.SourceError)) {
		return err
	}
	return &record.SourceError{Name: s.paths[s.at], Msg: "opening failed", Err: err}
}

// Layout implements record.Source: it is that of the first file.
func (s *files) Layout() record.Layout {
	switch {
	case s.mixed != nil:
		return noLayout{s.mixed}
	case s.at == 0:
		return s.file.Layout()
	}
	return s.layout
}

// Close implements record.Source.
func (s *files) Close() error { return s.file.Close() }

// noLayout writes nothing, for a reason.
type noLayout struct{ why error }

// NewWriter implements record.Layout.
func (l noLayout) NewWriter(io.Writer, bool) (record.Writer, error) { return nil, l.why }

// Expand replaces patterns among the paths by the files that they match, in the
// order of their names. A path is a pattern if it has one of *?[ and there is no
// such file; see [path/filepath.Match]. It is an error if a pattern matches
// nothing, and if a file is named twice, by whatever way. Whether other files are
// there is not checked.
func Expand(paths []string) ([]string, error) {
	var out []string
	seen := map[string]string{}
	for _, path := range paths {
		found, err := match(path)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			place := Resolve(f)
			if other, twice := seen[place]; twice {
				return nil, fmt.Errorf("%s and %s are the same file: its records would be read twice; name it once", other, f)
			}
			seen[place] = f
			out = append(out, f)
		}
	}
	return out, nil
}

func match(path string) ([]string, error) {
	if !strings.ContainsAny(path, "*?[") {
		return []string{path}, nil
	}
	if _, err := os.Lstat(path); err == nil {
		return []string{path}, nil
	}
	found, err := filepath.Glob(path)
	if err != nil {
		return nil, fmt.Errorf("pattern %s: %w", path, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("pattern %s: no file matches it", path)
	}
	slices.Sort(found)
	return found, nil
}

// Resolve returns the one path of a file that has several: absolute, and without
// links as far as the file is there. Stdin, "-", stays what it is.
func Resolve(path string) string {
	if path == "-" {
		return path
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		return target
	}
	// A file that is yet to be written, perhaps in a folder that is linked.
	if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(dir, filepath.Base(path))
	}
	return path
}
