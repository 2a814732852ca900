package kernels

import (
	"context"
	"math"
	"slices"
)

const (
	kcenterLanes = 32  // KCENTER_LANES of kcenter_math.h
	kcenterTurn  = 256 // picks between two reports of progress

	kcenterSample = 1024 // bounds that the floor of a round is chosen from
)

// infinity is a distance before anything is compared.
func infinity() float32 { return float32(math.Inf(1)) }

// padded returns a number of columns rounded up to whole lanes.
func padded(dim int) int { return (dim + kcenterLanes - 1) / kcenterLanes * kcenterLanes }

// plain makes the picks of a job as KCenter defines them, in Go on one thread: a
// sweep over all rows after each pick. It is what a build without C has, and what
// the C form is tested against bit for bit.
func (job *kcenterJob) plain(ctx context.Context) error {
	near := make([]float32, job.n)
	for i := range near {
		near[i] = infinity()
	}
	centres := slices.Clone(job.start)
	for next := 0; job.missing() > 0; next++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		centre, best := int(centres[next]), uint64(0)
		near[centre] = -1
		for i := range near {
			if near[i] < 0 {
				continue
			}
			near[i] = min(near[i], job.squaredDistance(i, centre))
			best = max(best, job.key(i, near[i]))
		}
		job.picks.Distances += int64(job.n)
		if next+1 < len(centres) {
			continue
		}
		job.add(best)
		centres = append(centres, job.picks.Rows[len(job.picks.Rows)-1])
		if next%kcenterTurn == 0 {
			job.told()
		}
	}
	job.told()
	return ctx.Err()
}

// key orders rows by falling score, then by rising index; see kcenter_math.h.
func (job *kcenterJob) key(i int, near float32) uint64 {
	if job.squares != nil {
		near *= job.squares[i]
	}
	return uint64(math.Float32bits(near))<<32 | uint64(^uint32(i))
}

// squaredDistance is the definition of a distance in float32.
func (job *kcenterJob) squaredDistance(i, j int) float32 {
	var lane [kcenterLanes]float32
	for c := range job.dim {
		t := float32(job.at(i, c)) - float32(job.at(j, c))
		lane[c%kcenterLanes] = fma32(t, t, lane[c%kcenterLanes])
	}
	for half := kcenterLanes / 2; half > 0; half /= 2 {
		for l := range half {
			lane[l] += lane[l+half]
		}
	}
	return lane[0]
}

// fma32 returns x*y + z rounded once. The product is exact in float64; the sum is
// rounded to odd there, so that rounding it again to float32 is as good as rounding
// the exact one.
func fma32(x, y, z float32) float32 {
	a, b := float64(x)*float64(y), float64(z)
	sum := a + b
	// What rounding the sum took away, exactly.
	back := sum - a
	lost := (a - (sum - back)) + (b - back)
	if bits := math.Float64bits(sum); lost != 0 && bits&1 == 0 && !math.IsInf(sum, 0) {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

// halfValue returns the value of the bits of a finite IEEE binary16 number.
func halfValue(bits uint16) float32 {
	const biases = 127 - 15
	x := math.Float32frombits(uint32(bits&0x7fff)<<13) * (1 << biases)
	return math.Float32frombits(math.Float32bits(x) | uint32(bits&0x8000)<<16)
}
