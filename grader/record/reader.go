package record

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Options says how a source is read. The zero value is the Alpaca format.
type Options struct {
	Fields   Fields // the keys of a record's texts; empty names are the defaults
	MaxBytes int    // the largest record; 0 is DefaultMaxBytes
	Frame    Frame  // of JSON
}

// Frame says how JSON records follow one another.
type Frame byte

// The frames of JSON.
const (
	AnyFrame   Frame = iota // an array if '[' is the first byte, lines if it is '{'
	ArrayFrame              // one array
	LinesFrame              // one record a line, whatever the first byte is
)

// DefaultMaxBytes is the largest record that is read if Options names no other
// limit.
const DefaultMaxBytes = 64 << 20

// SourceError is damage to a source that is not confined to one record, so that
// nothing behind it can be read with certainty.
type SourceError struct {
	Name string // of the source
	Line int    // from 1; 0 if the whole source is meant
	Msg  string // what was found, what was expected, what to do
	Err  error  // the cause, if it was not the content
}

// Error returns the place and what is wrong there.
func (e *SourceError) Error() string {
	at := e.Name
	if e.Line > 0 {
		at = fmt.Sprintf("%s:%d", e.Name, e.Line)
	}
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", at, e.Msg, e.Err)
	}
	return at + ": " + e.Msg
}

// Unwrap returns the cause.
func (e *SourceError) Unwrap() error { return e.Err }

// Reader reads records one after another. It holds one record at a time,
// whatever the size of the source. A Reader is for one goroutine.
type Reader struct {
	in     source
	file   io.Closer
	name   string
	fields Fields
	max    int
	frame  Frame

	begun   bool
	index   int // of the next record
	line    int // of the next byte
	shape   Shape
	gap     []byte // what was read since the last record
	gapLost bool   // the gap is longer than maxGap
	lex     splitter
	turns   []*Record // of the last record, still to be returned
	err     error     // of the last Next; sticky
}

// NewReader returns a Reader of r. The name stands in errors.
func NewReader(r io.Reader, name string, o Options) *Reader {
	if o.MaxBytes <= 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	return &Reader{
		in:     source{r: r, limit: o.MaxBytes + minBuffer},
		name:   name,
		fields: o.Fields.orDefault(),
		max:    o.MaxBytes,
		frame:  o.Frame,
		line:   1,
	}
}

// Open returns a Reader of the file at path. Close closes the file.
func Open(path string, o Options) (*Reader, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening records: %w", err)
	}
	r := NewReader(f, path, o)
	r.file = f
	return r, nil
}

// Close closes the file of a Reader that Open made; for others it does nothing.
// It may be called more than once.
func (r *Reader) Close() error {
	if r.file == nil {
		return nil
	}
	f := r.file
	r.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("closing records: %w", err)
	}
	return nil
}

// Shape returns how the source frames its records. What the source shows later
// is filled in as it is read; after io.EOF the Shape is complete.
func (r *Reader) Shape() Shape { return r.shape }

// Layout implements Source: it is the Shape.
func (r *Reader) Layout() Layout { return r.shape }

// Next implements Source.
func (r *Reader) Next() (*Record, error) {
	if len(r.turns) > 0 {
		return r.turn(), nil
	}
	if r.err != nil {
		return nil, r.err
	}
	n, err := r.advance()
	if err != nil {
		r.err = err
		return nil, err
	}
	raw := bytes.Clone(r.in.window()[:n])
	r.turns = Parse(raw, r.index, r.name, r.line, r.fields)
	r.index++
	r.line += bytes.Count(raw, []byte{'\n'})
	r.in.skip(n)
	return r.turn(), nil
}

// turn takes the first of the records that are still to be returned.
func (r *Reader) turn() *Record {
	rec := r.turns[0]
	r.turns = r.turns[1:]
	return rec
}

// advance goes to the first byte of the next record and returns the record's
// length, with all of it in the window.
func (r *Reader) advance() (int, error) {
	if !r.begun {
		r.begun = true
		if err := r.begin(); err != nil {
			return 0, err
		}
	}
	if r.shape.Array {
		return r.nextElement()
	}
	return r.nextLine()
}

// begin detects the shape and, of an array, passes its opening bracket.
func (r *Reader) begin() error {
	for len(r.in.window()) < 4 && r.in.fill() {
	}
	if bytes.HasPrefix(r.in.window(), []byte("\xef\xbb\xbf")) {
		r.pass(3)
	}
	if what := Foreign(r.in.window()); what != "" {
		return &SourceError{Name: r.name, Msg: "the file is not JSON but " + what}
	}
	c, ok, err := r.space()
	switch {
	case err != nil:
		return err
	case !ok:
		return &SourceError{Name: r.name, Msg: "the file is empty; want a JSON array of records or one JSON object a line"}
	case r.frame == LinesFrame:
	case c == '[':
		r.shape.Array = true
		r.pass(1)
	case r.frame == ArrayFrame:
		return r.damage("found %s, want '[': the file is not a JSON array", found(r.in.window()))
	case c != '{':
		return r.damage("found %s, which begins neither a JSON array of records ('[') nor one JSON object a line ('{')", found(r.in.window()))
	}
	return nil
}

