package child

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A frame is a header and a payload. The header's fields are little-endian:
//
//	offset 0   magic, 4 bytes
//	       4   kind, 1 byte, and 3 that are 0
//	       8   id of the request, 8 bytes; an answer has that of its request
//	       16  bytes of the payload, 4 bytes
//	       20  CRC-32C of the header from offset 4 to 20 and of the payload, 4 bytes
const (
	magic       = "wnw1"
	headerBytes = 24
)

// Bounds of a payload in bytes: what claims to be larger is no frame of ours.
const (
	mostRequest = 1 << 30
	mostAnswer  = 64 << 20
)

// kind says what a frame's payload is.
type kind byte

// Requests, and the answers to them.
const (
	askOpen   kind = 1 + iota // JSON: the options of the engine
	askEncode                 // a record
	askRate                   // prompts
	askClose                  // nothing

	opened  kind = 16 + iota // JSON: manifest and capacity
	encoded                  // a prompt
	rated                    // outcomes and work
	closed                   // nothing
	faulty                   // to askEncode: a status and a reason
	failed                   // JSON: a remoteError
)

// answers reports whether a frame of kind k can be an answer to a request.
func (k kind) answers(request kind) bool {
	switch request {
	case askOpen:
		return k == opened || k == failed
	case askEncode:
		return k == encoded || k == faulty || k == failed
	case askRate:
		return k == rated || k == failed
	case askClose:
		return k == closed || k == failed
	}
	return false
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC of a whole frame.
func checksum(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header[4:20], castagnoli), castagnoli, payload)
}

// begin empties b and leaves room for a header: a payload is appended to it.
func begin(b []byte) []byte {
	return append(b[:0], make([]byte, headerBytes)...)
}

// seal fills in the header of a frame that was begun. The payload must be
// within its bound.
func seal(b []byte, k kind, id uint64) {
	copy(b, magic)
	b[4], b[5], b[6], b[7] = byte(k), 0, 0, 0
	binary.LittleEndian.PutUint64(b[8:], id)
	binary.LittleEndian.PutUint32(b[16:], uint32(len(b)-headerBytes))
	binary.LittleEndian.PutUint32(b[20:], checksum(b[:headerBytes], b[headerBytes:]))
}

// frame is one that was read.
type frame struct {
	kind    kind
	id      uint64
	payload []byte
}

// errGarbage is wrapped by the errors of bytes that are no frame.
var errGarbage = errors.New("bytes that are no frame")

// frames reads frames with payloads of at most so many bytes.
type frames struct {
	r    *bufio.Reader
	most int
	head [headerBytes]byte
}

func newFrames(r io.Reader, most int) *frames {
	return &frames{r: bufio.NewReaderSize(r, 64<<10), most: most}
}

// next returns the next frame, its payload in buf's memory if that is enough. At
// the end, between two frames, it returns io.EOF; within one io.ErrUnexpectedEOF.
// What is no frame gives an error that is errGarbage.
func (f *frames) next(buf []byte) (frame, error) {
	h := f.head[:]
	if _, err := io.ReadFull(f.r, h); err != nil {
		return frame{}, err
	}
	n := int(binary.LittleEndian.Uint32(h[16:]))
	switch {
	case string(h[:4]) != magic || h[5]|h[6]|h[7] != 0:
		return frame{}, fmt.Errorf("%w: %q", errGarbage, h[:8])
	case n > f.most:
		return frame{}, fmt.Errorf("%w: a payload of %d bytes, the most is %d", errGarbage, n, f.most)
	}
	// Memory is taken as bytes arrive, not as the header promises.
	const step = 1 << 20
	payload := buf[:0]
	for len(payload) < n {
		from := len(payload)
		more := min(n-from, max(step, from))
		payload = slices.Grow(payload, more)[:from+more]
		if _, err := io.ReadFull(f.r, payload[from:]); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return frame{}, err
		}
	}
	if checksum(h, payload) != binary.LittleEndian.Uint32(h[20:]) {
		return frame{}, fmt.Errorf("%w: its checksum is wrong", errGarbage)
	}
	return frame{kind: kind(h[4]), id: binary.LittleEndian.Uint64(h[8:]), payload: payload}, nil
}
