package grader

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"winnow/grader/calibration"
	"winnow/grader/journal"
)

// CardText is what a card says beside its figures.
type CardText struct {
	Name        string   // of the set
	License     string   // empty if it is not stated
	Languages   []string // codes such as en; likewise
	Rule        string   // how records were kept, in words or as flags; empty for what the figures tell
	Map         string   // of the data's fields; empty for Alpaca's
	Turns       Turns
	Torn        bool // the scores file's last line was left out
	Manifest    journal.Manifest
	Calibration *calibration.File // nil if it is not shown
	Evaluation  *CardEvaluation   // nil if there is none
}

// WriteMarkdown writes a dataset card in the form of the Hugging Face hub: a head in YAML, then
// Markdown. Files are named without their folders, and nothing depends on the time.
func (c *Card) WriteMarkdown(w io.Writer, t CardText) error {
	p := &cardPrinter{card: c, text: t}
	p.head()
	p.sources()
	p.judge()
	p.rule()
	p.figures()
	p.verbs()
	p.calibration()
	p.reproduce()
	p.limitations()
	_, err := io.WriteString(w, p.b.String())
	return err
}

type cardPrinter struct {
	b    strings.Builder
	card *Card
	text CardText
}

func (p *cardPrinter) line(format string, args ...any) { fmt.Fprintf(&p.b, format+"\n", args...) }

// setColumn is a column of words in tables of numbers.
const setColumn = "Set"

// row writes a row of a table.
func (p *cardPrinter) row(cells ...string) { p.line("| %s |", strings.Join(cells, " | ")) }

// table begins a table, whose columns but the first hold numbers if numbers says so.
func (p *cardPrinter) table(numbers bool, names ...string) {
	p.line("")
	p.row(names...)
	rule := make([]string, len(names))
	for i := range rule {
		rule[i] = "---"
		if numbers && i > 0 && names[i] != setColumn {
			rule[i] = "---:"
		}
	}
	p.row(rule...)
}

// licenseID is the form of the hub's names of licences.
var licenseID = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]*$`)

func (p *cardPrinter) head() {
	t := p.text
	p.line("---")
	switch {
	case t.License == "":
		p.line("# license: not stated")
	case licenseID.MatchString(t.License):
		p.line("license: %s", yamlText(t.License))
	default:
		p.line("license: other\nlicense_name: %s", yamlText(t.License))
	}
	if len(t.Languages) == 0 {
		p.line("# language: not stated")
	} else {
		p.line("language:")
	}
	for _, l := range t.Languages {
		p.line("- %s", yamlText(l))
	}
	p.line("pretty_name: %s", yamlText(t.Name))
	p.line("size_categories:\n- %s", sizeCategory(p.card.Kept))
	p.line("task_categories:\n- text-generation")
	p.line("tags:\n- instruction-tuning\n- data-selection\n- llm-as-judge")
	p.line("---\n\n# %s\n", inline(t.Name))
	p.line("%d of %d instruction-tuning records, kept by the ratings of a language model.", p.card.Kept, p.card.Records)
	license := "not stated here; that of the source data applies"
	if t.License != "" {
		license = inline(t.License)
	}
	p.line("Licence: %s.", license)
}

// yamlText is a string that YAML reads as such.
func yamlText(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""` // every string has a JSON form
	}
	return string(b)
}

// sizeCategory is the hub's name for a number of records.
func sizeCategory(n int) string {
	names := []string{"n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B"}
	for i, name := range names {
		if float64(n) < math.Pow10(i+3) {
			return name
		}
	}
	return "n>1B"
}

func (p *cardPrinter) sources() {
	p.line("\n## Source")
	p.table(false, "File", "Records", "SHA-256")
	for _, f := range p.card.Files {
		p.row(fileName(f.Name), strconv.Itoa(f.Records), "`"+f.SHA256+"`")
	}
	p.table(false, "Kept set", "Records", "SHA-256")
	for _, f := range p.card.KeptFiles {
		p.row(fileName(f.Name), strconv.Itoa(f.Records), "`"+f.SHA256+"`")
	}
}

// fileName is a file's name without its folder, as code.
func fileName(path string) string { return code(filepath.Base(path)) }

