package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/sqlite"
)

func exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write ratings, with their records, as a table for DuckDB, pandas, SQL or a spreadsheet",
		ArgsUsage: "SCORES [DATA...]",
		Description: `Examples:
  winnow export scores.jsonl data.json -o ratings.parquet
  winnow export scores.jsonl --to csv -o - | head

With DATA there is a row for each record, or turn of a conversation, joined to its
rating by content; records that the scores file does not have are not_graded. Without
it there is a row for each entry of the scores file.

Columns: index, key, status, reason, rating, mode, off_scale, entropy, p_RATING for each
rating of the scale, tokens; of several criteria each has its own, with its name and _
before it, and rating is the least. Before tokens stand the signals of the scores file
(grade --signals), by their names, and calibrated (grade --calibration); hidden states
are left out. With DATA also file, line, turn, instruction, input, output.

What the ratings were made with goes into Parquet's metadata (keys that begin with
winnow.) or into the table manifest of the database; the ratings are in its table ratings.
In CSV a text that begins with = + - @, a tab or a carriage return gets a ' before it, so
that no spreadsheet takes it for a formula. Data files are never changed in that way.`,
		Flags: append(sourceFlags(),
			&cli.StringFlag{Name: "to", Usage: "format: `parquet|csv|sqlite` (default: by the extension of -o)"},
			&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "`FILE` of the table; - for stdout"},
			&cli.BoolFlag{Name: "json", Usage: "print a summary as one line of JSON"},
		),
		OnUsageError: onUsageError,
		Action:       export,
	}
}

// exportFormats are the extensions of each format, the format's own name first.
var exportFormats = [][]string{{"parquet"}, {"csv"}, {"sqlite", "sqlite3", "db"}}

// exportFormat is the format that is asked for, or that the file's name says.
func exportFormat(c *cli.Context) (string, error) {
	to, out := c.String("to"), c.String("output")
	if out == "" {
		return "", usagef("export needs a file to write: -o FILE")
	}
	given := to
	if to == "" {
		given = strings.ToLower(strings.TrimPrefix(filepath.Ext(out), "."))
	}
	for _, names := range exportFormats {
		if given == names[0] || to == "" && slices.Contains(names, given) {
			to = names[0]
			switch ext := filepath.Ext(out); {
			case to == "sqlite" && out == "-":
				return "", usagef("--to sqlite needs a file: a database cannot go to stdout")
			case to != "csv" && (ext == ".gz" || ext == ".zst"):
				return "", usagef("-o %s: no program reads a compressed %s file; leave out %s", out, to, ext)
			}
			return to, nil
		}
	}
	if to == "" {
		return "", usagef("-o %s does not say which format is meant: give --to parquet, csv or sqlite", out)
	}
	return "", usagef("--to %s: want parquet, csv or sqlite", to)
}

func export(c *cli.Context) (err error) {
	if c.NArg() == 0 {
		return usagef("export takes a scores file and perhaps data files, none given: winnow export --help")
	}
	format, err := exportFormat(c)
	if err != nil {
		return err
	}
	out := c.String("output")
	if out == "-" && c.Bool("json") {
		return usagef("-o - leaves no room on stdout for --json")
	}
	for _, path := range c.Args().Slice() {
		if sameFile(path, out) {
			return usagef("%s would be written while it is read: give another file with -o", out)
		}
	}
	o := grader.ExportOptions{Limit: c.Int("limit")}
	if paths := c.Args().Tail(); len(paths) > 0 {
		src, err := newSource(c, paths)
		if err != nil {
			return err
		}
		defer src.close()
		src.options.Mixed = true // nothing is written in their layout
		o.Open = src.open
	}
	manifest, index, err := journal.Read(c.Args().First())
	if err != nil {
		return err
	}
	file, err := createOutput(out, c.App.Writer)
	if err != nil {
		return err
	}
	defer file.discard()
	table, err := exportTable(format, file, manifest, grader.ExportColumns(manifest, o.Open != nil))
	if err != nil {
		return file.named(err)
	}
	sum, err := grader.Export(index, table, o)
	if err = errors.Join(err, table.Close()); err != nil {
		return err
	}
	if err := file.commit(); err != nil {
		return err
	}
	return printExport(c, sum, out)
}

// exportTable begins the table.
func exportTable(format string, file *output, m journal.Manifest, columns []data.Column) (data.Table, error) {
	pairs, err := grader.ManifestPairs(m)
	if err != nil {
		return nil, err
	}
	switch format {
	case "csv":
		return data.NewCSVTable(file, columns)
	case "sqlite":
		if file.temp == "" {
			return nil, errors.New("a database must be a regular file")
		}
		return sqlite.New(file.temp, "ratings", columns, pairs)
	}
	for i := range pairs {
		pairs[i][0] = "winnow." + pairs[i][0]
	}
	return data.NewParquetTable(file, columns, pairs)
}

func printExport(c *cli.Context, sum grader.ExportSummary, out string) error {
	if c.Bool("json") {
		return printJSON(c.App.Writer, struct {
			Kind string `json:"kind"`
			grader.ExportSummary
		}{"summary", sum})
	}
	say(c.App.ErrWriter, "%d rows, %d of them rated\n", sum.Rows, sum.Rated)
	if sum.Foreign > 0 {
		say(c.App.ErrWriter, "%d entries of the scores file belong to no record of the data\n", sum.Foreign)
	}
	if out != "-" {
		say(c.App.ErrWriter, "table: %s\n", out)
	}
	return nil
}
