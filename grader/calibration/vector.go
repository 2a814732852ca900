package calibration

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// vector is numbers of single precision. In JSON few are a list, and many are the
// base64 form of their little-endian bytes.
type vector []float32

// listed is how many numbers a vector has at most that is spelled as a list.
const listed = 64

func (v vector) MarshalJSON() ([]byte, error) {
	for i, x := range v {
		if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
			return nil, fmt.Errorf("number %d is %g", i, y)
		}
	}
	if len(v) <= listed {
		return json.Marshal([]float32(v))
	}
	b := make([]byte, 0, 4*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return json.Marshal(b)
}

func (v *vector) UnmarshalJSON(text []byte) error {
	if len(text) == 0 || text[0] != '"' {
		return json.Unmarshal(text, (*[]float32)(v))
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	if len(b)%4 != 0 {
		return errors.New("base64 of numbers is not of whole numbers")
	}
	*v = make(vector, len(b)/4)
	for i := range *v {
		x := math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
			return fmt.Errorf("number %d is %g", i, y)
		}
		(*v)[i] = x
	}
	return nil
}

// rounded returns x in single precision.
func rounded(x []float64) vector {
	v := make(vector, len(x))
	for i := range x {
		v[i] = float32(x[i])
	}
	return v
}
