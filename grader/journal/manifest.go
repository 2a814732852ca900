package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"winnow/grader/rating"
)

const (
	manifestKind = "manifest"
	version      = 2
)

// manifestStart is how the first line of a journal of any version begins.
const manifestStart = `{"kind":"manifest","version":`

// Manifest is the fingerprint of the judge: two journals whose manifests do
// not differ hold ratings that may be mixed.
type Manifest struct {
	Kind     string            `json:"kind"`    // "manifest"; set by Open
	Version  int               `json:"version"` // of the journal's format; set by Open
	Model    Model             `json:"model"`
	Rubrics  []Rubric          `json:"rubrics"` // at least one; each is a criterion of its own
	Scale    Scale             `json:"scale"`   // of all criteria
	Template Template          `json:"template"`
	Runtime  Runtime           `json:"runtime"`
	Settings map[string]string `json:"settings"` // whatever else changes ratings, such as ctx_size

	Signals     []string     `json:"signals,omitempty"`     // scalar signals of each rated entry, by their names in package signal
	Hidden      *Hidden      `json:"hidden,omitempty"`      // the hidden state of each rated entry
	Calibration *Calibration `json:"calibration,omitempty"` // what made each rated entry's probability
}

// Hidden says which hidden state entries have: of the output of a layer the mean over
// the response's tokens, then the state at the prompt's last token.
type Hidden struct {
	Layer int `json:"layer"` // from 0
	Size  int `json:"size"`  // numbers: twice the model's width
}

// Calibration is what turns ratings into probabilities.
type Calibration struct {
	Name   string `json:"name"` // of the file, for people
	SHA256 string `json:"sha256"`
}

// Model is the file that rates.
type Model struct {
	Name   string `json:"name"` // of the file, for people; a renamed model is the same judge
	SHA256 string `json:"sha256"`
	Format string `json:"format"` // of its weights, such as F16
}

// Rubric is what the model is asked.
type Rubric struct {
	Name   string `json:"name"`   // of the criterion; no two of a manifest have the same
	SHA256 string `json:"sha256"` // of its content
}

// Scale is a rating.Scale with the names of its JSON form; either converts to
// the other.
type Scale struct {
	Strings []string  `json:"strings"`
	Values  []float64 `json:"values"`
}

// Template is the chat template that frames a prompt.
type Template struct {
	Source string `json:"source"` // gguf, llama.cpp or plain
	SHA256 string `json:"sha256"` // of the rendered frame
}

// Runtime is what computes.
type Runtime struct {
	Engine string `json:"engine"` // name and version
	Device string `json:"device"` // such as CPU
}

// Differences says in which fields the manifest of a journal, m, differs from
// that of a run, one sentence for each field, with the flags that the run lacks
// where the two differ in what entries have beside ratings. The names of the model
// and of a calibration are not compared.
func (m Manifest) Differences(run Manifest) []string {
	const journal, own = "the journal", "this run"
	return append(m.judgeDifferences(run, journal, own), m.measuredDifferences(run, journal, own, true)...)
}

// differences calls the two manifests by these names.
func (m Manifest) differences(run Manifest, this, that string) []string {
	return append(m.judgeDifferences(run, this, that), m.measuredDifferences(run, this, that, false)...)
}

// judgeDifferences leaves out what entries have beside ratings.
func (m Manifest) judgeDifferences(run Manifest, this, that string) []string {
	var diffs []string
	compare := func(field, journal, run string) {
		if journal != run {
			diffs = append(diffs, fmt.Sprintf("%s: %s has %s, %s has %s", field, this, orEmpty(journal), that, orEmpty(run)))
		}
	}
	compareHash := func(field, journal, run string) {
		if a, b := abbreviate(journal), abbreviate(run); a != b {
			compare(field, a, b)
		} else {
			compare(field, journal, run)
		}
	}
	compare("format version", strconv.Itoa(m.Version), strconv.Itoa(run.Version))
	compareHash("model sha256", m.Model.SHA256, run.Model.SHA256)
	compare("model format", m.Model.Format, run.Model.Format)
	if len(m.Rubrics) == 1 && len(run.Rubrics) == 1 {
		compare("rubric name", m.Rubrics[0].Name, run.Rubrics[0].Name)
		compareHash("rubric sha256", m.Rubrics[0].SHA256, run.Rubrics[0].SHA256)
	} else {
		compare("rubrics", quoteAll(m.Criteria(), ", "), quoteAll(run.Criteria(), ", "))
		for _, a := range m.Rubrics {
			for _, b := range run.Rubrics {
				if a.Name == b.Name {
					compareHash("rubric "+a.Name+" sha256", a.SHA256, b.SHA256)
				}
			}
		}
	}
	compare("scale", m.Scale.String(), run.Scale.String())
	compare("template source", m.Template.Source, run.Template.Source)
	compareHash("template sha256", m.Template.SHA256, run.Template.SHA256)
	compare("runtime engine", m.Runtime.Engine, run.Runtime.Engine)
	compare("runtime device", m.Runtime.Device, run.Runtime.Device)

	names := slices.AppendSeq(slices.Collect(maps.Keys(m.Settings)), maps.Keys(run.Settings))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		compare("setting "+name, setting(m.Settings, name), setting(run.Settings, name))
	}
	return diffs
}

