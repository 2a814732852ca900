package record

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Shape is how a file frames its records: a JSON array or one record a line,
// and the bytes before, between and after them. The zero value is JSON Lines
// with plain line feeds.
type Shape struct {
	Array bool // a JSON array, else JSON Lines

	head  string // before the first record
	sep   string // between the first two, never empty once known
	tail  string // after the last
	whole bool   // the source was read to its end, so tail is known
	empty bool   // the source has no records
}

// maxGap bounds the bytes kept of what stands before, between or after
// records; a longer gap is replaced by the usual one.
const maxGap = 64 << 10

const space = " \t\r\n"

// frame fills in what the source did not show.
func (s Shape) frame() (head, sep, tail string) {
	head, sep, tail = s.head, s.sep, s.tail
	if !s.Array {
		if sep == "" {
			sep = "\n"
			if strings.Contains(tail, "\r\n") {
				sep = "\r\n"
			}
		}
		if !s.whole {
			tail = "\n"
		}
		return head, sep, tail
	}
	if head == "" {
		head = "[\n"
	}
	if sep == "" {
		sep = "," + head[strings.IndexByte(head, '[')+1:]
	}
	if !s.whole {
		tail = "\n]\n"
	}
	return head, sep, tail
}

// shapeWriter writes records in the frame of a Shape. If the source's separators
// are all alike, writing all of its records gives the source byte for byte.
type shapeWriter struct {
	w               *bufio.Writer
	shape           Shape
	head, sep, tail string
	n               int
	closed          bool
}

// NewWriter implements Layout. The shape is complete, tail included, only after
// the source has been read to its end.
func (s Shape) NewWriter(w io.Writer, _ bool) (Writer, error) { return s.newWriter(w), nil }

func (s Shape) newWriter(w io.Writer) *shapeWriter {
	head, sep, tail := s.frame()
	return &shapeWriter{w: bufio.NewWriterSize(w, 64<<10), shape: s, head: head, sep: sep, tail: tail}
}

// Write implements Writer.
func (w *shapeWriter) Write(rec *Record) error { return w.write(rec.Raw) }

// WriteNote implements Writer.
func (w *shapeWriter) WriteNote(rec *Record, note any) error {
	raw, err := noted(rec.Raw, note)
	if err != nil {
		return fmt.Errorf("record %d (line %d): %w", rec.Index, rec.Line, err)
	}
	return w.write(raw)
}

var errWriterClosed = errors.New("the writer is closed")

// write writes one record as it is; it does not check that raw is JSON. It
// fails if raw cannot stand in the frame: if it is empty, or holds a line
// break where each line is a record.
func (w *shapeWriter) write(raw []byte) error {
	switch {
	case w.closed:
		return fmt.Errorf("writing record %d: %w", w.n+1, errWriterClosed)
	case len(raw) == 0:
		return fmt.Errorf("writing record %d: it has no bytes", w.n+1)
	case !w.shape.Array && bytes.IndexByte(raw, '\n') >= 0:
		return fmt.Errorf("writing record %d: it holds a line break, but the file has one record a line", w.n+1)
	}
	before := w.sep
	if w.n == 0 {
		before = w.head
	}
	w.n++
	if _, err := w.w.WriteString(before); err != nil {
		return fmt.Errorf("writing record %d: %w", w.n, err)
	}
	if _, err := w.w.Write(raw); err != nil {
		return fmt.Errorf("writing record %d: %w", w.n, err)
	}
	return nil
}

// Close writes the frame's end and flushes. It does not close the underlying
// writer. Without records the file becomes an empty array, or, of lines, an
// empty file.
func (w *shapeWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	end := w.tail
	if w.n == 0 {
		switch {
		case w.shape.empty:
			end = w.head + w.tail
		case w.shape.Array:
			end = strings.TrimRight(w.head, space) + strings.TrimLeft(w.tail, space)
		default:
			end = ""
		}
	}
	if _, err := w.w.WriteString(end); err != nil {
		return fmt.Errorf("writing the end of the file: %w", err)
	}
	if err := w.w.Flush(); err != nil {
		return fmt.Errorf("writing the end of the file: %w", err)
	}
	return nil
}
