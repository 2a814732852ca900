package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"

	"winnow/grader/record"
)

// Measured on 9,229 records drawn at random from Alpaca's 52,002, in words
// between white space:
//
//	             present  median  mean   σ of the logarithm   p90   p99
//	instruction   100 %     9     10.05        0.334           14    22
//	input          39.7 %   6      9.72        0.958           20    63
//	response      100 %    31     44.70        1.329          100   205
//
// The response is no log-normal: a tenth has 4 words or less. AlpacaSigma is
// the one that gives, with the median, its mean; then p90 is 93 and p99 229, and
// only the shortest are too few.
const (
	AlpacaMedian = 31.0 // words
	AlpacaSigma  = 0.86 // of the logarithm of the words
)

// The other two texts, as in Alpaca.
const (
	instructionMedian = 9.5 // the logarithm's mean: the median of whole words is coarse
	instructionSigma  = 0.334
	inputMedian       = 6.1
	inputSigma        = 0.958
	inputShare        = 0.397
)

// Limits of Lengths.
const (
	maxMedian = 100_000 // words
	maxSigma  = 3.0
	maxWords  = 200_000 // of a text, whatever is drawn
)

// Lengths is the log-normal distribution that the lengths of responses are drawn
// from. A Sigma of 0 makes all alike.
type Lengths struct {
	Median float64 // words
	Sigma  float64 // standard deviation of the logarithm
}

// ParseLengths reads MEDIAN[,SIGMA], as in "31,0.86". Without SIGMA it is
// AlpacaSigma; the empty text is Alpaca's both.
func ParseLengths(s string) (Lengths, error) {
	l := Lengths{AlpacaMedian, AlpacaSigma}
	if s == "" {
		return l, nil
	}
	median, sigma, both := strings.Cut(s, ",")
	var err, sigmaErr error
	l.Median, err = strconv.ParseFloat(strings.TrimSpace(median), 64)
	if both {
		l.Sigma, sigmaErr = strconv.ParseFloat(strings.TrimSpace(sigma), 64)
	}
	if err != nil || sigmaErr != nil {
		return Lengths{}, fmt.Errorf("lengths %q: want MEDIAN[,SIGMA], such as 31,0.86", s)
	}
	if err := l.check(); err != nil {
		return Lengths{}, err
	}
	return l, nil
}

func (l Lengths) check() error {
	if !(l.Median >= 1 && l.Median <= maxMedian && l.Sigma >= 0 && l.Sigma <= maxSigma) {
		return fmt.Errorf("lengths with a median of %v words and a sigma of %v: want a median from 1 to %d and a sigma from 0 to %v", l.Median, l.Sigma, maxMedian, maxSigma)
	}
	return nil
}

// String returns the form that ParseLengths reads.
func (l Lengths) String() string { return fmt.Sprintf("%v,%v", l.Median, l.Sigma) }

// Synthetic returns n records that look like Alpaca's from afar: random words in
// sentences, responses of the given lengths, instructions and inputs of Alpaca's.
// Equal arguments give equal records, byte for byte. With Alpaca's lengths they
// have as many words as its records and, with SmolLM2's vocabulary, 7 % fewer
// tokens: rare words and line ends are missing. They are written as JSON lines
// and read back, so that they are what a file would have given.
func Synthetic(n int, lengths Lengths, seed uint64) ([]*record.Record, error) {
	var lines bytes.Buffer
	if err := WriteSynthetic(&lines, n, lengths, seed); err != nil {
		return nil, err
	}
	return readAll(&lines, n)
}

// WriteSynthetic writes the records of Synthetic as JSON lines.
func WriteSynthetic(out io.Writer, n int, lengths Lengths, seed uint64) error {
	if err := lengths.check(); err != nil {
		return err
	}
	if n < 1 {
		return fmt.Errorf("make %d records: want 1 or more", n)
	}
	w := &writer{rand.New(rand.NewPCG(seed, 0x77696e6e6f77))}
	enc := json.NewEncoder(out)
	for range n {
		var r struct {
			Instruction string `json:"instruction"`
			Input       string `json:"input"`
			Output      string `json:"output"`
		}
		r.Instruction = w.text(w.words(Lengths{instructionMedian, instructionSigma}))
		if w.Float64() < inputShare {
			r.Input = w.text(w.words(Lengths{inputMedian, inputSigma}))
		}
		r.Output = w.text(w.words(lengths))
		if err := enc.Encode(r); err != nil {
			return fmt.Errorf("make records: %w", err)
		}
	}
	return nil
}

func readAll(in io.Reader, n int) ([]*record.Record, error) {
	r := record.NewReader(in, "synthetic records", record.Options{})
	recs := make([]*record.Record, 0, n)
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			return recs, nil
		}
		if err != nil {
			return nil, err
		}
		recs = append(recs, rec)
	}
}

// writer makes random texts.
type writer struct{ *rand.Rand }

// words draws a number of words.
func (w writer) words(l Lengths) int {
	x := math.Round(l.Median * math.Exp(l.Sigma*w.NormFloat64()))
	return int(min(max(x, 1), maxWords))
}

// text returns n words in sentences of 6 to 16.
func (w writer) text(n int) string {
	var b strings.Builder
	left := 0 // words until the end of the sentence
	for i := range n {
		u := w.Float64()
		word := vocabulary[int(float64(len(vocabulary))*u*math.Sqrt(u))] // those in front more often
		if left == 0 {
			left = 6 + w.IntN(11)
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
		left--
		switch {
		case left == 0 || i == n-1:
			b.WriteByte('.')
		case w.IntN(12) == 0:
			b.WriteByte(',')
		}
	}
	return b.String()
}

// vocabulary is what sentences are made of, the frequent words in front. With
// spaces and points a word takes 6.1 characters on average, as in Alpaca.
var vocabulary = strings.Fields(`
the a of to and in that for with from by on as it is are was be this at or
an not can have has which when where how what why who will would may each all
one two three some many most few more less first last other same new old good
small large long short early late open clear quick simple common strong bright
people person child friend teacher student worker doctor family group city town
house room garden river forest mountain ocean island weather summer winter sun
water food bread fruit apple coffee paper book story letter number sentence word
idea question answer problem reason example result system method process machine
computer program music picture color sound light energy power market price money
company service product customer research science history nature language country
government education health animal plant tree flower bird horse planet engine
make take give find know think write read learn help show build move change keep
begin follow create describe explain compare provide improve reduce increase
include consider understand remember travel develop support protect measure
about after before between during through without under over along because while
usually often always never together quickly carefully however therefore important
different possible available necessary effective beautiful traditional environment
information development communication technology relationship opportunity
`)
