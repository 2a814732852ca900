package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Energy is what one meter counted between Start and Stop. Idle power is not
// subtracted, nor is what other programs drew meanwhile.
type Energy struct {
	Meter   string  `json:"meter"`             // "RAPL package-0", "RAPL package-0 dram", "NVML GPU 0"
	Joules  float64 `json:"joules,omitempty"`  // 0 where it is unknown
	Unknown string  `json:"unknown,omitempty"` // why it is unknown; "" where it is known
}

// Meters are what tells of this machine's energy. No two of them count the same
// joules, so they may be added; neither do they cover everything: fans, disks
// and the loss of the power supply are on no meter. Meters are for one goroutine.
//
// RAPL counts a processor package, and its memory where there is a domain "dram"
// (Linux powercap, documented in Documentation/power/powercap of the kernel; AMD
// processors have it at the same path). NVML counts a whole board: its total
// energy, or where the board has no such counter, its power sampled every 100 ms.
// GPUs are numbered as nvidia-smi does, which need not be CUDA's order.
type Meters struct {
	Absent []string // why other sources have no meter, a line each

	meters    []*meter
	closeGPUs func()
	stop      chan struct{} // closed to end the sampling; nil where none runs
	done      chan struct{} // closed when it has ended
}

// OpenMeters finds the machine's meters below root, the root of the file system.
// What cannot be read is no error: it is in Absent.
func OpenMeters(root string) *Meters {
	return openMeters(root, nvmlLibrary)
}

func openMeters(root, library string) *Meters {
	m := &Meters{}
	m.openRAPL(filepath.Join(root, "sys/class/powercap"))
	gpus, closeGPUs, absent := openGPUs(library)
	m.closeGPUs = closeGPUs
	if absent != "" {
		m.Absent = append(m.Absent, absent)
	}
	for i, g := range gpus {
		m.add(gpuMeter(i, g))
	}
	return m
}

func (m *Meters) add(x *meter, err error) {
	if err != nil {
		m.Absent = append(m.Absent, err.Error())
		return
	}
	m.meters = append(m.meters, x)
}

// Names returns the names of the meters.
func (m *Meters) Names() []string {
	names := make([]string, len(m.meters))
	for i, x := range m.meters {
		names[i] = x.name
	}
	return names
}

// samplePeriod is short against the time in which a RAPL counter goes round
// (minutes), and about that in which NVML renews its power reading.
const samplePeriod = 100 * time.Millisecond

// Start begins an interval, and forgets one that was not stopped.
func (m *Meters) Start() {
	m.endSampling()
	for _, x := range m.meters {
		x.begin(time.Now())
	}
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go m.sample(m.stop, m.done)
}

// Stop ends the interval and returns what each meter counted in it. Without an
// interval it returns nothing.
func (m *Meters) Stop() []Energy {
	if m.stop == nil {
		return nil
	}
	m.endSampling()
	list := make([]Energy, len(m.meters))
	for i, x := range m.meters {
		x.step(time.Now())
		list[i] = x.energy()
	}
	return list
}

// Close ends an interval and lets go of the GPUs' library. It may be called
// twice; without a meter left, Start and Stop do nothing.
func (m *Meters) Close() {
	m.endSampling()
	if m.closeGPUs != nil {
		m.closeGPUs()
	}
	m.meters, m.closeGPUs = nil, nil
}

func (m *Meters) sample(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	tick := time.NewTicker(samplePeriod)
	defer tick.Stop()
	for {
		select {
		case <-stop:
			return
		case <-tick.C:
			for _, x := range m.meters {
				x.step(time.Now())
			}
		}
	}
}

func (m *Meters) endSampling() {
	if m.stop != nil {
		close(m.stop)
		<-m.done
		m.stop, m.done = nil, nil
	}
}

// openRAPL adds the packages and, of each, the memory beside it. The domains
// "core" and "uncore" are parts of a package, "psys" contains the packages.
func (m *Meters) openRAPL(dir string) {
	domains, _ := filepath.Glob(filepath.Join(dir, "intel-rapl:*")) // the pattern is well-formed
	if len(domains) == 0 {
		m.Absent = append(m.Absent, fmt.Sprintf("RAPL: %s has no intel-rapl domains: this system, perhaps a virtual machine, does not show the processor's energy", dir))
		return
	}
	for _, domain := range domains {
		name, err := readLine(filepath.Join(domain, "name"))
		if err != nil {
			m.Absent = append(m.Absent, fmt.Sprintf("RAPL: %v", err))
			continue
		}
		if name == "dram" { // intel-rapl:0:1 belongs to intel-rapl:0
			parent, err := readLine(filepath.Join(domain[:strings.LastIndexByte(domain, ':')], "name"))
			if err != nil {
				m.Absent = append(m.Absent, fmt.Sprintf("RAPL dram: %v", err))
				continue
			}
			name = parent + " dram"
		}
		if strings.HasPrefix(name, "package-") {
			m.add(raplMeter("RAPL "+name, domain))
		}
	}
}

func raplMeter(name, domain string) (*meter, error) {
	span, err := readCount(filepath.Join(domain, "max_energy_range_uj"))
	if err == nil && span == 0 {
		err = fmt.Errorf("%s is 0", filepath.Join(domain, "max_energy_range_uj"))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	path := filepath.Join(domain, "energy_uj")
	read := func() (uint64, error) { return readCount(path) }
	if _, err := read(); err != nil {
		return nil, fmt.Errorf("%s: %w: unless others are let in, only root may read it", name, err)
	}
	return &meter{name: name, read: read, unit: 1e-6, span: span}, nil
}

func readLine(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimSpace(string(text)), err
}

func readCount(path string) (uint64, error) {
	text, err := readLine(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s holds %q, want a number", path, text)
	}
	return n, nil
}

// nvmlLibrary comes with NVIDIA's driver. It has no folder, so that the system's
// loader finds it wherever the driver was installed.
const nvmlLibrary = "libnvidia-ml.so.1"

// gpu is a board as NVML sees it.
type gpu interface {
	energy() (uint64, error) // drawn since the driver was loaded, in millijoules
	power() (uint64, error)  // now, in milliwatts
}

func gpuMeter(i int, g gpu) (*meter, error) {
	name := fmt.Sprintf("NVML GPU %d", i)
	_, energyErr := g.energy()
	if energyErr == nil {
		return &meter{name: name, read: g.energy, unit: 1e-3}, nil
	}
	if _, err := g.power(); err != nil {
		return nil, fmt.Errorf("%s: it tells neither its energy (%w) nor its power (%w)", name, energyErr, err)
	}
	return &meter{name: name, read: g.power, unit: 1e-3, gauge: true}, nil
}
