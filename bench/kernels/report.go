package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"

	"winnow/kernels"
	"winnow/kernels/peak"
)

// machine is the first line of the JSON file.
type machine struct {
	Kind            string         `json:"kind"` // "machine"
	Winnow          string         `json:"winnow"`
	Machine         string         `json:"machine"`
	Cores           int            `json:"cores"` // that the program may use
	Peaks           []peak.Machine `json:"peaks"` // with one thread and with all
	Device          string         `json:"device,omitempty"`
	DeviceBytesPerS float64        `json:"device_bytes_per_s,omitempty"` // by its data, not measured
	NoDevice        string         `json:"no_device,omitempty"`          // why there is none
}

// device is the GPU that is measured.
type device struct{ *kernels.Device }

// openDevice opens the device that the flag names. There may be none, for the
// reason that it returns, unless one is asked for by its number.
func openDevice(flag string) (d *device, why string, err error) {
	if flag == "off" {
		return nil, "not asked for", nil
	}
	n, must := 0, flag != "auto"
	if must {
		if n, err = strconv.Atoi(flag); err != nil || n < 0 {
			return nil, "", fmt.Errorf("-device %s: want auto, off or a number from 0", flag)
		}
	}
	opened, err := kernels.Open(n)
	switch {
	case err == nil && opened.Info().Emulated:
		return nil, "", errors.Join(errors.New("the device is emulated: its times would mean nothing"), opened.Close())
	case err == nil:
		return &device{opened}, "", nil
	case must:
		return nil, "", fmt.Errorf("device %d: %w", n, err)
	}
	for _, none := range []error{kernels.ErrNoLibrary, kernels.ErrNoDevice} {
		if errors.Is(err, none) {
			return nil, none.Error(), nil // without this machine's paths: results are published
		}
	}
	return nil, err.Error(), nil
}

func newMachine(d *device, why string) machine {
	cores := runtime.GOMAXPROCS(0)
	m := machine{Kind: "machine", Winnow: version, Machine: processor(), Cores: cores, NoDevice: why, Peaks: []peak.Machine{peak.Measure(1)}}
	if cores > 1 {
		m.Peaks = append(m.Peaks, peak.Measure(cores))
	}
	if d != nil {
		info := d.Info()
		m.Device, m.DeviceBytesPerS = info.Name, float64(info.BandwidthBytesPerS)
	}
	return m
}

// peaks returns bytes and float32 operations a second with so many threads; 0 if
// that was not measured.
func (m machine) peaks(threads int) (bytes, ops float64) {
	for _, p := range m.Peaks {
		if p.Threads == threads {
			return p.ReadBytesPerS, p.FloatOpsPerS
		}
	}
	return 0, 0
}

// processor names the machine's, as Linux tells it.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// report writes rows to the table and to the JSON file.
type report struct {
	machine machine
	table   *table
	lines   *json.Encoder // nil without a file
	talk    io.Writer
}

func (r *report) begin(m machine) error {
	r.machine = m
	for _, p := range m.Peaks {
		r.say("%s, %d threads: reads %.1f GB/s, triad %.1f GB/s, %.0f GFLOP/s of float32", m.Machine, p.Threads, p.ReadBytesPerS/1e9, p.TriadBytesPerS/1e9, p.FloatOpsPerS/1e9)
	}
	if m.NoDevice != "" {
		r.say("no GPU: %s", m.NoDevice)
	} else {
		r.say("%s: %.0f GB/s by its data", m.Device, m.DeviceBytesPerS/1e9)
	}
	return r.encode(m)
}

func (r *report) say(format string, args ...any) {
	_, _ = fmt.Fprintf(r.talk, format+"\n", args...) // talk only
}

func (r *report) encode(v any) error {
	if r.lines == nil {
		return nil
	}
	if err := r.lines.Encode(v); err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

func (r *report) add(m row) error {
	return errors.Join(r.encode(m), r.table.add(m))
}

// table prints rows as they come, in columns of fixed width.
type table struct {
	w    io.Writer
	last string
}

func newTable(w io.Writer) *table { return &table{w: w} }

func (t *table) add(m row) error {
	w := tabwriter.NewWriter(t.w, 11, 0, 2, ' ', tabwriter.AlignRight)
	if name := m.Op + ": " + m.Case; name != t.last {
		t.last = name
		if _, err := fmt.Fprintf(t.w, "\n%s\n", name); err != nil {
			return err
		}
		fmt.Fprintf(w, "best\tmedian\tGB/s\tof peak\tGop/s\tof peak\tdigest\t  form\n")
	}
	best := m.BestS
	note := m.Check
	if m.ScaledS > 0 {
		best = m.ScaledS
		note = fmt.Sprintf("from %.3g of the work; %s", m.Part, note)
	}
	if m.KernelS > 0 {
		note = fmt.Sprintf("%d launches of together %s; %s", m.Launches, seconds(m.KernelS), note)
	}
	where := fmt.Sprintf("%d threads", m.Threads)
	if m.Device != "" {
		where = m.Device
	}
	fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\t%.1f\t%s\t%s\t  %s, %s (%s)\n", seconds(best), seconds(m.MedianS), m.BytesPerS/1e9, percent(m.BytesShare), m.OpsPerS/1e9, percent(m.OpsShare), m.Digest[:8], m.Form, where, note)
	return w.Flush()
}

func seconds(s float64) string {
	switch {
	case s >= 1:
		return fmt.Sprintf("%.2f s", s)
	case s >= 1e-3:
		return fmt.Sprintf("%.2f ms", s*1e3)
	}
	return fmt.Sprintf("%.1f µs", s*1e6)
}

func percent(share float64) string {
	if share == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}
