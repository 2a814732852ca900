package record

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// parse makes a Record of the bytes of one element or line. Whatever is wrong
// with them ends in the record's Fault. It keeps raw.
func parse(raw []byte, index, line int, f Fields) *Record {
	rec := &Record{Index: index, Line: line, Raw: raw}
	var texts [3]text
	names := [3]string{f.Instruction, f.Input, f.Response}
	if err := checkObject(raw, func(m member) {
		for i, name := range names {
			if keyIs(raw, m.key, name) {
				texts[i] = text{m.val, raw[m.val.from]} // of keys that stand twice the last one counts
			}
		}
	}); err != nil {
		at := line + bytes.Count(raw[:err.off], []byte{'\n'})
		return rec.unreadable(BadJSON, "line %d, byte %d of the record: %s", at, err.off+1, err.msg)
	}
	if raw[0] != '{' {
		return rec.unreadable(WrongType, "a record must be an object, found %s", kind(raw[0]))
	}
	if off := badUTF8(raw); off >= 0 {
		return rec.unreadable(InvalidUTF8, "byte %d of the record is 0x%02x, which is not valid UTF-8; convert the file to UTF-8", off+1, raw[off])
	}
	var out [3]string
	for i, t := range texts {
		switch t.first {
		case 0, 'n':
			continue
		case '"':
		default:
			return rec.unreadable(WrongType, "%q is %s, want a string", names[i], kind(t.first))
		}
		var paired bool
		if out[i], paired = unquote(raw[t.from:t.to], t.escaped); !paired {
			return rec.unreadable(InvalidUTF8, "%q has half of a surrogate pair among its \\u escapes, which is not a character", names[i])
		}
	}
	rec.Instruction, rec.Input, rec.Response = out[0], out[1], out[2]
	instruction, response := texts[0].first, texts[2].first
	if instruction == '"' && response == '"' {
		rec.Key = contentKey(out[0], out[1], out[2])
	} else {
		rec.Key = rawKey(raw)
	}
	switch {
	case instruction == 0: // perhaps it has another name: an input alone must not hide that
		rec.fault(NoInstruction, "the key %q is missing%s", f.Instruction, keysFound(raw))
	case instruction == 'n':
		rec.fault(NoInstruction, "%q is null, want a string", f.Instruction)
	case blank(rec.Instruction) && blank(rec.Input):
		rec.fault(NoInstruction, "neither %q nor %q has a text%s", f.Instruction, f.Input, keysFound(raw))
	case response == 0:
		rec.fault(NoResponse, "the key %q is missing%s", f.Response, keysFound(raw))
	case response == 'n':
		rec.fault(NoResponse, "%q is null, want a string", f.Response)
	case blank(rec.Response):
		rec.fault(EmptyResponse, "%q is empty or only white space", f.Response)
	}
	return rec
}

// text is the place of one of a record's texts and the first byte of its
// value: 0 if the key is missing, 'n' for null.
type text struct {
	span
	first byte
}

func (rec *Record) fault(s Status, format string, args ...any) {
	rec.Fault = &Fault{Status: s, Reason: fmt.Sprintf(format, args...)}
}

func (rec *Record) unreadable(s Status, format string, args ...any) *Record {
	rec.Key = rawKey(rec.Raw)
	rec.fault(s, format, args...)
	return rec
}

// keyIs reports whether the key at k reads as name.
func keyIs(b []byte, k span, name string) bool {
	if !k.escaped {
		return string(b[k.from+1:k.to-1]) == name
	}
	s, _ := unquote(b[k.from:k.to], true)
	return s == name
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }

// badUTF8 returns the offset of the first byte that is not valid UTF-8, or -1.
func badUTF8(b []byte) int {
	if utf8.Valid(b) {
		return -1
	}
	off := 0
	for {
		r, n := utf8.DecodeRune(b[off:])
		if r == utf8.RuneError && n <= 1 {
			return off
		}
		off += n
	}
}

// kind names the type of a valid JSON value by its first byte.
func kind(c byte) string {
	switch c {
	case '{':
		return "an object"
	case '[':
		return "an array"
	case '"':
		return "a string"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}

// keysFound lists the keys that an object has, so that a reason shows which
// one was meant.
func keysFound(raw []byte) string {
	const most = 8
	var keys []string
	n := 0
	// parse has found the object to be sound.
	_ = checkObject(raw, func(m member) {
		if n++; n <= most {
			keys = append(keys, string(raw[m.key.from:m.key.to]))
		}
	})
	switch {
	case n == 0:
		return ": the object is empty"
	case n > most:
		keys = append(keys, fmt.Sprintf("and %d more", n-most))
	}
	return "; the record's keys are " + strings.Join(keys, ", ")
}
