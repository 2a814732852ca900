package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// duelFiles writes prompts and the answers of two models to them, and returns the paths.
func duelFiles(t *testing.T, n int) (prompts, a, b string) {
	t.Helper()
	dir := t.TempDir()
	var lines [3]bytes.Buffer
	for i := range n {
		fmt.Fprintf(&lines[0], `{"question_id":%d,"text":"Count to %d."}`+"\n", i, i)
		fmt.Fprintf(&lines[1], `{"id":%d,"output":%q}`+"\n", i, strings.Repeat("one and ", 1+i%5))
		fmt.Fprintf(&lines[2], `{"id":%d,"output":%q}`+"\n", i, strings.Repeat("two or ", 1+i*7%4))
	}
	var paths []string
	for i, name := range []string{"counts.jsonl", "a.jsonl", "b.jsonl"} {
		paths = append(paths, filepath.Join(dir, name))
		if err := os.WriteFile(paths[i], lines[i].Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return paths[0], paths[1], paths[2]
}

// B against A, rated into another scores file, is the mirror of A against B to the last
// digit that is printed and stored.
func TestJudgeMirrored(t *testing.T) {
	t.Parallel()
	prompts, a, b := duelFiles(t, 24)
	dir := t.TempDir()
	judged := func(name, a, b string) (figures map[string]any, scores []byte) {
		path := filepath.Join(dir, name)
		code, stdout, stderr := winnow("judge", a, b, "--prompts", prompts, "-m", filepath.Join(modelsDir, "tiny.gguf"), "-t", "1", "-ub", "128",
			"--max-off-scale", "1", "--tie", "0.001", "--resamples", "100", "-o", path, "--json")
		if code != exitOK {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		if err := json.Unmarshal([]byte(stdout), &figures); err != nil {
			t.Fatal(err)
		}
		scores, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return figures["all"].(map[string]any), scores
	}
	ab, scoresAB := judged("ab.jsonl", a, b)
	ba, scoresBA := judged("ba.jsonl", b, a)
	if !bytes.Equal(scoresAB, scoresBA) {
		t.Error("the scores files differ")
	}
	if ab["wins"] == 0.0 && ab["losses"] == 0.0 {
		t.Errorf("nothing is decided: %v", ab)
	}
	at := func(set map[string]any, names ...string) any {
		for _, name := range names[:len(names)-1] {
			set = set[name].(map[string]any)
		}
		return set[names[len(names)-1]]
	}
	for _, names := range [][2][]string{
		{{"wins"}, {"losses"}}, {{"losses"}, {"wins"}}, {{"ties"}, {"ties"}}, {{"length_a"}, {"length_b"}}, {{"length_weight", "low"}, {"length_weight", "low"}},
		{{"places", "bias", "value"}, {"places", "bias", "value"}}, {{"places", "consistent", "high"}, {"places", "consistent", "high"}},
		{{"both_orders", "wins"}, {"both_orders", "losses"}},
	} {
		if x, y := at(ab, names[0]...), at(ba, names[1]...); x != y || x == nil {
			t.Errorf("%v is %v, and %v of the mirror %v", names[0], x, names[1], y)
		}
	}
	for _, figure := range []struct {
		names []string
		sum   float64
	}{{[]string{"score"}, 2}, {[]string{"win_rate"}, 1}, {[]string{"length_controlled"}, 1}, {[]string{"both_orders", "score"}, 2}} {
		x, y := at(ab, figure.names...).(map[string]any), at(ba, figure.names...).(map[string]any)
		for end, other := range map[string]string{"value": "value", "low": "high", "high": "low"} {
			if x[end].(float64)+y[other].(float64) != figure.sum {
				t.Errorf("%v: %v, mirrored %v: want sums of %g", figure.names, x, y, figure.sum)
			}
		}
	}
}

// A run that is killed leaves what it has rated, and the next one goes on to the bytes of
// an undisturbed run.
func TestJudgeKilled(t *testing.T) {
	t.Parallel()
	prompts, a, b := duelFiles(t, 60)
	dir := t.TempDir()
	command := func(scores string, stdout, stderr *bytes.Buffer) *exec.Cmd {
		c := exec.Command("winnow", "judge", a, b, "--prompts", prompts, "-m", filepath.Join(modelsDir, "tiny.gguf"), "-t", "1", "-ub", "64", "--max-off-scale", "1", "-o", scores, "--json")
		c.Stdout, c.Stderr = stdout, stderr
		return c
	}
	finish := func(scores string) (file []byte, report map[string]any) {
		var stdout, stderr bytes.Buffer
		if err := command(scores, &stdout, &stderr).Run(); err != nil {
			t.Fatalf("%v: %s", err, &stderr)
		}
		file, err := os.ReadFile(scores)
		if err == nil {
			err = json.Unmarshal(stdout.Bytes(), &report)
		}
		if err != nil {
			t.Fatal(err)
		}
		delete(report["judge"].(map[string]any), "scores")
		return file, report
	}
	want, report := finish(filepath.Join(dir, "whole.jsonl"))
	scores := filepath.Join(dir, "killed.jsonl")
	var stdout, stderr bytes.Buffer
	c := command(scores, &stdout, &stderr)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if info, err := os.Stat(scores); err == nil && info.Size() > int64(len(want)/4) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no entry after a minute: %s", &stderr)
		}
	}
	family := descendants(c.Process.Pid)
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // killed
	for _, pid := range family {
		waitGone(t, pid)
	}
	left, err := os.ReadFile(scores)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) >= len(want) || stdout.Len() > 0 {
		t.Fatalf("the run was over before it was killed: %d of %d bytes", len(left), len(want))
	}
	got, again := finish(scores)
	if !bytes.Equal(got, want) {
		t.Error("the scores file differs from that of an undisturbed run")
	}
	if fmt.Sprint(again) != fmt.Sprint(report) {
		t.Errorf("%v\nwant\n%v", again, report)
	}
}
