// Package record reads files of instruction-tuning records and writes chosen
// records back without changing a byte of them.
package record

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
)

// Record is one instruction-tuning example, or one of the assistant's turns of a
// conversation. A conversation comes as one Record a turn, one after another, with
// the same Index, Line and Raw.
type Record struct {
	Index int    // position in its source, from 0
	File  string // name of its source
	Line  int    // line of its first byte in its file, from 1; of a table without lines the row
	Raw   []byte // its bytes as they stand in the source, without separators; where that is no text, its JSON
	Key   Key

	Turn, Turns int // which of the conversation's turns, from 0, and how many there are; 0 of 1 for others

	Instruction string
	Input       string // empty where the record has none
	Response    string
	Other       string // of a pair, the response that it is compared with
	Pair        bool

	Fault *Fault // why it cannot be rated; nil if it can be read

	Row any // what the source's Layout writes, where that is not Raw
}

// Where returns the record's place for people, as file:line.
func (rec *Record) Where() string { return fmt.Sprintf("%s:%d", rec.File, rec.Line) }

// Last reports whether it is the last of its conversation's turns, as every other
// record is.
func (rec *Record) Last() bool { return rec.Turn+1 >= rec.Turns }

// Key identifies a record by what a grader sees of it: records with the same
// instruction, input and response have the same key, wherever they stand.
type Key [16]byte

// contentKey hashes the three texts, each behind its length so that no two
// different triples hash the same bytes.
func contentKey(instruction, input, response string) Key {
	h := sha256.New()
	var n [8]byte
	for _, s := range [...]string{instruction, input, response} {
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	var k Key
	copy(k[:], h.Sum(nil))
	return k
}

// Made makes a record that no file has.
func Made(index int, instruction, input, response string) *Record {
	return &Record{Index: index, Turns: 1, Instruction: instruction, Input: input, Response: response, Key: contentKey(instruction, input, response)}
}

// MadePair makes a record that asks which of two responses is better. Its key is that of
// no single response, and another one for the responses in the other order.
func MadePair(index int, instruction, input, response, other string) *Record {
	r := Made(index, instruction, input, response)
	r.Other, r.Pair = other, true
	r.Key = hashOf("pair\x00", r.Key[:], []byte(other))
	return r
}

// rawKey hashes the bytes of a record whose fields cannot be read. The prefix
// keeps it apart from every content key.
func rawKey(raw []byte) Key { return hashOf("raw\x00", raw) }

// turnKey makes the key of a turn that cannot be read of the key that its record
// would have: two such turns have different keys.
func turnKey(raw Key, turn int) Key {
	var n [8]byte
	binary.LittleEndian.PutUint64(n[:], uint64(turn))
	return hashOf("turn\x00", raw[:], n[:])
}

// ConversationKey returns the key of the record that a conversation's turns are
// of: their own if there is one, else a hash of their keys in order.
func ConversationKey(turns []*Record) Key {
	if len(turns) == 1 {
		return turns[0].Key
	}
	keys := make([][]byte, len(turns))
	for i, t := range turns {
		keys[i] = t.Key[:]
	}
	return hashOf("turns\x00", keys...)
}

// hashOf hashes parts behind a prefix, which keeps the keys of one kind apart
// from all others.
func hashOf(prefix string, parts ...[]byte) Key {
	h := sha256.New()
	h.Write([]byte(prefix))
	for _, p := range parts {
		h.Write(p)
	}
	var k Key
	copy(k[:], h.Sum(nil))
	return k
}

// Lot returns a number that stands for a draw: of a record it depends on purpose and
// seed alone, and numbers of different records, purposes or seeds have nothing to do with
// one another. So a record is in the same half, or sample, whatever else is in the data.
func (k Key) Lot(purpose string, seed uint64) uint64 {
	h := sha256.New()
	h.Write([]byte(purpose + "\x00"))
	h.Write(binary.LittleEndian.AppendUint64(nil, seed))
	h.Write(k[:])
	return binary.LittleEndian.Uint64(h.Sum(nil))
}

// String returns the key as 32 hexadecimal digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// MarshalText writes the form of String.
func (k Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText reads the form of String.
func (k *Key) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(k)) {
		return fmt.Errorf("key %q: want %d hexadecimal digits", b, hex.EncodedLen(len(k)))
	}
	_, err := hex.Decode(k[:], b)
	return err
}
