package htmlreport

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"strings"

	"winnow/grader/audit"
	"winnow/grader/calibration"
	"winnow/grader/journal"
	"winnow/grader/metric"
)

// Calibration is what winnow calibrate found.
type Calibration struct {
	Kind     string               `json:"kind"` // calibration, or calibration_report
	Method   string               `json:"method"`
	Accepted bool                 `json:"accepted"`
	Reason   string               `json:"reason"`
	Evidence calibration.Evidence `json:"evidence"`
	Judge    struct {
		Model journal.Model `json:"model"`
	} `json:"judge"` // empty in what calibrate --json prints
}

// Audit is what winnow audit --json prints.
type Audit struct {
	Kind string `json:"kind"` // audit
	audit.Report
}

// mostEvidence is how many bytes a file of evidence may have.
const mostEvidence = 256 << 20

func readJSON(path string, to any) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > mostEvidence {
		return fmt.Errorf("%s: %d bytes, want %d at most", path, info.Size(), mostEvidence)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, to); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// ReadCalibration reads the file that winnow calibrate wrote, or what its --json printed.
func ReadCalibration(path string) (*Calibration, error) {
	c := &Calibration{}
	if err := readJSON(path, c); err != nil {
		return nil, fmt.Errorf("read calibration: %w: want a file that winnow calibrate wrote, or the line that its --json printed", err)
	}
	if c.Kind != "calibration" && c.Kind != "calibration_report" {
		return nil, fmt.Errorf("read calibration: %s: its kind is %q: want a file that winnow calibrate wrote, or the line that its --json printed", path, c.Kind)
	}
	return c, nil
}

// ReadAudit reads what winnow audit --json printed.
func ReadAudit(path string) (*Audit, error) {
	a := &Audit{}
	if err := readJSON(path, a); err != nil {
		return nil, fmt.Errorf("read audit: %w: want the line that winnow audit --json printed", err)
	}
	if a.Kind != "audit" {
		return nil, fmt.Errorf("read audit: %s: its kind is %q: want the line that winnow audit --json printed", path, a.Kind)
	}
	return a, nil
}

// foreign says that evidence is of another model; "" if it is not, or does not say.
func foreign(what string, of, own journal.Model) string {
	if of.SHA256 == "" || of.SHA256 == own.SHA256 {
		return ""
	}
	return fmt.Sprintf("This %s is of another model, %s: it says nothing certain about these ratings.", what, of.Name)
}

// verdict is a sentence for people.
func (c *Calibration) verdict() string {
	word := "not accepted"
	if c.Accepted {
		word = "accepted"
	}
	return fmt.Sprintf("Method %s, %s: %s.", clip(c.Method, 40), word, strings.TrimSuffix(clip(c.Reason, 600), "."))
}

// bins pairs the bins before and after that have records.
func (c *Calibration) bins() (list [][2]calibration.Bin) {
	none := calibration.Bin{Mean: metric.Figure(math.NaN()), Kept: metric.Figure(math.NaN())}
	before, after := c.Evidence.Before, c.Evidence.After
	for i := range max(len(before), len(after)) {
		pair := [2]calibration.Bin{none, none}
		if i < len(before) {
			pair[0] = before[i]
		}
		if i < len(after) {
			pair[1] = after[i]
		}
		if pair[0].Records+pair[1].Records > 0 {
			list = append(list, pair)
		}
	}
	return list
}

// check is one check of an audit, for people.
type check struct{ Name, Found, Verdict string }

func (a *Audit) checks() (list []check) {
	add := func(name string, r audit.Result, found string, args ...any) {
		list = append(list, check{name, fmt.Sprintf(found, args...), string(r.Verdict)})
	}
	add("true against shuffled responses", a.Shuffled.Result, "AUC %s of %d pairs", a.Shuffled.AUC, a.Shuffled.Pairs)
	add("rating and length", a.Length.Result, "Spearman %s", a.Length.Spearman)
	for _, c := range a.Criteria {
		add("criteria "+c.A+" and "+c.B, c.Result, "Spearman %s", c.Spearman)
	}
	add("saturation and ties", a.Spread.Result, "mean %s, deviation %s, %d different ratings", figure(a.Spread.Mean), figure(a.Spread.SD), a.Spread.Distinct)
	for _, d := range a.Drift {
		add("drift: "+d.Text, d.Result, "greatest change %.3g, %d of %d equal to the last bit", float64(d.Max), d.Equal, d.Records)
	}
	for _, c := range a.Canaries {
		if c.Made > 0 {
			add(string(c.Aim)+": "+c.Name, c.Result, "median change %s, %d up across the cut, %d down", c.Median, c.Up, c.Down)
		}
	}
	return list
}
