package selection

import "strconv"

// ledger counts what picks take of quotas.
type ledger struct {
	quotas []Quota
	ids    []map[string]int32 // of each quota: of each value its counter
	names  []string           // of each counter: field and value, for people
	limits []int
	counts []int
	of     []int32 // of each candidate: for each quota its counter, or -1
}

func newLedger(quotas []Quota) ledger {
	l := ledger{quotas: quotas}
	for range quotas {
		l.ids = append(l.ids, map[string]int32{})
	}
	return l
}

// add takes the next candidate's values, one for each quota.
func (l *ledger) add(values []string) {
	for i, q := range l.quotas {
		value := ""
		if i < len(values) {
			value = values[i]
		}
		limit := q.limit(value)
		if limit == Unlimited {
			l.of = append(l.of, -1)
			continue
		}
		id, ok := l.ids[i][value]
		if !ok {
			id = int32(len(l.limits))
			l.ids[i][value] = id
			name := q.Field + " " + strconv.Quote(shortened(value))
			if value == "" {
				name = "no " + q.Field
			}
			l.names, l.limits, l.counts = append(l.names, name), append(l.limits, limit), append(l.counts, 0)
		}
		l.of = append(l.of, id)
	}
}

// shortened returns so much of a value as a reason can hold.
func shortened(value string) string {
	const most = 40
	if r := []rune(value); len(r) > most {
		return string(r[:most]) + "…"
	}
	return value
}

// full returns the first counter that leaves a candidate no room, or -1.
func (l *ledger) full(candidate int) int32 {
	k := len(l.quotas)
	for _, id := range l.of[candidate*k : (candidate+1)*k] {
		if id >= 0 && l.counts[id] >= l.limits[id] {
			return id
		}
	}
	return -1
}

// take counts a pick.
func (l *ledger) take(candidate int) {
	k := len(l.quotas)
	for _, id := range l.of[candidate*k : (candidate+1)*k] {
		if id >= 0 {
			l.counts[id]++
		}
	}
}
