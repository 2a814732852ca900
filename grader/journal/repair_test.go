package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// told is a damaged line as Verify or Repair tells of it.
type told struct {
	line   int
	reason string
}

// mangled is a journal of fiveLines with something done to it.
type mangled struct {
	file   [][]byte
	told   []told // the reason is a part of it
	kept   []int  // of the five lines, in the repaired file
	torn   int
	mended int
}

func TestRepair(t *testing.T) {
	countWarnings(t)
	m, l := fiveLines(t)
	flip := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		b[at] ^= 0x10
		return b
	}
	crlf := func(b []byte) []byte { return append(bytes.TrimSuffix(slices.Clone(b), []byte("\n")), "\r\n"...) }
	other := m
	other.Model.SHA256 = "00"
	foreign, _, err := other.line()
	if err != nil {
		t.Fatal(err)
	}
	renamed := m
	renamed.Model.Name = "renamed.gguf"
	same, _, err := renamed.line()
	if err != nil {
		t.Fatal(err)
	}
	nul := make([]byte, 4096)
	long := bytes.Repeat([]byte("long "), (maxLineBytes+1<<18)/5)
	for name, tc := range map[string]mangled{
		"sound":             {l, nil, []int{0, 1, 2, 3, 4}, 0, 0},
		"torn":              {slices.Concat(l[:4], [][]byte{l[4][:30]}), nil, []int{0, 1, 2, 3}, 30, 0},
		"bit flip":          {[][]byte{l[0], l[1], flip(l[2], 50), l[3], l[4]}, []told{{3, "they were changed"}}, []int{0, 1, 3, 4}, 0, 0},
		"two flips":         {[][]byte{l[0], flip(l[1], 8), l[2], l[3], flip(l[4], 40)}, []told{{2, "changed"}, {5, "changed"}}, []int{0, 2, 3}, 0, 0},
		"all entries":       {[][]byte{l[0], flip(l[1], 8), flip(l[2], 8)}, []told{{2, "changed"}, {3, "changed"}}, []int{0}, 0, 0},
		"cut line":          {[][]byte{l[0], l[1][:20], []byte("\n"), l[2], l[3], l[4]}, []told{{2, "does not end in a checksum"}}, []int{0, 2, 3, 4}, 0, 0},
		"joined lines":      {[][]byte{l[0], bytes.TrimSuffix(l[1], []byte("\n")), l[2], l[3], l[4]}, []told{{2, "changed"}}, []int{0, 3, 4}, 0, 0},
		"NUL page":          {[][]byte{l[0], l[1], nul, l[2], l[3], l[4]}, []told{{3, "changed"}}, []int{0, 1, 3, 4}, 0, 0},
		"NULs over lines":   {[][]byte{l[0], l[1], nul, l[3][20:], l[4]}, []told{{3, "changed"}}, []int{0, 1, 4}, 0, 0},
		"NULs at the end":   {slices.Concat(l, [][]byte{nul}), nil, []int{0, 1, 2, 3, 4}, 4096, 0},
		"line twice":        {slices.Concat(l, l[2:3]), []told{{6, "stands in an earlier line"}}, []int{0, 1, 2, 3, 4}, 0, 0},
		"foreign line":      {[][]byte{l[0], l[1], []byte("{\"instruction\":\"a\"}\n"), l[2], l[3], l[4]}, []told{{3, "checksum"}}, []int{0, 1, 2, 3, 4}, 0, 0},
		"no text":           {[][]byte{l[0], l[1], []byte("\xff\xfe\n"), l[2]}, []told{{3, "checksum"}}, []int{0, 1, 2}, 0, 0},
		"empty line":        {[][]byte{l[0], []byte("\n"), l[1]}, []told{{2, "checksum"}}, []int{0, 1}, 0, 0},
		"CRLF":              {[][]byte{crlf(l[0]), crlf(l[1]), crlf(l[2]), crlf(l[3]), crlf(l[4])}, []told{{1, "line ends"}, {2, "line ends"}, {3, "line ends"}, {4, "line ends"}, {5, "line ends"}}, []int{0, 1, 2, 3, 4}, 0, 5},
		"CRLF and a flip":   {[][]byte{l[0], crlf(l[1]), flip(crlf(l[2]), 9)}, []told{{2, "line ends"}, {3, "changed"}}, []int{0, 1}, 0, 1},
		"long line":         {[][]byte{l[0], l[1], long, []byte("\n"), l[2]}, []told{{3, "16 MiB"}}, []int{0, 1, 2}, 0, 0},
		"endless line":      {[][]byte{l[0], l[1], long}, []told{{3, "16 MiB"}}, []int{0, 1}, 0, 0},
		"two judges":        {[][]byte{l[0], l[1], foreign, l[2], l[3]}, []told{{3, "first line of another journal"}, {4, "another judge, in line 3"}, {5, "line 3"}}, []int{0, 1}, 0, 0},
		"one judge twice":   {[][]byte{l[0], l[1], same, l[2], l[1]}, []told{{3, "first line of another journal"}, {5, "earlier"}}, []int{0, 1, 2}, 0, 0},
		"damaged manifest":  {[][]byte{l[0], l[1], flip(l[0], 60), l[2]}, []told{{3, "first line of another journal"}, {4, "line 3"}}, []int{0, 1}, 0, 0},
		"judges, then back": {[][]byte{l[0], foreign, l[1], same, l[2]}, []told{{2, "first line"}, {3, "line 2"}, {4, "first line"}}, []int{0, 2}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			before := bytes.Join(tc.file, nil)
			var want []byte
			for _, i := range tc.kept {
				want = append(want, l[i]...)
			}
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			if err := os.WriteFile(path, before, 0o640); err != nil {
				t.Fatal(err)
			}
			var heard []told
			tell := func(line int, reason string) { heard = append(heard, told{line, reason}) }
			sum, err := Verify(path, tell)
			if err != nil {
				t.Fatal(err)
			}
			damaged := len(tc.told) - tc.mended
			checkup := Checkup{Lines: bytes.Count(before, []byte("\n")), Sound: len(tc.kept) - 1, Damaged: damaged, Mended: tc.mended, Torn: tc.torn}
			if name == "endless line" {
				checkup.Lines++
			}
			if sum != checkup || !sameTold(heard, tc.told) {
				t.Errorf("verified: %+v, told %v; want %+v, %v", sum, heard, checkup, tc.told)
			}
			if b := readFile(t, path); !bytes.Equal(b, before) {
				t.Error("Verify changed the file")
			}
			_, _, err = Read(path)
			var damage *DamageError
			if len(tc.told) == 0 != (err == nil) || err != nil && (!errors.As(err, &damage) || damage.Line != tc.told[0].line) {
				t.Errorf("Read: %v, want damage in line %+v", err, tc.told)
			}

			heard = nil
			sum, err = Repair(path, RepairOptions{Tell: tell})
			if err != nil {
				t.Fatal(err)
			}
			if len(tc.told) == 0 {
				want = before // even a torn line stays
			} else {
				checkup.Written = path
				if damaged > 0 || tc.torn > 0 {
					checkup.Moved = path + ".damaged"
				}
			}
			if sum != checkup || !sameTold(heard, tc.told) {
				t.Errorf("repaired: %+v, told %v; want %+v, %v", sum, heard, checkup, tc.told)
			}
			if b := readFile(t, path); !bytes.Equal(b, want) {
				t.Errorf("repaired, it has %d bytes, want %d", len(b), len(want))
			}
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("its mode is %v (%v)", info.Mode(), err)
			}
			if checkup.Moved == "" {
				if _, err := os.Stat(path + ".damaged"); err == nil {
					t.Error("there is a file of damaged lines")
				}
			} else {
				checkDamagedFile(t, path+".damaged", before, damaged, tc.torn)
			}
			j, err := Open(path, m)
			if err != nil {
				t.Fatal(err)
			}
			if j.Len() != len(tc.kept)-1 {
				t.Errorf("opened, it has %d entries, want %d", j.Len(), len(tc.kept)-1)
			}
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func sameTold(got, want []told) bool {
	return slices.EqualFunc(got, want, func(g, w told) bool { return g.line == w.line && strings.Contains(g.reason, w.reason) })
}

// checkDamagedFile fails unless each line of the file has the bytes that stood at
// its offset, with a reason, and there are as many different lines as wanted.
func checkDamagedFile(t *testing.T, path string, before []byte, damaged, torn int) {
	t.Helper()
	numbers := map[int]bool{}
	for line := range bytes.Lines(readFile(t, path)) {
		var d damagedLine
		if err := json.Unmarshal(line, &d); err != nil {
			t.Fatal(err)
		}
		text := d.Base64
		if d.Text != nil {
			text = []byte(*d.Text)
		}
		if !bytes.HasPrefix(before[d.Offset:], text) || d.Reason == "" || bytes.Count(before[:d.Offset], []byte("\n"))+1 != d.Line {
			t.Errorf("%.200s is not what stood there", line)
		}
		numbers[d.Line] = true
	}
	want := damaged
	if torn > 0 {
		want++
	}
	if len(numbers) != want {
		t.Errorf("%d lines were moved aside, want %d", len(numbers), want)
	}
}

// Without its manifest a journal's entries are nobody's, until someone says whose.
func TestRepairManifest(t *testing.T) {
	m, l := fiveLines(t)
	dir := t.TempDir()
	save := func(name string, lines ...[]byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, bytes.Join(lines, nil), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	broken := slices.Clone(l[0])
	broken[70] ^= 1
	wide, _, err := manifestOf(2).line()
	if err != nil {
		t.Fatal(err)
	}
	other := m
	other.Model.SHA256 = "00"
	otherLine, _, err := other.line()
	if err != nil {
		t.Fatal(err)
	}
	from := save("from.jsonl", l[0])
	want := bytes.Join(l, nil)
	for name, tc := range map[string]struct {
		lines   [][]byte
		from    string
		damaged int
		err     string // part of it; the repaired file is want if there is none
	}{
		"nobody":              {[][]byte{broken, l[1]}, "", 0, "nobody knows who rated"},
		"supplied":            {[][]byte{broken, l[1], l[2], l[3], l[4]}, from, 1, ""},
		"line lost":           {l[1:], from, 0, ""},
		"line lost, one flip": {[][]byte{broken[1:], l[1], l[2], l[3], l[4]}, from, 1, ""},
		"not needed":          {l, from, 0, ""},
		"another judge's":     {l, save("other.jsonl", otherLine), 0, "model sha256: "},
		"other criteria":      {[][]byte{broken, l[1], l[4]}, save("wide.jsonl", wide), 0, "none of the 3 lines is an entry under the manifest of " + filepath.Join(dir, "wide.jsonl")},
		"no journal":          {[][]byte{[]byte("{\"instruction\":\"a\"}\n")}, from, 0, "none of the 1 lines"},
		"damaged supply":      {[][]byte{broken, l[1]}, save("broken.jsonl", broken), 0, "broken.jsonl:1: "},
		"empty supply":        {[][]byte{broken, l[1]}, save("empty.jsonl"), 0, "empty.jsonl:1: "},
		"empty":               {nil, from, 0, "no complete manifest"},
		"torn manifest":       {[][]byte{l[0][:40]}, from, 0, "no complete manifest"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "scores.jsonl")
			before := bytes.Join(tc.lines, nil)
			if err := os.WriteFile(path, before, 0o666); err != nil {
				t.Fatal(err)
			}
			sum, err := Repair(path, RepairOptions{ManifestFrom: tc.from})
			after := readFile(t, path)
			if tc.err != "" {
				var damage *DamageError
				var mismatch *MismatchError
				if err == nil || !strings.Contains(err.Error(), tc.err) || !errors.As(err, &damage) && !errors.As(err, &mismatch) {
					t.Errorf("%v, want %q", err, tc.err)
				}
				if !bytes.Equal(after, before) {
					t.Error("the file was changed")
				}
				return
			}
			if err != nil || sum.Damaged != tc.damaged || sum.Supplied == bytes.Equal(before, want) {
				t.Errorf("%+v, %v; want %d damaged lines", sum, err, tc.damaged)
			}
			if !bytes.Equal(after, want) {
				t.Errorf("repaired, it is %q, want %q", after, want)
			}
		})
	}
}

