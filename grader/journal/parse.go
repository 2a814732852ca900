package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// flat is one entry as its line has it. What it borrows from the line or the
// parser lasts until the next line.
type flat struct {
	key                record.Key
	index, tokens, cut int32
	status, reason     []byte
	mode               int32     // position in the scale; -1 where there is no rating
	numbers            []float64 // value, off-scale mass, entropy, then a probability for each rating
}

// numbersBefore counts the numbers of a rating that stand before its
// probabilities.
const numbersBefore = 3

// parser reads the bodies of entry lines. It takes the one form in which they
// are written and no other spelling of the same JSON.
type parser struct {
	names   []string // `"0":`, `,"0.5":`, …
	modes   []string // `"0"`, `"0.5"`, …
	numbers []float64
}

func newParser(scale rating.Scale) *parser {
	p := &parser{numbers: make([]float64, numbersBefore+len(scale.Strings))}
	comma := ""
	for _, s := range scale.Strings {
		quoted := string(appendString(nil, s))
		p.modes = append(p.modes, quoted)
		p.names = append(p.names, comma+quoted+":")
		comma = ","
	}
	return p
}

func (p *parser) parse(body []byte) (flat, error) {
	s := scanner{rest: body, whole: len(body)}
	var f flat
	s.literal(`{"key":`)
	if err := f.key.UnmarshalText(s.text()); err != nil {
		s.fail("a key of 32 hexadecimal digits")
	}
	s.literal(`,"index":`)
	f.index = s.integer()
	s.literal(`,"status":`)
	f.status = s.text()
	if s.has(`,"reason":`) {
		f.reason = s.text()
	}
	f.mode = -1
	if string(f.status) == string(record.OK) {
		p.rating(&s, &f)
	}
	s.literal(`,"tokens":`)
	f.tokens = s.integer()
	if s.has(`,"truncated":`) {
		f.cut = s.integer()
	}
	if len(s.rest) > 0 {
		s.fail("the end of the entry")
	}
	return f, s.err
}

func (p *parser) rating(s *scanner, f *flat) {
	f.numbers = p.numbers
	s.literal(`,"rating":`)
	f.numbers[0] = s.number()
	s.literal(`,"mode":`)
	for i, m := range p.modes {
		if s.has(m) {
			f.mode = int32(i)
			break
		}
	}
	if f.mode < 0 {
		s.fail("a rating of the scale")
	}
	s.literal(`,"probs":{`)
	for i, name := range p.names {
		s.literal(name)
		f.numbers[numbersBefore+i] = s.probability()
	}
	s.literal(`},"off_scale":`)
	f.numbers[1] = s.probability()
	s.literal(`,"entropy":`)
	f.numbers[2] = s.number()
}

// scanner takes a line apart from its beginning. After its first error it does
// nothing more.
type scanner struct {
	rest  []byte
	whole int // bytes of the line
	err   error
}

func (s *scanner) fail(want string) {
	if s.err == nil {
		s.err = fmt.Errorf("byte %d of the line: want %s, found %.20q", s.whole-len(s.rest)+1, want, s.rest)
	}
	s.rest = nil
}

// has skips what is next if it is lit.
func (s *scanner) has(lit string) bool {
	if len(s.rest) < len(lit) || string(s.rest[:len(lit)]) != lit {
		return false
	}
	s.rest = s.rest[len(lit):]
	return true
}

func (s *scanner) literal(lit string) {
	if !s.has(lit) {
		s.fail(strconv.Quote(lit))
	}
}

// text reads a JSON string.
func (s *scanner) text() []byte {
	if len(s.rest) == 0 || s.rest[0] != '"' {
		s.fail("a string")
		return nil
	}
	plain := true
	for i := 1; i < len(s.rest); i++ {
		switch c := s.rest[i]; {
		case c == '"':
			quoted := s.rest[:i+1]
			if plain {
				s.rest = s.rest[i+1:]
				return quoted[1:i]
			}
			var text string
			if err := json.Unmarshal(quoted, &text); err != nil {
				s.fail("a string")
				return nil
			}
			s.rest = s.rest[i+1:]
			return []byte(text)
		case c == '\\':
			plain = false
			i++ // what follows does not end the string
		case c < ' ' || c > '~':
			plain = false
		}
	}
	s.fail("a string that ends")
	return nil
}

func (s *scanner) integer() int32 {
	n := 0
	for n < len(s.rest) && s.rest[n] >= '0' && s.rest[n] <= '9' {
		n++
	}
	x, err := strconv.ParseInt(string(s.rest[:n]), 10, 32)
	if err != nil {
		s.fail("a whole number from 0 to " + strconv.Itoa(math.MaxInt32))
		return 0
	}
	s.rest = s.rest[n:]
	return int32(x)
}

// number reads the double that is nearest to what stands there, so that a
// rating written as 4.6 is not less than a limit given as 4.6.
func (s *scanner) number() float64 {
	n := 0
	for n < len(s.rest) && strings.IndexByte("0123456789+-.eE", s.rest[n]) >= 0 {
		n++
	}
	x, err := strconv.ParseFloat(string(s.rest[:n]), 64)
	if err != nil {
		s.fail("a number")
		return 0
	}
	s.rest = s.rest[n:]
	return x
}

func (s *scanner) probability() float64 {
	const slack = 1e-3 // a log-sum-exp in single precision may come out over 1
	at := s.rest
	x := s.number()
	if x < 0 || x > 1+slack {
		s.rest = at
		s.fail("a probability")
	}
	return x
}

// maxLineBytes is more than any line has; it keeps a file that is no journal
// from being read into memory as one line.
const maxLineBytes = 16 << 20

var errLongLine = errors.New("the line has more than 16 MiB")
