// Command dedup measures how long it takes to find the near duplicates of a data
// file and how much memory: reading, hashing and comparing, without a model.
//
//	go run ./bench/dedup DATA
//	go run ./bench/dedup -records 1000000
//
// Without ratings, records are taken as equally good, so the first of several
// that are alike stays. It prints one JSON object.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"winnow/grader/data"
	"winnow/grader/dedup"
	"winnow/grader/record"
)

// result is what is printed.
type result struct {
	Records    int     `json:"records"`
	TextBytes  int     `json:"text_bytes"` // of instructions, inputs and responses
	Cores      int     `json:"cores"`
	Mode       string  `json:"mode"`
	Threshold  float64 `json:"threshold,omitempty"` // it and what follows of near alone
	Bands      int     `json:"bands,omitempty"`
	Rows       int     `json:"rows,omitempty"`
	Seconds    float64 `json:"seconds"`          // of all
	AddSeconds float64 `json:"read_and_hash_s"`  // of reading and hashing
	FindS      float64 `json:"find_s"`           // of finding and comparing
	Heap       uint64  `json:"heap_bytes"`       // in use before finding begins
	PerRecord  float64 `json:"heap_per_record"`  // the same, each
	PeakRSS    int64   `json:"peak_rss_bytes"`   // of the process
	Compared   int     `json:"pairs_compared"`   // shingle by shingle
	Duplicates int     `json:"duplicates"`       // found
	Same       int     `json:"duplicates_equal"` // of them those with the same texts
}

func main() {
	mode := flag.String("mode", string(dedup.Near), "`exact|near`")
	threshold := flag.Float64("threshold", dedup.DefaultThreshold, "least `similarity` of a near duplicate")
	limit := flag.Int("limit", 0, "only the first `N` records of DATA; 0 for all")
	made := flag.Int("records", 0, "instead of DATA, `N` records of about Alpaca's size, a tenth of which repeat another one with a few words changed")
	flag.Parse()
	o := dedup.Options{Mode: dedup.Mode(*mode), Threshold: *threshold}
	if err := o.Validate(); err != nil || !o.On() || (*made > 0) == (flag.NArg() == 1) || flag.NArg() > 1 || *limit < 0 || *made < 0 {
		fmt.Fprintln(os.Stderr, "usage: dedup [-mode exact|near] [-threshold J] [-limit N] DATA, or -records N instead of DATA")
		if err != nil {
			fmt.Fprintln(os.Stderr, "dedup:", err)
		}
		os.Exit(2)
	}
	r, err := run(o, *made, *limit, flag.Arg(0))
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dedup:", err)
		os.Exit(1)
	}
}

// run measures the records of a file, or made ones if it is given their number.
func run(o dedup.Options, made, limit int, path string) (r result, err error) {
	next := maker(made)
	if made == 0 {
		src, err := data.Open([]string{path}, data.Options{})
		if err != nil {
			return r, err
		}
		defer func() { err = errors.Join(err, src.Close()) }()
		next = src.Next
	}
	return measure(o, limit, next)
}

// measure takes records from next until io.EOF.
func measure(o dedup.Options, limit int, next func() (*record.Record, error)) (r result, err error) {
	b, err := dedup.New(o)
	if err != nil {
		return r, err
	}
	r.Cores, r.Mode = runtime.GOMAXPROCS(0), string(o.Mode)
	if o.Mode == dedup.Near {
		r.Threshold = o.Threshold
		_, r.Bands, r.Rows = o.Recall(1)
	}
	began := time.Now()
	for limit == 0 || r.Records < limit {
		rec, err := next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, err
		}
		r.Records++
		r.TextBytes += len(rec.Instruction) + len(rec.Input) + len(rec.Response)
		b.Add(rec, rec.Key, rec.Fault == nil, 0)
	}
	r.AddSeconds = time.Since(began).Seconds()
	r.Heap = heapInUse()
	if r.Records > 0 {
		r.PerRecord = float64(r.Heap) / float64(r.Records)
	}
	finding := time.Now()
	found := b.Resolve()
	r.FindS = time.Since(finding).Seconds()
	r.Seconds = r.AddSeconds + r.FindS // looking at the heap takes time of its own
	r.Compared, r.Duplicates = found.Compared(), found.Len()
	for n := range found.All() {
		if d, _ := found.Lookup(n); d.Same {
			r.Same++
		}
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return r, err
	}
	r.PeakRSS = usage.Maxrss << 10 // Linux counts KiB
	return r, nil
}

// heapInUse returns the bytes of what is reachable.
func heapInUse() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// maker returns a source of n records of 20 to 110 words, the kth of which is about
// as frequent as 1/k says, as in a language. Each tenth record repeats one of the
// last thousand with up to two words changed.
func maker(n int) func() (*record.Record, error) {
	random := rand.New(rand.NewPCG(1, 1))
	word := func() string {
		return fmt.Sprintf("w%x", int(math.Pow(20_000, random.Float64())))
	}
	var recent [1000][]string
	made := 0
	return func() (*record.Record, error) {
		if made == n {
			return nil, io.EOF
		}
		words := make([]string, 20+random.IntN(91))
		for i := range words {
			words[i] = word()
		}
		if old := recent[random.IntN(len(recent))]; made%10 == 9 && old != nil {
			words = append(words[:0], old...)
			for range random.IntN(3) {
				words[random.IntN(len(words))] = word()
			}
		}
		recent[made%len(recent)] = words
		text := strings.Join(words, " ")
		split := strings.IndexByte(text[len(text)/5:], ' ') + len(text)/5
		rec := &record.Record{Index: made, File: "made", Line: made + 1, Turns: 1, Instruction: text[:split], Response: text[split+1:]}
		for i := range rec.Key {
			rec.Key[i] = byte(random.Uint32())
		}
		made++
		return rec, nil
	}
}
