package child

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"winnow/grader"
	"winnow/grader/record"
)

// group starts a group that the test closes when it is over.
func group(t testing.TB, log *logged, scripts ...script) *Group {
	t.Helper()
	g, err := StartGroup(t.Context(), members(t, scripts...), log.logger())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func members(t testing.TB, scripts ...script) []Member {
	t.Helper()
	var list []Member
	for i, s := range scripts {
		list = append(list, Member{Name: "GPU" + string(rune('0'+i)), Options: options(t, s)})
	}
	return list
}

// several are scripts of engines that differ in their speed alone.
func several(t testing.TB, n int) []script {
	var list []script
	for i := range n {
		s := scripted(t)
		s.Lanes, s.Delay, s.Device = 1+i%2, 2*i, "Card"
		list = append(list, s)
	}
	return list
}

// inOneProcess grades with the engine in this process.
func inOneProcess(t testing.TB, data []byte, s script) []byte {
	t.Helper()
	path, err := grade(t, data, harmless(s))
	if err != nil {
		t.Fatal(err)
	}
	return read(t, path)
}

// Whichever engine rates a batch, the journal has the same bytes; and all of them
// take part.
func TestGroup(t *testing.T) {
	t.Parallel()
	scripts := several(t, 3)
	for i := range scripts {
		scripts[i].Dies = 1 << 20 // it leaves marks
	}
	var log logged
	g := group(t, &log, scripts...)
	if c := g.Capacity(); c.Lanes != 1+2+1 || c.Tokens != scripts[0].Tokens || c.Prompts != scripts[0].Prompts {
		t.Errorf("capacity %+v", c)
	}
	data := corpus(2000, nil)
	path, err := grade(t, data, g)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, path), inOneProcess(t, data, scripts[0]); !bytes.Equal(got, want) {
		t.Errorf("the journal differs from that of one engine: %s", firstDifference(got, want))
	}
	for i, s := range scripts {
		if n := harmless(s).batches(); n < 5 {
			t.Errorf("engine %d has rated %d batches", i, n)
		}
	}
	if log.String() != "" {
		t.Errorf("messages without a failure: %s", &log.b)
	}
}

// An engine that is broken for good, because its processes end or because it finds
// no device any more, is left out; the others rate what it could not.
func TestGroupSurvives(t *testing.T) {
	t.Parallel()
	for i, lost := range []bool{true, false} {
		scripts := several(t, 3)
		scripts[i].Dies, scripts[i].Lost, scripts[i].Delay = 4, lost, 0
		var log logged
		g := group(t, &log, scripts...)
		data := corpus(1500, nil)
		path, err := grade(t, data, g)
		if err != nil {
			t.Fatalf("lost %t: %v", lost, err)
		}
		if got, want := read(t, path), inOneProcess(t, data, scripts[2]); !bytes.Equal(got, want) {
			t.Errorf("lost %t: the journal differs from that of one engine: %s", lost, firstDifference(got, want))
		}
		if said := log.String(); strings.Count(said, "an engine is broken: the others do its work") != 1 || !strings.Contains(said, fmt.Sprintf("device=GPU%d left=2", i)) {
			t.Errorf("lost %t: messages %q", lost, said)
		}
		// The others encode, too.
		var p grader.Prompt
		for range 10 {
			if err := g.Encode(record.Parse([]byte(`{"instruction": "x", "output": "y"}`), 0, "x", 1, record.Fields{})[0], &p); err != nil && !errors.As(err, new(*record.Fault)) {
				t.Errorf("lost %t: encode: %v", lost, err)
			}
		}
	}
}

// When all engines are broken, the run ends with the error of a model that cannot
// be used; what was rated before is written.
func TestGroupEnds(t *testing.T) {
	t.Parallel()
	scripts := several(t, 2)
	scripts[0].Dies, scripts[1].Dies = 3, 5
	var log logged
	g := group(t, &log, scripts...)
	data := corpus(1500, nil)
	path, err := grade(t, data, g)
	var broken *Error
	if !errors.As(err, &broken) || broken.Model != "fake.gguf" {
		t.Fatalf("error %v, want that the model cannot be used", err)
	}
	if got, want := read(t, path), inOneProcess(t, data, scripts[0]); !bytes.HasPrefix(want, got) || bytes.Count(got, []byte("\n")) < 2 {
		t.Errorf("the journal has %d bytes that are no beginning of the whole", len(got))
	}
	var p grader.Prompt
	if err := g.Encode(record.Parse([]byte(`{"instruction": "x", "output": "y"}`), 0, "x", 1, record.Fields{})[0], &p); err != nil && !errors.As(err, &broken) && !errors.As(err, new(*record.Fault)) {
		t.Errorf("encode: %v", err)
	}
	if _, err := g.Rate(t.Context(), prompts(t, "plain"), make([]grader.Outcome, 1)); !errors.As(err, &broken) {
		t.Errorf("rate: %v, want that the model cannot be used", err)
	}
}

