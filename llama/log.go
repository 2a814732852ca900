package llama

// #include "shim.h"
import "C"

import (
	"context"
	"log/slog"
	"strings"
	"sync"
)

// engineLog joins the pieces of llama's and ggml's messages into lines for slog
// and remembers the last errors, which the C API reports nowhere else.
type engineLog struct {
	mu     sync.Mutex
	level  slog.Level
	line   strings.Builder
	errors []string // error lines since the last takeErrors
	quiet  int      // > 0: somebody will take the errors, do not log them
}

var logged engineLog

//export goLog
func goLog(level C.int, text *C.char) {
	logged.write(int(level), C.GoString(text))
}

func (l *engineLog) write(level int, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Upstream's "info" is a page for each model and its "warn" is mostly about
	// harmless model files, so both go one level down.
	switch level {
	case C.GGML_LOG_LEVEL_CONT, C.GGML_LOG_LEVEL_NONE:
	case C.GGML_LOG_LEVEL_ERROR:
		l.level = slog.LevelError
	case C.GGML_LOG_LEVEL_WARN:
		l.level = slog.LevelInfo
	default:
		l.level = slog.LevelDebug
	}
	for {
		i := strings.IndexByte(text, '\n')
		if i < 0 {
			l.line.WriteString(text)
			return
		}
		l.line.WriteString(text[:i])
		text = text[i+1:]
		line := strings.TrimSpace(l.line.String())
		l.line.Reset()
		if line == "" || strings.Trim(line, ".") == "" { // load progress is dots
			continue
		}
		level := l.level
		if level == slog.LevelError && l.quiet > 0 {
			level = slog.LevelDebug
			if len(l.errors) < 8 {
				l.errors = append(l.errors, line)
			}
		}
		slog.Log(context.Background(), level, line, "from", "llama.cpp")
	}
}

// capture collects error lines while call runs and returns them joined.
// Concurrent captures share their lines.
func (l *engineLog) capture(call func()) string {
	l.mu.Lock()
	if l.quiet == 0 {
		l.errors = l.errors[:0]
	}
	l.quiet++
	l.mu.Unlock()
	call()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.quiet--
	return strings.Join(l.errors, "; ")
}
