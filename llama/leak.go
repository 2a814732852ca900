package llama

import (
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
)

// onLeak is what happens when a handle was dropped without Close. Memory that C
// owns is never freed here: the collector runs on a thread of its own.
var onLeak atomic.Pointer[func(what string)]

func reportLeak(what string) {
	if f := onLeak.Load(); f != nil {
		(*f)(what)
		return
	}
	slog.Warn("a handle of the engine was never closed", "handle", what)
}

// watchLeak reports handle if it is collected before the returned cleanup is
// stopped.
func watchLeak[T any](handle *T, kind string) runtime.Cleanup {
	where := "unknown place"
	if _, file, line, ok := runtime.Caller(2); ok {
		where = fmt.Sprintf("%s:%d", file, line)
	}
	return runtime.AddCleanup(handle, reportLeak, kind+" opened at "+where)
}
