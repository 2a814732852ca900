// Command pipeline measures everything of a grading run but the model: from the
// file through reading, batching and rating to the journal, with an engine that
// answers at once; and the opening of that journal by a run that goes on. It grades a
// tenth of the records first, so that it shows how time and memory grow.
//
//	go run ./bench/pipeline -records 1000000
//
// It prints one JSON object: of several repeats, the one whose growth of time is
// the median.
package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// result is what is printed.
type result struct {
	Cores      int       `json:"cores"`
	Tenth      run       `json:"tenth"`
	Whole      run       `json:"whole"`
	TimeGrowth float64   `json:"time_growth"`           // whole ÷ tenth
	Growths    []float64 `json:"time_growths"`          // of all repeats, in order of size
	HeapGrowth float64   `json:"heap_bytes_per_record"` // for each record that whole has more than tenth
}

// run is one grading run.
type run struct {
	Records    int                `json:"records"`
	Bytes      int64              `json:"bytes"`
	Seconds    float64            `json:"seconds"`
	RecordRate float64            `json:"records_per_s"`
	Fill       float64            `json:"packing_fill"`
	Busy       map[string]float64 `json:"busy_s"`
	Heap       uint64             `json:"heap_bytes"`        // in use when the last record is settled
	PeakRSS    int64              `json:"peak_rss_bytes"`    // of the process until then
	Reopen     float64            `json:"reopen_s"`          // opening the journal again
	ReopenHeap int64              `json:"reopen_heap_bytes"` // that the open journal keeps
}

func main() {
	records := flag.Int("records", 100_000, "grade `N` records")
	repeats := flag.Int("repeats", 1, "measure `N` times")
	flag.Parse()
	if flag.NArg() > 0 || *records < 10 || *repeats < 1 {
		fmt.Fprintln(os.Stderr, "usage: pipeline [-records N] [-repeats N], at least 10 records and 1 repeat")
		os.Exit(2)
	}
	r, err := median(*records, *repeats)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "pipeline:", err)
	os.Exit(1)
}

// median measures several times and returns the result in the middle.
func median(n, repeats int) (result, error) {
	var all []result
	for range repeats {
		dir, err := os.MkdirTemp("", "winnow-pipeline-")
		if err != nil {
			return result{}, err
		}
		r, err := measure(dir, n)
		if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
			return result{}, err
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b result) int { return cmp.Compare(a.TimeGrowth, b.TimeGrowth) })
	r := all[len(all)/2]
	for _, one := range all {
		r.Growths = append(r.Growths, one.TimeGrowth)
	}
	return r, nil
}

// measure grades n records, and before that a tenth of them. Its files are in dir.
func measure(dir string, n int) (r result, err error) {
	r.Cores = runtime.GOMAXPROCS(0)
	if r.Tenth, err = gradeAndReopen(dir, n/10); err != nil {
		return r, err
	}
	if r.Whole, err = gradeAndReopen(dir, n); err != nil {
		return r, err
	}
	r.TimeGrowth = r.Whole.Seconds / r.Tenth.Seconds
	r.HeapGrowth = (float64(r.Whole.Heap) - float64(r.Tenth.Heap)) / float64(n-n/10)
	return r, nil
}

// paths returns where the file of n records is and where their journal.
func paths(dir string, n int) (data, scores string) {
	stem := filepath.Join(dir, fmt.Sprint(n))
	return stem + ".json", stem + ".jsonl"
}

// gradeAndReopen grades n records and then opens their journal as a run does that
// goes on.
func gradeAndReopen(dir string, n int) (run, error) {
	r, err := grade(dir, n)
	if err != nil {
		return r, err
	}
	_, scores := paths(dir, n)
	before, start := heapInUse(), time.Now()
	j, err := journal.Open(scores, instant{}.Manifest())
	if err != nil {
		return r, err
	}
	r.Reopen = time.Since(start).Seconds()
	r.ReopenHeap = int64(heapInUse()) - int64(before)
	if j.Len() != n {
		err = fmt.Errorf("the journal has %d entries of %d records", j.Len(), n)
	}
	return r, errors.Join(err, j.Close())
}

