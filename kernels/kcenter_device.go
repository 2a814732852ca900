package kernels

import (
	"cmp"
	"context"
	"slices"
	"unsafe"
)

// KCenterKernel names one of the forms in kcenter.cu.
type KCenterKernel string

// The forms, from the simplest on. KCenterFused is used where none is named.
const (
	KCenterThread  KCenterKernel = "thread"  // a thread a row, then the greatest score
	KCenterQuarter KCenterKernel = "quarter" // four threads a row, then the greatest score
	KCenterFused   KCenterKernel = "fused"   // the same in one launch a pick
	KCenterBounds  KCenterKernel = "bounds"  // rounds with bounds, as on a CPU
)

// KCenterKernels returns all of them, in this order.
func KCenterKernels() []KCenterKernel {
	return []KCenterKernel{KCenterThread, KCenterQuarter, KCenterFused, KCenterBounds}
}

type kcenterLaunchers struct {
	Run func(kernel int32, rows devicePtr, half, n, stride int32, squares, near, best devicePtr,
		given *int32, givenCount, first, last int32, stream uintptr) int32 `symbol:"winnow_kcenter"`
}

// onDevice makes the picks of a job. It needs memory for the padded rows and 16
// bytes a row and a pick.
func (job *kcenterJob) onDevice(ctx context.Context, d *Device) error {
	if job.missing() == 0 {
		return ctx.Err()
	}
	name := cmp.Or(job.Kernel, KCenterFused)
	kernel := int32(slices.Index(KCenterKernels(), name))
	return d.run(ctx, "k-center", func(s *session) error {
		fns, err := launchers[kcenterLaunchers](s.lib)
		if err != nil {
			return err
		}
		m, err := job.upload(s)
		if err != nil {
			return err
		}
		if name == KCenterBounds {
			return job.rounds(ctx, s, m)
		}
		keys := make([]uint64, kcenterTurn)
		for first := 0; first < m.steps; first += kcenterTurn {
			if err := ctx.Err(); err != nil {
				return err
			}
			last := min(first+kcenterTurn, m.steps)
			err := s.launch(string(name), fns.Run(kernel, m.rows, m.half, int32(job.n), int32(padded(job.dim)),
				m.squares, m.near, m.best, unsafe.SliceData(job.start), int32(len(job.start)), int32(first), int32(last), s.stream))
			if err != nil {
				return err
			}
			if err := downloadSlice(s, keys[:last-first], at[uint64](m.best, first)); err != nil {
				return err
			}
			// The steps that compare with rows selected before pick nothing, but for the last.
			for _, key := range keys[min(max(len(job.start)-1-first, 0), last-first) : last-first] {
				job.add(key)
			}
			job.picks.Distances += int64(job.n) * int64(last-first)
			job.told()
		}
		return nil
	})
}

// kcenterMemory is a job on a device.
type kcenterMemory struct {
	rows, squares, near, best devicePtr
	half                      int32
	steps                     int
}

func (job *kcenterJob) upload(s *session) (m kcenterMemory, err error) {
	if len(job.Half) > 0 {
		m.half = 1
		m.rows, err = uploadPadded(s, job.Half, job.dim)
	} else {
		m.rows, err = uploadPadded(s, job.Rows, job.dim)
	}
	if err != nil {
		return m, err
	}
	if job.squares != nil {
		if m.squares, err = uploadNew(s, job.squares); err != nil {
			return m, err
		}
	}
	near := make([]float32, job.n)
	for i := range near {
		near[i] = infinity()
	}
	if m.near, err = uploadNew(s, near); err != nil {
		return m, err
	}
	m.steps = len(job.start) - 1 + job.missing() // each makes a pick but the first ones
	if m.best, err = allocSlice[uint64](s, m.steps); err != nil {
		return m, err
	}
	return m, s.fill(m.best, 0, m.steps*int(unsafe.Sizeof(uint64(0))))
}

// uploadNew copies a slice into device memory of its own.
func uploadNew[T any](s *session, from []T) (devicePtr, error) {
	to, err := allocSlice[T](s, len(from))
	if err != nil {
		return 0, err
	}
	return to, uploadSlice(s, to, from)
}

// uploadPadded copies rows of dim columns, padded with zeros to whole lanes.
func uploadPadded[T float32 | uint16](s *session, from []T, dim int) (devicePtr, error) {
	stride := padded(dim)
	if stride == dim {
		return uploadNew(s, from)
	}
	n := len(from) / dim
	to, err := allocSlice[T](s, n*stride)
	if err != nil {
		return 0, err
	}
	const part = 4096 // rows
	staged := make([]T, min(n, part)*stride)
	for first := 0; first < n; first += part {
		rows := min(part, n-first)
		for i := range rows {
			copy(staged[i*stride:], from[(first+i)*dim:][:dim])
		}
		if err := uploadSlice(s, at[T](to, first*stride), staged[:rows*stride]); err != nil {
			return 0, err
		}
	}
	return to, nil
}