func (p *cardPrinter) judge() {
	m := p.text.Manifest
	p.line("\n## Judge")
	p.table(false, "What", "Which")
	p.row("Model", code(m.Model.Name)+", weights "+inline(m.Model.Format)+", SHA-256 `"+inline(m.Model.SHA256)+"`")
	for _, r := range m.Rubrics {
		p.row("Rubric", code(r.Name)+", SHA-256 `"+inline(r.SHA256)+"`")
	}
	p.row("Scale", inline(m.Scale.String()))
	p.row("Chat template", inline(m.Template.Source)+", SHA-256 of the frame `"+inline(m.Template.SHA256)+"`")
	p.row("Engine", inline(m.Runtime.Engine))
	p.row("Device", inline(m.Runtime.Device))
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		p.row("Setting "+code(name), inline(m.Settings[name]))
	}
	p.line("\nA rating is the expected value of the model's next-token distribution over the rating strings of the scale; nothing is sampled.")
	if len(m.Rubrics) > 1 {
		p.line("With several rubrics the least rating counts.")
	}
	if p.turns() != "" {
		p.line("Of a conversation of several turns %s.", p.turns())
	}
}

// turns says how a conversation's rating comes of its turns'; "" by default.
func (p *cardPrinter) turns() string {
	switch p.text.Turns {
	case MeanTurn:
		return "the mean counts"
	case LastTurn:
		return "the last turn counts"
	}
	return ""
}

func (p *cardPrinter) rule() {
	c := p.card
	p.line("\n## What was kept\n")
	if p.text.Rule != "" {
		p.line("Rule, as stated by the publisher: %s", code(p.text.Rule)+".")
	}
	p.line("Kept: %d of %d records (%s).", c.Kept, c.Records, percent(c.Kept, c.Records))
	switch cut := c.Cut; {
	case c.Kept == 0 || math.IsNaN(float64(cut.LeastKept)):
	case c.Dropped == 0:
		p.line("Every rated record was kept; the least rating is %s.", shownFigure(cut.LeastKept, 4))
	case cut.Min != nil && math.IsNaN(float64(cut.GreatestDropped)):
		p.line("Every rated record was kept, but for copies; the least rating is %s.", shownFigure(cut.LeastKept, 4))
	case cut.Min != nil:
		p.line("The kept ones are exactly the rated records with a rating of %g or more: the least kept rating is %s, the greatest dropped one %s.",
			*cut.Min, shownFigure(cut.LeastKept, 4), shownFigure(cut.GreatestDropped, 4))
	default:
		p.line("No cut in the rating alone separates them: kept ratings begin at %s, dropped ones end at %s, and %d dropped records are rated as high as a kept one.",
			shownFigure(cut.LeastKept, 4), shownFigure(cut.GreatestDropped, 4), cut.Above)
	}
	if c.Copies > 0 {
		p.line("%d dropped records have the texts of a kept one.", c.Copies)
	}
	p.table(true, "Records", "Number")
	p.row("in the source", strconv.Itoa(c.Records))
	p.row("kept", strconv.Itoa(c.Kept))
	p.row("dropped", strconv.Itoa(c.Dropped))
	for _, s := range slices.Sorted(maps.Keys(c.Unrated)) {
		p.row("without a rating: "+inline(string(s)), strconv.Itoa(c.Unrated[s]))
	}
	for _, s := range slices.Sorted(maps.Keys(c.KeptUnrated)) {
		p.row("of the kept, without a rating: "+inline(string(s)), strconv.Itoa(c.KeptUnrated[s]))
	}
	if c.Truncated > 0 {
		p.row("rated with the middle of the response left out", strconv.Itoa(c.Truncated))
	}
}

func (p *cardPrinter) figures() {
	p.line("\n## Ratings and lengths, before and after\n")
	p.line("Before: all records of the source that have the number. After: those of them that were kept.")
	p.rows("Rating", p.card.Ratings, 3)
	if len(p.card.Signals) > 0 {
		p.rows("Signal", p.card.Signals, 3)
	}
	p.rows("Length", p.card.Lengths, 1)
}

func (p *cardPrinter) rows(title string, rows []CardRow, digits int) {
	p.table(true, title, setColumn, "Records", "Mean", "Median", "10th percentile", "90th percentile")
	for _, r := range rows {
		for _, side := range []struct {
			name string
			s    Spread
		}{{"before", r.Before}, {"after", r.After}} {
			s := side.s
			p.row(inline(r.Name), side.name, strconv.Itoa(s.Records), shownFigure(s.Mean, digits), shownFigure(s.Median, digits), shownFigure(s.P10, digits), shownFigure(s.P90, digits))
		}
	}
}

