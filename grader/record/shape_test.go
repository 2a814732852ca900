package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// copyOf writes the records of src that keep allows in the frame of src.
func copyOf(t rapid.TB, src string, keep func(i int) bool) string {
	t.Helper()
	recs, shape, err := readString(src, Options{})
	if err != nil {
		t.Fatalf("reading %.60q: %v", src, err)
	}
	var out bytes.Buffer
	w := shape.newWriter(&out)
	for i, rec := range recs {
		if keep(i) {
			if err := w.write(rec.Raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func all(int) bool  { return true }
func none(int) bool { return false }

func TestCopyIsIdentical(t *testing.T) {
	const a = `{"output":"o","n":1.0,"m":1e3,"big":12345678901234567890,"instruction":"\u0069","x":{"b":[ ],"a":null}}`
	for name, src := range map[string]string{
		"compact array":         "[" + good + "," + a + "," + good + "]",
		"array with lines":      "[\n" + good + ",\n" + a + ",\n" + good + "\n]\n",
		"indented by 4":         "[\n    {\n        \"instruction\": \"i\",\n        \"output\": \"o\"\n    },\n    " + a + ",\n    " + good + "\n]\n",
		"spaced array":          " [ " + good + " , " + a + " , " + good + " ] ",
		"array with BOM":        "\xef\xbb\xbf[" + good + ", " + a + "]\r\n",
		"one element":           "[\n  " + good + "\n]",
		"empty array":           "[ \n]\n",
		"emptiest array":        "[]",
		"lines":                 good + "\n" + a + "\n" + good + "\n",
		"lines, no last break":  good + "\n" + a + "\n" + good,
		"lines with CRLF":       good + "\r\n" + a + "\r\n" + good + "\r\n",
		"lines with BOM":        "\xef\xbb\xbf" + good + "\n" + a + "\n",
		"one line":              a + "\n",
		"one line, no break":    a,
		"lines apart":           "\n" + good + "\n\n" + a + "\n\n" + good + "\n\n\n",
		"lines with bad ones":   good + "\n{\"a\n\x01\n" + good + "\n",
		"array with bad ones":   "[" + good + ",nope," + `{"a" 1}` + "," + good + "]",
		"line longer than read": `{"a":"` + strings.Repeat("x", 3*minBuffer) + `"}` + "\n" + good + "\n",
	} {
		if got := copyOf(t, src, all); got != src {
			t.Errorf("%s: copy of\n%.200q is\n%.200q", name, src, got)
		}
	}
}

func TestCopyOfSome(t *testing.T) {
	first := func(i int) bool { return i == 0 }
	last := func(i int) bool { return i == 1 }
	for _, c := range []struct {
		src  string
		keep func(int) bool
		want string
	}{
		{"[\n  " + good + ",\n  {}\n]\n", first, "[\n  " + good + "\n]\n"},
		{"[\n  {},\n  " + good + "\n]\n", last, "[\n  " + good + "\n]\n"},
		{"[\n  {},\n  " + good + "\n]\n", none, "[]\n"},
		{"[{},{}]", none, "[]"},
		{"{}\r\n" + good + "\r\n", last, good + "\r\n"},
		{"{}\n" + good, last, good},
		{"{}\n" + good, none, ""},
	} {
		if got := copyOf(t, c.src, c.keep); got != c.want {
			t.Errorf("some of %q: %q, want %q", c.src, got, c.want)
		}
	}
}

// Whatever a frame was made from, more records than the source had are a valid
// file.
func TestFrameOfFewRecords(t *testing.T) {
	shapes := []Shape{{}, {Array: true}}
	for _, src := range []string{"[]", "[ " + good + "]", "[\n\t" + good + "\n]", good, good + "\r\n", "[" + strings.Repeat(" ", 2*maxGap) + good + strings.Repeat(" ", 2*maxGap) + "]"} {
		_, shape, err := readString(src, Options{})
		if err != nil {
			t.Fatal(err)
		}
		shapes = append(shapes, shape)
		r := NewReader(strings.NewReader(src), "", Options{})
		_, _ = r.Next() // the shape before the end is known
		shapes = append(shapes, r.Shape())
	}
	for _, shape := range shapes {
		for n := range 4 {
			var out bytes.Buffer
			w := shape.newWriter(&out)
			for range n {
				if err := w.write([]byte(good)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if shape.Array && !json.Valid(out.Bytes()) {
				t.Errorf("%+v: %d records give %q", shape, n, out.String())
			}
			if !shape.Array && n == 0 {
				continue
			}
			if recs, _, err := readString(out.String(), Options{}); err != nil || len(recs) != n {
				t.Errorf("%+v: %d records give %q, error %v", shape, n, out.String(), err)
			}
		}
	}
}

func TestCopyOfAny(t *testing.T) {
	pad := rapid.SampledFrom([]string{"", " ", "\n", "\n    ", "\r\n"})
	objects := rapid.SliceOf(rapid.MapOf(rapid.String(), rapid.String()))
	rapid.Check(t, func(t *rapid.T) {
		head, sep, tail := pad.Draw(t, "head"), pad.Draw(t, "sep"), pad.Draw(t, "tail")
		var array, lines []string
		for i, o := range objects.Draw(t, "objects") {
			compact, err := json.Marshal(o)
			if err != nil {
				t.Fatal(err)
			}
			indented, err := json.MarshalIndent(o, "  ", "  ")
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(compact))
			if i%2 == 0 {
				array = append(array, string(indented))
			} else {
				array = append(array, string(compact))
			}
		}
		src := head + "[" + head + strings.Join(array, ","+sep) + tail + "]" + tail
		if got := copyOf(t, src, all); got != src {
			t.Errorf("copy of %q is %q", src, got)
		}
		if len(lines) > 0 {
			src := strings.Join(lines, "\r\n")
			if got := copyOf(t, src, all); got != src {
				t.Errorf("copy of %q is %q", src, got)
			}
		}
	})
}

func TestWriterFails(t *testing.T) {
	var out bytes.Buffer
	w := Shape{}.newWriter(&out)
	if err := w.write([]byte("{\n}")); err == nil {
		t.Error("a record of two lines was written into a file of lines")
	}
	if err := w.write(nil); err == nil {
		t.Error("a record of no bytes was written")
	}
	if err := errors.Join(w.write([]byte("{}")), w.Close(), w.Close()); err != nil {
		t.Error(err)
	}
	if out.String() != "{}\n" {
		t.Errorf("wrote %q", out.String())
	}
	if err := w.write([]byte("{}")); !errors.Is(err, errWriterClosed) {
		t.Errorf("Write after Close: error %v", err)
	}
	w = Shape{Array: true}.newWriter(full{})
	if err := errors.Join(w.write([]byte("{}")), w.Close()); !errors.Is(err, errFull) {
		t.Errorf("writing to a full disk: error %v", err)
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
