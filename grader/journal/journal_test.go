package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/rating"
	"winnow/grader/record"
)

func TestLines(t *testing.T) {
	first := `{"kind":"manifest","version":2,"model":{"name":"a.gguf","sha256":"` + strings.Repeat("ab", 32) + `","format":"F16"},` +
		`"rubrics":[{"name":"accuracy","sha256":"` + strings.Repeat("cd", 32) + `"}`
	scale := `],"scale":{"strings":["0","1","2.5","\"ü"],"values":[0,1,2.5,5]},` +
		`"template":{"source":"gguf","sha256":"` + strings.Repeat("ef", 32) + `"},` +
		`"runtime":{"engine":"llama.cpp","device":"CPU"},"settings":{"a<b":"é","ctx_size":"512","flash_attn":"on"},"crc":"`
	start := `{"key":"000000ff000000000000000000000000","index":0,"status":"ok",`
	accuracy := `"rating":2.95,"mode":"\"ü","probs":{"0":0.1,"1":0.2,"2.5":0.3,"\"ü":0.4},"off_scale":0,"entropy":1.2798542`
	help := `"rating":1.3,"mode":"0","probs":{"0":0.4,"1":0.3,"2.5":0.2,"\"ü":0.1},"off_scale":1.110223e-16,"entropy":1.2798542`
	unrated := `{"key":"000001ff000000000000000000000000","index":1,"status":"too_long","reason":"9000 tokens, at most 4096","tokens":9000,"crc":"`
	for criteria, want := range map[int][]string{
		1: {first + scale, start + accuracy + `,"tokens":100,"crc":"`, unrated},
		2: {
			first + `,{"name":"help \"ü\"","sha256":"` + strings.Repeat("de", 32) + `"}` + scale,
			start + `"rating":1.3,"criteria":{"accuracy":{` + accuracy + `},"help \"ü\"":{` + help + `}},"tokens":100,"crc":"`,
			unrated,
		},
	} {
		_, b := written(t, manifestOf(criteria), someEntries(t, criteria)[:2])
		lines := strings.Split(string(b), "\n")
		if len(lines) != len(want)+1 || lines[len(want)] != "" {
			t.Fatalf("%d lines in %q", len(lines), b)
		}
		for i, w := range want {
			if !strings.HasPrefix(lines[i], w) || !json.Valid([]byte(lines[i])) {
				t.Errorf("%d criteria, line %d\nis   %s\nwant %s", criteria, i+1, lines[i], w)
			}
		}
	}
	if sum := checksum([]byte("123456789")); string(sum[:]) != "e3069283" {
		t.Errorf("CRC-32C of 123456789 is %s", sum)
	}
}

func TestAppendObject(t *testing.T) {
	got := AppendObject([]byte("x"), []string{"10", "9", `"<`}, []float64{0.25, 1e-9, 1.0 / 3})
	if want := `x{"10":0.25,"9":1e-09,"\"<":0.33333334}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := AppendObject(nil, nil, nil); string(got) != "{}" {
		t.Errorf("without names: %s", got)
	}
}

func TestValue(t *testing.T) {
	of := func(values ...float64) Entry {
		var e Entry
		for _, v := range values {
			e.Ratings = append(e.Ratings, rating.Rating{Value: v})
		}
		return e
	}
	for _, tc := range []struct {
		e    Entry
		want float64
	}{{of(3), 3}, {of(3, 2, 4), 2}, {of(2, 3), 2}, {of(0, 1), 0}} {
		if got := tc.e.Value(); got != tc.want {
			t.Errorf("value %v of %+v, want %v", got, tc.e.Ratings, tc.want)
		}
	}
	for _, e := range []Entry{of(), of(math.NaN(), 1), of(1, math.NaN())} {
		if got := e.Value(); !math.IsNaN(got) {
			t.Errorf("value %v of %+v, want NaN", got, e.Ratings)
		}
	}
}

func entryGen(n int, m Manifest) *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		e := Entry{
			Key: testKey(n), Index: rapid.IntRange(0, math.MaxInt32).Draw(t, "index"),
			Tokens: rapid.IntRange(0, 1e6).Draw(t, "tokens"), Cut: rapid.IntRange(0, 9).Draw(t, "cut"),
		}
		if rapid.IntRange(0, 3).Draw(t, "rated") > 0 {
			e.Status = record.OK
			for range m.Rubrics {
				p := rapid.SliceOfN(rapid.Float64Range(1e-12, 0.25), 4, 4).Draw(t, "p")
				e.Ratings = append(e.Ratings, ratingOf(t, p...))
			}
			for range m.Signals {
				x := rapid.OneOf(rapid.Float64Range(-1e3, 1e39), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), 0, 1e308})).Draw(t, "signal")
				e.Signals = append(e.Signals, x)
			}
			if m.Hidden != nil {
				for range m.Hidden.Size {
					half := rapid.Uint16().Filter(func(x uint16) bool { return x&0x7f80 != 0x7f80 }).Draw(t, "hidden")
					e.Hidden = append(e.Hidden, math.Float32frombits(uint32(half)<<16))
				}
			}
			if m.Calibration != nil {
				e.Calibrated = rapid.Float64Range(0, 1).Draw(t, "calibrated")
			}
			return e
		}
		e.Status = record.Status(rapid.SampledFrom([]string{"off_scale", "too_long", "new"}).Draw(t, "status"))
		e.Reason = rapid.String().Draw(t, "reason") + string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		return e
	})
}

// What is appended, in whatever portions and sittings, is what is read back.
func TestAppendRead(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(dir, "scores.jsonl")
		defer func() { _ = os.Remove(path) }() // there is none without a sitting
		run := manifestOf(rapid.IntRange(1, 3).Draw(t, "criteria"))
		if rapid.Bool().Draw(t, "measured") {
			run = measured(run)
		}
		var want []Entry
		for range rapid.IntRange(0, 3).Draw(t, "sittings") {
			j, err := Open(path, run)
			if err != nil {
				t.Fatal(err)
			}
			sameKnown(t, "reopened", j, want)
			for range rapid.IntRange(0, 3).Draw(t, "portions") {
				var portion []Entry
				for range rapid.IntRange(0, 4).Draw(t, "entries") {
					portion = append(portion, entryGen(len(want)+len(portion), run).Draw(t, "entry"))
				}
				if err := j.Append(portion); err != nil {
					t.Fatal(err)
				}
				want = append(want, roundAll(portion)...)
				sameKnown(t, "appended", j, want)
			}
			if err := errors.Join(j.Close(), j.Close()); err != nil {
				t.Fatal(err)
			}
			m, x, err := Read(path)
			if err != nil || len(m.Differences(run)) > 0 || m.Model.Name != "a.gguf" || x.Torn != 0 {
				t.Fatalf("Read: %+v, torn %d, %v", m, x.Torn, err)
			}
			sameEntries(t, "read", run, x, want)
			sameScan(t, path, want)
		}
	})
}

// A rating that stands there as 4.6 is the number 4.6, not the nearest single.
func TestDecimalValues(t *testing.T) {
	e := rated(t, 0, 0, 0.1, 0, 0.9) // 0.1·1 + 0.9·5
	for criteria := 1; criteria < 3; criteria++ {
		path, b := written(t, manifestOf(criteria), []Entry{{Key: e.Key, Status: e.Status, Ratings: slices.Repeat(e.Ratings, criteria)}})
		_, x, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := x.Lookup(e.Key); got.Value() != 4.6 || !bytes.Contains(b, []byte(`"rating":4.6,`)) {
			t.Errorf("rating %v in %s", got.Value(), b)
		}
	}
}

func TestMismatch(t *testing.T) {
	path, before := written(t, testManifest(), someEntries(t, 1))
	for want, change := range map[string]func(*Manifest){
		"model sha256: the journal has abababababab…, this run has 01":                                                    func(m *Manifest) { m.Model.SHA256 = "01" },
		"model sha256: the journal has " + strings.Repeat("ab", 32) + ", this run has " + strings.Repeat("ab", 31) + "ac": func(m *Manifest) { m.Model.SHA256 = strings.Repeat("ab", 31) + "ac" },
		`model format: the journal has F16, this run has ""`:                                                              func(m *Manifest) { m.Model.Format = "" },
		"rubric name: the journal has accuracy, this run has x":                                                           func(m *Manifest) { m.Rubrics[0].Name = "x" },
		"rubric sha256: the journal has cdcdcdcdcdcd…, this run has x":                                                    func(m *Manifest) { m.Rubrics[0].SHA256 = "x" },
		`rubrics: the journal has accuracy, this run has accuracy, "help \"ü\""`:                                          func(m *Manifest) { m.Rubrics = manifestOf(2).Rubrics },
		`rubrics: the journal has accuracy, this run has x, accuracy; rubric accuracy sha256: the journal has cdcdcdcdcdcd…, this run has y`: func(m *Manifest) {
			m.Rubrics = []Rubric{{"x", ""}, {"accuracy", "y"}}
		},
		`scale: the journal has 0 1 2.5 "\"ü"=5, this run has 0 1 2.5 "\"ü"=6`:                                        func(m *Manifest) { m.Scale.Values = []float64{0, 1, 2.5, 6} },
		"template source: the journal has gguf, this run has plain":                                                   func(m *Manifest) { m.Template.Source = "plain" },
		"template sha256: the journal has efefefefefef…, this run has x":                                              func(m *Manifest) { m.Template.SHA256 = "x" },
		"runtime engine: the journal has llama.cpp, this run has x":                                                   func(m *Manifest) { m.Runtime.Engine = "x" },
		"runtime device: the journal has CPU, this run has CUDA0":                                                     func(m *Manifest) { m.Runtime.Device = "CUDA0" },
		"setting ctx_size: the journal has 512, this run has none":                                                    func(m *Manifest) { delete(m.Settings, "ctx_size") },
		"setting flash_attn: the journal has on, this run has off; setting new: the journal has none, this run has 1": func(m *Manifest) { m.Settings["flash_attn"], m.Settings["new"] = "off", "1" },
	} {
		m := testManifest()
		m.Settings = maps.Clone(m.Settings)
		change(&m)
		_, err := Open(path, m)
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || strings.Join(mismatch.Differences, "; ") != want {
			t.Errorf("%v\nwant %s", err, want)
		}
	}
	err := error(&MismatchError{"s.jsonl", "", []string{"a: x", "b: y"}})
	if want := "s.jsonl: its ratings and those of this run may not be mixed: a: x; b: y; repeat the earlier settings, or give the path of a new file"; err.Error() != want {
		t.Errorf("%v\nwant %s", err, want)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed (%v)", err)
	}
	renamed := testManifest()
	renamed.Model.Name = "b.gguf"
	j, err := Open(path, renamed)
	if err != nil {
		t.Fatalf("a renamed model: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	j, err := Open(path, testManifest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, testManifest()); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("second Open: %v", err)
	}
	if _, _, err := Read(path); err != nil {
		t.Errorf("Read beside a writer: %v", err)
	}
	if err := j.Append(someEntries(t, 1)[:1]); err != nil {
		t.Errorf("Append after another tried to open: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Append(someEntries(t, 1)[1:]); !errors.Is(err, errClosed) {
		t.Errorf("Append after Close: %v", err)
	}
	j, err = Open(path, testManifest())
	if err != nil || j.Len() != 1 {
		t.Fatalf("Open after Close: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

func TestOpenErrors(t *testing.T) {
	changed := func(change func(*Manifest)) Manifest {
		m := manifestOf(2)
		change(&m)
		return m
	}
	for name, tc := range map[string]struct {
		path string
		m    Manifest
		msg  string
	}{
		"no directory": {filepath.Join(t.TempDir(), "no", "scores.jsonl"), testManifest(), "no such file"},
		"directory":    {t.TempDir(), testManifest(), "directory"},
		"device":       {os.DevNull, testManifest(), "regular file"},
		"no rubric":    {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Rubrics = nil }), "no rubric"},
		"no name":      {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Rubrics[1].Name = "" }), "empty or not UTF-8"},
		"bad name":     {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Rubrics[0].Name = "\xff" }), "empty or not UTF-8"},
		"same name":    {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Rubrics[1].Name = "accuracy" }), "give each criterion once"},
		"no scale":     {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Scale = Scale{} }), "at least 2 ratings"},
		"bad scale":    {filepath.Join(t.TempDir(), "a"), changed(func(m *Manifest) { m.Scale.Strings[3] = "\xff" }), "not UTF-8"},
	} {
		if _, err := Open(tc.path, tc.m); err == nil || !strings.Contains(err.Error(), tc.msg) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Read of nothing: %v", err)
	}
}

// An entry that cannot be read back is refused, and the journal stays usable.
func TestRefused(t *testing.T) {
	for criteria := 1; criteria < 3; criteria++ {
		m := manifestOf(criteria)
		path := filepath.Join(t.TempDir(), "scores.jsonl")
		j, err := Open(path, m)
		if err != nil {
			t.Fatal(err)
		}
		wide := func(n int, p ...float64) Entry { return widened(t, criteria, rated(t, n, p...))[0] }
		good, later := wide(0, 0.1, 0.2, 0.3, 0.4), wide(9, 1, 0, 0, 0)
		if err := j.Append([]Entry{good}); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		last := func(e *Entry) *rating.Rating { return &e.Ratings[criteria-1] }
		for name, change := range map[string]func(*Entry){
			"key there":    func(e *Entry) { e.Key = good.Key },
			"no rating":    func(e *Entry) { e.Ratings = nil },
			"one too few":  func(e *Entry) { e.Ratings = e.Ratings[1:] },
			"one too many": func(e *Entry) { e.Ratings = append(e.Ratings, e.Ratings[0]) },
			"unrated":      func(e *Entry) { e.Status = record.TooLong },
			"NaN":          func(e *Entry) { last(e).Value = math.NaN() },
			"infinite":     func(e *Entry) { last(e).Entropy = math.Inf(1) },
			"NaN prob":     func(e *Entry) { last(e).Probs[1] = math.NaN() },
			"few probs":    func(e *Entry) { last(e).Probs = last(e).Probs[:3] },
			"many probs":   func(e *Entry) { last(e).Probs = append(last(e).Probs, 0) },
			"other mode":   func(e *Entry) { last(e).Mode = "2" },
			"no mode":      func(e *Entry) { last(e).Mode = "" },
			"index":        func(e *Entry) { e.Index = -1 },
			"tokens":       func(e *Entry) { e.Tokens = math.MaxInt32 + 1 },
			"cut":          func(e *Entry) { e.Cut = -1 },
			"reason's end": func(e *Entry) { e.Reason = strings.Repeat("x", maxLineBytes) },
		} {
			e := wide(7, 0.1, 0.2, 0.3, 0.4)
			change(&e)
			if err := j.Append([]Entry{wide(6, 1, 0, 0, 0), e}); err == nil || !strings.Contains(err.Error(), e.Key.String()) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if twice := wide(8, 1, 0, 0, 0); j.Append([]Entry{twice, twice}) == nil {
			t.Error("one key twice in one call")
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
			t.Errorf("refused entries changed the file (%v)", err)
		}
		want := []Entry{good, later}
		if err := errors.Join(j.Append([]Entry{later}), j.Append(nil)); err != nil {
			t.Error(err)
		}
		sameKnown(t, "live", j, want)
		if err := j.Close(); err != nil {
			t.Error(err)
		}
		_, x, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		sameEntries(t, "read", m, x, roundAll(want))
	}
}
