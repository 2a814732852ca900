package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"sync"
)

// Bounds of what is kept of a process's standard error.
const (
	tailLines = 20
	lineBytes = 4096 // longer lines come in parts
)

// loaded is the line, or the end of it, that a process writes to standard error when
// its engine is open.
const loaded = "\x1e"

// relay passes on what processes write, one after another: messages of Logger to
// log with their level, other lines as what they are. What a process says while
// it loads its model is passed on once, however many are started.
type relay struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]bool
}

// saidMost bounds the lines that are remembered.
const saidMost = 4096

func newRelay(log *slog.Logger) *relay { return &relay{log: log, said: map[string]bool{}} }

// traceBegins matches the line of Go's runtime that names the signal, or the first
// behind the message of a panic.
var traceBegins = regexp.MustCompile(`^(SIG[A-Z0-9]+: |\[signal SIG|goroutine \d|runtime stack:)`)

// tail reads one process's standard error and keeps the last lines that tell of
// errors.
type tail struct {
	relay *relay

	mu      sync.Mutex
	loading bool
	trace   bool // Go's runtime has begun to print stacks: nothing behind that is of interest
	lines   []string
}

// read reads until r ends.
func (t *tail) read(r io.Reader) {
	b := bufio.NewReaderSize(r, lineBytes)
	for {
		line, err := b.ReadSlice('\n')
		t.line(bytes.TrimRight(line, "\r\n"))
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

func (t *tail) line(line []byte) {
	line, done := bytes.CutSuffix(line, []byte(loaded))
	if done {
		defer func() {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.loading = false
		}()
	}
	if len(line) == 0 {
		return
	}
	m, ok := parseMessage(line)
	if !ok {
		m = message{level: slog.LevelInfo, text: string(line), attrs: []slog.Attr{slog.String("from", "engine process")}}
	}
	t.mu.Lock()
	loading := t.loading
	if t.trace && !ok {
		m.level = slog.LevelDebug
	} else if !ok || m.level >= slog.LevelError {
		if len(t.lines) == tailLines {
			t.lines = slices.Delete(t.lines, 0, 1)
		}
		t.lines = append(t.lines, m.text)
	}
	t.trace = t.trace || !ok && traceBegins.Match(line)
	t.mu.Unlock()
	if loading && t.relay.repeats(string(line)) {
		return
	}
	t.relay.log.LogAttrs(context.Background(), m.level, m.text, m.attrs...)
}

// last returns the lines that are kept.
func (t *tail) last() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.lines)
}

// repeats reports whether a line was passed on before, and remembers it.
func (r *relay) repeats(line string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.said[line] {
		return true
	}
	if len(r.said) < saidMost {
		r.said[line] = true
	}
	return false
}

// message is a line of Logger.
type message struct {
	level slog.Level
	text  string
	attrs []slog.Attr
}

// parseMessage reads a line of Logger. ok is false if it is none.
func parseMessage(line []byte) (m message, ok bool) {
	if !bytes.HasPrefix(line, []byte(`{"level":"`)) {
		return m, false
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	if _, err := dec.Token(); err != nil {
		return m, false
	}
	for dec.More() {
		name, err := dec.Token()
		key, isText := name.(string)
		var value json.RawMessage
		if err != nil || !isText || dec.Decode(&value) != nil {
			return m, false
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value) // a number, a boolean or what has parts
		}
		switch key {
		case slog.LevelKey:
			if m.level.UnmarshalText([]byte(text)) != nil {
				return m, false
			}
		case slog.MessageKey:
			m.text = text
		default:
			m.attrs = append(m.attrs, slog.String(key, text))
		}
	}
	_, err := dec.Token() // what the line ends with
	return m, err == nil
}
