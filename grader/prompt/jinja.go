package prompt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/config"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/loaders"
)

// A template comes with a model from anywhere. It can read no files, and these
// bounds, far above what chat templates need, keep it from using up the stack
// or the memory by mistake. It can still take long.
const (
	maxTemplateBytes = 128 << 10
	maxOutputBytes   = 1 << 20
	maxNesting       = 500 // of brackets
	maxMacroDepth    = 100
	maxRange         = 10_000
)

// strftime replaces a template's strftime_now. Some templates tell the model the
// date; with today's, the same model would be another judge every day. So it is
// always 26 July 2024, which Llama 3 templates fall back to themselves.
var strftime = strings.NewReplacer(
	"%Y", "2024", "%y", "24", "%m", "07", "%d", "26", "%e", "26", "%-d", "26", "%-m", "7", "%j", "208",
	"%b", "Jul", "%B", "July", "%a", "Fri", "%A", "Friday", "%H", "00", "%I", "12", "%M", "00", "%S", "00", "%p", "AM",
	"%F", "2024-07-26", "%T", "00:00:00", "%%", "%",
)

// Jinja returns a template of that text. It sees what Hugging Face's chat
// templates are written for: messages, add_generation_prompt, bos_token,
// eos_token, raise_exception and strftime_now (with a fixed date). Thinking is
// switched off and there are no tools.
func Jinja(text, bos, eos string) (Template, error) {
	if len(text) > maxTemplateBytes {
		return Template{}, fmt.Errorf("it has %d bytes, want %d at most", len(text), maxTemplateBytes)
	}
	if nesting(text) > maxNesting {
		return Template{}, fmt.Errorf("its brackets nest more than %d deep", maxNesting)
	}
	if _, err := parse(text, new(call)); err != nil {
		return Template{}, err
	}
	render := func(msgs []Message, addGenerationPrompt bool) (string, error) {
		list := make(items, len(msgs))
		for i, m := range msgs {
			list[i] = map[string]any{"role": m.Role, "content": m.Content}
		}
		c := new(call)
		t, err := parse(text, c)
		if err != nil {
			return "", err
		}
		return c.execute(t, map[string]any{
			"messages":              list,
			"add_generation_prompt": addGenerationPrompt,
			"bos_token":             bos,
			"eos_token":             eos,
			"enable_thinking":       false,
			"thinking":              false,
		})
	}
	return Template{SourceGGUF, render}, nil
}

// call is one rendering of a template.
type call struct {
	raised string // what the template said with raise_exception
	depth  int    // of macro calls
	out    bytes.Buffer
}

// Write takes what the template puts out.
func (c *call) Write(b []byte) (int, error) {
	if c.out.Len()+len(b) > maxOutputBytes {
		return 0, fmt.Errorf("the text grows beyond %d bytes", maxOutputBytes)
	}
	return c.out.Write(b)
}

func parse(text string, c *call) (t *exec.Template, err error) {
	defer contain(&err)
	const id = "/chat_template"
	loader, err := loaders.NewMemoryLoader(map[string]string{id: text})
	if err != nil {
		return nil, err
	}
	cfg := config.New() // as Hugging Face sets up Jinja
	cfg.TrimBlocks = true
	cfg.LeftStripBlocks = true
	t, err = exec.NewTemplate(id, cfg, loader, &exec.Environment{
		Filters:           builtins.Filters,
		Tests:             builtins.Tests,
		Methods:           methods(),
		ControlStructures: c.structures(),
		Context:           c.globals(),
	})
	if err != nil {
		if inner := errors.Unwrap(err); inner != nil { // the outer text repeats the template
			err = inner
		}
		return nil, fmt.Errorf("it cannot be parsed: %s", shorten(err))
	}
	return t, nil
}

func (c *call) execute(t *exec.Template, values map[string]any) (out string, err error) {
	defer contain(&err)
	err = t.Execute(c, exec.NewContext(values))
	if c.raised != "" {
		return "", fmt.Errorf("it says: %s", c.raised)
	}
	if err != nil {
		return "", fmt.Errorf("it fails: %s", shorten(err))
	}
	return c.out.String(), nil
}

// globals returns the functions that a template may call.
func (c *call) globals() *exec.Context {
	fns := map[string]any{
		"raise_exception": func(args *exec.VarArgs) (string, error) {
			c.raised = "no reason given"
			if len(args.Args) > 0 && args.Args[0].String() != "" {
				c.raised = args.Args[0].String()
			}
			return "", errors.New(c.raised)
		},
		"strftime_now": func(args *exec.VarArgs) (string, error) {
			if len(args.Args) != 1 {
				return "", errors.New("strftime_now takes one argument, the date's format")
			}
			return strftime.Replace(args.Args[0].String()), nil
		},
		"range": span,
	}
	for _, name := range []string{"namespace", "dict", "cycler", "joiner"} {
		if fn, ok := builtins.GlobalFunctions.Get(name); ok {
			fns[name] = fn
		}
	}
	return exec.NewContext(fns)
}

// span is Jinja's range, with a bound.
func span(args *exec.VarArgs) ([]int, error) {
	start, stop, step := 0, 0, 1
	for _, a := range args.Args {
		if !a.IsInteger() {
			return nil, errors.New("range wants integers")
		}
	}
	switch a := args.Args; len(a) {
	case 1:
		stop = a[0].Integer()
	case 3:
		step = a[2].Integer()
		fallthrough
	case 2:
		start, stop = a[0].Integer(), a[1].Integer()
	default:
		return nil, errors.New("range takes one to three integers")
	}
	if step == 0 {
		return nil, errors.New("range: the step is 0")
	}
	list := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(list) == maxRange {
			return nil, fmt.Errorf("range: more than %d numbers", maxRange)
		}
		list = append(list, i)
	}
	return list, nil
}

// nesting returns how deep brackets nest in a template, at most.
func nesting(text string) int {
	depth, deepest := 0, 0
	for i := range len(text) {
		switch text[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return deepest
}

// contain turns a panic of the template engine into an error.
func contain(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("the template engine fails on it: %s", shorten(fmt.Errorf("%v", p)))
	}
}

// shorten keeps the end of an error's text, where its cause stands: the template
// engine puts pieces of the template in front.
func shorten(err error) string {
	const limit = 200
	s := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	if r := []rune(s); len(r) > limit {
		return "…" + string(r[len(r)-limit:])
	}
	return s
}
