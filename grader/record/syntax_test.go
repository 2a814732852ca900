package record

import (
	"encoding/json"
	"strings"
	"testing"
)

var valuesOfAllKinds = []string{
	`{}`, `[]`, `""`, `0`, `-0.5e+10`, `01`, `-`, `1.`, `.5`, `1e`, `tru`, `truex`, `null `, "\u00a0{}", `{"a":1,}`, `{"a":1 "b":2}`, `{,}`, `[1,]`,
	`"\u12G4"`, `"\`, `"\u12`, "\"\x7f\x1f\"", "\"\xff\"", `"\ud83d\ude00 \ud800 \udc00\ud800x \uD800\u0041 \b\f\n\r\t\/\\\""`, `{"a":{"b":[{},[],null,true,false]}}`, "\x00", "{}\x00", `{} {}`,
	strings.Repeat("[", 10000) + strings.Repeat("]", 10000), strings.Repeat("[", 10001) + strings.Repeat("]", 10001),
}

func FuzzSyntax(f *testing.F) {
	for _, s := range append(valuesOfAllKinds, good) {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		visited := false
		err := checkObject(b, func(m member) {
			visited = true
			checkString(t, b[m.key.from:m.key.to], m.key.escaped)
			if b[m.val.from] == '"' {
				checkString(t, b[m.val.from:m.val.to], m.val.escaped)
			} else if !json.Valid(b[m.val.from:m.val.to]) {
				t.Fatalf("value %q of %q", b[m.val.from:m.val.to], b)
			}
		})
		if valid := json.Valid(b); valid != (err == nil) {
			t.Fatalf("%q: valid is %v, the check says %v", b, valid, err)
		}
		if err != nil && (err.off < 0 || err.off > len(b) || err.msg == "") {
			t.Fatalf("%q: error %v", b, err)
		}
		if err == nil && !visited {
			var m map[string]json.RawMessage
			if json.Unmarshal(b, &m) == nil && len(m) > 0 {
				t.Fatalf("%q: members were not visited", b)
			}
		}
	})
}

// checkString compares unquote with encoding/json. Bytes that are not UTF-8 are
// replaced there but kept here, where a record that has them is refused.
func checkString(t *testing.T, q []byte, escaped bool) {
	t.Helper()
	var want string
	if err := json.Unmarshal(q, &want); err != nil {
		t.Fatalf("string %q: %v", q, err)
	}
	got, paired := unquote(q, escaped)
	if strings.ToValidUTF8(got, "") == got && got != want {
		t.Fatalf("string %q reads as %q, want %q", q, got, want)
	}
	if !paired && !strings.ContainsRune(want, '\ufffd') {
		t.Fatalf("string %q: half a pair reported, but it reads as %q", q, want)
	}
}
