package synthetic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"winnow/internal/gguf"
)

// Options says how Write writes. The zero value is usable.
type Options struct {
	// Seed decides every random weight. Equal seeds give equal bytes.
	Seed uint64

	// Text is what the vocabulary is learned from: a text like those that the
	// model shall read. Without it, a list of common English words is used.
	Text string

	// Progress, if set, is told how many of how many bytes are written. It is
	// called from one goroutine at a time.
	Progress func(done, total int64)
}

// Write writes a model of the given shape to the file path, in a format among
// Formats. The file is there whole or not at all: it grows as path.part, which
// is removed on an error. All processors draw weights, and memory stays small
// whatever the model's size.
func Write(ctx context.Context, path string, s Shape, format string, o Options) (err error) {
	f, err := newPlan(s, format, o)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("write %s: there is something that is no file: choose another name", path)
	}
	if err := f.fits(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	part, err := os.Create(path + ".part")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(part.Name())))
		}
	}()
	err = f.write(ctx, part, o.Progress)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err != nil {
		return err
	}
	return os.Rename(part.Name(), path)
}

// plan is a file that is to be written.
type plan struct {
	head  []byte
	rows  []rower
	start []int64 // where each tensor's data stands
	size  int64
}

// newPlan lays out the file.
func newPlan(s Shape, name string, o Options) (*plan, error) {
	f, ok := formats[strings.ToUpper(name)]
	if !ok {
		return nil, fmt.Errorf("unknown format %q, want one of %s", name, strings.Join(Formats(), ", "))
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("shape %s: %w", s.Name, err)
	}
	tensors := s.tensors(f)
	head, err := gguf.Header(s.metadata(f, o.Text), tensors)
	if err != nil {
		return nil, err
	}
	p := &plan{head: head, size: int64(len(head))}
	fills := map[string]fill{}
	for _, t := range tensors {
		p.rows = append(p.rows, s.newRower(t, o.Seed, fills))
		p.start = append(p.start, p.size)
		p.size += gguf.Aligned(t.Size())
	}
	return p, nil
}

// metadata lists the keys of the header.
func (s Shape) metadata(f format, text string) []gguf.Pair {
	family := s.Family.spec()
	arch := family.arch
	kv := []gguf.Pair{
		{Key: "general.architecture", Value: arch},
		{Key: "general.name", Value: "synthetic " + s.Name},
		{Key: "general.description", Value: "random weights in a real model's shape, to measure throughput"},
		{Key: "general.file_type", Value: f.file},
		{Key: "general.quantization_version", Value: uint32(2)},
		{Key: arch + ".vocab_size", Value: uint32(s.Vocab)},
		{Key: arch + ".context_length", Value: uint32(s.Ctx)},
		{Key: arch + ".embedding_length", Value: uint32(s.Embd)},
		{Key: arch + ".block_count", Value: uint32(s.Layers)},
		{Key: arch + ".feed_forward_length", Value: uint32(s.FF)},
		{Key: arch + ".attention.head_count", Value: uint32(s.Heads)},
		{Key: arch + ".attention.head_count_kv", Value: uint32(s.HeadsKV)},
		{Key: arch + ".attention.layer_norm_rms_epsilon", Value: s.RMSEps},
		{Key: arch + ".rope.dimension_count", Value: uint32(s.headWidth())},
		{Key: arch + ".rope.freq_base", Value: s.RopeBase},
	}
	return append(kv, family.metadata(family.newVocab(s.Vocab, wordsOf(text)))...)
}

// fits returns an error if the file system of dir has no room for the file.
func (p *plan) fits(dir string) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("free space of %s: %w", dir, err)
	}
	free := float64(fs.Bavail) * float64(fs.Bsize)
	if free < float64(p.size) {
		return fmt.Errorf("the model needs %.1f GB, %s has %.1f GB free: make room or write it elsewhere", float64(p.size)/1e9, dir, free/1e9)
	}
	return nil
}

// chunkBytes is about how much a goroutine draws at once.
const chunkBytes = 1 << 20

// chunk is a run of rows of one tensor.
type chunk struct{ tensor, first, rows int }

// target is where a plan is written to: a file.
type target interface {
	io.WriterAt
	Truncate(size int64) error
}

// write draws the weights, chunk by chunk on all processors, each to its place.
func (p *plan) write(parent context.Context, out target, progress func(done, total int64)) error {
	if err := out.Truncate(p.size); err != nil { // padding is what no one writes
		return err
	}
	if _, err := out.WriteAt(p.head, 0); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	chunks := make(chan chunk)
	go func() {
		defer close(chunks)
		for i, r := range p.rows {
			step := max(1, chunkBytes/r.rowBytes())
			for first := 0; first < r.rows(); first += step {
				select {
				case chunks <- chunk{i, first, min(step, r.rows()-first)}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	var (
		workers sync.WaitGroup
		mu      sync.Mutex
		done    = int64(len(p.head))
	)
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			var buf []byte
			for c := range chunks {
				buf = p.draw(buf[:0], c)
				r := p.rows[c.tensor]
				if _, err := out.WriteAt(buf, p.start[c.tensor]+int64(c.first)*int64(r.rowBytes())); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done += int64(len(buf))
				if progress != nil {
					progress(done, p.size)
				}
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	if err := parent.Err(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// draw appends the bytes of a chunk to buf.
func (p *plan) draw(buf []byte, c chunk) []byte {
	r := p.rows[c.tensor]
	n := r.rowBytes()
	for i := range c.rows {
		at := len(buf)
		if cap(buf) < at+n {
			buf = append(make([]byte, 0, max(chunkBytes, c.rows*n)), buf...)
		}
		buf = buf[:at+n]
		r.row(buf[at:], c.first+i)
	}
	return buf
}
