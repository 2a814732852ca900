package child

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"winnow/grader"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

// script is how a fake engine behaves.
type script struct {
	Dir     string // where it leaves marks of what it has done
	Tokens  int
	Prompts int
	Lanes   int

	Harmless  bool   // it ignores what records ask for
	Load      string // the failure that opening it is
	LoadOnce  bool   // and that is so the first time alone
	Broken    bool   // no batch is rated
	Spin      bool   // a batch keeps every thread busy for ever
	MostFits  int    // with more tokens in a batch, memory runs out when it rates
	MostLoads int    // or when it is opened
	Changes   bool   // the second engine is another judge
	Say       string // a warning when it is opened
	Device    string // the manifest's device; "" for CPU
	Delay     int    // milliseconds that a batch takes
	Dies      int    // batches that it rates in all its processes; then each ends
	Lost      bool   // and it cannot be opened again
}

func scripted(t testing.TB) script {
	return script{Dir: t.TempDir(), Tokens: 400, Prompts: 8, Lanes: 1}
}

// fake is an engine that answers from a record's key alone, but where the record
// asks for a failure: its instruction is then "WHERE FAILURE HOW …", such as
// "rate segv always 17".
type fake struct {
	script
	out io.Writer
}

// failures are what can become of a process. Each is as hard as the real thing.
var failures = []string{"segv", "abort", "exit", "hang", "kill", "garbage", "half", "checksum", "id", "giant"}

const actionAt = 16 // where a prompt's action stands, behind the record's key

var wheres = []string{"", "encode", "rate"}

var hows = []string{"once", "always", "breaking", "slow"}

func openFake(options json.RawMessage, out io.Writer) (*fake, error) {
	f := &fake{out: out}
	if err := json.Unmarshal(options, &f.script); err != nil {
		return nil, err
	}
	slog.SetDefault(Logger(os.Stderr, slog.LevelWarn))
	if f.Say != "" {
		slog.Warn(f.Say, "number", 7)
	}
	if f.Load != "" && (!f.LoadOnce || f.first("loaded")) {
		fmt.Fprintln(os.Stderr, "the last thing it says")
		f.fail(f.Load)
	}
	if f.MostLoads > 0 && f.Tokens > f.MostLoads {
		return nil, fmt.Errorf("a cache of %d: %w", f.Tokens, ErrMemory)
	}
	if f.Lost && f.worn() {
		return nil, errors.New("there is no device")
	}
	if f.Dir == "absent" {
		return nil, errors.New("absent.gguf: no such file")
	}
	return f, nil
}

func (f *fake) Manifest() journal.Manifest {
	m := journal.Manifest{
		Model:    journal.Model{Name: "fake.gguf", SHA256: "00ff", Format: "F16"},
		Rubrics:  []journal.Rubric{{Name: "test", SHA256: "11ee"}},
		Scale:    journal.Scale(fakeScale()),
		Template: journal.Template{Source: "plain", SHA256: "22dd"},
		Runtime:  journal.Runtime{Engine: "fake", Device: "CPU"},
		Settings: map[string]string{"ctx_size": "512"},
	}
	if f.Device != "" {
		m.Runtime.Device = f.Device
	}
	if f.Changes && !f.first("manifest") {
		m.Settings["ctx_size"] = "1024"
	}
	return m
}

func fakeScale() rating.Scale {
	return rating.Scale{Strings: []string{"0", "1", "2.5", "5"}, Values: []float64{0, 1, 2.5, 5}}
}

func (f *fake) Capacity() grader.Capacity {
	return grader.Capacity{Tokens: f.Tokens, Prompts: f.Prompts, Lanes: f.Lanes}
}

func (f *fake) Close() error { return nil }

// first reports whether nobody asked for this mark before.
func (f *fake) first(mark string) bool {
	file, err := os.OpenFile(filepath.Join(f.Dir, mark), os.O_CREATE|os.O_EXCL, 0o666)
	if err == nil {
		_ = file.Close() // it is empty
	}
	return err == nil
}

func (f *fake) Encode(rec *record.Record, p *grader.Prompt) error {
	p.Tokens = p.Tokens[:0]
	for _, b := range rec.Key {
		p.Tokens = append(p.Tokens, int32(b))
	}
	p.Size, p.Cut = 5+int(rec.Key[0])%60, int(rec.Key[1])%3
	p.Total = p.Size + 7
	if rec.Key[2]%31 == 0 {
		return &record.Fault{Status: record.TooLong, Reason: "the prompt does not fit"}
	}
	words := strings.Fields(rec.Instruction)
	if len(words) < 3 || !slices.Contains(wheres, words[0]) {
		return nil
	}
	where, failure, how := slices.Index(wheres, words[0]), slices.Index(failures, words[1]), slices.Index(hows, words[2])
	if words[0] == "encode" {
		f.act(rec.Key.String(), failure, how)
		return nil
	}
	p.Tokens = append(p.Tokens, int32(where), int32(failure), int32(how))
	return nil
}

