package journal

import (
	"fmt"
	"math"
	"sync"

	"winnow/grader/record"
)

// known is what a run keeps of the entries of its journal: of each its key and
// its status, in about 40 bytes. Nothing in it has a pointer to follow, so the
// garbage collector does not look at it, however large it grows. Reading is
// safe beside a writer; there is one writer at a time.
type known struct {
	mu       sync.RWMutex // of all below, against the writer
	codes    map[record.Key]uint8
	statuses []record.Status // that the codes stand for
}

func (k *known) status(key record.Key) (record.Status, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	code, ok := k.codes[key]
	if !ok {
		return "", false
	}
	return k.statuses[code], true
}

func (k *known) len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.codes)
}

// begin implements sink.
func (k *known) begin(Manifest) { k.codes = map[record.Key]uint8{} }

// add implements sink.
func (k *known) add(f flat) error {
	if _, ok := k.codes[f.key]; ok {
		return errTwice(f.key)
	}
	code, err := k.code(f.status)
	if err != nil {
		return err
	}
	k.codes[f.key] = code
	return nil
}

// code returns the code of a status. Only the writer calls it.
func (k *known) code(status []byte) (uint8, error) {
	for i, s := range k.statuses {
		if string(s) == string(status) {
			return uint8(i), nil
		}
	}
	if len(k.statuses) > math.MaxUint8 {
		return 0, fmt.Errorf("the status %q is one more than the %d different ones that a journal may have", status, len(k.statuses))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.statuses = append(k.statuses, record.Status(status))
	return uint8(len(k.statuses) - 1), nil
}
