package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"

	"winnow/grader"
	"winnow/grader/record"
)

// The files of the process that the frames go through.
const (
	RequestsFD = 3
	AnswersFD  = 4
)

// Logger returns the logger of the process: the parent passes on what it writes
// to w, which must be standard error.
func Logger(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// Serve is what the process does: it opens the engine by the options that Start
// was given, and answers requests until it is asked to close. Encoding goes on
// beside rating, of which at most Capacity.Lanes run at a time. When in ends, the
// parent is gone, and the process exits at once, whatever its threads do in C. It
// leaves no core file behind.
//
// An error of open or of the engine is told to the parent and is none of Serve's.
func Serve(in io.Reader, out io.Writer, open func(options json.RawMessage) (grader.Engine, error)) error {
	if err := forbidCoreFiles(); err != nil {
		slog.Debug("a crash may leave a core file", "error", err)
	}
	return serve(in, out, func(options json.RawMessage) (grader.Engine, error) {
		e, err := open(options)
		_, _ = fmt.Fprintln(os.Stderr, loaded) // if it fails, nobody reads it
		return e, err
	}, os.Exit)
}

// server is the state of one Serve.
type server struct {
	mu     sync.Mutex // of out
	out    io.Writer
	exit   func(code int)
	engine grader.Engine
	lanes  chan struct{}
	work   sync.WaitGroup
	memory sync.Pool // of *job
}

// job is the memory of one request.
type job struct {
	frame   frame
	in, out []byte
	prompts []grader.Prompt
	batch   []*grader.Prompt
	results []grader.Outcome
}

func serve(in io.Reader, out io.Writer, open func(json.RawMessage) (grader.Engine, error), exit func(int)) error {
	s := &server{out: out, exit: exit, memory: sync.Pool{New: func() any { return new(job) }}}
	requests := make(chan *job)
	go s.read(in, requests)

	first, ok := <-requests
	if !ok {
		return nil
	}
	if first.frame.kind != askOpen {
		return fmt.Errorf("the first request is of kind %d: start this process through the program itself", first.frame.kind)
	}
	engine, err := open(slices.Clone(first.frame.payload))
	if err != nil {
		s.fail(first, err)
		return nil
	}
	s.engine = engine
	capacity := engine.Capacity()
	s.lanes = make(chan struct{}, max(1, capacity.Lanes))
	facts, err := json.Marshal(engineFacts{engine.Manifest(), capacity})
	if err != nil {
		return errors.Join(fmt.Errorf("tell the parent of the engine: %w", err), engine.Close())
	}
	first.out = append(begin(first.out), facts...)
	s.answer(first, opened)

	for j := range requests {
		switch j.frame.kind {
		case askEncode:
			s.work.Go(func() { s.encode(j) })
		case askRate:
			s.work.Go(func() { s.rate(j) })
		case askClose:
			s.work.Wait()
			if err := engine.Close(); err != nil {
				s.fail(j, err)
				return nil
			}
			j.out = begin(j.out)
			s.answer(j, closed)
			return nil
		default:
			return fmt.Errorf("a request of kind %d is not known", j.frame.kind)
		}
	}
	return nil
}

// read hands on requests. It runs by itself, so that the end of in is seen while
// everything else is in C.
func (s *server) read(in io.Reader, requests chan<- *job) {
	defer close(requests) // where exit returns, in tests
	f := newFrames(in, mostRequest)
	for {
		j, _ := s.memory.Get().(*job)
		var err error
		if j.frame, err = f.next(j.in); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, os.ErrClosed) {
				s.exit(0)
			} else {
				slog.Error("a request cannot be read", "error", err)
				s.exit(1)
			}
			return
		}
		j.in = j.frame.payload
		requests <- j
	}
}

// answer sends the frame in j.out, to whose payload the answer was appended, and
// frees j.
func (s *server) answer(j *job, k kind) {
	seal(j.out, k, j.frame.id)
	s.mu.Lock()
	_, err := s.out.Write(j.out)
	s.mu.Unlock()
	if err != nil {
		s.exit(0) // nobody is left to tell
	}
	s.memory.Put(j)
}

func (s *server) fail(j *job, err error) {
	text, jsonErr := json.Marshal(remote(err))
	if jsonErr != nil {
		text = []byte(`{"error":"an error that cannot be written as JSON"}`)
	}
	j.out = append(begin(j.out), text...)
	s.answer(j, failed)
}

func (s *server) encode(j *job) {
	rec, err := parseRecord(j.frame.payload)
	if err != nil {
		s.fail(j, fmt.Errorf("read a record: %w", err))
		return
	}
	if len(j.prompts) == 0 {
		j.prompts = make([]grader.Prompt, 1)
	}
	p := &j.prompts[0]
	err = s.engine.Encode(rec, p)
	var fault *record.Fault
	switch {
	case err == nil:
		j.out = appendPrompt(begin(j.out), p)
		s.answer(j, encoded)
	case errors.As(err, &fault):
		j.out = appendFault(begin(j.out), fault)
		s.answer(j, faulty)
	default:
		s.fail(j, err)
	}
}

func (s *server) rate(j *job) {
	s.lanes <- struct{}{}
	defer func() { <-s.lanes }()
	var err error
	if j.prompts, err = parseBatch(j.frame.payload, j.prompts); err != nil {
		s.fail(j, fmt.Errorf("read a batch: %w", err))
		return
	}
	n := len(j.prompts)
	if have := cap(j.results); have < n {
		j.results = append(j.results[:have], make([]grader.Outcome, n-have)...)
	}
	j.results, j.batch = j.results[:n], j.batch[:0]
	for i := range j.prompts {
		j.results[i].Fault = nil
		j.batch = append(j.batch, &j.prompts[i])
	}
	w, err := s.engine.Rate(context.Background(), j.batch, j.results)
	if err != nil {
		s.fail(j, err)
		return
	}
	j.out = appendOutcomes(begin(j.out), w, j.results)
	s.answer(j, rated)
}