// A repair into another file leaves the journal, and overwrites none.
func TestRepairOut(t *testing.T) {
	_, l := fiveLines(t)
	dir := t.TempDir()
	path, out := filepath.Join(dir, "scores.jsonl"), filepath.Join(dir, "out.jsonl")
	before := slices.Concat(l[0], l[1][:9], []byte("\n"), l[2])
	if err := os.WriteFile(path, before, 0o666); err != nil {
		t.Fatal(err)
	}
	sum, err := Repair(path, RepairOptions{Out: out})
	if err != nil || sum.Written != out || sum.Moved != out+".damaged" {
		t.Fatalf("%+v, %v", sum, err)
	}
	if got, want := readFile(t, out), slices.Concat(l[0], l[2]); !bytes.Equal(got, want) || !bytes.Equal(readFile(t, path), before) {
		t.Errorf("the new file is %q, want %q, and the old one as it was", got, want)
	}
	checkDamagedFile(t, out+".damaged", before, 1, 0)
	if _, err := Repair(path, RepairOptions{Out: out}); err == nil || !strings.Contains(err.Error(), out+" is there already") {
		t.Errorf("into a file that is there: %v", err)
	}
}

// While a run writes a journal, it is not repaired; while it is repaired, no run
// begins, and none goes on writing to a file that was replaced.
func TestRepairLock(t *testing.T) {
	m, l := fiveLines(t)
	path := filepath.Join(t.TempDir(), "scores.jsonl")
	if err := os.WriteFile(path, slices.Concat(l[0], l[1]), 0o666); err != nil {
		t.Fatal(err)
	}
	j, err := Open(path, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Repair(path, RepairOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("repair beside a run: %v", err)
	}
	if _, err := MergeInto(path, []string{path}, MergeOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("merge beside a run: %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	d := realDisk()
	rename := d.rename
	d.rename = func(from, to string) error {
		if _, err := Open(path, m); !errors.Is(err, ErrLocked) {
			t.Errorf("open beside a repair: %v", err)
		}
		return rename(from, to)
	}
	if err := os.WriteFile(path, slices.Concat(l[0], l[1][1:], l[2]), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := repair(path, RepairOptions{}, d); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if still, err := lockAt(f, path); still || err != nil {
		t.Errorf("a file without its name is still there: %t, %v", still, err)
	}
	if err := os.WriteFile(path, l[0], 0o666); err != nil {
		t.Fatal(err)
	}
	if still, err := lockAt(f, path); still || err != nil {
		t.Errorf("a file that was replaced is still there: %t, %v", still, err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

// Whatever is done to a journal's bytes behind its manifest: Verify finds first
// what Read finds, and a repaired file has the lines that are as they were, and no
// other.
func TestRepairAnything(t *testing.T) {
	countWarnings(t)
	_, l := fiveLines(t)
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		b := bytes.Join(l[1:], nil)
		for range rapid.IntRange(1, 4).Draw(rt, "changes") {
			at := rapid.IntRange(0, len(b)).Draw(rt, "at")
			to := min(len(b), at+rapid.SampledFrom([]int{0, 1, 3, 200, 700}).Draw(rt, "bytes"))
			with := rapid.SampledFrom([]string{"", "\n", "\x00\x00\x00", "\r", "}", "\n\n", string(l[2]), string(l[0]), string(b[at:to]) + string(b[at:to])}).Draw(rt, "with")
			b = slices.Concat(b[:at], []byte(with), b[to:])
		}
		whole := slices.Concat(l[0], b)
		path := filepath.Join(dir, "scores.jsonl")
		if err := errors.Join(os.WriteFile(path, whole, 0o666), os.RemoveAll(path+".damaged")); err != nil {
			rt.Fatal(err)
		}
		first := 0
		sum, err := Verify(path, func(line int, _ string) {
			if first == 0 {
				first = line
			}
		})
		if err != nil {
			rt.Fatal(err)
		}
		_, _, err = Read(path)
		var damage *DamageError
		if errors.As(err, &damage) && damage.Line != first || err == nil && first > 0 || (err == nil) != sum.OK() {
			rt.Fatalf("Read: %v; Verify: line %d, %+v", err, first, sum)
		}
		if _, err := Repair(path, RepairOptions{}); err != nil {
			rt.Fatal(err)
		}
		m, x, err := Read(path)
		if err != nil || x.Len() != sum.Sound || len(m.Differences(manifestOf(1))) > 0 {
			rt.Fatalf("repaired: %v, %d entries, want %d", err, x.Len(), sum.Sound)
		}
		after, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		for line := range bytes.Lines(after) {
			if bytes.HasSuffix(line, []byte("\n")) && !slices.ContainsFunc(l, func(one []byte) bool { return bytes.Equal(one, line) }) {
				rt.Fatalf("%q is no line of the journal", line)
			}
		}
	})
}
