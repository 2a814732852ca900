// Package prompt frames records in a rubric's text and a model's chat template.
//
// The template is rendered once, with marks in place of a record's texts, and
// cut at the marks. What results is a Frame: trusted text, and holes for the
// record. No template ever sees a record, and a record's text is never joined
// with trusted text, so nothing in a record can pass for a turn of the chat.
package prompt

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"winnow/grader/record"
	"winnow/grader/rubric"
)

// Field says whose text a segment is.
type Field = rubric.Field

// The fields of a record; None marks trusted text.
const (
	None        = rubric.None
	Instruction = rubric.Instruction
	Input       = rubric.Input
	Response    = rubric.Response
	Other       = rubric.Other
)

// Segment is a piece of a prompt that is tokenized on its own. Where Field is
// None, the text is the template's and the rubric's: its special tokens count as
// such. Elsewhere it is a record's and has no special tokens, whatever it says.
type Segment struct {
	Text  string
	Field Field
}

// Message is one turn of a chat.
type Message struct{ Role, Content string }

// Model is what a model says about how it wants to be addressed.
type Model struct {
	Template string // Jinja, as its file has it; may be empty
	BOS, EOS string // text of these tokens; may be empty

	// Apply renders one of the templates that llama.cpp knows by heart, with a
	// generation prompt, as llama_chat_apply_template does. It may be nil.
	Apply func(template string, msgs []Message) (string, error)

	answers bool // it is asked to answer, not to rate
}

// Frame is a rubric in a model's chat template, with holes for a record's
// texts. It does not change and may be used by many goroutines.
type Frame struct {
	prefix   string
	segments []Segment
	source   string
	note     string
	sha256   string
}

// NewFrame renders the rubric with the first of these that keeps its texts as
// they are: the model's own template, llama.cpp's built-in one for it, a plain
// layout. Where a template takes no system message, the system text is put in
// front of the first user message, with an empty line between. The rubric's examples
// are turns before the record's and part of the prefix.
func NewFrame(r rubric.Rubric, m Model) (*Frame, error) {
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	return newFrame(r, parts, m)
}

// newFrame makes a frame of these parts, whatever the rubric's user text is.
func newFrame(r rubric.Rubric, parts []rubric.Part, m Model) (*Frame, error) {
	users, answers, err := turns(r)
	if err != nil {
		return nil, err
	}
	marks, err := chooseMarks(slices.Concat(users, answers, []string{m.Template, m.BOS, m.EOS, r.System, r.User})...)
	if err != nil {
		return nil, fmt.Errorf("rubric %s: %w", r.Name, err)
	}
	var user strings.Builder
	for _, p := range parts {
		user.WriteString(p.Text)
		if p.Field != None {
			user.WriteString(marks[p.Field])
		}
	}

	users = append(users, user.String())

	var notes []string
	templates, refused := m.templates()
	notes = append(notes, refused...)
	for _, t := range templates {
		out, how, err := t.frame(r.System, users, marks)
		if err != nil {
			notes = append(notes, fmt.Sprintf("template %q not used: %v", t.Source, err))
			continue
		}
		for _, a := range answers {
			out = strings.Replace(out, marks[None], a, 1)
		}
		f := &Frame{source: t.Source}
		f.cut(out, marks)
		f.note = strings.Join(append(append([]string{fmt.Sprintf("template %q", t.Source)}, how...), notes...), "; ")
		f.sha256 = f.hash(r.Cue)
		slog.Debug("prompt frame", "rubric", r.Name, "template", t.Source, "note", f.note)
		if m.Template != "" && t.Source == SourcePlain {
			slog.Warn("the model's chat template cannot be used; ratings may suffer", "note", f.note)
		}
		return f, nil
	}
	return nil, fmt.Errorf("rubric %s: no template can hold it: %s", r.Name, strings.Join(notes, "; "))
}

// turns returns what the user says and what the grader answers in each of the
// rubric's examples.
func turns(r rubric.Rubric) (users, answers []string, err error) {
	for _, e := range r.Examples {
		user, answer, err := r.Turn(e)
		if err != nil {
			return nil, nil, err
		}
		users, answers = append(users, user), append(answers, answer)
	}
	return users, answers, nil
}

// Prefix returns the trusted text before the first of a record's texts. It is
// the same for all records. It may begin with the text of the BOS token.
func (f *Frame) Prefix() string { return f.prefix }

// Segments returns what follows the prefix, in order. The segments of a record's
// fields are holes: their text is empty. The last trusted text ends with the
// template's generation prompt; the rubric's cue is not part of it.
func (f *Frame) Segments() []Segment { return slices.Clone(f.segments) }

// Text returns the text of a record that fills the hole of a field.
func Text(rec *record.Record, f Field) string {
	switch f {
	case Instruction:
		return rec.Instruction
	case Input:
		return rec.Input
	case Response:
		return rec.Response
	case Other:
		return rec.Other
	}
	return ""
}

// Source says which template was used: SourceGGUF, SourceLlama or SourcePlain.
func (f *Frame) Source() string { return f.source }

// Note says, for people, which template was used, what was done to fit the
// rubric in, and why templates before it were not used.
func (f *Frame) Note() string { return f.note }

// SHA256 returns, in hexadecimal digits, a hash of the prefix, the segments with
// their holes, and the rubric's cue: of all the text that a record meets.
func (f *Frame) SHA256() string { return f.sha256 }

// cut splits a rendered template at the marks, each of which it holds once.
func (f *Frame) cut(out string, marks [Other + 1]string) {
	first := true
	for {
		next, field := len(out), None
		for m := Instruction; m <= Other; m++ {
			if i := strings.Index(out, marks[m]); i >= 0 && i < next {
				next, field = i, m
			}
		}
		if text := out[:next]; first {
			f.prefix, first = text, false
		} else if text != "" {
			f.segments = append(f.segments, Segment{Text: text})
		}
		if field == None {
			return
		}
		f.segments = append(f.segments, Segment{Field: field})
		out = out[next+len(marks[field]):]
	}
}

func (f *Frame) hash(cue string) string {
	h := sha256.New()
	put := func(s string) { h.Write(fmt.Appendf(nil, "%d:%s,", len(s), s)) }
	put("frame 1")
	put(f.prefix)
	for _, s := range f.segments {
		put(s.Field.String())
		put(s.Text)
	}
	put(cue)
	return hex.EncodeToString(h.Sum(nil))
}

// chooseMarks returns a mark for each field, and for None the one that stands for
// the answers of examples: private-use characters that stand in none of the texts.
func chooseMarks(texts ...string) ([Other + 1]string, error) {
	var marks [Other + 1]string
	f := None
	for c := rune(0xE000); c <= 0xF8FF; c++ {
		if slices.ContainsFunc(texts, func(s string) bool { return strings.ContainsRune(s, c) }) {
			continue
		}
		marks[f] = string(c)
		if f++; f > Other {
			return marks, nil
		}
	}
	return marks, errors.New("its text and the model's template use all private-use characters (U+E000 to U+F8FF): want at least five of them free")
}
