package child

import (
	"bytes"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"winnow/grader"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// sealed is a frame with a payload.
func sealed(k kind, id uint64, payload string) []byte {
	b := append(begin(nil), payload...)
	seal(b, k, id)
	return b
}

func TestFrames(t *testing.T) {
	big := strings.Repeat("payload ", 1<<18) // more than is taken at a time
	var stream []byte
	payloads := []string{"", "one", big, "two"}
	for i, p := range payloads {
		stream = append(stream, sealed(encoded, uint64(i)<<40, p)...)
	}
	f := newFrames(bytes.NewReader(stream), mostAnswer)
	var buf []byte
	for i, p := range payloads {
		got, err := f.next(buf)
		if err != nil || got.kind != encoded || got.id != uint64(i)<<40 || string(got.payload) != p {
			t.Fatalf("frame %d: kind %d, id %d, %d bytes, %v", i, got.kind, got.id, len(got.payload), err)
		}
		buf = got.payload
	}
	if _, err := f.next(buf); !errors.Is(err, io.EOF) {
		t.Errorf("behind the last frame: %v, want the end", err)
	}
}

// No bit of a frame can change, and no part of it can be missing, without an
// error.
func TestDamagedFrames(t *testing.T) {
	good := sealed(rated, 3, "what was rated")
	next := func(b []byte) error {
		_, err := newFrames(bytes.NewReader(b), mostAnswer).next(nil)
		return err
	}
	if err := next(good); err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(good) {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		if err := next(bad); !errors.Is(err, errGarbage) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("bit %d is wrong: %v", bit, err)
		}
	}
	for n := range len(good) {
		if err := next(good[:n]); n > 0 && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 && !errors.Is(err, io.EOF) {
			t.Errorf("%d bytes of a frame: %v", n, err)
		}
	}
	if err := next([]byte(strings.Repeat("llama_model_loader: ", 9))); !errors.Is(err, errGarbage) {
		t.Errorf("text: %v, want that it is no frame", err)
	}
}

func TestAnswers(t *testing.T) {
	answers := map[kind][]kind{
		askOpen: {opened, failed}, askEncode: {encoded, faulty, failed}, askRate: {rated, failed}, askClose: {closed, failed},
	}
	for request := range kind(32) {
		for k := range kind(32) {
			want := slices.Contains(answers[request], k)
			if got := k.answers(request); got != want {
				t.Errorf("%d answers %d: %t, want %t", k, request, got, want)
			}
		}
	}
}

