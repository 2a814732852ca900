package signal

import (
	"slices"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for list, want := range map[string]Set{
		"":                      nil,
		"nll":                   {Loss},
		"hidden, tokens,nll":    {Tokens, Loss, Hidden},
		"all":                   {Tokens, Loss, Follow, Plain},
		"ifd,all,hidden,ifd":    {Tokens, Loss, Follow, Plain, Hidden},
		"ifd-plain,ifd,hidden ": {Follow, Plain, Hidden},
	} {
		got, err := Parse(list)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", list, got, err, want)
		}
		again, err := Parse(got.String())
		if err != nil || !slices.Equal(again, want) {
			t.Errorf("Parse(%q) = %v, %v; want %v", got.String(), again, err, want)
		}
	}
	for _, list := range []string{"ppl", "nll,", ",", "none", "NLL"} {
		if got, err := Parse(list); err == nil || !strings.Contains(err.Error(), "ifd-plain") {
			t.Errorf("Parse(%q) = %v, %v; want an error that lists the groups", list, got, err)
		}
	}
}

// TestNames holds that each group's names lead back to it, and no name to two.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range All() {
		names := Set{g}.Names()
		if len(names) == 0 {
			t.Errorf("group %s has no signals", g)
		}
		for _, name := range names {
			if seen[name] {
				t.Errorf("signal %s is in two groups", name)
			}
			seen[name] = true
		}
		if got, err := Of(names); err != nil || !slices.Equal(got, Set{g}) {
			t.Errorf("Of(%v) = %v, %v; want %s", names, got, err, g)
		}
	}
	if got := (Set{Hidden}).Names(); got != nil {
		t.Errorf("hidden has the scalar signals %v", got)
	}
	if _, err := Of([]string{NLL, "entropy"}); err == nil {
		t.Error("a signal that there is not")
	}
	if got := (Set{Plain}).Union(Set{Loss, Plain}); !slices.Equal(got, Set{Loss, Plain}) {
		t.Errorf("union %v", got)
	}
}
