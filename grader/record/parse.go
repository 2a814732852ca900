package record

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Parse makes records of the bytes of one JSON value: one record, or one for each
// of the assistant's turns if it is a conversation. It is a conversation if it has
// a list of messages and no instruction, or has the list that Fields names.
// Whatever is wrong with them ends in a record's Fault. It keeps raw.
func Parse(raw []byte, index int, file string, line int, f Fields) []*Record {
	rec := &Record{Index: index, File: file, Line: line, Raw: raw, Turns: 1}
	if key, list := rec.parse(f.orDefault()); key != "" {
		return rec.conversation(key, list)
	}
	return []*Record{rec}
}

// parse gives the record its texts, or a Fault. Of a conversation it gives it
// nothing and returns the key and the place of its messages.
func (rec *Record) parse(f Fields) (key string, list text) {
	raw := rec.Raw
	names := [...]string{f.Instruction, f.Input, f.Response, f.Messages, f.Messages}
	if f.Messages == "" {
		names[3], names[4] = messagesKey, conversationsKey
	}
	var texts [len(names)]text
	if err := checkObject(raw, func(m member) {
		for i, name := range names {
			if keyIs(raw, m.key, name) {
				texts[i] = text{m.val, raw[m.val.from]} // of keys that stand twice the last one counts
			}
		}
	}); err != nil {
		at := rec.Line + bytes.Count(raw[:err.off], []byte{'\n'})
		rec.unreadable(BadJSON, "line %d, byte %d of the record: %s", at, err.off+1, err.msg)
		return "", list
	}
	if raw[0] != '{' {
		rec.unreadable(WrongType, "a record must be an object, found %s", kind(raw[0]))
		return "", list
	}
	if off := badUTF8(raw); off >= 0 {
		rec.unreadable(InvalidUTF8, "byte %d of the record is 0x%02x, which is not valid UTF-8; convert the file to UTF-8", off+1, raw[off])
		return "", list
	}
	if f.Messages != "" || texts[0].absent() {
		for i, t := range texts[3:] {
			if !t.absent() {
				return names[3+i], t
			}
		}
	}
	var out [3]Text
	for i, t := range texts[:3] {
		switch t.first {
		case 0:
			continue
		case 'n':
			out[i].State = Null
			continue
		case '"':
		default:
			rec.unreadable(WrongType, "%q is %s, want a string", names[i], kind(t.first))
			return "", list
		}
		value, paired := unquote(raw[t.from:t.to], t.escaped)
		if !paired {
			rec.unreadable(InvalidUTF8, "%q has half of a surrogate pair among its \\u escapes, which is not a character", names[i])
			return "", list
		}
		out[i] = Text{value, Present}
	}
	rec.fill(out, f, func() string { return keysFound(raw) })
	return "", list
}

// Text is one of a record's texts as its source has it.
type Text struct {
	Value string
	State State
}

// State says whether a text is there at all.
type State byte

// The states of a Text.
const (
	Missing State = iota // its key or column is not there
	Null                 // it has no value
	Present
)

// New makes a record of texts that stand in no JSON: instruction, input, response.
// What is wrong with them ends in its Fault. found says for a Fault which keys or
// columns there are, beginning with a separator; it may be nil. New keeps raw.
func New(raw []byte, index int, file string, line int, texts [3]Text, f Fields, found func() string) *Record {
	rec := &Record{Index: index, File: file, Line: line, Raw: raw, Turns: 1}
	f = f.orDefault()
	for i, name := range [3]string{f.Instruction, f.Input, f.Response} {
		if off := badUTF8([]byte(texts[i].Value)); off >= 0 {
			return rec.unreadable(InvalidUTF8, "byte %d of %q is 0x%02x, which is not valid UTF-8; convert the file to UTF-8", off+1, name, texts[i].Value[off])
		}
	}
	if found == nil {
		found = func() string { return "" }
	}
	rec.fill(texts, f, found)
	return rec
}

// fill gives the record its texts, its key, and a Fault if they cannot be rated.
func (rec *Record) fill(texts [3]Text, f Fields, found func() string) {
	rec.Instruction, rec.Input, rec.Response = texts[0].Value, texts[1].Value, texts[2].Value
	instruction, response := texts[0].State, texts[2].State
	if instruction == Present && response == Present {
		rec.Key = contentKey(rec.Instruction, rec.Input, rec.Response)
	} else {
		rec.Key = rawKey(rec.Raw)
	}
	switch {
	case instruction == Missing: // perhaps it has another name: an input alone must not hide that
		rec.fault(NoInstruction, "the key %q is missing%s", f.Instruction, found())
	case instruction == Null:
		rec.fault(NoInstruction, "%q is null, want a string", f.Instruction)
	case blank(rec.Instruction) && blank(rec.Input):
		rec.fault(NoInstruction, "neither %q nor %q has a text%s", f.Instruction, f.Input, found())
	case response == Missing:
		rec.fault(NoResponse, "the key %q is missing%s", f.Response, found())
	case response == Null:
		rec.fault(NoResponse, "%q is null, want a string", f.Response)
	case blank(rec.Response):
		rec.fault(EmptyResponse, "%q is empty or only white space", f.Response)
	}
}

// text is the place of one of a record's texts and the first byte of its
// value: 0 if the key is missing, 'n' for null.
type text struct {
	span
	first byte
}

// absent reports whether there is no value.
func (t text) absent() bool { return t.first == 0 || t.first == 'n' }

func (rec *Record) fault(s Status, format string, args ...any) {
	rec.Fault = faultf(s, format, args...)
}

func (rec *Record) unreadable(s Status, format string, args ...any) *Record {
	rec.Key = rawKey(rec.Raw)
	rec.fault(s, format, args...)
	return rec
}

func faultf(s Status, format string, args ...any) *Fault {
	return &Fault{Status: s, Reason: fmt.Sprintf(format, args...)}
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
