package data

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
)

// Format is how a file holds records.
type Format string

// The formats.
const (
	JSON    Format = "json"    // an array of objects
	JSONL   Format = "jsonl"   // an object a line
	CSV     Format = "csv"     // a table: a header, then a row a record, with commas between the cells (RFC 4180)
	TSV     Format = "tsv"     // the same with tabs
	Parquet Format = "parquet" // a table by columns
)

// formatNames lists the formats for people.
const formatNames = "json, jsonl, csv, tsv or parquet"

// ParseFormat returns the format of that name; the empty name is the empty
// Format.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case "", JSON, JSONL, CSV, TSV, Parquet:
		return f, nil
	}
	return "", fmt.Errorf("format %q: want %s", name, formatNames)
}

// packing is how a file is compressed.
type packing string

const (
	plain    packing = ""
	gzipped  packing = "gzip"
	zstdized packing = "zstd"
)

// byContent tells the format of unpacked data by its first bytes; it is empty if
// they do not tell.
func byContent(head []byte) Format {
	if bytes.HasPrefix(head, []byte("PAR1")) {
		return Parquet
	}
	b := bytes.TrimLeft(bytes.TrimPrefix(head, []byte(bom)), " \t\r\n")
	switch {
	case bytes.HasPrefix(b, []byte{'['}):
		return JSON
	case bytes.HasPrefix(b, []byte{'{'}):
		return JSONL
	}
	return ""
}

// bom is what some programs put before UTF-8 text.
const bom = "\xef\xbb\xbf"

// byName tells the format by a file's name; it is empty if that does not tell.
func byName(name string) Format {
	_, ext, _ := SplitName(name)
	switch strings.ToLower(ext) {
	case ".json":
		return JSON
	case ".jsonl", ".ndjson":
		return JSONL
	case ".csv":
		return CSV
	case ".tsv", ".tab":
		return TSV
	case ".parquet", ".pq":
		return Parquet
	}
	return ""
}

// packingOf tells by its first bytes how data is compressed.
func packingOf(head []byte) packing {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return gzipped
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return zstdized
	case len(head) >= 4 && head[0]&0xf0 == 0x50 && string(head[1:4]) == "\x2a\x4d\x18":
		return zstdized // a frame to be skipped stands first
	}
	return plain
}

// packingByName tells by its name how a file is to be compressed.
func packingByName(name string) packing {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz":
		return gzipped
	case ".zst":
		return zstdized
	}
	return plain
}

// SplitName splits a file's name, without its folder, into stem, extension and
// the extension of what compresses it: data, .jsonl and .gz. What is not there
// is empty.
func SplitName(path string) (stem, ext, packed string) {
	stem = filepath.Base(path)
	if packingByName(stem) != plain {
		packed = filepath.Ext(stem)
		stem = strings.TrimSuffix(stem, packed)
	}
	ext = filepath.Ext(stem)
	return strings.TrimSuffix(stem, ext), ext, packed
}
