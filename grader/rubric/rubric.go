// Package rubric says what is asked of a grader: the text round a record, the
// criterion, and the scale of the answer. Rubrics are TOML files; the ones that
// the program ships are the starting point for a user's own.
package rubric

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"winnow/grader/rating"
)

// Default is the name of the shipped rubric that is used where none is named.
const Default = "alpagasus-accuracy"

// maxBytes is more than any rubric needs; it catches a path to the wrong file.
const maxBytes = 1 << 20

//go:embed shipped/*.toml
var shipped embed.FS

// Rubric is what is asked of the grader about every record.
type Rubric struct {
	Name        string
	Description string
	System      string // the system message; may be empty
	User        string // the user message, with placeholders; see Parts
	Cue         string // what the answer begins with before its rating; may be empty
	Scale       rating.Scale
	Examples    []Example // rated before the record, in this order; may be none

	source string
}

// Example is a record with the rating that the rubric wants for it. It is shown
// to the grader as a turn of the chat before the record, so it is part of what all
// records share. It is the rubric's own text, trusted as the rest of it.
type Example struct {
	Instruction string
	Input       string
	Response    string
	Other       string // of a rubric that compares two responses
	Rating      string // one of the scale's strings
}

// text returns the example's text for the place of a field.
func (e Example) text(f Field) string {
	switch f {
	case Instruction:
		return e.Instruction
	case Input:
		return e.Input
	case Response:
		return e.Response
	case Other:
		return e.Other
	}
	return ""
}

// Turn returns what the user says and what the grader answers where an example is
// shown: the user text with the example in its placeholders; the cue and the
// rating.
func (r Rubric) Turn(e Example) (user, answer string, err error) {
	parts, err := r.Parts()
	if err != nil {
		return "", "", err
	}
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
		b.WriteString(e.text(p.Field))
	}
	return b.String(), r.Cue + e.Rating, nil
}

// Shipped returns the rubrics of the program: the default one, then the others
// sorted by name.
func Shipped() []Rubric {
	files, err := fs.ReadDir(shipped, "shipped")
	if err != nil {
		panic("rubric: embedded files: " + err.Error())
	}
	all := make([]Rubric, 0, len(files))
	for _, f := range files {
		data, err := shipped.ReadFile("shipped/" + f.Name())
		if err != nil {
			panic("rubric: embedded files: " + err.Error())
		}
		r, err := Parse(f.Name(), data)
		if err != nil {
			panic("rubric: embedded files: " + err.Error())
		}
		all = append(all, r)
	}
	rest := func(r Rubric) int {
		if r.Name == Default {
			return 0
		}
		return 1
	}
	slices.SortFunc(all, func(a, b Rubric) int {
		return cmp.Or(cmp.Compare(rest(a), rest(b)), cmp.Compare(a.Name, b.Name))
	})
	return all
}

// Load returns the shipped rubric of that name or else reads the file at that
// path. Without a name it returns the default rubric.
func Load(nameOrPath string) (Rubric, error) {
	if nameOrPath == "" {
		nameOrPath = Default
	}
	var names []string
	for _, r := range Shipped() {
		if r.Name == nameOrPath {
			return r, nil
		}
		names = append(names, r.Name)
	}
	f, err := os.Open(nameOrPath)
	if errors.Is(err, fs.ErrNotExist) {
		return Rubric{}, fmt.Errorf("no rubric %q: want a shipped one (%s) or the path of a TOML file", nameOrPath, strings.Join(names, ", "))
	}
	if err != nil {
		return Rubric{}, fmt.Errorf("reading the rubric: %w", err)
	}
	defer func() { _ = f.Close() }() // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err != nil {
		return Rubric{}, fmt.Errorf("reading the rubric: %w", err)
	}
	if len(data) > maxBytes {
		return Rubric{}, fmt.Errorf("reading the rubric: %s has more than %d bytes: want a TOML file such as `winnow rubrics show %s` prints", nameOrPath, maxBytes, Default)
	}
	return Parse(nameOrPath, data)
}

// LoadAll loads each rubric of a list that is separated by commas.
func LoadAll(list string) ([]Rubric, error) {
	var all []Rubric
	for _, name := range strings.Split(list, ",") {
		if name = strings.TrimSpace(name); name == "" && list != "" {
			return nil, fmt.Errorf("rubrics %q: a name is missing between commas", list)
		}
		r, err := Load(name)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// Source returns the TOML text that the rubric was read from, comments and all.
func (r Rubric) Source() string { return r.source }

// SHA256 returns, in hexadecimal digits, a hash of all that decides a rating:
// the system text, the user text, the cue, the scale and, if there are any, the
// examples. Rubrics that differ in name, description or comments only have the
// same one.
func (r Rubric) SHA256() string {
	h := sha256.New()
	put := func(s string) { h.Write(fmt.Appendf(nil, "%d:%s,", len(s), s)) }
	for _, s := range []string{"rubric 1", r.System, r.User, r.Cue, strconv.Itoa(len(r.Scale.Strings))} {
		put(s)
	}
	for _, s := range r.Scale.Strings {
		put(s)
	}
	for _, v := range r.Scale.Values {
		put(strconv.FormatFloat(v, 'g', -1, 64))
	}
	if len(r.Examples) > 0 { // a rubric without keeps the hash that it had before there were any
		put("examples 1")
		put(strconv.Itoa(len(r.Examples)))
	}
	for _, e := range r.Examples {
		for _, s := range []string{e.Instruction, e.Input, e.Response, e.Other, e.Rating} {
			put(s)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// nameOf makes a rubric's name of a file's.
func nameOf(file string) string {
	base := path.Base(strings.ReplaceAll(file, `\`, "/"))
	return strings.TrimSuffix(base, ".toml")
}
