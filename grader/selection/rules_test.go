package selection

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// made returns records of few words, so that many are alike, some of them copies, and
// with ratings of which many are equal.
func made(n int) []Candidate {
	random := rand.New(rand.NewPCG(7, uint64(n)))
	list := make([]Candidate, n)
	for i := range list {
		var words []string
		for range 4 + random.IntN(12) {
			words = append(words, fmt.Sprintf("w%d", random.IntN(40)))
		}
		c := Candidate{Texts: [3]string{strings.Join(words, " ")}, File: "made.json", Line: i + 2, Index: i}
		if i > 0 && random.IntN(4) == 0 { // a copy, or one with a word more
			c.Texts = list[random.IntN(i)].Texts
			if random.IntN(2) == 0 {
				c.Texts[2] = fmt.Sprintf("w%d", random.IntN(40))
			}
		}
		c.Rating = float64(random.IntN(11)) / 2
		c.Worth = c.Rating
		c.Values = []string{fmt.Sprintf("s%d", random.IntN(4)), ""}
		if random.IntN(3) == 0 {
			c.Values[1] = "en"
		}
		for k := range c.Key {
			c.Key[k] = byte(random.Uint32())
		}
		list[i] = c
	}
	return list
}

func pickOf(t testing.TB, o Options, list []Candidate) (*Picker, *Picks) {
	t.Helper()
	p := newPicker(t, o)
	for i, c := range list {
		if i%17 == 3 {
			p.Skip()
			continue
		}
		p.Add(c)
	}
	for i := 5; i < len(list); i += 23 {
		p.Withdraw(i)
	}
	picks, err := p.Pick(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, picks
}

// plainDeita is the rule in its plainest form.
func plainDeita(p *Picker, o Options, list []Candidate) (picked []int, like map[int]int) {
	var order []int
	for i := range list {
		if p.Vector(i) != nil {
			order = append(order, i)
		}
	}
	slices.SortFunc(order, func(a, b int) int {
		x, y := list[a], list[b]
		switch {
		case x.Worth != y.Worth && x.Worth > y.Worth, x.Worth == y.Worth && slices.Compare(x.Key[:], y.Key[:]) < 0:
			return -1
		}
		return 1
	})
	counts := map[string]int{}
	like = map[int]int{}
	for _, i := range order {
		if o.N > 0 && len(picked) == o.N {
			break
		}
		best := -1.0
		for _, k := range picked {
			if x := cosine(p.Vector(i), p.Vector(k)); x > o.threshold() && x > best+1e-6 {
				best, like[i] = x, k
			}
		}
		if best > 0 || slices.ContainsFunc(o.Quotas, func(q Quota) bool {
			value := list[i].Values[slices.IndexFunc(o.Quotas, func(r Quota) bool { return r.Field == q.Field })]
			return q.limit(value) != Unlimited && counts[q.Field+value] >= q.limit(value)
		}) {
			continue
		}
		for k, q := range o.Quotas {
			counts[q.Field+list[i].Values[k]]++
		}
		picked = append(picked, i)
	}
	return picked, like
}

var someQuotas = []Quota{{Field: "source", Each: 20, Of: map[string]int{"s1": 5, "s2": 0}}, {Field: "lang", Each: Unlimited, Of: map[string]int{"en": 6}}}

func TestDeita(t *testing.T) {
	list := made(600)
	for _, o := range []Options{
		{Rule: Deita},
		{Rule: Deita, Threshold: 0.55},
		{Rule: Deita, Threshold: 0.55, N: 60},
		{Rule: Deita, Threshold: 0.7, N: 1},
		{Rule: Deita, Threshold: 0.7, Quotas: someQuotas},
		{Rule: Deita, Threshold: 0.7, N: 30, Quotas: someQuotas},
	} {
		p, picks := pickOf(t, o, list)
		want, like := plainDeita(p, o, list)
		if got := picks.Records(); !slices.Equal(got, want) {
			t.Errorf("%+v: picks %v, want %v", o, got, want)
			continue
		}
		reasons := map[string]int{}
		for i := range list {
			pick, candidate := picks.Lookup(i)
			if candidate != (p.Vector(i) != nil) {
				t.Fatalf("record %d: candidate %v", i, candidate)
			}
			if !candidate {
				continue
			}
			of, alike := like[i]
			if alike != (pick.Like != nil) || alike && (pick.Like.Index != of || pick.Like.Line != of+2 || !(pick.Like.Similarity > o.threshold()) || want[pick.Like.Rank-1] != of) {
				t.Errorf("%+v: record %d is like %+v, want %d", o, i, pick.Like, of)
			}
			kind := "behind"
			switch r := pick.Reason(); {
			case alike && strings.HasPrefix(r, "cosine 0.") && strings.Contains(r, fmt.Sprintf(" to record %d (made.json:%d), pick ", of, of+2)),
				alike && strings.HasPrefix(r, "cosine 1.0"):
				kind = "like"
			case pick.Full != "" && (strings.HasPrefix(r, `source "s`) || strings.HasPrefix(r, `lang "en" has its quota of 6`)):
				kind = "quota"
			case pick.Rank > 0 && strings.HasPrefix(r, fmt.Sprintf("pick %d of %d, place ", pick.Rank, len(want))):
				kind = "pick"
			case o.N == 0 || len(want) < o.N || !strings.HasSuffix(r, fmt.Sprintf("behind the %d picks", o.N)):
				t.Errorf("%+v: record %d: %q", o, i, r)
			}
			reasons[kind]++
		}
		if reasons["pick"] != len(want) || (o.Quotas != nil && reasons["quota"] == 0) || (o.N == 0) != (reasons["behind"] == 0) {
			t.Errorf("%+v: %v", o, reasons)
		}
	}
}

// Neither the rule nor what it says depends on the number of threads or on how often it runs.
func TestThreads(t *testing.T) {
	list := made(900)
	for _, o := range []Options{
		{Rule: Deita, Threshold: 0.6, N: 200, Quotas: someQuotas},
		{Rule: Deita, Threshold: 0.5},
		{Rule: KCenter, N: 100, Quotas: someQuotas},
		{Rule: KCenter, N: 100},
	} {
		_, first := pickOf(t, o, list)
		for _, threads := range []int{1, 3, 8} {
			before := runtime.GOMAXPROCS(threads)
			_, again := pickOf(t, o, list)
			runtime.GOMAXPROCS(before)
			if !reflect.DeepEqual(first, again) {
				t.Errorf("%+v: %d threads make other picks", o, threads)
			}
		}
	}
}

func TestCenterQuotas(t *testing.T) {
	list := made(500)
	_, free := pickOf(t, Options{Rule: KCenter, N: 120}, list)
	_, wide := pickOf(t, Options{Rule: KCenter, N: 120, Quotas: []Quota{{Field: "source", Each: 500}}}, list)
	if a, b := free.Records(), wide.Records(); !slices.Equal(a, b) {
		t.Errorf("a quota that never binds changes the picks from %v to %v", a, b)
	}
	p, bound := pickOf(t, Options{Rule: KCenter, N: 120, Quotas: someQuotas}, list)
	counts := map[string]int{}
	for _, n := range bound.Records() {
		counts[list[n].Values[0]]++
		counts[list[n].Values[1]]++
	}
	if counts["s0"] != 20 || counts["s1"] != 5 || counts["s2"] != 0 || counts["s3"] != 20 || counts["en"] != 6 {
		t.Errorf("picks by value: %v", counts)
	}
	full := 0
	for n := range list {
		if pick, candidate := bound.Lookup(n); candidate && pick.Rank == 0 {
			if pick.Full == "" || !strings.Contains(pick.Reason(), "has its quota of") {
				t.Fatalf("record %d is left out with no quota that is used up: %q", n, pick.Reason())
			}
			full++
		}
	}
	if total := bound.Len() + full; total != len(p.candidates) {
		t.Errorf("%d picks and %d for quotas are not %d candidates", bound.Len(), full, len(p.candidates))
	}
	// With a quota of one each, a pick is the farthest of those that are left.
	_, one := pickOf(t, Options{Rule: KCenter, N: 9, Quotas: []Quota{{Field: "source", Each: 1}}}, list)
	values := map[string]bool{}
	for _, n := range one.Records() {
		values[list[n].Values[0]] = true
	}
	if one.Len() != 4 || len(values) != 4 || one.Records()[0] != free.Records()[0] {
		t.Errorf("one of each: %v", one.Records())
	}
	if _, none := pickOf(t, Options{Rule: KCenter, N: 9, Quotas: []Quota{{Field: "source", Each: 0}}}, list); none.Len() != 0 {
		t.Errorf("none of each: %v", none.Records())
	}
}

func TestOptions(t *testing.T) {
	for want, o := range map[string]Options{
		"":                                      {},
		"want k-center or deita":                {Rule: "best"},
		"0 picks: want 1 or more":               {Rule: KCenter},
		"-1 picks":                              {Rule: Deita, N: -1},
		"for the rule deita":                    {Rule: KCenter, N: 1, Threshold: 0.5},
		"more than 0 and less than 1":           {Rule: Deita, Threshold: 1},
		"a quota of field a: it is for a rule":  {Quotas: []Quota{{Field: "a"}}},
		"two quotas of field a":                 {Rule: Deita, Quotas: []Quota{{Field: "a"}, {Field: "a"}}},
		"-0.5 at most: want more than 0 and le": {Rule: Deita, Threshold: -0.5},
	} {
		_, err := New(scale, o)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%+v: error %v, want %q", o, err, want)
		}
	}
}

