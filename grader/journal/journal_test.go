package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/rating"
	"winnow/grader/record"
)

func testScale() rating.Scale {
	return rating.Scale{Strings: []string{"0", "1", "2.5", `"ü`}, Values: []float64{0, 1, 2.5, 5}}
}

func testManifest() Manifest {
	return Manifest{
		Kind: "manifest", Version: 1,
		Model:    Model{"a.gguf", strings.Repeat("ab", 32), "F16"},
		Rubric:   Rubric{"accuracy", strings.Repeat("cd", 32)},
		Scale:    Scale(testScale()),
		Template: Template{"gguf", strings.Repeat("ef", 32)},
		Runtime:  Runtime{"llama.cpp", "CPU"},
		Settings: map[string]string{"ctx_size": "512", "flash_attn": "on", "a<b": "é"},
	}
}

// rated makes an entry of made-up probabilities.
func rated(t interface{ Fatal(...any) }, n int, p ...float64) Entry {
	r, err := rating.FromProbs(testScale(), p)
	if err != nil {
		t.Fatal(err)
	}
	return Entry{Key: testKey(n), Index: n, Status: record.OK, Rating: &r, Tokens: 100 + n}
}

func testKey(n int) record.Key { return record.Key{byte(n >> 16), byte(n >> 8), byte(n), 0xff} }

// someEntries has one entry of each form.
func someEntries(t *testing.T) []Entry {
	cut := rated(t, 3, 1e-9, 0, 0, 0.999)
	cut.Cut = 17
	return []Entry{
		rated(t, 0, 0.1, 0.2, 0.3, 0.4),
		{Key: testKey(1), Index: 1, Status: record.TooLong, Reason: "9000 tokens, at most 4096", Tokens: 9000},
		{Key: testKey(2), Index: 2, Status: "of_a_later_version", Reason: "\"<é\\\n\u2028\x7f"},
		cut,
	}
}

// rounded is e as a journal keeps it.
func rounded(e Entry) Entry {
	e.Reason = strings.ToValidUTF8(e.Reason, "\ufffd")
	if e.Rating == nil {
		return e
	}
	round := func(x float64) float64 {
		x, _ = strconv.ParseFloat(string(rating.AppendNumber(nil, x)), 64)
		return x
	}
	r := *e.Rating
	r.Value, r.OffScale, r.Entropy = round(r.Value), round(r.OffScale), round(r.Entropy)
	r.Probs = slices.Clone(r.Probs)
	for i := range r.Probs {
		r.Probs[i].P = round(r.Probs[i].P)
	}
	e.Rating = &r
	return e
}

func roundAll(entries []Entry) []Entry {
	var out []Entry
	for _, e := range entries {
		out = append(out, rounded(e))
	}
	return out
}

func sameEntries(t interface {
	Helper()
	Fatalf(string, ...any)
}, what string, x *Index, want []Entry) {
	t.Helper()
	got := slices.Collect(x.All())
	if len(got) != len(want) || x.Len() != len(want) {
		t.Fatalf("%s: %d entries, Len %d; want %d", what, len(got), x.Len(), len(want))
	}
	if _, ok := x.Lookup(record.Key{}); ok || x.Has(record.Key{}) {
		t.Fatalf("%s: there is an entry that nobody wrote", what)
	}
	if !reflect.DeepEqual(x.Scale(), testScale()) {
		t.Fatalf("%s: the scale is %v", what, x.Scale())
	}
	keys := slices.Collect(x.Keys())
	for i, w := range want {
		found, ok := x.Lookup(w.Key)
		if !reflect.DeepEqual(got[i], w) || !ok || !reflect.DeepEqual(found, w) || keys[i] != w.Key || !x.Has(w.Key) {
			t.Fatalf("%s: entry %d is %+v (looked up %+v, %t), want %+v", what, i, got[i], found, ok, w)
		}
	}
}

