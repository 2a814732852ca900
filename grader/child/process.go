package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"winnow/grader"
	"winnow/grader/record"
)

const (
	// exitGrace is how long a process that has closed its pipe may take to exit
	// by itself, so that its own end is told and not that it was killed.
	exitGrace = time.Second
	// drainGrace is how long what a dead process wrote may take to be read.
	drainGrace = time.Second
)

// process is one process with an engine, seen from the parent. Its methods may be
// called concurrently.
type process struct {
	facts engineFacts // once it is open

	cmd      *exec.Cmd
	requests *os.File
	answers  *os.File
	stderr   *os.File
	tail     *tail
	kills    int64 // what oomKills said at the start
	kept     bool  // whether it said anything

	writing sync.Mutex // of requests
	memory  sync.Pool  // of *[]byte

	mu      sync.Mutex
	waiting map[uint64]waiting
	id      uint64
	exited  bool
	killed  string // why we ended it
	memLow  bool   // because it told that memory ran out

	gone  chan struct{} // closed when the process is no more
	dead  chan struct{} // closed when death is set and all goroutines have ended
	death *death
}

// waiting is a request without an answer.
type waiting struct {
	kind   kind
	answer chan frame
}

// launch starts the command's process. It is open when open has returned.
func launch(cmd *exec.Cmd, to *relay) (*process, error) {
	p := &process{
		cmd: cmd, tail: &tail{relay: to, loading: true}, waiting: map[uint64]waiting{},
		memory: sync.Pool{New: func() any { return new([]byte) }},
		gone:   make(chan struct{}), dead: make(chan struct{}),
	}
	p.kills, p.kept = oomKills()
	var pipes [3][2]*os.File
	closeAll := func() {
		for _, pipe := range pipes {
			for _, f := range pipe {
				if f != nil {
					_ = f.Close() // nothing was written to it
				}
			}
		}
	}
	for i := range pipes {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll()
			return nil, fmt.Errorf("start the engine's process: %w", err)
		}
		pipes[i] = [2]*os.File{read, write}
	}
	theirs := []*os.File{pipes[0][0], pipes[1][1], pipes[2][1]}
	p.requests, p.answers, p.stderr = pipes[0][1], pipes[1][0], pipes[2][0]
	cmd.ExtraFiles = theirs[:2] // RequestsFD and AnswersFD
	cmd.Stdout, cmd.Stderr = theirs[2], theirs[2]
	cmd.SysProcAttr = attributes()

	started := make(chan error)
	go func() {
		// The process dies with the thread that starts it, so that thread waits.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		for _, f := range theirs {
			_ = f.Close() // the process has its own
		}
		started <- nil
		_ = cmd.Wait() // its ProcessState says how it ended
		p.end()
	}()
	if err := <-started; err != nil {
		closeAll()
		return nil, fmt.Errorf("start the engine's process: %w", err)
	}
	go p.watch()
	return p, nil
}

// end takes note of the process's end. It is called once, when it has been waited
// for.
func (p *process) end() {
	p.mu.Lock()
	p.exited = true
	p.mu.Unlock()
	close(p.gone)
	_ = p.requests.Close() // a writer gets an error
}

// watch reads what the process writes until it ends, and then says how it died.
func (p *process) watch() {
	var readers sync.WaitGroup
	readers.Go(p.read)
	readers.Go(func() { p.tail.read(p.stderr) })
	<-p.gone
	// What it wrote is still in the pipes. Who else holds them does not count.
	for _, f := range []*os.File{p.answers, p.stderr} {
		_ = f.SetReadDeadline(time.Now().Add(drainGrace)) // a pipe of ours has deadlines
	}
	readers.Wait()
	_, _ = p.answers.Close(), p.stderr.Close() // only read from
	p.death = p.autopsy()
	close(p.dead)
}

// autopsy says how the process died.
func (p *process) autopsy() *death {
	lines := p.tail.last()
	p.mu.Lock()
	defer p.mu.Unlock()
	cause, signal := describe(p.cmd.ProcessState, lines)
	d := &death{cause: cause, words: lastWords(lines)}
	switch {
	case p.memLow:
		d.cause, d.memory = p.killed, certain
	case p.killed != "":
		d.cause = p.killed
	default:
		d.memory = suspect(signal, lines, p.kills, p.kept)
		d.sent = signal == syscall.SIGKILL && d.memory == unlikely
	}
	return d
}

// read hands answers to who waits for them until the pipe ends or holds what is
// no answer.
func (p *process) read() {
	f := newFrames(p.answers, mostAnswer)
	for {
		buf, _ := p.memory.Get().(*[]byte)
		answer, err := f.next(*buf)
		if err != nil {
			if errors.Is(err, errGarbage) {
				p.kill("answered with "+err.Error(), false)
			} else {
				p.left("closed its pipe")
			}
			return
		}
		p.mu.Lock()
		w, ok := p.waiting[answer.id]
		delete(p.waiting, answer.id)
		p.mu.Unlock()
		if !ok || !answer.kind.answers(w.kind) {
			p.kill(fmt.Sprintf("answered a request that was not made (kind %d, id %d)", answer.kind, answer.id), false)
			return
		}
		w.answer <- answer
	}
}

// left gives a process that seems to end the time to do so, and then ends it.
func (p *process) left(why string) {
	select {
	case <-p.gone:
	case <-time.After(exitGrace):
		p.kill(why, false)
	}
}

