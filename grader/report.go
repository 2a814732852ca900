package grader

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// Report counts what became of the records of one run. Where there are several
// criteria, a record's rating is the least of its ratings, and its off-scale
// mass the greatest.
type Report struct {
	Records    int                   `json:"records"`
	Kept       int                   `json:"kept"`
	Dropped    int                   `json:"dropped"`
	Review     int                   `json:"review"`   // records without a rating: neither kept nor dropped
	Statuses   map[record.Status]int `json:"statuses"` // every record's status
	Truncated  int                   `json:"truncated"`
	Duplicates *int                  `json:"duplicates,omitempty"` // of the dropped ones; nil if none were sought
	Distribution
	Criteria []Criterion `json:"-"` // each one's own; none if there is but one
}

// Distribution says how the rated records are rated.
type Distribution struct {
	Histogram []Bin   `json:"histogram"`     // of their expected values
	Mean      float64 `json:"mean_rating"`   // 0 without rated records
	OffScale  float64 `json:"mean_offscale"` // likewise

	rated int
}

// Criterion is the distribution of one criterion's ratings.
type Criterion struct {
	Name string
	Distribution
}

// Bin counts the expected values that are nearest to one rating of the scale.
type Bin struct {
	Rating string `json:"rating"`
	Count  int    `json:"count"`
	value  float64
}

func newReport(s rating.Scale, criteria []string) *Report {
	r := &Report{Statuses: map[record.Status]int{}, Distribution: newDistribution(s)}
	if len(criteria) > 1 {
		for _, name := range criteria {
			r.Criteria = append(r.Criteria, Criterion{name, newDistribution(s)})
		}
	}
	return r
}

func newDistribution(s rating.Scale) (d Distribution) {
	for i, str := range s.Strings {
		d.Histogram = append(d.Histogram, Bin{Rating: str, value: s.Values[i]})
	}
	return d
}

// Rated returns the number of records that have a rating.
func (r *Report) Rated() int { return r.Statuses[record.OK] }

func (r *Report) add(e journal.Entry, v verdict.Verdict) {
	r.Records++
	r.Statuses[e.Status]++
	switch v.Decision {
	case verdict.Keep:
		r.Kept++
	case verdict.Drop:
		r.Dropped++
	default:
		r.Review++
	}
	if e.Cut > 0 {
		r.Truncated++
	}
	if len(e.Ratings) == 0 {
		return
	}
	offScale := 0.0
	for i := range e.Ratings {
		x := &e.Ratings[i]
		offScale = max(offScale, x.OffScale)
		if i < len(r.Criteria) {
			r.Criteria[i].add(x.Value, x.OffScale)
		}
	}
	r.Distribution.add(e.Value(), offScale)
}

func (d *Distribution) add(value, offScale float64) {
	d.rated++
	n := float64(d.rated)
	d.Mean += (value - d.Mean) / n
	d.OffScale += (offScale - d.OffScale) / n
	at := 0
	for i, b := range d.Histogram {
		if i > 0 && value >= (b.value+d.Histogram[i-1].value)/2 {
			at = i
		}
	}
	d.Histogram[at].Count++
}

// WriteText writes the report for people, within width columns.
func (r *Report) WriteText(w io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d records: %d kept, %d dropped", r.Records, r.Kept, r.Dropped)
	if r.Review > 0 {
		fmt.Fprintf(&b, ", %d without a rating, for review", r.Review)
	}
	b.WriteByte('\n')
	for _, s := range slices.Sorted(maps.Keys(r.Statuses)) {
		if s != record.OK {
			fmt.Fprintf(&b, "  %6d %s\n", r.Statuses[s], s)
		}
	}
	if r.Truncated > 0 {
		fmt.Fprintf(&b, "  %6d rated with the middle of the response left out\n", r.Truncated)
	}
	if r.Duplicates != nil {
		fmt.Fprintf(&b, "  %6d dropped as duplicates\n", *r.Duplicates)
	}
	switch {
	case r.Rated() == 0:
	case len(r.Criteria) == 0:
		r.writeText(&b, width)
	default:
		fmt.Fprintf(&b, "each record's least rating: mean %.2f\n", r.Mean)
		for i := range r.Criteria {
			fmt.Fprintf(&b, "%s: ", r.Criteria[i].Name)
			r.Criteria[i].writeText(&b, width)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeText writes means and a histogram of rated records.
func (d *Distribution) writeText(b *strings.Builder, width int) {
	fmt.Fprintf(b, "mean rating %.2f, mean off-scale mass %.3f\n", d.Mean, d.OffScale)
	if d.OffScale > 0.5 {
		b.WriteString("most answers of this model would be no rating at all: its ratings are weak evidence, use a larger one\n")
	}
	most, label := 0, 6
	for _, bin := range d.Histogram {
		most, label = max(most, bin.Count), max(label, utf8.RuneCountInString(bin.Rating))
	}
	for _, bin := range d.Histogram {
		fmt.Fprintf(b, "  %*s %7d %s\n", label, bin.Rating, bin.Count, Bar(float64(bin.Count)/float64(most), width-label-11))
	}
}

// WriteJSON writes the report as one line of JSON. Without rated records its
// means are null. Where there are several criteria, the member "criteria" has
// an object for each by its name.
func (r *Report) WriteJSON(w io.Writer) error {
	return json.NewEncoder(w).Encode(struct {
		Kind string `json:"kind"`
		*Report
		means
		Criteria criteria `json:"criteria,omitempty"`
	}{"summary", r, r.means(), r.Criteria})
}

// means stands in JSON for the means of a Distribution, which it hides.
type means struct {
	Mean     *float64 `json:"mean_rating"`
	OffScale *float64 `json:"mean_offscale"`
}

func (d *Distribution) means() means {
	if d.rated == 0 {
		return means{}
	}
	return means{&d.Mean, &d.OffScale}
}

// criteria is an object in the order of the criteria.
type criteria []Criterion

// MarshalJSON implements json.Marshaler.
func (list criteria) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i := range list {
		c := &list[i]
		name, err := json.Marshal(c.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(struct {
			Histogram []Bin `json:"histogram"`
			means
		}{c.Histogram, c.means()})
		if err != nil {
			return nil, err
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, name...), ':'), value...)
	}
	return append(b, '}'), nil
}

// Bar draws a share of a whole as a bar of at most width cells.
func Bar(share float64, width int) string {
	const eighths = " ▏▎▍▌▋▊▉"
	if !(share > 0) || width < 1 {
		return ""
	}
	n := int(min(share, 1)*float64(width)*8 + 0.5)
	s := strings.Repeat("█", n/8)
	if n%8 > 0 {
		s += string([]rune(eighths)[n%8])
	}
	return s
}
