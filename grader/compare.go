package grader

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"winnow/grader/journal"
	"winnow/grader/metric"
	"winnow/grader/record"
)

// CompareOptions says what Compare does beside joining two journals.
type CompareOptions struct {
	Min       float64                       // the cut: a record with this rating is kept
	Most      int                           // how many of the records that differ most to list
	Resamples int                           // of the bootstrap; 0 for DefaultResamples
	Open      func() (record.Source, error) // opens the data, for the texts of what is listed; may be nil
}

// compareSeed makes the intervals of equal journals equal.
const compareSeed = 1

// DefaultResamples is how many resamples Compare takes of n records: 1,000, of more
// than 10,000 records fewer, but at least 100.
func DefaultResamples(n int) int { return max(100, min(1000, 10_000_000/max(n, 1))) }

// Figure is a number that may be undefined: NaN is null in JSON.
type Figure = metric.Figure

// Estimate is a figure with its bootstrap interval of 95 %.
type Estimate = metric.Estimate

// Comparison is how two journals agree. Records are joined by content key.
type Comparison struct {
	A           Compared     `json:"a"`
	B           Compared     `json:"b"`
	Differences []string     `json:"differences"` // of the manifests
	SameScale   bool         `json:"same_scale"`  // whether the scales have the same values; if not, only ranks are compared
	Records     Joined       `json:"records"`
	Min         float64      `json:"min"`
	Resamples   int          `json:"resamples"`
	Rating      Agreement    `json:"rating"`             // of the rating that counts: of several criteria the least
	Criteria    []Agreement  `json:"criteria,omitempty"` // of each criterion that both have, if either has several
	Most        []Difference `json:"most_different"`     // by the rating that counts, the greatest difference first
}

// Compared is one of the two journals.
type Compared struct {
	Path     string                `json:"path"`
	Model    string                `json:"model"`
	Criteria []string              `json:"criteria"`
	Entries  int                   `json:"entries"`
	Rated    int                   `json:"rated"`
	Unrated  map[record.Status]int `json:"unrated"` // entries without a rating, by status
	Torn     int                   `json:"torn_bytes"`

	manifest journal.Manifest
}

// Joined counts records. Both is the sum of Compared, UnratedA, UnratedB and
// UnratedBoth.
type Joined struct {
	Both        int `json:"both"` // journals have an entry
	OnlyA       int `json:"only_a"`
	OnlyB       int `json:"only_b"`
	Compared    int `json:"compared"`  // have a rating in both
	UnratedA    int `json:"unrated_a"` // have a rating in B alone
	UnratedB    int `json:"unrated_b"` // have a rating in A alone
	UnratedBoth int `json:"unrated_both"`
}

// Difference is a record that is rated differently.
type Difference struct {
	IndexA      int        `json:"index_a"`
	IndexB      int        `json:"index_b"`
	Key         record.Key `json:"key"`
	A           float64    `json:"rating_a"`
	B           float64    `json:"rating_b"`
	Delta       Figure     `json:"delta"`  // B less A; undefined if the scales differ
	RankA       float64    `json:"rank_a"` // share of the compared records that are rated lower, equal ones counted half
	RankB       float64    `json:"rank_b"`
	Found       bool       `json:"found"` // whether the data has the record; Instruction and Response are set then
	Instruction string     `json:"instruction,omitempty"`
	Response    string     `json:"response,omitempty"`
}

// Compare reads two journals and says how they agree. They may be of any judges and
// any data. Damage is a *journal.DamageError or a *journal.VersionError. Beside
// the entries' keys it keeps two numbers for each criterion and side.
func Compare(ctx context.Context, pathA, pathB string, o CompareOptions) (*Comparison, error) {
	j := joiner{ctx: ctx, rows: map[record.Key]int32{}}
	c := &Comparison{Min: o.Min}
	for side, path := range [...]string{pathA, pathB} {
		m, err := journal.ReadManifest(path)
		if err != nil {
			return nil, err
		}
		j.sides[side] = Compared{Path: path, Model: m.Model.Name, Criteria: m.Criteria(), Unrated: map[record.Status]int{}, manifest: m}
	}
	a, b := &j.sides[0], &j.sides[1]
	j.choose()
	for side := range j.sides {
		if err := j.read(side); err != nil {
			return nil, err
		}
	}
	c.SameScale = slices.Equal(a.manifest.Scale.Values, b.manifest.Scale.Values)
	c.Differences = append([]string{}, journal.Between(a.manifest, b.manifest, "A", "B")...) // as JSON a list, also of none
	c.A, c.B = *a, *b
	compared := j.join(&c.Records)
	if c.Resamples = o.Resamples; o.Resamples == 0 {
		c.Resamples = DefaultResamples(len(compared))
	}
	for k, group := range j.groups {
		g, err := agree(ctx, j.column(compared, k), c)
		if err != nil {
			return nil, err
		}
		g.Criterion = group.name
		if k == 0 {
			c.Rating = g
			if c.Most, err = j.most(compared, o.Most, c.SameScale); err != nil {
				return nil, err
			}
		} else {
			c.Criteria = append(c.Criteria, g)
		}
	}
	return c, j.texts(c.Most, o.Open)
}

// group is a rating that both sides have: of a criterion, or the one that counts.
type group struct {
	name string
	at   [2]int // of the criterion among those of each side; -1 for the rating that counts
}

// row is a record of A.
type row struct {
	key          record.Key
	index        [2]int32
	in, rated    [2]bool
	numbers      int32 // of A's entry, in joiner.numbers
	otherNumbers int32
}