// written returns the path and the bytes of a journal with these entries.
func written(t *testing.T, entries []Entry) (string, []byte) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, _, err := Open(path, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(j.Append(entries), j.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, b
}

func TestLines(t *testing.T) {
	_, b := written(t, someEntries(t)[:2])
	lines := strings.Split(string(b), "\n")
	want := []string{
		`{"kind":"manifest","version":1,"model":{"name":"a.gguf","sha256":"` + strings.Repeat("ab", 32) + `","format":"F16"},` +
			`"rubric":{"name":"accuracy","sha256":"` + strings.Repeat("cd", 32) + `"},` +
			`"scale":{"strings":["0","1","2.5","\"ü"],"values":[0,1,2.5,5]},` +
			`"template":{"source":"gguf","sha256":"` + strings.Repeat("ef", 32) + `"},` +
			`"runtime":{"engine":"llama.cpp","device":"CPU"},"settings":{"a<b":"é","ctx_size":"512","flash_attn":"on"},"crc":"`,
		`{"key":"000000ff000000000000000000000000","index":0,"status":"ok","rating":2.95,"mode":"\"ü",` +
			`"probs":{"0":0.1,"1":0.2,"2.5":0.3,"\"ü":0.4},"off_scale":0,"entropy":1.2798542,"tokens":100,"crc":"`,
		`{"key":"000001ff000000000000000000000000","index":1,"status":"too_long","reason":"9000 tokens, at most 4096","tokens":9000,"crc":"`,
	}
	if len(lines) != len(want)+1 || lines[len(want)] != "" {
		t.Fatalf("%d lines in %q", len(lines), b)
	}
	for i, w := range want {
		if !strings.HasPrefix(lines[i], w) || !json.Valid([]byte(lines[i])) {
			t.Errorf("line %d\nis   %s\nwant %s", i+1, lines[i], w)
		}
	}
	if sum := checksum([]byte("123456789")); string(sum[:]) != "e3069283" {
		t.Errorf("CRC-32C of 123456789 is %s", sum)
	}
	one, err := json.Marshal(someEntries(t)[1])
	if err != nil || string(one) != strings.TrimSuffix(want[2], `,"crc":"`)+"}" {
		t.Errorf("the JSON form of an entry is %s (%v)", one, err)
	}
}

func entryGen(n int) *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Key: testKey(n), Index: rapid.IntRange(0, math.MaxInt32).Draw(t, "index"),
			Tokens: rapid.IntRange(0, 1e6).Draw(t, "tokens"), Cut: rapid.IntRange(0, 9).Draw(t, "cut"),
		}
		p := rapid.SliceOfN(rapid.Float64Range(0, 0.25), 4, 4).Draw(t, "p")
		if r, err := rating.FromProbs(testScale(), p); err == nil {
			e.Status, e.Rating = record.OK, &r
		} else {
			e.Status = record.Status(rapid.SampledFrom([]string{"off_scale", "too_long", "new"}).Draw(t, "status"))
			e.Reason = rapid.String().Draw(t, "reason") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		}
		return e
	})
}

// What is appended, in whatever portions and sittings, is what is read back.
func TestAppendRead(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "scores.jsonl")
		defer func() { _ = os.Remove(path) }() // there is none without a sitting
		var want []Entry
		for range rapid.IntRange(0, 3).Draw(t, "sittings") {
			j, x, err := Open(path, testManifest())
			if err != nil {
				t.Fatal(err)
			}
			sameEntries(t, "reopened", x, want)
			for range rapid.IntRange(0, 3).Draw(t, "portions") {
				var portion []Entry
				for range rapid.IntRange(0, 4).Draw(t, "entries") {
					portion = append(portion, entryGen(len(want)+len(portion)).Draw(t, "entry"))
				}
				if err := j.Append(portion); err != nil {
					t.Fatal(err)
				}
				want = append(want, roundAll(portion)...)
			}
			sameEntries(t, "appended", x, want)
			if err := errors.Join(j.Close(), j.Close()); err != nil {
				t.Fatal(err)
			}
			m, x, err := Read(path)
			if err != nil || len(m.Differences(testManifest())) > 0 || m.Model.Name != "a.gguf" || x.Torn != 0 {
				t.Fatalf("Read: %+v, torn %d, %v", m, x.Torn, err)
			}
			sameEntries(t, "read", x, want)
		}
	})
}

// A rating that stands there as 4.6 is the number 4.6, not the nearest single.
func TestDecimalValues(t *testing.T) {
	e := rated(t, 0, 0, 0.1, 0, 0.9) // 0.1·1 + 0.9·5
	path, b := written(t, []Entry{e})
	_, x, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := x.Lookup(e.Key)
	if got.Rating.Value != 4.6 || !bytes.Contains(b, []byte(`"rating":4.6,`)) {
		t.Errorf("rating %v in %s", got.Rating.Value, b)
	}
}

