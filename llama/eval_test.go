package llama

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"winnow/internal/tinygguf"
)

// watched decodes the tokens of "some words of text" in a context with the hook and
// returns the context and the batch. Tokens have an output where output says so.
func watched(t *testing.T, m *Model, hook OutputFunc, output func(i int) bool) (*Context, *Batch, error) {
	t.Helper()
	o := small
	o.Output = hook
	c := openContext(t, m, o)
	b := makeBatch(t, 64, 1)
	for i, tok := range tokenize(t, m, "some words of text, and some more of them") {
		if err := b.Add(tok, i, []SeqID{0}, output(i)); err != nil {
			t.Fatal(err)
		}
	}
	return c, b, c.Decode(b)
}

// TestOutput compares what the hook sees with what the context gives afterwards.
func TestOutput(t *testing.T) {
	both(t, func(t *testing.T, kind tinygguf.Tokenizer) {
		m := loadTiny(t, tinygguf.Options{Tokenizer: kind})
		for name, output := range map[string]func(i int) bool{
			"all":    func(int) bool { return true },
			"some":   func(i int) bool { return i%3 == 1 },
			"second": func(i int) bool { return i == 1 },
			"none":   func(int) bool { return false },
		} {
			var seen [][]float32
			calls := 0
			c, b, err := watched(t, m, func(o OutputRows) error {
				calls++
				if _, cuda := o.CUDADevice(); !o.Host || cuda || o.Vocab != m.Vocab().Size() || o.Stride < o.Vocab || o.First != len(seen) || o.Device != "" {
					t.Errorf("%s: rows %+v, want the processor's, of %d logits, from %d on", name, o, m.Vocab().Size(), len(seen))
				}
				for i := range o.Rows {
					seen = append(seen, slices.Clone(o.Logits()[i*o.Stride:][:o.Vocab]))
				}
				return nil
			}, output)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			row := 0
			for i := range b.Len() {
				if !output(i) {
					continue
				}
				want, err := c.Logits(i)
				if err != nil {
					t.Fatal(err)
				}
				if row >= len(seen) || !slices.Equal(seen[row], want) {
					t.Fatalf("%s: the hook's row %d of %d is not the logits of token %d", name, row, len(seen), i)
				}
				row++
			}
			if row != len(seen) || (calls == 0) != (row == 0) {
				t.Errorf("%s: %d calls showed %d rows, want %d", name, calls, len(seen), row)
			}
			// A second batch begins anew, in a graph that is used again.
			seen = seen[:0]
			b.Reset()
			for i := range 2 {
				if err := b.Add(Token(i), 40+i, []SeqID{1}, true); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.Decode(b); err != nil || len(seen) != 2 {
				t.Errorf("%s: a second batch of 2: %v, the hook saw %d", name, err, len(seen))
			}
		}
	})
}

// TestOutputChangesNothing compares logits with and without the hook to the bit.
func TestOutputChangesNothing(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	all := func(int) bool { return true }
	with, b, err := watched(t, m, func(OutputRows) error { return nil }, all)
	if err != nil {
		t.Fatal(err)
	}
	without, _, err := watched(t, m, nil, all)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.Len() {
		x, err := with.Logits(i)
		if err != nil {
			t.Fatal(err)
		}
		y, err := without.Logits(i)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(x, y) {
			t.Errorf("row %d differs with the hook", i)
		}
	}
}

// TestOutputFails checks that the hook's error is Decode's and leaves the rows.
func TestOutputFails(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	want := errors.New("no room for rows")
	fail := true
	c, b, err := watched(t, m, func(OutputRows) error {
		if fail {
			return want
		}
		return nil
	}, func(int) bool { return true })
	if !errors.Is(err, want) {
		t.Fatalf("Decode: %v, want %v", err, want)
	}
	if _, err := c.Logits(b.Len() - 1); err != nil {
		t.Errorf("rows after a hook that failed: %v", err)
	}
	if last, err := c.LastPos(0); err != nil || last != b.Len()-1 {
		t.Errorf("the cache ends at %d, %v, want %d", last, err, b.Len()-1)
	}
	fail = false
	b.Reset()
	if err := errors.Join(b.Add(1, 40, []SeqID{1}, true), c.Decode(b)); err != nil {
		t.Errorf("the batch after it: %v", err)
	}
}

// TestOutputPanics checks that a panic passes C++ by.
func TestOutputPanics(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	defer func() {
		if got := recover(); got != "hook" {
			t.Errorf("recovered %v, want the hook's panic", got)
		}
	}()
	_, _, err := watched(t, m, func(OutputRows) error { panic("hook") }, func(int) bool { return true })
	t.Errorf("Decode returned: %v", err)
}

// TestUnseen has graphs without the tensors that the hooks wait for.
func TestUnseen(t *testing.T) {
	var none *tap
	none.begin(8, 4)
	none.close()
	if err := none.end([]bool{true}); err != nil {
		t.Errorf("without a hook: %v", err)
	}
	output := &tap{output: func(OutputRows) error { return nil }}
	output.begin(8, 4)
	if err := output.end([]bool{true, false}); err == nil {
		t.Error("no error, though a row was not seen")
	}
	if err := output.end([]bool{false}); err != nil {
		t.Errorf("without rows: %v", err)
	}
	states := &tap{states: &StatesHook{See: func(States) error { return nil }}}
	states.begin(8, 4)
	if err := states.end([]bool{false, false}); err == nil || !strings.Contains(err.Error(), "0 of 2 tokens") {
		t.Errorf("no states of two tokens: %v", err)
	}
}

func TestOutputRows(t *testing.T) {
	values := []float32{1, 2, 3, 0, 4, 5, 6}
	rows := OutputRows{Rows: 2, Vocab: 3, Stride: 4, Pointer: uintptr(unsafe.Pointer(&values[0])), Host: true}
	if got := rows.Logits(); !slices.Equal(got, values) {
		t.Errorf("logits %v, want %v", got, values)
	}
	rows.Host = false
	if got := rows.Logits(); got != nil {
		t.Errorf("logits %v of a device's memory, want none", got)
	}
	for device, want := range map[string]int{"CUDA0": 0, "CUDA11": 11, "CUDA": -1, "CUDA-1": -1, "CPU": -1, "": -1, "Vulkan0": -1} {
		rows.Device = device
		if n, ok := rows.CUDADevice(); ok != (want >= 0) || ok && n != want {
			t.Errorf("%s is CUDA device %d, %v; want %d", device, n, ok, want)
		}
	}
}
