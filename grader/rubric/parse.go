package rubric

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"winnow/grader/rating"
)

// Parse reads a rubric from TOML. The name is that of its file: it stands in
// front of every error, and without its folder and ending it is the rubric's
// name.
func Parse(name string, data []byte) (Rubric, error) {
	// With line ends of one kind, a rubric means the same on every system.
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	f := file{name: name, text: text}
	var err error
	f.md, err = toml.Decode(text, &f.values)
	var syntax toml.ParseError
	if errors.As(err, &syntax) {
		return Rubric{}, f.errorf(syntax.Position.Line, "not valid TOML: %s", syntax.Message)
	}
	if err != nil {
		return Rubric{}, f.errorf(0, "not valid TOML: %w", err)
	}
	known := []string{"description", "system", "user", "cue", "scale", "scale.ratings", "scale.values", "examples"}
	for _, key := range f.md.Keys() {
		if len(key) > 1 && key[0] == "examples" {
			continue // checked with the examples
		}
		if !slices.Contains(known, key.String()) {
			return Rubric{}, f.errorf(f.line(key...), "unknown key %s: want %s", key, strings.Join(known, ", "))
		}
	}

	r := Rubric{Name: nameOf(name), source: string(data)}
	for key, dst := range map[string]*string{"description": &r.Description, "system": &r.System, "user": &r.User, "cue": &r.Cue} {
		if *dst, err = f.string(key); err != nil {
			return Rubric{}, err
		}
	}
	if err := f.check(r); err != nil {
		return Rubric{}, err
	}
	if r.Scale, err = f.scale(); err != nil {
		return Rubric{}, err
	}
	if r.Examples, err = f.examples(r); err != nil {
		return Rubric{}, err
	}
	return r, nil
}

// file is a TOML file that is being read.
type file struct {
	name   string
	text   string
	md     toml.MetaData
	values map[string]toml.Primitive
}

// errorf makes an error that begins with the file's name and the line, if known.
func (f *file) errorf(line int, format string, args ...any) error {
	if line > 0 {
		return fmt.Errorf("%s:%d: %w", f.name, line, fmt.Errorf(format, args...))
	}
	return fmt.Errorf("%s: %w", f.name, fmt.Errorf(format, args...))
}

// place is decoded into to learn where a value stands: the decoder reports the
// position of a value only in the errors of its unmarshaler.
type place struct{}

var errPlace = errors.New("place")

func (*place) UnmarshalTOML(any) error { return errPlace }

// position returns where the value of a key stands; its line is 0 if unknown.
func (f *file) position(key ...string) toml.Position {
	level := f.values
	for i, k := range key {
		v, ok := level[k]
		if !ok {
			return toml.Position{}
		}
		if i < len(key)-1 {
			level = nil
			if err := f.md.PrimitiveDecode(v, &level); err != nil {
				return toml.Position{}
			}
			continue
		}
		var e toml.ParseError
		if errors.As(f.md.PrimitiveDecode(v, new(place)), &e) {
			return e.Position
		}
	}
	return toml.Position{}
}

// line returns the line on which the value of a key begins, or 0 if unknown. It
// counts itself: the decoder gives the line on which a string ends.
func (f *file) line(key ...string) int {
	pos := f.position(key...)
	if pos.Line == 0 {
		return 0
	}
	return 1 + strings.Count(f.text[:min(pos.Start, len(f.text))], "\n")
}

// value returns what stands at a top-level key, nil if nothing does.
func (f *file) value(key string) (any, error) {
	v, ok := f.values[key]
	if !ok {
		return nil, nil
	}
	var x any
	if err := f.md.PrimitiveDecode(v, &x); err != nil {
		return nil, f.errorf(f.line(key), "%s: %w", key, err)
	}
	return x, nil
}

func (f *file) string(key string) (string, error) {
	x, err := f.value(key)
	if x == nil || err != nil {
		return "", err
	}
	s, ok := x.(string)
	if !ok {
		return "", f.errorf(f.line(key), "%s: want a string, found %v", key, x)
	}
	return s, nil
}

// check reports what is wrong with the rubric's texts.
func (f *file) check(r Rubric) error {
	if r.User == "" {
		return f.errorf(f.line("user"), `user: want the text of the user message, such as "Instruction:\n{instruction}\n\nResponse:\n{response}\n\nRate it."`)
	}
	if _, line, err := split(r.User); err != nil {
		return f.errorf(f.textLine("user", line), "user: %w", err)
	}
	for _, x := range []struct{ key, text string }{{"system", r.System}, {"cue", r.Cue}} {
		for p := Instruction; p <= Other; p++ {
			if strings.Contains(x.text, "{"+p.String()+"}") {
				return f.errorf(f.line(x.key), "%s: found {%s}: a record's text can only stand in user", x.key, p)
			}
		}
	}
	return nil
}

// textLine returns the file's line of a line of a string's value. Line ends that
// are written as escapes put it off.
func (f *file) textLine(key string, line int) int {
	start := f.position(key).Start // behind the opening quotes
	if strings.HasPrefix(f.text[min(start, len(f.text)):], "\n") {
		line++ // a line end right behind the quotes is not part of the value
	}
	return min(f.line(key)+line-1, 1+strings.Count(f.text, "\n"))
}

func (f *file) scale() (rating.Scale, error) {
	const want = `want scale = { ratings = ["0", "1"], values = [0, 1] }`
	var s rating.Scale
	x, err := f.value("scale")
	if err != nil {
		return s, err
	}
	at := f.line("scale")
	if at == 0 { // written as scale.ratings = …
		at = f.line("scale", "ratings")
	}
	table, ok := x.(map[string]any)
	if !ok {
		return s, f.errorf(at, "scale: %s", want)
	}
	ratings, ok := table["ratings"].([]any)
	if !ok {
		return s, f.errorf(at, "scale.ratings: want a list of strings: %s", want)
	}
	for i, x := range ratings {
		str, ok := x.(string)
		if !ok {
			return s, f.errorf(f.line("scale", "ratings"), "scale.ratings: rating %d is %v: want a string, in quotes", i+1, x)
		}
		s.Strings = append(s.Strings, str)
	}
	if x, given := table["values"]; given {
		values, ok := x.([]any)
		if !ok {
			return s, f.errorf(f.line("scale", "values"), "scale.values: want a list of numbers: %s", want)
		}
		for i, x := range values {
			switch v := x.(type) {
			case int64:
				s.Values = append(s.Values, float64(v))
			case float64:
				s.Values = append(s.Values, v)
			default:
				return s, f.errorf(f.line("scale", "values"), "scale.values: value %d is %v: want a number", i+1, x)
			}
		}
	} else {
		for _, str := range s.Strings {
			v, err := strconv.ParseFloat(str, 64)
			if err != nil {
				return s, f.errorf(f.line("scale", "ratings"), "scale.ratings: %q is not a number: add scale.values, a number for each rating", str)
			}
			s.Values = append(s.Values, v)
		}
	}
	if err := s.Validate(); err != nil {
		return s, f.errorf(at, "scale: %w", err)
	}
	return s, nil
}
