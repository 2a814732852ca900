// Package dedup finds records that say the same as a better rated one. It is
// pure: the same records and ratings give the same duplicates, whatever the
// number of cores.
//
// The similarity of two records is the Jaccard similarity of their sets of
// shingles, |A∩B| / |A∪B|. A shingle is five consecutive words of the record:
// the words of instruction, input and response one behind the other, in lower
// case, each text begun by a mark that no word equals. A record of fewer than
// five has one shingle of what there is.
//
// Rated records are gone through from the highest rating to the lowest, of equal
// ones in the order of their source. Each is a duplicate if its similarity to one
// before it that is none reaches the threshold, else a survivor. So what is said
// of a duplicate is always a comparison with a survivor, never a chain.
//
// Candidates are found by MinHash (A. Broder, "On the resemblance and containment
// of documents", 1997) with 128 permutations, in bands of r rows (J. Leskovec,
// A. Rajaraman, J. Ullman, "Mining of Massive Datasets", section 3.4): two records
// of similarity s share one of b bands with probability 1-(1-s^r)^b. Then the
// shingles themselves are compared, so a duplicate is certain and only finding it
// is a matter of probability. For the default threshold of 0.8 there are 16 bands of
// 8 rows: a duplicate of similarity 0.80 is found with a probability of 0.947,
// one of 0.85 with 0.994, one of 0.90 with 0.9999. Recall says so for others.
//
// A record takes 100 bytes, 8 for each band and 8 for each shingle, which are as many
// as its words: at the default threshold 230 and 8 a word, and up to 80 more while
// pairs are sought. A million records of 65 words are 0.76 GB on the heap, and 1.4 GB
// resident (bench/dedup). Time is linear in the records as long as few of them are
// alike; survivors that share a band are all compared with one another.
package dedup

import (
	"fmt"
	"math"

	"winnow/grader/record"
)

// Mode says what is a duplicate.
type Mode string

// The modes. The zero Mode is Off.
const (
	Off   Mode = "off"   // nothing is
	Exact Mode = "exact" // a record with the texts of another one
	Near  Mode = "near"  // a record whose similarity to another one reaches the threshold
)

// DefaultThreshold is the least similarity of a near duplicate.
const DefaultThreshold = 0.8

// MinThreshold is the least threshold: below it most candidates would share a
// common phrase and no more, and their number grows with the square of the records.
const MinThreshold = 0.3

// Options says how duplicates are found.
type Options struct {
	Mode      Mode
	Threshold float64 // of Near, MinThreshold to 1; DefaultThreshold if 0
}

// Validate reports an unknown mode or a threshold out of range.
func (o Options) Validate() error {
	switch o.Mode {
	case "", Off, Exact, Near:
	default:
		return fmt.Errorf("duplicates %q: want %s, %s or %s", o.Mode, Off, Exact, Near)
	}
	if t := o.Threshold; t != 0 && !(t >= MinThreshold && t <= 1) {
		return fmt.Errorf("a threshold of %g for duplicates: want a similarity from %g to 1", t, MinThreshold)
	}
	return nil
}

// On reports whether anything can be a duplicate.
func (o Options) On() bool { return o.Mode == Exact || o.Mode == Near }

func (o Options) threshold() float64 {
	if o.Threshold == 0 {
		return DefaultThreshold
	}
	return o.Threshold
}

// Recall returns the probability with which Near finds two records of a
// similarity, at or above its threshold, to be candidates, and the bands and the
// rows of a band that the threshold leads to.
func (o Options) Recall(similarity float64) (p float64, bands, rows int) {
	bands, rows = split(o.threshold())
	return recall(similarity, bands, rows), bands, rows
}

// Duplicate is a record's likeness to the survivor that stands for it.
type Duplicate struct {
	Of         int // the survivor's place among the records added, from 0
	Index      int // in its source
	File       string
	Line       int
	Same       bool    // the texts are the same, byte for byte
	Similarity float64 // 1 for the same texts
}

// Reason tells people of the duplicate, as in "duplicate of record 17
// (data.json:140), similarity 0.93". Digits are cut off, not rounded, so that
// only equal shingles show 1.00.
func (d Duplicate) Reason() string {
	survivor := record.Record{File: d.File, Line: d.Line}
	if d.Same {
		return fmt.Sprintf("same texts as record %d (%s)", d.Index, survivor.Where())
	}
	const tiny = 1e-9 // 0.93 × 100 may be less than 93
	return fmt.Sprintf("duplicate of record %d (%s), similarity %.2f", d.Index, survivor.Where(), math.Floor(d.Similarity*100+tiny)/100)
}