// grade writes a file of n records and grades it.
func grade(dir string, n int) (r run, err error) {
	data, scores := paths(dir, n)
	if err := writeRecords(data, n); err != nil {
		return r, err
	}
	info, err := os.Stat(data)
	if err != nil {
		return r, err
	}
	src, err := record.Open(data, record.Options{})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	var e instant
	j, err := journal.Open(scores, e.Manifest())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	var heap uint64
	var took float64 // without the time that looking at the heap takes
	settled := func(p grader.Progress) {
		if p.Done < n || heap > 0 {
			return
		}
		took = p.Took.Seconds()
		heap = heapInUse() // while the run still holds all that it keeps of records
	}
	done, err := grader.Grade(context.Background(), src, e, j, j, grader.GradeOptions{MaxOffScale: 1, Progress: settled})
	if err != nil {
		return r, err
	}
	if done.Rated != n {
		return r, fmt.Errorf("%d entries for %d records", done.Rated, n)
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, err
	}
	s := done.Stages
	return run{
		Records: n, Bytes: info.Size(), Seconds: took, RecordRate: float64(n) / took,
		Fill: float64(done.Tokens) / float64(done.Passes*e.Capacity().Tokens),
		Busy: map[string]float64{
			"read": s.Read.Seconds(), "encode": s.Encode.Seconds(), "pack": s.Pack.Seconds(), "write": s.Write.Seconds(),
		},
		Heap:    heap,
		PeakRSS: usage.Maxrss << 10, // Linux counts KiB
	}, nil
}

// heapInUse returns the bytes of what is reachable.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// writeRecords writes a JSON array of n different records of about the size of
// Alpaca's, 408 bytes on average.
func writeRecords(path string, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	text := strings.Repeat("Plants take light, water and air, and make sugar of them. ", 20)
	sep := "[\n"
	for i := range n {
		if _, err := fmt.Fprintf(w, "%s  {\n    \"instruction\": \"Explain in your own words what number %d is about.\",\n    \"input\": \"%s\",\n    \"output\": \"%s\"\n  }",
			sep, i, text[:i*7%3*20], text[:20+i*37%500]); err != nil {
			return err
		}
		sep = ",\n"
	}
	if _, err := w.WriteString("\n]\n"); err != nil {
		return err
	}
	return w.Flush()
}

// instant is an engine that costs next to nothing.
type instant struct{}

func (instant) Manifest() journal.Manifest {
	s := instantScale
	return journal.Manifest{
		Model:    journal.Model{Name: "instant", SHA256: "00", Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "instant", SHA256: "00"}},
		Scale:    journal.Scale{Strings: s.Strings, Values: s.Values},
		Template: journal.Template{Source: "plain", SHA256: "00"},
		Runtime:  journal.Runtime{Engine: "instant", Device: "CPU"},
	}
}

// instantScale is 0 to 5 by halves.
var instantScale = scale()

func scale() (s rating.Scale) {
	for i := range 11 {
		s.Strings = append(s.Strings, fmt.Sprint(float64(i)/2))
		s.Values = append(s.Values, float64(i)/2)
	}
	return s
}

func (instant) Encode(rec *record.Record, p *grader.Prompt) error {
	n := 60 + (len(rec.Instruction)+len(rec.Input)+len(rec.Response))/4
	p.Tokens = p.Tokens[:0]
	for i := range n {
		p.Tokens = append(p.Tokens, int32(rec.Key[i%len(rec.Key)]))
	}
	p.Size, p.Total, p.Cut = n+10, n+50, 0
	return nil
}

func (instant) Capacity() grader.Capacity { return grader.Capacity{Tokens: 2048, Prompts: 51} }

func (instant) Rate(_ context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	var probs [11]float64
	for i, p := range batch {
		sum := 64.0
		for k := range probs {
			probs[k] = 1 + float64(p.Tokens[k])
			sum += probs[k]
		}
		for k := range probs {
			probs[k] /= sum
		}
		if cap(out[i].Ratings) == 0 {
			out[i].Ratings = make([]rating.Rating, 1)
		}
		out[i].Ratings = out[i].Ratings[:1]
		if err := out[i].Ratings[0].Set(instantScale, probs[:]); err != nil {
			return w, err
		}
	}
	return w, nil
}

func (instant) Close() error { return nil }
