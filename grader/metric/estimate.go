package metric

import (
	"encoding/json"
	"fmt"
	"math"
)

// Figure is a number that may be undefined: what is not finite is null in JSON, and null
// is NaN.
type Figure float64

// MarshalJSON implements json.Marshaler.
func (f Figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *Figure) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*f = Figure(math.NaN())
		return nil
	}
	return json.Unmarshal(text, (*float64)(f))
}

// Estimate is a figure with its bootstrap interval of 95 %.
type Estimate struct {
	Value Figure `json:"value"`
	Low   Figure `json:"low"`
	High  Figure `json:"high"`
}

// String returns the figure with its interval.
func (e Estimate) String() string {
	return fmt.Sprintf("%.3f [%.3f, %.3f]", float64(e.Value), float64(e.Low), float64(e.High))
}
