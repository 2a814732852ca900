package record

// NewFaulty makes a record of bytes that cannot be read as one: its key is that
// of the bytes, and its Fault has the given status and reason. It keeps raw.
func NewFaulty(raw []byte, index int, file string, line int, s Status, reason string) *Record {
	rec := &Record{Index: index, File: file, Line: line, Raw: raw, Turns: 1}
	return rec.unreadable(s, "%s", reason)
}
