// Command selection measures how different from one another the records are that several
// ways of choosing pick by the same ratings, and how long they take. No model is needed.
//
//	go run ./bench/selection -data DATA -scores SCORES -top 2000
//	go run ./bench/selection -data DATA -top 2000
//
// Without scores each record has a made-up rating from 0 to 5 that depends on its texts and
// -seed. It prints a line of JSON for each way: deita, k-center, k-center-quota (the form
// that quotas need, with one that never binds), top-rating and random.
package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"syscall"
	"time"

	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/selection"
)

// result is what is printed of one way.
type result struct {
	Kind       string  `json:"kind"` // selection
	Way        string  `json:"way"`
	Candidates int     `json:"candidates"` // rated records
	Picks      int     `json:"picks"`
	Threshold  float64 `json:"threshold,omitempty"`   // of deita
	Distance   float64 `json:"mean_nearest_distance"` // of a pick to the nearest other one, Euclidean, 0 to 2
	Cosine     float64 `json:"mean_nearest_cosine"`   // of a pick to the most similar other one
	Alike      int     `json:"alike"`                 // picks of which that is above 0.9
	Rating     float64 `json:"mean_rating"`
	MadeUp     bool    `json:"made_up_ratings"`
	Seconds    float64 `json:"seconds"`      // of making vectors and picking, without reading
	UserS      float64 `json:"user_seconds"` // likewise, of all cores
}

// alike is the cosine from which on picks are counted as alike.
const alike = 0.9

func main() {
	path := flag.String("data", "", "data `FILE`")
	scores := flag.String("scores", "", "scores `FILE`; without it ratings are made up")
	top := flag.Int("top", 2000, "pick `N` records")
	threshold := flag.Float64("threshold", selection.DefaultThreshold, "greatest `cosine` of deita")
	seed := flag.Uint64("seed", 1, "`seed` of random picks and made-up ratings")
	flag.Parse()
	if *path == "" || flag.NArg() > 0 || *top < 1 {
		fmt.Fprintln(os.Stderr, "usage: selection -data FILE [-scores FILE] [-top N] [-threshold T] [-seed N]")
		os.Exit(2)
	}
	s, err := load(*path, *scores, *seed)
	if err == nil {
		err = s.measure(os.Stdout, *top, *threshold, *seed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "selection:", err)
		os.Exit(1)
	}
}

// set is the records that may be picked.
type set struct {
	scale  rating.Scale
	list   []selection.Candidate
	madeUp bool
}

// load reads the rated records of a file.
func load(path, scores string, seed uint64) (s *set, err error) {
	s = &set{scale: rating.Scale{Strings: []string{"0", "5"}, Values: []float64{0, 5}}, madeUp: scores == ""}
	var index *journal.Index
	if scores != "" {
		if _, index, err = journal.Read(scores); err != nil {
			return nil, err
		}
		s.scale = index.Scale()
	}
	src, err := data.Open([]string{path}, data.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		value := madeUpRating(rec.Key, seed)
		if index != nil {
			e, _ := index.Lookup(rec.Key)
			value = e.Value()
		}
		if rec.Fault != nil || math.IsNaN(value) {
			continue
		}
		s.list = append(s.list, selection.Candidate{
			Key: rec.Key, Texts: [3]string{rec.Instruction, rec.Input, rec.Response}, Rating: value, Worth: value,
			Values: []string{""}, File: rec.File, Line: rec.Line, Index: rec.Index,
		})
	}
	if len(s.list) < 2 {
		return nil, fmt.Errorf("%s has %d rated records: want 2 or more", path, len(s.list))
	}
	return s, nil
}

// madeUpRating is a number from 0 to 5 that says nothing of a record.
func madeUpRating(key record.Key, seed uint64) float64 {
	return 5 * float64(key.Lot("made-up rating", seed)>>11) / (1 << 53)
}

