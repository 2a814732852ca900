package record

import (
	"fmt"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth is how deep values may nest: the limit of encoding/json, so that
// what is accepted here can be read by any program written with it.
const maxDepth = 10000

// syntaxError says where and why bytes are not JSON.
type syntaxError struct {
	off int
	msg string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.off+1, e.msg) }

// span is a value's place in the bytes that hold it.
type span struct {
	from, to int
	escaped  bool // a string with at least one backslash
}

// member is one name and value of an object; both spans of strings include
// their quotes.
type member struct{ key, val span }

// syntax checks one JSON value. It accepts exactly what json.Valid accepts.
type syntax struct {
	b     []byte
	i     int
	depth int
	err   *syntaxError
}

// checkObject checks b, which must be one value and white space. Of an object
// it visits the members in order. Nil means that b is valid JSON, an object or
// not.
func checkObject(b []byte, visit func(member)) *syntaxError {
	s := syntax{b: b}
	s.space()
	ok := false
	if s.i < len(b) && b[s.i] == '{' {
		ok = s.object(visit)
	} else {
		ok = s.value()
	}
	if ok {
		if s.space(); s.i < len(b) {
			s.want("nothing after the record's end")
		}
	}
	return s.err
}

// eachMember visits the members of an object that has been checked, in order.
func eachMember(b []byte, object span, visit func(member)) {
	s := syntax{b: b, i: object.from}
	s.object(visit)
}

// eachElement visits the elements of an array that has been checked, in order.
func eachElement(b []byte, array span, visit func(span)) {
	s := syntax{b: b, i: array.from}
	s.array(visit)
}

func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func (s *syntax) space() {
	for s.i < len(s.b) && isSpace(s.b[s.i]) {
		s.i++
	}
}

// fail and want return false for their callers to pass on.
func (s *syntax) fail(msg string) bool {
	s.err = &syntaxError{s.i, msg}
	return false
}

func (s *syntax) want(what string) bool {
	return s.fail("found " + found(s.b[s.i:]) + ", want " + what)
}

func (s *syntax) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *syntax) value() bool {
	switch c := s.peek(); {
	case c == '"':
		_, ok := s.str()
		return ok
	case c == '{':
		return s.object(nil)
	case c == '[':
		return s.array(nil)
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	return s.want("a value")
}

// item checks a value and returns its place.
func (s *syntax) item() (v span, ok bool) {
	v.from = s.i
	if s.peek() == '"' {
		v.escaped, ok = s.str()
	} else {
		ok = s.value()
	}
	v.to = s.i
	return v, ok
}

func (s *syntax) enter() bool {
	if s.depth++; s.depth > maxDepth {
		return s.fail(fmt.Sprintf("values nest deeper than %d", maxDepth))
	}
	s.i++
	s.space()
	return true
}

func (s *syntax) leave() bool {
	s.depth--
	s.i++
	return true
}

func (s *syntax) object(visit func(member)) bool {
	if !s.enter() {
		return false
	}
	if s.peek() == '}' {
		return s.leave()
	}
	for {
		if s.peek() != '"' {
			return s.want("a quoted key")
		}
		var m member
		m.key.from = s.i
		var ok bool
		if m.key.escaped, ok = s.str(); !ok {
			return false
		}
		m.key.to = s.i
		if s.space(); s.peek() != ':' {
			return s.want("':' after the key")
		}
		s.i++
		s.space()
		if m.val, ok = s.item(); !ok {
			return false
		}
		if visit != nil {
			visit(m)
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case '}':
			return s.leave()
		default:
			return s.want("',' or '}'")
		}
	}
}

func (s *syntax) array(visit func(span)) bool {
	if !s.enter() {
		return false
	}
	if s.peek() == ']' {
		return s.leave()
	}
	for {
		v, ok := s.item()
		if !ok {
			return false
		}
		if visit != nil {
			visit(v)
		}
		s.space()
		switch s.peek() {
		case ',':
			s.i++
			s.space()
		case ']':
			return s.leave()
		default:
			return s.want("',' or ']'")
		}
	}
}

func (s *syntax) word(w string) bool {
	for j := range len(w) {
		if s.i >= len(s.b) || s.b[s.i] != w[j] {
			return s.want(w)
		}
		s.i++
	}
	return true
}

func (s *syntax) digits() bool {
	from := s.i
	for s.i < len(s.b) && s.b[s.i] >= '0' && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i > from || s.want("a digit")
}

func (s *syntax) number() bool {
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++ // nothing but a fraction or an exponent may follow a leading zero
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		if s.i++; !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

// str checks a string from its opening quote on and says whether it has
// escapes.
func (s *syntax) str() (escaped, ok bool) {
	s.i++
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return escaped, true
		case c == '\\':
			escaped = true
			if !s.escape() {
				return escaped, false
			}
		case c < ' ':
			return escaped, s.fail("found " + found(s.b[s.i:]) + " inside a string, where it must be written as an escape such as \\n or \\u0000")
		default:
			s.i++
		}
	}
	return escaped, s.want("a closing quote")
}

func (s *syntax) escape() bool {
	s.i++
	switch s.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i++
		return true
	case 'u':
		s.i++
		for range 4 {
			if unhex(s.peek()) < 0 {
				return s.want("a hexadecimal digit of \\uXXXX")
			}
			s.i++
		}
		return true
	}
	return s.want("an escape: one of \" \\ / b f n r t u")
}

func unhex(c byte) rune {
	switch {
	case c >= '0' && c <= '9':
		return rune(c - '0')
	case c >= 'a' && c <= 'f':
		return rune(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return rune(c-'A') + 10
	}
	return -1
}

// unquote returns the text of a checked string, its quotes included. Halves of
// surrogate pairs that stand alone become U+FFFD, as in encoding/json; paired
// is false if there was one.
func unquote(q []byte, escaped bool) (text string, paired bool) {
	q = q[1 : len(q)-1]
	if !escaped {
		return string(q), true
	}
	paired = true
	out := make([]byte, 0, len(q))
	for i := 0; i < len(q); i++ {
		if q[i] != '\\' {
			out = append(out, q[i])
			continue
		}
		i++
		switch q[i] {
		case 'b':
			out = append(out, '\b')
		case 'f':
			out = append(out, '\f')
		case 'n':
			out = append(out, '\n')
		case 'r':
			out = append(out, '\r')
		case 't':
			out = append(out, '\t')
		case 'u':
			r := hex4(q[i+1:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+6 < len(q) && q[i+1] == '\\' && q[i+2] == 'u' {
					low = hex4(q[i+3:])
				}
				if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
					paired = false
				} else {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
		default:
			out = append(out, q[i])
		}
	}
	return string(out), paired
}

func hex4(b []byte) (r rune) {
	for _, c := range b[:4] {
		r = r<<4 | unhex(c)
	}
	return r
}

// found names what b begins with, for people.
func found(b []byte) string {
	if len(b) == 0 {
		return "the end"
	}
	switch c := b[0]; {
	case c == 0:
		return "a NUL byte"
	case c == '\n':
		return "a line break"
	case c > ' ' && c <= '~':
		return "'" + string(rune(c)) + "'"
	case c < utf8.RuneSelf:
		return fmt.Sprintf("the byte 0x%02x", c)
	}
	if r, n := utf8.DecodeRune(b); n > 1 {
		return fmt.Sprintf("the character %U", r)
	}
	return fmt.Sprintf("the byte 0x%02x", b[0])
}
