package journal

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"winnow/grader/record"
)

// flat is one entry as its line has it. What it borrows from the line or the
// parser lasts until the next line.
type flat struct {
	key                record.Key
	index, tokens, cut int32
	status, reason     []byte
	modes              []int32   // position in the scale, one for each criterion; none without a rating
	numbers            []float64 // for each criterion: value, off-scale mass, entropy, then a probability for each rating; signals; calibrated
	hidden             []float32 // none without a rating

	// Where the line stands.
	line, bytes int32 // its number, from 1, and its length without the newline
	at          int64 // of its first byte in the file
}

// numbersBefore counts the numbers of a rating that stand before its
// probabilities.
const numbersBefore = 3

// parser reads the bodies of entry lines. It takes the one form in which they
// are written and no other spelling of the same JSON.
type parser struct {
	form
	modes    []int32
	numbers  []float64
	state    []float32
	unpacked []byte // that reading a hidden state uses
}

func newParser(m Manifest) *parser {
	p := &parser{form: newForm(m)}
	p.modes = make([]int32, p.criteria())
	p.numbers = make([]float64, p.size())
	if p.hidden > 0 {
		p.state = make([]float32, p.hidden)
		p.unpacked = make([]byte, base64.StdEncoding.DecodedLen(base64.StdEncoding.EncodedLen(len(p.packed))))
	}
	return p
}

// width counts the numbers of one rating.
func (f *form) width() int { return numbersBefore + len(f.ratings) }

// size counts the numbers of a rated entry but those of its hidden state.
func (f *form) size() int {
	n := f.criteria()*f.width() + len(f.signals)
	if f.calibrated {
		n++
	}
	return n
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
	if string(f.status) == string(record.OK) {
		f.modes, f.numbers, f.hidden = p.modes, p.numbers, p.state
		p.ratings(&s)
		p.measured(&s)
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

// ratings reads the ratings of an entry into p.modes and p.numbers.
func (p *parser) ratings(s *scanner) {
	if len(p.heads) == 0 {
		s.literal(",")
		p.rating(s, 0)
		return
	}
	s.literal(`,"rating":`)
	at := *s
	stated := s.number()
	s.literal(`,"criteria":{`)
	least := math.Inf(1)
	for i, head := range p.heads {
		s.literal(head)
		p.rating(s, i)
		s.literal("}")
		least = min(least, p.numbers[i*p.width()])
	}
	s.literal("}")
	if s.err == nil && stated != least {
		*s = at
		s.fail("the least of the criteria's ratings, " + strconv.FormatFloat(least, 'g', -1, 64))
	}
}

// rating reads the members of one criterion's rating.
func (p *parser) rating(s *scanner, criterion int) {
	numbers := p.numbers[criterion*p.width():][:p.width()]
	s.literal(`"rating":`)
	numbers[0] = s.number()
	s.literal(`,"mode":`)
	mode := -1
	for i, m := range p.quoted {
		if s.has(m) {
			mode = i
			break
		}
	}
	if mode < 0 {
		s.fail("a rating of the scale")
	}
	p.modes[criterion] = int32(mode)
	s.literal(`,"probs":{`)
	for i, member := range p.members {
		s.literal(member)
		numbers[numbersBefore+i] = s.probability()
	}
	s.literal(`},"off_scale":`)
	numbers[1] = s.probability()
	s.literal(`,"entropy":`)
	numbers[2] = s.number()
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
	for n < len(s.rest) && inNumber(s.rest[n]) {
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

// inNumber reports whether c may be a part of a number.
func inNumber(c byte) bool {
	return '0' <= c && c <= '9' || c == '.' || c == 'e' || c == '-' || c == '+' || c == 'E'
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
