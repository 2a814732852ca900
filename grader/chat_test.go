package grader

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader/journal"
	"winnow/grader/record"
	"winnow/grader/verdict"
)

// chatLine is a conversation of so many turns. One turn of some is blank.
func chatLine(i, turns int) string {
	var b strings.Builder
	for n := range turns {
		if n > 0 {
			b.WriteString(", ")
		}
		answer := fmt.Sprintf("it is %d", i+n)
		if i%13 == 4 && n == i%turns {
			answer = " "
		}
		fmt.Fprintf(&b, `{"from": "human", "value": "what is %d + %d?"}, {"from": "gpt", "value": "%s"}`, i, n, answer)
	}
	return fmt.Sprintf("{\"conversations\": [%s], \"id\": %d}\n", b.String(), i)
}

// mixed returns n records, one a line: conversations of one to four turns among
// others, some of them there twice.
func mixed(n int) []byte {
	var b strings.Builder
	for i := range n {
		switch i % 7 {
		case 0, 3:
			b.WriteString(goodLine(i))
		case 5:
			b.WriteString(chatLine(i/2, 1+i/2%4))
		case 6:
			b.WriteString("{\"messages\": \"none\", \"id\": " + fmt.Sprint(i) + "}\n")
		default:
			b.WriteString(chatLine(i, 1+i%4))
		}
	}
	return []byte(b.String())
}

// byRecord returns the turns of each record.
func byRecord(recs []*record.Record) (groups [][]*record.Record) {
	for _, rec := range recs {
		if rec.Turn == 0 {
			groups = append(groups, nil)
		}
		groups[rec.Index] = append(groups[rec.Index], rec)
	}
	return groups
}

// Each turn gets an entry of its own, equal ones one; limits count records.
func TestGradeConversations(t *testing.T) {
	const n = 200
	data := mixed(n)
	lines := bytes.SplitAfter(data, []byte("\n"))
	o := GradeOptions{MaxOffScale: 0.3, window: 50}
	m, _, done := grade(t, data, o)
	recs := records(t, data)
	if len(recs) < 300 || done.Records != n || done.Done != len(recs) || done.Rated != len(distinct(recs)) {
		t.Errorf("%d turns: %+v, want %d records", len(recs), done, n)
	}
	counts := map[record.Status]int{}
	for _, rec := range recs {
		e, ok := m.Lookup(rec.Key)
		if want := expected(rec, o); !ok || e.Status != want.Status || !reflect.DeepEqual(e.Ratings, want.Ratings) {
			t.Errorf("turn %d of record %d: %+v, want %+v", rec.Turn, rec.Index, e, want)
		}
		counts[e.Status]++
	}
	if !reflect.DeepEqual(done.Statuses, counts) {
		t.Errorf("statuses %v, want %v", done.Statuses, counts)
	}
	for limit := 1; limit <= n; limit += 9 {
		first := bytes.Join(lines[:limit], nil)
		want, _, _ := grade(t, first, o)
		broken := append(slices.Clone(first), "\x00\n"...) // nothing behind the limit is read
		o := o
		o.Limit = limit
		got, _, done := grade(t, broken, o)
		if !reflect.DeepEqual(got.entries, want.entries) || done.Records != limit || done.Done != len(records(t, first)) {
			t.Errorf("limit %d: %d entries, %+v; want %d", limit, len(got.entries), done, len(want.entries))
		}
	}
	for known := 0; known <= len(m.entries); known += 7 {
		again := newMemory(m.entries[:known]...)
		if _, err := Grade(t.Context(), reader(data), newFake(), again, again, o); err != nil || !reflect.DeepEqual(again.entries, m.entries) {
			t.Fatalf("resumed after %d entries: %v, or the entries differ", known, err)
		}
	}
}

// A window counts the bytes of a conversation once.
func TestWindowCountsConversationOnce(t *testing.T) {
	recs := records(t, []byte(chatLine(1, 4)+chatLine(2, 2)))
	var w window
	w.reset()
	for _, rec := range recs {
		w.add(rec, true)
	}
	if want := len(recs[0].Raw) + len(recs[5].Raw); len(recs) != 6 || w.bytes != want {
		t.Errorf("%d turns of %d bytes, want %d", len(recs), w.bytes, want)
	}
}