// Numbers keep every bit, texts every byte.
func TestPayloads(t *testing.T) {
	rec := &record.Record{
		Index: 1 << 40, Line: 7, Turn: 2, Turns: 3, File: "a.json", Key: record.Key{1, 2, 255},
		Instruction: "Καλημέρα\x00<|im_end|>", Input: "", Response: strings.Repeat("long ", 9999),
	}
	payload := appendRecord(nil, rec)
	if got, err := parseRecord(payload); err != nil || !reflect.DeepEqual(got, rec) {
		t.Errorf("record %+v (%v), want %+v", got, err, rec)
	}
	if len(payload) > textBytes(rec) {
		t.Errorf("a record takes %d bytes, at most %d are foreseen", len(payload), textBytes(rec))
	}
	pair := record.MadePair(3, "Add.", "2 and 3", "", strings.Repeat("five\x00", 9999))
	payload = appendRecord(nil, pair)
	if got, err := parseRecord(payload); err != nil || !reflect.DeepEqual(got, pair) {
		t.Errorf("pair %+v (%v), want %+v", got, err, pair)
	}
	if len(payload) > textBytes(pair) {
		t.Errorf("a pair takes %d bytes, at most %d are foreseen", len(payload), textBytes(pair))
	}
	payload[len(pair.Key)+4*8]++ // the flag, behind four integers
	if _, err := parseRecord(payload); !errors.Is(err, errPayload) {
		t.Errorf("a flag of 2: %v", err)
	}

	batch := []*grader.Prompt{
		{
			Tokens: []int32{0, -1, math.MaxInt32, math.MinInt32}, Size: 9, Total: 11, Cut: 2, Asked: 1 << 40, From: 1, To: 3,
			Sides: []grader.Side{{Tokens: []int32{7, -1, 8}, From: 1}, {Tokens: []int32{}, From: -5}},
		},
		{Tokens: []int32{5}, Size: -1, Sides: []grader.Side{}},
	}
	used := []grader.Prompt{{Tokens: make([]int32, 9), Asked: 3, To: 9, Sides: make([]grader.Side, 1, 3)}, {Sides: []grader.Side{{From: 2}}}}
	for _, to := range [][]grader.Prompt{make([]grader.Prompt, 0, 1), used} {
		prompts, err := parseBatch(appendBatch(nil, batch), to)
		if err != nil || len(prompts) != 2 {
			t.Fatalf("prompts %+v (%v)", prompts, err)
		}
		for i := range prompts {
			got, want := prompts[i], *batch[i]
			same := slices.EqualFunc(got.Sides, want.Sides, func(a, b grader.Side) bool { return a.From == b.From && slices.Equal(a.Tokens, b.Tokens) })
			got.Sides, want.Sides = nil, nil
			if !same || !reflect.DeepEqual(got, want) {
				t.Errorf("prompt %d: %+v, want %+v", i, prompts[i], batch[i])
			}
		}
	}

	work := grader.Work{Layout: 1, Decode: 1 << 50, Rows: -3}
	odd := []float64{0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, 1.0 / 3, math.Inf(1)}
	hidden := []float32{1.5, math.Float32frombits(0x7fc0_1234), float32(math.Inf(-1)), math.SmallestNonzeroFloat32}
	out := []grader.Outcome{
		{Ratings: []rating.Rating{{Value: 2.5, Mode: "2.5", Probs: odd, OffScale: 0.1, Entropy: 0.2}, {Value: math.Pi, Mode: "elsewhere", Probs: odd[:1]}}},
		{Fault: &record.Fault{Status: record.BadLogits, Reason: "a number is not finite"}},
		{Ratings: []rating.Rating{{Mode: "5", Probs: odd[1:3]}}, Signals: append([]float64{math.NaN(), -3}, odd...), Hidden: hidden},
	}
	payload = appendOutcomes(nil, work, out)
	before := []grader.Outcome{
		{Fault: &record.Fault{}, Signals: []float64{1}, Hidden: []float32{1}}, {Ratings: nil},
		{Ratings: make([]rating.Rating, 1, 4), Signals: make([]float64, 20)},
	}
	gotWork, err := parseOutcomes(payload, []string{"2.5", "5"}, before)
	if err != nil || gotWork != work {
		t.Fatalf("work %+v (%v), want %+v", gotWork, err, work)
	}
	for i := range out {
		if !reflect.DeepEqual(before[i].Fault, out[i].Fault) || len(before[i].Ratings) != len(out[i].Ratings) {
			t.Fatalf("outcome %d: %+v, want %+v", i, before[i], out[i])
		}
		if out[i].Fault == nil && (!slices.EqualFunc(before[i].Signals, out[i].Signals, sameBits) || !slices.EqualFunc(before[i].Hidden, out[i].Hidden, sameBits32)) {
			t.Errorf("outcome %d: signals %v and hidden state %v, want %v and %v", i, before[i].Signals, before[i].Hidden, out[i].Signals, out[i].Hidden)
		}
		for c, r := range out[i].Ratings {
			got := before[i].Ratings[c]
			if got.Mode != r.Mode || got.Value != r.Value || got.OffScale != r.OffScale || got.Entropy != r.Entropy || len(got.Probs) != len(r.Probs) {
				t.Errorf("outcome %d: %+v, want %+v", i, got, r)
			}
			for k := range r.Probs {
				if math.Float64bits(got.Probs[k]) != math.Float64bits(r.Probs[k]) {
					t.Errorf("outcome %d: probability %v, want %v", i, got.Probs[k], r.Probs[k])
				}
			}
		}
	}
}

