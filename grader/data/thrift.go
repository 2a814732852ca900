package data

import (
	"errors"
	"fmt"
)

// Parquet's metadata is in Thrift's compact form. What decodes it trusts the
// sizes that stand in it, and memory that cannot be had ends the process. So
// every such block is gone through here first.

const (
	maxThriftDepth = 64      // of structs and lists; Parquet's own nest about 8 deep
	maxThriftItems = 1 << 22 // elements of all lists together
)

var (
	errThriftShort = errors.New("it ends too early")
	errThriftDeep  = fmt.Errorf("it nests deeper than %d", maxThriftDepth)
	errThriftItems = fmt.Errorf("it has lists of more than %d elements", maxThriftItems)
)

// thriftScan goes through one struct.
type thriftScan struct {
	b     []byte
	i     int
	items int
	path  []int16                     // field numbers from the outermost struct to the current field
	visit func(path []int16, v int64) // sees every number and truth of a field; nil for no one
}

// scanThrift checks the struct that b begins with and returns its length.
func scanThrift(b []byte, visit func(path []int16, v int64)) (int, error) {
	s := thriftScan{b: b, visit: visit}
	err := s.structure(0)
	return s.i, err
}

func (s *thriftScan) next() (byte, error) {
	if s.i >= len(s.b) {
		return 0, errThriftShort
	}
	s.i++
	return s.b[s.i-1], nil
}

func (s *thriftScan) skip(n uint64) error {
	if n > uint64(len(s.b)-s.i) {
		return errThriftShort
	}
	s.i += int(n)
	return nil
}

func (s *thriftScan) varint() (x uint64, err error) {
	for shift := 0; shift < 64; shift += 7 {
		c, err := s.next()
		if err != nil {
			return 0, err
		}
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x, nil
		}
	}
	return 0, errors.New("it has a number of more than 64 bits")
}

func (s *thriftScan) integer() error {
	x, err := s.varint()
	if err != nil {
		return err
	}
	if s.visit != nil {
		s.visit(s.path, int64(x>>1)^-int64(x&1))
	}
	return nil
}

func (s *thriftScan) structure(depth int) error {
	if depth > maxThriftDepth {
		return errThriftDeep
	}
	s.path = append(s.path, 0)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	id := int16(0)
	for {
		head, err := s.next()
		if err != nil || head == 0 {
			return err
		}
		if delta := head >> 4; delta != 0 {
			id += int16(delta)
		} else {
			x, err := s.varint()
			if err != nil {
				return err
			}
			id = int16(int64(x>>1) ^ -int64(x&1))
		}
		s.path[len(s.path)-1] = id
		switch kind := head & 0xf; kind {
		case 1, 2: // a field's boolean is in its head
			if s.visit != nil {
				s.visit(s.path, int64(2-kind))
			}
		default:
			if err := s.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
}

func (s *thriftScan) value(kind byte, depth int) error {
	switch kind {
	case 1, 2, 3: // boolean in a list, byte
		return s.skip(1)
	case 4, 5, 6:
		return s.integer()
	case 7:
		return s.skip(8)
	case 8:
		n, err := s.varint()
		if err != nil {
			return err
		}
		return s.skip(n)
	case 9, 10:
		return s.list(depth)
	case 11:
		return s.mapping(depth)
	case 12:
		return s.structure(depth)
	case 13:
		return s.skip(16)
	}
	return fmt.Errorf("it has a value of the unknown type %d", kind)
}

func (s *thriftScan) list(depth int) error {
	head, err := s.next()
	if err != nil {
		return err
	}
	n := uint64(head >> 4)
	if n == 15 {
		if n, err = s.varint(); err != nil {
			return err
		}
	}
	return s.elements(n, depth, head&0xf)
}

func (s *thriftScan) mapping(depth int) error {
	n, err := s.varint()
	if err != nil || n == 0 {
		return err
	}
	kinds, err := s.next()
	if err != nil {
		return err
	}
	return s.elements(n, depth, kinds>>4, kinds&0xf)
}

// elements passes n times one value of each kind.
func (s *thriftScan) elements(n uint64, depth int, kinds ...byte) error {
	if n > uint64(len(s.b)-s.i) { // none has less than a byte
		return errThriftShort
	}
	if s.items += int(n); s.items > maxThriftItems {
		return errThriftItems
	}
	if depth > maxThriftDepth {
		return errThriftDeep
	}
	for range n {
		for _, kind := range kinds {
			if err := s.value(kind, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
