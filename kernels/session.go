package kernels

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
	"unsafe"
)

// devicePtr is an address in a device's memory. Go never reads through it.
type devicePtr uintptr

// at returns the address of element i of an array of T that begins at p.
func at[T any](p devicePtr, i int) devicePtr {
	return p + devicePtr(i)*devicePtr(unsafe.Sizeof(*new(T)))
}

// block is memory of a device.
type block struct {
	at    devicePtr
	bytes int
}

// session is an operation's time on a device. It is valid within the function that
// Device.run calls, on that goroutine only.
type session struct {
	d      *Device
	op     string
	lib    *library
	stream uintptr
	used   []block
}

// blockBytes is what allocations are rounded up to: CUDA aligns to as much.
const blockBytes = 256

// alloc returns uninitialised device memory for at least that many bytes, aligned
// to 256 bytes. It is freed when the session ends. Zero bytes get an address too.
// Later sessions use the memory again without asking CUDA for it.
func (s *session) alloc(bytes int) (devicePtr, error) {
	if bytes < 0 || bytes > math.MaxInt-blockBytes {
		return 0, fmt.Errorf("kernels: %s: a workspace of %d bytes", s.op, bytes)
	}
	d := s.d
	// In tests and in debug mode an allocation is as large as what was asked for, so
	// that writing beyond it shows, and is filled with NaN, so that reading it does.
	exact := d.debug || d.info.Load().Emulated
	if !exact || bytes == 0 {
		bytes = max(1, (bytes+blockBytes-1)/blockBytes) * blockBytes
	}
	fits := -1
	for i, b := range d.free {
		if b.bytes == bytes || !exact && b.bytes > bytes && b.bytes <= 2*bytes {
			if fits < 0 || b.bytes < d.free[fits].bytes {
				fits = i
			}
		}
	}
	var b block
	if fits >= 0 {
		b = d.free[fits]
		d.free = slices.Delete(d.free, fits, fits+1)
	} else {
		b.bytes = bytes
		err := s.malloc(&b)
		if errors.Is(err, ErrNoMemory) && len(d.free) > 0 {
			if err := d.trim(); err != nil {
				return 0, err
			}
			err = s.malloc(&b)
		}
		if err != nil {
			return 0, err
		}
	}
	s.used = append(s.used, b)
	if exact {
		if err := s.fill(b.at, 0xff, b.bytes); err != nil {
			return 0, err
		}
	}
	return b.at, nil
}

func (s *session) malloc(b *block) error {
	return s.lib.err(fmt.Sprintf("%s: allocating %d bytes", s.op, b.bytes), s.lib.Malloc(s.d.ordinal, &b.at, int64(b.bytes)))
}

// trim frees the memory that no session uses.
func (d *Device) trim() error {
	var err error
	for _, b := range d.free {
		err = errors.Join(err, d.lib.err("freeing a workspace", d.lib.Free(d.ordinal, b.at)))
	}
	d.free = nil
	return err
}

// end gives the session's memory back to the device.
func (s *session) end() {
	s.d.free = append(s.d.free, s.used...)
	s.used = nil
}

// fill sets bytes of device memory to a value.
func (s *session) fill(to devicePtr, value byte, bytes int) error {
	return s.lib.err(s.op+": filling memory", s.lib.Fill(s.d.ordinal, to, int32(value), int64(bytes), s.stream))
}

// upload copies bytes to the device. The source may be changed as soon as it
// returns.
func (s *session) upload(to devicePtr, from unsafe.Pointer, bytes int) error {
	if bytes == 0 {
		return nil
	}
	err := s.lib.err(fmt.Sprintf("%s: copying %d bytes to the GPU", s.op, bytes), s.lib.Upload(s.d.ordinal, to, from, int64(bytes), s.stream))
	if err != nil {
		return err
	}
	return s.mark()
}

// download waits for what was launched and copies bytes from the device.
func (s *session) download(to unsafe.Pointer, from devicePtr, bytes int) error {
	if bytes == 0 {
		return nil
	}
	err := s.lib.err(fmt.Sprintf("%s: copying %d bytes from the GPU", s.op, bytes), s.lib.Download(s.d.ordinal, to, from, int64(bytes), s.stream))
	if err != nil {
		return err
	}
	return s.mark()
}

// uploadSlice copies a slice to the device.
func uploadSlice[T any](s *session, to devicePtr, from []T) error {
	return s.upload(to, unsafe.Pointer(unsafe.SliceData(from)), len(from)*int(unsafe.Sizeof(*new(T))))
}

// downloadSlice fills a slice from the device.
func downloadSlice[T any](s *session, to []T, from devicePtr) error {
	return s.download(unsafe.Pointer(unsafe.SliceData(to)), from, len(to)*int(unsafe.Sizeof(*new(T))))
}

// allocSlice returns device memory for n elements of T.
func allocSlice[T any](s *session, n int) (devicePtr, error) {
	size := int(unsafe.Sizeof(*new(T)))
	if n < 0 || n > math.MaxInt/size {
		return 0, fmt.Errorf("kernels: %s: a workspace of %d elements", s.op, n)
	}
	return s.alloc(n * size)
}

// sync waits for everything that the session launched.
func (s *session) sync() error {
	return s.lib.err(s.op, s.lib.StreamSync(s.d.ordinal, s.stream))
}

// launch takes what a launcher returned. Where launches are traced it waits for
// the kernels and reports their time, so that an error has the name of its launch.
func (s *session) launch(name string, code int32) error {
	d := s.d
	op := s.op + ": " + name
	if err := s.lib.err(op, code); err != nil {
		return err
	}
	if d.trace == nil {
		return nil
	}
	if err := s.lib.err(op, s.lib.EventRecord(d.ordinal, d.events[1], s.stream)); err != nil {
		return err
	}
	var ms float32
	if err := s.lib.err(op, s.lib.EventElapsed(d.ordinal, d.events[0], d.events[1], &ms)); err != nil {
		return err
	}
	d.trace(Launch{Op: s.op, Name: name, Elapsed: time.Duration(float64(ms) * float64(time.Millisecond))})
	return s.mark()
}

// mark begins the time of the next launch.
func (s *session) mark() error {
	if s.d.trace == nil {
		return nil
	}
	return s.lib.err(s.op+": recording an event", s.lib.EventRecord(s.d.ordinal, s.d.events[0], s.stream))
}
