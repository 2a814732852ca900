package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dumper writes cases for peers: arrays as .npy files and for each case a line of
// cases.jsonl with its operation, name, shape, files and parameters.
type dumper struct {
	dir   string
	f     *os.File
	cases int
	files map[string]string // of the case being written: what an array is, and its file
	param map[string]any
}

func newDumper(dir string) (*dumper, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("folder for peers: %w", err)
	}
	f, err := os.Create(filepath.Join(dir, "cases.jsonl"))
	if err != nil {
		return nil, fmt.Errorf("folder for peers: %w", err)
	}
	return &dumper{dir: dir, f: f}, nil
}

// Close ends the list of cases.
func (d *dumper) Close() error { return d.f.Close() }

// job writes a case and its result.
func (d *dumper) job(one subject, j *job, result any) error {
	d.files, d.param = map[string]string{}, map[string]any{}
	if err := j.dump(d, result); err != nil {
		return fmt.Errorf("writing the case for peers: %w", err)
	}
	d.cases++
	return json.NewEncoder(d.f).Encode(map[string]any{"op": one.op, "case": one.name, "shape": j.shape, "files": d.files, "parameters": d.param})
}

// array writes numbers of a type that NumPy has, in rows of the given lengths.
func array[T uint16 | int32 | int64 | uint64 | float32 | float64](d *dumper, name string, x []T, shape ...int) error {
	var none T
	kind := map[string]string{"uint16": "<f2", "int32": "<i4", "int64": "<i8", "uint64": "<u8", "float32": "<f4", "float64": "<f8"}[fmt.Sprintf("%T", none)]
	file := fmt.Sprintf("%d-%s.npy", d.cases, name)
	d.files[name] = file
	f, err := os.Create(filepath.Join(d.dir, file))
	if err != nil {
		return err
	}
	_, err = f.Write(npyHeader(kind, shape))
	if err == nil {
		err = binary.Write(f, binary.LittleEndian, x)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}

// npyHeader is what stands before the numbers in NumPy's file format, version
// 1.0: a mark, a length and a Python dictionary, padded to 64 bytes.
func npyHeader(kind string, shape []int) []byte {
	var dims strings.Builder
	for _, n := range shape {
		fmt.Fprintf(&dims, "%d, ", n)
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", kind, strings.TrimSuffix(dims.String(), " "))
	const before = 10 // mark, version, length
	room := (before + len(dict) + 1 + 63) / 64 * 64
	var b bytes.Buffer
	b.WriteString("\x93NUMPY\x01\x00")
	b.Write(binary.LittleEndian.AppendUint16(nil, uint16(room-before)))
	b.WriteString(dict + strings.Repeat(" ", room-before-len(dict)-1) + "\n")
	return b.Bytes()
}
