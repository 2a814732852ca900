package kernels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"winnow/internal/osthread"
)

// Device is one GPU with its stream and workspaces. Its methods and the operations
// that take it may be called concurrently; work runs in turn on one OS thread.
type Device struct {
	lib     *library
	ordinal int32
	thread  *osthread.Thread
	leak    runtime.Cleanup
	debug   bool
	info    atomic.Pointer[Info] // as it was read last

	// The rest belongs to the thread.
	stream uintptr
	events [2]uintptr // the begin and the end of a launch that is timed
	free   []block    // memory that no session uses
	trace  func(Launch)
	broken error
	closed bool

	closing sync.Once
	closeOK error
}

// Info says what a Device is.
type Info struct {
	Name               string
	Capability         int    // compute capability times ten: 90 is 9.0
	MemoryBytes        uint64 // of the whole GPU
	FreeBytes          uint64 // when it was asked
	Multiprocessors    int
	BandwidthBytesPerS uint64 // of the memory, by its clock and width; 0 if unknown
	Emulated           bool   // no GPU at all: the tests' emulation
}

// Launch is one timed call of a launcher.
type Launch struct {
	Op, Name string
	Elapsed  time.Duration // on the device's clock; a few microseconds of the host's are in it
}

// Open finds and loads the library, takes the GPU of that ordinal, from 0, and
// computes a small sum on it. The error is ErrNoLibrary or ErrNoDevice where there
// is nothing to open, and another one where there is and it does not work. The
// caller closes the Device.
func Open(ordinal int) (*Device, error) {
	path, err := findLibrary()
	if err != nil {
		return nil, err
	}
	lib, err := loadLibrary(path)
	if err != nil {
		return nil, err
	}
	return lib.open(ordinal)
}

// devices returns how many GPUs there are.
func (l *library) devices() (int, error) {
	var count int32
	if err := l.err("counting GPUs", l.DeviceCount(&count)); err != nil {
		var e *Error
		if errors.As(err, &e) && e.Code == codeOldDriver {
			return 0, fmt.Errorf("%w: there is no NVIDIA driver, or it is older than CUDA 13 needs (580): %w", ErrNoDevice, err)
		}
		return 0, fmt.Errorf("%w: %w", ErrNoDevice, err)
	}
	return int(count), nil
}

func (l *library) open(ordinal int) (*Device, error) {
	count, err := l.devices()
	if err != nil {
		return nil, err
	}
	if ordinal < 0 || ordinal >= count {
		return nil, fmt.Errorf("%w: GPU %d of %d: they are counted from 0", ErrNoDevice, ordinal, count)
	}
	d := &Device{lib: l, ordinal: int32(ordinal), thread: osthread.Start()}
	d.debug = os.Getenv("WINNOW_KERNELS_DEBUG") == "1"
	if d.debug {
		d.trace = func(t Launch) {
			slog.Info("launch", "device", ordinal, "op", t.Op, "kernel", t.Name, "elapsed", t.Elapsed)
		}
	}
	err = d.thread.Do(context.Background(), d.start)
	if err == nil {
		err = d.selfTest()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening GPU %d: %w", ordinal, err), d.Close())
	}
	d.leak = watchLeak(d)
	return d, nil
}

// start makes the stream and the events.
func (d *Device) start() error {
	l := d.lib
	if err := d.readInfo(); err != nil {
		return err
	}
	if err := l.err("making a stream", l.StreamOpen(d.ordinal, &d.stream)); err != nil {
		return err
	}
	for i := range d.events {
		if err := l.err("making an event", l.EventOpen(d.ordinal, &d.events[i])); err != nil {
			return err
		}
	}
	return nil
}

func (d *Device) readInfo() error {
	var name [256]byte
	var v [6]int64
	if err := d.lib.err("reading a GPU's properties", d.lib.DeviceInfo(d.ordinal, &name[0], int32(len(name)), &v[0])); err != nil {
		return err
	}
	text, _, _ := bytes.Cut(name[:], []byte{0})
	d.info.Store(&Info{
		Name:            string(text),
		Capability:      int(v[0]),
		Multiprocessors: int(v[1]),
		// Two transfers a clock: kHz × 1000 × 2 × bits / 8.
		BandwidthBytesPerS: uint64(v[2]) * uint64(v[3]) * 250,
		MemoryBytes:        uint64(v[4]),
		FreeBytes:          uint64(v[5]),
		Emulated:           d.lib.Architectures() == "emulated",
	})
	return nil
}

// Info returns what the device is, with the memory that is free now. Of a closed or
// broken Device it returns what was known last.
func (d *Device) Info() Info {
	// A failure leaves what was known, and the next operation meets it.
	_ = d.thread.Do(context.Background(), func() error {
		if d.closed || d.broken != nil {
			return nil
		}
		return d.readInfo()
	})
	return *d.info.Load()
}

// SetTrace has f called after each launch from now on, on the device's own thread;
// nil ends that. A traced launch is waited for and timed.
func (d *Device) SetTrace(f func(Launch)) error {
	return d.do(context.Background(), func() error {
		d.trace = f
		return nil
	})
}

// do runs f on the device's thread.
func (d *Device) do(ctx context.Context, f func() error) error {
	err := d.thread.Do(ctx, f)
	if errors.Is(err, osthread.ErrStopped) {
		return ErrClosed
	}
	return err
}

// run gives f a session on the device's thread: work of other goroutines comes
// before or after it. It waits for all that f launched, frees what f allocated, and
// returns the first error. ctx ends the waiting for the turn; within f the operation
// looks at it itself.
func (d *Device) run(ctx context.Context, op string, f func(s *session) error) error {
	return d.do(ctx, func() error {
		if d.broken != nil {
			return fmt.Errorf("%s: %w: %w", op, ErrBroken, d.broken)
		}
		if err := d.lib.err("choosing GPU", d.lib.DeviceUse(d.ordinal)); err != nil {
			return fmt.Errorf("%s: %w", op, err)
		}
		s := &session{d: d, op: op, lib: d.lib, stream: d.stream}
		defer s.end() // also when f panics
		if err := s.mark(); err != nil {
			return err
		}
		err := f(s)
		if failed := d.lib.err(op, d.lib.StreamSync(d.ordinal, d.stream)); failed != nil {
			// What fails once is a launch's own error. What fails twice stays.
			if d.lib.StreamSync(d.ordinal, d.stream) != 0 {
				d.broken = failed
			}
			if err == nil {
				err = failed
			}
		}
		return err
	})
}

// Close waits for the work at hand and frees everything. Later operations return
// ErrClosed. It may be called more than once.
func (d *Device) Close() error {
	d.closing.Do(func() {
		d.leak.Stop()
		d.closeOK = d.thread.Do(context.Background(), d.finish)
		d.thread.Stop()
	})
	return d.closeOK
}

// finish frees what the device has. A broken one gives nothing back: the driver
// does when the process ends.
func (d *Device) finish() error {
	d.closed = true
	if d.broken != nil {
		return nil
	}
	err := d.trim()
	for _, event := range d.events {
		if event != 0 {
			err = errors.Join(err, d.lib.err("closing an event", d.lib.EventClose(d.ordinal, event)))
		}
	}
	if d.stream != 0 {
		err = errors.Join(err, d.lib.err("closing a stream", d.lib.StreamClose(d.ordinal, d.stream)))
	}
	return err
}

// watchLeak logs it when a Device is collected without having been closed.
func watchLeak(d *Device) runtime.Cleanup {
	return runtime.AddCleanup(d, func(name string) {
		slog.Warn("a GPU's device was never closed", "device", name)
	}, d.info.Load().Name)
}
