package main

import (
	"fmt"
	"io"

	"github.com/urfave/cli/v2"

	"winnow/grader/journal"
)

func journalCommand() *cli.Command {
	asJSON := &cli.BoolFlag{Name: "json", Usage: "print the report as lines of JSON"}
	return &cli.Command{
		Name:  "journal",
		Usage: "check or repair a scores file",
		Action: func(c *cli.Context) error {
			return usagef("journal needs a subcommand: winnow journal verify SCORES, or winnow journal repair SCORES")
		},
		Subcommands: []*cli.Command{{
			Name:      "verify",
			Usage:     "check every line of a scores file",
			ArgsUsage: "SCORES",
			Description: `Example:
  winnow journal verify scores.jsonl

Nothing is changed. The exit code is 5 if a line is damaged. An unfinished last
line is no damage: grading cuts it off and grades its record again.`,
			Flags:        []cli.Flag{asJSON},
			OnUsageError: onUsageError,
			Action:       verifyJournal,
		}, {
			Name:      "repair",
			Usage:     "move damaged lines of a scores file aside",
			ArgsUsage: "SCORES",
			Description: `Examples:
  winnow journal repair scores.jsonl
  winnow journal repair scores.jsonl --manifest-from other-shard.jsonl

Damaged lines are added to SCORES.damaged, as JSON lines with number, offset,
reason and text. The sound ones take the file's place, unchanged; grading again
adds what is missing. Line ends that something made CR LF are undone.

If the first line, the manifest, is damaged, nobody knows who rated, and nothing
is done. --manifest-from gives the file the manifest of another one that the same
model rated with the same rubric and settings. That they are the same is your
word; entries that do not fit its scale and criteria are moved aside.`,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "output", Aliases: []string{"o"}, Usage: "new `FILE` for the sound lines, with FILE.damaged for the others; SCORES stays as it is"},
				&cli.StringFlag{Name: "manifest-from", Usage: "scores `FILE` of the same judge, for a file whose own manifest is damaged"},
				asJSON,
			},
			OnUsageError: onUsageError,
			Action:       repairJournal,
		}},
	}
}

// oneScoresFile returns the argument of a command that takes one.
func oneScoresFile(c *cli.Context) (string, error) {
	if c.NArg() != 1 {
		return "", usagef("journal %s takes one scores file, %d given", c.Command.Name, c.NArg())
	}
	return c.Args().First(), nil
}

func verifyJournal(c *cli.Context) error {
	path, err := oneScoresFile(c)
	if err != nil {
		return err
	}
	t := newCheckupTalk(c, path)
	sum, err := journal.Verify(path, t.tell)
	if err != nil {
		return err
	}
	if err := t.finish(sum); err != nil {
		return err
	}
	if !sum.OK() {
		return &journal.DamageError{Path: path, Line: t.first, Msg: fmt.Sprintf("%d of %d lines are damaged", sum.Damaged+sum.Mended, sum.Lines)}
	}
	return nil
}

func repairJournal(c *cli.Context) error {
	path, err := oneScoresFile(c)
	if err != nil {
		return err
	}
	out := c.String("output")
	if out != "" && sameFile(path, out) {
		return usagef("SCORES and -o are the same file, %s: without -o it is repaired in its place", path)
	}
	t := newCheckupTalk(c, path)
	sum, err := journal.Repair(path, journal.RepairOptions{Out: out, ManifestFrom: c.String("manifest-from"), Tell: t.tell})
	if err != nil {
		return err
	}
	return t.finish(sum)
}

// checkupTalk prints what is found in a journal.
type checkupTalk struct {
	w      io.Writer
	path   string
	asJSON bool
	first  int // damaged line; 0 if there is none
	told   int
	err    error
}

func newCheckupTalk(c *cli.Context, path string) *checkupTalk {
	return &checkupTalk{w: c.App.Writer, path: path, asJSON: c.Bool("json")}
}

// mostTold bounds the damaged lines that are listed for people.
const mostTold = 20

// tell prints a damaged line.
func (t *checkupTalk) tell(line int, reason string) {
	if t.first == 0 {
		t.first = line
	}
	t.told++
	if t.err != nil {
		return
	}
	switch {
	case t.asJSON:
		t.err = printJSON(t.w, struct {
			Kind   string `json:"kind"`
			File   string `json:"file"`
			Line   int    `json:"line"`
			Reason string `json:"reason"`
		}{"damaged", t.path, line, reason})
	case t.told <= mostTold:
		_, t.err = fmt.Fprintf(t.w, "%s:%d: %s\n", t.path, line, reason)
	}
}

// finish prints the counts.
func (t *checkupTalk) finish(sum journal.Checkup) error {
	if t.err != nil {
		return t.err
	}
	if t.asJSON {
		return printJSON(t.w, struct {
			Kind     string `json:"kind"`
			File     string `json:"file"`
			Lines    int    `json:"lines"`
			Kept     int    `json:"kept"`
			Damaged  int    `json:"damaged"`
			LineEnds int    `json:"line_ends"`
			Torn     int    `json:"torn_bytes"`
			Supplied bool   `json:"manifest_supplied"`
			Written  string `json:"written,omitempty"`
			Moved    string `json:"moved_to,omitempty"`
		}{"summary", t.path, sum.Lines, sum.Sound, sum.Damaged, sum.Mended, sum.Torn, sum.Supplied, sum.Written, sum.Moved})
	}
	if more := t.told - mostTold; more > 0 {
		if _, err := fmt.Fprintf(t.w, "… and %d lines more\n", more); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(t.w, "%s: %d lines, %d sound entries, %d damaged lines%s\n", t.path, sum.Lines, sum.Sound, sum.Damaged, remarks(sum))
	return err
}

// remarks says what else there is to say.
func remarks(sum journal.Checkup) (text string) {
	if sum.Mended > 0 {
		text += fmt.Sprintf(", %d with a carriage return at the end", sum.Mended)
	}
	if sum.Torn > 0 {
		text += fmt.Sprintf(", %d bytes of an unfinished last line", sum.Torn)
	}
	if sum.Supplied {
		text += ", the manifest of another file"
	}
	switch {
	case sum.OK():
		text += ": nothing to repair"
	case sum.Written != "":
		text += ": what is sound is in " + sum.Written
		if sum.Moved != "" {
			text += ", the rest in " + sum.Moved
		}
	}
	return text
}
