package dedup

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"winnow/grader/record"
)

// rated is a record with its rating.
type rated struct {
	texts   [3]string
	value   float64
	unrated bool
}

// key stands for a record's content.
func (r rated) key() (k record.Key) {
	h := uint64(fnvOffset)
	for _, c := range []byte(strings.Join(r.texts[:], "\x00")) {
		h = mix(h ^ uint64(c))
	}
	for i := range 8 {
		k[i] = byte(h >> (8 * i))
	}
	return k
}

// find adds records, the first one with the index 100, and resolves.
func find(t testing.TB, o Options, list []rated) *Found {
	t.Helper()
	b, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range list {
		b.Add(&record.Record{Index: 100 + i, File: "data.jsonl", Line: 7 + i, Instruction: r.texts[0], Input: r.texts[1], Response: r.texts[2]}, r.key(), !r.unrated, r.value)
	}
	return b.Resolve()
}

// check holds found to the laws that do not depend on chance.
func check(t testing.TB, o Options, list []rated, found *Found) (duplicates map[int]Duplicate) {
	t.Helper()
	duplicates = map[int]Duplicate{}
	for n, r := range list {
		d, ok := found.Lookup(n)
		if !ok {
			continue
		}
		duplicates[n] = d
		s := list[d.Of]
		if _, chained := found.Lookup(d.Of); chained || r.unrated || s.unrated || n == d.Of {
			t.Fatalf("record %d is a duplicate of %+v, a duplicate itself: %t, without ratings: %t, %t", n, d, chained, r.unrated, s.unrated)
		}
		if s.value < r.value || s.value == r.value && d.Of > n {
			t.Fatalf("record %d, rated %v, is a duplicate of %d, rated %v", n, r.value, d.Of, s.value)
		}
		if d.Index != 100+d.Of || d.File != "data.jsonl" || d.Line != 7+d.Of || d.Same != (s.texts == r.texts) {
			t.Fatalf("record %d is a duplicate of %+v", n, d)
		}
		want := naiveSimilarity(naiveShingles(r.texts), naiveShingles(s.texts))
		if d.Similarity != want || want < o.threshold() || o.Mode == Exact && !d.Same {
			t.Fatalf("record %d has the similarity %v to %d, want %v", n, d.Similarity, d.Of, want)
		}
	}
	all := slices.Collect(found.All())
	if len(all) != len(duplicates) || found.Len() != len(all) || !slices.IsSorted(all) {
		t.Fatalf("duplicates %v, number %d, want %d", all, found.Len(), len(duplicates))
	}
	return duplicates
}

// pool returns records of which many are alike.
func pool(random *rand.Rand, n int) (list []rated) {
	var words [][]string
	for range n {
		var w []string
		switch k := len(words); {
		case k > 0 && random.IntN(3) > 0:
			w = edited(random, words[random.IntN(k)], random.IntN(3), 50)
		default:
			w = sentence(random, random.IntN(60), 50)
		}
		words = append(words, w)
		list = append(list, rated{three(w), float64(random.IntN(11)) / 2, random.IntN(10) == 0})
	}
	return list
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		list := pool(random, rapid.IntRange(0, 60).Draw(rt, "records"))
		for _, o := range []Options{{Mode: Near}, {Mode: Near, Threshold: 0.5}, {Mode: Near, Threshold: 1}, {Mode: Exact}} {
			found := check(t, o, list, find(t, o, list))
			// With these two nothing is left to chance: of what is the same one stays.
			same := func(a, b rated) bool { return a.texts == b.texts }
			switch {
			case o.Threshold == 1:
				same = func(a, b rated) bool {
					return naiveSimilarity(naiveShingles(a.texts), naiveShingles(b.texts)) == 1
				}
			case o.Mode == Near:
				continue
			}
			for i, a := range list {
				for k, b := range list[:i] {
					_, first := found[i]
					_, second := found[k]
					if !a.unrated && !b.unrated && !first && !second && same(a, b) {
						rt.Fatalf("%s: records %d and %d both stay: %q", o.Mode, i, k, a.texts)
					}
				}
			}
		}
	})
}

// Where all ratings differ, the order of the records does not matter.
func TestOrderDoesNotMatter(t *testing.T) {
	random := rand.New(rand.NewPCG(9, 10))
	list := pool(random, 400)
	for i := range list {
		list[i].value = float64(random.IntN(10_000)*1000 + i)
	}
	found := check(t, Options{Mode: Near}, list, find(t, Options{Mode: Near}, list))
	if len(found) < 50 {
		t.Fatalf("%d duplicates, want 50 for the test to mean something", len(found))
	}
	for range 5 {
		order := random.Perm(len(list))
		var other []rated
		for _, i := range order {
			other = append(other, list[i])
		}
		again := find(t, Options{Mode: Near}, other)
		if again.Len() != len(found) {
			t.Fatalf("%d duplicates in another order, %d before", again.Len(), len(found))
		}
		for n, i := range order {
			d, ok := again.Lookup(n)
			want, dup := found[i]
			if ok != dup || ok && (order[d.Of] != want.Of || d.Similarity != want.Similarity) {
				t.Fatalf("record %d: %+v in another order, %+v before", i, d, want)
			}
		}
	}
}

