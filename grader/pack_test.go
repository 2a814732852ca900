package grader

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestPackLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.IntRange(0, 120), 0, 200).Draw(t, "sizes")
		c := Capacity{Tokens: rapid.IntRange(1, 300).Draw(t, "tokens"), Prompts: rapid.IntRange(1, 40).Draw(t, "prompts")}
		c.Most = c.Tokens + rapid.IntRange(0, 200).Draw(t, "more")
		var p packer
		p.pack(rapid.SliceOfN(rapid.IntRange(0, 120), 0, 200).Draw(t, "before"), c) // its memory is reused
		batches := p.pack(sizes, c)
		placed := make([]int, len(sizes))
		first := -1
		for _, b := range batches {
			if len(b) == 0 || len(b) > c.Prompts {
				t.Fatalf("a batch has %d prompts, want 1 to %d", len(b), c.Prompts)
			}
			if !slices.IsSorted(b) {
				t.Fatalf("the batch %v is not in the order of the input", b)
			}
			if b[0] <= first {
				t.Fatalf("the batch of prompt %d stands behind that of prompt %d", b[0], first)
			}
			first = b[0]
			sum, largest := 0, 0
			for _, i := range b {
				placed[i]++
				sum += sizes[i]
				largest = max(largest, sizes[i])
			}
			// The passes that the largest needs anyway.
			room := min(max(1, (largest+c.Tokens-1)/c.Tokens)*c.Tokens, c.Most)
			if sum > room && len(b) > 1 {
				t.Fatalf("the batch %v has %d tokens, more than %d", b, sum, room)
			}
		}
		for i, n := range placed {
			if n != 1 {
				t.Fatalf("prompt %d stands in %d batches", i, n)
			}
		}
		if again := new(packer).pack(slices.Clone(sizes), c); len(again)+len(batches) > 0 && !reflect.DeepEqual(again, batches) {
			t.Fatalf("packed again: %v, before: %v", again, batches)
		}
	})
}

func TestPack(t *testing.T) {
	for name, tc := range map[string]struct {
		sizes    []int
		capacity Capacity
		want     [][]int
	}{
		"none":                {nil, Capacity{Tokens: 10, Prompts: 4}, nil},
		"exact":               {[]int{4, 6, 5, 5}, Capacity{Tokens: 10, Prompts: 4}, [][]int{{0, 1}, {2, 3}}},
		"larger than all":     {[]int{3, 11, 3}, Capacity{Tokens: 10, Prompts: 4}, [][]int{{0, 2}, {1}}},
		"a last pass shared":  {[]int{3, 11, 3, 4}, Capacity{Tokens: 10, Most: 30, Prompts: 4}, [][]int{{0, 1, 3}, {2}}},
		"not over all passes": {[]int{3, 11, 3}, Capacity{Tokens: 10, Most: 16, Prompts: 4}, [][]int{{0, 1}, {2}}},
		"prompts":             {[]int{1, 1, 1, 1, 1}, Capacity{Tokens: 10, Prompts: 2}, [][]int{{0, 1}, {2, 3}, {4}}},
		"largest first":       {[]int{1, 9, 2, 8}, Capacity{Tokens: 10, Prompts: 4}, [][]int{{0, 1}, {2, 3}}},
		"the best pair":       {[]int{5, 4, 3, 3, 2}, Capacity{Tokens: 10, Prompts: 4}, [][]int{{0, 2, 4}, {1, 3}}},
		"no pair but places":  {[]int{5, 4, 3, 3, 2}, Capacity{Tokens: 10, Prompts: 2}, [][]int{{0, 1}, {2, 3}, {4}}},
		"ties":                {[]int{6, 6, 4, 4}, Capacity{Tokens: 10, Prompts: 4}, [][]int{{0, 2}, {1, 3}}},
	} {
		if got := new(packer).pack(tc.sizes, tc.capacity); len(got)+len(tc.want) > 0 && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: pack(%v, %+v) = %v, want %v", name, tc.sizes, tc.capacity, got, tc.want)
		}
	}
}

// Of equal prompts the first one is placed first.
func TestPackStable(t *testing.T) {
	sizes := append(slices.Repeat([]int{6}, 150), slices.Repeat([]int{4}, 150)...)
	rand.New(rand.NewPCG(3, 4)).Shuffle(len(sizes), func(i, j int) { sizes[i], sizes[j] = sizes[j], sizes[i] })
	at := map[int][]int{} // where each size stands
	for i, size := range sizes {
		at[size] = append(at[size], i)
	}
	partner := map[int]int{}
	for i := range at[6] {
		partner[at[6][i]], partner[at[4][i]] = at[4][i], at[6][i]
	}
	for _, b := range new(packer).pack(sizes, Capacity{Tokens: 10, Prompts: 10}) {
		if len(b) != 2 || partner[b[0]] != b[1] {
			t.Fatalf("the batch %v, want prompt %d with prompt %d", b, b[0], partner[b[0]])
		}
	}
}

// A window of usual records fills its batches, the last one included.
func TestPackFill(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	worst := 1.0
	for range 200 {
		var sizes []int
		total := 0
		for range windowRecords {
			sizes = append(sizes, 50+random.IntN(251))
			total += sizes[len(sizes)-1]
		}
		const tokens = 512
		n := len(new(packer).pack(sizes, Capacity{Tokens: tokens, Prompts: 42}))
		worst = min(worst, float64(total)/float64(n*tokens))
	}
	t.Logf("the worst of 200 windows fills %.3f of its batches", worst)
	if worst < 0.99 {
		t.Errorf("the worst of 200 windows fills %.3f of its batches, want at least 0.99", worst)
	}
}
