package verdict

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

// The language is the part of expr-lang's that needs no loops: numbers, texts, the
// operators below, cond ? a : b, lists behind "in", and these functions.
var (
	operators = strings.Fields("or || and && == != < > >= <= in matches contains startsWith endsWith + - * / % ** ^")
	own       = []string{"min", "max", "log", "exp"} // the library's min and max overlook NaN
	library   = []string{"abs", "ceil", "floor", "round", "len", "lower", "upper", "trim"}
)

const (
	atLeastFunction = "p"

	// What comparisons become that would otherwise hold for NaN.
	differs = "differs from"
	outside = "not in"
)

// functions are the options that say which functions there are.
func functions() []expr.Option {
	options := []expr.Option{expr.DisableAllBuiltins()}
	for _, name := range library {
		options = append(options, expr.EnableBuiltin(name))
	}
	several := func(name string, of func(a, b float64) float64) expr.Option {
		return expr.Function(name, func(list ...any) (any, error) {
			x, err := float(list[0])
			for _, y := range list[1:] {
				y, failed := float(y)
				x = of(x, y)
				if failed != nil {
					err = failed
				}
			}
			return x, err
		}, new(func(float64, ...float64) float64))
	}
	one := func(name string, of func(float64) float64) expr.Option {
		return expr.Function(name, func(list ...any) (any, error) {
			x, err := float(list[0])
			return of(x), err
		}, new(func(float64) float64))
	}
	return append(options,
		several("min", math.Min), several("max", math.Max), one("log", math.Log), one("exp", math.Exp),
		expr.Function(differs, beside, new(func(float64, float64) bool), new(func(float64, int) bool), new(func(int, float64) bool)),
		expr.Operator("!=", differs),
		expr.Function(outside, beside, new(func(float64, ...float64) bool)),
	)
}

// float converts a number of the library's.
func float(x any) (float64, error) {
	switch x := x.(type) {
	case float64:
		return x, nil
	case int:
		return float64(x), nil
	}
	return math.NaN(), fmt.Errorf("%T is no number", x)
}

// beside reports whether the first number is defined and none of the others.
func beside(list ...any) (any, error) {
	x, err := float(list[0])
	if err != nil || math.IsNaN(x) {
		return false, err
	}
	for _, y := range list[1:] {
		if y, err := float(y); err != nil || y == x || math.IsNaN(y) {
			return false, err
		}
	}
	return true, nil
}

// reader goes through a parsed text.
type reader struct {
	text   string
	words  Vocabulary
	leaves []leaf
	limits []float64
}

// read returns what an expression names and which numbers it has, or what in it is
// unknown or not of the language.
func read(text string, v Vocabulary) (*reader, error) {
	tree, err := parser.Parse(text)
	if err != nil {
		return nil, refused(text, err)
	}
	r := &reader{text: text, words: v}
	return r, r.visit(tree.Node)
}

func refused(text string, err error) error {
	if at, ok := err.(*file.Error); ok {
		return placed(text, at.From, at.Message)
	}
	return fmt.Errorf("%s: %w", text, err)
}

func (r *reader) visit(node ast.Node) error {
	switch n := node.(type) {
	case *ast.IdentifierNode:
		return r.add(n, func() (leaf, error) { return r.words.lookup(n.Value) })
	case *ast.IntegerNode:
		r.limits = append(r.limits, float64(n.Value), -float64(n.Value))
		return nil
	case *ast.FloatNode:
		r.limits = append(r.limits, n.Value, -n.Value)
		return nil
	case *ast.BoolNode, *ast.StringNode:
		return nil
	case *ast.UnaryNode:
		return r.visit(n.Node)
	case *ast.BinaryNode:
		return r.binary(n)
	case *ast.ConditionalNode:
		return r.all(n.Cond, n.Exp1, n.Exp2)
	case *ast.MemberNode:
		name, ok := criterionOf(n)
		if !ok {
			return r.fault(n, "only criteria has members, each by its name in quotes")
		}
		return r.add(n, func() (leaf, error) { return r.words.member(name) })
	case *ast.BuiltinNode:
		return r.call(n, n.Name, n.Arguments)
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok {
			return r.call(n, callee.Value, n.Arguments)
		}
	case *ast.ArrayNode:
		return r.fault(n, "a list can only stand behind in")
	}
	return r.fault(node, "this is no part of the language: want comparisons of names and numbers")
}

