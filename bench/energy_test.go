package bench

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const powercap = "sys/class/powercap/"

// domain returns the files of a RAPL domain.
func domain(files map[string]string, id, name, energy, span string) {
	dir := powercap + "intel-rapl:" + id + "/"
	files[dir+"name"] = name + "\n"
	files[dir+"energy_uj"] = energy + "\n"
	files[dir+"max_energy_range_uj"] = span + "\n"
}

// setCount replaces a counter at once: it may be read meanwhile.
func setCount(t *testing.T, root, id string, uj uint64) {
	t.Helper()
	path := filepath.Join(root, powercap, "intel-rapl:"+id, "energy_uj")
	if err := os.WriteFile(path+".new", fmt.Appendln(nil, uj), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestMetersOfSysfs(t *testing.T) {
	files := map[string]string{}
	domain(files, "0", "package-0", "262143328000", "262143328850")
	domain(files, "0:0", "core", "1", "262143328850")
	domain(files, "0:1", "dram", "2000000", "65712999613")
	domain(files, "1", "package-1", "5000000", "262143328850")
	domain(files, "2", "psys", "7", "262143328850")
	domain(files, "3", "package-3", "many", "262143328850")
	domain(files, "4", "package-4", "1", "0")
	files[powercap+"intel-rapl:5/other"] = ""
	files[powercap+"intel-rapl-mmio:0/name"] = "package-0\n"
	root := writeTree(t, files)

	m := OpenMeters(root)
	defer m.Close()
	rapl := slices.DeleteFunc(m.Names(), func(s string) bool { return strings.HasPrefix(s, "NVML") })
	if got, want := rapl, []string{"RAPL package-0", "RAPL package-0 dram", "RAPL package-1"}; !slices.Equal(got, want) {
		t.Fatalf("meters %q, want %q", got, want)
	}
	for _, want := range []string{`energy_uj holds "many"`, "max_energy_range_uj is 0", "intel-rapl:5/name"} {
		if !slices.ContainsFunc(m.Absent, func(s string) bool { return strings.HasPrefix(s, "RAPL") && strings.Contains(s, want) }) {
			t.Errorf("absent %q, want %q among them", m.Absent, want)
		}
	}

	if got := m.Stop(); got != nil {
		t.Errorf("Stop before Start: %v", got)
	}
	m.Start()
	setCount(t, root, "1", 9e9)
	m.Start() // what the first interval saw is forgotten
	setCount(t, root, "0", 1499150)
	setCount(t, root, "0:1", 3250000)
	got := m.Stop()
	if len(got) < 3 {
		t.Fatalf("%d results, want 3: %v", len(got), got)
	}
	// The counter of package-0 went round.
	if e := got[0]; e.Meter != "RAPL package-0" || math.Abs(e.Joules-1.5) > 1e-6 || e.Unknown != "" {
		t.Errorf("%+v, want 1.5 J of RAPL package-0", e)
	}
	if e := got[1]; e.Meter != "RAPL package-0 dram" || math.Abs(e.Joules-1.25) > 1e-9 || e.Unknown != "" {
		t.Errorf("%+v, want 1.25 J of RAPL package-0 dram", e)
	}
	if e := got[2]; e.Joules != 0 || !strings.Contains(e.Unknown, "did not move") {
		t.Errorf("%+v, want a counter that did not move", e)
	}
	if got := m.Stop(); got != nil {
		t.Errorf("Stop twice: %v", got)
	}
	m.Close()
	m.Start()
	if got := m.Stop(); len(got) != 0 {
		t.Errorf("after Close: %v", got)
	}
}

// TestMetersSample: the sampling itself sees that a counter cannot be read,
// though the readings at both ends succeed.
func TestMetersSample(t *testing.T) {
	sampled := make(chan struct{})
	asked := 0
	m := &Meters{meters: []*meter{{name: "x", unit: 1, read: func() (uint64, error) {
		asked++
		if asked == 2 {
			close(sampled)
			return 0, errors.New("away")
		}
		return uint64(asked), nil
	}}}}
	defer m.Close()
	m.Start()
	<-sampled
	if e := m.Stop()[0]; e.Joules != 0 || !strings.Contains(e.Unknown, "could not be read: away") {
		t.Errorf("%+v, want an unknown number: the counter was away for a while", e)
	}
	m.Start()
	if e := m.Stop()[0]; !(e.Joules > 0) || e.Unknown != "" {
		t.Errorf("%+v, want the next interval to be known", e)
	}
}

func TestNoMeters(t *testing.T) {
	m := OpenMeters(t.TempDir())
	defer m.Close()
	if !slices.ContainsFunc(m.Absent, func(s string) bool { return strings.HasPrefix(s, "RAPL: ") }) {
		t.Errorf("absent %q, want the reason for RAPL", m.Absent)
	}
	if len(m.Names()) == 0 && !slices.ContainsFunc(m.Absent, func(s string) bool { return strings.HasPrefix(s, "NVML: ") }) {
		t.Errorf("absent %q, want the reason for NVML", m.Absent)
	}
	for _, e := range m.Stop() {
		t.Errorf("%+v without Start", e)
	}
}

// card is a GPU that answers from lists; the last answer stays.
type card struct {
	mj, mw      []uint64
	err         error // where a list is empty
	failAt, ask int   // the reading that fails, from 1; 0 for none
}

func (c *card) next(list *[]uint64) (uint64, error) {
	c.ask++
	if len(*list) == 0 || c.ask == c.failAt {
		return 0, c.err
	}
	x := (*list)[0]
	if len(*list) > 1 {
		*list = (*list)[1:]
	}
	return x, nil
}

func (c *card) energy() (uint64, error) { return c.next(&c.mj) }
func (c *card) power() (uint64, error)  { return c.next(&c.mw) }

func TestGPUMeter(t *testing.T) {
	unsupported := errors.New("not supported")
	for _, c := range []struct {
		name    string
		card    card
		joules  float64
		unknown string
	}{
		// The first answer is what the meter is opened with, then one each second.
		{"counter", card{mj: []uint64{900, 1000, 151000, 301000, 451500}}, 450.5, ""},
		{"counter stands still", card{mj: []uint64{1000}}, 0, "did not move in 3s"},
		{"driver reloaded", card{mj: []uint64{900, 900000, 950000, 100, 90000}}, 0, "set back or jumped, from 950000 to 100"},
		{"counter jumps", card{mj: []uint64{900, 1000, 9000000, 9000001}}, 0, "set back or jumped, from 1000 to 9000000"},
		{"counter fails", card{mj: []uint64{900, 1000, 2000, 3000, 4000}, err: errors.New("GPU is lost"), failAt: 3}, 0, "could not be read: GPU is lost"},
		{"counter fails at once", card{mj: []uint64{900, 1000, 2000, 3000}, err: errors.New("GPU is lost"), failAt: 2}, 0, "could not be read: GPU is lost"},
		// Power has two answers before: the energy that is not there, then one to open with.
		{"power", card{err: unsupported, mw: []uint64{1, 100000, 200000, 200000, 100000}}, 500, ""},
		{"power fails", card{err: unsupported, mw: []uint64{1, 100000, 200000, 200000}, failAt: 5}, 0, "could not be read: not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := gpuMeter(3, &c.card)
			if err != nil {
				t.Fatal(err)
			}
			now := time.Now()
			m.begin(now)
			for i := range 3 {
				m.step(now.Add(time.Duration(i+1) * time.Second))
			}
			e := m.energy()
			if e.Meter != "NVML GPU 3" || math.Abs(e.Joules-c.joules) > 1e-9 || !strings.Contains(e.Unknown, c.unknown) || (e.Unknown == "") != (c.unknown == "") {
				t.Errorf("%+v, want %v J of NVML GPU 3, unknown %q", e, c.joules, c.unknown)
			}
		})
	}
	if _, err := gpuMeter(0, &card{err: unsupported}); !errors.Is(err, unsupported) || !strings.Contains(err.Error(), "NVML GPU 0") {
		t.Errorf("a GPU that tells nothing: %v", err)
	}
}

// TestMeterGaps: after a long gap nothing is certain.
func TestMeterGaps(t *testing.T) {
	now := time.Now()
	var count uint64
	read := func() (uint64, error) { count += 1e6; return count, nil }
	for _, c := range []struct {
		name    string
		meter   meter
		gap     time.Duration
		unknown string
	}{
		{"RAPL, short", meter{read: read, unit: 1e-6, span: 65532610987}, 10 * time.Second, ""},
		{"RAPL, long", meter{read: read, unit: 1e-6, span: 65532610987}, 20 * time.Second, "not read for 20s"},
		{"counter without end, long", meter{read: read, unit: 1e-3}, time.Hour, ""},
		{"power, short", meter{read: read, unit: 1e-3, gauge: true}, 2 * time.Second, ""},
		{"power, long", meter{read: read, unit: 1e-3, gauge: true}, 3 * time.Second, "not sampled for 3s"},
		{"clock goes back", meter{read: read, unit: 1e-6, span: 65532610987}, -time.Hour, ""},
	} {
		c.meter.begin(now)
		c.meter.step(now.Add(c.gap))
		c.meter.step(now.Add(c.gap + time.Second))
		if e := c.meter.energy(); (e.Unknown == "") != (c.unknown == "") || !strings.Contains(e.Unknown, c.unknown) || (e.Joules > 0) != (c.unknown == "") {
			t.Errorf("%s: %+v, want unknown %q", c.name, e, c.unknown)
		}
		c.meter.begin(now) // the next interval is a new one
		c.meter.step(now.Add(time.Second))
		if e := c.meter.energy(); e.Unknown != "" || !(e.Joules > 0) {
			t.Errorf("%s, begun again: %+v", c.name, e)
		}
	}
}
