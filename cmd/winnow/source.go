package main

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/record"
)

// dataHelp is what help says of data.
const dataHelp = `DATA is JSON, JSON Lines, CSV, TSV or Parquet; all but Parquet may be compressed with
gzip or zstd; - is stdin. Several files, and patterns such as 'part-*.csv', are read as one.`

// dataFlags say how data files are read.
func dataFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "format", DefaultText: "told by content, then by extension", Usage: "`FORMAT` of the data: json, jsonl, csv, tsv or parquet"},
		&cli.StringFlag{Name: "map", Usage: "`NAMES` of the keys or columns that hold a record's texts, such as instruction=prompt,output=completion, or messages=KEY for the list of a conversation"},
		&cli.IntFlag{Name: "max-record-bytes", Value: record.DefaultMaxBytes, Usage: "refuse files with a record of more than `N` bytes"},
		&cli.IntFlag{Name: "max-expansion", Value: data.DefaultMaxExpansion, Usage: "stop when a compressed file has given more than 1 GiB and `N` times its size"},
	}
}

func sourceFlags() []cli.Flag {
	return append(dataFlags(),
		&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "only the first `N` records"},
	)
}

// rejectFlags say what becomes of records that cannot be read.
func rejectFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "rejects", Usage: "`FILE` that lists, as JSON lines, the records that cannot be rated because of their own bytes, with place, reason and bytes; - for stdout"},
		&cli.BoolFlag{Name: "strict", Usage: "stop at the first such record"},
	}
}

// source is the data of a command line: a file or several that are read as one.
type source struct {
	paths   []string // at least one
	options data.Options
	limit   int
	shard   grader.Shard // of which alone records are read
	rejects string
	strict  bool
	stdout  io.Writer // for rejects
}

// sourceOf returns the source that the command's arguments name. It must be
// closed.
func sourceOf(c *cli.Context) (source, error) {
	if c.NArg() == 0 {
		return source{}, usagef("%s takes a data file or several, none given: winnow %s --help", c.Command.Name, c.Command.Name)
	}
	return newSource(c, c.Args().Slice())
}

func newSource(c *cli.Context, args []string) (s source, err error) {
	s = source{limit: c.Int("limit"), rejects: c.String("rejects"), strict: c.Bool("strict"), stdout: c.App.Writer}
	if s.limit < 0 || c.Int("max-record-bytes") < 1 || c.Int("max-expansion") < 1 {
		return s, usagef("--limit must be 0 or more, --max-record-bytes and --max-expansion 1 or more")
	}
	s.options = data.Options{Record: record.Options{MaxBytes: c.Int("max-record-bytes")}, MaxExpansion: c.Int("max-expansion")}
	if s.options.Record.Fields, err = record.ParseFields(c.String("map")); err != nil {
		return s, usageError{err}
	}
	if s.options.Format, err = data.ParseFormat(c.String("format")); err != nil {
		return s, usageError{err}
	}
	if s.paths, err = data.Expand(args); err != nil {
		return s, usageError{err}
	}
	if slices.Contains(s.paths, "-") {
		s.options.Stdin, err = data.Spool(c.Context, c.App.Reader)
	}
	return s, err
}

// close frees what stands for stdin.
func (s source) close() {
	if s.options.Stdin != nil {
		_ = s.options.Stdin.Close() // it has been read, and is gone
	}
}

func (s source) open() (record.Source, error) {
	r, err := data.Open(s.paths, s.options)
	if err != nil {
		return nil, err
	}
	return s.shard.Source(r, s.limit), nil
}

// scan goes through the data once, so that damage shows before a model is loaded.
// It writes the list of rejects.
func (s source) scan() (sum record.Summary, err error) {
	r, err := s.open()
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	rejects := &output{w: io.Discard}
	if s.rejects != "" {
		if rejects, err = createOutput(s.rejects, s.stdout); err != nil {
			return sum, err
		}
	}
	defer rejects.discard()
	if sum, err = record.Scan(data.Checked(r, rejects, s.strict), s.limit); err != nil {
		return sum, err
	}
	if err := rejects.commit(); err != nil {
		return sum, err
	}
	if f := sum.FirstFault; f != nil {
		slog.Warn("some records cannot be read; the others are graded", "records", sum.Faulty,
			"first", f.Where(), "status", f.Fault.Status, "reason", f.Fault.Reason)
	}
	return sum, nil
}

// stem is the name, without folder and extension, of the first file: what files
// that belong to the data are named after.
func (s source) stem() string {
	if s.paths[0] == "-" {
		return "stdin"
	}
	stem, _, _ := data.SplitName(s.paths[0])
	return stem
}

// ext is the first file's extension, with that of its compression. Without one it
// is that of the format.
func (s source) ext() string {
	_, ext, packed := data.SplitName(s.paths[0])
	if ext == "" {
		format, err := data.Detect(s.paths[0], s.options)
		if err != nil {
			format = data.JSON // whatever is wrong with it, reading it says so
		}
		ext = "." + string(format)
	}
	return ext + packed
}

// place is a file of the command line with what names it there.
type place struct{ flag, path string }

// places returns where the source is read from.
func (s source) places() (list []place) {
	for _, path := range s.paths {
		list = append(list, place{"DATA", path})
	}
	return list
}

// checkPlaces refuses to write what is read, and one file twice. Stdin, stdout and
// devices may be named more than once.
func checkPlaces(list []place) error {
	seen := map[string]string{}
	for _, p := range list {
		if p.path == "" || p.path == "-" || strings.HasPrefix(filepath.Clean(p.path), "/dev/") {
			continue
		}
		at := data.Resolve(p.path)
		if other, ok := seen[at]; ok {
			return usagef("%s and %s are the same file, %s", other, p.flag, p.path)
		}
		seen[at] = p.flag
	}
	return nil
}

// checkScores refuses the name of a compressed file: a scores file is appended to.
func checkScores(flag, path string) error {
	if _, _, packed := data.SplitName(path); packed != "" {
		return usagef("%s %s: a scores file is appended to and cannot be compressed; leave out %s", flag, path, packed)
	}
	return nil
}
