package bench

import (
	"fmt"
	"time"
)

const (
	// maxWatts is more than any package or board draws: what goes beyond is a
	// counter that was set back.
	maxWatts = 4000
	// maxGap is the longest time over which sampled power is interpolated.
	maxGap = 2 * time.Second
)

// meter adds up what a counter of energy or a gauge of power shows. Whatever
// makes the sum doubtful makes it unknown.
type meter struct {
	name  string
	read  func() (uint64, error)
	unit  float64 // joules of one count; of a gauge, watts
	span  uint64  // the count after which the counter begins again at 0; 0 if it does not
	gauge bool    // read gives power

	start, at time.Time // of the interval, of the last reading
	last      uint64
	joules    float64
	unknown   string
}

// begin takes the first reading of an interval.
func (m *meter) begin(now time.Time) {
	m.start, m.at, m.joules, m.unknown = now, now, 0, ""
	var err error
	if m.last, err = m.read(); err != nil {
		m.unknown = fmt.Sprintf("it could not be read: %v", err)
	}
}

// step takes a further reading.
func (m *meter) step(now time.Time) {
	if m.unknown != "" {
		return
	}
	x, err := m.read()
	if err != nil {
		m.unknown = fmt.Sprintf("it could not be read: %v", err)
		return
	}
	if gap := max(now.Sub(m.at), 0); m.gauge {
		m.addPower(x, gap)
	} else {
		m.addCount(x, gap)
	}
	m.last, m.at = x, now
}

func (m *meter) addPower(x uint64, gap time.Duration) {
	if gap > maxGap {
		m.unknown = fmt.Sprintf("its power was not sampled for %v", gap.Round(time.Millisecond))
		return
	}
	m.joules += m.unit * (float64(m.last) + float64(x)) / 2 * gap.Seconds()
}

func (m *meter) addCount(x uint64, gap time.Duration) {
	// A counter is renewed in steps, so a short gap may show more than its own.
	limit := maxWatts * (gap + time.Second).Seconds()
	d := m.unit * (float64(x) - float64(m.last))
	switch {
	case m.span > 0 && limit >= m.unit*float64(m.span):
		m.unknown = fmt.Sprintf("it was not read for %v, in which its counter may have gone round unseen", gap.Round(time.Millisecond))
		return
	case d < 0 && m.span > 0:
		d += m.unit * float64(m.span)
	}
	if d < 0 || d > limit {
		m.unknown = fmt.Sprintf("its counter was set back or jumped, from %d to %d within %v", m.last, x, gap.Round(time.Millisecond))
		return
	}
	m.joules += d
}

// energy returns the result of the interval.
func (m *meter) energy() Energy {
	if m.unknown == "" && m.joules == 0 {
		m.unknown = fmt.Sprintf("it did not move in %v", m.at.Sub(m.start).Round(time.Millisecond))
	}
	if m.unknown != "" {
		return Energy{Meter: m.name, Unknown: m.unknown}
	}
	return Energy{Meter: m.name, Joules: m.joules}
}
