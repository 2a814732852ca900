package kernels

import "math"

// cosine_math.h and the normalising of cosine_fast.c in Go: the same bits.

const cosineLanes = 8

// cosineFold adds the lanes by the tree of cosine_fast.c.
func cosineFold(s *[cosineLanes]float64) float64 {
	return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
}

// cosineGo is the similarity of two rows of length 1.
func cosineGo(a, b []float32) float32 {
	var s [cosineLanes]float64
	for k, x := range a {
		s[k%cosineLanes] += float64(x) * float64(b[k])
	}
	return min(float32(cosineFold(&s)), 1)
}

// cosineUnitGo brings rows to length 1.
func cosineUnitGo(rows []float32, dim int) ([]float32, error) {
	unit := make([]float32, len(rows))
	for first := 0; first < len(rows); first += dim {
		row := rows[first : first+dim]
		var s [cosineLanes]float64
		for k, x := range row {
			s[k%cosineLanes] += float64(x) * float64(x)
		}
		square := cosineFold(&s)
		if !(square <= 0x1p300) {
			return nil, &RowError{Row: first / dim}
		}
		if square == 0 {
			continue
		}
		factor := 1 / math.Sqrt(square)
		for k, x := range row {
			unit[first+k] = float32(float64(x) * factor)
		}
	}
	return unit, nil
}
