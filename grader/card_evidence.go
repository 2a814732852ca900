package grader

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"winnow/grader/calibration"
	"winnow/grader/journal"
)

// CardEvaluation is what winnow evaluate --json printed of a judge.
type CardEvaluation struct {
	Gold struct {
		Path string `json:"path"`
		Half string `json:"half"`
	} `json:"gold"`
	Judge struct {
		Model    string   `json:"model"`
		Criteria []string `json:"criteria"`
	} `json:"judge"`
	Labels *LabelEvaluation `json:"labels"`
	Pairs  *PairEvaluation  `json:"pairs"`
}

// ReadCardEvaluation reads the evaluation at path, which must be of the judge of a manifest,
// by the model's name and the criteria: it has no hash.
func ReadCardEvaluation(path string, m journal.Manifest) (*CardEvaluation, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read evaluation: %w", err)
	}
	var e struct {
		Kind string `json:"kind"`
		CardEvaluation
	}
	const want = "want a file with the line that winnow evaluate --json prints"
	if err := json.Unmarshal(b, &e); err != nil {
		return nil, fmt.Errorf("evaluation %s: %w: %s", path, err, want)
	}
	switch {
	case e.Kind != "evaluation" || e.Labels == nil && e.Pairs == nil:
		return nil, fmt.Errorf("evaluation %s: its kind is %q, or it has neither labels nor pairs: %s", path, e.Kind, want)
	case e.Judge.Model != m.Model.Name || !slices.Equal(e.Judge.Criteria, m.Criteria()):
		return nil, fmt.Errorf("evaluation %s is of %s with %s, the scores are of %s with %s: evaluate this judge", path,
			e.Judge.Model, strings.Join(e.Judge.Criteria, ", "), m.Model.Name, strings.Join(m.Criteria(), ", "))
	}
	return &e.CardEvaluation, nil
}

// ReadCardCalibration reads the calibration at path, which must be the one of a manifest.
func ReadCardCalibration(path string, m journal.Manifest) (*calibration.File, error) {
	f, err := calibration.Read(path)
	if err != nil {
		return nil, err
	}
	if m.Calibration == nil {
		return nil, fmt.Errorf("calibration %s: the scores were made without one: add its probabilities with winnow calibrate --apply, or leave it out", path)
	}
	bound, err := f.Bind(m)
	if err != nil {
		return nil, err
	}
	if have := bound.Manifest(); have.SHA256 != m.Calibration.SHA256 {
		return nil, fmt.Errorf("calibration %s has the SHA-256 %s, that of the scores %s: give the file that the scores were made with", path, have.SHA256, m.Calibration.SHA256)
	}
	return f, nil
}

// told says in one sentence what an evaluation showed.
func (e *CardEvaluation) told() string {
	var b strings.Builder
	half := ""
	if e.Gold.Half != "" {
		half = ", half " + e.Gold.Half + " of them,"
	}
	if p := e.Pairs; p != nil {
		fmt.Fprintf(&b, "It was measured by %d pairs of responses%s of which %d have ratings.", p.Pairs, half, p.Rated)
		for _, r := range p.Readings {
			if r.Accuracy != nil {
				fmt.Fprintf(&b, " By %s, the better response had the higher value in a share of %s.", r.Name, shownEstimate(r.Accuracy))
				break
			}
		}
		return b.String()
	}
	l := e.Labels
	fmt.Fprintf(&b, "It was measured by %d labels%s of which %d have ratings.", l.Labels, half, l.Rated)
	for _, r := range l.Readings {
		switch r.Name {
		case ratingName, calibratedName, lengthName:
		default:
			continue
		}
		name := r.Name
		if name == calibratedName {
			name = "calibrated probability"
		}
		if r.AUC != nil {
			fmt.Fprintf(&b, " The AUC of the %s is %s.", name, shownEstimate(r.AUC))
		} else if r.Spearman != nil {
			fmt.Fprintf(&b, " The rank correlation of the %s with the labels is %s.", name, shownEstimate(r.Spearman))
		}
	}
	if l.Bands != nil {
		for _, r := range l.Bands.Readings {
			if r.Name == ratingName && r.Within != nil {
				fmt.Fprintf(&b, " Among responses of about the same length that of the rating is %s.", shownEstimate(r.Within))
			}
		}
	}
	b.WriteString(" (An AUC of 0.5 is chance; intervals are of 95 %, by bootstrap.)")
	return b.String()
}

// shownEstimate is an estimate for people.
func shownEstimate(e *Estimate) string {
	if e == nil {
		return "–"
	}
	return shownFigure(e.Value, 3) + " [" + shownFigure(e.Low, 3) + ", " + shownFigure(e.High, 3) + "]"
}