func TestParseQuotas(t *testing.T) {
	got, err := ParseQuotas([]string{"source=100", "lang:en=20", "lang:=5", "lang=7", "url:http://x=1=3"})
	want := []Quota{
		{Field: "source", Each: 100, Of: map[string]int{}},
		{Field: "lang", Each: 7, Of: map[string]int{"en": 20, "": 5}},
		{Field: "url", Each: Unlimited, Of: map[string]int{"http://x=1": 3}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, error %v; want %+v", got, err, want)
	}
	for text, want := range map[string]string{
		"a":           "want FIELD=N or FIELD:VALUE=N",
		"=3":          "names no field",
		":b=3":        "names no field",
		"a=x":         `"x" is no number of records`,
		"a=-1":        "want 0 or more",
		"a=1 a=2":     "another quota for a",
		"a:b=1 a:b=1": "another quota for a:b",
	} {
		if _, err := ParseQuotas(strings.Fields(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
}

func BenchmarkPick(b *testing.B) {
	list := made(2000)
	for _, o := range []Options{{Rule: Deita, N: 400}, {Rule: KCenter, N: 400}, {Rule: KCenter, N: 400, Quotas: []Quota{{Field: "source", Each: 100}}}} {
		b.Run(fmt.Sprintf("%s-%d", o.Rule, len(o.Quotas)), func(b *testing.B) {
			for b.Loop() {
				pickOf(b, o, list)
			}
		})
	}
}
