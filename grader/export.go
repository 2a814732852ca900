package grader

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// Scores is a whole scores file.
type Scores interface {
	Ratings
	Len() int
	Signals() []string // names of the signals of a rated entry
	Calibrated() bool  // whether a rated entry has a calibrated probability
	All() iter.Seq[journal.Entry]
}

// ExportOptions says what of the data is joined with the ratings.
type ExportOptions struct {
	Open  func() (record.Source, error) // opens the data; nil for the scores file alone
	Limit int                           // of the data's records; 0 for all
}

// ExportSummary counts what was exported.
type ExportSummary struct {
	Rows    int `json:"rows"`
	Rated   int `json:"rated"`
	Foreign int `json:"foreign"` // entries that belong to no record of the data
}

// ExportColumns returns the columns of an export: index, key, status, reason,
// rating (of several criteria the least), then mode, off_scale, entropy and the
// probability p_ of each rating of the scale, for each of several criteria with
// its name and _ before them and a rating of its own; each signal by its name;
// calibrated, if there is a calibration; tokens. With data there are also file, line,
// turn, instruction, input and output. Hidden states are left out.
func ExportColumns(m journal.Manifest, withData bool) []data.Column {
	criteria := m.Criteria()
	columns := []data.Column{{Name: "index", Type: data.Integer}, {Name: "key"}, {Name: "status"}, {Name: "reason"}, {Name: "rating", Type: data.Real}}
	add := func(name string, t data.Type) { columns = append(columns, data.Column{Name: name, Type: t}) }
	for _, name := range criteria {
		before := ""
		if len(criteria) > 1 {
			before = name + "_"
			add(before+"rating", data.Real)
		}
		add(before+"mode", data.Text)
		add(before+"off_scale", data.Real)
		add(before+"entropy", data.Real)
		for _, s := range m.Scale.Strings {
			add(before+"p_"+s, data.Real)
		}
	}
	for _, name := range m.Signals {
		add(name, data.Real)
	}
	if m.Calibration != nil {
		add("calibrated", data.Real)
	}
	add("tokens", data.Integer)
	if withData {
		add("file", data.Text)
		add("line", data.Integer)
		add("turn", data.Integer)
		add("instruction", data.Text)
		add("input", data.Text)
		add("output", data.Text)
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	for i, name := range data.UniqueNames(names) {
		columns[i].Name = name
	}
	return columns
}

// Export writes the ratings as rows of a table with the columns of ExportColumns:
// with data a row for each record, or turn of a conversation, in the data's order
// and joined by content key, else a row for each entry. A record without an entry
// has the status of its fault, or not_graded. Ratings are those of the scores
// file, in single precision. A signal that is undefined has an empty cell. Export does
// not close the table.
func Export(known Scores, to data.Table, o ExportOptions) (ExportSummary, error) {
	e := exporter{to: to, scale: known.Scale(), criteria: known.Criteria(), signals: len(known.Signals()), calibrated: known.Calibrated()}
	if o.Open == nil {
		for entry := range known.All() {
			if err := e.write(entry, nil); err != nil {
				return e.sum, err
			}
		}
		return e.sum, nil
	}
	met := make(map[record.Key]struct{}, known.Len())
	_, err := each(o.Open, o.Limit, func(turns []*record.Record) error {
		for _, rec := range turns {
			if _, ok := known.Lookup(rec.Key); ok {
				met[rec.Key] = struct{}{}
			}
			if err := e.write(lookup(known, rec), rec); err != nil {
				return err
			}
		}
		return nil
	})
	e.sum.Foreign = known.Len() - len(met)
	return e.sum, err
}

type exporter struct {
	to         data.Table
	scale      rating.Scale
	criteria   []string
	signals    int
	calibrated bool
	cells      []any
	sum        ExportSummary
}

// write writes a row. rec is nil for an entry alone.
func (e *exporter) write(entry journal.Entry, rec *record.Record) error {
	index := entry.Index
	if rec != nil {
		index = rec.Index
	}
	e.cells = append(e.cells[:0], int64(index), entry.Key.String(), string(entry.Status), text(entry.Reason))
	if len(entry.Ratings) == 0 {
		each := 3 + len(e.scale.Strings)
		if len(e.criteria) > 1 {
			each++
		}
		each = 1 + each*len(e.criteria) + e.signals
		if e.calibrated {
			each++
		}
		for range each {
			e.cells = append(e.cells, nil)
		}
	} else {
		e.sum.Rated++
		e.cells = append(e.cells, entry.Value())
		for i := range entry.Ratings {
			r := &entry.Ratings[i]
			if len(e.criteria) > 1 {
				e.cells = append(e.cells, r.Value)
			}
			e.cells = append(e.cells, r.Mode, r.OffScale, r.Entropy)
			for _, p := range r.Probs {
				e.cells = append(e.cells, p)
			}
		}
		for _, x := range entry.Signals {
			if math.IsNaN(x) {
				e.cells = append(e.cells, nil)
				continue
			}
			e.cells = append(e.cells, x)
		}
		if e.calibrated {
			e.cells = append(e.cells, entry.Calibrated)
		}
	}
	if entry.Tokens > 0 {
		e.cells = append(e.cells, int64(entry.Tokens))
	} else {
		e.cells = append(e.cells, nil)
	}
	if rec != nil {
		e.cells = append(e.cells, rec.File, int64(rec.Line), int64(rec.Turn), rec.Instruction, rec.Input, rec.Response)
	}
	if err := e.to.Row(e.cells); err != nil {
		return fmt.Errorf("exporting record %d: %w", index, err)
	}
	e.sum.Rows++
	return nil
}

// text is a cell of text; none for the empty one.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// ManifestPairs returns a manifest as keys and values: the members of its JSON
// form, those of objects with the object's name and a dot before them, lists as
// JSON.
func ManifestPairs(m journal.Manifest) ([][2]string, error) {
	list := func(v any) (string, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	rubrics, err := list(m.Rubrics)
	if err != nil {
		return nil, fmt.Errorf("exporting the manifest: %w", err)
	}
	values := make([]string, len(m.Scale.Values))
	for i, x := range m.Scale.Values {
		values[i] = strconv.FormatFloat(x, 'g', -1, 64)
	}
	strs, err := list(m.Scale.Strings)
	if err != nil {
		return nil, fmt.Errorf("exporting the manifest: %w", err)
	}
	pairs := [][2]string{
		{"version", strconv.Itoa(m.Version)},
		{"model.name", m.Model.Name}, {"model.sha256", m.Model.SHA256}, {"model.format", m.Model.Format},
		{"rubrics", rubrics},
		{"scale.strings", strs}, {"scale.values", "[" + strings.Join(values, ",") + "]"},
		{"template.source", m.Template.Source}, {"template.sha256", m.Template.SHA256},
		{"runtime.engine", m.Runtime.Engine}, {"runtime.device", m.Runtime.Device},
	}
	for _, name := range slices.Sorted(maps.Keys(m.Settings)) {
		pairs = append(pairs, [2]string{"settings." + name, m.Settings[name]})
	}
	if len(m.Signals) > 0 {
		signals, err := list(m.Signals)
		if err != nil {
			return nil, fmt.Errorf("exporting the manifest: %w", err)
		}
		pairs = append(pairs, [2]string{"signals", signals})
	}
	if h := m.Hidden; h != nil {
		pairs = append(pairs, [2]string{"hidden.layer", strconv.Itoa(h.Layer)}, [2]string{"hidden.size", strconv.Itoa(h.Size)})
	}
	if c := m.Calibration; c != nil {
		pairs = append(pairs, [2]string{"calibration.name", c.Name}, [2]string{"calibration.sha256", c.SHA256})
	}
	return pairs, nil
}
