package engine

import (
	"fmt"
	"slices"

	"winnow/grader/prompt"
	"winnow/grader/rating"
	"winnow/grader/rubric"
)

// encodeFrames tokenizes all that does not depend on a record: what stands before
// its first text, between its texts and behind its last.
func (e *Engine) encodeFrames() error {
	if err := e.checkFrames(); err != nil {
		return err
	}
	first := e.frames[0]
	var err error
	if e.prefix, err = e.tok.prefix(first.Prefix()); err != nil {
		return err
	}
	if len(e.prefix) == 0 {
		return fmt.Errorf("rubric %s: the prompt begins with the record itself: put text before the first placeholder", e.o.Rubrics[0].Name)
	}
	for _, f := range e.frames {
		if err := e.tok.protect(f.Prefix(), f.Segments()); err != nil {
			return err
		}
	}
	head, _ := split(first.Segments())
	for _, s := range head {
		p := part{field: s.Field}
		if s.Field == prompt.None {
			if p.tokens, err = e.tok.next(nil, s.Text, true); err != nil {
				return err
			}
		}
		e.head = append(e.head, p)
	}
	var words [][]int32
	var tries []*rating.Trie
	for i, f := range e.frames {
		_, behind := split(f.Segments())
		w, trie, err := e.encodeRating(e.o.Rubrics[i], behind)
		if err != nil {
			return fmt.Errorf("rubric %s: %w", e.o.Rubrics[i].Name, err)
		}
		words, tries = append(words, w), append(tries, trie)
	}
	if e.tail, err = newTail(words, tries); err != nil {
		return err
	}
	if room := e.o.Ctx - len(e.prefix) - e.RatingTokens(); room < 32 {
		return fmt.Errorf("a context of %d tokens leaves %d for a record: the rubric takes the rest; raise -c", e.o.Ctx, room)
	}
	return nil
}

// encodeRating tokenizes what stands between the record and a criterion's rating,
// and builds the trie of its scale.
func (e *Engine) encodeRating(r rubric.Rubric, behind string) ([]int32, *rating.Trie, error) {
	seqs := make([][]int32, len(r.Scale.Strings))
	for i, s := range r.Scale.Strings {
		var err error
		if seqs[i], err = e.tok.answer(behind, r.Cue+s); err != nil {
			return nil, nil, err
		}
	}
	trie, err := rating.NewTrie(r.Scale, seqs)
	if err != nil {
		return nil, nil, err
	}
	words, err := e.tok.next(nil, behind, true)
	if err != nil {
		return nil, nil, err
	}
	return append(words, trie.Prefix...), trie, nil
}

// checkFrames makes sure that several criteria can share a record: they must not
// differ before its end.
func (e *Engine) checkFrames() error {
	a := e.o.Rubrics[0]
	head, _ := split(e.frames[0].Segments())
	for i, f := range e.frames[1:] {
		b := e.o.Rubrics[i+1]
		if slices.ContainsFunc(e.o.Rubrics[:i+1], func(r rubric.Rubric) bool { return r.Name == b.Name }) {
			return fmt.Errorf("rubric %s stands there twice", b.Name)
		}
		if !slices.Equal(a.Scale.Strings, b.Scale.Strings) || !slices.Equal(a.Scale.Values, b.Scale.Values) {
			return fmt.Errorf("rubrics %s and %s have different scales: criteria that are rated together need the same", a.Name, b.Name)
		}
		other, _ := split(f.Segments())
		if f.Prefix() != e.frames[0].Prefix() || !slices.Equal(head, other) {
			examples := ""
			if len(a.Examples)+len(b.Examples) > 0 {
				examples = " (examples stand there too, each with the words and the cue around it)"
			}
			return fmt.Errorf("rubrics %s and %s differ before the end of the record%s, so they cannot share its pass: use rubrics that name their criterion behind the record, such as accuracy and helpfulness, or grade with one after the other, each with a scores file of its own", a.Name, b.Name, examples)
		}
	}
	return nil
}

// split cuts segments behind the last text of a record. What follows is one
// trusted text or none.
func split(segments []prompt.Segment) (head []prompt.Segment, behind string) {
	if n := len(segments); n > 0 && segments[n-1].Field == prompt.None {
		return segments[:n-1], segments[n-1].Text
	}
	return segments, ""
}