func sameBits(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

func sameBits32(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }

// A payload that is cut or too long is refused, wherever it is cut, and takes no
// more memory than it has bytes.
func TestDamagedPayloads(t *testing.T) {
	out := []grader.Outcome{{Ratings: []rating.Rating{{Mode: "5", Probs: []float64{0.5, 0.5}}}, Signals: []float64{1, 2}, Hidden: []float32{3, 4}}, {Fault: &record.Fault{Status: "s", Reason: "r"}}}
	fault := &record.Fault{Status: record.TooLong, Reason: "because"}
	for _, c := range []struct {
		name    string
		payload []byte
		parse   func([]byte) error
	}{
		{"record", appendRecord(nil, &record.Record{Instruction: "a", Response: "b"}), func(b []byte) error { _, err := parseRecord(b); return err }},
		{"pair", appendRecord(nil, record.MadePair(0, "a", "", "b", "c")), func(b []byte) error { _, err := parseRecord(b); return err }},
		{"batch", appendBatch(nil, []*grader.Prompt{{Tokens: []int32{1, 2}, To: 1, Sides: []grader.Side{{Tokens: []int32{4, 5}, From: 1}, {From: 1}}}, {Tokens: []int32{3}}}), func(b []byte) error { _, err := parseBatch(b, nil); return err }},
		{"outcomes", appendOutcomes(nil, grader.Work{}, out), func(b []byte) error {
			_, err := parseOutcomes(b, nil, make([]grader.Outcome, 2))
			return err
		}},
		{"fault", appendFault(nil, fault), func(b []byte) error { _, err := parseFault(b); return err }},
	} {
		if err := c.parse(c.payload); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for n := range len(c.payload) {
			if err := c.parse(c.payload[:n]); !errors.Is(err, errPayload) {
				t.Errorf("%s, %d bytes of %d: %v", c.name, n, len(c.payload), err)
			}
		}
		if err := c.parse(append(bytes.Clone(c.payload), 0)); !errors.Is(err, errPayload) {
			t.Errorf("%s, a byte too many: %v", c.name, err)
		}
		for at := range c.payload { // a count that is far too large must not be believed
			bad := bytes.Clone(c.payload)
			for i := at; i < min(at+4, len(bad)); i++ {
				bad[i] = 0xfe
			}
			_ = c.parse(bad) // it may be another value; it must return
		}
	}
	if _, err := parseOutcomes(appendOutcomes(nil, grader.Work{}, out), nil, make([]grader.Outcome, 3)); !errors.Is(err, errPayload) {
		t.Errorf("two outcomes of three prompts: %v", err)
	}
}

// What stands for a prompt keeps its parts together, and none of its memory.
func TestStandIns(t *testing.T) {
	p := &grader.Prompt{Tokens: []int32{1, 2, 3}, Size: 3 + 10 + 5, Total: 20 + 3 + 10 + 5, Asked: 1, From: 1, To: 3,
		Sides: []grader.Side{{Tokens: []int32{9, 2, 3}, From: 1}, {Tokens: []int32{8, 2}, From: 1}}}
	want := &grader.Prompt{Tokens: []int32{1}, Size: 1 + 10, Total: 20 + 1 + 10}
	if got := firstToken(p); !reflect.DeepEqual(got, want) {
		t.Errorf("the first token alone: %+v, want %+v", got, want)
	}
	var w witness
	w.keep([]*grader.Prompt{p})
	kept, err := parseBatch(appendBatch(nil, []*grader.Prompt{p}), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.Tokens[0], p.Sides[0].From, p.Sides[1].Tokens[1] = 7, 2, 7
	if got := w.get(); !reflect.DeepEqual(*got, kept[0]) {
		t.Errorf("the witness is %+v, want %+v", got, kept[0])
	}
}
