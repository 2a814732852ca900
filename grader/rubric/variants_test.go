package rubric

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// variants returns the rubrics of bench/rubrics by name, and the groups of its
// list.
func variants(t *testing.T) (map[string]Rubric, [][]string) {
	const folder = "../../bench/rubrics"
	files, err := filepath.Glob(folder + "/*.toml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d variants, %v", len(files), err)
	}
	all := map[string]Rubric{}
	for _, f := range files {
		r, err := Load(f)
		if err != nil {
			t.Fatal(err)
		}
		all[r.Name] = r
	}
	list, err := os.ReadFile(folder + "/groups")
	if err != nil {
		t.Fatal(err)
	}
	var groups [][]string
	for line := range strings.Lines(string(list)) {
		if line, _, _ = strings.Cut(line, "#"); strings.TrimSpace(line) != "" {
			groups = append(groups, strings.Fields(line))
		}
	}
	return all, groups
}

// Every variant is measured once, and those of a group can share a pass.
func TestVariantsOfGroupsShare(t *testing.T) {
	all, groups := variants(t)
	// head is what must be equal: all up to the record's last text, and examples.
	head := func(r Rubric) (parts []Part) {
		parts, err := r.Parts()
		if err != nil {
			t.Fatal(err)
		}
		for len(parts) > 0 && parts[len(parts)-1].Field == None {
			parts = parts[:len(parts)-1]
		}
		return parts
	}
	seen, hashes := map[string]bool{}, map[string]string{}
	for _, g := range groups {
		if len(g) < 2 || seen["group "+g[0]] {
			t.Errorf("group %q: want a name of its own and rubrics", g)
			continue
		}
		seen["group "+g[0]] = true
		var first Rubric
		for i, name := range g[1:] {
			r, ours := all[name]
			if !ours {
				var err error
				if r, err = Load(name); err != nil {
					t.Fatalf("group %s: %v", g[0], err)
				}
			}
			if seen[name] {
				t.Errorf("%s is measured twice", name)
			}
			seen[name] = true
			if other, ok := hashes[r.SHA256()]; ok {
				t.Errorf("%s and %s are the same", name, other)
			}
			hashes[r.SHA256()] = name
			if i == 0 {
				first = r
			}
			if r.System != first.System || !slices.Equal(r.Scale.Strings, first.Scale.Strings) || !slices.Equal(head(r), head(first)) || len(r.Examples) > 0 && len(g) > 2 {
				t.Errorf("%s and %s cannot share a pass", first.Name, name)
			}
		}
	}
	for name := range all {
		if !seen[name] {
			t.Errorf("%s is in no group", name)
		}
	}
}

// A grader must not learn from examples that long responses, or late ones, are good.
func TestExamplesAreBalanced(t *testing.T) {
	all, _ := variants(t)
	for name, r := range all {
		if len(r.Examples) == 0 {
			continue
		}
		var count, chars [2]int // of the bad, of the good
		for _, e := range r.Examples {
			good := 0
			if 2*slices.Index(r.Scale.Strings, e.Rating) >= len(r.Scale.Strings) {
				good = 1
			}
			count[good]++
			chars[good] += len(e.Response)
		}
		if count[0] != count[1] || 10*max(chars[0], chars[1]) > 11*min(chars[0], chars[1]) {
			t.Errorf("%s: %d bad and %d good examples of %d and %d bytes: want as many, of about the same length", name, count[0], count[1], chars[0], chars[1])
		}
	}
}

// What is shipped as correct is the variant that was measured.
func TestCorrect(t *testing.T) {
	all, _ := variants(t)
	shipped, err := Load("correct")
	if err != nil {
		t.Fatal(err)
	}
	if measured := all["anchors2-yesno"]; shipped.SHA256() != measured.SHA256() {
		t.Errorf("correct has hash %s, anchors2-yesno, whose figures docs/rubrics.md has, %s", shipped.SHA256(), measured.SHA256())
	}
}
