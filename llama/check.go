package llama

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"

	gguf "github.com/gpustack/gguf-parser-go"
)

// Check reads the header of a GGUF file and refuses what readers do not survive:
// llama.cpp's loader trusts lengths, divides by sizes, and aborts where the rules
// below are broken. No weights are read. A model's first file of several is checked
// with the others. LoadModel and Quantize do it themselves.
func Check(path string) error {
	_, err := check(path)
	return err
}

// facts are what of a header matters after loading.
type facts struct {
	positions uint64 // that the model has a vector for, if it has such vectors; else 0
}

// check is Check with what was found.
func check(path string) (found facts, err error) {
	damaged := func(path string, err error) error {
		return fmt.Errorf("%s is damaged, incomplete or not in GGUF format: %w: fetch or convert it again", path, err)
	}
	defer func() { // the second reader panics on values of an unexpected type
		if p := recover(); p != nil {
			err = damaged(path, fmt.Errorf("%v", p))
		}
	}()
	var words vocabulary
	first, err := openHeader(path, words.visit)
	if err != nil {
		return found, wrapDamage(path, err, damaged)
	}
	tensors := first.tensors
	rest, err := otherParts(path, first)
	if all := gguf.CompleteShardGGUFFilename(path); err == nil && all != nil && !slices.Equal(all, append([]string{path}, rest...)) {
		err = fmt.Errorf("by its name it is one of %d files, by %s it is not", len(all), splitCount)
	}
	if err != nil {
		return found, damaged(path, err)
	}
	for i, part := range rest {
		h, err := openHeader(part, func(string, uint64, []byte) error { return nil })
		if err == nil {
			err = h.isPart(i + 1)
		}
		if err != nil {
			return found, wrapDamage(part, err, damaged)
		}
		if tensors = append(tensors, h.tensors...); len(tensors) > maxTensors {
			return found, damaged(path, fmt.Errorf("its parts have more than %d tensors", maxTensors))
		}
	}
	for _, rule := range []func() error{
		first.checkCounts,
		func() error { return first.checkModel(tensors) },
		func() error { return words.check(first) },
		func() error { return checkTensors(tensors) },
	} {
		if err := rule(); err != nil {
			return found, damaged(path, err)
		}
	}
	// A reader that knows nothing of the one above: what they see differently is
	// not to be trusted either.
	second, err := gguf.ParseGGUFFile(path, gguf.SkipLargeMetadata(), gguf.UseMMap())
	var system syscall.Errno
	switch {
	case errors.As(err, &system): // such as too little memory to map it
		return found, fmt.Errorf("read %s: %w", path, err)
	case err != nil:
		return found, damaged(path, err)
	}
	if n := len(second.TensorInfos); n != len(tensors) {
		return found, damaged(path, fmt.Errorf("it has %d tensors by one way of reading and %d by another", len(tensors), n))
	}
	for _, t := range tensors {
		if t.name == "position_embd.weight" && len(t.dims) > 1 {
			found.positions = t.dims[1]
		}
	}
	return found, nil
}

// fileError is trouble with a file that is not about its content.
type fileError struct{ error }

// wrapDamage says of an error about the content of a file which one it is.
func wrapDamage(path string, err error, damaged func(string, error) error) error {
	var file fileError
	if errors.As(err, &file) {
		return file.error
	}
	return damaged(path, err)
}

// openHeader reads the header of a file.
func openHeader(path string, visit func(string, uint64, []byte) error) (*header, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fileError{err}
	}
	if !info.Mode().IsRegular() {
		return nil, fileError{fmt.Errorf("%s is not a file: want a model in GGUF format", path)}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fileError{err}
	}
	defer func() { _ = f.Close() }() // only read from
	return readHeader(f, info.Size(), visit)
}

const splitNo, splitCount = "split.no", "split.count"

