// Package testset reads the prompts that models are compared by, and their answers, and
// joins them. Files are a JSON list of objects or one object a line, read as their
// authors publish them.
package testset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"winnow/grader/record"
)

// Prompt is what models are asked.
type Prompt struct {
	Set         string // the file's "set", or else its file's name without extension
	ID          string // its own, or else Index in decimal
	Index       int    // position in its file, from 0
	Instruction string
	Input       string // empty where the prompt has none

	where string // file:line
}

// Members by which prompts and answers are named, in the order in which they are tried.
var (
	idNames          = []string{"id", "question_id", "idx"}
	instructionNames = []string{"instruction", "Instruction", "prompt", "question", "text"}
	answerNames      = []string{"output", "response", "answer", "text"}
)

// ReadPrompts reads files of prompts, in order. The instruction is the member
// instruction (as in Self-Instruct and Alpaca), Instruction (WizardLM), prompt (Koala),
// question, or text (Vicuna), the first of them that is there; the input is input, or
// that of the one element of instances (Self-Instruct); the id is id, question_id or
// idx, a string or a number; set names the set. All other members are passed over.
// Within a set ids are different.
func ReadPrompts(paths ...string) ([]Prompt, error) {
	var list []Prompt
	seen := map[[2]string]string{}
	for _, path := range paths {
		n := 0
		err := objects(path, "prompts", func(o object) error {
			p, err := o.prompt(n)
			if err != nil {
				return err
			}
			n++
			at := [2]string{p.Set, p.ID}
			if other, ok := seen[at]; ok {
				return o.errorf("the set %q has the id %q already, at %s: want another id, or a \"set\"", p.Set, p.ID, other)
			}
			seen[at] = p.where
			list = append(list, p)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (o object) prompt(index int) (p Prompt, err error) {
	p = Prompt{Set: setOf(o.file), Index: index, where: o.where}
	if name, err := o.set(); err != nil {
		return p, err
	} else if name != "" {
		p.Set = name
	}
	if p.ID, err = o.id(); err != nil {
		return p, err
	}
	if p.ID == "" {
		p.ID = fmt.Sprint(index)
	}
	name := o.first(instructionNames)
	if name == "" {
		return p, o.errorf("this is no prompt: want one of %s", strings.Join(instructionNames, ", "))
	}
	if p.Instruction, err = o.text(name); err != nil {
		return p, err
	}
	if blank(p.Instruction) {
		return p, o.errorf("%q is empty, want the text of the prompt", name)
	}
	p.Input, _, err = o.input()
	return p, err
}

// setOf names the set of a file.
func setOf(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}

// object is one object of a file.
type object struct {
	file, where string
	value       map[string]json.RawMessage
}

// errorf begins an error with the object's place.
func (o object) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %s", o.where, fmt.Sprintf(format, args...))
}

// first returns the first of the names that is a member and not null; "" for none.
func (o object) first(names []string) string {
	for _, name := range names {
		if raw, ok := o.value[name]; ok && string(raw) != "null" {
			return name
		}
	}
	return ""
}

// text returns a member that must be a string.
func (o object) text(name string) (text string, err error) {
	raw := o.value[name]
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return "", o.errorf("%q is %s, want a string", name, describe(raw))
	}
	return text, nil
}

// set returns the member of this name; "" if there is none.
func (o object) set() (string, error) {
	if o.first([]string{"set"}) == "" {
		return "", nil
	}
	return o.text("set")
}

// id returns the object's id; "" if it has none. A number is the string of its digits.
func (o object) id() (string, error) {
	name := o.first(idNames)
	if name == "" {
		return "", nil
	}
	raw := o.value[name]
	if raw[0] == '"' {
		id, err := o.text(name)
		if err == nil && id == "" {
			err = o.errorf("%q is empty, want a name or a number", name)
		}
		return id, err
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		return string(raw), nil
	}
	return "", o.errorf("%q is %s, want a string or a number", name, describe(raw))
}

// input returns the input and whether the object says anything of one.
func (o object) input() (text string, known bool, err error) {
	if _, ok := o.value["input"]; ok {
		if o.first([]string{"input"}) == "" {
			return "", true, nil
		}
		text, err = o.text("input")
		return text, true, err
	}
	raw, ok := o.value["instances"]
	if !ok {
		return "", false, nil
	}
	var list []struct {
		Input *string `json:"input"`
	}
	if json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		return "", false, o.errorf(`"instances" is %s, want a list of one object with an "input": write a prompt for each instance`, describe(raw))
	}
	if list[0].Input != nil {
		text = *list[0].Input
	}
	return text, true, nil
}

// describe says what a member is, for people.
func describe(raw json.RawMessage) string {
	const most = 40 // bytes
	switch {
	case len(raw) == 0:
		return "missing"
	case len(raw) > most:
		return strings.ToValidUTF8(string(raw[:most]), "") + "…"
	}
	return string(raw)
}

// objects hands out the objects of a file. A file without any is an error.
func objects(path, what string, visit func(object) error) (err error) {
	r, err := record.Open(path, record.Options{})
	if err != nil {
		return fmt.Errorf("reading %s: %w", what, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for n := 0; ; {
		rec, err := r.Next()
		switch {
		case errors.Is(err, io.EOF) && n == 0:
			return fmt.Errorf("reading %s: %s holds nothing", what, path)
		case errors.Is(err, io.EOF):
			return nil
		case err == nil && rec.Turn > 0:
			continue // the object of a conversation comes once a turn
		case err == nil:
			n++
			err = visitRaw(rec, visit)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", what, err)
		}
	}
}

func visitRaw(rec *record.Record, visit func(object) error) error {
	o := object{file: rec.File, where: rec.Where()}
	if f := rec.Fault; f != nil && slices.Contains([]record.Status{record.BadJSON, record.InvalidUTF8}, f.Status) {
		return o.errorf("%s", f.Reason)
	}
	if err := json.Unmarshal(rec.Raw, &o.value); err != nil || o.value == nil {
		return o.errorf("found %s, want an object", describe(rec.Raw))
	}
	return visit(o)
}

func blank(s string) bool { return strings.TrimSpace(s) == "" }
