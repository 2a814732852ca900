package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"time"
)

// Ask starts a process that calls Answer with its files RequestsFD and AnswersFD,
// and puts its answer to the question, in JSON, into answer. The process ends
// behind it. One that dies or does not answer within the limit is an error.
//
// Some questions are better not asked in the program itself: what answers them may
// crash or hang, and may keep memory of a device until its process ends.
func Ask(ctx context.Context, cmd *exec.Cmd, question json.RawMessage, most time.Duration, log *slog.Logger, answer any) error {
	if log == nil {
		log = slog.Default()
	}
	p, err := launch(cmd, newRelay(log))
	if err != nil {
		return err
	}
	err = p.ask(ctx, askOpen, func(b []byte) []byte { return append(b, question...) }, limit{answer: most}, func(_ kind, payload []byte) error {
		return json.Unmarshal(payload, answer)
	})
	_ = p.requests.Close() // the end of the pipe ends the process
	if err != nil {
		p.kill("was ended: it has no answer", false)
	}
	p.left("did not end")
	<-p.dead
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Answer is what the process of Ask does: it answers one question.
func Answer(in io.Reader, out io.Writer, reply func(question json.RawMessage) (any, error)) error {
	f, err := newFrames(in, mostRequest).next(nil)
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, os.ErrClosed):
		return nil // nobody asks any more
	case err != nil:
		return fmt.Errorf("read a question: %w", err)
	case f.kind != askOpen:
		return fmt.Errorf("the question is of kind %d: start this process through the program itself", f.kind)
	}
	k := opened
	value, err := reply(f.payload)
	if err != nil {
		k, value = failed, remote(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write an answer: %w", err)
	}
	b := append(begin(nil), text...)
	seal(b, k, f.id)
	_, err = out.Write(b)
	return err
}
