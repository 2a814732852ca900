// Package data opens files of records, whatever their format and however they
// are compressed, and compresses what is written.
package data

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"winnow/grader/record"
)

// Options says how files are read. The zero value detects everything.
type Options struct {
	Record       record.Options // of each record
	Format       Format         // empty: by content, then by extension
	MaxExpansion int            // the largest file's content, in sizes of the file; 0 is DefaultMaxExpansion
	Mixed        bool           // files may differ in format or columns; if they do, their Layout writes nothing
	Stdin        *os.File       // what the path "-" stands for, as made by Spool

	free int64 // bytes that may be unpacked in any case; 0 is freeBytes
}

// headBytes is how much of a file is looked at to tell its format.
const headBytes = 64 << 10

// Open returns the records of the files, one file after the other, as Expand
// lists them. The format of a file is Options.Format, or else told by its first
// bytes, or else by its extension; gzip and zstd are told by their first bytes.
// Records are numbered over all files; File and Line are those of each file.
//
// Each file is looked at before Open returns: one that is missing, whose format
// cannot be told, or, unless Options.Mixed is set, that differs in format or
// columns from the first one is an error.
func Open(paths []string, o Options) (record.Source, error) {
	paths, err := Expand(paths)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errors.New("opening records: no file is named")
	}
	first, err := open(paths[0], o)
	if err != nil || len(paths) == 1 {
		return first.orNil(), err
	}
	s := &files{paths: paths, options: o, file: first}
	for _, path := range paths[1:] {
		other, err := open(path, o)
		if err != nil {
			return nil, errors.Join(err, first.Close())
		}
		differ := difference(first, other)
		if err := other.Close(); err != nil {
			return nil, errors.Join(err, first.Close())
		}
		if differ != nil && s.mixed == nil {
			s.mixed = differ
		}
	}
	if s.mixed != nil && !o.Mixed {
		return nil, errors.Join(s.mixed, first.Close())
	}
	return s, nil
}

// Detect returns the format in which the file at path would be read.
func Detect(path string, o Options) (Format, error) {
	in, err := openInput(path, o)
	if err != nil {
		return "", err
	}
	return in.format, in.Close()
}

// file is the source of one file.
type file struct {
	record.Source
	in *input
}

// orNil keeps a missing file from becoming an interface that is not nil.
func (f *file) orNil() record.Source {
	if f == nil {
		return nil
	}
	return f
}

// Close implements record.Source.
func (f *file) Close() error { return errors.Join(f.Source.Close(), f.in.Close()) }

// columned is a source of a table, which can be written together with others of
// the same columns only.
type columned interface{ columns() string }

// difference says why records of two files cannot stand in one; nil if they can.
func difference(a, b *file) error {
	const advice = "one file cannot hold the records of both: filter them one by one, or convert them with --to"
	if a.in.format != b.in.format {
		return fmt.Errorf("%s is %s and %s is %s; %s", a.in.name, a.in.format, b.in.name, b.in.format, advice)
	}
	x, isTable := a.Source.(columned)
	y, both := b.Source.(columned)
	if isTable && both && x.columns() != y.columns() {
		return fmt.Errorf("%s has the columns %s, but %s has %s; %s", a.in.name, x.columns(), b.in.name, y.columns(), advice)
	}
	return nil
}

// open begins to read one file.
func open(path string, o Options) (*file, error) {
	in, err := openInput(path, o)
	if err != nil {
		return nil, err
	}
	src, err := in.source(o)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return &file{src, in}, nil
}

// input is one open file whose format is known.
type input struct {
	name    string      // for people
	at      io.ReaderAt // the same bytes, as a file has them
	size    int64       // how many
	format  Format
	packing packing
	lines   bool          // its extension alone says JSON Lines
	r       *bufio.Reader // what it holds, unpacked
	file    io.Closer     // nil if it is not the input's own
	unpack  *unpacker     // nil if it is not compressed
}

