package testset

import (
	"slices"
)

// Answer is one answer of a model, in the form in which winnow writes answers: one
// object a line.
type Answer struct {
	Set         string `json:"set"` // of the prompt; empty if it is not known
	ID          string `json:"id"`
	Instruction string `json:"instruction"`
	Input       string `json:"input"`
	Output      string `json:"output"`
	Model       string `json:"model"` // that gave it; empty if it is not known
}

// Answers is the answers of one model, or of what stands for one, in order.
type Answers struct {
	Paths  []string
	Models []string // that are named, sorted
	list   []answer
}

// Len returns how many answers there are.
func (a *Answers) Len() int { return len(a.list) }

// answer is an Answer with its place and what it does not say.
type answer struct {
	Answer
	where    string
	index    int  // of its prompt within the set; -1 if it does not say
	hasText  bool // it has the instruction
	hasInput bool // it has the input, though it may be empty
}

// ReadAnswers reads files of answers, which may have more members than Answer has and
// other names for some: the answer is output, response, answer or text, and null is an
// empty one; the instruction and the id have the names that they have in prompts. The
// prompt is named by its id, its instruction (and input), or by index, its position
// from 0 in its set.
func ReadAnswers(paths ...string) (*Answers, error) {
	a := &Answers{Paths: paths}
	for _, path := range paths {
		err := objects(path, "answers", func(o object) error {
			x, err := o.answer()
			a.list = append(a.list, x)
			if x.Model != "" && !slices.Contains(a.Models, x.Model) {
				a.Models = append(a.Models, x.Model)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(a.Models)
	return a, nil
}

func (o object) answer() (a answer, err error) {
	a = answer{where: o.where, index: -1}
	if a.Set, err = o.set(); err != nil {
		return a, err
	}
	if a.ID, err = o.id(); err != nil {
		return a, err
	}
	from, err := o.output(&a)
	if err != nil {
		return a, err
	}
	names := slices.DeleteFunc(slices.Clone(instructionNames), func(name string) bool { return name == from })
	if name := o.first(names); name != "" {
		a.hasText = true
		if a.Instruction, err = o.text(name); err != nil {
			return a, err
		}
		if a.Input, a.hasInput, err = o.input(); err != nil {
			return a, err
		}
	}
	for _, name := range []string{"model", "generator", "model_id"} {
		if raw := o.value[name]; len(raw) > 0 && raw[0] == '"' {
			if a.Model, err = o.text(name); err != nil {
				return a, err
			}
			break
		}
	}
	if err := o.position(&a); err != nil {
		return a, err
	}
	if a.ID == "" && !a.hasText && a.index < 0 {
		return a, o.errorf("the answer names no prompt: want an id, the instruction, or an index")
	}
	return a, nil
}

// output sets the answer's text and returns the member that it stands in.
func (o object) output(a *answer) (name string, err error) {
	there := slices.DeleteFunc(slices.Clone(answerNames), func(name string) bool { _, ok := o.value[name]; return !ok })
	if len(there) == 0 {
		return "", o.errorf("this is no answer: want one of output, response, answer, text")
	}
	if name = o.first(there); name == "" {
		return there[0], nil // null: the model gave no answer
	}
	if a.Output, err = o.text(name); err != nil {
		return name, err
	}
	for _, other := range there {
		if other == name || other == "text" || o.first([]string{other}) == "" {
			continue // text is the prompt then, as in Vicuna's questions
		}
		if text, err := o.text(other); err != nil {
			return name, err
		} else if text != a.Output {
			return name, o.errorf("%q and %q are different answers: want one", name, other)
		}
	}
	return name, nil
}

func (o object) position(a *answer) error {
	if o.first([]string{"index"}) == "" {
		return nil
	}
	raw := o.value["index"]
	n := 0
	for _, c := range raw {
		if c < '0' || c > '9' || n > 1<<30 {
			return o.errorf(`"index" is %s, want a position from 0`, describe(raw))
		}
		n = 10*n + int(c-'0')
	}
	a.index = n
	return nil
}
