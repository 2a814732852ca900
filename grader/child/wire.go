package child

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// Payloads are little-endian: lengths and counts have 4 bytes and stand before
// what they count, integers have 8 but tokens 4, flags 1, numbers are the bits of
// their float64, those of hidden states of their float32.

var order = binary.LittleEndian

func appendInt(b []byte, n int) []byte { return order.AppendUint64(b, uint64(int64(n))) }

func appendCount(b []byte, n int) []byte { return order.AppendUint32(b, uint32(n)) }

func appendFloat(b []byte, x float64) []byte { return order.AppendUint64(b, math.Float64bits(x)) }

func appendFlag(b []byte, set bool) []byte {
	if set {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendText(b []byte, s string) []byte { return append(appendCount(b, len(s)), s...) }

// errPayload is returned for a payload that does not hold what its kind says.
var errPayload = errors.New("a payload that is not of its kind")

// parser takes values from the front of a payload. When there is too little, it
// gives zeros from then on, and err says so.
type parser struct {
	b   []byte
	bad bool
}

func (p *parser) take(n int) []byte {
	if p.bad || n > len(p.b) {
		p.bad = true
		return nil
	}
	b := p.b[:n]
	p.b = p.b[n:]
	return b
}

func (p *parser) uint64() uint64 {
	if b := p.take(8); b != nil {
		return order.Uint64(b)
	}
	return 0
}

func (p *parser) int() int { return int(int64(p.uint64())) }

func (p *parser) float() float64 { return math.Float64frombits(p.uint64()) }

func (p *parser) flag() bool {
	b := p.take(1)
	if b != nil && b[0] > 1 {
		p.bad = true
	}
	return b != nil && b[0] == 1
}

// count takes the number of things of at least the given size that follow.
func (p *parser) count(size int) int {
	b := p.take(4)
	if b == nil {
		return 0
	}
	n := int(order.Uint32(b))
	if n > len(p.b)/size {
		p.bad = true
		return 0
	}
	return n
}

func (p *parser) text() []byte { return p.take(p.count(1)) }

// err reports a payload that was too short or too long.
func (p *parser) err() error {
	if p.bad || len(p.b) > 0 {
		return errPayload
	}
	return nil
}

// textBytes is the size of a record's texts on the wire, and then some.
func textBytes(r *record.Record) int {
	return len(r.File) + len(r.Instruction) + len(r.Input) + len(r.Response) + len(r.Other) + 128
}

// appendRecord appends all of a record that an engine may look at: not its bytes
// in the source, nor what the source's layout keeps.
func appendRecord(b []byte, r *record.Record) []byte {
	b = append(b, r.Key[:]...)
	for _, n := range [...]int{r.Index, r.Line, r.Turn, r.Turns} {
		b = appendInt(b, n)
	}
	b = appendFlag(b, r.Pair)
	for _, s := range [...]string{r.File, r.Instruction, r.Input, r.Response, r.Other} {
		b = appendText(b, s)
	}
	return b
}

func parseRecord(payload []byte) (*record.Record, error) {
	p, r := &parser{b: payload}, &record.Record{}
	copy(r.Key[:], p.take(len(r.Key)))
	for _, n := range [...]*int{&r.Index, &r.Line, &r.Turn, &r.Turns} {
		*n = p.int()
	}
	r.Pair = p.flag()
	for _, s := range [...]*string{&r.File, &r.Instruction, &r.Input, &r.Response, &r.Other} {
		*s = string(p.text())
	}
	return r, p.err()
}

func appendTokens(b []byte, tokens []int32) []byte {
	b = appendCount(b, len(tokens))
	for _, t := range tokens {
		b = order.AppendUint32(b, uint32(t))
	}
	return b
}

// tokens takes tokens, reusing to's memory.
func (p *parser) tokens(to []int32) []int32 {
	raw := p.take(4 * p.count(4))
	to = slices.Grow(to[:0], len(raw)/4)
	for ; len(raw) >= 4; raw = raw[4:] {
		to = append(to, int32(order.Uint32(raw)))
	}
	return to
}

func appendPrompt(b []byte, p *grader.Prompt) []byte {
	for _, n := range [...]int{p.Size, p.Total, p.Cut, p.Asked, p.From, p.To} {
		b = appendInt(b, n)
	}
	b = appendTokens(b, p.Tokens)
	b = appendCount(b, len(p.Sides))
	for i := range p.Sides {
		b = appendTokens(appendInt(b, p.Sides[i].From), p.Sides[i].Tokens)
	}
	return b
}

// prompt takes a prompt, reusing to's memory.
func (p *parser) prompt(to *grader.Prompt) {
	for _, n := range [...]*int{&to.Size, &to.Total, &to.Cut, &to.Asked, &to.From, &to.To} {
		*n = p.int()
	}
	to.Tokens = p.tokens(to.Tokens)
	const least = 8 + 4
	n := p.count(least)
	if have := cap(to.Sides); have < n {
		to.Sides = append(to.Sides[:have], make([]grader.Side, n-have)...)
	}
	to.Sides = to.Sides[:n]
	for i := range to.Sides {
		to.Sides[i].From = p.int()
		to.Sides[i].Tokens = p.tokens(to.Sides[i].Tokens)
	}
}

func appendBatch(b []byte, batch []*grader.Prompt) []byte {
	b = appendCount(b, len(batch))
	for _, p := range batch {
		b = appendPrompt(b, p)
	}
	return b
}

// parseBatch takes prompts, reusing the memory of to, which it returns.
func parseBatch(payload []byte, to []grader.Prompt) ([]grader.Prompt, error) {
	p := &parser{b: payload}
	const least = 6*8 + 4 + 4
	n := p.count(least)
	if have := cap(to); have < n {
		to = append(to[:have], make([]grader.Prompt, n-have)...)
	}
	to = to[:n]
	for i := range to {
		p.prompt(&to[i])
	}
	return to, p.err()
}

// isFault marks an outcome that is a fault: no outcome has so many ratings.
const isFault = math.MaxUint32

func appendOutcomes(b []byte, w grader.Work, out []grader.Outcome) []byte {
	for _, d := range [...]time.Duration{w.Layout, w.Decode, w.Rows} {
		b = appendInt(b, int(d))
	}
	b = appendCount(b, len(out))
	for i := range out {
		if f := out[i].Fault; f != nil {
			b = appendFault(order.AppendUint32(b, isFault), f)
			continue
		}
		b = appendCount(b, len(out[i].Ratings))
		for c := range out[i].Ratings {
			r := &out[i].Ratings[c]
			b = appendText(b, r.Mode)
			for _, x := range [...]float64{r.Value, r.OffScale, r.Entropy} {
				b = appendFloat(b, x)
			}
			b = appendCount(b, len(r.Probs))
			for _, x := range r.Probs {
				b = appendFloat(b, x)
			}
		}
		b = appendCount(b, len(out[i].Signals))
		for _, x := range out[i].Signals {
			b = appendFloat(b, x)
		}
		b = appendCount(b, len(out[i].Hidden))
		for _, x := range out[i].Hidden {
			b = order.AppendUint32(b, math.Float32bits(x))
		}
	}
	return b
}

// parseOutcomes fills out, whose memory it reuses. Modes are taken from scale if
// they stand there.
func parseOutcomes(payload []byte, scale []string, out []grader.Outcome) (w grader.Work, err error) {
	p := &parser{b: payload}
	for _, d := range [...]*time.Duration{&w.Layout, &w.Decode, &w.Rows} {
		*d = time.Duration(p.int())
	}
	if n := p.count(4); n != len(out) {
		return w, fmt.Errorf("%w: %d outcomes of %d prompts", errPayload, n, len(out))
	}
	for i := range out {
		p.outcome(scale, &out[i])
	}
	return w, p.err()
}

func (p *parser) outcome(scale []string, out *grader.Outcome) {
	out.Fault = nil
	if len(p.b) >= 4 && order.Uint32(p.b) == isFault {
		p.take(4)
		out.Fault = p.fault()
		return
	}
	const least = 4 + 3*8 + 4
	n := p.count(least)
	if have := cap(out.Ratings); have < n {
		out.Ratings = append(out.Ratings[:have], make([]rating.Rating, n-have)...)
	}
	out.Ratings = out.Ratings[:n]
	for c := range out.Ratings {
		r := &out.Ratings[c]
		mode := p.text()
		if k := slices.IndexFunc(scale, func(s string) bool { return s == string(mode) }); k >= 0 {
			r.Mode = scale[k]
		} else {
			r.Mode = string(mode)
		}
		r.Value, r.OffScale, r.Entropy = p.float(), p.float(), p.float()
		r.Probs = r.Probs[:0]
		for range p.count(8) {
			r.Probs = append(r.Probs, p.float())
		}
	}
	out.Signals = out.Signals[:0]
	for range p.count(8) {
		out.Signals = append(out.Signals, p.float())
	}
	raw := p.take(4 * p.count(4))
	out.Hidden = slices.Grow(out.Hidden[:0], len(raw)/4)
	for ; len(raw) >= 4; raw = raw[4:] {
		out.Hidden = append(out.Hidden, math.Float32frombits(order.Uint32(raw)))
	}
}

func appendFault(b []byte, f *record.Fault) []byte {
	return appendText(appendText(b, string(f.Status)), f.Reason)
}

func (p *parser) fault() *record.Fault {
	return &record.Fault{Status: record.Status(p.text()), Reason: string(p.text())}
}

func parseFault(payload []byte) (*record.Fault, error) {
	p := &parser{b: payload}
	f := p.fault()
	return f, p.err()
}

// engineFacts is what an engine says of itself when it is open.
type engineFacts struct {
	Manifest journal.Manifest `json:"manifest"`
	Capacity grader.Capacity  `json:"capacity"`
}

// remoteError is an error of the engine in the process.
type remoteError struct {
	Class class  `json:"class,omitempty"`
	Text  string `json:"error"`
}

func (e *remoteError) Error() string { return e.Text }

// class says which errors of an engine the parent acts on.
type class string

const (
	noMemory class = "memory"
	isFatal  class = "fatal"
)

// ErrMemory is wrapped by an engine's error that means that memory ran out, here
// or on the device: a smaller batch may fit.
var ErrMemory = errors.New("out of memory")

// ErrFatal is wrapped by an engine's error after which the engine cannot be used
// any more: the process ends, and the next one tries again.
var ErrFatal = errors.New("the engine is unusable")

func remote(err error) *remoteError {
	e := &remoteError{Text: err.Error()}
	switch {
	case errors.Is(err, ErrMemory):
		e.Class = noMemory
	case errors.Is(err, ErrFatal):
		e.Class = isFatal
	}
	return e
}
