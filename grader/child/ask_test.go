package child

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// answerMain is a process of Ask that does what it is asked to.
func answerMain() int {
	out := os.NewFile(AnswersFD, "answers")
	err := Answer(os.NewFile(RequestsFD, "requests"), out, func(question json.RawMessage) (any, error) {
		slog.SetDefault(Logger(os.Stderr, slog.LevelWarn))
		var ask string
		if err := json.Unmarshal(question, &ask); err != nil {
			return nil, err
		}
		switch {
		case ask == "error":
			return nil, errors.New("no answer to that")
		case ask == "unwritable":
			return func() {}, nil
		case ask != "":
			(&fake{out: out}).fail(ask)
		}
		slog.Warn("a thought")
		return []string{"one", "two"}, nil
	})
	if err != nil {
		return 1
	}
	return 0
}

func askCommand() *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), roleEnv+"=answer", "GOTRACEBACK=none")
	return c
}

func TestAsk(t *testing.T) {
	t.Parallel()
	var log logged
	var got []string
	cmd := askCommand()
	if err := Ask(t.Context(), cmd, marshalText(t, ""), 10*time.Second, log.logger(), &got); err != nil || strings.Join(got, " ") != "one two" {
		t.Errorf("answer %q, error %v", got, err)
	}
	if !strings.Contains(log.String(), "a thought") {
		t.Errorf("its messages are %q", log.String())
	}
	if !gone(cmd.Process.Pid) {
		t.Error("its process is still there")
	}
	for ask, want := range map[string]string{
		"error": "no answer to that", "abort": "SIGABRT", "segv": "SIGSEGV", "exit": "exit code 0", "garbage": "no frame", "hang": "no answer for 1s", "unwritable": "exit code 1", "id": "not made",
	} {
		most := 20 * time.Second
		if ask == "hang" {
			most = time.Second
		}
		if err := Ask(t.Context(), askCommand(), marshalText(t, ask), most, log.logger(), &got); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", ask, err, want)
		}
	}
	if err := Ask(t.Context(), exec.Command("/nowhere/winnow"), nil, time.Second, log.logger(), &got); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no program: error %v", err)
	}
	ctx, cancel := cancelable(t)
	time.AfterFunc(50*time.Millisecond, cancel)
	if err := Ask(ctx, askCommand(), marshalText(t, "hang"), 20*time.Second, log.logger(), &got); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: error %v", err)
	}
}

func marshalText(t *testing.T, s string) json.RawMessage {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
