package data

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"winnow/grader/record"
)

const faulty = aLine + "\n{\"instruction\" <1>}\n" + aLine + "\n{\"instruction\":\"caf\xe9\",\"output\":\"o\"}\n{\"instruction\":\"i\",\"output\":\"\"}\n"

func TestRejects(t *testing.T) {
	folder(t, map[string]string{"0.jsonl": aLine, "a.jsonl": faulty})
	src, err := Open([]string{"0.jsonl", "a.jsonl"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}()
	var out bytes.Buffer
	recs, err := readAll(Checked(src, &out, false))
	if err != nil || len(recs) != 6 {
		t.Fatalf("%d records, error %v", len(recs), err)
	}
	type line struct {
		File, Status, Reason string
		Line, Index          int
		Raw                  *string
		Base64               string `json:"raw_base64"`
	}
	var got []line
	for dec := json.NewDecoder(&out); dec.More(); {
		var l line
		if err := dec.Decode(&l); err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	if len(got) != 3 {
		t.Fatalf("rejects %+v, want three", got)
	}
	for i, want := range []struct {
		index  int
		status record.Status
	}{{2, record.BadJSON}, {4, record.InvalidUTF8}, {5, record.EmptyResponse}} {
		l, rec := got[i], recs[want.index]
		raw := l.Raw
		if l.Base64 != "" {
			b, err := base64.StdEncoding.DecodeString(l.Base64)
			if err != nil || raw != nil {
				t.Errorf("reject %d: raw %v beside base64 %q, %v", i, raw, l.Base64, err)
			}
			s := string(b)
			raw = &s
		}
		if l.File != "a.jsonl" || l.Line != rec.Line || l.Index != want.index || l.Status != string(want.status) || l.Reason != rec.Fault.Reason || raw == nil || *raw != string(rec.Raw) {
			t.Errorf("reject %d = %+v, want record %+v with %s", i, l, rec, want.status)
		}
	}
}

func TestStrict(t *testing.T) {
	for rejects, buf := range map[string]*bytes.Buffer{"listed": {}, "not listed": nil} {
		folder(t, map[string]string{"a.jsonl": faulty})
		src, err := Open([]string{"a.jsonl"}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		checked := Checked(src, nil, true)
		if buf != nil {
			checked = Checked(src, buf, true)
		}
		recs, err := readAll(checked)
		want := "a.jsonl:2: the record that begins here cannot be rated, which --strict does not allow: bad_json: line 2, byte 16"
		if len(recs) != 1 || !errors.As(err, new(*record.SourceError)) || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %d records, error %v; want %q", rejects, len(recs), err, want)
		}
		if _, again := checked.Next(); again != err {
			t.Errorf("%s: the next Next gives %v", rejects, again)
		}
		if buf != nil && bytes.Count(buf.Bytes(), []byte{'\n'}) != 1 {
			t.Errorf("rejects %q, want one", buf)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestRejectsFail(t *testing.T) {
	folder(t, map[string]string{"a.jsonl": faulty})
	src, err := Open([]string{"a.jsonl"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no space left")
	recs, err := readAll(Checked(src, failing{full}, false))
	if len(recs) != 1 || !errors.Is(err, full) || !strings.Contains(err.Error(), "a.jsonl:2") {
		t.Errorf("%d records, error %v", len(recs), err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}