func TestMismatch(t *testing.T) {
	path, before := written(t, someEntries(t))
	for want, change := range map[string]func(*Manifest){
		"model sha256: the journal has abababababab…, this run has 01":                                                    func(m *Manifest) { m.Model.SHA256 = "01" },
		"model sha256: the journal has " + strings.Repeat("ab", 32) + ", this run has " + strings.Repeat("ab", 31) + "ac": func(m *Manifest) { m.Model.SHA256 = strings.Repeat("ab", 31) + "ac" },
		`model format: the journal has F16, this run has ""`:                                                              func(m *Manifest) { m.Model.Format = "" },
		"rubric name: the journal has accuracy, this run has x":                                                           func(m *Manifest) { m.Rubric.Name = "x" },
		"rubric sha256: the journal has cdcdcdcdcdcd…, this run has x":                                                    func(m *Manifest) { m.Rubric.SHA256 = "x" },
		`scale: the journal has 0 1 2.5 "\"ü"=5, this run has 0 1 2.5 "\"ü"=6`:                                            func(m *Manifest) { m.Scale.Values = []float64{0, 1, 2.5, 6} },
		"template source: the journal has gguf, this run has plain":                                                       func(m *Manifest) { m.Template.Source = "plain" },
		"template sha256: the journal has efefefefefef…, this run has x":                                                  func(m *Manifest) { m.Template.SHA256 = "x" },
		"runtime engine: the journal has llama.cpp, this run has x":                                                       func(m *Manifest) { m.Runtime.Engine = "x" },
		"runtime device: the journal has CPU, this run has CUDA0":                                                         func(m *Manifest) { m.Runtime.Device = "CUDA0" },
		"setting ctx_size: the journal has 512, this run has none":                                                        func(m *Manifest) { delete(m.Settings, "ctx_size") },
		"setting flash_attn: the journal has on, this run has off; setting new: the journal has none, this run has 1":     func(m *Manifest) { m.Settings["flash_attn"], m.Settings["new"] = "off", "1" },
	} {
		m := testManifest()
		m.Settings = maps.Clone(m.Settings)
		change(&m)
		_, _, err := Open(path, m)
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || strings.Join(mismatch.Differences, "; ") != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	err := error(&MismatchError{"s.jsonl", []string{"a: x", "b: y"}})
	if want := "s.jsonl: its ratings and those of this run may not be mixed: a: x; b: y; repeat the earlier settings, or give the path of a new file"; err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
	renamed := testManifest()
	renamed.Model.Name = "b.gguf"
	j, _, err := Open(path, renamed)
	if err != nil {
		t.Fatalf("a renamed model: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, _, err := Open(path, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(path, testManifest()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open: %v", err)
	}
	if _, _, err := Read(path); err != nil {
		t.Errorf("Read beside a writer: %v", err)
	}
	if err := j.Append(someEntries(t)[:1]); err != nil {
		t.Errorf("Append after another tried to open: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(someEntries(t)[1:]); !errors.Is(err, errClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	j, x, err := Open(path, testManifest())
	if err != nil || x.Len() != 1 {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	bad := testManifest()
	bad.Scale.Strings = []string{"0", "1", "2", "\xff"}
	for name, tc := range map[string]struct {
		path string
		m    Manifest
		msg  string
	}{
		"no directory": {filepath.Join(t.TempDir(), "no", "scores.jsonl"), testManifest(), "no such file"},
		"directory":    {t.TempDir(), testManifest(), "directory"},
		"device":       {os.DevNull, testManifest(), "regular file"},
		"no scale":     {filepath.Join(t.TempDir(), "a"), Manifest{}, "at least 2 ratings"},
		"bad scale":    {filepath.Join(t.TempDir(), "a"), bad, "not UTF-8"},
	} {
		if _, _, err := Open(tc.path, tc.m); err == nil || !strings.Contains(err.Error(), tc.msg) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of nothing: %v", err)
	}
}

// An entry that cannot be read back is refused, and the journal stays usable.
func TestRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, x, err := Open(path, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	good := rated(t, 0, 0.1, 0.2, 0.3, 0.4)
	if err := j.Append([]Entry{good}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Entry){
		"key there":    func(e *Entry) { e.Key = good.Key },
		"no rating":    func(e *Entry) { e.Rating = nil },
		"unrated":      func(e *Entry) { e.Status = record.TooLong },
		"NaN":          func(e *Entry) { e.Rating.Value = math.NaN() },
		"infinite":     func(e *Entry) { e.Rating.Entropy = math.Inf(1) },
		"NaN prob":     func(e *Entry) { e.Rating.Probs[1].P = math.NaN() },
		"few probs":    func(e *Entry) { e.Rating.Probs = e.Rating.Probs[:3] },
		"other scale":  func(e *Entry) { e.Rating.Probs[2].String = "2" },
		"no mode":      func(e *Entry) { e.Rating.Mode = "" },
		"index":        func(e *Entry) { e.Index = -1 },
		"tokens":       func(e *Entry) { e.Tokens = math.MaxInt32 + 1 },
		"cut":          func(e *Entry) { e.Cut = -1 },
		"reason's end": func(e *Entry) { e.Reason = strings.Repeat("x", maxLineBytes) },
	} {
		e := rated(t, 7, 0.1, 0.2, 0.3, 0.4)
		change(&e)
		if err := j.Append([]Entry{rated(t, 6, 1, 0, 0, 0), e}); err == nil || !strings.Contains(err.Error(), e.Key.String()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := rated(t, 8, 1, 0, 0, 0)
	if err := j.Append([]Entry{twice, twice}); err == nil {
		t.Error("one key twice in one call")
	}
	if err := errors.Join(j.Append([]Entry{rated(t, 9, 1, 0, 0, 0)}), j.Append(nil), j.Close()); err != nil {
		t.Error(err)
	}
	want := roundAll([]Entry{good, rated(t, 9, 1, 0, 0, 0)})
	sameEntries(t, "live", x, want)
	_, x, err = Read(path)
	if err != nil {
		t.Fatal(err)
	}
	sameEntries(t, "read", x, want)
}