// measure prints the line of each way.
func (s *set) measure(w io.Writer, top int, threshold float64, seed uint64) error {
	picker, err := s.picker(selection.Options{Rule: selection.KCenter, N: top})
	if err != nil {
		return err
	}
	out := json.NewEncoder(w)
	print := func(way string, picks []int, seconds, user float64) error {
		r := result{Kind: "selection", Way: way, Candidates: len(s.list), Picks: len(picks), MadeUp: s.madeUp, Seconds: seconds, UserS: user}
		if way == string(selection.Deita) {
			r.Threshold = threshold
		}
		r.Distance, r.Cosine, r.Alike = spread(picker, picks)
		for _, n := range picks {
			r.Rating += s.list[n].Rating / float64(len(picks))
		}
		return out.Encode(r)
	}
	quota := []selection.Quota{{Field: "none", Each: top}}
	for _, rule := range []struct {
		way string
		o   selection.Options
	}{
		{"deita", selection.Options{Rule: selection.Deita, N: top, Threshold: threshold}},
		{"k-center", selection.Options{Rule: selection.KCenter, N: top}},
		{"k-center-quota", selection.Options{Rule: selection.KCenter, N: top, Quotas: quota}},
	} {
		began, user := time.Now(), userSeconds()
		p, err := s.picker(rule.o)
		if err != nil {
			return err
		}
		picks, err := p.Pick(context.Background(), nil)
		if err != nil {
			return err
		}
		if err := print(rule.way, picks.Records(), time.Since(began).Seconds(), userSeconds()-user); err != nil {
			return err
		}
	}
	rating := s.first(top, func(a, b int) int { return cmp.Compare(s.list[b].Rating, s.list[a].Rating) })
	if err := print("top-rating", rating, 0, 0); err != nil {
		return err
	}
	lots := make([]uint64, len(s.list))
	for i, c := range s.list {
		lots[i] = c.Key.Lot("random pick", seed)
	}
	return print("random", s.first(top, func(a, b int) int { return cmp.Compare(lots[a], lots[b]) }), 0, 0)
}

// first returns the first n records in an order; of equal ones that with the least key.
func (s *set) first(n int, order func(a, b int) int) []int {
	all := make([]int, len(s.list))
	for i := range all {
		all[i] = i
	}
	slices.SortFunc(all, func(a, b int) int {
		return cmp.Or(order(a, b), bytes.Compare(s.list[a].Key[:], s.list[b].Key[:]), cmp.Compare(a, b))
	})
	return all[:min(n, len(all))]
}

func (s *set) picker(o selection.Options) (*selection.Picker, error) {
	p, err := selection.New(s.scale, o)
	if err != nil {
		return nil, err
	}
	for _, c := range s.list {
		p.Add(c)
	}
	return p, nil
}

// spread returns the means, over the picks, of the distance to the nearest other one and of
// the cosine to it, and how many have one that is alike.
func spread(p *selection.Picker, picks []int) (distance, similarity float64, close int) {
	if len(picks) < 2 {
		return 0, 0, 0
	}
	for i, n := range picks {
		nearest, a := -1.0, p.Vector(n)
		for k, m := range picks {
			if k != i {
				nearest = max(nearest, dot(a, p.Vector(m)))
			}
		}
		if nearest > alike {
			close++
		}
		similarity += nearest
		distance += math.Sqrt(max(0, 2-2*nearest))
	}
	return distance / float64(len(picks)), similarity / float64(len(picks)), close
}

// dot is the cosine of two vectors of length 1.
func dot(a, b []float32) float64 {
	var s0, s1, s2, s3 float32
	for i := 0; i+4 <= len(a) && i+4 <= len(b); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	return float64(s0 + s1 + (s2 + s3))
}

// userSeconds is the time that all threads of the process have computed.
func userSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return math.NaN()
	}
	return float64(usage.Utime.Sec) + float64(usage.Utime.Usec)/1e6
}
