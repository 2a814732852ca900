package journal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"winnow/grader/rating"
	"winnow/grader/record"
	"winnow/grader/signal"
)

// What an entry has beside its ratings stands behind them, each member only if the
// manifest has it:
//
//	"signals":{"nll":1.23,"ppl":3.4212296},"hidden":"AADAPw==","calibrated":0.75
//
// A signal that is undefined is null, and one that exceeds single precision, as
// exp(nll) may, is "Infinity": JSON has no number for either. The hidden state is in
// bfloat16, little-endian, as padded base64 of the standard alphabet.

// infinity is how a signal of +Inf stands in a journal.
const infinity = `"Infinity"`

// mostHidden bounds the numbers of a hidden state: many times the largest model's,
// and a line that is far from too long.
const mostHidden = 1 << 20

const bytesPerHidden = 2

// appendSignal appends a signal's number. -Inf, which none is, becomes what the
// parser refuses.
func appendSignal(b []byte, x float64) []byte {
	switch {
	case math.IsNaN(x):
		return append(b, "null"...)
	case math.IsInf(float64(float32(x)), 1):
		return append(b, infinity...)
	}
	return rating.AppendNumber(b, x)
}

// appendMeasured appends the members of a rated entry that stand behind its ratings.
func (f *form) appendMeasured(b []byte, e *Entry) ([]byte, error) {
	if len(f.signals) > 0 {
		b = append(b, `,"signals":{`...)
		for i, head := range f.signals {
			b = append(b, head...)
			b = appendSignal(b, e.Signals[i])
		}
		b = append(b, '}')
	}
	if f.hidden > 0 {
		for i, x := range e.Hidden {
			bits := math.Float32bits(x)
			if bits&0xffff != 0 {
				return b, fmt.Errorf("number %d of the hidden state, %v, is no bfloat16: round it", i, x)
			}
			binary.LittleEndian.PutUint16(f.packed[bytesPerHidden*i:], uint16(bits>>16))
		}
		b = append(b, `,"hidden":"`...)
		b = base64.StdEncoding.AppendEncode(b, f.packed)
		b = append(b, '"')
	}
	if f.calibrated {
		b = append(b, `,"calibrated":`...)
		b = rating.AppendNumber(b, e.Calibrated)
	}
	return b, nil
}

// checkMeasured says whether an entry has as many numbers as the manifest wants.
func (f *form) checkMeasured(e *Entry) error {
	signals, hidden := len(f.signals), f.hidden
	if e.Status != record.OK {
		signals, hidden = 0, 0
	}
	switch {
	case len(e.Signals) != signals:
		return fmt.Errorf("status %q and %d signals, want %d", e.Status, len(e.Signals), signals)
	case len(e.Hidden) != hidden:
		return fmt.Errorf("status %q and a hidden state of %d numbers, want %d", e.Status, len(e.Hidden), hidden)
	case e.Calibrated != 0 && (e.Status != record.OK || !f.calibrated):
		return fmt.Errorf("a calibrated probability, %v, that no calibration made or that has no rating", e.Calibrated)
	}
	return nil
}

// measured reads what appendMeasured writes: the signals and the calibrated
// probability behind the ratings in p.numbers, the hidden state into p.state.
func (p *parser) measured(s *scanner) {
	at := p.criteria() * p.width()
	if len(p.signals) > 0 {
		s.literal(`,"signals":{`)
		for i, head := range p.signals {
			s.literal(head)
			p.numbers[at+i] = s.signal()
		}
		s.literal("}")
	}
	if p.hidden > 0 {
		s.literal(`,"hidden":"`)
		p.hiddenState(s)
		s.literal(`"`)
	}
	if p.calibrated {
		s.literal(`,"calibrated":`)
		before := s.rest
		x := s.number()
		if x < 0 || x > 1 {
			s.rest = before
			s.fail("a probability")
		}
		p.numbers[at+len(p.signals)] = x
	}
}

// signal reads a signal's number.
func (s *scanner) signal() float64 {
	switch {
	case s.has("null"):
		return math.NaN()
	case s.has(infinity):
		return math.Inf(1)
	}
	before := s.rest
	x := s.number()
	if math.IsInf(float64(float32(x)), 0) {
		s.rest = before
		s.fail("a number in single precision, null or " + infinity)
	}
	return x
}

// hiddenState reads a hidden state up to its last quotation mark.
func (p *parser) hiddenState(s *scanner) {
	n := base64.StdEncoding.EncodedLen(len(p.packed))
	if len(s.rest) < n {
		s.fail(p.wantHidden())
		return
	}
	// Decode passes over line ends: then fewer bytes come out.
	if got, err := base64.StdEncoding.Strict().Decode(p.unpacked, s.rest[:n]); err != nil || got != len(p.packed) {
		s.fail(p.wantHidden())
		return
	}
	for i := range p.state {
		half := binary.LittleEndian.Uint16(p.unpacked[bytesPerHidden*i:])
		if half&0x7f80 == 0x7f80 {
			s.fail(p.wantHidden())
			return
		}
		p.state[i] = math.Float32frombits(uint32(half) << 16)
	}
	s.rest = s.rest[n:]
}

