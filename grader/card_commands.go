package grader

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// reproduce writes the commands that make the set again, with the hashes of all files.
func (p *cardPrinter) reproduce() {
	t, m := p.text, p.text.Manifest
	p.line("\n## How to reproduce\n\n```sh")
	var files, names []string
	for _, f := range p.card.Files {
		name := filepath.Base(f.Name)
		files = append(files, f.SHA256+"  "+comment(name))
		names = append(names, shell(name))
	}
	p.line("# sha256sum")
	for _, f := range files {
		p.line("# %s", f)
	}
	p.line("# %s  %s", comment(m.Model.SHA256), comment(m.Model.Name))
	if m.Calibration != nil {
		p.line("# %s  %s", comment(m.Calibration.SHA256), comment(m.Calibration.Name))
	}
	p.line("# %s  %s", p.card.Scores.SHA256, comment(filepath.Base(p.card.Scores.Name)))
	kept := "kept.jsonl"
	for _, f := range p.card.KeptFiles {
		p.line("# %s  %s", f.SHA256, comment(filepath.Base(f.Name)))
	}
	if len(p.card.KeptFiles) > 0 {
		kept = shell(filepath.Base(p.card.KeptFiles[0].Name))
	}
	rubrics := make([]string, len(m.Rubrics))
	for i, r := range m.Rubrics {
		rubrics[i] = r.Name
		p.line("# rubric %s: %s", comment(r.Name), comment(r.SHA256))
	}
	data, scores := strings.Join(names, " "), shell(filepath.Base(p.card.Scores.Name))
	fields := ""
	if t.Map != "" {
		fields = " --map " + shell(t.Map)
	}
	grade := fmt.Sprintf("winnow grade %s%s -m %s --rubric %s", data, fields, shell(m.Model.Name), shell(strings.Join(rubrics, ",")))
	if measured := m.Measured(); len(measured) > 0 {
		grade += " --signals " + measured.String()
	}
	if m.Hidden != nil {
		grade += fmt.Sprintf(" --hidden-layer %d", m.Hidden.Layer+1)
	}
	if m.Calibration != nil {
		grade += " --calibration " + shell(m.Calibration.Name)
	}
	p.line("%s -o %s", grade, scores)
	if t.Turns != "" && t.Turns != MinTurn {
		fields += " --turns " + string(t.Turns)
	}
	switch {
	case strings.HasPrefix(t.Rule, "-"):
		p.line("winnow %s %s%s --scores %s %s -o %s", p.command(), data, fields, scores, comment(t.Rule), kept)
	case t.Rule == "" && p.card.Cut.Min != nil:
		if p.card.Copies > 0 {
			fields += " --dedup exact"
		}
		p.line("winnow filter %s%s --scores %s --min %s -o %s", data, fields, scores, strconv.FormatFloat(*p.card.Cut.Min, 'f', -1, 64), kept)
	default:
		p.line("# then, with the rule above in place of RULE:")
		p.line("winnow filter %s%s --scores %s RULE -o %s", data, fields, scores, kept)
	}
	p.line("```")
}

// command is which command the flags of a rule are of.
func (p *cardPrinter) command() string {
	if strings.Contains(p.text.Rule, "--diverse") || strings.Contains(p.text.Rule, "--rule") || strings.Contains(p.text.Rule, "--quota") {
		return "select"
	}
	return "filter"
}
