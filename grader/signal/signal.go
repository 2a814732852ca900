// Package signal names what an engine can tell of a record beside its ratings.
// Most signals come of the pass that rates it; each group says what it costs.
package signal

import (
	"fmt"
	"slices"
	"strings"
)

// Names of the scalar signals. Losses are mean negative log-likelihoods in nats a
// token of the response; a response without tokens has none, and the signal is NaN.
const (
	InstructionTokens = "instruction_tokens" // of instruction and input
	ResponseTokens    = "response_tokens"
	NLL               = "nll"        // loss of the response where it stands in the rating prompt
	PPL               = "ppl"        // perplexity: exp(nll)
	NLLAnswer         = "nll_answer" // loss of the response as the answer to the instruction in the model's chat template
	NLLAlone          = "nll_alone"  // loss of the response with nothing before it
	IFD               = "ifd"        // nll_answer / nll_alone (M. Li et al., "From Quantity to Quality", 2023, its equation)
	IFDPPL            = "ifd_ppl"    // exp(nll_answer) / exp(nll_alone), as that paper's program computes it
	IFDPlain          = "ifd_plain"  // as ifd_ppl, but the response follows the bare instruction (M. Li et al., "Superfiltering", 2024)
)

// Group is signals that are asked for together, since they share their cost.
type Group string

// The groups.
const (
	Tokens Group = "tokens"    // counts: free
	Loss   Group = "nll"       // a row of logits for each token of the response
	Follow Group = "ifd"       // two more sequences a record, and a row for each token of their responses
	Plain  Group = "ifd-plain" // likewise; one more sequence beside those of ifd
	Hidden Group = "hidden"    // the hidden state of a layer: no computation, but bytes in the scores file
)

// member is a group with its scalar signals.
type member struct {
	group Group
	names []string
}

// groups in the order of their signals.
var groups = []member{
	{Tokens, []string{InstructionTokens, ResponseTokens}},
	{Loss, []string{NLL, PPL}},
	{Follow, []string{NLLAnswer, NLLAlone, IFD, IFDPPL}},
	{Plain, []string{IFDPlain}},
	{Hidden, nil},
}

// Set is groups of signals without repetition, in the order of this package. The zero
// Set has none.
type Set []Group

// All is every group but Hidden.
func All() Set { return Set{Tokens, Loss, Follow, Plain} }

// Parse reads a list such as "nll,ifd" of groups with commas between; "all" is All, and
// an empty text no group.
func Parse(list string) (Set, error) {
	var s Set
	if list == "" {
		return nil, nil
	}
	for _, name := range strings.Split(list, ",") {
		switch g := Group(strings.TrimSpace(name)); {
		case g == "all":
			s = append(s, All()...)
		case slices.ContainsFunc(groups, is(g)):
			s = append(s, g)
		default:
			return nil, fmt.Errorf("no signals %q: want %s, or all for all but hidden", name, strings.Join(names(), ", "))
		}
	}
	return s.ordered(), nil
}

func is(g Group) func(member) bool { return func(m member) bool { return m.group == g } }

func names() (list []string) {
	for _, g := range groups {
		list = append(list, string(g.group))
	}
	return list
}

func (s Set) ordered() (out Set) {
	for _, g := range groups {
		if slices.Contains(s, g.group) {
			out = append(out, g.group)
		}
	}
	return out
}

// Union returns the groups of both.
func (s Set) Union(t Set) Set { return slices.Concat(s, t).ordered() }

// Has reports whether the group is in s.
func (s Set) Has(g Group) bool { return slices.Contains(s, g) }

// Names returns the scalar signals of s, in order.
func (s Set) Names() (list []string) {
	for _, g := range groups {
		if s.Has(g.group) {
			list = append(list, g.names...)
		}
	}
	return list
}

// String returns the form that Parse reads.
func (s Set) String() string {
	list := make([]string, len(s))
	for i, g := range s {
		list[i] = string(g)
	}
	return strings.Join(list, ",")
}

// Of returns the groups that give these scalar signals.
func Of(signals []string) (s Set, err error) {
	for _, name := range signals {
		i := slices.IndexFunc(groups, func(m member) bool { return slices.Contains(m.names, name) })
		if i < 0 {
			return nil, fmt.Errorf("no signal %q", name)
		}
		s = append(s, groups[i].group)
	}
	return s.ordered(), nil
}
