package prompt

import (
	"errors"
	"fmt"
	"strings"
)

// Sources of templates.
const (
	SourceGGUF  = "gguf"      // the Jinja text in the model's file
	SourceLlama = "llama.cpp" // what llama.cpp has built in for that text
	SourcePlain = "plain"     // no template: texts with empty lines between
)

// Template turns a chat into the text that a model was trained to continue.
type Template struct {
	Source string
	Render func(msgs []Message, addGenerationPrompt bool) (string, error)
}

// templates returns those to try for a model, best first, and why better ones
// are not among them.
func (m Model) templates() (list []Template, refused []string) {
	if m.Template == "" {
		// A model without a template is no chat model: llama.cpp's ChatML would
		// only show it marks that it does not know.
		return []Template{m.plain()}, []string{"the model has no chat template"}
	}
	if t, err := Jinja(m.Template, m.BOS, m.EOS); err != nil {
		refused = append(refused, fmt.Sprintf("template %q not used: %v", SourceGGUF, err))
	} else {
		list = append(list, t)
	}
	if m.Apply != nil {
		list = append(list, Template{SourceLlama, func(msgs []Message, addGenerationPrompt bool) (string, error) {
			if !addGenerationPrompt {
				return "", errors.New("llama.cpp's templates are rendered with a generation prompt only")
			}
			return m.Apply(m.Template, msgs)
		}})
	}
	return append(list, m.plain()), refused
}

func (m Model) plain() Template {
	if m.answers {
		return plain("### Response:\n")
	}
	return Plain()
}

// Plain returns the layout for models without a chat template: the contents of
// the messages with an empty line after each and, as the generation prompt, the
// line "### Rating:".
func Plain() Template { return plain("### Rating:\n") }

func plain(generationPrompt string) Template {
	return Template{SourcePlain, func(msgs []Message, addGenerationPrompt bool) (string, error) {
		var b strings.Builder
		for _, m := range msgs {
			b.WriteString(m.Content + "\n\n")
		}
		if addGenerationPrompt {
			b.WriteString(generationPrompt)
		}
		return b.String(), nil
	}}
}

// frame renders the rubric's texts, and says in how what it did to fit them in.
func (t Template) frame(system, user string, marks [Other + 1]string) (out string, how []string, err error) {
	if system == "" {
		out, err = t.try([]Message{{"user", user}}, marks)
		return finish(out, user, nil, err)
	}
	out, err = t.try([]Message{{"system", system}, {"user", user}}, marks)
	if err == nil {
		return finish(out, user, nil, nil)
	}
	merged := system + "\n\n" + user
	out, again := t.try([]Message{{"user", merged}}, marks)
	if again != nil {
		return "", nil, err // the first reason says more
	}
	return finish(out, merged, []string{fmt.Sprintf("system text in front of the user message (%v)", err)}, nil)
}

// try renders the messages and checks that the text still has all of them as
// they were, up to white space at their ends, and each mark once.
func (t Template) try(msgs []Message, marks [Other + 1]string) (string, error) {
	out, err := t.Render(msgs, true)
	if err != nil {
		return "", err
	}
	for _, m := range msgs {
		if !strings.Contains(out, strings.TrimSpace(m.Content)) {
			return "", fmt.Errorf("it drops or changes the %s message", m.Role)
		}
	}
	for f := Instruction; f <= Other; f++ {
		if strings.Count(out, marks[f]) > 1 {
			return "", errors.New("it repeats the user message")
		}
	}
	return out, nil
}

// finish closes the thought that some templates open for the answer: a rating
// is asked for at once.
func finish(out, user string, how []string, err error) (string, []string, error) {
	if err != nil {
		return "", nil, err
	}
	user = strings.TrimSpace(user)
	tail := out[strings.Index(out, user)+len(user):]
	if strings.LastIndex(tail, "<think>") > strings.LastIndex(tail, "</think>") {
		out += "\n</think>\n\n"
		how = append(how, "open <think> closed")
	}
	return out, how, nil
}
