package testset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Match is a prompt with what both models answered.
type Match struct {
	Prompt
	A, B       string
	HasA, HasB bool // whether there is an answer at all
}

// Joined is prompts with their answers, in the order of the prompts.
type Joined struct {
	Matches []Match
	A, B    Joining
}

// Joining is what became of one model's answers.
type Joining struct {
	Answers  int `json:"answers"`
	Used     int `json:"used"`
	Surplus  int `json:"surplus"`  // answer none of the prompts
	Repeated int `json:"repeated"` // are there once more with the same text
}

// Join joins answers to prompts. Without prompts, they are those that the answers name:
// all answers must have their instruction then, and the order is that of sets, ids and
// texts. Exchanging a and b exchanges nothing but A and B in the result.
//
// An answer belongs to the prompt that its id names, in its set if it names one; else
// to the one with its instruction and input; else to the one at its index. If it names a
// set that the prompts do not have, it belongs to the one with its texts or to none.
// Texts are compared without white space at their ends. Where several prompts have one
// text, answers that name them by text alone belong to them in order. It is an error if
// the id names one prompt and the text another one, if it cannot be told which prompt
// is meant, or if two answers to one prompt differ.
func Join(prompts []Prompt, a, b *Answers) (*Joined, error) {
	if len(prompts) == 0 {
		var err error
		if prompts, err = promptsOf(a, b); err != nil {
			return nil, err
		}
	}
	ix := newIndex(prompts)
	out := &Joined{Matches: make([]Match, len(prompts))}
	for i, p := range prompts {
		out.Matches[i].Prompt = p
	}
	for _, side := range []struct {
		answers *Answers
		to      *Joining
		set     func(m *Match, text string)
	}{
		{a, &out.A, func(m *Match, text string) { m.A, m.HasA = text, true }},
		{b, &out.B, func(m *Match, text string) { m.B, m.HasB = text, true }},
	} {
		chosen, err := ix.assign(side.answers, side.to)
		if err != nil {
			return nil, fmt.Errorf("joining answers: %w", err)
		}
		for i, x := range chosen {
			if x != nil {
				side.set(&out.Matches[i], x.Output)
			}
		}
	}
	return out, nil
}

// index finds prompts.
type index struct {
	prompts []Prompt
	sets    map[string][]int
	ids     map[string][]int
	texts   map[[2]string][]int // by instruction and input
	heads   map[string][]int    // by instruction
}

func newIndex(prompts []Prompt) *index {
	ix := &index{prompts, map[string][]int{}, map[string][]int{}, map[[2]string][]int{}, map[string][]int{}}
	for i, p := range prompts {
		t := textOf(p.Instruction, p.Input)
		ix.sets[p.Set] = append(ix.sets[p.Set], i)
		ix.ids[p.ID] = append(ix.ids[p.ID], i)
		ix.texts[t] = append(ix.texts[t], i)
		ix.heads[t[0]] = append(ix.heads[t[0]], i)
	}
	return ix
}

func textOf(instruction, input string) [2]string {
	return [2]string{strings.TrimSpace(instruction), strings.TrimSpace(input)}
}

// assign returns the answer of each prompt; nil where there is none.
func (ix *index) assign(a *Answers, to *Joining) ([]*answer, error) {
	chosen := make([]*answer, len(ix.prompts))
	to.Answers = len(a.list)
	// Answers that name one prompt come first: what is named by text alone takes
	// what they leave.
	for _, byText := range []bool{false, true} {
		for k := range a.list {
			x := &a.list[k]
			at, exact, err := ix.find(x)
			if err != nil {
				return nil, err
			}
			if len(at) == 0 {
				if !byText {
					to.Surplus++
				}
				continue
			}
			if exact == byText {
				continue
			}
			if err := take(chosen, at, x, to); err != nil {
				return nil, err
			}
		}
	}
	return chosen, nil
}

// take gives an answer to the first of the prompts that has none.
func take(chosen []*answer, at []int, x *answer, to *Joining) error {
	for _, i := range at {
		if chosen[i] == nil {
			chosen[i] = x
			to.Used++
			return nil
		}
	}
	for _, i := range at {
		if chosen[i].Output == x.Output {
			to.Repeated++
			return nil
		}
	}
	return fmt.Errorf("%s: another answer than at %s to the same prompt: want one answer a prompt", x.where, chosen[at[len(at)-1]].where)
}