// Close may be called more than once.
func (in *input) Close() error {
	if in.unpack != nil {
		in.unpack.close()
		in.unpack = nil
	}
	if in.file == nil {
		return nil
	}
	f := in.file
	in.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("closing records: %w", err)
	}
	return nil
}

func openInput(path string, o Options) (*input, error) {
	if path == "-" {
		if o.Stdin == nil {
			return nil, errors.New("opening records: stdin is not at hand here, want a file")
		}
		info, err := o.Stdin.Stat()
		if err != nil {
			return nil, fmt.Errorf("opening records: %w", err)
		}
		in := &input{name: stdinName, at: o.Stdin, size: info.Size()}
		return in, in.begin(io.NewSectionReader(o.Stdin, 0, info.Size()), o)
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, fmt.Errorf("opening records: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("opening records: %s is a directory, want a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("opening records: %s is no regular file, and data is read more than once: pass it as stdin, with - as its name", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening records: %w", err)
	}
	in := &input{name: path, at: f, size: info.Size(), file: f}
	if err := in.begin(f, o); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return in, nil
}

// begin tells how r is packed and in which format it is.
func (in *input) begin(r io.Reader, o Options) error {
	in.r = bufio.NewReaderSize(r, headBytes)
	head, err := in.peek()
	if err != nil {
		return err
	}
	if in.packing = packingOf(head); in.packing != plain {
		in.unpack = newUnpacker(in.packing, in.r, o)
		in.r = bufio.NewReaderSize(in.unpack, headBytes)
		if head, err = in.peek(); err != nil {
			return err
		}
	}
	if in.format = o.Format; in.format == "" {
		in.format = byContent(head)
	}
	if in.format == "" {
		in.format = byName(in.name)
		in.lines = in.format == JSONL
	}
	switch {
	case in.format == "":
		return in.unknown(head)
	case in.format == Parquet && in.packing != plain:
		return &record.SourceError{Name: in.name, Msg: fmt.Sprintf("it holds a Parquet file inside %s; unpack it: Parquet is compressed in itself", in.packing)}
	}
	return nil
}

// peek returns the first bytes of what is to be read. If some of them can be had,
// the error that comes behind them is met by who reads on.
func (in *input) peek() ([]byte, error) {
	head, err := in.r.Peek(headBytes)
	if len(head) == 0 && err != nil && !errors.Is(err, io.EOF) {
		return nil, &record.SourceError{Name: in.name, Msg: "reading failed", Err: err}
	}
	return head, nil
}

// unknown says that the format cannot be told.
func (in *input) unknown(head []byte) error {
	if what := record.Foreign(head); what != "" {
		return &record.SourceError{Name: in.name, Msg: "the file is " + what}
	}
	if len(strings.Trim(string(head), bom+" \t\r\n")) == 0 {
		return &record.SourceError{Name: in.name, Msg: "the file is empty; want records as " + formatNames}
	}
	what := "it has no extension"
	if in.name == stdinName {
		what = "stdin has no extension"
	} else if _, ext, _ := SplitName(in.name); ext != "" {
		what = fmt.Sprintf("the extension %s says nothing", ext)
	}
	return &record.SourceError{Name: in.name, Msg: fmt.Sprintf("its format cannot be told: it does not begin like JSON or Parquet, and %s; name it with --format %s", what, formatNames)}
}

// source begins to read records.
func (in *input) source(o Options) (record.Source, error) {
	ro := o.Record
	switch in.format {
	case JSON, JSONL:
		switch {
		case in.lines, o.Format == JSONL:
			ro.Frame = record.LinesFrame
		case o.Format == JSON:
			ro.Frame = record.ArrayFrame
		}
		return record.NewReader(in.r, in.name, ro), nil
	case CSV:
		return newCSV(in.r, in.name, ',', ro)
	case TSV:
		return newCSV(in.r, in.name, '\t', ro)
	case Parquet:
		return openParquet(in.at, in.size, in.name, o)
	}
	return nil, fmt.Errorf("%s: records cannot be read as %s, want %s", in.name, in.format, formatNames)
}
