package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Annotate returns the object raw with the member "name":value at its end and
// every other byte as it was. The new member follows the last one's style:
// spaces, line and indentation. If the last member already has that name, its
// value is replaced. raw itself is left alone.
func Annotate(raw []byte, name string, value any) ([]byte, error) {
	key, val, err := encodeMember(name, value)
	if err != nil {
		return nil, fmt.Errorf("annotating a record with %q: %w", name, err)
	}
	var last member
	n, gapFrom := 0, 0
	if err := checkObject(raw, func(m member) {
		n++
		gapFrom, last = last.val.to, m
	}); err != nil {
		return nil, fmt.Errorf("annotating a record with %q: %w", name, err)
	}
	open := bytes.IndexByte(raw, '{')
	if open < 0 || strings.Trim(string(raw[:open]), space) != "" {
		return nil, fmt.Errorf("annotating a record with %q: a record must be an object", name)
	}
	out := make([]byte, 0, len(raw)+len(key)+len(val)+16)
	switch {
	case n == 0:
		out = append(out, raw[:open+1]...)
		out = append(append(append(out, key...), ':'), val...)
		return append(out, raw[open+1:]...), nil
	case keyIs(raw, last.key, name):
		out = append(out, raw[:last.val.from]...)
		out = append(out, val...)
		return append(out, raw[last.val.to:]...), nil
	}
	colon := raw[last.key.to:last.val.from]
	var gap []byte // white space before the last member's key
	if n == 1 {
		gap = raw[open+1 : last.key.from]
		if bytes.IndexByte(gap, '\n') < 0 {
			gap = nil // what follows '{' on the same line says nothing about commas; what follows ':' does
			if bytes.HasSuffix(colon, []byte{' '}) {
				gap = []byte{' '}
			}
		}
	} else {
		gap = raw[gapFrom:last.key.from]
		gap = gap[bytes.IndexByte(gap, ',')+1:]
	}
	out = append(out, raw[:last.val.to]...)
	out = append(append(out, ','), gap...)
	out = append(append(append(out, key...), colon...), val...)
	return append(out, raw[last.val.to:]...), nil
}

func encodeMember(name string, value any) (key, val []byte, err error) {
	if !utf8.ValidString(name) {
		return nil, nil, errors.New("the name is not valid UTF-8")
	}
	if key, err = MarshalPlain(name); err != nil {
		return nil, nil, err
	}
	if val, err = MarshalPlain(value); err != nil {
		return nil, nil, err
	}
	return key, val, nil
}

// MarshalPlain is json.Marshal without the escapes that are meant for web pages.
func MarshalPlain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