// joiner finds the records that two journals have.
type joiner struct {
	ctx     context.Context
	sides   [2]Compared
	groups  []group
	rows    map[record.Key]int32 // position in list; -1 of what B alone has
	list    []row
	numbers []float64 // for each rated entry and group: value and off-scale mass
	lines   int
	onlyB   int
}

// choose finds what can be compared.
func (j *joiner) choose() {
	a, b := j.sides[0].Criteria, j.sides[1].Criteria
	j.groups = []group{{at: [2]int{-1, -1}}}
	if len(a) == 1 && len(b) == 1 {
		return
	}
	for i, name := range a {
		if k := slices.Index(b, name); k >= 0 {
			j.groups = append(j.groups, group{name, [2]int{i, k}})
		}
	}
}

// read reads the journal of a side, A's before B's.
func (j *joiner) read(side int) error {
	s := &j.sides[side]
	var now journal.Manifest
	torn, err := journal.Scan(s.Path, func(m journal.Manifest) { now = m }, func(e journal.Score) error {
		if j.lines++; j.lines%4096 == 0 {
			if err := context.Cause(j.ctx); err != nil {
				return err
			}
		}
		if len(e.Values) > 0 && len(e.Values) != len(s.Criteria) {
			return fmt.Errorf("the file was changed while it was read: %d criteria, before %d", len(e.Values), len(s.Criteria))
		}
		return j.add(side, e)
	})
	switch cause := context.Cause(j.ctx); {
	case cause != nil:
		return fmt.Errorf("comparing journals: %w", cause)
	case err != nil:
		return err
	case len(journal.Between(s.manifest, now, "", "")) > 0:
		return fmt.Errorf("comparing journals: %s was replaced while it was read: compare again", s.Path)
	}
	s.Torn = torn
	return nil
}

// add takes an entry.
func (j *joiner) add(side int, e journal.Score) error {
	at, ok := j.rows[e.Key]
	switch {
	case !ok && side == 0:
		at = int32(len(j.list))
		j.rows[e.Key] = at
		j.list = append(j.list, row{key: e.Key})
	case !ok:
		j.rows[e.Key] = -1
		j.onlyB++
	case at < 0 || j.list[at].in[side]:
		return journal.Twice(e.Key)
	}
	s := &j.sides[side]
	s.Entries++
	rated := len(e.Values) > 0
	if rated {
		s.Rated++
	} else {
		s.Unrated[e.Status]++
	}
	if at < 0 || !ok && side == 1 {
		return nil
	}
	r := &j.list[at]
	r.in[side], r.rated[side], r.index[side] = true, rated, int32(e.Index)
	if !rated {
		return nil
	}
	if side == 0 {
		r.numbers = int32(len(j.numbers) / (2 * len(j.groups)))
	} else {
		r.otherNumbers = int32(len(j.numbers) / (2 * len(j.groups)))
	}
	for _, g := range j.groups {
		value, off := slices.Min(e.Values), slices.Max(e.OffScale)
		if k := g.at[side]; k >= 0 {
			value, off = e.Values[k], e.OffScale[k]
		}
		j.numbers = append(j.numbers, value, off)
	}
	return nil
}

// join counts records and returns those with two ratings, by A's index.
func (j *joiner) join(n *Joined) []row {
	n.OnlyB = j.onlyB
	compared := make([]row, 0, len(j.list))
	for _, r := range j.list {
		switch {
		case !r.in[1]:
			n.OnlyA++
			continue
		case r.rated[0] && r.rated[1]:
			n.Compared++
			compared = append(compared, r)
		case r.rated[0]:
			n.UnratedB++
		case r.rated[1]:
			n.UnratedA++
		default:
			n.UnratedBoth++
		}
		n.Both++
	}
	slices.SortFunc(compared, func(a, b row) int {
		return cmp.Or(cmp.Compare(a.index[0], b.index[0]), bytes.Compare(a.key[:], b.key[:]))
	})
	return compared
}

// column returns the numbers of a group.
func (j *joiner) column(rows []row, group int) pairing {
	var p pairing
	for side := range p.value {
		p.value[side], p.off[side] = make([]float64, len(rows)), make([]float64, len(rows))
	}
	for i, r := range rows {
		for side, at := range [...]int32{r.numbers, r.otherNumbers} {
			n := j.numbers[(int(at)*len(j.groups)+group)*2:]
			p.value[side][i], p.off[side][i] = n[0], n[1]
		}
	}
	p.key = func(i int) record.Key { return rows[i].key }
	return p
}

// texts looks up what is listed.
func (j *joiner) texts(list []Difference, open func() (record.Source, error)) error {
	if open == nil || len(list) == 0 {
		return nil
	}
	at := map[record.Key]int{}
	for i, d := range list {
		at[d.Key] = i
	}
	errAll := errors.New("all found")
	_, err := each(open, 0, func(turns []*record.Record) error {
		if err := context.Cause(j.ctx); err != nil {
			return fmt.Errorf("comparing journals: %w", err)
		}
		for _, rec := range turns {
			if i, ok := at[rec.Key]; ok {
				list[i].Found, list[i].Instruction, list[i].Response = true, rec.Instruction, rec.Response
				delete(at, rec.Key)
			}
		}
		if len(at) == 0 {
			return errAll
		}
		return nil
	})
	if errors.Is(err, errAll) {
		return nil
	}
	return err
}
