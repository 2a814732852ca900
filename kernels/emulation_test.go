package kernels

import (
	"context"
	"errors"
	"slices"
	"testing"
)

type faultLaunchers struct {
	EndsEarly          func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_ends_early"`
	TwoBarriers        func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_two_barriers"`
	LaneMissing        func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_lane_missing"`
	ShufflesFromNobody func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_shuffles_from_nobody"`
	NotInMask          func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_not_in_mask"`
	WritesBeyond       func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_writes_beyond"`
	WritesBefore       func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_writes_before"`
	SharedIndex        func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_shared_index"`
	DynamicBeyond      func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_dynamic_beyond"`
	Misaligned         func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_misaligned"`
	Uninitialised      func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_uninitialised"`
	Races              func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_races"`
	Block              func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_block"`
	Grid               func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_grid"`
	Shared             func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_shared"`
	Allowed            func(out devicePtr, stream uintptr) int32 `symbol:"winnow_fault_allowed"`
}

type emulatedLaunchers struct {
	Live  func() int32 `symbol:"winnow_emulated_live"`
	Reset func()       `symbol:"winnow_emulated_reset"`
}

// loadFaults loads the emulation with the kernels that are wrong on purpose.
func loadFaults(t *testing.T) (*library, *faultLaunchers, *emulatedLaunchers) {
	needCompiler(t)
	l := loadEmulated(t, "selftest.cu", "emulation/faults.cu")
	faults, err := launchers[faultLaunchers](l)
	if err != nil {
		t.Fatal(err)
	}
	emulated, err := launchers[emulatedLaunchers](l)
	if err != nil {
		t.Fatal(err)
	}
	return l, faults, emulated
}

// launchOn runs a launcher with memory for 32 integers and returns them.
func launchOn(d *Device, launcher func(out devicePtr, stream uintptr) int32) ([]int32, error) {
	out := make([]int32, 32)
	return out, d.run(context.Background(), "fault", func(s *session) error {
		at, err := s.alloc(len(out) * 4)
		if err != nil {
			return err
		}
		if err := s.launch("launch", launcher(at, s.stream)); err != nil {
			return err
		}
		return downloadSlice(s, out, at)
	})
}

// TestEmulation_findsFaults launches kernels with one mistake each: the operation
// fails, and the device refuses further work.
func TestEmulation_findsFaults(t *testing.T) {
	l, faults, emulated := loadFaults(t)
	for _, c := range []struct {
		name     string
		launcher func(out devicePtr, stream uintptr) int32
		want     string
	}{
		{"a thread ends before a barrier", faults.EndsEarly, "cudaErrorLaunchFailure"},
		{"threads wait at different barriers", faults.TwoBarriers, "cudaErrorLaunchFailure"},
		{"a lane of the mask never comes", faults.LaneMissing, "cudaErrorLaunchFailure"},
		{"a shuffle from outside the mask", faults.ShufflesFromNobody, "cudaErrorLaunchFailure"},
		{"a lane that is not in its mask", faults.NotInMask, "cudaErrorLaunchFailure"},
		{"a write beyond memory", faults.WritesBeyond, "cudaErrorIllegalAddress"},
		{"a write before memory", faults.WritesBefore, "cudaErrorIllegalAddress"},
		{"an index beyond shared memory", faults.SharedIndex, "cudaErrorLaunchFailure"},
		{"a write beyond dynamic shared memory", faults.DynamicBeyond, "cudaErrorLaunchFailure"},
		{"a misaligned vector", faults.Misaligned, "cudaErrorLaunchFailure"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer emulated.Reset()
			d, err := l.open(0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = launchOn(d, c.launcher)
			var e *Error
			if !errors.As(err, &e) || e.Name != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if _, err := launchOn(d, faults.Uninitialised); !errors.Is(err, ErrBroken) || !errors.As(err, &e) {
				t.Errorf("work after that: got %v, want ErrBroken with the first error", err)
			}
			if _, err := l.open(0); !errors.As(err, &e) || e.Name != c.want {
				t.Errorf("opening the device again: got %v, want %s", err, c.want)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEmulation_refusesLaunches launches what CUDA refuses; the device goes on.
func TestEmulation_refusesLaunches(t *testing.T) {
	l, faults, emulated := loadFaults(t)
	d, err := l.open(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		launcher func(out devicePtr, stream uintptr) int32
		want     string
	}{
		{"1025 threads", faults.Block, "cudaErrorInvalidConfiguration"},
		{"an empty grid", faults.Grid, "cudaErrorInvalidConfiguration"},
		{"too much shared memory", faults.Shared, "cudaErrorInvalidValue"},
	} {
		var e *Error
		if _, err := launchOn(d, c.launcher); !errors.As(err, &e) || e.Name != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := launchOn(d, faults.Allowed); err != nil {
		t.Errorf("shared memory that was asked for: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if n := emulated.Live(); n != 0 {
		t.Errorf("%d allocations, streams and events are left after Close", n)
	}
}

// TestEmulation_shows checks that memory nobody wrote is NaN, and that a missing
// barrier gives different results in two runs.
func TestEmulation_shows(t *testing.T) {
	l, faults, _ := loadFaults(t)
	d, err := l.open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}()
	out, err := launchOn(d, faults.Uninitialised)
	if err != nil || slices.ContainsFunc(out, func(v int32) bool { return v != -1 }) {
		t.Errorf("uninitialised shared memory: %d, %v", out, err)
	}
	one, err1 := launchOn(d, faults.Races)
	two, err2 := launchOn(d, faults.Races)
	if err1 != nil || err2 != nil || slices.Equal(one, two) {
		t.Errorf("a race gives %d and %d (%v, %v): want two that differ", one, two, err1, err2)
	}
}
