package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"winnow/grader"
)

// quietInterval is how often progress is told where nobody watches a terminal.
const quietInterval = 30 * time.Second

// progress tells how far a run is: one line that is rewritten on a terminal,
// one line each half minute elsewhere.
type progress struct {
	w        io.Writer
	terminal bool
	what     string // is counted
	total    int
	last     time.Time
	shown    bool
}

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, what: "records"}
	if f, ok := w.(*os.File); ok && os.Getenv("TERM") != "dumb" {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// start returns the function to call on progress.
func (p *progress) start(total int) func(grader.Progress) {
	p.total, p.last = total, time.Now()
	return p.update
}

func (p *progress) update(g grader.Progress) {
	interval := quietInterval
	if p.terminal {
		interval = 100 * time.Millisecond
	}
	if now := time.Now(); now.Sub(p.last) >= interval {
		p.last = now
		p.show(g)
	}
}

func (p *progress) show(g grader.Progress) {
	line := fmt.Sprintf("%d of %d %s", g.Done, p.total, p.what)
	if s := g.Took.Seconds(); g.Rated > 0 && s > 0 {
		rate := float64(g.Rated) / s
		left := float64(max(0, p.total-g.Done)) / rate
		line += fmt.Sprintf(", %.1f %s/s, %.0f tokens/s, %s left", rate, p.what, float64(g.Tokens)/s, time.Duration(left*float64(time.Second)).Round(time.Second))
	}
	if p.terminal {
		say(p.w, "\r%s\x1b[K", line)
	} else {
		say(p.w, "%s\n", line)
	}
	p.shown = true
}

// stop leaves the terminal's line.
func (p *progress) stop() {
	if p.terminal && p.shown {
		say(p.w, "\r\x1b[K")
	}
}
