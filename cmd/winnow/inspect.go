package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader"
	"winnow/grader/engine"
	"winnow/grader/journal"
	"winnow/grader/prompt"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func inspectCommand() *cli.Command {
	return &cli.Command{
		Name:      "inspect",
		Usage:     "show one record's exact prompt, its tokens and its rating",
		ArgsUsage: "DATA...",
		Description: `Examples:
  winnow inspect data.json --index 17 -m model.gguf
  winnow inspect data.json --index 17 -m model.gguf --signals all

In the prompt, text of the record stands between ‹ and ›, everything else is the
rubric's and the chat template's. Of a conversation one turn is shown.`,
		Flags: append(append(engineFlags(), dataFlags()...),
			&cli.IntFlag{Name: "index", Aliases: []string{"i"}, Usage: "which record, from `0`"},
			&cli.IntFlag{Name: "turn", DefaultText: "the last", Usage: "which of the assistant's turns, if the record is a conversation, from `1`"},
			&cli.BoolFlag{Name: "json", Usage: "print one JSON object"},
		),
		OnUsageError: onUsageError,
		Action:       inspect,
	}
}

// inspection is what is shown of one record.
type inspection struct {
	Index    int              `json:"index"`
	Line     int              `json:"line"`
	File     string           `json:"file,omitempty"`  // if there are several
	Turn     int              `json:"turn,omitempty"`  // of a conversation, from 1
	Turns    int              `json:"turns,omitempty"` // that it has; of 1 neither is told
	Key      record.Key       `json:"key"`
	Status   record.Status    `json:"status"`
	Reason   string           `json:"reason,omitempty"`
	Template string           `json:"template"`
	Shared   int              `json:"shared_tokens"`
	Total    int              `json:"tokens"` // those of the scale's trie included
	Cut      int              `json:"truncated"`
	Prompt   []inspectedToken `json:"prompt"`
	Rating   *inspectedRating `json:"rating,omitempty"`

	// Where there are several criteria, instead of Rating.
	Ratings []inspectedRating `json:"ratings,omitempty"`

	Signals json.RawMessage  `json:"signals,omitempty"` // those that were asked for, as in a scores file
	Hidden  *inspectedHidden `json:"hidden,omitempty"`

	names   []string
	signals []float64
}

// inspectedHidden is a record's hidden state.
type inspectedHidden struct {
	Layer  int       `json:"layer"` // from 0, as in a scores file
	Values []float32 `json:"values"`
}

type inspectedToken struct {
	ID    int32  `json:"id"`
	Text  string `json:"text"`
	Field string `json:"field,omitempty"`
}

// inspectedRating is what one criterion gives the record.
type inspectedRating struct {
	Criterion string          `json:"criterion,omitempty"` // if there are several
	Value     float64         `json:"rating"`
	Mode      string          `json:"mode"`
	Probs     json.RawMessage `json:"probs"`
	OffScale  float64         `json:"off_scale"`
	Entropy   float64         `json:"entropy"`

	bars []bar
}

// bar is one rating string with its probability.
type bar struct {
	rating string
	p      float64
}

func newInspectedRating(criterion string, s journal.Scale, r rating.Rating) inspectedRating {
	x := inspectedRating{criterion, r.Value, r.Mode, journal.AppendObject(nil, s.Strings, r.Probs), r.OffScale, r.Entropy, nil}
	for i, p := range r.Probs {
		x.bars = append(x.bars, bar{s.Strings[i], p})
	}
	return x
}

func inspect(c *cli.Context) (err error) {
	src, err := sourceOf(c)
	if err != nil {
		return err
	}
	defer src.close()
	src.options.Mixed = true // nothing is written in their layout
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	turns, err := recordAt(src, c.Int("index"))
	if err != nil {
		return err
	}
	rec := turns[len(turns)-1]
	if c.IsSet("turn") {
		n := c.Int("turn")
		if n < 1 || n > len(turns) {
			return usagef("--turn %d: record %d has %d turns, want one from 1 to %[3]d", n, rec.Index, len(turns))
		}
		rec = turns[n-1]
	}
	e, err := openEngine(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	x := &inspection{Index: rec.Index, Line: rec.Line, Key: rec.Key, Status: record.OK, Template: e.Note(), Shared: e.PrefixTokens()}
	if len(src.paths) > 1 {
		x.File = rec.File
	}
	if len(turns) > 1 {
		x.Turn, x.Turns = rec.Turn+1, rec.Turns
	}
	err = x.fill(c, e, rec)
	var fault *record.Fault
	if errors.As(err, &fault) {
		x.Status, x.Reason, err = fault.Status, fault.Reason, nil
	}
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return printJSON(c.App.Writer, x)
	}
	return x.writeText(c.App.Writer, rec.File)
}

// recordAt reads the record with the given index, all its turns if it is a
// conversation.
func recordAt(src source, index int) (turns []*record.Record, err error) {
	if index < 0 {
		return nil, usagef("--index %d: want 0 or more", index)
	}
	r, err := src.open()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for n := 0; ; {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil, usagef("--index %d: %s has %d records, the last one is %d", index, strings.Join(src.paths, ", "), n, n-1)
		}
		if err != nil {
			return nil, err
		}
		if n == index {
			turns = append(turns, rec)
		}
		if rec.Last() {
			if n == index {
				return turns, nil
			}
			n++
		}
	}
}

