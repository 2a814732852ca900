package htmlreport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"winnow/grader/data"
	"winnow/grader/journal"
	"winnow/grader/rating"
	"winnow/grader/record"
)

func halves() rating.Scale {
	var s rating.Scale
	for i := range 11 {
		v := float64(i) / 2
		s.Strings, s.Values = append(s.Strings, fmt.Sprint(v)), append(s.Values, v)
	}
	return s
}

func manifestOf(criteria ...string) journal.Manifest {
	m := journal.Manifest{
		Model: journal.Model{Name: "judge-1b-q8_0.gguf", SHA256: strings.Repeat("5e", 32), Format: "Q8_0"},
		Scale: journal.Scale(halves()), Template: journal.Template{Source: "gguf", SHA256: strings.Repeat("7a", 32)},
		Runtime:  journal.Runtime{Engine: "llama.cpp", Device: "CPU"},
		Settings: map[string]string{"ctx_size": "4096", "flash_attention": "true"},
	}
	for i, name := range criteria {
		m.Rubrics = append(m.Rubrics, journal.Rubric{Name: name, SHA256: strings.Repeat(fmt.Sprintf("%02x", i+1), 32)})
	}
	return m
}

// rated is a rating whose distribution is spread about a place of the scale.
func rated(t testing.TB, s rating.Scale, at, width, off float64) rating.Rating {
	t.Helper()
	p, sum := make([]float64, len(s.Values)), 0.0
	for i, v := range s.Values {
		p[i] = math.Exp(-(v - at) * (v - at) / (2 * width * width))
		sum += p[i]
	}
	for i := range p {
		p[i] *= (1 - off) / sum
	}
	var r rating.Rating
	if err := r.Set(s, p); err != nil {
		t.Fatal(err)
	}
	return r
}

// made is a scores file and its data.
type made struct{ scores, data string }

// example is a record that a test makes up.
type example struct{ Instruction, Input, Output, Source string }

func (x example) line() []byte {
	b, err := json.Marshal(map[string]string{"instruction": x.Instruction, "input": x.Input, "output": x.Output, "source": x.Source})
	if err != nil {
		panic(err)
	}
	return append(b, '\n')
}

// examples makes n records of several kinds.
func examples(n int) []example {
	random := rand.New(rand.NewPCG(7, 7))
	verbs := []string{"Describe", "Explain", "Write", "List", "Please summarize", "Classify", "Rewrite", "Could you suggest", "What is", "Generate", "Compare", "Translate", "Name", "Edit", "How would you fix", "Compute", "Convert", "Draft"}
	topics := []string{"a lighthouse in winter", "the water cycle", "three kinds of bread", "a polite refusal", "the rules of chess", "a short poem on rain", "two ways to sort a list", "the causes of tides"}
	words := strings.Fields("the light turns over a dark sea and each night someone writes down how many ships went by so that in the end we know what it was good for")
	sources := []string{"seed", "seed", "seed", "forum", "forum", "manual", "generated"}
	list := make([]example, n)
	for i := range list {
		var b strings.Builder
		for range 3 + int(math.Exp(random.Float64()*4.4)) {
			b.WriteString(words[random.IntN(len(words))] + " ")
		}
		list[i] = example{
			Instruction: fmt.Sprintf("%s %s, number %d.", verbs[int(random.Float64()*random.Float64()*float64(len(verbs)))], topics[random.IntN(len(topics))], i),
			Output:      strings.TrimSpace(b.String()) + ".", Source: sources[random.IntN(len(sources))],
		}
	}
	return list
}

// write grades examples by made-up numbers. Every 37th has no rating.
func write(t testing.TB, list []example, criteria ...string) made {
	t.Helper()
	dir := t.TempDir()
	m := made{filepath.Join(dir, "scores.jsonl"), filepath.Join(dir, "data.jsonl")}
	var text bytes.Buffer
	for _, x := range list {
		text.Write(x.line())
	}
	if len(list) == 0 {
		text.WriteString("[]")
	}
	if err := os.WriteFile(m.data, text.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	j, err := journal.Open(m.scores, manifestOf(criteria...))
	if err != nil {
		t.Fatal(err)
	}
	random, scale := rand.New(rand.NewPCG(3, 3)), halves()
	var entries []journal.Entry
	for i, x := range list {
		e := journal.Entry{Key: record.Made(i, x.Instruction, x.Input, x.Output).Key, Index: i, Status: record.OK, Tokens: 40 + len(x.Output)/4}
		if i%37 == 36 {
			e.Status, e.Reason = record.TooLong, "the prompt has 5000 tokens, the context 4096"
		} else {
			base := 2.2 + 0.45*math.Log10(float64(len(x.Output)))*1.6 + 0.5*random.NormFloat64()
			for range criteria {
				e.Ratings = append(e.Ratings, rated(t, scale, base+0.3*random.NormFloat64(), 0.3+0.4*random.Float64(), 0.02+0.1*random.Float64()))
			}
		}
		entries = append(entries, e)
	}
	if err := j.Append(entries); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m made) open() (record.Source, error) { return data.Open([]string{m.data}, data.Options{}) }

func (m made) collect(t testing.TB, o Options) *Report {
	t.Helper()
	manifest, index, err := journal.Read(m.scores)
	if err != nil {
		t.Fatal(err)
	}
	o.Name = "scores.jsonl"
	o.Manifest = [][2]string{{"model.name", manifest.Model.Name}, {"model.sha256", manifest.Model.SHA256}}
	r, err := Collect(manifest, index, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Report) page(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	if err := r.HTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
