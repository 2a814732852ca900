package grader

import (
	"strings"
	"unicode"
)

// What stands for instructions without a verb of the list.
const (
	questionVerb = "(a question)"
	otherVerb    = "(none of the list)"
)

// instructionVerbs are English verbs that instructions begin with.
var instructionVerbs = wordSet(`
	act add analyze analyse answer arrange assign brainstorm build calculate categorize change check
	choose cite classify code combine come compare complete compose compute conduct consider construct
	contrast convert correct count craft create cut debug decide deduce define delete demonstrate derive
	describe design detect determine develop devise differentiate discuss distinguish divide draft draw
	edit elaborate eliminate estimate evaluate examine expand explain express extract fill find fix
	formulate generate give guess help identify illustrate imagine implement improve include infer insert
	interpret invent list locate make match modify multiply name offer optimize order organize outline
	paraphrase parse pick plan point predict prepare present produce proofread propose prove provide put
	rank rate read recommend reconstruct reduce reformulate remove rename reorder rephrase replace report
	research respond restate retrieve reverse review revise rewrite reword round say search select
	separate set share shorten show simplify simulate solve sort specify spell split state subtract suggest
	sum summarize summarise supply take tell think train transform translate transcribe turn underline
	update use verify visualize write`)

// questionWords begin questions.
var questionWords = wordSet(`
	what what's how why who whom whose which when where is are was were do does did has have had will would
	should am may might must`)

func wordSet(list string) map[string]bool {
	set := map[string]bool{}
	for _, w := range strings.Fields(list) {
		set[w] = true
	}
	return set
}

// verbWords is how many words of an instruction are looked at.
const verbWords = 20

// firstVerb returns the first word of an instruction that is a verb of the list, in lower
// case. It goes by words alone: "name" is taken for a verb wherever it stands first. An
// instruction that begins with a word of questions is one.
func firstVerb(instruction string) string {
	words := strings.FieldsFunc(strings.ToLower(instruction), func(r rune) bool { return !unicode.IsLetter(r) && r != '\'' && r != '’' })
	for i, w := range words[:min(verbWords, len(words))] {
		switch {
		case instructionVerbs[w]:
			return w
		case i == 0 && questionWords[strings.ReplaceAll(w, "’", "'")]:
			return questionVerb
		}
	}
	return otherVerb
}