// fill encodes and rates the record. A fault of the record is returned as such.
func (x *inspection) fill(c *cli.Context, e *engine.Engine, rec *record.Record) error {
	if rec.Fault != nil {
		return rec.Fault
	}
	var p grader.Prompt
	if err := e.Encode(rec, &p); err != nil {
		return err
	}
	x.Total, x.Cut = p.Total, p.Cut
	tokens, err := e.Trace(rec, 0)
	if err != nil {
		return err
	}
	for _, t := range tokens {
		field := ""
		if t.Field != prompt.None {
			field = t.Field.String()
		}
		x.Prompt = append(x.Prompt, inspectedToken{t.ID, t.Text, field})
	}
	out := make([]grader.Outcome, 1)
	if _, err := e.Rate(c.Context, []*grader.Prompt{&p}, out); err != nil {
		return err
	}
	if out[0].Fault != nil {
		return out[0].Fault
	}
	m := e.Manifest()
	x.rate(m, out[0].Ratings)
	x.measure(m, &out[0])
	return nil
}

// measure shows the signals.
func (x *inspection) measure(m journal.Manifest, out *grader.Outcome) {
	if len(m.Signals) > 0 {
		x.names, x.signals = m.Signals, out.Signals
		x.Signals = journal.AppendObject(nil, m.Signals, out.Signals)
	}
	if m.Hidden != nil {
		x.Hidden = &inspectedHidden{m.Hidden.Layer, out.Hidden}
	}
}

// rate shows one rating for each of the manifest's rubrics.
func (x *inspection) rate(m journal.Manifest, ratings []rating.Rating) {
	if len(ratings) == 1 {
		r := newInspectedRating("", m.Scale, ratings[0])
		x.Rating = &r
		return
	}
	for i, name := range m.Criteria() {
		x.Ratings = append(x.Ratings, newInspectedRating(name, m.Scale, ratings[i]))
	}
}

func (x *inspection) writeText(w io.Writer, path string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "record %d, %s:%d, ", x.Index, path, x.Line)
	if x.Turns > 0 {
		fmt.Fprintf(&b, "turn %d of %d, ", x.Turn, x.Turns)
	}
	fmt.Fprintf(&b, "key %s\n", x.Key)
	if x.Status != record.OK {
		fmt.Fprintf(&b, "no rating: %s: %s\n", x.Status, x.Reason)
	}
	if len(x.Prompt) > 0 {
		fmt.Fprintf(&b, "%d tokens, %d of them shared by all records; chat template: %s\n", x.Total, x.Shared, x.Template)
		if x.Cut > 0 {
			fmt.Fprintf(&b, "%d tokens of the response are left out\n", x.Cut)
		}
		b.WriteString("\nPROMPT\n")
		x.writePrompt(&b)
		b.WriteString("\nTOKENS\n")
		for _, t := range x.Prompt {
			fmt.Fprintf(&b, "%d%q ", t.ID, t.Text)
		}
		b.WriteByte('\n')
	}
	if x.Rating != nil {
		x.Rating.writeText(&b, "RATING")
	}
	for i := range x.Ratings {
		x.Ratings[i].writeText(&b, "RATING by "+x.Ratings[i].Criterion+":")
	}
	x.writeSignals(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

func (x *inspection) writeSignals(b *strings.Builder) {
	if len(x.names) > 0 {
		b.WriteString("\nSIGNALS\n")
		for i, name := range x.names {
			value := "undefined"
			if s := x.signals[i]; !math.IsNaN(s) {
				value = fmt.Sprintf("%.6g", s)
			}
			fmt.Fprintf(b, "%-18s  %s\n", name, value)
		}
	}
	if h := x.Hidden; h != nil {
		fmt.Fprintf(b, "\nHIDDEN STATE of layer %d: %d numbers; --json shows them\n", h.Layer+1, len(h.Values))
	}
}

func (r *inspectedRating) writeText(b *strings.Builder, heading string) {
	fmt.Fprintf(b, "\n%s %.4f  mode %s  entropy %.3f nats  off-scale %.4f\n", heading, r.Value, r.Mode, r.Entropy, r.OffScale)
	top := 0.0
	for _, x := range r.bars {
		top = max(top, x.p)
	}
	for _, x := range r.bars {
		fmt.Fprintf(b, "%6s  %.5f  %s\n", x.rating, x.p, grader.Bar(x.p/top, 48))
	}
}

// writePrompt writes the prompt as text, the record's own between ‹ and ›. The
// bytes of a character may be spread over tokens, so fields are joined first.
func (x *inspection) writePrompt(b *strings.Builder) {
	for i := 0; i < len(x.Prompt); {
		field := x.Prompt[i].Field
		var text strings.Builder
		for ; i < len(x.Prompt) && x.Prompt[i].Field == field; i++ {
			text.WriteString(x.Prompt[i].Text)
		}
		if field != "" {
			b.WriteString("‹")
		}
		for _, r := range text.String() {
			if r == '\n' || r == '\t' {
				b.WriteRune(r)
			} else {
				b.WriteString(visible(r))
			}
		}
		if field != "" {
			b.WriteString("›")
		}
	}
	b.WriteByte('\n')
}
