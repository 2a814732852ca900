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

// Report counts what became of the records of one run.
type Report struct {
	Records   int                   `json:"records"`
	Kept      int                   `json:"kept"`
	Dropped   int                   `json:"dropped"`
	Review    int                   `json:"review"`   // records without a rating: neither kept nor dropped
	Statuses  map[record.Status]int `json:"statuses"` // every record's status
	Truncated int                   `json:"truncated"`
	Mean      float64               `json:"mean_rating"`   // of the rated records
	OffScale  float64               `json:"mean_offscale"` // of the rated records
	Histogram []Bin                 `json:"histogram"`     // of the rated records' expected values
}

// Bin counts the expected values that are nearest to one rating of the scale.
type Bin struct {
	Rating string `json:"rating"`
	Count  int    `json:"count"`
	value  float64
}

func newReport(s rating.Scale) *Report {
	r := &Report{Statuses: map[record.Status]int{}}
	for i, str := range s.Strings {
		r.Histogram = append(r.Histogram, Bin{Rating: str, value: s.Values[i]})
	}
	return r
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
	if e.Rating == nil {
		return
	}
	n := float64(r.Rated())
	r.Mean += (e.Rating.Value - r.Mean) / n
	r.OffScale += (e.Rating.OffScale - r.OffScale) / n
	at := 0
	for i, b := range r.Histogram {
		if i > 0 && e.Rating.Value >= (b.value+r.Histogram[i-1].value)/2 {
			at = i
		}
	}
	r.Histogram[at].Count++
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
	if r.Rated() > 0 {
		fmt.Fprintf(&b, "mean rating %.2f, mean off-scale mass %.3f\n", r.Mean, r.OffScale)
		if r.OffScale > 0.5 {
			b.WriteString("most answers of this model would be no rating at all: its ratings are weak evidence, use a larger one\n")
		}
		most, label := 0, 6
		for _, bin := range r.Histogram {
			most, label = max(most, bin.Count), max(label, utf8.RuneCountInString(bin.Rating))
		}
		for _, bin := range r.Histogram {
			fmt.Fprintf(&b, "  %*s %7d %s\n", label, bin.Rating, bin.Count, Bar(float64(bin.Count)/float64(most), width-label-11))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the report as one line of JSON. Without rated records its
// means are null.
func (r *Report) WriteJSON(w io.Writer) error {
	line := struct {
		Kind string `json:"kind"`
		*Report
		Mean     *float64 `json:"mean_rating"` // instead of the report's own
		OffScale *float64 `json:"mean_offscale"`
	}{Kind: "summary", Report: r}
	if r.Rated() > 0 {
		line.Mean, line.OffScale = &r.Mean, &r.OffScale
	}
	return json.NewEncoder(w).Encode(line)
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