// otherParts returns the paths of the files that belong to a model beside its
// first one, by llama.cpp's rules.
func otherParts(path string, h *header) ([]string, error) {
	v := h.keys[splitCount]
	if v.array || v.typ != typU16 || v.bits <= 1 { // llama.cpp refuses other types
		return nil, nil
	}
	if err := h.isPart(0); err != nil {
		return nil, err
	}
	n := int(v.bits)
	prefix, ok := strings.CutSuffix(path, fmt.Sprintf("-00001-of-%05d.gguf", n))
	if !ok || prefix == "" {
		return nil, fmt.Errorf("it is the first of %d files, but its name does not end with -00001-of-%05d.gguf", n, n)
	}
	paths := make([]string, n-1)
	for i := range paths {
		paths[i] = fmt.Sprintf("%s-%05d-of-%05d.gguf", prefix, i+2, n)
	}
	return paths, nil
}

// isPart checks that a file of a model in several says which one it is.
func (h *header) isPart(i int) error {
	v, ok := h.keys[splitNo]
	if !ok || v.array || v.typ != typU16 || v.bits != uint64(i) {
		return fmt.Errorf("%s does not say that it is file %d of the model, counted from 0", splitNo, i)
	}
	return nil
}

// checkCounts bounds what readers allocate by.
func (h *header) checkCounts() error {
	const key = "split.tensors.count"
	if v, ok := h.keys[key]; ok && (v.array || v.typ == typString || v.bits > maxTensors) {
		return fmt.Errorf("%s is no number up to %d", key, maxTensors)
	}
	return nil
}

// checkTensors checks what llama.cpp asserts of tensors before it compares their
// shapes with what the keys say.
func checkTensors(tensors []tensor) error {
	byName := make(map[string]tensor, len(tensors))
	for _, t := range tensors {
		if _, twice := byName[t.name]; twice {
			return fmt.Errorf("two files have a tensor %s", t.name)
		}
		byName[t.name] = t
	}
	for _, t := range tensors {
		n := len(t.dims)
		for n > 1 && t.dims[n-1] == 1 {
			n--
		}
		plain := len(t.dims) == 1 || addsOrScales(t.name)
		switch most := mostDims(t.name); {
		case n > most:
			return fmt.Errorf("tensor %s has the shape %d, want at most %d dimensions", t.name, t.dims, most)
		case plain && t.typ != gguf.GGMLTypeF32:
			return fmt.Errorf("tensor %s has the type %v, want F32", t.name, t.typ)
		}
		stem, ok := strings.CutSuffix(t.name, ".bias")
		if !ok {
			continue
		}
		w, ok := byName[stem+".weight"]
		if !ok {
			continue
		}
		want := w.dims
		if len(want) > 1 {
			want = want[1:]
		}
		if !sameShape(t.dims, want) {
			return fmt.Errorf("tensor %s has the shape %d, want %d as %s.weight", t.name, t.dims, want, stem)
		}
	}
	return nil
}

// addsOrScales reports whether tensors of that name are added to activations,
// multiplied by them, or turn them: what is no matrix is in full precision.
func addsOrScales(name string) bool {
	return strings.HasSuffix(name, "norm.weight") || strings.HasSuffix(name, ".bias") || strings.HasPrefix(name, "rope_") ||
		slices.ContainsFunc([]string{"scale", "attn_sinks", "bskcn_tv"}, func(part string) bool { return strings.Contains(name, part) })
}

// mostDims returns how many dimensions a tensor of that name may have.
func mostDims(name string) int {
	switch {
	case strings.HasPrefix(name, "rope_"), strings.HasSuffix(name, ".scales"):
		return 1
	case strings.Contains(name, "exps."), strings.Contains(name, "attn_k_b."), strings.Contains(name, "attn_v_b."), strings.HasPrefix(name, "altup_"):
		return 3
	}
	return 2
}

// sameShape compares shapes; ones at the end do not count.
func sameShape(a, b []uint64) bool {
	for i := range max(len(a), len(b)) {
		x, y := uint64(1), uint64(1)
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return false
		}
	}
	return true
}
