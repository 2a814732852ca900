package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"winnow/grader/data"
	"winnow/grader/record"
)

// crash is what the runtime, the engine or a debugger leaves on stderr.
var crash = []string{"panic: ", "goroutine ", "SIGABRT", "SIGSEGV", "GGML_ASSERT"}

// exitcodeCmd runs "exitcode N program args...": the program must end with the
// code N and must not have crashed. Its output is there for later commands.
func exitcodeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exitcode N program [args...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%s: %v", args[1], err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
	for _, s := range crash {
		if strings.Contains(ts.ReadFile("stderr"), s) {
			ts.Fatalf("stderr has %q: the program crashed", s)
		}
	}
}

// writeCmd runs "write FILE TEXT": the file holds the text, in which \x00 and
// all other escapes of Go's strings stand for bytes.
func writeCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: write file text")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), unescape(ts, args[1]), 0o666))
}

func unescape(ts *testscript.TestScript, s string) []byte {
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
	if err != nil {
		ts.Fatalf("text %s: %v", s, err)
	}
	return []byte(text)
}

// cutCmd runs "cut FROM TO N": the first N bytes of a file, or with -N all but
// the last N, become another one.
func cutCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: cut from to n")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	if n < 0 {
		n += len(b)
	}
	if n < 0 || n >= len(b) {
		ts.Fatalf("%s has %d bytes: cannot cut it at %s", args[0], len(b), args[2])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b[:n], 0o666))
}

// replaceCmd runs "replace FILE OLD NEW": text that stands once in the file is
// replaced by other text.
func replaceCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: replace file old new")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	from, to := unescape(ts, args[1]), unescape(ts, args[2])
	if n := bytes.Count(b, from); n != 1 {
		ts.Fatalf("%q stands %d times in %s, want once", from, n, args[0])
	}
	ts.Check(os.WriteFile(path, bytes.Replace(b, from, to, 1), 0o666))
}

// packCmd runs "pack FROM TO": a file is compressed as the other one's name says.
func packCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: pack from to")
	}
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	var out bytes.Buffer
	w, err := data.Compress(&out, args[1])
	ts.Check(err)
	_, err = w.Write(b)
	ts.Check(err)
	ts.Check(w.Close())
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), out.Bytes(), 0o666))
}

// recordsCmd runs "records FILE N": a JSONL file of N different records.
func recordsCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: records file n")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(writeRecords(ts.MkAbs(args[0]), n))
}

// writeRecords writes n records of unequal lengths, the same ones every time.
func writeRecords(path string, n int) error {
	random := rand.New(rand.NewPCG(1, uint64(n)))
	words := strings.Fields("the answer to that is not so short and we can say more of it with words that are here in this list")
	text := func(longest int) string {
		s := make([]string, random.IntN(longest)+1)
		for i := range s {
			s[i] = words[random.IntN(len(words))]
		}
		return strings.Join(s, " ")
	}
	var b bytes.Buffer
	for i := range n {
		line, err := json.Marshal(map[string]string{"instruction": fmt.Sprintf("Task %d: %s", i, text(8)), "output": text(40)})
		if err != nil {
			return err
		}
		b.Write(append(line, '\n'))
	}
	return os.WriteFile(path, b.Bytes(), 0o666)
}

// bigRecordCmd runs "bigrecord FILE MEGABYTES": an array of three records, one a
// line from line 2 on, of which the second has a response of that size.
func bigRecordCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: bigrecord file megabytes")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	const words = "round and round it goes "
	long := strings.Repeat(words, n*1_000_000/len(words)+1)
	text := `[
{"instruction":"Say one.","output":"one"},
{"instruction":"Say it all.","output":"` + long + `"},
{"instruction":"Say three.","output":"three"}
]
`
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o666))
}

// holdCmd runs "hold FILE": the file is locked as a run in progress locks it,
// until the script ends or a "hold -release FILE".
func holdCmd(ts *testscript.TestScript, neg bool, args []string) {
	release := len(args) == 2 && args[0] == "-release"
	if neg || len(args) != 1 && !release {
		ts.Fatalf("usage: hold [-release] file")
	}
	path := ts.MkAbs(args[len(args)-1])
	locks, ok := ts.Value(locksKey{}).(map[string]*os.File)
	if !ok {
		ts.Fatalf("the script has no table of locks")
	}
	if release {
		ts.Check(locks[path].Close())
		delete(locks, path)
		return
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	ts.Check(err)
	ts.Check(unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB))
	locks[path] = f
	ts.Defer(func() { _ = f.Close() }) // closed already if it was released
}

// locksKey finds a script's locks among its values.
type locksKey struct{}

// partitionCmd runs "partition DATA KEPT DROPPED": the kept and the dropped
// file together hold the records of the data file, each once and in order, the
// kept ones byte for byte, the others with a verdict as last member.
func partitionCmd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: partition data kept dropped")
	}
	var recs [3][]*record.Record
	var arrays [3]bool
	for i, name := range args {
		path := ts.MkAbs(name)
		r, err := record.Open(path, record.Options{})
		ts.Check(err)
		for {
			rec, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			ts.Check(err)
			if rec.Turn == 0 { // a conversation is written once
				recs[i] = append(recs[i], rec)
			}
		}
		arrays[i] = r.Shape().Array
		ts.Check(r.Close())
	}
	if arrays[0] != arrays[1] || arrays[0] != arrays[2] {
		ts.Fatalf("array or lines: data %t, kept %t, dropped %t", arrays[0], arrays[1], arrays[2])
	}
	kept, dropped := recs[1], recs[2]
	for _, rec := range recs[0] {
		switch {
		case len(kept) > 0 && bytes.Equal(kept[0].Raw, rec.Raw):
			kept = kept[1:]
		case len(dropped) > 0 && isAnnotated(rec.Raw, dropped[0].Raw):
			dropped = dropped[1:]
		default:
			ts.Fatalf("record %d of %s is not next in either file: %s", rec.Index, filepath.Base(args[0]), rec.Raw)
		}
	}
	if len(kept)+len(dropped) > 0 {
		ts.Fatalf("%d kept and %d dropped records are not in the data", len(kept), len(dropped))
	}
}

// isAnnotated reports whether a record of a dropped file is raw with a verdict.
func isAnnotated(raw, dropped []byte) bool {
	var wrapped struct {
		Raw    string          `json:"raw"`
		Winnow json.RawMessage `json:"winnow"`
	}
	if bytes.HasPrefix(raw, []byte("{")) && bytes.HasPrefix(dropped, bytes.TrimRight(bytes.TrimSuffix(raw, []byte("}")), " \n\t")) {
		return json.Unmarshal(bytes.ToValidUTF8(dropped, nil), &wrapped) == nil && wrapped.Winnow != nil
	}
	return json.Unmarshal(dropped, &wrapped) == nil && wrapped.Raw == string(raw) && wrapped.Winnow != nil
}