// Foreign recognizes by its first bytes what people pass as text by mistake. It
// returns what it is and what to do about it, or nothing.
func Foreign(head []byte) string {
	for _, f := range [...]struct{ magic, what string }{
		{"\xff\xfe", "text in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"},
		{"\xfe\xff", "text in UTF-16; convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"},
		{"\x1f\x8b", "still compressed with gzip; unpack it first"},
		{"\x28\xb5\x2f\xfd", "still compressed with zstd; unpack it first"},
		{"PK\x03\x04", "a ZIP archive; unpack it first"},
		{"PAR1", "a Parquet file; leave out --format, or name it"},
	} {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return f.what
		}
	}
	return ""
}

func (r *Reader) damage(format string, args ...any) error {
	return &SourceError{Name: r.name, Line: r.line, Msg: fmt.Sprintf(format, args...)}
}

// ended says why the source gave no more bytes: why is its meaning if the
// source is simply at its end.
func (r *Reader) ended(why string, args ...any) error {
	if r.in.err != nil {
		return &SourceError{Name: r.name, Line: r.line, Msg: "reading failed", Err: r.in.err}
	}
	return r.damage(why, args...)
}

func (r *Reader) tooLarge() error {
	return r.damage("record %d, which begins here, is larger than %d bytes: close the quote or bracket that is open in it, or raise --max-record-bytes", r.index+1, r.max)
}

// pass skips n bytes of the window as part of the gap between records.
func (r *Reader) pass(n int) {
	b := r.in.window()[:n]
	if len(r.gap)+n <= maxGap {
		r.gap = append(r.gap, b...)
	} else {
		r.gapLost = true
	}
	r.line += bytes.Count(b, []byte{'\n'})
	r.in.skip(n)
}

// takeGap returns the bytes since the last record and begins a new gap.
func (r *Reader) takeGap() string {
	s := string(r.gap)
	if r.gapLost {
		s = ""
	}
	r.gap, r.gapLost = r.gap[:0], false
	return s
}

// space passes white space and returns the byte after it; ok is false at the
// end of the source.
func (r *Reader) space() (c byte, ok bool, err error) {
	for {
		b := r.in.window()
		n := 0
		for n < len(b) && isSpace(b[n]) {
			n++
		}
		if n < len(b) {
			r.pass(n)
			return b[n], true, nil
		}
		r.pass(n)
		if !r.in.fill() {
			if r.in.err != nil {
				return 0, false, r.ended("")
			}
			return 0, false, nil
		}
	}
}

// start marks the gap before a record.
func (r *Reader) start() {
	switch gap := r.takeGap(); r.index {
	case 0:
		r.shape.head = gap
	case 1:
		r.shape.sep = gap
	}
}

// finish marks the gap after the last record.
func (r *Reader) finish() error {
	r.shape.whole = !r.gapLost
	r.shape.empty = r.index == 0
	r.shape.tail = r.takeGap()
	return io.EOF
}

func (r *Reader) nextElement() (int, error) {
	const notClosed = "the array is not closed: the file ends %s; repair or cut the file"
	c, ok, err := r.space()
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, r.damage(notClosed, r.where())
	}
	if c == ']' {
		return 0, r.endArray()
	}
	if r.index > 0 {
		if c != ',' {
			return 0, r.damage("found %s %s, want ',' or ']'; repair the file", found(r.in.window()), r.where())
		}
		r.pass(1)
		c, ok, err = r.space()
		if err != nil {
			return 0, err
		}
		if !ok {
			return 0, r.damage(notClosed, r.where())
		}
	}
	if c <= ' ' || c == ',' || c == ']' || c == '}' {
		return 0, r.damage("found %s where record %d should begin; repair the file", found(r.in.window()), r.index+1)
	}
	r.start()
	r.lex.reset(c)
	off := 0
	for {
		n, done := r.lex.scan(r.in.window()[off:])
		off += n
		if off > r.max {
			return 0, r.tooLarge()
		}
		if done {
			return off, nil
		}
		if !r.in.fill() {
			return 0, r.ended(notClosed, fmt.Sprintf("inside record %d, which begins here", r.index+1))
		}
	}
}

// where says between which records the reader stands.
func (r *Reader) where() string {
	if r.index == 0 {
		return "before the first record"
	}
	return fmt.Sprintf("after record %d", r.index)
}

// endArray passes the closing bracket and checks that nothing follows it.
func (r *Reader) endArray() error {
	if r.index == 0 {
		r.start()
	}
	r.pass(1)
	_, ok, err := r.space()
	if err != nil {
		return err
	}
	if ok {
		return r.damage("found %s after the array's closing bracket; a file holds one array: repair or split the file", found(r.in.window()))
	}
	return r.finish()
}

func (r *Reader) nextLine() (int, error) {
	_, ok, err := r.space()
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, r.finish()
	}
	r.start()
	off := 0
	for {
		b := r.in.window()
		n := bytes.IndexByte(b[off:], '\n')
		if n >= 0 {
			off += n
		} else {
			off = len(b)
		}
		if off > r.max {
			return 0, r.tooLarge()
		}
		if n >= 0 {
			break
		}
		if !r.in.fill() {
			if r.in.err != nil {
				return 0, r.ended("")
			}
			break
		}
	}
	b := bytes.TrimRight(r.in.window()[:off], space)
	if len(bytes.Trim(b, space+"\x00")) == 0 {
		return 0, r.damage("a line of NUL bytes stands where record %d should be, as after a crash; cut them out", r.index+1)
	}
	if r.index == 0 && string(b) == "{" {
		return 0, r.damage("the line holds nothing but '{': an object over several lines is neither of the two shapes; want a JSON array of records or one JSON object a line (jq -c makes one)")
	}
	return len(b), nil
}
