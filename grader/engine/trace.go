package engine

import (
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
// place where the rating begins.
func (e *Engine) Trace(rec *record.Record) ([]TracedToken, error) {
	parts, _, err := e.parts(rec)
	if err != nil {
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
	if err := add(e.prefix, prompt.None, true); err != nil {
		return nil, err
	}
	for _, p := range parts {
		if err := add(p.tokens, p.field, false); err != nil {
			return nil, err
		}
	}
	return list, nil
}
