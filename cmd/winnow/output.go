package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"winnow/grader/data"
)

// output is a result file that is there whole or not at all: it is written
// beside its place and moved there by commit. What is no regular file, such as
// stdout or a device, is written directly. A file whose name ends with .gz or
// .zst is compressed.
type output struct {
	w    io.Writer
	end  io.Closer // writes the end of compressed data; nil for stdout
	file *os.File
	path string // where the file belongs
	temp string // where it is written; empty if directly
}

func createOutput(path string, stdout io.Writer) (*output, error) {
	if path == "-" {
		return &output{w: stdout}, nil
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return nil, fmt.Errorf("write %s: it is a folder, want a file", path)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nil, err
		}
		return newOutput(f, path, "")
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	if err := f.Chmod(0o644); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return newOutput(f, path, f.Name())
}

func newOutput(f *os.File, path, temp string) (*output, error) {
	o := &output{file: f, path: path, temp: temp}
	w, err := data.Compress(f, path)
	if err != nil {
		o.discard()
		return nil, err
	}
	o.w, o.end = w, w
	return o, nil
}

// Write implements io.Writer.
func (o *output) Write(b []byte) (int, error) {
	n, err := o.w.Write(b)
	return n, o.named(err)
}

// named says which file an error is about: where it belongs, not where it is
// being written.
func (o *output) named(err error) error {
	if err == nil || o.path == "" {
		return err
	}
	var in *fs.PathError
	if errors.As(err, &in) {
		err = in.Err
	}
	return fmt.Errorf("write %s: %w", o.path, err)
}

// commit puts the file in its place, for good.
func (o *output) commit() error {
	if o.file == nil {
		return nil
	}
	err := o.end.Close()
	if err == nil && o.temp != "" {
		err = o.file.Sync()
	}
	if err = errors.Join(err, o.file.Close()); err == nil && o.temp != "" {
		err = os.Rename(o.temp, o.path)
	}
	if err != nil {
		return o.named(err)
	}
	o.file, o.temp = nil, ""
	return nil
}

// discard removes a file that was not committed.
func (o *output) discard() {
	if o.file == nil {
		return
	}
	_ = o.file.Close() // the file is going away
	if o.temp != "" {
		_ = os.Remove(o.temp)
	}
	o.file = nil
}

// printJSON writes v as one line.
func printJSON(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }
