package journal

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"winnow/grader/record"
)

func TestMeasuredLines(t *testing.T) {
	m := measured(manifestOf(1))
	e := measure(rated(t, 0, 0.1, 0.2, 0.3, 0.4))[0]
	e.Signals = []float64{12, math.NaN(), 1e39, 1.0 / 3}
	e.Hidden = []float32{1, -2, 0, 0.5}
	e.Calibrated = 0.125
	_, b := written(t, m, []Entry{e})
	_, without := written(t, manifestOf(1), []Entry{rated(t, 0, 0.1, 0.2, 0.3, 0.4)})
	lines, plain := strings.Split(string(b), "\n"), strings.Split(string(without), "\n")

	// Behind what is in every manifest and entry, and nowhere else.
	end := `,"signals":["response_tokens","nll","ppl","ifd"],"hidden":{"layer":3,"size":4},"calibration":{"name":"own.cal.json","sha256":"` + strings.Repeat("0c", 32) + `"}`
	head := plain[0][:len(plain[0])-sealBytes]
	if want := head + end + sealStart; !strings.HasPrefix(lines[0], want) {
		t.Errorf("the manifest is\n%s, want\n%s", lines[0], want)
	}
	ratings, tokens, _ := strings.Cut(plain[1], `,"tokens":`)
	members := `,"signals":{"response_tokens":12,"nll":null,"ppl":"Infinity","ifd":0.33333334},"hidden":"gD8AwAAAAD8=","calibrated":0.125`
	if want := ratings + members + `,"tokens":` + tokens[:len(tokens)-sealBytes]; !strings.HasPrefix(lines[1], want) || !json.Valid([]byte(lines[1])) {
		t.Errorf("the entry is\n%s, want\n%s", lines[1], want)
	}
	if got := string(AppendObject(nil, []string{"a", "b"}, []float64{math.NaN(), math.Inf(1)})); got != `{"a":null,"b":"Infinity"}` {
		t.Errorf("an object of what JSON has no numbers for: %s", got)
	}
}

// What a journal cannot keep is refused, and the journal stays usable.
func TestMeasuredRefused(t *testing.T) {
	m := measured(manifestOf(2))
	good := func(n int) Entry {
		e := measure(widened(t, 2, rated(t, 0, 0.1, 0.2, 0.3, 0.4))...)[0]
		e.Key = testKey(n)
		return e
	}
	path, before := written(t, m, []Entry{good(1)})
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		change func(*Entry)
		msg    string
	}{
		"no signals":      {func(e *Entry) { e.Signals = nil }, "0 signals, want 4"},
		"one more":        {func(e *Entry) { e.Signals = append(e.Signals, 1) }, "5 signals, want 4"},
		"-Inf":            {func(e *Entry) { e.Signals[1] = math.Inf(-1) }, "want a number"},
		"below single":    {func(e *Entry) { e.Signals[1] = -1e39 }, "want a number"},
		"no hidden":       {func(e *Entry) { e.Hidden = nil }, "0 numbers, want 4"},
		"short hidden":    {func(e *Entry) { e.Hidden = e.Hidden[:2] }, "2 numbers, want 4"},
		"long hidden":     {func(e *Entry) { e.Hidden = append(e.Hidden, 0, 0) }, "6 numbers, want 4"},
		"single hidden":   {func(e *Entry) { e.Hidden[2] = 0.1 }, "number 2 of the hidden state, 0.1, is no bfloat16"},
		"NaN hidden":      {func(e *Entry) { e.Hidden[0] = math.Float32frombits(0x7fc00000) }, "4 finite numbers"},
		"infinite hidden": {func(e *Entry) { e.Hidden[3] = float32(math.Inf(-1)) }, "4 finite numbers"},
		"above 1":         {func(e *Entry) { e.Calibrated = 1.0001 }, "want a probability"},
		"below 0":         {func(e *Entry) { e.Calibrated = -1e-9 }, "want a probability"},
		"NaN":             {func(e *Entry) { e.Calibrated = math.NaN() }, "want a number"},
		"unrated":         {func(e *Entry) { e.Status, e.Ratings = record.TooLong, nil }, `status "too_long" and 4 signals, want 0`},
		"unrated, hidden": {func(e *Entry) { e.Status, e.Ratings, e.Signals = record.TooLong, nil, nil }, "4 numbers, want 0"},
		"unrated, calibrated": {func(e *Entry) {
			e.Status, e.Ratings, e.Signals, e.Hidden = record.TooLong, nil, nil, nil
		}, "has no rating"},
	} {
		e := good(7)
		tc.change(&e)
		if err := j.Append([]Entry{good(6), e}); err == nil || !strings.Contains(err.Error(), tc.msg) || !strings.Contains(err.Error(), e.Key.String()) {
			t.Errorf("%s: %v, want %s", name, err, tc.msg)
		}
	}
	if after := readFile(t, path); !bytes.Equal(after, before) {
		t.Error("refused entries changed the file")
	}
	if err := errors.Join(j.Append([]Entry{good(7)}), j.Close()); err != nil {
		t.Error(err)
	}

	plain, err := Open(filepath.Join(t.TempDir(), "plain.jsonl"), manifestOf(2))
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*Entry){
		func(e *Entry) { e.Signals = []float64{1} },
		func(e *Entry) { e.Hidden = []float32{1, 2} },
		func(e *Entry) { e.Calibrated = 0.5 },
	} {
		e := widened(t, 2, rated(t, 0, 0.1, 0.2, 0.3, 0.4))[0]
		change(&e)
		if plain.Append([]Entry{e}) == nil {
			t.Errorf("a journal without signals took %+v", e)
		}
	}
	if err := plain.Close(); err != nil {
		t.Error(err)
	}
}

// Lines with a right checksum whose signals no run has written are damage, found in
// their line by whoever reads it; repair moves them aside.
func TestMeasuredDamage(t *testing.T) {
	m := measured(manifestOf(1))
	whole, b := written(t, m, measure(someEntries(t, 1)...))
	lines := bytes.SplitAfter(b, []byte("\n"))
	first, err := unseal(bytes.TrimSuffix(lines[1], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	hidden := string(first[bytes.Index(first, []byte(`"hidden":"`))+len(`"hidden":"`):])
	hidden = hidden[:strings.Index(hidden, `"`)]
	pack := func(b ...byte) string { return base64.StdEncoding.EncodeToString(b) }
	signals := `"response_tokens":0,"nll":1.1,"ppl":0,"ifd":0`
	for name, tc := range map[string]struct{ old, new, msg string }{
		"no signals":        {`"signals":{` + signals + `},`, ``, `want ",\"signals\":{"`},
		"missing":           {`"ppl":0,`, ``, `want ",\"ppl\":"`},
		"order":             {`"ppl":0,"ifd":0`, `"ifd":0,"ppl":0`, `want ",\"ppl\":"`},
		"twice":             {`"nll":1.1`, `"nll":1.1,"nll":1.1`, `want ",\"ppl\":"`},
		"one more":          {`"ifd":0}`, `"ifd":0,"x":1}`, `want "}"`},
		"NaN":               {`"nll":1.1`, `"nll":NaN`, "want a number"},
		"a string":          {`"nll":1.1`, `"nll":"1.1"`, "want a number"},
		"-Infinity":         {`"nll":1.1`, `"nll":"-Infinity"`, "want a number"},
		"past single":       {`"nll":1.1`, `"nll":1e39`, `null or "Infinity"`},
		"past double":       {`"nll":1.1`, `"nll":1e999`, "want a number"},
		"no hidden":         {`"hidden":"` + hidden + `",`, ``, "hidden"},
		"null hidden":       {`"` + hidden + `"`, `null`, "hidden"},
		"fewer":             {hidden, pack(0, 0, 0, 0, 0, 0), "4 finite numbers in base64"},
		"more":              {hidden, pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "4 finite numbers in base64"},
		"no padding":        {hidden, strings.TrimRight(hidden, "="), "4 finite numbers in base64"},
		"other alphabet":    {hidden, "-" + hidden[1:], "4 finite numbers in base64"},
		"bits in padding":   {hidden, pack(0, 0, 0, 0, 0, 0, 0, 1)[:10] + "B=", "4 finite numbers in base64"},
		"NaN state":         {hidden, pack(0, 0, 0xc0, 0x7f, 0, 0, 0, 0), "4 finite numbers in base64"},
		"infinite state":    {hidden, pack(0, 0, 0, 0, 0, 0, 0x80, 0xff), "4 finite numbers in base64"},
		"escaped":           {hidden, `\u0041` + hidden[1:], "4 finite numbers in base64"},
		"not calibrated":    {`,"calibrated":0.90909094`, ``, "calibrated"},
		"calibrated above":  {`0.90909094`, `1.0000001`, "want a probability"},
		"calibrated null":   {`0.90909094`, `null`, "want a number"},
		"another order":     {`"hidden":"` + hidden + `","calibrated":0.90909094`, `"calibrated":0.90909094,"hidden":"` + hidden + `"`, "hidden"},
		"behind the tokens": {`,"calibrated":0.90909094,"tokens":100`, `,"tokens":100,"calibrated":0.90909094`, "calibrated"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := bytes.Replace(first, []byte(tc.old), []byte(tc.new), 1)
			if bytes.Equal(changed, first) {
				t.Fatalf("%s is not in %s", tc.old, first)
			}
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			file := slices.Concat(lines[0], seal(changed, 0), bytes.Join(lines[2:], nil))
			if err := os.WriteFile(path, file, 0o666); err != nil {
				t.Fatal(err)
			}
			_, errOpen := Open(path, m)
			_, _, errRead := Read(path)
			_, errScan := Scan(path, func(Manifest) {}, func(Score) error { return nil })
			_, errMerge := Merge(new(bytes.Buffer), []string{whole, path}, MergeOptions{})
			for _, err := range []error{errOpen, errRead, errScan, errMerge} {
				var damage *DamageError
				if !errors.As(err, &damage) || damage.Line != 2 || damage.Path != path || !strings.Contains(damage.Msg, tc.msg) {
					t.Errorf("%v; want line 2, %q", err, tc.msg)
				}
			}
			sum, err := Repair(path, RepairOptions{})
			if err != nil || sum.Damaged != 1 || sum.Sound != 3 {
				t.Errorf("repaired: %+v, %v", sum, err)
			}
			if left := readFile(t, path); !bytes.Equal(left, slices.Concat(lines[0], bytes.Join(lines[2:], nil))) {
				t.Errorf("repaired, the file is %s", left)
			}
		})
	}

	// An entry without a rating has none of it.
	unrated, err := unseal(bytes.TrimSuffix(lines[2], []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	p := newParser(m)
	if _, err := p.parse(unrated); err != nil {
		t.Fatal(err)
	}
	if _, err := p.parse(bytes.Replace(unrated, []byte(`,"tokens"`), []byte(`,"calibrated":0.5,"tokens"`), 1)); err == nil {
		t.Error("an entry without a rating may be calibrated")
	}
}

func TestMeasuredManifest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for want, change := range map[string]func(*Manifest){
		`no signal "loss"`:            func(m *Manifest) { m.Signals = []string{"nll", "loss"} },
		"the signal nll is named":     func(m *Manifest) { m.Signals = []string{"nll", "ppl", "nll"} },
		"of layer -1 with 4 numbers":  func(m *Manifest) { m.Hidden = &Hidden{-1, 4} },
		"of layer 0 with 0 numbers":   func(m *Manifest) { m.Hidden = &Hidden{} },
		"of layer 0 with -2 numbers":  func(m *Manifest) { m.Hidden = &Hidden{0, -2} },
		"of layer 0 with 5 numbers":   func(m *Manifest) { m.Hidden = &Hidden{0, 5} },
		"an even number up to 10":     func(m *Manifest) { m.Hidden = &Hidden{0, math.MaxInt - 1} },
		"its calibration has no hash": func(m *Manifest) { m.Calibration = &Calibration{Name: "a"} },
		`"\xff", is not UTF-8`:        func(m *Manifest) { m.Calibration = &Calibration{Name: "\xff", SHA256: "00"} },
	} {
		m := manifestOf(1)
		change(&m)
		if _, err := Open(path, m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if m := measured(manifestOf(1)); m.Measured().String() != "tokens,nll,ifd,hidden" {
		t.Errorf("the groups are %s", m.Measured())
	}

	// A manifest that somebody made is read as carefully.
	good, _, err := measured(manifestOf(1)).line()
	if err != nil {
		t.Fatal(err)
	}
	body, err := unseal(bytes.TrimSuffix(good, []byte("\n")))
	if err != nil {
		t.Fatal(err)
	}
	for old, made := range map[string]string{
		`"nll"`:     `"loss"`,
		`"size":4`:  `"size":1e18`,
		`"size":4}`: `"size":1000000000000}`,
		`"layer"`:   `"depth"`,
		`"own.cal`:  `7,"own.cal`,
	} {
		changed := bytes.Replace(body, []byte(old), []byte(made), 1)
		if err := os.WriteFile(path, seal(changed, 0), 0o666); err != nil {
			t.Fatal(err)
		}
		var damage *DamageError
		if _, _, err := Read(path); !errors.As(err, &damage) || damage.Line != 1 || bytes.Equal(changed, body) {
			t.Errorf("%s for %s: %v", made, old, err)
		}
	}
}

// A journal goes on with what it was begun with, and says with which flags.
func TestMeasuredMismatch(t *testing.T) {
	plain, full := manifestOf(1), measured(manifestOf(1))
	renamed := measured(manifestOf(1))
	renamed.Calibration = &Calibration{"moved.json", full.Calibration.SHA256}
	for _, tc := range []struct {
		m      Manifest
		change func(*Manifest)
		want   []string
	}{
		{full, func(m *Manifest) { *m = renamed }, nil},
		{full, func(m *Manifest) { *m = plain }, []string{
			"signals: the journal has response_tokens nll ppl ifd, this run has none",
			"hidden state: the journal has 4 numbers of layer 4, this run has none (--signals tokens,nll,ifd,hidden --hidden-layer 4 goes on with it)",
			"calibration: the journal has own.cal.json, this run has none (--calibration with that file goes on with it)",
		}},
		{plain, func(m *Manifest) { m.Signals = full.Signals }, []string{"signals: the journal has none, this run has response_tokens nll ppl ifd (--signals none goes on with it)"}},
		{plain, func(m *Manifest) { m.Calibration = full.Calibration }, []string{"calibration: the journal has none, this run has own.cal.json (leave out --calibration)"}},
		{full, func(m *Manifest) { m.Signals = []string{"nll", "ppl"} }, []string{"signals: the journal has response_tokens nll ppl ifd, this run has nll ppl (--signals tokens,nll,ifd,hidden --hidden-layer 4 goes on with it)"}},
		{full, func(m *Manifest) { m.Hidden = &Hidden{2, 4} }, []string{"hidden state: the journal has 4 numbers of layer 4, this run has 4 numbers of layer 3 (--signals tokens,nll,ifd,hidden --hidden-layer 4 goes on with it)"}},
		{full, func(m *Manifest) { m.Calibration = &Calibration{"x", "00"} }, []string{"calibration sha256: the journal has 0c0c0c0c0c0c…, this run has 00 (--calibration with the file that was own.cal.json)"}},
	} {
		path, _ := written(t, tc.m, nil)
		run := tc.m
		tc.change(&run)
		j, err := Open(path, run)
		if len(tc.want) == 0 {
			if err != nil || j.Close() != nil {
				t.Errorf("%v, want none", err)
			}
			continue
		}
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || !slices.Equal(mismatch.Differences, tc.want) {
			t.Errorf("%v\nwant %q", err, tc.want)
		}
		other, _ := written(t, run, nil)
		_, err = Merge(new(bytes.Buffer), []string{path, other}, MergeOptions{})
		if !errors.As(err, &mismatch) || len(mismatch.Differences) != len(tc.want) || strings.Contains(err.Error(), "--signals") {
			t.Errorf("merged: %v; want the differences of\n%q, without flags", err, tc.want)
		}
	}
}

// FuzzParse reads made-up lines: whatever comes, it is refused or sound.
func FuzzParse(f *testing.F) {
	m := measured(manifestOf(2))
	form := newForm(m)
	for _, e := range measure(widened(f, 2, rated(f, 0, 0.1, 0.2, 0.3, 0.4), rated(f, 1, 0, 0, 0, 0.5),
		Entry{Status: record.TooLong, Reason: "é\n", Tokens: 5})...) {
		line, err := form.append(nil, e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
		f.Add(bytes.Replace(line, []byte(`"hidden":"`), []byte(`"hidden":"`+"\n"), 1))
		f.Add(bytes.Replace(line, []byte("null"), []byte("Infinity"), 1))
	}
	p := newParser(m)
	f.Fuzz(func(t *testing.T, line []byte) {
		got, err := p.parse(line)
		if err != nil {
			return
		}
		if string(got.status) != string(record.OK) {
			if len(got.numbers)+len(got.hidden)+len(got.modes) > 0 {
				t.Errorf("an entry of status %q has numbers: %+v", got.status, got)
			}
			return
		}
		var e Entry
		p.fill(&e, got.modes, got.numbers)
		if len(e.Ratings) != 2 || len(e.Signals) != 4 || len(got.hidden) != 4 || !(e.Calibrated >= 0 && e.Calibrated <= 1) {
			t.Errorf("accepted: %+v, hidden %v", e, got.hidden)
		}
		for i, x := range e.Signals {
			if x < -math.MaxFloat32 {
				t.Errorf("signal %d is %v", i, x)
			}
		}
		for i, x := range got.hidden {
			if x-x != 0 || math.Float32bits(x)&0xffff != 0 {
				t.Errorf("number %d of the hidden state is %v", i, x)
			}
		}
	})
}
