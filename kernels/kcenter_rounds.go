package kernels

import (
	"context"
	"math/rand/v2"
	"slices"
)

const (
	// On a device one row in so many is above a round's floor: a round costs three
	// waits for the device, so there are fewer of them than on a CPU.
	kcenterDeviceShare = 16

	kcenterBatch = 32 // picks that a round launches before it looks whether it is over
)

type kcenterRoundLaunchers struct {
	Keys    func(squares, near, which devicePtr, count int32, keys devicePtr, stream uintptr) int32           `symbol:"winnow_kcenter_keys"`
	Above   func(n int32, squares, near devicePtr, floor uint64, list, found devicePtr, stream uintptr) int32 `symbol:"winnow_kcenter_above"`
	CatchUp func(rows devicePtr, half, stride int32, squares, near, seen, centres devicePtr, centreCount int32, floor uint64,
		list devicePtr, listed int32, distances devicePtr, stream uintptr) int32 `symbol:"winnow_kcenter_catch_up"`
	Drain func(rows devicePtr, half, stride int32, squares, near, seen, centres devicePtr, centreCount, picks, update int32, floor uint64,
		list devicePtr, listed int32, stream uintptr) int32 `symbol:"winnow_kcenter_drain"`
}

// kcenterRounds is a job on a device by KCenterBounds.
type kcenterRounds struct {
	*kcenterJob
	*kcenterRoundLaunchers
	m kcenterMemory
	s *session

	centres                          devicePtr // count keys, and cells for those to come
	count                            int
	seen, list, found, which, sample devicePtr
	distances                        devicePtr // one number
	samples                          int
}

// rounds makes the picks of a job whose rows are on the device.
func (job *kcenterJob) rounds(ctx context.Context, s *session, m kcenterMemory) error {
	fns, err := launchers[kcenterRoundLaunchers](s.lib)
	if err != nil {
		return err
	}
	r := &kcenterRounds{kcenterJob: job, m: m, kcenterRoundLaunchers: fns, s: s}
	if err := r.prepare(); err != nil {
		return err
	}
	for job.missing() > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		floor, err := r.floor()
		if err != nil {
			return err
		}
		found := [2]uint64{}
		if err := s.fill(r.found, 0, 16); err != nil {
			return err
		}
		if err := s.launch("above", r.Above(int32(r.n), r.m.squares, r.m.near, floor, r.list, r.found, s.stream)); err != nil {
			return err
		}
		if err := downloadSlice(s, found[:], r.found); err != nil {
			return err
		}
		if found[1]>>32 == 0 {
			if err := r.pickEqual(); err != nil {
				return err
			}
			break
		}
		listed := int32(found[0])
		err = s.launch("catch_up", r.CatchUp(r.m.rows, r.m.half, int32(padded(r.dim)), r.m.squares, r.m.near, r.seen, r.centres, int32(r.count), floor, r.list, listed, r.distances, s.stream))
		if err != nil {
			return err
		}
		if err := r.drain(ctx, listed, floor); err != nil {
			return err
		}
	}
	var caughtUp [1]int64
	if err := downloadSlice(s, caughtUp[:], r.distances); err != nil {
		return err
	}
	job.picks.Distances += caughtUp[0]
	job.told()
	return ctx.Err()
}

// prepare makes what only this form needs.
func (r *kcenterRounds) prepare() (err error) {
	near := make([]float32, r.n)
	for i := range near {
		near[i] = infinity()
	}
	keys := make([]uint64, len(r.start)+r.missing())
	for j, i := range r.start {
		near[i] = -1
		keys[j] = uint64(^uint32(i))
	}
	r.count = len(r.start)
	if err := uploadSlice(r.s, r.m.near, near); err != nil {
		return err
	}
	if r.centres, err = uploadNew(r.s, keys); err != nil {
		return err
	}
	if r.seen, err = uploadNew(r.s, make([]int32, r.n)); err != nil {
		return err
	}
	which := make([]int32, min(r.n, kcenterSample))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range which {
		which[i] = int32(i)
		if r.n > kcenterSample {
			which[i] = int32(random.IntN(r.n))
		}
	}
	r.samples = len(which)
	if r.which, err = uploadNew(r.s, which); err != nil {
		return err
	}
	if r.sample, err = allocSlice[uint64](r.s, r.samples); err != nil {
		return err
	}
	if r.list, err = allocSlice[int32](r.s, r.n); err != nil {
		return err
	}
	if r.found, err = allocSlice[uint64](r.s, 2); err != nil {
		return err
	}
	r.distances, err = uploadNew(r.s, make([]int64, 1))
	return err
}

// floor returns a key that about one row's bound in kcenterDeviceShare is not below,
// from the bounds of the same rows every time; 1, below all, when these are picked.
func (r *kcenterRounds) floor() (uint64, error) {
	if err := r.s.launch("keys", r.Keys(r.m.squares, r.m.near, r.which, int32(r.samples), r.sample, r.s.stream)); err != nil {
		return 0, err
	}
	keys := make([]uint64, r.samples)
	if err := downloadSlice(r.s, keys, r.sample); err != nil {
		return 0, err
	}
	keys = slices.DeleteFunc(keys, func(k uint64) bool { return k == 0 })
	if len(keys) == 0 {
		return 1, nil
	}
	slices.Sort(keys)
	return keys[len(keys)-1-len(keys)/kcenterDeviceShare], nil
}

// drain makes picks among the listed rows whose score is not below the floor.
func (r *kcenterRounds) drain(ctx context.Context, listed int32, floor uint64) error {
	keys := make([]uint64, kcenterBatch)
	for update := int32(0); r.missing() > 0; update = 1 {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := keys[:min(kcenterBatch, r.missing())]
		cells := at[uint64](r.centres, r.count)
		// A cell may hold a key below the floor of the round before.
		if err := r.s.fill(cells, 0, 8*len(batch)); err != nil {
			return err
		}
		err := r.s.launch("drain", r.Drain(r.m.rows, r.m.half, int32(padded(r.dim)), r.m.squares, r.m.near, r.seen, r.centres,
			int32(r.count), int32(len(batch)), update, floor, r.list, listed, r.s.stream))
		if err != nil {
			return err
		}
		if err := downloadSlice(r.s, batch, cells); err != nil {
			return err
		}
		for _, key := range batch {
			if key < floor {
				return nil
			}
			r.add(key)
			r.count++
			r.picks.Distances += int64(listed) // with it, by the next step
		}
		r.told()
	}
	return nil
}

// pickEqual makes the picks that are left when all rows score 0.
func (r *kcenterRounds) pickEqual() error {
	near := make([]float32, r.n)
	if err := downloadSlice(r.s, near, r.m.near); err != nil {
		return err
	}
	r.addEqual(near)
	return nil
}
