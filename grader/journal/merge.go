package journal

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"winnow/grader/record"
)

// MergeOptions says what Merge does about entries that contradict one another.
type MergeOptions struct {
	PreferFirst bool // take the entry of the journal that is named first; otherwise it is an error
}

// Merged is what Merge found.
type Merged struct {
	Files     int // journals that were read
	Entries   int // entries that were written
	Repeated  int // entries that were left out because a journal before had the same
	Overruled int // entries that were left out because a journal before had another one
}

// Merge writes the entries of several journals as one: in the order of their
// index, those with equal index (turns of a conversation) in the order of their
// key. The result depends on the entries alone, not on how they are distributed
// over journals or in which order these are named; but for PreferFirst. So the
// shards of a source give the bytes that the journal of one run over it gives.
//
// All journals must be of one judge, else there is a *MismatchError. A record
// that two of them have different entries for is a *ConflictError. Damage is a
// *DamageError or a *VersionError as with Read; an unfinished last line is left
// out with a warning. Entries stay on the disk: a million of them took 112 MB of
// memory (linux/amd64, peak RSS).
func Merge(w io.Writer, paths []string, o MergeOptions) (Merged, error) {
	m := merger{options: o}
	defer m.close()
	if err := m.read(paths); err != nil {
		return Merged{}, err
	}
	return m.sum, m.write(w)
}

// MergeInto is Merge into the file at path, which is there whole or as it was
// before. A journal that stands there already is merged too, as the last of paths,
// so that nothing of it is lost; it is locked meanwhile (ErrLocked).
func MergeInto(path string, paths []string, o MergeOptions) (Merged, error) {
	return mergeInto(path, paths, o, realDisk())
}

func mergeInto(path string, paths []string, o MergeOptions, d disk) (Merged, error) {
	mode := fs.FileMode(0o644)
	switch info, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return Merged{}, fmt.Errorf("merge journals: %w", err)
	default:
		mode = info.Mode().Perm()
		named := slices.ContainsFunc(paths, func(p string) bool {
			other, err := os.Stat(p)
			return err == nil && os.SameFile(info, other)
		})
		if info.Size() > 0 && !named {
			paths = append(slices.Clip(paths), path)
		}
		old, err := claim(path, os.O_RDWR)
		if err != nil {
			return Merged{}, err
		}
		defer func() { _ = old.Close() }() // nothing was written to it
	}
	m := merger{options: o}
	defer m.close()
	if err := m.read(paths); err != nil {
		return Merged{}, err
	}
	return m.sum, d.replace(path, mode, m.write)
}

// merger holds open journals and the places of their entries.
type merger struct {
	options  MergeOptions
	files    []*os.File
	manifest []byte // line of it; of several the least, because names of models may differ
	places   []place
	sum      Merged
	buf      [2][]byte // lines that were read last
}

// place is where an entry stands.
type place struct {
	key                      record.Key
	at                       int64
	index, line, bytes, file int32
}

// begin implements sink.
func (m *merger) begin(Manifest) {}

// add implements sink. Whether the key stands twice is seen when all are sorted.
func (m *merger) add(f flat) error {
	m.places = append(m.places, place{key: f.key, at: f.at, index: f.index, line: f.line, bytes: f.bytes, file: int32(len(m.files) - 1)})
	return nil
}

func (m *merger) close() {
	for _, f := range m.files {
		_ = f.Close() // nothing was written
	}
}

// read finds the entries of all journals and puts them in order.
func (m *merger) read(paths []string) error {
	if len(paths) == 0 {
		return errors.New("merge journals: want at least one")
	}
	var first Manifest
	for i, path := range paths {
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		m.files = append(m.files, f)
		c, err := loadWhole(path, f, m)
		if err != nil {
			return err
		}
		if i == 0 {
			first = c.manifest
		} else if diffs := first.differences(c.manifest, paths[0], path); len(diffs) > 0 {
			return &MismatchError{Path: path, Than: paths[0], Differences: diffs}
		}
		if c.torn > 0 {
			slog.Warn("the journal's last line is unfinished and is left out", "path", path, "line", c.lines+1, "bytes", c.torn)
		}
		if m.manifest == nil || bytes.Compare(c.manifestLine, m.manifest) < 0 {
			m.manifest = c.manifestLine
		}
	}
	m.sum.Files = len(paths)
	if err := m.unite(paths); err != nil {
		return err
	}
	m.sum.Entries = len(m.places)
	slices.SortFunc(m.places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.index, b.index), bytes.Compare(a.key[:], b.key[:]))
	})
	return nil
}

// unite leaves one place of each key.
func (m *merger) unite(paths []string) error {
	slices.SortFunc(m.places, func(a, b place) int {
		return cmp.Or(bytes.Compare(a.key[:], b.key[:]), cmp.Compare(a.file, b.file), cmp.Compare(a.line, b.line))
	})
	var twice *DamageError // the first one in the order of files and lines
	var twiceAt place
	var conflict *ConflictError // likewise
	var conflictAt place
	before := func(a, b place) bool { return a.file < b.file || a.file == b.file && a.line < b.line }
	kept := m.places[:0]
	for i, p := range m.places {
		if len(kept) == 0 || kept[len(kept)-1].key != p.key {
			kept = append(kept, p)
			continue
		}
		if last := m.places[i-1]; last.file == p.file { // m.places[i-1] is as it was: kept is never longer than i
			if twice == nil || before(p, twiceAt) {
				twice, twiceAt = &DamageError{paths[p.file], int(p.line), errTwice(p.key).Error()}, p
			}
			continue
		}
		first := kept[len(kept)-1]
		same, err := m.same(first, p)
		switch {
		case err != nil:
			return err
		case same:
			m.sum.Repeated++
		case m.options.PreferFirst:
			m.sum.Overruled++
		default:
			more := 0
			if conflict != nil {
				more = conflict.More + 1
			}
			if conflict == nil || before(first, conflictAt) {
				lines := [2]Line{{paths[first.file], int(first.line)}, {paths[p.file], int(p.line)}}
				conflict, conflictAt = &ConflictError{Key: p.key, Lines: lines}, first
			}
			conflict.More = more
		}
	}
	m.places = kept
	switch {
	case twice != nil:
		return twice
	case conflict != nil:
		return conflict
	}
	return nil
}

// same says whether two entries are the same, to the byte.
func (m *merger) same(a, b place) (bool, error) {
	one, err := m.line(a, 0)
	if err != nil {
		return false, err
	}
	other, err := m.line(b, 1)
	return bytes.Equal(one, other), err
}

// line reads the line at a place, with its newline, into one of the buffers.
func (m *merger) line(p place, buffer int) ([]byte, error) {
	b := slices.Grow(m.buf[buffer][:0], int(p.bytes)+1)[:p.bytes+1]
	m.buf[buffer] = b
	f := m.files[p.file]
	if _, err := f.ReadAt(b, p.at); err != nil && err != io.EOF {
		return nil, readError(f.Name(), int(p.line), err)
	}
	if _, err := unseal(b[:p.bytes]); err != nil || b[p.bytes] != '\n' {
		return nil, fmt.Errorf("read journal %s: line %d changed meanwhile: merge again when nothing but a run writes to it", f.Name(), p.line)
	}
	return b, nil
}

// write writes the journal.
func (m *merger) write(w io.Writer) error {
	if _, err := w.Write(append(m.manifest, '\n')); err != nil {
		return err
	}
	for _, p := range m.places {
		line, err := m.line(p, 0)
		if err != nil {
			return err
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
