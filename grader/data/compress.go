package data

import (
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// DefaultMaxExpansion is how many times as large as the file its content may
// be, if Options names no other limit. The first GiB of content is free.
const DefaultMaxExpansion = 200

// freeBytes may come out of a file whatever its size. Text that repeats itself
// shrinks to a thousandth, and small files of it do no harm.
const freeBytes = 1 << 30

// maxWindow is the memory that a zstd frame may ask for: what zstd itself grants
// without being told.
const maxWindow = 128 << 20

// unpacker reads what a compressed file holds. Members and frames that follow one
// another are read as one. Any error but io.EOF says what is wrong for people.
type unpacker struct {
	packing packing
	in      counter
	r       io.Reader
	close   func()
	out     int64
	ratio   int64
	free    int64
	err     error // of the last Read; sticky
}

// counter counts what is read and keeps the error of its reader.
type counter struct {
	r   io.Reader
	n   int64
	err error // but io.EOF
}

// Read implements io.Reader.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func newUnpacker(p packing, r io.Reader, o Options) *unpacker {
	u := &unpacker{packing: p, in: counter{r: r}, close: func() {}, ratio: int64(o.MaxExpansion), free: o.free}
	if u.ratio <= 0 {
		u.ratio = DefaultMaxExpansion
	}
	if u.free <= 0 {
		u.free = freeBytes
	}
	switch p {
	case gzipped:
		g, err := gzip.NewReader(&u.in)
		if err != nil {
			u.err = u.explain(err)
			return u
		}
		u.r, u.close = g, func() { _ = g.Close() } // nothing is written
	default:
		// One decoder at a time works in the calling goroutine: nothing is left
		// behind by who does not read to the end.
		z, err := zstd.NewReader(&u.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			u.err = u.explain(err)
			return u
		}
		u.r, u.close = z, z.Close
	}
	return u
}

// Read implements io.Reader.
func (u *unpacker) Read(b []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(b)
	u.out += int64(n)
	switch {
	case err == io.EOF:
		u.err = io.EOF
	case err != nil:
		u.err = u.explain(err)
	case u.out > u.free && u.out/u.ratio > u.in.n:
		u.err = fmt.Errorf("unpacking %s: %d bytes made %d, more than %d times as many, and there may be no end to it; if the file is sound, raise --max-expansion", u.packing, u.in.n, u.out, u.ratio)
	}
	return n, u.err
}

// explain says what an error of unpacking means for the file.
func (u *unpacker) explain(err error) error {
	switch {
	case u.in.err != nil:
		return u.in.err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("unpacking %s: the file is cut off: %w", u.packing, io.ErrUnexpectedEOF)
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return fmt.Errorf("unpacking zstd: it needs a window of more than %d MiB of memory; compress it again without --long or --ultra: %w", maxWindow>>20, err)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return fmt.Errorf("unpacking zstd: it needs a dictionary; compress it again without one: %w", err)
	}
	return fmt.Errorf("unpacking %s: the file is damaged: %w", u.packing, err)
}

// Compress returns a writer to w that compresses as the file's name says: .gz
// with gzip, .zst with zstd, any other not at all. Equal content becomes equal
// bytes. Close writes the end; it does not close w.
func Compress(w io.Writer, name string) (io.WriteCloser, error) {
	switch packingByName(name) {
	case gzipped:
		return gzip.NewWriter(w), nil
	case zstdized:
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithZeroFrames(true))
		if err != nil {
			return nil, fmt.Errorf("compressing %s: %w", name, err)
		}
		return z, nil
	}
	return unpacked{w}, nil
}

// unpacked is a writer that has no end to write.
type unpacked struct{ io.Writer }

// Close implements io.Closer.
func (unpacked) Close() error { return nil }