// Criteria returns the names of the rubrics.
func (m Manifest) Criteria() []string {
	names := make([]string, len(m.Rubrics))
	for i, r := range m.Rubrics {
		names[i] = r.Name
	}
	return names
}

func orEmpty(s string) string {
	if s == "" {
		return `""`
	}
	return s
}

// abbreviate returns enough of a hash to tell it from another by eye.
func abbreviate(hash string) string {
	const digits = 12
	if len(hash) <= digits {
		return hash
	}
	return hash[:digits] + "…"
}

// setting returns a setting's value in a form that tells "none" from none at
// all.
func setting(settings map[string]string, name string) string {
	value, ok := settings[name]
	switch {
	case !ok:
		return "none"
	case value == "none":
		return strconv.Quote(value)
	}
	return value
}

// String returns the ratings, each with its value where the string does not
// already say it.
func (s Scale) String() string {
	var b strings.Builder
	for i, str := range s.Strings {
		if i > 0 {
			b.WriteByte(' ')
		}
		str = quote(str)
		b.WriteString(str)
		if i < len(s.Values) {
			if value := strconv.FormatFloat(s.Values[i], 'g', -1, 64); value != str {
				b.WriteString("=" + value)
			}
		}
	}
	return b.String()
}

// quote returns s so that it can be told from others in a list.
func quote(s string) string {
	if strings.ContainsAny(s, " ,=\"") {
		return strconv.Quote(s)
	}
	return s
}

func quoteAll(names []string, sep string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return strings.Join(quoted, sep)
}

// line returns the manifest's line and the manifest as it will be read back.
func (m Manifest) line() ([]byte, Manifest, error) {
	m.Kind, m.Version = manifestKind, version
	if m.Settings == nil {
		m.Settings = map[string]string{}
	}
	if err := m.validate(); err != nil {
		return nil, m, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(m); err != nil {
		return nil, m, err
	}
	body := bytes.TrimSuffix(b.Bytes(), []byte("}\n"))
	back, err := parseManifest(body)
	return seal(body, 0), back, err
}

// validate reports why no entry can be written under m.
func (m Manifest) validate() error {
	if len(m.Rubrics) == 0 {
		return errors.New("it names no rubric, want at least one")
	}
	for i, r := range m.Rubrics {
		switch {
		case r.Name == "" || !utf8.ValidString(r.Name):
			return fmt.Errorf("the name of rubric %d, %q, is empty or not UTF-8", i+1, r.Name)
		case slices.ContainsFunc(m.Rubrics[:i], func(earlier Rubric) bool { return earlier.Name == r.Name }):
			return fmt.Errorf("two rubrics have the name %q: give each criterion once", r.Name)
		}
	}
	for _, str := range m.Scale.Strings {
		if !utf8.ValidString(str) {
			return fmt.Errorf("the rating %q of the scale is not UTF-8", str)
		}
	}
	if err := rating.Scale(m.Scale).Validate(); err != nil {
		return err
	}
	return m.validateMeasured()
}

// parseManifest reads the body of a manifest's line.
func parseManifest(body []byte) (Manifest, error) {
	text := append(slices.Clone(body), '}')
	var head struct {
		Kind    string `json:"kind"`
		Version int    `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Kind != manifestKind {
		return Manifest{}, errors.New("this is no journal's first line")
	}
	if head.Version != version {
		return Manifest{}, &VersionError{Version: head.Version}
	}
	var m Manifest
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("the manifest cannot be read: %w", err)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("the manifest cannot be used: %w", err)
	}
	return m, nil
}
