package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"winnow/kernels"
)

// numbers is a case whose forms return what they are told to.
func numbers(forms ...form) subject {
	return subject{op: "count", name: "three", make: func(*kernels.Device) (*job, error) {
		return &job{
			shape: map[string]any{"n": 3}, bytes: 24, operations: 6, floats: true, forms: forms,
			digest: func(result any) uint64 {
				d := newDigester()
				d.ints(result.([]int32))
				return d.sum
			},
			check: func(_ form, got, first any) (string, error) {
				if got.([]int32)[0] != first.([]int32)[0] {
					return "", errors.New("another number")
				}
				return "equal", nil
			},
			dump: func(d *dumper, result any) error {
				d.param["limit"] = 0.5
				return array(d, "numbers", result.([]int32), 1, 3)
			},
		}, nil
	}}
}

// returns gives results one after the other, the last one for ever.
func returns(results ...int32) func() (any, error) {
	return func() (any, error) {
		x := results[0]
		if len(results) > 1 {
			results = results[1:]
		}
		return []int32{x, 1, 2}, nil
	}
}

// newReport returns a report into buffers.
func newReport() (r *report, table, lines *bytes.Buffer) {
	table, lines = new(bytes.Buffer), new(bytes.Buffer)
	return &report{machine: machine{Cores: 2}, table: newTable(table), lines: json.NewEncoder(lines), talk: io.Discard}, table, lines
}

func TestMeasure(t *testing.T) {
	r, table, lines := newReport()
	d, err := newDumper(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	threads := 0
	s := settings{repeats: 3, limit: time.Minute}
	err = r.measure(numbers(
		form{name: "reference", threads: 1, run: returns(7)},
		form{name: "fast", run: func() (any, error) { threads = runtime.GOMAXPROCS(0); return returns(7)() }},
		form{name: "slow", once: true, part: 0.5, note: "half", run: returns(7)},
	), nil, s, d)
	if err != nil {
		t.Fatal(err)
	}
	if threads != 2 {
		t.Errorf("the form ran on %d threads, want 2", threads)
	}
	var rows []row
	for dec := json.NewDecoder(lines); dec.More(); {
		var m row
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, m)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3", len(rows))
	}
	for i, want := range []row{{Form: "reference", Threads: 1, Repeats: 3}, {Form: "fast", Threads: 2, Repeats: 3}, {Form: "slow", Threads: 2, Repeats: 1, Part: 0.5}} {
		m := rows[i]
		if m.Op != "count" || m.Form != want.Form || m.Threads != want.Threads || m.Repeats != want.Repeats || m.Part != want.Part ||
			m.Check != "equal" || m.Digest != rows[0].Digest || !(m.BestS > 0) || !(m.MedianS >= m.BestS) || !(m.BytesPerS > 0) {
			t.Errorf("row %d is %+v", i, m)
		}
	}
	if m := rows[2]; m.ScaledS != 2*m.BestS || m.BytesPerS != 12/m.BestS || m.Note != "half" {
		t.Errorf("the form that does half: %+v", m)
	}
	for _, want := range []string{"count: three", "fast, 2 threads (equal)", "from 0.5 of the work"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(d.dir, "cases.jsonl"))
	if want := `{"case":"three","files":{"numbers":"0-numbers.npy"},"op":"count","parameters":{"limit":0.5},"shape":{"n":3}}`; err != nil || strings.TrimSpace(string(text)) != want {
		t.Errorf("cases %s, %v, want %s", text, err, want)
	}
}

// A wrong result is told and fails the run, and so does one that changes.
func TestMeasureFindsWrongResults(t *testing.T) {
	s := settings{repeats: 3, limit: time.Minute}
	r, table, _ := newReport()
	err := r.measure(numbers(form{name: "a", run: returns(7)}, form{name: "b", run: returns(8)}, form{name: "c", run: returns(7)}), nil, s, nil)
	if !errors.Is(err, errWrong) || !strings.Contains(err.Error(), "b: wrong result: another number") {
		t.Errorf("a form that differs: error %v", err)
	}
	if !strings.Contains(table.String(), "failed: another number") || !strings.Contains(table.String(), " c, ") {
		t.Errorf("the table does not tell of the difference, or the forms behind it are missing:\n%s", table)
	}
	r, _, _ = newReport()
	err = r.measure(numbers(form{name: "a", run: returns(7, 7, 7, 9)}), nil, s, nil)
	if !errors.Is(err, errWrong) || !strings.Contains(err.Error(), "the digest of repeat") {
		t.Errorf("a form whose results change: error %v", err)
	}
	broken := errors.New("broken")
	err = r.measure(numbers(form{name: "a", run: func() (any, error) { return nil, broken }}), nil, s, nil)
	if !errors.Is(err, broken) || errors.Is(err, errWrong) {
		t.Errorf("a form that fails: error %v", err)
	}
}

func TestNpyHeader(t *testing.T) {
	for _, shape := range [][]int{{}, {0}, {5}, {52_000, 256}, {1, 2, 3, 4}} {
		h := npyHeader("<f4", shape)
		if len(h)%64 != 0 || !bytes.HasPrefix(h, []byte("\x93NUMPY\x01\x00")) || h[len(h)-1] != '\n' || int(binary.LittleEndian.Uint16(h[8:])) != len(h)-10 {
			t.Errorf("%v: %q", shape, h)
		}
	}
	if h := string(npyHeader("<u8", []int{5})); !strings.Contains(h, "{'descr': '<u8', 'fortran_order': False, 'shape': (5,), }") {
		t.Errorf("%q", h)
	}
}

// The command line's faults are told before anything is measured.
func TestParse(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"-repeats", "0"}, {"-case", "("}, {"-unknown"}} {
		if _, err := parse(args, io.Discard); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
	s, err := parse([]string{"-op", "minhash", "-case", "bands", "-repeats", "2"}, io.Discard)
	if err != nil || s.op != "minhash" || !s.pattern.MatchString("16 bands of 8") || s.repeats != 2 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, flag := range []string{"-1", "first"} {
		if _, _, err := openDevice(flag); err == nil {
			t.Errorf("device %q is accepted", flag)
		}
	}
	if err := run(settings{op: "none", pattern: regexp.MustCompile("")}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "-list") {
		t.Errorf("an unknown operation: %v", err)
	}
}

// Every operation has a case, and no two have the same name.
func TestSubjects(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range subjects() {
		if seen[s.op+s.name] || s.name == "" {
			t.Errorf("%s: case %q twice or without a name", s.op, s.name)
		}
		seen[s.op+s.name], seen[s.op] = true, true
	}
	for _, op := range []string{"kcenter", "cosine", "logprob", "minhash"} {
		if !seen[op] {
			t.Errorf("%s has no case to measure", op)
		}
	}
}
