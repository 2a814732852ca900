package llama

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"winnow/internal/tinygguf"
)

func TestMeta(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{Name: "n", Template: "{{ messages }}"})
	for key, want := range map[string]string{
		"general.name":           "n",
		"general.architecture":   "llama",
		"llama.embedding_length": "64",
		"tokenizer.ggml.model":   "gpt2",
	} {
		if got, ok, err := m.Meta(key); got != want || !ok || err != nil {
			t.Errorf("Meta(%s) = %q, %v, %v, want %q", key, got, ok, err, want)
		}
	}
	if got, ok, err := m.Meta("no.such.key"); got != "" || ok || err != nil {
		t.Errorf("a key that is not there: %q, %v, %v", got, ok, err)
	}
	if got, err := m.ChatTemplate(); got != "{{ messages }}" || err != nil {
		t.Errorf("ChatTemplate() = %q, %v", got, err)
	}
}

func TestNoTemplate(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{Template: tinygguf.NoTemplate})
	if got, err := m.ChatTemplate(); got != "" || err != nil {
		t.Errorf("ChatTemplate() = %q, %v, want none", got, err)
	}
}

func TestSHA256(t *testing.T) {
	m := loadTiny(t, tinygguf.Options{})
	b, err := os.ReadFile(m.Path())
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(b)
	for range 2 {
		if got, err := m.SHA256(); got != hex.EncodeToString(sum[:]) || err != nil {
			t.Errorf("SHA256() = %s, %v, want %x", got, err, sum)
		}
	}
}

func TestVocabOnly(t *testing.T) {
	m, err := LoadModel(writeTiny(t, tinygguf.Options{}), ModelOptions{VocabOnly: true, NoMmap: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, m)
	if toks := tokenize(t, m, "Hello"); len(toks) == 0 {
		t.Error("no tokens")
	}
}

func TestModelClose(t *testing.T) {
	m, err := LoadModel(writeTiny(t, tinygguf.Options{}), ModelOptions{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewContext(m, small)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); !errors.Is(err, ErrInUse) {
		t.Errorf("Close with an open context: %v, want %v", err, ErrInUse)
	}
	if _, err := m.Info(); err != nil {
		t.Errorf("a refused Close closed the model: %v", err)
	}
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Context.Close: %v", err)
		}
	}
	for range 2 {
		if err := m.Close(); err != nil {
			t.Errorf("Model.Close: %v", err)
		}
	}
	for name, call := range map[string]func() error{
		"Info":         func() error { _, err := m.Info(); return err },
		"Meta":         func() error { _, _, err := m.Meta("general.name"); return err },
		"ChatTemplate": func() error { _, err := m.ChatTemplate(); return err },
		"NewContext":   func() error { _, err := NewContext(m, small); return err },
		"Tokenize":     func() error { _, err := m.Vocab().Tokenize(nil, "a", false); return err },
		"Piece":        func() error { _, err := m.Vocab().Piece(nil, 0, false); return err },
	} {
		if err := call(); !errors.Is(err, ErrClosed) {
			t.Errorf("%s of a closed model: %v, want %v", name, err, ErrClosed)
		}
	}
}

func TestLoadErrors(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text.gguf")
	if err := os.WriteFile(text, []byte("This is a letter to a friend, not a model."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, path, want string
	}{
		{"missing", filepath.Join(dir, "none.gguf"), "none.gguf: no such file"},
		{"folder", dir, "is not a file"},
		{"text", text, "not in GGUF format"},
		{"architecture", writeTiny(t, tinygguf.Options{Arch: "nosuch"}), "unknown model architecture: 'nosuch'"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := LoadModel(c.path, ModelOptions{})
			if err == nil {
				closeAtEnd(t, m)
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), c.path) {
				t.Errorf("error %v, want one with %q and the path", err, c.want)
			}
		})
	}
	if _, err := LoadModel(filepath.Join(dir, "none.gguf"), ModelOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v, want %v", err, fs.ErrNotExist)
	}
	var e *Error
	if _, err := LoadModel(writeTiny(t, tinygguf.Options{Arch: "nosuch"}), ModelOptions{}); !errors.As(err, &e) || e.Op != "llama_model_load_from_file" {
		t.Errorf("an unknown architecture: %v, want an Error of llama_model_load_from_file", err)
	}
}

// TestParallel loads and uses models from several goroutines.
func TestParallel(t *testing.T) {
	path := writeTiny(t, tinygguf.Options{})
	shared := loadTiny(t, tinygguf.Options{})
	want := tokenize(t, shared, "The answer is 42.")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			m, err := LoadModel(path, ModelOptions{})
			if err != nil {
				t.Error(err)
				return
			}
			for range 50 {
				for _, v := range []*Vocab{m.Vocab(), shared.Vocab()} {
					if got, err := v.Tokenize(nil, "The answer is 42.", true); err != nil || len(got) != len(want) {
						t.Errorf("%v, %v, want %v", got, err, want)
					}
				}
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestLog checks how pieces of messages become lines, and which are kept for
// errors.
func TestLog(t *testing.T) {
	const debug, info, warn, fault, more = 1, 2, 3, 4, 5 // GGML_LOG_LEVEL_*
	var out strings.Builder
	old := slog.Default()
	defer slog.SetDefault(old)
	slog.SetDefault(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))

	var l engineLog
	l.write(info, "loading ")
	l.write(more, "a model\n")
	l.write(more, "....\n\n")
	l.write(warn, "odd\n")
	l.write(fault, "broken\n")
	got := l.capture(func() {
		l.write(fault, "no ")
		l.write(more, "such tensor\nno such ")
		l.write(more, "key\n")
		l.write(debug, "detail\n")
	})
	if want := "no such tensor; no such key"; got != want {
		t.Errorf("captured %q, want %q", got, want)
	}
	if got := l.capture(func() {}); got != "" {
		t.Errorf("a second capture still has %q", got)
	}
	for _, want := range []string{
		`level=DEBUG msg="loading a model"`, `level=INFO msg=odd`, `level=ERROR msg=broken`,
		`level=DEBUG msg="no such tensor"`, `level=DEBUG msg=detail`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "....") {
		t.Errorf("the log has progress dots:\n%s", &out)
	}
}
