package grader

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"

	"winnow/grader/record"
)

// Shard is the part of a source that one of several runs grades, perhaps each on
// a machine of its own. A record belongs to the shard 1 + its key's first 8 bytes,
// big endian, modulo the number of shards: to the same one wherever it stands, so
// that records with the same content meet in one run. The zero Shard is the whole.
type Shard struct {
	Number int // from 1
	Of     int
}

// ParseShard reads a shard written as i/n.
func ParseShard(s string) (Shard, error) {
	number, of, _ := strings.Cut(s, "/")
	i, err := strconv.ParseUint(number, 10, 31)
	if err == nil {
		var n uint64
		if n, err = strconv.ParseUint(of, 10, 31); err == nil && 1 <= i && i <= n {
			return Shard{int(i), int(n)}, nil
		}
	}
	return Shard{}, fmt.Errorf("shard %q: want i/n with i from 1 to n, such as 2/8", s)
}

// Whole reports whether it is all of the source.
func (s Shard) Whole() bool { return s.Of <= 1 }

// String returns the form that ParseShard reads.
func (s Shard) String() string {
	if s.Whole() {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Number, s.Of)
}

// Suffix is what the names of its files have in them: "-2-of-8"; empty for the
// whole.
func (s Shard) Suffix() string {
	if s.Whole() {
		return ""
	}
	return fmt.Sprintf("-%d-of-%d", s.Number, s.Of)
}

// Has reports whether the record with this key belongs to it.
func (s Shard) Has(key record.Key) bool {
	return s.Whole() || binary.BigEndian.Uint64(key[:8])%uint64(s.Of) == uint64(s.Number-1)
}

// Source leaves of a source the records of the shard, with their index in the
// whole. A limit above 0 ends the source behind that many of its records, whatever
// shard they belong to.
func (s Shard) Source(src record.Source, limit int) record.Source {
	if s.Whole() {
		return src
	}
	return &shardSource{Source: src, shard: s, limit: limit}
}

type shardSource struct {
	record.Source
	shard Shard
	limit int
	ended bool // by the limit
}

// Next implements record.Source.
func (s *shardSource) Next() (*record.Record, error) {
	for !s.ended {
		rec, err := s.Source.Next()
		if err != nil {
			return nil, err
		}
		s.ended = s.limit > 0 && rec.Index >= s.limit-1 && rec.Turn >= rec.Turns-1
		if s.shard.Has(rec.Key) {
			return rec, nil
		}
	}
	return nil, io.EOF
}