func (r *reader) all(nodes ...ast.Node) error {
	for _, n := range nodes {
		if err := r.visit(n); err != nil {
			return err
		}
	}
	return nil
}

// binary visits an operator. Lists and patterns must be written out: what they cost is
// then known.
func (r *reader) binary(n *ast.BinaryNode) error {
	if err := r.visit(n.Left); err != nil {
		return err
	}
	switch {
	case !slices.Contains(operators, n.Operator):
		return r.fault(n, "there is no operator "+n.Operator+" here")
	case n.Operator == "in":
		list, ok := n.Right.(*ast.ArrayNode)
		if !ok {
			return r.fault(n, "want a list behind in, such as [1, 2]")
		}
		for _, x := range list.Nodes {
			if _, text := x.(*ast.StringNode); !text && !literal(x) {
				return r.fault(x, "want only numbers or only texts in quotes in a list")
			}
		}
		return r.all(list.Nodes...)
	case n.Operator == "matches":
		if _, ok := n.Right.(*ast.StringNode); !ok {
			return r.fault(n, "want a pattern in quotes behind matches")
		}
	}
	return r.visit(n.Right)
}

// literal reports whether a node is a number as it stands.
func literal(node ast.Node) bool {
	_, ok := valueOf(node)
	return ok
}

func valueOf(node ast.Node) (float64, bool) {
	switch n := node.(type) {
	case *ast.IntegerNode:
		return float64(n.Value), true
	case *ast.FloatNode:
		return n.Value, true
	case *ast.UnaryNode:
		x, ok := valueOf(n.Node)
		switch n.Operator {
		case "-":
			return -x, ok
		case "+":
			return x, ok
		}
	}
	return 0, false
}

// call visits a call of a function.
func (r *reader) call(node ast.Node, name string, arguments []ast.Node) error {
	if name == atLeastFunction {
		if len(arguments) == 1 && literal(arguments[0]) {
			x, _ := valueOf(arguments[0])
			return r.add(node, func() (leaf, error) { return atLeast(x), nil })
		}
		return r.fault(node, "want p of a number, such as p(4.5)")
	}
	if !slices.Contains(own, name) && !slices.Contains(library, name) {
		return r.fault(node, fmt.Sprintf("there is no function %q: want one of %s", name, strings.Join(slices.Concat([]string{atLeastFunction}, own, library), ", ")))
	}
	return r.all(arguments...)
}

// add takes a leaf that is not there yet.
func (r *reader) add(node ast.Node, find func() (leaf, error)) error {
	l, err := find()
	if err != nil {
		return r.fault(node, err.Error())
	}
	if !slices.ContainsFunc(r.leaves, func(known leaf) bool { return known.name == l.name }) {
		r.leaves = append(r.leaves, l)
	}
	return nil
}

func (r *reader) fault(node ast.Node, message string) error {
	from := 0
	if node != nil {
		from = node.Location().From
	}
	return placed(r.text, from, message)
}

// criterionOf returns the name in criteria["name"] or criteria.name.
func criterionOf(n *ast.MemberNode) (string, bool) {
	list, ok := n.Node.(*ast.IdentifierNode)
	name, text := n.Property.(*ast.StringNode)
	if !ok || !text || list.Value != criteriaName {
		return "", false
	}
	return name.Value, true
}

// naming puts a name of the environment for what is more than a name in the text.
type naming struct{}

// Visit implements ast.Visitor.
func (naming) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.MemberNode:
		if name, ok := criterionOf(n); ok {
			ast.Patch(node, &ast.IdentifierNode{Value: criterionName(name)})
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && callee.Value == atLeastFunction && len(n.Arguments) == 1 {
			if x, ok := valueOf(n.Arguments[0]); ok {
				ast.Patch(node, &ast.IdentifierNode{Value: atLeastName(x)})
			}
		}
	}
}

