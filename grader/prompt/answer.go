package prompt

import "winnow/grader/rubric"

// NewAnswerFrame renders what a model that is to answer an instruction itself is
// shown: one user message, which is the instruction and, with input, an empty line and
// the input. The templates are tried as NewFrame does; in the plain layout the line
// "### Response:" asks for the answer. The frame has no hole for a response, which
// follows it.
func NewAnswerFrame(m Model, input bool) (*Frame, error) {
	m.answers = true
	parts := []rubric.Part{{Field: Instruction}}
	if input {
		parts = append(parts, rubric.Part{Text: "\n\n"}, rubric.Part{Field: Input})
	}
	return newFrame(rubric.Rubric{Name: "answer"}, parts, m)
}
