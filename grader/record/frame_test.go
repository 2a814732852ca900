package record

import (
	"strings"
	"testing"
)

// A frame that is named decides, whatever the first byte is.
func TestFrames(t *testing.T) {
	for _, c := range []struct {
		src     string
		frame   Frame
		array   bool
		records int
		want    string // in the error
	}{
		{"oops\n" + good, AnyFrame, false, 0, "data.json:1: found 'o'"},
		{"oops\n" + good, LinesFrame, false, 2, ""},
		{"[1]\n" + good + "\nx", LinesFrame, false, 3, ""},
		{"x\n" + good, LinesFrame, false, 2, ""},
		{"{\n}", LinesFrame, false, 0, "nothing but '{'"},
		{"\x1f\x8b", LinesFrame, false, 0, "still compressed with gzip"},
		{"", LinesFrame, false, 0, "the file is empty"},
		{"[" + good + "]", ArrayFrame, true, 1, ""},
		{"\n" + good, ArrayFrame, false, 0, "data.json:2: found '{', want '['"},
	} {
		recs, shape, err := readString(c.src, Options{Frame: c.frame})
		if len(recs) != c.records || shape.Array != c.array || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in frame %d: %d records, array %t, error %v; want %d, %t, %q", c.src, c.frame, len(recs), shape.Array, err, c.records, c.array, c.want)
		}
	}
}

func TestNewFaulty(t *testing.T) {
	rec := NewFaulty([]byte("100 %"), 3, "a.csv", 7, BadRow, "100 % wrong")
	if rec.Key != rawKey([]byte("100 %")) || rec.Where() != "a.csv:7" || rec.Index != 3 || rec.Turns != 1 || rec.Fault.Error() != "bad_row: 100 % wrong" {
		t.Errorf("record %+v, fault %v", rec, rec.Fault)
	}
}
