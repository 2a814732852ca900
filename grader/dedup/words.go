package dedup

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// shingleWords is how many consecutive words make a shingle.
const shingleWords = 5

// The start and the factor of FNV-1a with 64 bits, here over characters instead of
// bytes.
const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// mix spreads every bit of x over all others: the last step of the generator
// SplitMix64 (Steele, Lea and Flood, 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// role says what a character is to a word.
type role byte

const (
	between role = iota // belongs to none
	inside              // of one with its neighbours
	alone               // is one
)

// Scripts that put no spaces between words: each character counts as a word. None of
// them begins below firstUnspaced.
const firstUnspaced = 0x0e00

var unspaced = []*unicode.RangeTable{
	unicode.Thai, unicode.Lao, unicode.Myanmar, unicode.Khmer, unicode.Han, unicode.Hiragana, unicode.Katakana,
}

// roleOf returns a character's role, and the character in lower case. Letters,
// marks and numbers make words. Signs of mathematics and currencies and pictures
// are words: "2 < 3" is not "2 > 3". Punctuation is none.
func roleOf(r rune) (role, rune) {
	switch {
	case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
		return inside, r
	case 'A' <= r && r <= 'Z':
		return inside, r + ('a' - 'A')
	case r < utf8.RuneSelf:
		if strings.IndexByte("$+<=>|~", byte(r)) >= 0 {
			return alone, r
		}
		return between, r
	case unicode.IsLetter(r) || unicode.IsMark(r) || unicode.IsNumber(r):
		if r >= firstUnspaced && unicode.In(r, unspaced...) {
			return alone, r
		}
		return inside, unicode.ToLower(r)
	case unicode.In(r, unicode.Sm, unicode.Sc, unicode.So):
		return alone, r
	}
	return between, r
}

// appendWords appends a hash of each word of s. Of a text that has none but
// something to read, each character counts: "?" is not "!".
func appendWords(list []uint64, s string) []uint64 {
	before := len(list)
	h, open := uint64(fnvOffset), false
	for _, c := range s {
		is, r := roleOf(c)
		if is == inside {
			h, open = (h^uint64(r))*fnvPrime, true
			continue
		}
		if open {
			list = append(list, mix(h))
			h, open = fnvOffset, false
		}
		if is == alone {
			list = append(list, oneWord(r))
		}
	}
	if open {
		list = append(list, mix(h))
	}
	if len(list) > before {
		return list
	}
	for _, r := range s {
		if !unicode.IsSpace(r) {
			list = append(list, oneWord(r))
		}
	}
	return list
}

// AppendWords appends a hash of each word of s, in order: what shingles are made of.
func AppendWords(list []uint64, s string) []uint64 { return appendWords(list, s) }

func oneWord(r rune) uint64 { return mix((fnvOffset ^ uint64(r)) * fnvPrime) }

// fieldMark is the word before the nth of a record's texts.
func fieldMark(n int) uint64 { return mix(^uint64(n)) }

// shingles returns the set of a record's shingles, sorted; never empty. It is
// valid until the next call.
func (w *worker) shingles(texts [3]string) []uint64 {
	w.words = w.words[:0]
	for i, s := range texts {
		w.words = appendWords(append(w.words, fieldMark(i)), s)
	}
	n := min(shingleWords, len(w.words))
	w.set = w.set[:0]
	for i := 0; i+n <= len(w.words); i++ {
		h := uint64(n)
		for _, word := range w.words[i : i+n] {
			h = mix(h ^ word)
		}
		w.set = append(w.set, h)
	}
	slices.Sort(w.set)
	w.set = slices.Compact(w.set)
	return w.set
}
