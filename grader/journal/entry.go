package journal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"strconv"
	"strings"

	"winnow/grader/rating"
	"winnow/grader/record"
)

// Entry is what a journal knows of one record.
type Entry struct {
	Key     record.Key
	Index   int // of the record in the source of the run that wrote the entry, from 0
	Status  record.Status
	Reason  string          // why there is no rating
	Ratings []rating.Rating // one for each criterion, in the manifest's order; none unless Status is record.OK
	Tokens  int             // of the prompt
	Cut     int             // tokens of the record that were left out of the prompt, at least

	// None of these without a rating.
	Signals    []float64 // one for each of the manifest's; NaN where it is undefined
	Hidden     []float32 // as the manifest's Hidden says; an Index leaves it out
	Calibrated float64   // probability that the record is to be kept; only if the manifest has a Calibration
}

// Value returns the least of the criteria's expected values, the one that
// counts for a record; NaN if it has no rating.
func (e Entry) Value() float64 {
	if len(e.Ratings) == 0 {
		return math.NaN()
	}
	least := e.Ratings[0].Value
	for i := range e.Ratings {
		least = min(least, e.Ratings[i].Value)
	}
	return least
}

// form is the one spelling of entries under a manifest.
type form struct {
	ratings []string // of the scale
	quoted  []string // as JSON: `"0"`, `"0.5"`, …
	members []string // `"0":`, `,"0.5":`, …
	heads   []string // one for each criterion, if there are several: `"accuracy":{`, `,"helpfulness":{`, …

	signals    []string // `"nll":`, `,"ppl":`, …
	hidden     int      // numbers of the hidden state; 0 for none
	packed     []byte   // that appending a hidden state uses
	calibrated bool
}

func newForm(m Manifest) form {
	f := form{ratings: m.Scale.Strings}
	for i, s := range m.Scale.Strings {
		f.quoted = append(f.quoted, string(appendString(nil, s)))
		f.members = append(f.members, memberStart(i, s))
	}
	if len(m.Rubrics) > 1 {
		for i, r := range m.Rubrics {
			f.heads = append(f.heads, memberStart(i, r.Name)+"{")
		}
	}
	for i, name := range m.Signals {
		f.signals = append(f.signals, memberStart(i, name))
	}
	if m.Hidden != nil {
		f.hidden = m.Hidden.Size
		f.packed = make([]byte, bytesPerHidden*f.hidden)
	}
	f.calibrated = m.Calibration != nil
	return f
}

// memberStart is what stands before the value of an object's nth member.
func memberStart(n int, name string) string {
	var b []byte
	if n > 0 {
		b = append(b, ',')
	}
	return string(append(appendString(b, name), ':'))
}

// criteria counts the ratings of a rated entry.
func (f *form) criteria() int { return max(1, len(f.heads)) }

// append appends the entry's line up to its checksum. Whether the numbers can
// stand in a journal is left to the parser.
func (f *form) append(b []byte, e Entry) ([]byte, error) {
	want := 0
	if e.Status == record.OK {
		want = f.criteria()
	}
	if len(e.Ratings) != want {
		return b, fmt.Errorf("status %q and %d ratings, want %d: an entry of status %q has one for each criterion, any other has none",
			e.Status, len(e.Ratings), want, record.OK)
	}
	if err := f.checkMeasured(&e); err != nil {
		return b, err
	}
	b = append(b, `{"key":"`...)
	b = hex.AppendEncode(b, e.Key[:])
	b = append(b, `","index":`...)
	b = strconv.AppendInt(b, int64(e.Index), 10)
	b = append(b, `,"status":`...)
	b = appendString(b, string(e.Status))
	if e.Reason != "" {
		b = append(b, `,"reason":`...)
		b = appendString(b, e.Reason)
	}
	var err error
	switch {
	case want == 1:
		if b, err = f.appendRating(append(b, ','), &e.Ratings[0]); err != nil {
			return b, err
		}
	case want > 1:
		b = append(b, `,"rating":`...)
		b = rating.AppendNumber(b, e.Value())
		b = append(b, `,"criteria":{`...)
		for i, head := range f.heads {
			b = append(b, head...)
			if b, err = f.appendRating(b, &e.Ratings[i]); err != nil {
				return b, fmt.Errorf("criterion %d: %w", i+1, err)
			}
			b = append(b, '}')
		}
		b = append(b, '}')
	}
	if want > 0 {
		if b, err = f.appendMeasured(b, &e); err != nil {
			return b, err
		}
	}
	b = append(b, `,"tokens":`...)
	b = strconv.AppendInt(b, int64(e.Tokens), 10)
	if e.Cut != 0 {
		b = append(b, `,"truncated":`...)
		b = strconv.AppendInt(b, int64(e.Cut), 10)
	}
	return b, nil
}

// appendRating appends a rating's members without the braces around them.
func (f *form) appendRating(b []byte, r *rating.Rating) ([]byte, error) {
	mode := slices.Index(f.ratings, r.Mode)
	switch {
	case len(r.Probs) != len(f.ratings):
		return b, fmt.Errorf("%d probabilities for a scale of %d ratings", len(r.Probs), len(f.ratings))
	case mode < 0:
		return b, fmt.Errorf("the mode %q is no rating of the scale", r.Mode)
	}
	b = append(b, `"rating":`...)
	b = rating.AppendNumber(b, r.Value)
	b = append(b, `,"mode":`...)
	b = append(b, f.quoted[mode]...)
	b = append(b, `,"probs":{`...)
	for i, p := range r.Probs {
		b = append(b, f.members[i]...)
		b = rating.AppendNumber(b, p)
	}
	b = append(b, `},"off_scale":`...)
	b = rating.AppendNumber(b, r.OffScale)
	b = append(b, `,"entropy":`...)
	return rating.AppendNumber(b, r.Entropy), nil
}

// AppendObject appends {"name":number,…} as a journal spells it: in the order
// of names, with single precision, NaN as null and +Inf as "Infinity". There must
// be one number for each name.
func AppendObject(b []byte, names []string, numbers []float64) []byte {
	b = append(b, '{')
	for i, name := range names {
		b = append(b, memberStart(i, name)...)
		b = appendSignal(b, numbers[i])
	}
	return append(b, '}')
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

// errCRLF is damage that Repair can undo.
var errCRLF = errors.New("the line ends in a carriage return and not in a checksum: something has converted the file's line ends, which winnow journal repair undoes")

// unseal returns the body of a line, which comes without its newline.
func unseal(line []byte) ([]byte, error) {
	n := len(line) - sealBytes
	if n < 0 || string(line[n:n+len(sealStart)]) != sealStart || string(line[len(line)-len(sealEnd):]) != sealEnd {
		if bytes.HasSuffix(line, []byte(sealEnd+"\r")) {
			return nil, errCRLF
		}
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
