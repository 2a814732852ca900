package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Entry is what a journal knows of one record.
type Entry struct {
	Key    record.Key
	Index  int // of the record in the source of the run that wrote the entry, from 0
	Status record.Status
	Reason string         // why there is no rating
	Rating *rating.Rating // nil unless Status is record.OK
	Tokens int            // of the prompt
	Cut    int            // tokens of the record that were left out of the prompt, at least
}

// MarshalJSON writes the members of the entry's line in the journal, without
// its checksum. An entry without a rating has no number that could be taken
// for one.
func (e Entry) MarshalJSON() ([]byte, error) {
	b, err := appendBody(nil, e)
	return append(b, '}'), err
}

// appendBody appends the entry's line up to its checksum. Whether the numbers
// can stand in a journal is left to the parser.
func appendBody(b []byte, e Entry) ([]byte, error) {
	if (e.Status == record.OK) != (e.Rating != nil) {
		return b, fmt.Errorf("status %q, rating there: %t; a rating goes with status %q and with no other", e.Status, e.Rating != nil, record.OK)
	}
	b = append(b, `{"key":"`...)
	b = append(b, e.Key.String()...)
	b = append(b, `","index":`...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = append(b, `,"status":`...)
	b = appendString(b, string(e.Status))
	if e.Reason != "" {
		b = append(b, `,"reason":`...)
		b = appendString(b, e.Reason)
	}
	if r := e.Rating; r != nil {
		b = append(b, `,"rating":`...)
		b = rating.AppendNumber(b, r.Value)
		b = append(b, `,"mode":`...)
		b = appendString(b, r.Mode)
		b = append(b, `,"probs":{`...)
		for i, p := range r.Probs {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, p.String)
			b = append(b, ':')
			b = rating.AppendNumber(b, p.P)
		}
		b = append(b, `},"off_scale":`...)
		b = rating.AppendNumber(b, r.OffScale)
		b = append(b, `,"entropy":`...)
		b = rating.AppendNumber(b, r.Entropy)
	}
	b = append(b, `,"tokens":`...)
	b = strconv.AppendInt(b, int64(e.Tokens), 10)
	if e.Cut != 0 {
		b = append(b, `,"truncated":`...)
		b = strconv.AppendInt(b, int64(e.Cut), 10)
	}
	return b, nil
}

// appendString appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD.
func appendString(b []byte, s string) []byte {
	special := func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }
	if strings.IndexFunc(s, special) < 0 {
		b = append(b, '"')
		b = append(b, s...)
		return append(b, '"')
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("journal: a string has no JSON form: " + err.Error()) // every string has one
	}
	return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
}

// A line ends in its checksum: `,"crc":"`, eight digits, `"}`.
const (
	sealStart  = `,"crc":"`
	sealEnd    = `"}`
	sealDigits = 8
	sealBytes  = len(sealStart) + sealDigits + len(sealEnd)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal completes the line whose body begins at b[start] and ends with b.
func seal(b []byte, start int) []byte {
	sum := checksum(b[start:])
	b = append(b, sealStart...)
	b = append(b, sum[:]...)
	return append(b, sealEnd+"\n"...)
}

// unseal returns the body of a line, which comes without its newline.
func unseal(line []byte) ([]byte, error) {
	n := len(line) - sealBytes
	if n < 0 || string(line[n:n+len(sealStart)]) != sealStart || string(line[len(line)-len(sealEnd):]) != sealEnd {
		return nil, errors.New("the line does not end in a checksum")
	}
	have := line[n+len(sealStart):][:sealDigits]
	if want := checksum(line[:n]); string(have) != string(want[:]) {
		return nil, fmt.Errorf("the line has the checksum %s, its bytes have %s: they were changed", have, want)
	}
	return line[:n], nil
}

// checksum returns the CRC-32C of b in eight hexadecimal digits.
func checksum(b []byte) (digits [sealDigits]byte) {
	sum := crc32.Checksum(b, castagnoli)
	for i := range digits {
		digits[i] = "0123456789abcdef"[sum>>28]
		sum <<= 4
	}
	return digits
}
