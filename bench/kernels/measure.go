package main

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"winnow/kernels"
)

// errWrong marks a result that is not what it should be; the other cases are
// measured all the same.
var errWrong = errors.New("wrong result")

// row is what was measured of one form, as in the JSON file.
type row struct {
	Kind       string         `json:"kind"` // "kernel"
	Op         string         `json:"op"`
	Case       string         `json:"case"`
	Shape      map[string]any `json:"shape"`
	Form       string         `json:"form"`
	Threads    int            `json:"threads,omitempty"` // of the CPU
	Device     string         `json:"device,omitempty"`  // where the form runs on one
	Repeats    int            `json:"repeats"`
	Runs       int            `json:"runs_per_repeat"` // more than one of what is over in no time
	BestS      float64        `json:"best_s"`          // of a run
	MedianS    float64        `json:"median_s"`
	Part       float64        `json:"part,omitempty"`        // of the case that was done, if not all
	ScaledS    float64        `json:"scaled_s,omitempty"`    // best_s ÷ part: all of it, in proportion
	Bytes      float64        `json:"bytes"`                 // that the case takes at least
	Operations float64        `json:"operations"`            // the same
	KernelS    float64        `json:"kernel_s,omitempty"`    // on a device: of its kernels alone, by its own clock
	Launches   int            `json:"launches,omitempty"`    // of kernels
	BytesPerS  float64        `json:"bytes_per_s"`           // of the best repeat, on a device of its kernels
	OpsPerS    float64        `json:"operations_per_s"`      // the same
	BytesShare float64        `json:"bytes_share,omitempty"` // of what the machine, or the device, reads from memory; not of data that caches hold
	OpsShare   float64        `json:"ops_share,omitempty"`   // of the machine's float32 operations
	Digest     string         `json:"digest"`                // of the result, the same in every repeat
	Check      string         `json:"check"`                 // how the result was checked
	Note       string         `json:"note,omitempty"`
	result     any
}

// measure runs all forms of a case.
func (r *report) measure(one subject, dev *device, s settings, d *dumper) error {
	var on *kernels.Device
	if dev != nil {
		on = dev.Device
	}
	j, err := one.make(on)
	if err != nil {
		return fmt.Errorf("preparing: %w", err)
	}
	var first, last any
	var wrong []error
	for i, f := range j.forms {
		m, err := r.form(j, f, on, s)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		m.Op, m.Case = one.op, one.name
		if i == 0 {
			first = m.result
		}
		if m.Check, err = j.check(f, m.result, first); err != nil {
			m.Check = "failed: " + err.Error()
			wrong = append(wrong, fmt.Errorf("%s: %w: %w", f.name, errWrong, err))
		}
		if !f.device && f.part == 0 {
			last = m.result
		}
		if err := r.add(m); err != nil {
			return err
		}
	}
	if d != nil && j.dump != nil && last != nil {
		if err := d.job(one, j, last); err != nil {
			return err
		}
	}
	return errors.Join(wrong...)
}

// A repeat of what is over sooner than shortest is as many runs as fill it. Data of
// less than uncached may be in a cache from one run to the next.
const (
	shortest = 30 * time.Millisecond
	uncached = 64 << 20
)

// form repeats one form.
func (r *report) form(j *job, f form, on *kernels.Device, s settings) (m row, err error) {
	threads := f.threads
	if threads == 0 {
		threads = r.machine.Cores
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(threads))
	m = row{Kind: "kernel", Shape: j.shape, Form: f.name, Threads: threads, Bytes: j.bytes, Operations: j.operations, Part: f.part, Note: join(j.note, f.note), Runs: 1}
	repeats := s.repeats
	if f.once {
		repeats = 1
	} else {
		begin := time.Now()
		if m.result, err = f.run(); err != nil {
			return m, err
		}
		m.Runs = max(1, int(shortest/max(time.Since(begin), time.Microsecond)))
		m.Digest = fmt.Sprintf("%016x", j.digest(m.result))
	}
	var times []float64
	start := time.Now()
	for i := 0; i < repeats && (i == 0 || time.Since(start) < s.limit); i++ {
		begin := time.Now()
		for range m.Runs {
			if m.result, err = f.run(); err != nil {
				return m, err
			}
		}
		times = append(times, time.Since(begin).Seconds()/float64(m.Runs))
		digest := fmt.Sprintf("%016x", j.digest(m.result))
		if m.Digest != "" && m.Digest != digest {
			return m, fmt.Errorf("%w: the digest of repeat %d is %s, before it was %s", errWrong, i+1, digest, m.Digest)
		}
		m.Digest = digest
	}
	slices.Sort(times)
	m.Repeats, m.BestS, m.MedianS = len(times), times[0], times[len(times)/2]
	if f.device {
		m.Threads, m.Device = 0, r.machine.Device
		if err := m.trace(f, on); err != nil {
			return m, err
		}
	}
	r.rate(&m, j)
	return m, nil
}

// trace runs a device's form once more, with each of its kernels timed.
func (m *row) trace(f form, on *kernels.Device) error {
	var sum time.Duration
	if err := on.SetTrace(func(l kernels.Launch) {
		sum += l.Elapsed
		m.Launches++
	}); err != nil {
		return err
	}
	_, err := f.run()
	m.KernelS = sum.Seconds()
	return errors.Join(err, on.SetTrace(nil))
}

// rate fills in speeds and shares.
func (r *report) rate(m *row, j *job) {
	part, took := 1.0, m.BestS
	if m.Part > 0 {
		part = m.Part
		m.ScaledS = m.BestS / part
	}
	read, ops := r.machine.peaks(m.Threads)
	if m.Device != "" {
		read, ops = r.machine.DeviceBytesPerS, 0
		if m.KernelS > 0 {
			took = m.KernelS
		}
	}
	m.BytesPerS, m.OpsPerS = j.bytes*part/took, j.operations*part/took
	if read > 0 && j.bytes >= uncached {
		m.BytesShare = m.BytesPerS / read
	}
	if ops > 0 && j.floats {
		m.OpsShare = m.OpsPerS / ops
	}
}

func join(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}
