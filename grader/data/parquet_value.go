package data

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go"
)

// leaf writes one value.
func (w *rowWriter) leaf(f *field, v parquet.Value) error {
	if v.IsNull() {
		return w.add("null")
	}
	switch f.kind {
	case asBool:
		return w.add(strconv.FormatBool(v.Boolean()))
	case asInt:
		return w.add(strconv.FormatInt(integer(f, v), 10))
	case asUint:
		if f.bits == 32 {
			return w.add(strconv.FormatUint(uint64(v.Uint32()), 10))
		}
		return w.add(strconv.FormatUint(v.Uint64(), 10))
	case asFloat:
		return w.float(float64(v.Float()), 32)
	case asDouble:
		return w.float(v.Double(), 64)
	case asFloat16:
		return w.float(float16(binary.LittleEndian.Uint16(v.ByteArray())), 32)
	case asInt96:
		return w.text(legacyTime(v.ByteArray()))
	case asText:
		return w.bytes(v.ByteArray(), true)
	case asJSON:
		return w.embedded(v.ByteArray())
	case asBytes:
		b := v.ByteArray()
		return w.bytes(b, utf8.Valid(b))
	case asFixed:
		return w.bytes(v.ByteArray(), false)
	case asUUID:
		return w.text(uuid(v.ByteArray()))
	case asDate:
		return w.text(time.Unix(integer(f, v)*24*60*60, 0).UTC().Format(time.DateOnly))
	case asTime:
		return w.clock(f, integer(f, v))
	case asTimestamp:
		return w.text(timestamp(integer(f, v), f.unit, f.utc))
	case asDecimal:
		return w.decimal(f, v)
	}
	return w.add("null")
}

func integer(f *field, v parquet.Value) int64 {
	if f.bits == 32 {
		return int64(v.Int32())
	}
	return v.Int64()
}

// float writes the shortest digits that give the number back. What is no
// number in JSON becomes a string.
func (w *rowWriter) float(x float64, bits int) error {
	switch {
	case math.IsNaN(x):
		return w.add(`"NaN"`)
	case math.IsInf(x, 1):
		return w.add(`"Infinity"`)
	case math.IsInf(x, -1):
		return w.add(`"-Infinity"`)
	}
	return w.add(strconv.FormatFloat(x, 'g', -1, bits))
}

// float16 is the value of a number in IEEE 754's binary16.
func float16(b uint16) float64 {
	fraction, exponent := float64(b&0x3ff)/1024, int(b>>10&0x1f)
	var x float64
	switch exponent {
	case 0:
		x = math.Ldexp(fraction, -14)
	case 31:
		if x = math.Inf(1); fraction != 0 {
			return math.NaN()
		}
	default:
		x = math.Ldexp(1+fraction, exponent-15)
	}
	if b&0x8000 != 0 {
		return -x
	}
	return x
}

func (w *rowWriter) text(s string) error {
	if len(w.b)+len(s)+2 > w.max {
		return errRowTooLarge
	}
	w.b = appendJSON(w.b, s)
	return nil
}

// bytes writes text as it is and anything else in base64.
func (w *rowWriter) bytes(b []byte, text bool) error {
	if len(w.b)+len(b)+2 > w.max {
		return errRowTooLarge
	}
	if text {
		w.b = appendJSON(w.b, string(b))
		return nil
	}
	w.b = append(w.b, '"')
	w.b = base64.StdEncoding.AppendEncode(w.b, b)
	return w.add(`"`)
}

// embedded writes a column of JSON texts as the JSON that it is, on one line.
func (w *rowWriter) embedded(b []byte) error {
	if len(w.b)+len(b) > w.max {
		return errRowTooLarge
	}
	var line bytes.Buffer
	if !utf8.Valid(b) || json.Compact(&line, b) != nil {
		return w.bytes(b, true)
	}
	w.b = append(w.b, line.Bytes()...)
	return nil
}

func uuid(b []byte) string {
	if len(b) != 16 {
		return base64.StdEncoding.EncodeToString(b)
	}
	h := hex.EncodeToString(b)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// timestamp writes a moment, or without utc the reading of a clock somewhere, as
// RFC 3339 has it.
func timestamp(x, unit int64, utc bool) string {
	var t time.Time
	switch unit {
	case 1e6:
		t = time.UnixMilli(x)
	case 1e3:
		t = time.UnixMicro(x)
	default:
		t = time.Unix(0, x)
	}
	s := t.UTC().Format("2006-01-02T15:04:05.999999999")
	if utc {
		s += "Z"
	}
	return s
}

// legacyTime reads the 12 bytes that older writers used for times: nanoseconds
// of the day, and the Julian day.
func legacyTime(b []byte) string {
	if len(b) != 12 {
		return base64.StdEncoding.EncodeToString(b)
	}
	const epoch = 2440588 // the Julian day of 1970-01-01
	day := int64(int32(binary.LittleEndian.Uint32(b[8:])))
	t := time.Unix((day-epoch)*24*60*60, 0).Add(time.Duration(binary.LittleEndian.Uint64(b)))
	return t.UTC().Format("2006-01-02T15:04:05.999999999")
}

// clock writes a time of the day; a number that is none stays a number.
func (w *rowWriter) clock(f *field, x int64) error {
	if x < 0 || x >= int64(24*time.Hour)/f.unit {
		return w.add(strconv.FormatInt(x, 10))
	}
	return w.text(time.Unix(0, x*f.unit).UTC().Format("15:04:05.999999999"))
}

// maxDecimalBytes bounds the work of writing a decimal; longer ones are written
// in base64.
const maxDecimalBytes = 128

func (w *rowWriter) decimal(f *field, v parquet.Value) error {
	n := new(big.Int)
	if f.bits != 0 {
		n.SetInt64(integer(f, v))
	} else {
		b := v.ByteArray()
		if len(b) > maxDecimalBytes {
			return w.bytes(b, false)
		}
		n.SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 { // two's complement
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	digits := n.Abs(n).String()
	if f.scale > 0 {
		if pad := f.scale + 1 - len(digits); pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		digits = digits[:len(digits)-f.scale] + "." + digits[len(digits)-f.scale:]
	}
	return w.text(sign + digits)
}
