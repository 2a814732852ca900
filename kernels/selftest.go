package kernels

import (
	"context"
	"fmt"
)

// selfTestLaunchers has the launcher of selftest.cu.
type selfTestLaunchers struct {
	Run func(out, in, work devicePtr, n int32, stream uintptr) int32 `symbol:"winnow_selftest"`
}

// selfTest computes Σ(2 i + 1) for i below n, which is n², exactly.
func (d *Device) selfTest() error {
	const n = 1000 // not a multiple of a block's threads, and n² fits in a float32
	return d.run(context.Background(), "self-test", func(s *session) error {
		fns, err := launchers[selfTestLaunchers](s.lib)
		if err != nil {
			return err
		}
		in := make([]float32, n)
		for i := range in {
			in[i] = float32(i)
		}
		var at [3]devicePtr
		for i, size := range []int{n, n, 1} {
			if at[i], err = allocSlice[float32](s, size); err != nil {
				return err
			}
		}
		if err := uploadSlice(s, at[0], in); err != nil {
			return err
		}
		if err := s.launch("winnow_selftest", fns.Run(at[2], at[0], at[1], n, s.stream)); err != nil {
			return err
		}
		out := make([]float32, 1)
		if err := downloadSlice(s, out, at[2]); err != nil {
			return err
		}
		if out[0] != n*n {
			return fmt.Errorf("kernels: self-test: the GPU says that a sum is %g, which is %d: do not trust what it computes", out[0], n*n)
		}
		return nil
	})
}
