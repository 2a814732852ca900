package gold

import (
	"errors"
	"io"
	"reflect"
	"testing"

	"winnow/grader/record"
)

// drain reads a source to its end.
func drain(t *testing.T, src record.Source) (list []*record.Record) {
	t.Helper()
	for {
		rec, err := src.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, rec)
	}
}

func TestOnly(t *testing.T) {
	chat := record.Parse([]byte(`{"messages":[{"role":"user","content":"Q"},{"role":"assistant","content":"one"},{"role":"user","content":"R"},{"role":"assistant","content":"zwölf"}]}`), 2, "chat", 1, record.Fields{})
	list := append([]*record.Record{record.Made(0, "Q", "", "A"), record.Made(1, "Q", "", "A")}, chat...)
	labels := Labels{{Key: chat[1].Key}, {Key: list[0].Key}, {Key: record.Key{1}}, {Index: 9}}
	got := drain(t, Only(record.FromList(list), labels))
	if len(got) != 2 || got[0] != list[0] {
		t.Fatalf("%v", got)
	}
	if r := got[1]; r.Key != chat[1].Key || r.Turn != 0 || r.Turns != 1 || chat[1].Turns != 2 {
		t.Errorf("the turn is %d of %d, in its conversation of %d", r.Turn, r.Turns, chat[1].Turns)
	}
	chars, err := Lengths(func() (record.Source, error) { return record.FromList(list), nil }, labels)
	if err != nil || !reflect.DeepEqual(chars, map[record.Key]int{list[0].Key: 1, chat[1].Key: 5}) {
		t.Errorf("%v, %v", chars, err)
	}
	broken := errors.New("broken")
	if _, err := Lengths(func() (record.Source, error) { return nil, broken }, labels); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestRecordsOfPairs(t *testing.T) {
	pairs := []Pair{{0, "Q", "i", "a", "b", A}, {1, "Q", "", "a", " ", B}, {2, "", " ", "a", "b", B}}
	single, both := Single(pairs), BothOrders(pairs)
	keys := map[record.Key]bool{}
	for i := range pairs {
		for _, list := range [][]*record.Record{single, both} {
			keys[list[2*i].Key], keys[list[2*i+1].Key] = true, true
		}
	}
	if len(single) != 6 || len(both) != 6 || len(keys) != 12 {
		t.Errorf("%d and %d records with %d keys", len(single), len(both), len(keys))
	}
	if r := both[1]; r.Response != "b" || r.Other != "a" || !r.Pair || r.Index != 1 {
		t.Errorf("swapped: %+v", r)
	}
	if both[0].Key != pairs[0].Key() {
		t.Error("a pair's key is not that of its record")
	}
	var faults []record.Status
	for _, r := range append(single, both...) {
		if r.Fault != nil {
			faults = append(faults, r.Fault.Status)
		}
	}
	want := []record.Status{record.EmptyResponse, record.NoInstruction, record.NoInstruction, record.EmptyResponse, record.EmptyResponse, record.NoInstruction, record.NoInstruction}
	if !reflect.DeepEqual(faults, want) {
		t.Errorf("faults %v, want %v", faults, want)
	}
}

func TestHalves(t *testing.T) {
	var labels Labels
	var pairs []Pair
	for i := range 40 {
		labels = append(labels, Label{Key: record.Key{byte(i), 3}, Index: i})
		pairs = append(pairs, Pair{Index: i, Instruction: string(rune('a' + i)), A: "a", B: "b"})
	}
	seen := map[int]int{}
	for half := range 2 {
		for _, l := range labels.Half(half, 5) {
			seen[l.Index]++
		}
		for _, p := range HalfOfPairs(pairs, half, 5) {
			seen[100+p.Index]++
		}
	}
	for i, n := range seen {
		if n != 1 {
			t.Errorf("%d is in %d halves", i, n)
		}
	}
	if len(seen) != 80 {
		t.Errorf("%d of 80 are in a half", len(seen))
	}
}
