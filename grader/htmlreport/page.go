package htmlreport

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's template, style and scripts
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"strings"

	"winnow/grader/calibration"
	"winnow/grader/record"
)

//go:embed page.html
var pageText string

//go:embed style.css
var styleText string

//go:embed dom.js
var domText string

//go:embed charts.js
var chartsText string

//go:embed page.js
var scriptText string

// payload is what the page's script draws. It holds all that records say.
type payload struct {
	Ratings  []string  `json:"ratings"`
	Values   []float64 `json:"values"`
	Criteria []string  `json:"criteria"`
	First    float64   `json:"first"`
	Digits   int       `json:"digits"`
	Steps    int       `json:"steps"`
	Bar      int       `json:"bar"`
	Min      float64   `json:"min"`
	Records  int       `json:"records"`
	Rated    int       `json:"rated"`
	Length   string    `json:"length"`
	Series   []series  `json:"series"`
	Kinds    []string  `json:"kinds"`
	Fields   []string  `json:"fields"`
	Field    string    `json:"field"`
	Unrated  []Unrated `json:"unrated"`
	Data     bool      `json:"data"`
	Rows     [][]any   `json:"rows"`
}

func (r *Report) payload() ([]byte, error) {
	p := payload{
		Ratings: r.manifest.Scale.Strings, Values: r.manifest.Scale.Values, Criteria: r.manifest.Criteria(),
		First: r.grid.first, Digits: r.grid.digits, Steps: r.grid.n, Bar: r.grid.bar, Min: r.Min,
		Records: r.Records, Rated: r.Rated, Length: r.Length, Series: r.series,
		Kinds: r.kinds, Fields: r.fields, Field: r.field, Unrated: []Unrated{}, Data: r.withData, Rows: [][]any{},
	}
	for _, u := range r.Unrated {
		u.Status, u.Reason = record.Status(clip(string(u.Status), 40)), clip(u.Reason, reasonChars)
		p.Unrated = append(p.Unrated, u)
	}
	for _, x := range r.rows {
		p.Rows = append(p.Rows, x.list())
	}
	b, err := json.Marshal(p) // which escapes <, >, & and the line separators of JavaScript
	if err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	return b, nil
}

// view is what the template shows.
type view struct {
	*Report
	Policy     string
	Style      template.CSS
	Scripts    []template.JS
	Data       template.JS
	Title      string
	Summary    [][2]string
	Histogram  template.HTML
	Bars, Cuts []bar
	Pairs      [][2]string
	Low, High  string
	Step, Cut  string
	Series     []series
	Several    bool
	WithData   bool
	Field      string
	Whole      bool // the table has all records

	Calibration        *Calibration
	Curves             template.HTML
	Bins               [][2]calibration.Bin
	Verdict            string
	CalibrationNote    string
	Audit              *Audit
	Checks             []check
	AuditNote          string
	HasTable, HasField bool
}

// summary is the head of the report, as names and values.
func (r *Report) summary() [][2]string {
	m := r.manifest
	list := [][2]string{
		{"model", fmt.Sprintf("%s, %s, sha256 %.12s…", m.Model.Name, m.Model.Format, m.Model.SHA256)},
		{"rubrics", strings.Join(m.Criteria(), ", ")},
		{"scale", journalScale(m.Scale.Strings)},
		{"records", fmt.Sprintf("%d, %d of them rated", r.Records, r.Rated)},
		{"kept at " + r.grid.text(r.Min), fmt.Sprintf("%d, %s of the rated", r.Kept, share(r.Kept, r.Rated))},
	}
	add := func(name string, n int, text string) {
		if n > 0 {
			list = append(list, [2]string{name, fmt.Sprintf(text, n)})
		}
	}
	add("without a rating", r.Records-r.Rated, "%d, neither kept nor dropped")
	if r.Rated > 0 {
		list = append(list, [2]string{"mean rating", fmt.Sprintf("%.2f; mean mass off the scale %.3f", r.Mean, r.OffScale)})
	}
	add("truncated", r.Truncated, "%d, rated with some of the record left out")
	add("turns", r.Turns, "%d of the records are turns of longer conversations, each counted by itself")
	add("not in the data", r.Foreign, "%d entries of the scores file, which are left out")
	return list
}

// journalScale names a scale briefly.
func journalScale(list []string) string {
	if len(list) > 12 {
		return fmt.Sprintf("%s … %s, %d ratings", list[0], list[len(list)-1], len(list))
	}
	return strings.Join(list, " ")
}

// hash is a text's source expression in a content security policy.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// HTML writes the page. Its policy allows its own style and scripts, by their hashes, and
// no request at all.
func (r *Report) HTML(w io.Writer) error {
	data, err := r.payload()
	if err != nil {
		return err
	}
	t, err := template.New("page").Funcs(template.FuncMap{"figure": figure, "share": share, "grid": r.grid.text}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	scripts, hashes := []template.JS{}, []string{}
	for _, text := range []string{domText, chartsText, scriptText} {
		scripts, hashes = append(scripts, template.JS(text)), append(hashes, hash(text))
	}
	v := view{
		Report: r, Scripts: scripts, Style: template.CSS(styleText), Data: template.JS(data),
		Policy:  "default-src 'none'; script-src " + strings.Join(hashes, " ") + "; style-src " + hash(styleText) + "; img-src data:; base-uri 'none'; form-action 'none'",
		Title:   "Report on " + r.Name,
		Summary: r.summary(), Histogram: template.HTML(r.histogram(false)), Bars: r.bars(), Cuts: r.cuts(), Pairs: r.pairs,
		Low: r.grid.text(r.grid.value(0)), High: r.grid.text(r.grid.value(r.grid.n)), Step: r.grid.text(r.grid.step()), Cut: r.grid.text(r.Min),
		Series: r.series, Several: len(r.series) > 1, WithData: r.withData, Field: r.field, Whole: r.Sampled == r.Records,
		HasTable: r.Sampled > 0, HasField: r.field != "",
	}
	if c := r.calibration; c != nil {
		v.Calibration, v.Bins, v.Verdict = c, c.bins(), c.verdict()
		v.Curves = template.HTML(curves(c.Evidence.Before, c.Evidence.After))
		v.CalibrationNote = foreign("calibration", c.Judge.Model, r.manifest.Model)
	}
	if a := r.audit; a != nil {
		v.Audit, v.Checks, v.AuditNote = a, a.checks(), foreign("audit", a.Model, r.manifest.Model)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, v); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	_, err = w.Write(b.Bytes())
	return err
}