// typing settles what depends on types. The library calls it again, with the types known
// better, until nothing changes.
type typing struct {
	changed bool
	err     *file.Error
}

// Reset goes before each walk through the tree.
func (t *typing) Reset() { *t = typing{} }

// ShouldRepeat says whether types have changed.
func (t *typing) ShouldRepeat() bool { return t.changed }

// Visit implements ast.Visitor. Children come before their parents.
func (t *typing) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.ConditionalNode:
		a, b := n.Exp1.Type().Kind(), n.Exp2.Type().Kind()
		switch {
		case a == reflect.Int && b == reflect.Float64:
			t.widen(&n.Exp1)
		case a == reflect.Float64 && b == reflect.Int:
			t.widen(&n.Exp2)
		case a != b:
			t.fault(n, "want two results of the same type, numbers, texts or conditions")
		}
	case *ast.BinaryNode:
		if n.Operator == "+" && n.Left.Type().Kind() == reflect.String {
			t.fault(n, "texts cannot be joined")
		}
	case *ast.CallNode:
		if callee, ok := n.Callee.(*ast.IdentifierNode); ok && slices.Contains(own, callee.Value) {
			for i := range n.Arguments {
				if n.Arguments[i].Type().Kind() == reflect.Int {
					t.widen(&n.Arguments[i])
				}
			}
		}
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			ast.Patch(node, negation(n.Node))
			(*node).SetType(reflect.TypeFor[bool]())
		}
	}
}

// widen makes a float64 of an int.
func (t *typing) widen(node *ast.Node) {
	product := &ast.BinaryNode{Operator: "*", Left: *node, Right: &ast.FloatNode{Value: 1}}
	product.SetType(reflect.TypeFor[float64]())
	ast.Patch(node, product)
	t.changed = true
}

func (t *typing) fault(node ast.Node, message string) {
	if t.err == nil {
		t.err = &file.Error{Location: node.Location(), Message: message}
	}
}

var opposite = map[string]string{
	"<": ">=", "<=": ">", ">": "<=", ">=": "<", "==": "!=", "!=": "==",
	"and": "or", "&&": "||", "or": "and", "||": "&&",
}

// negation returns the opposite of a condition. It goes down to the comparisons, since
// one with an undefined number does not hold and its opposite does not either.
func negation(node ast.Node) ast.Node {
	not := func(n ast.Node) ast.Node {
		n = negation(n)
		n.SetType(reflect.TypeFor[bool]())
		return n
	}
	var out ast.Node = &ast.UnaryNode{Operator: "not", Node: node}
	switch n := node.(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			return n.Node
		}
	case *ast.ConditionalNode:
		out = &ast.ConditionalNode{Cond: n.Cond, Exp1: not(n.Exp1), Exp2: not(n.Exp2)}
	case *ast.CallNode: // differs or outside: what they were
		switch callee, ok := n.Callee.(*ast.IdentifierNode); {
		case ok && callee.Value == differs:
			out = &ast.BinaryNode{Operator: "==", Left: n.Arguments[0], Right: n.Arguments[1]}
		case ok && callee.Value == outside:
			out = &ast.BinaryNode{Operator: "in", Left: n.Arguments[0], Right: &ast.ArrayNode{Nodes: n.Arguments[1:]}}
		}
	case *ast.BinaryNode:
		operator, ok := opposite[n.Operator]
		switch list, in := n.Right.(*ast.ArrayNode); {
		case ok && (operator == "or" || operator == "||" || operator == "and" || operator == "&&"):
			out = &ast.BinaryNode{Operator: operator, Left: not(n.Left), Right: not(n.Right)}
		case ok:
			out = &ast.BinaryNode{Operator: operator, Left: n.Left, Right: n.Right}
		case in && n.Left.Type().Kind() == reflect.Float64:
			out = &ast.CallNode{Callee: &ast.IdentifierNode{Value: outside}, Arguments: append([]ast.Node{n.Left}, list.Nodes...)}
		}
	}
	out.SetLocation(node.Location())
	return out
}
