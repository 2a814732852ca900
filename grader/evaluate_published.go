package grader

import "winnow/grader/gold"

// Published is what others have reported of a known judge on known pairs. It was not
// measured here.
type Published struct {
	Judge       string  `json:"judge"`
	Natural     float64 `json:"natural"`     // accuracy on LLMBar Natural, ties half
	Adversarial float64 `json:"adversarial"` // on LLMBar Adversarial, likewise
	Note        string  `json:"note,omitempty"`
}

// PublishedSource says where the figures are from.
const PublishedSource = "Z. Zeng and others, \"Evaluating Large Language Models at Evaluating Instruction Following\", 2023, arXiv:2310.07641: each response rated alone"

// PublishedFor returns the figures for pairs of a format, if there are any.
func PublishedFor(format string) []Published {
	if format != gold.LLMBar {
		return nil
	}
	return []Published{
		{Judge: "GPT-4", Natural: 0.92, Adversarial: 0.808},
		{Judge: "ChatGPT", Natural: 0.685, Adversarial: 0.448, Note: "51 % ties"},
		{Judge: "chance", Natural: 0.5, Adversarial: 0.5},
	}
}
