package llama

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"

	gguf "github.com/gpustack/gguf-parser-go"
)

// checkFile reads the header of a GGUF file and refuses what llama.cpp's loader
// does not survive: it trusts lengths, divides by sizes, and aborts where the
// rules below are broken. No weights are read.
func checkFile(path string) (err error) {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file: want a model in GGUF format", path)
	}
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }() // only read from
	damaged := func(err error) error {
		return fmt.Errorf("%s is damaged, incomplete or not in GGUF format: %w: fetch or convert it again", path, err)
	}
	defer func() { // the parser panics on values of an unexpected type
		if p := recover(); p != nil {
			err = damaged(fmt.Errorf("%v", p))
		}
	}()
	f, err := gguf.ParseGGUFFile(path, gguf.SkipLargeMetadata(), gguf.UseMMap())
	if err != nil {
		return damaged(err)
	}
	if f.Header.Version < gguf.GGUFVersionV2 || f.Header.Magic != gguf.GGUFMagicGGUFLe {
		return nil // llama.cpp refuses these before it reads on
	}
	for _, rule := range []func(*gguf.GGUFFile, io.ReaderAt) error{checkKeys, checkTensors, checkVocab} {
		if err := rule(f, r); err != nil {
			return damaged(err)
		}
	}
	return nil
}

// checkKeys checks the header's scalars.
func checkKeys(f *gguf.GGUFFile, _ io.ReaderAt) error {
	for i, kv := range f.Header.MetadataKV {
		if kv.Key == "" {
			return fmt.Errorf("key %d of the header is empty", i+1)
		}
	}
	arch, ok := f.Header.MetadataKV.Get("general.architecture")
	if !ok {
		return nil // llama.cpp says so itself, as for every key that is missing
	}
	prefix := arch.ValueString()
	if kv, ok := f.Header.MetadataKV.Get(prefix + ".block_count"); ok && kv.ValueUint32() == 0 {
		return fmt.Errorf("%s is 0", kv.Key)
	}
	for _, name := range []string{".attention.layer_norm_rms_epsilon", ".attention.layer_norm_epsilon"} {
		if kv, ok := f.Header.MetadataKV.Get(prefix + name); ok && !(kv.ValueFloat32() >= 0) {
			return fmt.Errorf("%s is %v, want 0 or more", kv.Key, kv.Value)
		}
	}
	return nil
}

// checkTensors checks that no tensor is empty: llama.cpp divides by its sizes.
func checkTensors(f *gguf.GGUFFile, _ io.ReaderAt) error {
	for _, t := range f.TensorInfos {
		if slices.Contains(t.Dimensions, 0) {
			return fmt.Errorf("tensor %s is empty: its shape is %d", t.Name, t.Dimensions)
		}
	}
	return nil
}

// checkVocab checks that the arrays with one item a token are as long as they
// are read, and that no two tokens have the same text.
func checkVocab(f *gguf.GGUFFile, r io.ReaderAt) error {
	kv, ok := f.Header.MetadataKV.Get("tokenizer.ggml.tokens")
	if !ok {
		return nil
	}
	tokens := kv.ValueArray()
	for _, a := range []struct {
		key   string
		min   uint64
		types []gguf.GGUFMetadataValueType
	}{
		{"tokenizer.ggml.tokens", 1, []gguf.GGUFMetadataValueType{gguf.GGUFMetadataValueTypeString}},
		{"tokenizer.ggml.scores", tokens.Len, []gguf.GGUFMetadataValueType{gguf.GGUFMetadataValueTypeFloat32}},
		{"tokenizer.ggml.token_type", tokens.Len, []gguf.GGUFMetadataValueType{gguf.GGUFMetadataValueTypeInt32, gguf.GGUFMetadataValueTypeUint32}},
		{"tokenizer.ggml.merges", 0, []gguf.GGUFMetadataValueType{gguf.GGUFMetadataValueTypeString}},
	} {
		kv, ok := f.Header.MetadataKV.Get(a.key)
		if !ok {
			continue
		}
		list := kv.ValueArray()
		if !slices.Contains(a.types, list.Type) {
			return fmt.Errorf("%s holds items of type %v, want %v", a.key, list.Type, a.types[0])
		}
		if list.Len < a.min {
			return fmt.Errorf("%s has %d items, want at least %d", a.key, list.Len, a.min)
		}
	}
	if len(f.SplitSizes) > 1 {
		return nil // the array's offset does not say in which of the files
	}
	return checkDistinct(tokens, r)
}

// checkDistinct checks that an array holds no string twice. Its lengths were
// checked by the parser, which skipped its texts.
func checkDistinct(a gguf.GGUFMetadataKVArrayValue, r io.ReaderAt) error {
	const head = 12 // type and length of the array
	in := bufio.NewReaderSize(io.NewSectionReader(r, a.StartOffset+head, a.Size), 1<<16)
	index := make(map[string]uint64, a.Len)
	var size [8]byte
	for i := range a.Len {
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return fmt.Errorf("token %d: %w", i, err)
		}
		n := binary.LittleEndian.Uint64(size[:])
		if n > uint64(a.Size) {
			return fmt.Errorf("token %d has %d bytes, all of them together %d", i, n, a.Size)
		}
		text := make([]byte, n)
		if _, err := io.ReadFull(in, text); err != nil {
			return fmt.Errorf("token %d: %w", i, err)
		}
		if first, ok := index[string(text)]; ok && len(text) > 0 { // llama.cpp numbers the empty ones
			return fmt.Errorf("tokens %d and %d are both %q", first, i, text)
		}
		index[string(text)] = i
	}
	return nil
}
