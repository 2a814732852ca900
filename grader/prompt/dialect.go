package prompt

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/nikolalohinski/gonja/v2/builtins"
	structures "github.com/nikolalohinski/gonja/v2/builtins/control_structures"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// This file is where the template engine is brought in line with the Jinja that
// chat templates are written for.

// structures returns the statements that a template may use: none that read
// other templates, none that recurse without bound.
func (c *call) structures() *exec.ControlStructureSet {
	set := map[string]parser.ControlStructureParser{"generation": parseGeneration}
	for _, name := range []string{"break", "call", "continue", "do", "filter", "for", "if", "macro", "raw", "set", "with"} {
		if p, ok := builtins.ControlStructures.Get(name); ok {
			set[name] = p
		}
	}
	if p, ok := set["macro"]; ok {
		set["macro"] = func(outer, args *parser.Parser) (nodes.ControlStructure, error) {
			s, err := p(outer, args)
			if m, ok := s.(*structures.MacroControlStructure); ok && err == nil {
				return &macro{m, c}, nil
			}
			return s, err
		}
	}
	if p, ok := set["for"]; ok {
		set["for"] = func(outer, args *parser.Parser) (nodes.ControlStructure, error) {
			s, err := p(outer, args)
			if f, ok := s.(*structures.ForControlStructure); ok && err == nil && f.Recursive {
				return nil, errors.New("recursive loops are not supported")
			}
			return s, err
		}
	}
	return exec.NewControlStructureSet(set)
}

// macro is the macro statement with a bound on the depth of calls: a stack that
// overflows ends the program.
type macro struct {
	*structures.MacroControlStructure
	call *call
}

// Execute implements exec.ControlStructure.
func (m *macro) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	fn, err := exec.MacroNodeToFunc(m.Macro, r)
	if err != nil {
		return err
	}
	r.Environment.Context.Set(m.Name, exec.Macro(func(args *exec.VarArgs) *exec.Value {
		m.call.depth++
		defer func() { m.call.depth-- }()
		if m.call.depth > maxMacroDepth {
			return exec.AsValue(fmt.Errorf("macro calls more than %d deep", maxMacroDepth))
		}
		return fn(args)
	}))
	return nil
}

// generation is the statement by which templates mark the assistant's words for
// training. Here it only renders what is in it.
type generation struct {
	at   *tokens.Token
	body *nodes.Wrapper
}

func parseGeneration(outer, args *parser.Parser) (nodes.ControlStructure, error) {
	g := &generation{at: outer.Current()}
	if !args.End() {
		return nil, args.Error("generation takes no arguments", nil)
	}
	var err error
	g.body, _, err = outer.WrapUntil("endgeneration")
	return g, err
}

// Position implements nodes.ControlStructure.
func (g *generation) Position() *tokens.Token { return g.at }

// String implements nodes.ControlStructure.
func (g *generation) String() string { return "generation" }

// Execute implements exec.ControlStructure.
func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	return r.ExecuteWrapper(g.body)
}

// items is a list whose first item can be reached from its end: the engine's own
// lists have no item -n where they have n.
type items []any

// GetItem implements exec.ItemGetter.
func (l items) GetItem(key any) (*exec.Value, bool) {
	i, ok := key.(int)
	if i < 0 {
		i += len(l)
	}
	if !ok || i < 0 || i >= len(l) {
		return exec.AsValue(nil), false
	}
	return exec.AsValue(l[i]), true
}

// splitter makes a method that splits a string give items.
func splitter(split exec.Method[string]) exec.Method[string] {
	return func(s string, self *exec.Value, args *exec.VarArgs) (any, error) {
		list, err := split(s, self, args)
		if err != nil {
			return nil, err
		}
		var l items
		for v := reflect.ValueOf(list); v.Kind() == reflect.Slice && len(l) < v.Len(); {
			l = append(l, v.Index(len(l)).String())
		}
		return l, nil
	}
}

// methods returns the methods of values. Some of those of strings are not the
// engine's own: it strips no white space at one end, replaces only with a count,
// and splits into lists that lack an item (see items).
func methods() exec.Methods {
	str := map[string]exec.Method[string]{
		"lstrip": stripper(strings.TrimLeftFunc, strings.TrimLeft),
		"rstrip": stripper(strings.TrimRightFunc, strings.TrimRight),
		"replace": func(s string, _ *exec.Value, args *exec.VarArgs) (any, error) {
			a := args.Args
			if len(a) != 2 && (len(a) != 3 || !a[2].IsInteger()) || !a[0].IsString() || !a[1].IsString() {
				return nil, exec.ErrInvalidCall(errors.New("replace takes two strings and perhaps a count"))
			}
			count := -1
			if len(a) == 3 {
				count = a[2].Integer()
			}
			return strings.Replace(s, a[0].String(), a[1].String(), count), nil
		},
	}
	for _, name := range []string{
		"capitalize", "count", "endswith", "find", "format", "isalnum", "isalpha", "isdigit", "islower", "isspace", "isupper", "join", "lower", "partition",
		"removeprefix", "removesuffix", "rfind", "rpartition", "rsplit", "split", "splitlines", "startswith", "strip", "title", "upper",
	} {
		if m, ok := builtins.Methods.Str.Get(name); ok {
			str[name] = m
		}
	}
	for _, name := range []string{"rsplit", "split", "splitlines"} {
		str[name] = splitter(str[name])
	}
	m := builtins.Methods
	m.Str = exec.NewMethodSet(str)
	return m
}

func stripper(space func(string, func(rune) bool) string, set func(s, cutset string) string) exec.Method[string] {
	return func(s string, _ *exec.Value, args *exec.VarArgs) (any, error) {
		switch a := args.Args; {
		case len(a) == 0:
			return space(s, unicode.IsSpace), nil
		case len(a) == 1 && a[0].IsString():
			return set(s, a[0].String()), nil
		}
		return nil, exec.ErrInvalidCall(errors.New("want no argument or a string of characters"))
	}
}