// Of planted near duplicates a little above the threshold 99 of 100 are found.
func TestRecall(t *testing.T) {
	random := rand.New(rand.NewPCG(11, 12))
	var list []rated
	var wants []float64 // of the second of each pair
	for range 1000 {
		w := sentence(random, 60+random.IntN(140), 5000)
		copied := edited(random, w, 1+random.IntN(4), 5000)
		a, b := rated{texts: three(w), value: 4}, rated{texts: three(copied), value: 3}
		list = append(list, a, b)
		wants = append(wants, naiveSimilarity(naiveShingles(a.texts), naiveShingles(b.texts)))
	}
	found := check(t, Options{Mode: Near}, list, find(t, Options{Mode: Near}, list))
	hits, eligible := 0, 0
	for i, s := range wants {
		d, ok := found[2*i+1]
		if ok && d.Of != 2*i {
			t.Fatalf("record %d is a duplicate of %d, want %d", 2*i+1, d.Of, 2*i)
		}
		if s >= DefaultThreshold+0.05 {
			eligible++
			if ok {
				hits++
			}
		}
	}
	if recall := float64(hits) / float64(eligible); eligible < 300 || !(recall >= 0.99) {
		t.Errorf("%d of %d planted duplicates are found, want 99 %% of at least 300", hits, eligible)
	}
}

// A likeness that leads over a duplicate counts for nothing.
func TestNoChains(t *testing.T) {
	w := make([]string, 100)
	for i := range w {
		w[i] = fmt.Sprint("w", i)
	}
	next := func(w []string, at int) []string {
		w = slices.Clone(w)
		w[at] = "other" + w[at]
		return w
	}
	b := next(w, 40)
	c := next(next(b, 60), 75)
	list := []rated{{texts: three(c), value: 1}, {texts: three(b), value: 2}, {texts: three(w), value: 3}}
	o := Options{Mode: Near, Threshold: 0.75} // w and c: 15 of 99 shingles differ, 84/114 = 0.74
	found := check(t, o, list, find(t, o, list))
	if len(found) != 1 || found[1].Of != 2 {
		t.Errorf("duplicates %+v, want record 1, of record 2", found)
	}
	list[1].value = 4 // now the one in the middle stands for both
	if found = check(t, o, list, find(t, o, list)); len(found) != 2 || found[0].Of != 1 || found[2].Of != 1 {
		t.Errorf("duplicates %+v, want records 0 and 2, of record 1", found)
	}
	list[1].unrated = true
	if found = check(t, o, list, find(t, o, list)); len(found) != 0 {
		t.Errorf("duplicates %+v of a record without a rating", found)
	}
}

// Of several survivors the most similar one is named, of equal ones the first.
func TestMostSimilar(t *testing.T) {
	w := make([]string, 100)
	for i := range w {
		w[i] = fmt.Sprint("w", i)
	}
	with := func(at ...int) [3]string {
		w := slices.Clone(w)
		for _, i := range at {
			w[i] = "x" + w[i]
		}
		return three(w)
	}
	o := Options{Mode: Near, Threshold: 0.75}
	list := []rated{
		{texts: with(10, 20, 70), value: 9}, {texts: with(40, 50, 90), value: 8}, // unlike one another
		{texts: with(10), value: 7},           // like the first, by two words
		{texts: with(40, 50, 80), value: 6},   // like the second, by two
		{texts: with(10, 20), value: 5},       // like the first, by one
		{texts: with(10, 20, 70), value: 4.5}, // the first itself
	}
	found := check(t, o, list, find(t, o, list))
	want := map[int]int{2: 0, 3: 1, 4: 0, 5: 0}
	for n, of := range want {
		if d, ok := found[n]; !ok || d.Of != of {
			t.Errorf("record %d: %+v, want a duplicate of %d", n, d, of)
		}
	}
	if len(found) != len(want) || !found[5].Same || found[4].Same {
		t.Errorf("duplicates %+v, want %v", found, want)
	}
}

