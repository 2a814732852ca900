package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMeasure(t *testing.T) {
	var b strings.Builder
	for i := range 60 {
		line, err := json.Marshal(map[string]string{"instruction": fmt.Sprintf("Say thing %d of kind %d.", i%40, i%5), "output": fmt.Sprintf("It is w%d w%d w%d.", i%40, 2*(i%40), 3*(i%40))})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(append(line, '\n'))
	}
	path := filepath.Join(t.TempDir(), "data.jsonl")
	if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := load(path, "", 1)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := s.measure(&out, 20, 0.9, 1); err != nil {
		t.Fatal(err)
	}
	ways := map[string]result{}
	for dec := json.NewDecoder(&out); dec.More(); {
		var r result
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		if r.Candidates != 60 || r.Picks != 20 || !(r.Rating > 0 && r.Rating < 5) || !r.MadeUp {
			t.Errorf("%+v", r)
		}
		ways[r.Way] = r
	}
	if len(ways) != 5 || ways["deita"].Alike != 0 || !(ways["k-center"].Distance > ways["top-rating"].Distance) ||
		ways["k-center"].Distance != ways["k-center-quota"].Distance || !(ways["top-rating"].Rating > ways["random"].Rating) {
		t.Errorf("%+v", ways)
	}
	if _, err := load(path, filepath.Join(t.TempDir(), "none.jsonl"), 1); err == nil {
		t.Error("scores that are not there are no error")
	}
}