// kill ends the process and all that it started, and keeps the first reason.
func (p *process) kill(why string, memLow bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.exited {
		return
	}
	if p.killed == "" {
		p.killed, p.memLow = why, memLow
	}
	if err := syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL); err != nil {
		_ = p.cmd.Process.Kill() // it has no group yet; if it is gone, all the better
	}
}

// ask sends a request, whose payload fill appends to what it is given, and hands
// the answer's payload to take, which must not keep it. The error is a *death if
// the process died, also because it gave no answer within the limit, and a
// *remoteError if the engine failed. When ctx is done, the answer is waited for a
// little longer; then the process is killed.
func (p *process) ask(ctx context.Context, k kind, fill func([]byte) []byte, l limit, take func(kind, []byte) error) error {
	w := waiting{k, make(chan frame, 1)}
	p.mu.Lock()
	p.id++
	id := p.id
	p.waiting[id] = w
	p.mu.Unlock()

	late := time.AfterFunc(l.answer, func() {
		p.kill(fmt.Sprintf("gave no answer for %v and was killed", l.answer.Round(100*time.Millisecond)), false)
	})
	defer late.Stop()
	p.send(k, id, fill)

	done := ctx.Done()
	var grace <-chan time.Time
	for {
		select {
		case answer := <-w.answer:
			return p.taken(answer, take)
		case <-p.dead:
			select {
			case answer := <-w.answer: // it came before the end
				return p.taken(answer, take)
			default:
				return p.death
			}
		case <-done:
			done = nil
			t := time.NewTimer(l.cancel)
			defer t.Stop()
			grace = t.C
		case <-grace:
			grace = nil
			p.kill(interrupted, false)
		}
	}
}

// send writes a request. It tells no errors: they come from reading.
func (p *process) send(k kind, id uint64, fill func([]byte) []byte) {
	buf, _ := p.memory.Get().(*[]byte)
	*buf = fill(begin(*buf))
	seal(*buf, k, id)
	p.writing.Lock()
	_, err := p.requests.Write(*buf)
	p.writing.Unlock()
	p.memory.Put(buf)
	if err != nil {
		p.left("takes no requests")
	}
}

// taken hands an answer to take.
func (p *process) taken(answer frame, take func(kind, []byte) error) error {
	defer func() { p.memory.Put(&answer.payload) }()
	var err error
	if answer.kind == failed {
		e := new(remoteError)
		if err = json.Unmarshal(answer.payload, e); err == nil {
			if e.Class == noMemory || e.Class == isFatal {
				return p.endBy(e)
			}
			return e
		}
	} else {
		err = take(answer.kind, answer.payload)
	}
	if err != nil {
		p.kill(fmt.Sprintf("answered with %v", err), false)
		<-p.dead
		return p.death
	}
	return nil
}

// endBy ends a process that told of an error behind which it cannot go on, and
// returns its death. It may have ended by itself already.
func (p *process) endBy(e *remoteError) *death {
	why, memLow := "was ended because of an error: "+e.Text, e.Class == noMemory
	p.kill(why, memLow)
	<-p.dead
	d := &death{cause: why, words: p.death.words}
	if memLow {
		d.memory = certain
	}
	return d
}

// limit is how long an answer may take.
type limit struct {
	answer time.Duration
	cancel time.Duration // after the context is done
}

// open lets the process load its model. An engine that cannot be opened gives a
// *remoteError.
func (p *process) open(ctx context.Context, options json.RawMessage, most time.Duration) error {
	return p.ask(ctx, askOpen, func(b []byte) []byte { return append(b, options...) }, limit{answer: most}, func(_ kind, payload []byte) error {
		return json.Unmarshal(payload, &p.facts)
	})
}

// rate rates a batch.
func (p *process) rate(ctx context.Context, batch []*grader.Prompt, out []grader.Outcome, l limit) (w grader.Work, err error) {
	err = p.ask(ctx, askRate, func(b []byte) []byte { return appendBatch(b, batch) }, l, func(_ kind, payload []byte) (err error) {
		w, err = parseOutcomes(payload, p.facts.Manifest.Scale.Strings, out)
		return err
	})
	return w, err
}

// encode makes the prompt of a record, or says what is wrong with it.
func (p *process) encode(ctx context.Context, rec *record.Record, to *grader.Prompt, l limit) (fault *record.Fault, err error) {
	err = p.ask(ctx, askEncode, func(b []byte) []byte { return appendRecord(b, rec) }, l, func(k kind, payload []byte) (err error) {
		if k == faulty {
			fault, err = parseFault(payload)
			return err
		}
		from := parser{b: payload}
		from.prompt(to)
		return from.err()
	})
	return fault, err
}

// close asks the process to end, and ends it after the limit. It returns the
// engine's error, if it says one.
func (p *process) close(most time.Duration) error {
	err := p.ask(context.Background(), askClose, func(b []byte) []byte { return b }, limit{answer: most}, func(kind, []byte) error { return nil })
	if errors.As(err, new(*death)) {
		return nil // it ended, if not as it was asked to
	}
	_ = p.requests.Close() // a process that goes on reading sees the end
	select {
	case <-p.gone:
	case <-time.After(most):
		p.kill("did not end", false)
	}
	<-p.dead
	return err
}

// alive reports whether the process can be asked.
func (p *process) alive() bool {
	select {
	case <-p.dead:
		return false
	default:
		return true
	}
}
