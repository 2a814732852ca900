package prompt

import (
	"errors"
	"fmt"
	"slices"
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
// the messages with an empty line after each and, before what the assistant says
// or is to say, the line "### Rating:".
func Plain() Template { return plain("### Rating:\n") }

func plain(heading string) Template {
	return Template{SourcePlain, func(msgs []Message, addGenerationPrompt bool) (string, error) {
		var b strings.Builder
		for _, m := range msgs {
			if m.Role == "assistant" {
				b.WriteString(heading)
			}
			b.WriteString(m.Content + "\n\n")
		}
		if addGenerationPrompt {
			b.WriteString(heading)
		}
		return b.String(), nil
	}}
}

// frame renders the rubric's texts, and says in how what it did to fit them in.
// The last of users has the record's places, those before it are of examples.
func (t Template) frame(system string, users []string, marks [Other + 1]string) (out string, how []string, err error) {
	last := users[len(users)-1]
	if system == "" {
		out, err = t.try("", users, marks)
		return finish(out, last, nil, err)
	}
	out, err = t.try(system, users, marks)
	if err == nil {
		return finish(out, last, nil, nil)
	}
	merged := slices.Clone(users)
	merged[0] = system + "\n\n" + merged[0]
	out, again := t.try("", merged, marks)
	if again != nil {
		return "", nil, err // the first reason says more
	}
	return finish(out, merged[len(merged)-1], []string{fmt.Sprintf("system text in front of the user message (%v)", err)}, nil)
}

// try renders the chat and checks that the text still has all messages as they
// were, up to white space at their ends, those of user and assistant in their
// order, and each mark once. Answers of examples are a mark: no template changes
// it, and it cannot be mistaken for anything else.
func (t Template) try(system string, users []string, marks [Other + 1]string) (string, error) {
	var msgs []Message
	if system != "" {
		msgs = append(msgs, Message{"system", system})
	}
	for i, u := range users {
		msgs = append(msgs, Message{"user", u})
		if i < len(users)-1 {
			msgs = append(msgs, Message{"assistant", marks[None]})
		}
	}
	out, err := t.Render(msgs, true)
	if err != nil {
		return "", err
	}
	rest := out
	for i, m := range msgs {
		text := strings.TrimSpace(m.Content)
		if !strings.Contains(out, text) {
			return "", fmt.Errorf("it drops or changes %s", called(m.Role, i, len(msgs)))
		}
		if m.Role == "system" { // some templates put it in front of the last user message
			continue
		}
		_, behind, ok := strings.Cut(rest, text)
		if !ok {
			return "", fmt.Errorf("it drops or moves %s", called(m.Role, i, len(msgs)))
		}
		rest = behind
	}
	if strings.Count(out, marks[None]) >= len(users) {
		return "", errors.New("it repeats an example")
	}
	for f := Instruction; f <= Other; f++ {
		if strings.Count(out, marks[f]) > 1 {
			return "", errors.New("it repeats the user message")
		}
	}
	return out, nil
}

// called says which of n messages is meant; all but the system's and the last are
// of examples.
func called(role string, i, n int) string {
	if role == "system" || i == n-1 {
		return "the " + role + " message"
	}
	return "an example's " + role + " message"
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
