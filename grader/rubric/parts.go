package rubric

import (
	"fmt"
	"slices"
	"strings"
)

// Field says which text of a record stands somewhere.
type Field int

// The fields of a record. None marks text that is not a record's.
const (
	None Field = iota
	Instruction
	Input
	Response
	Other // of a pair, the response that Response is compared with
)

// String returns the field's name as placeholders have it, and "" for None.
func (f Field) String() string {
	switch f {
	case Instruction:
		return "instruction"
	case Input:
		return "input"
	case Response:
		return "response"
	case Other:
		return "other"
	}
	return ""
}

// Part is a piece of a rubric's user text: text of its own, or the place of one
// of a record's fields.
type Part struct {
	Text  string // empty where Field is not None
	Field Field
}

// Parts splits the user text at its placeholders, {instruction}, {input},
// {response} and {other}. Each may stand there once; {input} may be missing, and
// {other} makes the rubric pairwise. "{{" and "}}" are literal braces. No part is
// empty text.
func (r Rubric) Parts() ([]Part, error) {
	parts, line, err := split(r.User)
	if err != nil {
		return nil, fmt.Errorf("rubric %s: user text, line %d: %w", r.Name, line, err)
	}
	return parts, nil
}

// Pairwise reports whether the rubric compares two responses: whether its user text
// has a place for {other}.
func (r Rubric) Pairwise() bool {
	parts, err := r.Parts()
	return err == nil && slices.ContainsFunc(parts, func(p Part) bool { return p.Field == Other })
}

// split does the work of Parts. On an error, line is the line in text.
func split(text string) (parts []Part, line int, err error) {
	var (
		own  strings.Builder
		seen [Other + 1]bool
	)
	flush := func() {
		if own.Len() > 0 {
			parts = append(parts, Part{Text: own.String()})
			own.Reset()
		}
	}
	lineAt := func(rest string) int { return 1 + strings.Count(text[:len(text)-len(rest)], "\n") }
	for rest := text; rest != ""; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			own.WriteString(rest)
			break
		}
		own.WriteString(rest[:i])
		rest = rest[i:]
		if strings.HasPrefix(rest, "{{") || strings.HasPrefix(rest, "}}") {
			own.WriteByte(rest[0])
			rest = rest[2:]
			continue
		}
		end := strings.IndexAny(rest[1:], "{}\n") + 1
		if rest[0] == '}' || end == 0 || rest[end] != '}' {
			return nil, lineAt(rest), fmt.Errorf("found a single %q: write %q for a literal brace", rest[:1], strings.Repeat(rest[:1], 2))
		}
		field := None
		for f := Instruction; f <= Other; f++ {
			if rest[1:end] == f.String() {
				field = f
			}
		}
		switch {
		case field == None:
			return nil, lineAt(rest), fmt.Errorf("unknown placeholder %s: want {instruction}, {input}, {response} or {other}; write {{ and }} for literal braces", rest[:end+1])
		case seen[field]:
			return nil, lineAt(rest), fmt.Errorf("{%s} stands here a second time: want it once", field)
		}
		seen[field] = true
		flush()
		parts = append(parts, Part{Field: field})
		rest = rest[end+1:]
	}
	flush()
	for _, f := range []Field{Instruction, Response} {
		if !seen[f] {
			return nil, 1, fmt.Errorf("{%s} is missing: the grader would not see that text of a record", f)
		}
	}
	return parts, 0, nil
}
