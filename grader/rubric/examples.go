package rubric

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// exampleKeys are the keys of an example.
var exampleKeys = []string{"instruction", "input", "response", "other", "rating"}

// examples reads the [[examples]] of a rubric whose texts and scale are checked.
func (f *file) examples(r Rubric) ([]Example, error) {
	x, err := f.value("examples")
	if x == nil || err != nil {
		return nil, err
	}
	tables, ok := x.([]map[string]any)
	if !ok {
		return nil, f.errorf(f.line("examples"), "examples: want each under a line [[examples]], with instruction, response and rating")
	}
	parts, err := r.Parts()
	if err != nil {
		return nil, err
	}
	has := func(f Field) bool { return slices.ContainsFunc(parts, func(p Part) bool { return p.Field == f }) }
	needed := []string{"instruction", "response", "rating"}
	if has(Other) {
		needed = []string{"instruction", "response", "other", "rating"}
	}
	var list []Example
	for i, table := range tables {
		fail := func(key, format string, args ...any) error {
			return f.errorf(f.exampleLine(i, len(tables), key), "example %d: %w", i+1, fmt.Errorf(format, args...))
		}
		var e Example
		texts := map[string]*string{"instruction": &e.Instruction, "input": &e.Input, "response": &e.Response, "other": &e.Other, "rating": &e.Rating}
		for _, key := range slices.Sorted(maps.Keys(table)) {
			dst, ok := texts[key]
			if !ok {
				return nil, fail(key, "unknown key %s: want %s", key, strings.Join(exampleKeys, ", "))
			}
			if *dst, ok = table[key].(string); !ok {
				return nil, fail(key, "%s: want a string, in quotes, found %v", key, table[key])
			}
		}
		for _, key := range needed {
			if _, given := table[key]; !given {
				return nil, fail("", "%s is missing: want %s, and input if the example has one", key, strings.Join(needed, ", "))
			}
		}
		switch {
		case strings.TrimSpace(e.Instruction) == "":
			return nil, fail("instruction", "instruction: it is empty")
		case e.Input != "" && !has(Input):
			return nil, fail("input", "input: the rubric's user text has no {input} to show it in")
		case e.Other != "" && !has(Other):
			return nil, fail("other", "other: the rubric's user text has no {other} to show it in")
		case !slices.Contains(r.Scale.Strings, e.Rating):
			return nil, fail("rating", "rating: %q is not on the scale: want one of %s", e.Rating, strings.Join(r.Scale.Strings, ", "))
		}
		list = append(list, e)
	}
	return list, nil
}

// exampleHeader is the line that an example begins with.
var exampleHeader = regexp.MustCompile(`(?m)^[ \t]*\[\[[ \t]*examples[ \t]*\]\]`)

// exampleLine returns the line of a key's value in the i-th of n examples, the line
// of the example's header if it has no such key, or that of all of them if they
// are not written with headers. The decoder knows positions of the last example
// only, so it is asked about the file up to the next one.
func (f *file) exampleLine(i, n int, key string) int {
	var starts []int
	for _, at := range exampleHeader.FindAllStringIndex(f.text, -1) {
		// What looks like a header inside a text leaves an open string before it.
		if _, err := toml.Decode(f.text[:at[0]], new(map[string]any)); err == nil {
			starts = append(starts, at[0])
		}
	}
	if len(starts) != n {
		return f.line("examples")
	}
	end := len(f.text)
	if i+1 < n {
		end = starts[i+1]
	}
	upTo := file{text: f.text[:end]}
	var values struct{ Examples []map[string]toml.Primitive }
	md, err := toml.Decode(upTo.text, &values)
	if err == nil && len(values.Examples) == i+1 {
		upTo.md, upTo.values = md, values.Examples[i]
		if line := upTo.line(key); line > 0 {
			return line
		}
	}
	return 1 + strings.Count(f.text[:starts[i]], "\n")
}