func (p *cardPrinter) verbs() {
	p.line("\n## First verbs of the instructions\n")
	p.line("The first of %d English verbs among an instruction's first %d words, by words alone.", len(instructionVerbs), verbWords)
	p.table(true, "Verb", "Before", "After")
	c := p.card
	readable := func(side func(CardRow) Spread) int { return side(c.Lengths[0]).Records }
	before, after := readable(func(r CardRow) Spread { return r.Before }), readable(func(r CardRow) Spread { return r.After })
	for _, v := range c.Verbs {
		p.row(v.Verb, fmt.Sprintf("%d (%s)", v.Before, percent(v.Before, before)), fmt.Sprintf("%d (%s)", v.After, percent(v.After, after)))
	}
}

func (p *cardPrinter) calibration() {
	m, f := p.text.Manifest.Calibration, p.text.Calibration
	if m == nil {
		return
	}
	p.line("\n## Calibration\n")
	p.line("Probabilities are of the calibration %s, SHA-256 `%s`.", code(m.Name), inline(m.SHA256))
	if f == nil {
		p.line("Its evidence is not shown here.")
		return
	}
	verdict := "not accepted"
	if f.Accepted {
		verdict = "accepted"
	}
	e := f.Evidence
	p.line("Its method is %s, and it was %s: %s.", inline(f.Method), verdict, inline(f.Reason))
	p.line("It was learned on %d labelled records (%d to keep) and measured on %d others (%d to keep), split by content with the seed %d; SHA-256 of the labels `%s`.",
		e.Train.Records, e.Train.Keep, e.Holdout.Records, e.Holdout.Keep, e.Seed, inline(e.LabelsSHA256))
	p.table(false, "On the hold-out", "AUC", "AUC among responses of like length", "Log loss")
	for _, r := range e.Methods {
		if r.Method == f.Method || r.Baseline {
			p.row(inline(r.Method), shownEstimate(&r.AUC), shownEstimate(&r.WithinAUC), shownEstimate(&r.LogLoss))
		}
	}
}

// sizeInName finds a number of parameters in a model's name.
var sizeInName = regexp.MustCompile(`(?i)(?:^|[-_. ])(\d+(?:\.\d+)?)([mb])(?:[-_. ]|$)`)

func (p *cardPrinter) limitations() {
	c, m := p.card, p.text.Manifest
	p.line("\n## Limitations\n")
	size := "whose name does not tell its size"
	if found := sizeInName.FindStringSubmatch(m.Model.Name); found != nil {
		size = "by its name of " + found[1] + map[string]string{"m": " million", "b": " billion"}[strings.ToLower(found[2])] + " parameters"
	}
	p.b.WriteString("The ratings are those of one language model (" + size + "), not of people, and they take on its errors and preferences. ")
	if p.text.Evaluation == nil {
		p.b.WriteString("How well they tell good records from bad ones was not measured for this card. ")
	} else {
		p.b.WriteString(inline(p.text.Evaluation.told()) + " ")
	}
	response := c.Lengths[2]
	if response.After.Records > 0 {
		fmt.Fprintf(&p.b, "The mean response has %s characters before and %s after: a preference for length would show as such a change. ",
			shownFigure(response.Before.Mean, 1), shownFigure(response.After.Mean, 1))
	}
	for _, r := range c.Ratings {
		if r.Name == "off-scale mass" && r.Before.Records > 0 {
			fmt.Fprintf(&p.b, "On average %s of the model's probability was on answers that are no rating. ", shownFigure(100*r.Before.Mean, 1)+" %")
		}
	}
	unrated := 0
	for _, n := range c.Unrated {
		unrated += n
	}
	if unrated > 0 {
		fmt.Fprintf(&p.b, "%d records have no rating and are not in the set, whatever they are worth. ", unrated)
	}
	if p.text.Torn {
		p.b.WriteString("The scores file ended in an unfinished line, which was left out. ")
	}
	p.line("The texts are those of the source: nothing was checked for facts, personal data, harmful content or rights.")
}
