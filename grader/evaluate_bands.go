package grader

import (
	"slices"

	"winnow/grader/metric"
)

// lengthBands is how many bands of about equally many records lengths are cut into.
const lengthBands = 5

// LengthBands is how well readings order records whose responses are about equally
// long. A judge that goes by length alone has an AUC of a half there, whatever its AUC
// over all records is.
type LengthBands struct {
	Bands    []LengthBand  `json:"bands"` // none is empty
	Readings []BandReading `json:"readings"`
}

// LengthBand is records whose responses have From to To characters.
type LengthBand struct {
	From    int `json:"from"`
	To      int `json:"to"`
	Records int `json:"records"`
	Kept    int `json:"kept"` // by their labels
}

// BandReading is a reading's AUC within bands.
type BandReading struct {
	Name   string      `json:"name"`
	AUC    []*Estimate `json:"auc"`    // of each band
	Within *Estimate   `json:"within"` // of all pairs of records in the same band
}

// bands measures the rating, the calibrated probability and the length within bands;
// nil if no length is known.
func (t *labelTable) bands(j Judged, all *estimates) (*LengthBands, error) {
	c := t.lengths()
	if len(c.rows) == 0 {
		return nil, nil
	}
	sorted := slices.Sorted(slices.Values(c.values))
	out := &LengthBands{}
	var groups [][]int // records of each band
	for k := range lengthBands {
		var rows []int
		from, to := 0.0, metric.Quantile(sorted, float64(k+1)/lengthBands)
		if k > 0 {
			from = metric.Quantile(sorted, float64(k)/lengthBands)
		}
		for i, x := range c.values {
			if (x > from || k == 0) && x <= to {
				rows = append(rows, c.rows[i])
			}
		}
		if len(rows) == 0 {
			continue // many responses are equally long
		}
		groups = append(groups, rows)
		band := LengthBand{From: int(t.length[rows[0]]), To: int(t.length[rows[0]]), Records: len(rows)}
		for _, i := range rows {
			band.From, band.To = min(band.From, int(t.length[i])), max(band.To, int(t.length[i]))
			band.Kept += t.class[i]
		}
		out.Bands = append(out.Bands, band)
	}
	for _, r := range j.readings() {
		if r.name != ratingName && r.name != calibratedName {
			continue
		}
		values := make([]float64, len(t.entries))
		for i, e := range t.entries {
			values[i] = r.of(e)
		}
		if err := t.within(r.name, values, groups, out, all); err != nil {
			return nil, err
		}
	}
	return out, t.within(lengthName, t.length, groups, out, all)
}

// within measures one reading.
func (t *labelTable) within(name string, values []float64, groups [][]int, out *LengthBands, all *estimates) error {
	r := BandReading{Name: name}
	var wins []func(w []int32) (wins, pairs float64)
	for _, rows := range groups {
		c := column{rows: rows, all: all.n}
		ranking, err := metric.NewRanking(pick(c, values), pick(c, t.keep))
		if err != nil {
			return err
		}
		r.AUC = append(r.AUC, all.add(c.weights(ranking.AUC)))
		wins = append(wins, func(w []int32) (float64, float64) {
			if w == nil {
				return ranking.Wins(nil)
			}
			return ranking.Wins(pick(c, w))
		})
	}
	r.Within = all.add(func(w []int32) float64 {
		var won, pairs float64
		for _, f := range wins {
			a, b := f(w)
			won, pairs = won+a, pairs+b
		}
		return won / pairs // 0/0 is NaN
	})
	out.Readings = append(out.Readings, r)
	return nil
}