func (f *form) wantHidden() string { return fmt.Sprintf("%d finite numbers in base64", f.hidden) }

// fill gives e the ratings and what stands behind them. It shares numbers with e.
func (f *form) fill(e *Entry, modes []int32, numbers []float64) {
	width := f.width()
	for i, mode := range modes {
		n := numbers[i*width : (i+1)*width : (i+1)*width]
		e.Ratings = append(e.Ratings, rating.Rating{Value: n[0], OffScale: n[1], Entropy: n[2], Mode: f.ratings[mode], Probs: n[numbersBefore:]})
	}
	rest := numbers[len(modes)*width:]
	if n := len(f.signals); n > 0 {
		e.Signals = rest[:n:n]
	}
	if f.calibrated {
		e.Calibrated = rest[len(f.signals)]
	}
}

// validateMeasured reports what is wrong with what m says entries have beside their
// ratings.
func (m Manifest) validateMeasured() error {
	for i, name := range m.Signals {
		if _, err := signal.Of(m.Signals[i : i+1]); err != nil {
			return fmt.Errorf("%w: a newer version of winnow may know it", err)
		}
		if slices.Contains(m.Signals[:i], name) {
			return fmt.Errorf("the signal %s is named twice", name)
		}
	}
	if h := m.Hidden; h != nil && (h.Layer < 0 || h.Size <= 0 || h.Size%2 != 0 || h.Size > mostHidden) {
		return fmt.Errorf("a hidden state of layer %d with %d numbers: want a layer from 0, and an even number up to %d", h.Layer, h.Size, mostHidden)
	}
	if c := m.Calibration; c != nil {
		switch {
		case c.SHA256 == "":
			return errors.New("its calibration has no hash")
		case !utf8.ValidString(c.Name) || !utf8.ValidString(c.SHA256):
			return fmt.Errorf("the name or the hash of its calibration, %q, is not UTF-8", c.Name)
		}
	}
	return nil
}

// measuredDifferences says in what the entries of two journals differ beside their
// ratings. With advice, m is a journal's and run that of a run: each sentence says
// which flags go on with the journal.
func (m Manifest) measuredDifferences(run Manifest, this, that string, advice bool) (diffs []string) {
	differ := func(field, journal, run, flags string) {
		if journal == run {
			return
		}
		diff := fmt.Sprintf("%s: %s has %s, %s has %s", field, this, journal, that, run)
		if advice && flags != "" {
			diff += " (" + flags + ")"
		}
		diffs = append(diffs, diff)
	}
	flags := m.signalFlags()
	if ours, others := m.Hidden.String(), run.Hidden.String(); ours == others {
		differ("signals", m.signals(), run.signals(), flags)
	} else { // the same flags for both, once
		differ("signals", m.signals(), run.signals(), "")
		differ("hidden state", ours, others, flags)
	}
	switch a, b := m.Calibration, run.Calibration; {
	case a != nil && b != nil && a.SHA256 != b.SHA256:
		x, y := abbreviate(a.SHA256), abbreviate(b.SHA256)
		if x == y {
			x, y = a.SHA256, b.SHA256
		}
		differ("calibration sha256", x, y, "--calibration with the file that was "+quote(a.Name))
	case a != nil && b == nil:
		differ("calibration", quote(a.Name), "none", "--calibration with that file goes on with it")
	case a == nil && b != nil:
		differ("calibration", "none", quote(b.Name), "leave out --calibration")
	}
	return diffs
}

// signals lists the scalar signals.
func (m Manifest) signals() string {
	if len(m.Signals) == 0 {
		return "none"
	}
	return strings.Join(m.Signals, " ")
}

// Measured returns the groups of signals that entries under m have, that of the
// hidden state included.
func (m Manifest) Measured() signal.Set {
	set, err := signal.Of(m.Signals)
	if err != nil {
		return nil // no journal has such a manifest
	}
	if m.Hidden != nil {
		set = set.Union(signal.Set{signal.Hidden})
	}
	return set
}

// signalFlags are the flags that ask for the signals and the hidden state.
func (m Manifest) signalFlags() string {
	flags := "--signals none"
	if set := m.Measured(); len(set) > 0 {
		flags = "--signals " + set.String()
	}
	if m.Hidden != nil {
		flags += fmt.Sprintf(" --hidden-layer %d", m.Hidden.Layer+1)
	}
	return flags + " goes on with it"
}

// String says which state it is, the layer counted from 1 as by --hidden-layer;
// "none" for nil.
func (h *Hidden) String() string {
	if h == nil {
		return "none"
	}
	return fmt.Sprintf("%d numbers of layer %d", h.Size, h.Layer+1)
}