// A conversation is decided on as a whole and written once, byte for byte.
func TestFilterConversations(t *testing.T) {
	const n = 200
	data := mixed(n)
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.9})
	groups := byRecord(records(t, data))
	for _, how := range AllTurns() {
		var visited []*record.Record
		var verdicts []verdict.Verdict
		var keptBuf, droppedBuf bytes.Buffer
		report, err := Filter(opener(data), m, FilterOptions{
			Rule: verdict.Rule{Min: ptr(2.0)}, Turns: how, Kept: &keptBuf, Dropped: &droppedBuf,
			Visit: func(rec *record.Record, _ journal.Entry, v verdict.Verdict) {
				visited, verdicts = append(visited, rec), append(verdicts, v)
			},
		})
		if err != nil || report.Records != n || len(visited) != n || len(groups) != n {
			t.Fatalf("%s: %v, %+v, %d visited", how, err, report, len(visited))
		}
		var kept []byte
		dropped := byRecord(readBack(t, droppedBuf.Bytes()))
		counts := map[verdict.Decision]int{}
		for i, turns := range groups {
			v := verdicts[i]
			want, prefix := decided(m, turns, how)
			if counts[v.Decision]++; v.Decision != want || visited[i].Index != i || visited[i].Turn != 0 || len(turns) > 1 && !strings.Contains(v.Reason, prefix) {
				t.Fatalf("%s: record %d with %d turns: %+v, want %s with %q", how, i, len(turns), v, want, prefix)
			}
			if v.Decision == verdict.Keep {
				kept = append(append(kept, turns[0].Raw...), '\n')
				continue
			}
			raw, note := original(t, dropped[0][0].Raw)
			dropped = dropped[1:]
			if !bytes.Equal(raw, turns[0].Raw) || note.Reason != v.Reason {
				t.Fatalf("%s: dropped\n%s with %+v, want\n%s", how, raw, note, turns[0].Raw)
			}
			if len(turns) == 1 && note.Turns != nil || len(turns) > 1 && len(note.Turns) != len(turns) {
				t.Fatalf("%s: record %d with %d turns has the note %+v", how, i, len(turns), note)
			}
			for k, turn := range note.Turns {
				if e, _ := m.Lookup(turns[k].Key); turn.Status != e.Status || (turn.Rating != nil) != (e.Status == record.OK) {
					t.Fatalf("%s: turn %d of record %d is noted as %+v, want %+v", how, k, i, turn, e)
				}
			}
		}
		if !bytes.Equal(keptBuf.Bytes(), kept) || len(dropped) > 0 {
			t.Errorf("%s: kept\n%s, want\n%s; %d dropped records too many", how, keptBuf.Bytes(), kept, len(dropped))
		}
		if counts[verdict.Keep] < 5 || counts[verdict.Drop] < 5 || counts[verdict.Review] < 5 || report.Kept != counts[verdict.Keep] || report.Review != counts[verdict.Review] {
			t.Errorf("%s: %+v, verdicts %v", how, report, counts)
		}
	}
}

// decided says what becomes of a record by a rule of at least 2, and what the
// reason must name.
func decided(m *memory, turns []*record.Record, how Turns) (verdict.Decision, string) {
	if how == LastTurn {
		turns = turns[len(turns)-1:]
	}
	total := turns[0].Turns
	least, at, sum := 9.0, 0, make([]float64, 4)
	for i, turn := range turns {
		e, _ := m.Lookup(turn.Key)
		if e.Status != record.OK {
			return verdict.Review, fmt.Sprintf("%s: turn %d of %d", e.Status, turn.Turn+1, total)
		}
		if x := e.Ratings[0].Value; x < least {
			least, at = x, i
		}
		for k, p := range e.Ratings[0].Probs {
			sum[k] += p
		}
	}
	value, part := least, fmt.Sprintf("turn %d of %d: rating ", turns[at].Turn+1, total)
	if how == MeanTurn {
		part = fmt.Sprintf("mean of %d turns: rating ", total)
		value = (sum[1] + 2.5*sum[2] + 5*sum[3]) / (sum[0] + sum[1] + sum[2] + sum[3])
	}
	if value >= 2 {
		return verdict.Keep, part
	}
	return verdict.Drop, part
}

// Limits and budgets count records.
func TestFilterConversationLimits(t *testing.T) {
	const n = 120
	data := mixed(n)
	lines := bytes.SplitAfter(data, []byte("\n"))
	m, _, _ := grade(t, data, GradeOptions{MaxOffScale: 0.9})
	rule := verdict.Rule{TopPercent: ptr(50.0)}
	for limit := 1; limit <= n; limit += 7 {
		kept, dropped, verdicts, report := filterAll(t, data, m, FilterOptions{Rule: rule, Limit: limit})
		wantKept, wantDropped, _, want := filterAll(t, bytes.Join(lines[:limit], nil), m, FilterOptions{Rule: rule})
		if !bytes.Equal(kept, wantKept) || !bytes.Equal(dropped, wantDropped) || !reflect.DeepEqual(report, want) {
			t.Errorf("limit %d: %+v, want %+v", limit, report, want)
		}
		if len(verdicts) != limit || report.Records != limit || report.Kept != report.Rated()/2 {
			t.Errorf("limit %d: %d verdicts, %+v", limit, len(verdicts), report)
		}
	}
	list := array(t, []byte(goodLine(1)+chatLine(2, 1)))
	kept, _, _, report := filterAll(t, list, m, FilterOptions{Rule: verdict.Rule{Top: ptr(0)}})
	if report.Records != 2 || len(readBack(t, kept)) != 0 {
		t.Errorf("an array: %+v, kept %s", report, kept)
	}
}

// A conversation in which any turn changed between the passes is another one.
func TestFilterConversationChanged(t *testing.T) {
	passes := 0
	_, err := Filter(func() (record.Source, error) {
		if passes++; passes == 1 {
			return reader([]byte(goodLine(1) + chatLine(2, 3))), nil
		}
		return reader([]byte(goodLine(1) + strings.Replace(chatLine(2, 3), "it is 4", "it is 5", 1))), nil
	}, newMemory(), FilterOptions{Kept: io.Discard})
	if err == nil || !strings.Contains(err.Error(), "records.jsonl:2: record 1 changed while it was being filtered") {
		t.Errorf("error %v", err)
	}
}
