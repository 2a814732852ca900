package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func FuzzReader(f *testing.F) {
	for _, s := range slices.Concat(valuesOfAllKinds, chats, []string{good}) {
		f.Add([]byte("[" + s + ",\n" + good + "]\n"))
		f.Add([]byte(good + "\n" + s + "\r\n" + good))
	}
	for _, s := range []string{"", "[", "[]", "[ ]]", "\xef\xbb\xbf[{}]", "[{]}", `[{"a":[}]`, `["a]`, "{\n}", "{}\n\x00", "[{},]", "[1 2]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r := NewReader(bytes.NewReader(src), "data", Options{MaxBytes: 1 << 16})
		recs, err := readAll(r)
		checkTurnOrder(t, recs)
		records := firstTurns(recs)
		at := 0
		for i, rec := range records {
			n := bytes.Index(src[at:], rec.Raw)
			if n < 0 || len(rec.Raw) == 0 {
				t.Fatalf("record %d, %q, is not in %q from byte %d on", i, rec.Raw, src, at)
			}
			at += n + len(rec.Raw)
			if rec.Index != i || rec.Line > 1+bytes.Count(src[:at-len(rec.Raw)], []byte{'\n'}) {
				t.Fatalf("record %d has index %d and line %d", i, rec.Index, rec.Line)
			}
			if bad := rec.Fault != nil && rec.Fault.Status == BadJSON; bad == json.Valid(rec.Raw) {
				t.Fatalf("record %q: fault %v", rec.Raw, rec.Fault)
			}
		}
		slow, slowErr := readAll(NewReader(iotest.HalfReader(bytes.NewReader(src)), "data", Options{MaxBytes: 1 << 16}))
		if len(slow) != len(recs) || fmt.Sprint(slowErr) != fmt.Sprint(err) {
			t.Fatalf("%d records, error %v at once; %d, error %v in pieces", len(recs), err, len(slow), slowErr)
		}
		checkArray(t, bytes.TrimPrefix(src, []byte("\xef\xbb\xbf")), records, err)
		if err == nil && r.Shape().Array {
			checkCopy(t, r.Shape(), recs)
		}
	})
}

// firstTurns returns one Record a record.
func firstTurns(recs []*Record) []*Record {
	return slices.DeleteFunc(slices.Clone(recs), func(rec *Record) bool { return rec.Turn > 0 })
}

// checkTurnOrder checks that the turns of a conversation come one after another,
// and that what can be rated has the key of its texts.
func checkTurnOrder(t *testing.T, recs []*Record) {
	t.Helper()
	last := &Record{Turns: 1, Index: -1}
	for i, rec := range recs {
		if last.Last() {
			last = &Record{Turn: -1, Index: last.Index + 1, Raw: rec.Raw, Turns: rec.Turns}
		}
		if rec.Index != last.Index || rec.Turn != last.Turn+1 || rec.Turns != last.Turns || !bytes.Equal(rec.Raw, last.Raw) {
			t.Fatalf("record %d is turn %d of %d of record %d, behind turn %d of %d of record %d", i, rec.Turn, rec.Turns, rec.Index, last.Turn, last.Turns, last.Index)
		}
		if rec.Fault == nil && rec.Key != contentKey(rec.Instruction, rec.Input, rec.Response) {
			t.Fatalf("record %d: the key is not that of its texts", i)
		}
		last = rec
	}
	if !last.Last() {
		t.Fatalf("the last turn is %d of %d", last.Turn, last.Turns)
	}
}

// checkArray compares with encoding/json if src is a valid array.
func checkArray(t *testing.T, src []byte, recs []*Record, err error) {
	t.Helper()
	if bytes.Count(src, []byte{'['})+bytes.Count(src, []byte{'{'}) >= maxDepth {
		return // the array itself takes one of the levels that encoding/json allows
	}
	var want []json.RawMessage
	if json.Unmarshal(src, &want) != nil || want == nil {
		if err == nil && len(src) > 0 && strings.TrimLeft(string(src), space)[0] == '[' {
			for _, rec := range recs {
				if rec.Fault != nil && rec.Fault.Status == BadJSON {
					return
				}
			}
			t.Fatalf("%q is not an array, but was read without a fault", src)
		}
		return
	}
	for _, w := range want {
		if len(w) > 1<<16 {
			return
		}
	}
	if err != nil || len(recs) != len(want) {
		t.Fatalf("%q: %d records, error %v; want %d", src, len(recs), err, len(want))
	}
	for i, rec := range recs {
		if !bytes.Equal(rec.Raw, want[i]) {
			t.Fatalf("%q: record %d is %q, want %q", src, i, rec.Raw, want[i])
		}
	}
}

// checkCopy writes the records and reads them again.
func checkCopy(t *testing.T, shape Shape, recs []*Record) {
	t.Helper()
	var out bytes.Buffer
	w := shape.newWriter(&out)
	for _, rec := range firstTurns(recs) {
		if err := w.write(rec.Raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := readAll(NewReader(&out, "copy", Options{MaxBytes: 1 << 16}))
	if err != nil || len(again) != len(recs) {
		t.Fatalf("the copy of %d records has %d, error %v", len(recs), len(again), err)
	}
	for i := range again {
		if !bytes.Equal(again[i].Raw, recs[i].Raw) || again[i].Key != recs[i].Key {
			t.Fatalf("record %d is %q in the copy, was %q", i, again[i].Raw, recs[i].Raw)
		}
	}
}

func BenchmarkReader(b *testing.B) {
	rec := "    {\n        \"instruction\": \"Rewrite the sentence so that it is shorter.\",\n        \"input\": \"" + strings.Repeat("There are \\\"many\\\" words in it. ", 4) +
		"\",\n        \"output\": \"" + strings.Repeat("It has many words.\\n", 10) + "\"\n    }"
	const records = 1000
	src := "[\n" + strings.Repeat(rec+",\n", records-1) + rec + "\n]\n"
	b.SetBytes(int64(len(src)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(strings.NewReader(src), "data.json", Options{})
		recs := 0
		for {
			if _, err := r.Next(); err != nil {
				break
			}
			recs++
		}
		if recs != records {
			b.Fatalf("%d records, want %d", recs, records)
		}
	}
	b.ReportMetric(float64(records*b.N)/b.Elapsed().Seconds(), "records/s")
}
