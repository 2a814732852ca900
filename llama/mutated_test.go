package llama

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"winnow/internal/soak"
)

// loaderEnv makes the test's program load damaged models instead of running
// tests: it has the seed, the first number and the number behind the last.
const loaderEnv = "WINNOW_DAMAGED_MODELS"

// exercise loads a model and does with it what grading does.
func exercise(path string) (err error) {
	m, err := LoadModel(path, ModelOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	if _, err := m.Info(); err != nil {
		return err
	}
	if _, err := m.ChatTemplate(); err != nil {
		return err
	}
	v := m.Vocab()
	for t := range Token(v.Size()) {
		if _, err := v.Piece(nil, t, true); err != nil {
			return err
		}
		_, _, _ = v.Attr(t), v.IsEOG(t), v.Text(t)
	}
	var toks []Token
	for _, special := range []bool{false, true} {
		if toks, err = v.Tokenize(toks, "Rate it: 4.5\n<s> é <|im_end|>\x00", special); err != nil {
			return err
		}
	}
	for _, flash := range []bool{true, false} {
		c, err := NewContext(m, ContextOptions{Ctx: 256, Batch: 64, Threads: 1, FlashAttention: flash})
		if err != nil {
			return err
		}
		err = decodeAll(c, toks)
		if err = errors.Join(err, c.Close()); err != nil {
			return err
		}
	}
	return nil
}

// decodeAll decodes the tokens as one batch.
func decodeAll(c *Context, toks []Token) (err error) {
	b, err := NewBatch(64, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	for i, t := range toks[:min(len(toks), 64)] {
		if err := b.Add(t, i, []SeqID{0}, true); err != nil {
			return err
		}
	}
	if err := c.Decode(b); err != nil {
		return err
	}
	_, err = c.Logits(0)
	return err
}

// loadDamaged is the program that loads damaged models: it says when it begins
// with one and when it is through with it.
func loadDamaged(spec string) int {
	var seed, from, to uint64
	var family, path string
	if _, err := fmt.Sscanf(spec, "%s %d %d %d %s", &family, &seed, &from, &to, &path); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	const most = 6 << 30 // what is asked for beyond is refused, and not taken from the machine
	limit := syscall.Rlimit{Cur: most, Max: most}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	sound, err := soundModels()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	for n := from; n < to; n++ {
		b, _ := families[family](seed, n, sound)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		fmt.Println("begin", n)
		before := cpuTime()
		err := exercise(path)
		took := cpuTime() - before
		result := "used"
		if err != nil {
			result = "refused"
			if !strings.Contains(err.Error(), path) {
				result = "failed" // after it was loaded
			}
		}
		fmt.Println("end", n, result, took.Milliseconds())
	}
	return 0
}

// cpuTime is what the process has computed: other processes do not count.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// loader is a process that loads damaged models.
type loader struct {
	family         string
	seed, next, to uint64 // next is the first file that is not through
	path           string // of the file
	results        map[string]int
	slowest        time.Duration
	slowestFile    uint64
}

// run loads the rest of the files, up to the one that ends the process. Then it
// returns how that ended.
func (l *loader) run() error {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "GGML_NO_BACKTRACE=1", fmt.Sprintf("%s=%s %d %d %d %s", loaderEnv, l.family, l.seed, l.next, l.to, l.path))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	// A hang, in time that a busy machine may need too.
	hang := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		var n uint64
		var result string
		var ms int64
		if _, err := fmt.Sscanf(lines.Text(), "end %d %s %d", &n, &result, &ms); err != nil {
			continue
		}
		l.next = n + 1
		l.results[result]++
		if took := time.Duration(ms) * time.Millisecond; took > l.slowest {
			l.slowest, l.slowestFile = took, n
		}
		hang.Reset(20 * time.Second)
	}
	hang.Stop()
	if err := cmd.Wait(); err != nil {
		text := strings.TrimSpace(stderr.String())
		if len(text) > 600 {
			text = text[:300] + " … " + text[len(text)-300:]
		}
		return fmt.Errorf("%w: %s", err, text)
	}
	return nil
}

// all loads all files and reports those that end the process, and one that takes
// more than a second of computing.
func (l *loader) all(t *testing.T, sound []*rawGGUF) {
	const worst = 20 // deaths after which there is no point in going on
	l.path, l.results = filepath.Join(t.TempDir(), "damaged.gguf"), map[string]int{}
	deaths := 0
	for l.next < l.to && deaths < worst {
		if err := l.run(); err != nil {
			deaths++
			_, how := families[l.family](l.seed, l.next, sound)
			t.Errorf("file %d ended the process (%s): %v", l.next, how, err)
			l.next++
		}
	}
	t.Logf("soak: %d %s models: %d refused, %d loaded but not usable, %d used, %d ended the process; the slowest took %v",
		l.next, l.family, l.results["refused"], l.results["failed"], l.results["used"], deaths, l.slowest)
	if l.slowest > time.Second {
		_, how := families[l.family](l.seed, l.slowestFile, sound)
		t.Errorf("file %d (%s) took %v, want a second at most", l.slowestFile, how, l.slowest)
	}
	if got := uint64(l.results["refused"] + l.results["failed"] + l.results["used"] + deaths); got != l.to {
		t.Errorf("%d of %d files have a result", got, l.to)
	}
	if l.results["used"] == 0 || l.results["refused"] < int(l.to)/2 {
		t.Errorf("results %v: want most files refused and some used", l.results)
	}
}

// TestSoakMutatedModels loads thousands of models whose headers are damaged in
// ways that know the format, and uses those that load.
func TestSoakMutatedModels(t *testing.T) {
	t.Parallel()
	sound, err := soundModels()
	if err != nil {
		t.Fatal(err)
	}
	l := loader{family: "mutated", seed: soak.Seed(), to: uint64(soak.Count(500, 10000))}
	l.all(t, sound)
}

// TestSoakArchitectures gives sound models the name of every architecture, and
// keys that one or the other asks for.
func TestSoakArchitectures(t *testing.T) {
	t.Parallel()
	sound, err := soundModels()
	if err != nil {
		t.Fatal(err)
	}
	stride := soak.Count(7, 1)
	l := loader{family: "renamed", seed: uint64(stride), to: uint64(len(sound) * len(archs) / stride)}
	l.all(t, sound)
}

// TestSoundModels checks that what damaged models are made of can be used.
func TestSoundModels(t *testing.T) {
	sound, err := soundModels()
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	path := filepath.Join(t.TempDir(), "m.gguf")
	for _, g := range sound {
		b, _ := g.bytes()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Log(archOf(g))
		if err := exercise(path); err != nil {
			t.Errorf("%s: %v", archOf(g), err)
			continue
		}
		used++
	}
	if used == 0 {
		t.Error("no model can be used")
	}
}