// The number of cores changes nothing.
func TestCores(t *testing.T) {
	list := pool(rand.New(rand.NewPCG(15, 16)), 5000) // more than are hashed at once
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	one := find(t, Options{Mode: Near}, list)
	runtime.GOMAXPROCS(7)
	seven := find(t, Options{Mode: Near}, list)
	if !reflect.DeepEqual(one, seven) || one.Len() < 1000 || one.Compared() < one.Len()/2 {
		t.Errorf("%d duplicates of %d pairs on one core, %d of %d on seven", one.Len(), one.Compared(), seven.Len(), seven.Compared())
	}
}

// A great many equal records are no more work than others.
func TestManyEqual(t *testing.T) {
	list := make([]rated, 50_000)
	for i := range list {
		list[i] = rated{texts: [3]string{"Say yes.", "", strings.Repeat("yes", 1+i%2) + strings.Repeat("!", i%3)}, value: float64(i % 5)}
	}
	found := find(t, Options{Mode: Near}, list)
	if found.Len() != len(list)-2 || found.Compared() > 10 {
		t.Errorf("%d of %d records are duplicates, %d pairs compared; want all but two, and few", found.Len(), len(list), found.Compared())
	}
}

// Texts without a word can be compared, and so can none.
func TestEmptyTexts(t *testing.T) {
	list := []rated{{}, {}, {texts: [3]string{"", "", "?"}}, {texts: [3]string{"", "", "!"}}, {texts: [3]string{" ", "\n", ""}}}
	found := find(t, Options{Mode: Near}, list)
	var got []int
	for n := range found.All() {
		got = append(got, n)
	}
	if !slices.Equal(got, []int{1, 4}) {
		t.Errorf("duplicates %v, want the second and the last", got)
	}
	if d, ok := found.Lookup(4); !ok || d.Of != 0 || d.Same || d.Similarity != 1 {
		t.Errorf("white space: %+v, want similarity 1 to the first", d)
	}
	if f := find(t, Options{Mode: Near}, nil); f.Len() != 0 {
		t.Errorf("%d duplicates among no records", f.Len())
	}
}

// A conversation is compared by its last turn under the key of the whole.
func TestKeyOfTheWhole(t *testing.T) {
	b, err := New(Options{Mode: Exact})
	if err != nil {
		t.Fatal(err)
	}
	rec := &record.Record{Index: 3, Instruction: "And now?", Response: "Nothing.", Turn: 1, Turns: 2}
	b.Add(rec, record.Key{1}, true, 5)
	b.Add(rec, record.Key{2}, true, 5)
	b.Add(rec, record.Key{1}, true, 5)
	found := b.Resolve()
	if d, ok := found.Lookup(2); !ok || d.Of != 0 || found.Len() != 1 {
		t.Errorf("%+v and %d duplicates, want the third, of the first", d, found.Len())
	}
}

// Off keeps nothing; no place outside has a duplicate.
func TestOff(t *testing.T) {
	list := []rated{{}, {}}
	for _, mode := range []Mode{Off, ""} {
		found := find(t, Options{Mode: mode}, list)
		if _, ok := found.Lookup(1); ok || found.Len() != 0 || (Options{Mode: mode}).On() {
			t.Errorf("mode %q finds duplicates", mode)
		}
	}
	found := find(t, Options{Mode: Exact}, list)
	for _, n := range []int{-1, 0, 2, 99} {
		if d, ok := found.Lookup(n); ok {
			t.Errorf("record %d is a duplicate: %+v", n, d)
		}
	}
}

func TestOptions(t *testing.T) {
	for _, o := range []Options{{Mode: "wat"}, {Mode: Near, Threshold: 0.2}, {Mode: Near, Threshold: 1.01}, {Mode: Near, Threshold: -1}, {Mode: Near, Threshold: math.NaN()}} {
		if b, err := New(o); err == nil || b != nil || !strings.Contains(err.Error(), "want ") {
			t.Errorf("%+v: error %v, want one that says what is possible", o, err)
		}
	}
}

func TestReason(t *testing.T) {
	d := Duplicate{Index: 17, File: "data.json", Line: 140}
	for s, want := range map[float64]string{
		0.93:    "duplicate of record 17 (data.json:140), similarity 0.93",
		0.93999: "duplicate of record 17 (data.json:140), similarity 0.93",
		0.99999: "duplicate of record 17 (data.json:140), similarity 0.99",
		0.8:     "duplicate of record 17 (data.json:140), similarity 0.80",
		1:       "duplicate of record 17 (data.json:140), similarity 1.00",
	} {
		d.Similarity = s
		if got := d.Reason(); got != want {
			t.Errorf("%v: %q, want %q", s, got, want)
		}
	}
	d.Same = true
	if got, want := d.Reason(), "same texts as record 17 (data.json:140)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
