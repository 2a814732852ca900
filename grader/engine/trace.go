package engine

import (
	"errors"

	"winnow/grader"
	"winnow/grader/prompt"
	"winnow/grader/record"
)

// TracedToken is one token of a prompt, for people.
type TracedToken struct {
	ID     int32
	Text   string       // the bytes that it stands for, special tokens by name
	Field  prompt.Field // whose text it is
	Shared bool         // part of what all prompts share
}

// Trace returns the exact tokens that the model sees for a record, up to the
// place where the rating by the given criterion begins.
func (e *Engine) Trace(rec *record.Record, criterion int) ([]TracedToken, error) {
	var p grader.Prompt
	ends := make([]int, len(e.head))
	if err := e.encode(rec, &p, ends); err != nil {
		return nil, err
	}
	var list []TracedToken
	add := func(toks []int32, f prompt.Field, shared bool) error {
		for _, id := range toks {
			piece, err := e.model.Vocab().Piece(nil, id, true)
			if err != nil {
				return err
			}
			list = append(list, TracedToken{ID: id, Text: string(piece), Field: f, Shared: shared})
		}
		return nil
	}
	err := add(e.prefix, prompt.None, true)
	begin := 0
	for i, end := range ends {
		err = errors.Join(err, add(p.Tokens[begin:end], e.head[i].field, false))
		begin = end
	}
	err = errors.Join(err, add(p.Tokens[begin:], prompt.None, false), add(e.tail.path(e.tail.root(criterion)), prompt.None, false))
	return list, err
}
