package verdict

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"winnow/grader/rating"
)

// Condition is an expression that holds for a candidate or does not, such as
// "rating >= 4 && ifd < 1". It may be used by several goroutines at once.
type Condition struct{ expression }

// Order is an expression with a number for each candidate, such as
// "rating - 0.1 * nll". It may be used by several goroutines at once.
type Order struct{ expression }

// CompileCondition compiles an expression that must be true or false. Names that the
// vocabulary lacks and types that do not fit are errors, with the place in the text.
func CompileCondition(text string, v Vocabulary) (*Condition, error) {
	x, err := compile(text, v, reflect.Bool)
	if err != nil {
		return nil, err
	}
	return &Condition{x}, nil
}

// CompileOrder compiles an expression that must be a number; all else is as with
// CompileCondition.
func CompileOrder(text string, v Vocabulary) (*Order, error) {
	x, err := compile(text, v, reflect.Float64)
	if err != nil {
		return nil, err
	}
	return &Order{x}, nil
}

// expression is a compiled text. What it costs to evaluate it is bounded by its length
// and that of the candidate's texts: the language has no loops, and texts do not grow.
type expression struct {
	text    string
	program *vm.Program
	leaves  []leaf
	limits  []float64 // the numbers in the text
}

// String returns the text.
func (x *expression) String() string { return x.text }

const (
	maxTextBytes = 4096 // of an expression; the parser's stack grows with it
	memoryBudget = 4096 // elements of lists that one evaluation may make
)

func compile(text string, v Vocabulary, want reflect.Kind) (expression, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "":
		return expression{}, errors.New("the expression is empty: give one such as rating >= 4")
	case len(text) > maxTextBytes:
		return expression{}, fmt.Errorf("the expression has %d bytes, want at most %d", len(text), maxTextBytes)
	}
	x := expression{text: text}
	found, err := read(text, v)
	if err != nil {
		return expression{}, err
	}
	x.leaves, x.limits = found.leaves, found.limits
	env := make(map[string]any, len(x.leaves))
	for _, l := range x.leaves {
		env[l.name] = l.zero
	}
	rules := &typing{}
	options := append([]expr.Option{expr.Env(env), expr.Patch(naming{}), expr.Patch(rules)}, functions()...)
	if want == reflect.Bool {
		options = append(options, expr.AsBool(), expr.WarnOnAny())
	} else {
		options = append(options, expr.AsFloat64(), expr.WarnOnAny())
	}
	x.program, err = expr.Compile(text, options...)
	if rules.err != nil {
		err = rules.err
	}
	var at *file.Error
	switch {
	case err == nil:
		return x, nil
	case errors.As(err, &at):
		return expression{}, placed(text, at.From, at.Message)
	case want == reflect.Bool:
		return expression{}, fmt.Errorf("%s: want a condition, such as rating >= 4: %w", text, err)
	}
	return expression{}, fmt.Errorf("%s: want a number, such as rating: %w", text, err)
}

// placed tells what is wrong with a text from a character on, counted from 0.
func placed(text string, from int, message string) error {
	message = strings.Join(strings.Fields(message), " ") // one line
	return fmt.Errorf("%s: at character %d: %s", text, from+1, message)
}

// evaluation evaluates an expression for one candidate after another.
type evaluation struct {
	*expression
	env     map[string]any
	machine vm.VM
}

func (x *expression) evaluation() *evaluation {
	return &evaluation{expression: x, env: make(map[string]any, len(x.leaves)), machine: vm.VM{MemoryBudget: memoryBudget}}
}

func (e *evaluation) run(s rating.Scale, c *Candidate) (any, error) {
	for i := range e.leaves {
		e.env[e.leaves[i].name] = e.leaves[i].of(s, c)
	}
	out, err := e.machine.Run(e.program, e.env)
	if err == nil {
		return out, nil
	}
	if at := (*file.Error)(nil); errors.As(err, &at) {
		return nil, placed(e.text, at.From, at.Message)
	}
	return nil, fmt.Errorf("%s: %w", e.text, err)
}

// holds evaluates a condition.
func (e *evaluation) holds(s rating.Scale, c *Candidate) (bool, error) {
	out, err := e.run(s, c)
	ok, _ := out.(bool)
	return ok, err
}

// number evaluates an order; NaN where it is undefined.
func (e *evaluation) number(s rating.Scale, c *Candidate) (float64, error) {
	out, err := e.run(s, c)
	x, ok := out.(float64)
	if !ok {
		x = math.NaN()
	}
	return x, err
}

// told tells people the condition and the values that its last run had: "where rating >=
// 4: rating 3.20".
func (e *evaluation) told() string {
	if seen := e.seen(); seen != "" {
		return "where " + e.text + ": " + seen
	}
	return "where " + e.text
}

// seen lists the values, but for texts, which stand in the record: "rating 3.20, ifd
// undefined".
func (e *evaluation) seen() string {
	var b strings.Builder
	for i := range e.leaves {
		l := &e.leaves[i]
		var value string
		switch x := e.env[l.name].(type) {
		case float64:
			value = e.show(x)
		case int:
			value = strconv.Itoa(x)
		case bool:
			value = strconv.FormatBool(x)
		default:
			continue
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.label + " " + value)
	}
	return b.String()
}

// show returns a value with two digits after the point, or with as many more as keep
// it on its side of the numbers in the text.
func (e *evaluation) show(x float64) string {
	if math.IsNaN(x) {
		return "undefined"
	}
	for digits := 2; digits <= 9; digits++ {
		s := strconv.FormatFloat(x, 'f', digits, 64)
		if y, err := strconv.ParseFloat(s, 64); err == nil && sameSide(x, y, e.limits) {
			return s
		}
	}
	return number(x)
}

func sameSide(x, y float64, limits []float64) bool {
	for _, l := range limits {
		if (x < l) != (y < l) || (x > l) != (y > l) {
			return false
		}
	}
	return true
}
