package audit

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"winnow/grader/record"
)

// texts makes n records of different texts.
func texts(n int) (list []*record.Record) {
	for i := range n {
		list = append(list, record.Made(i, fmt.Sprintf("Task %d", i), "", fmt.Sprintf("This is the answer to task %d, and it has some words.", i)))
	}
	return list
}

func draw(t *testing.T, list []*record.Record, limit, n int, seed uint64) *Sample {
	t.Helper()
	s, err := Draw(t.Context(), record.FromList(list), limit, n, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keys(list []*record.Record) (k []record.Key) {
	for _, r := range list {
		k = append(k, r.Key)
	}
	return k
}

func TestDraw(t *testing.T) {
	list := texts(1000)
	s := draw(t, list, 0, 50, 1)
	if len(s.Records) != 50 || s.Read != 1000 || s.Eligible != 1000 || len(s.LeftOut) != 0 {
		t.Fatalf("%d records, %d read, %d eligible, left out %v", len(s.Records), s.Read, s.Eligible, s.LeftOut)
	}
	for i, r := range s.Records {
		if r.Index != i || r.Turns != 1 {
			t.Errorf("record %d has the index %d and %d turns", i, r.Index, r.Turns)
		}
	}

	// The order of the source, and what repeats in it, do not matter.
	other := slices.Concat(list[500:], list[:600], list)
	slices.Reverse(other)
	again := draw(t, other, 0, 50, 1)
	if !slices.Equal(keys(s.Records), keys(again.Records)) {
		t.Error("another order of the source gives another sample")
	}
	if again.Eligible != 2100 {
		t.Errorf("%d eligible, want 2100", again.Eligible)
	}
	larger := draw(t, list, 0, 80, 1)
	if !slices.Equal(keys(s.Records), keys(larger.Records[:50])) {
		t.Error("a larger sample does not begin with the smaller one")
	}
	if slices.Equal(keys(s.Records), keys(draw(t, list, 0, 50, 2).Records)) {
		t.Error("another seed gives the same sample")
	}

	// No more than there are, each once.
	if all := draw(t, other, 0, 5000, 1); len(all.Records) != 1000 {
		t.Errorf("%d records of 1000", len(all.Records))
	}
}

func TestDrawLeavesOut(t *testing.T) {
	list := texts(6)
	list[1].Fault = &record.Fault{Status: record.NoResponse, Reason: "made"}
	list[2] = record.Made(2, "Task", "", " \n")
	list[3].Turn, list[3].Turns = 0, 2 // a conversation of two turns
	list[4].Turn, list[4].Turns = 1, 2
	s := draw(t, list, 0, 10, 1)
	want := map[record.Status]int{record.NoResponse: 1, record.EmptyResponse: 1}
	if len(s.Records) != 4 || s.Read != 6 || s.Eligible != 4 || !reflect.DeepEqual(s.LeftOut, want) {
		t.Errorf("%d records, %d read, %d eligible, left out %v", len(s.Records), s.Read, s.Eligible, s.LeftOut)
	}
	if s := draw(t, list, 4, 10, 1); s.Read != 5 { // the fourth record has two turns
		t.Errorf("with a limit of 4 records %d turns and records are read, want 5", s.Read)
	}
}

func TestDrawErrors(t *testing.T) {
	if _, err := Draw(t.Context(), record.FromList(texts(1)), 0, 0, 1); err == nil {
		t.Error("a sample of 0 records is drawn")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Draw(ctx, record.FromList(texts(1)), 0, 1, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if _, err := Draw(t.Context(), brokenSource{}, 0, 1, 1); !errors.Is(err, errBroken) {
		t.Errorf("error %v, want the source's", err)
	}
}

var errBroken = errors.New("broken")

type brokenSource struct{}

func (brokenSource) Next() (*record.Record, error) { return nil, errBroken }
func (brokenSource) Layout() record.Layout         { return nil }
func (brokenSource) Close() error                  { return nil }