// find returns the prompts that an answer may belong to. It is exact if that is one
// that the answer names by more than its text.
func (ix *index) find(x *answer) (at []int, exact bool, err error) {
	_, known := ix.sets[x.Set]
	in := func(list []int) []int {
		if x.Set == "" || !known {
			return list
		}
		return slices.DeleteFunc(slices.Clone(list), func(i int) bool { return ix.prompts[i].Set != x.Set })
	}
	elsewhere := x.Set != "" && !known // its set is not here, or has another name: its text alone can tell
	if x.ID != "" && !elsewhere {
		at = in(ix.ids[x.ID])
	}
	if len(at) == 0 && x.hasText {
		return in(ix.byText(x)), false, nil
	}
	if len(at) == 0 && x.index >= 0 && x.ID == "" && !elsewhere {
		list, ok := ix.sets[x.Set]
		if !ok && len(ix.sets) == 1 {
			list, ok = ix.sets[ix.prompts[0].Set], true
		}
		if !ok {
			return nil, false, fmt.Errorf("%s: the index %d is of which of %d sets? Want a \"set\" or an id", x.where, x.index, len(ix.sets))
		}
		return list[min(x.index, len(list)):min(x.index+1, len(list))], true, nil
	}
	if x.hasText && len(at) > 0 {
		same := slices.DeleteFunc(slices.Clone(at), func(i int) bool { return !x.is(ix.prompts[i]) })
		if len(same) == 0 {
			p := ix.prompts[at[0]]
			return nil, false, fmt.Errorf("%s: the answer has the id %q, and the instruction or input of another prompt than %s: correct the id or leave it out", x.where, x.ID, p.where)
		}
		at = same
	}
	if len(at) > 1 {
		return nil, false, fmt.Errorf("%s: the id %q is in the sets %q and %q: want a \"set\" or the instruction", x.where, x.ID, ix.prompts[at[0]].Set, ix.prompts[at[1]].Set)
	}
	return at, true, nil
}

func (ix *index) byText(x *answer) []int {
	t := textOf(x.Instruction, x.Input)
	if x.hasInput {
		return ix.texts[t]
	}
	return ix.heads[t[0]]
}

// is reports whether the answer's texts are the prompt's.
func (x *answer) is(p Prompt) bool {
	t, own := textOf(p.Instruction, p.Input), textOf(x.Instruction, x.Input)
	return t[0] == own[0] && (!x.hasInput || t[1] == own[1])
}

// promptsOf returns the prompts that the answers of both name.
func promptsOf(a, b *Answers) ([]Prompt, error) {
	var list []Prompt
	for _, side := range []*Answers{a, b} {
		for k := range side.list {
			x := &side.list[k]
			if !x.hasText || blank(x.Instruction) {
				return nil, fmt.Errorf("joining answers: %s: the answer has no instruction: the prompts are needed too, with --prompts", x.where)
			}
			list = append(list, Prompt{Set: x.Set, ID: x.ID, Instruction: strings.TrimSpace(x.Instruction), Input: strings.TrimSpace(x.Input), where: x.where})
		}
	}
	slices.SortStableFunc(list, func(p, q Prompt) int {
		return cmp.Or(cmp.Compare(p.Instruction, q.Instruction), cmp.Compare(p.Input, q.Input), cmp.Compare(p.Set, q.Set), cmp.Compare(p.ID, q.ID))
	})
	list = slices.CompactFunc(list, func(p, q Prompt) bool {
		return p.Set == q.Set && p.ID == q.ID && p.Instruction == q.Instruction && p.Input == q.Input
	})
	var out []Prompt
	for from := 0; from < len(list); {
		to := from + 1
		for to < len(list) && list[to].Instruction == list[from].Instruction && list[to].Input == list[from].Input {
			to++
		}
		for _, p := range list[from:to] {
			if !slices.ContainsFunc(list[from:to], p.within) {
				out = append(out, p)
			}
		}
		from = to
	}
	slices.SortStableFunc(out, func(p, q Prompt) int { return cmp.Compare(p.Set, q.Set) })
	ids := map[[2]string]string{}
	for i := range out {
		out[i].Index = i
		p := out[i]
		if p.ID == "" {
			continue
		}
		at := [2]string{p.Set, p.ID}
		if other, ok := ids[at]; ok {
			return nil, fmt.Errorf("joining answers: %s: the id %q of the set %q has other texts than at %s: want another id, or a \"set\"", max(p.where, other), p.ID, p.Set, min(p.where, other))
		}
		ids[at] = p.where
	}
	return out, nil
}

// within reports whether q says all that p says of set and id, and more.
func (p Prompt) within(q Prompt) bool {
	return (p.Set == "" || p.Set == q.Set) && (p.ID == "" || p.ID == q.ID) && (p.Set != q.Set || p.ID != q.ID)
}
