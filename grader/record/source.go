package record

import "io"

// minBuffer is the first size of a source's buffer.
const minBuffer = 64 << 10

// source is a window onto an io.Reader that grows up to a limit.
type source struct {
	r        io.Reader
	limit    int // of the buffer's size
	buf      []byte
	pos, end int // the window
	eof      bool
	err      error // of the io.Reader, if not io.EOF
}

// window returns the bytes read and not skipped. It is valid until fill.
func (s *source) window() []byte { return s.buf[s.pos:s.end] }

func (s *source) skip(n int) { s.pos += n }

// fill makes the window longer. It returns false if there is nothing more; then
// err says whether reading failed. The window must be shorter than the limit.
func (s *source) fill() bool {
	if s.eof {
		return false
	}
	if s.pos > 0 {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
	}
	if s.end == len(s.buf) {
		grown := make([]byte, min(max(2*len(s.buf), minBuffer), s.limit))
		copy(grown, s.buf)
		s.buf = grown
	}
	for range 100 { // an io.Reader may return nothing now and then
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if err != nil {
			s.eof = true
			if err != io.EOF {
				s.err = err
			}
		}
		if n > 0 {
			return true
		}
		if s.eof {
			return false
		}
	}
	s.eof, s.err = true, io.ErrNoProgress
	return false
}

// splitter finds the end of one element of an array without checking its
// syntax, so that a malformed element stays one element where its end can be
// told at all. It can be given the element in pieces.
type splitter struct {
	form   byte   // '{' for an object or array, '"' for a string, 0 for a bare word
	open   []byte // the brackets that are open
	braces int    // how many of them are '{'
	quoted bool   // inside a string
	escape bool   // after a backslash of a string
}

// reset prepares for an element that begins with c.
func (s *splitter) reset(c byte) {
	*s = splitter{open: s.open[:0]}
	switch c {
	case '{', '[':
		s.form = '{'
	case '"':
		s.form = '"'
	}
}

// scan takes the next piece of the element. It returns how many bytes of it
// belong to the element and whether the element ends there.
func (s *splitter) scan(b []byte) (n int, done bool) {
	if s.form == 0 {
		for i, c := range b {
			switch c {
			case ',', ']', '}', '[', '{', '"', ' ', '\t', '\r', '\n':
				return i, true
			}
		}
		return len(b), false
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		if s.quoted {
			switch {
			case s.escape:
				s.escape = false
			case c == '\\':
				s.escape = true
			case c == '"':
				s.quoted = false
				if s.form == '"' {
					return i + 1, true
				}
			}
			continue
		}
		switch c {
		case '"':
			s.quoted = true
		case '{', '[':
			s.push(c)
		case '}', ']':
			if s.pop(c); len(s.open) == 0 {
				return i + 1, true
			}
		}
	}
	return len(b), false
}

func (s *splitter) push(c byte) {
	s.open = append(s.open, c)
	if c == '{' {
		s.braces++
	}
}

// pop closes the innermost bracket of c's kind and all inside it. A bracket
// that closes nothing is passed over.
func (s *splitter) pop(c byte) {
	want := byte('{')
	if c == ']' {
		want = '['
	}
	if want == '{' && s.braces == 0 || want == '[' && s.braces == len(s.open) {
		return // also keeps a run of such brackets from searching in vain
	}
	for {
		last := s.open[len(s.open)-1]
		s.open = s.open[:len(s.open)-1]
		if last == '{' {
			s.braces--
		}
		if last == want {
			return
		}
	}
}
