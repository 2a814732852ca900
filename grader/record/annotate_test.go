package record

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
)

func TestAnnotate(t *testing.T) {
	for _, c := range []struct {
		raw   string
		value any
		want  string
	}{
		{`{}`, 1, `{"w":1}`},
		{"{\n}", 1, "{\"w\":1\n}"},
		{`{"a":1}`, "x<y", `{"a":1,"w":"x<y"}`},
		{`{"a": 1}`, 4.5, `{"a": 1, "w": 4.5}`},
		{`{"a": 1, "b": [1, 2]}`, []int{3}, `{"a": 1, "b": [1, 2], "w": [3]}`},
		{`{ "a" : 1.0 , "b" : 1e3 }`, nil, `{ "a" : 1.0 , "b" : 1e3, "w" : null }`},
		{"{\n    \"a\": 1\n}", 2, "{\n    \"a\": 1,\n    \"w\": 2\n}"},
		{"{\r\n\t\"a\": 1,\r\n\t\"b\": {}\r\n  }", 2, "{\r\n\t\"a\": 1,\r\n\t\"b\": {},\r\n\t\"w\": 2\r\n  }"},
		{`{"a":1,"w":{"x":1} }`, 2, `{"a":1,"w":2 }`},
		{`{"w":1}`, 2, `{"w":2}`},
		{`{"\u0077":1}`, 2, `{"\u0077":2}`},
		{`{"w":1,"a":2}`, 3, `{"w":1,"a":2,"w":3}`},
		{`{"a":12345678901234567890}`, map[string]any{"k": "v"}, `{"a":12345678901234567890,"w":{"k":"v"}}`},
	} {
		raw := []byte(c.raw)
		got, err := Annotate(raw, "w", c.value)
		if err != nil || string(got) != c.want {
			t.Errorf("Annotate(%s) = %s, error %v; want %s", c.raw, got, err, c.want)
		}
		if string(raw) != c.raw {
			t.Errorf("Annotate changed its argument to %s", raw)
		}
		again, err := Annotate(got, "w", c.value)
		if err != nil || !bytes.Equal(again, got) {
			t.Errorf("a second Annotate of %s gives %s, error %v", got, again, err)
		}
	}
}

func TestAnnotateFails(t *testing.T) {
	for _, raw := range []string{``, `1`, `["{}"]`, `"{}"`, `{"a":}`, `{} {}`} {
		if got, err := Annotate([]byte(raw), "w", 1); err == nil {
			t.Errorf("Annotate(%s) = %s, want an error", raw, got)
		}
	}
	if _, err := Annotate([]byte(`{}`), "\xff", 1); err == nil {
		t.Error("a name that is not UTF-8 was taken")
	}
	if _, err := Annotate([]byte(`{}`), "w", math.NaN()); err == nil {
		t.Error("a value that has no JSON form was taken")
	}
}

func FuzzAnnotate(f *testing.F) {
	for _, s := range []string{`{}`, good, `{"a": 1}`, "{\n \"a\" :\n1 }", `{"w":1,"\u0077":{"w":2}}`, `{"a":"\ud800"}`, "{\"a\":\"\xff\"}"} {
		f.Add([]byte(s), "w", "text")
	}
	f.Fuzz(func(t *testing.T, raw []byte, name, value string) {
		got, err := Annotate(raw, name, value)
		var before, after map[string]json.RawMessage
		if err != nil {
			if json.Unmarshal(raw, &before) == nil && before != nil && json.Valid([]byte(value)) {
				if _, nameErr := Annotate([]byte(`{}`), name, value); nameErr == nil {
					t.Fatalf("Annotate(%q): %v", raw, err)
				}
			}
			return
		}
		if err := json.Unmarshal(raw, &before); err != nil {
			t.Fatalf("Annotate took %q: %v", raw, err)
		}
		if err := json.Unmarshal(got, &after); err != nil {
			t.Fatalf("Annotate(%q) = %q: %v", raw, got, err)
		}
		var text string
		if err := json.Unmarshal(after[name], &text); err != nil || text != string([]rune(value)) {
			t.Fatalf("Annotate(%q) = %q: value %q, error %v", raw, got, text, err)
		}
		for k, v := range before {
			if k != name && !bytes.Equal(v, after[k]) {
				t.Fatalf("Annotate(%q) = %q: member %q changed", raw, got, k)
			}
		}
		delete(before, name)
		delete(after, name)
		if len(before) != len(after) {
			t.Fatalf("Annotate(%q) = %q: other members came or went", raw, got)
		}
	})
}