// act does what a record asks for.
func (f *fake) act(mark string, failure, how int) {
	switch {
	case f.Harmless:
	case hows[how] == "slow":
		time.Sleep(300 * time.Millisecond)
	case hows[how] == "breaking":
		f.first("broken")
		f.fail(failures[failure])
	case hows[how] == "always" || f.first(mark):
		f.fail(failures[failure])
	}
}

func (f *fake) Rate(_ context.Context, batch []*grader.Prompt, out []grader.Outcome) (w grader.Work, err error) {
	size := 0
	for i, p := range batch {
		var k record.Key
		for n := range min(len(p.Tokens), len(k)) {
			k[n] = byte(p.Tokens[n])
		}
		size += p.Size
		if len(p.Tokens) > actionAt && wheres[p.Tokens[actionAt]] == "rate" {
			f.act(k.String(), int(p.Tokens[actionAt+1]), int(p.Tokens[actionAt+2]))
		}
		rate(k, &out[i])
	}
	_, noMark := os.Stat(filepath.Join(f.Dir, "broken"))
	time.Sleep(time.Duration(f.Delay) * time.Millisecond)
	if f.Dies > 0 && !f.Harmless {
		if f.worn() {
			f.fail("abort")
		}
		f.batch()
	}
	switch {
	case f.Broken || noMark == nil && !f.Harmless:
		f.fail("abort")
	case f.Spin:
		for range 2 * runtime.GOMAXPROCS(0) {
			go spin()
		}
		spin()
	case f.MostFits > 0 && f.Tokens > f.MostFits:
		return w, fmt.Errorf("no room for a batch: %w", ErrMemory)
	case len(batch) > f.Prompts || size > f.Tokens && len(batch) > 1:
		return w, fmt.Errorf("%d prompts of %d tokens are more than fit", len(batch), size)
	}
	return grader.Work{Layout: 1, Decode: 2, Rows: 3}, nil
}

// batch leaves a mark of a batch that was rated.
func (f *fake) batch() {
	for n := 0; !f.first(fmt.Sprint("batch", n)); n++ {
	}
}

// batches is the number of batches that all its processes have rated.
func (f *fake) batches() int {
	marks, _ := filepath.Glob(filepath.Join(f.Dir, "batch*")) // the pattern is sound
	return len(marks)
}

// worn reports whether it has rated what it can.
func (f *fake) worn() bool { return f.batches() >= f.Dies }

func spin() {
	for n := 0; ; {
		n++
	}
}

// rate makes the outcome of a key.
func rate(k record.Key, out *grader.Outcome) {
	if k[3]%13 == 0 {
		out.Fault = &record.Fault{Status: record.BadLogits, Reason: "a number is not finite"}
		return
	}
	p, sum := make([]float64, 4), float64(1+k[8])
	for i := range p {
		p[i] = float64(1 + k[4+i])
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	var r rating.Rating
	if err := r.Set(fakeScale(), p); err != nil {
		panic(err) // the probabilities are sound by construction
	}
	out.Ratings = append(out.Ratings[:0], r)
}

// fail does not return.
func (f *fake) fail(failure string) {
	fmt.Fprintf(os.Stderr, "about to fail: %s\n", failure)
	raw := begin(nil)
	raw = append(raw, "some bytes of a payload"...)
	seal(raw, rated, 1<<40)
	switch failure {
	case "segv":
		_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	case "abort":
		_ = syscall.Kill(os.Getpid(), syscall.SIGABRT)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	case "exit":
		os.Exit(0)
	case "garbage":
		raw = make([]byte, 3000)
		_, _ = rand.Read(raw)
		_, _ = f.out.Write(raw)
	case "half":
		_, _ = f.out.Write(raw[:len(raw)-5])
		os.Exit(3)
	case "checksum":
		raw[len(raw)-1] ^= 1
		_, _ = f.out.Write(raw)
	case "id":
		_, _ = f.out.Write(raw)
	case "giant":
		binary.LittleEndian.PutUint32(raw[16:], 1<<32-1)
		_, _ = f.out.Write(raw)
	}
	select {} // until it is killed
}