// One engine that is slow or restarts its process does not hold up the others.
func TestGroupBusy(t *testing.T) {
	t.Parallel()
	scripts := several(t, 2)
	scripts[0].Lanes, scripts[1].Lanes, scripts[1].Delay = 1, 1, 0
	var log logged
	g := group(t, &log, scripts...)
	hung, free := make(chan error, 1), make([]grader.Outcome, 1)
	go func() {
		_, err := g.Rate(t.Context(), prompts(t, "rate hang once"), make([]grader.Outcome, 1))
		hung <- err
	}()
	time.Sleep(100 * time.Millisecond)
	batch := prompts(t, "plain")
	for range 50 {
		if _, err := g.Rate(t.Context(), batch, free); err != nil {
			t.Fatal(err)
		}
		var p grader.Prompt
		if err := g.Encode(record.Parse([]byte(`{"instruction": "x", "output": "y"}`), 0, "x", 1, record.Fields{})[0], &p); err != nil && !errors.As(err, new(*record.Fault)) {
			t.Fatal(err)
		}
	}
	select {
	case err := <-hung:
		t.Errorf("the batch that hangs was done before 50 others: %v", err)
	default:
	}
	if err := <-hung; err != nil {
		t.Errorf("the batch that hung was not tried again: %v", err)
	}
	if !reflect.DeepEqual(free, expected(t, batch)) {
		t.Error("other ratings")
	}
}

// Engines that cannot be started are left out, and different cards are named
// together; engines that are not one judge are refused.
func TestStartGroup(t *testing.T) {
	t.Parallel()
	scripts := several(t, 3)
	scripts[0].Device, scripts[1].Load, scripts[2].Device = "Zeta card", "abort", "Alpha card"
	var log logged
	g := group(t, &log, scripts...)
	if m := g.Manifest(); m.Runtime.Device != "Alpha card + Zeta card" {
		t.Errorf("device %q", m.Runtime.Device)
	}
	if said := log.String(); !strings.Contains(said, "an engine cannot be started") || !strings.Contains(said, "GPU1") {
		t.Errorf("messages %q", said)
	}

	scripts = several(t, 2)
	scripts[0].Load, scripts[1].Load = "abort", "abort"
	if _, err := StartGroup(t.Context(), members(t, scripts...), log.logger()); !errors.As(err, new(*Error)) {
		t.Errorf("none can be started: error %v", err)
	}
	scripts = several(t, 2)
	scripts[1].Changes = true
	harmless(scripts[1]).first("manifest")
	if _, err := StartGroup(t.Context(), members(t, scripts...), log.logger()); err == nil || !strings.Contains(err.Error(), "GPU0 and GPU1 are not one judge") || !strings.Contains(err.Error(), "ctx_size") {
		t.Errorf("two judges: error %v", err)
	}
	if _, err := StartGroup(t.Context(), nil, nil); err == nil {
		t.Error("a group of none is started")
	}
	ctx, cancel := cancelable(t)
	scripts = several(t, 2)
	scripts[1].Load = "hang"
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := StartGroup(ctx, members(t, scripts...), log.logger()); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
}

// A run that is interrupted ends with the context's error, and every process ends.
func TestGroupCancel(t *testing.T) {
	t.Parallel()
	scripts := several(t, 2)
	scripts[0].Spin, scripts[1].Spin = true, true
	ctx, cancel := cancelable(t)
	list := members(t, scripts...)
	for i := range list {
		list[i].Options.Limits.Cancel = 200 * time.Millisecond
		list[i].Options.Limits.First = time.Minute
	}
	g, err := StartGroup(ctx, list, nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	for range 3 { // one of them waits for an engine
		go func() {
			_, err := g.Rate(ctx, prompts(t, "plain"), make([]grader.Outcome, 1))
			done <- err
		}()
	}
	time.Sleep(100 * time.Millisecond)
	cancel()
	for range 3 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want that of the context", err)
		}
	}
	var pids []int
	for _, m := range g.members {
		pids = append(pids, m.PID())
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
	for _, pid := range pids {
		within(t, time.Second, "the process has ended", func() bool { return gone(pid) })
	}
}
