package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	parquetMagic          = "PAR1"
	parquetEncryptedMagic = "PARE"

	maxFooterBytes = 256 << 20
	// Bounds of one page, the unit that is in memory at a time.
	maxPageBytes  = 512 << 20 // unpacked
	maxPageValues = 1 << 26
)

// errEncrypted ends the reading of files that need a key.
var errEncrypted = errors.New("the file is encrypted, and winnow has no keys; decrypt it first")

// readFooter returns a Parquet file's metadata after checking all that the
// library would trust.
func readFooter(r io.ReaderAt, size int64) (*format.FileMetaData, error) {
	const frame = 8 // the footer's length and the magic behind it
	if size < int64(len(parquetMagic)+frame) {
		return nil, fmt.Errorf("the file has %d bytes, too few for a Parquet file; it was cut off", size)
	}
	var head [4]byte
	var tail [frame]byte
	if _, err := r.ReadAt(head[:], 0); err != nil {
		return nil, fmt.Errorf("reading the first bytes: %w", err)
	}
	if _, err := r.ReadAt(tail[:], size-frame); err != nil {
		return nil, fmt.Errorf("reading the last bytes: %w", err)
	}
	switch h, t := string(head[:]), string(tail[4:]); {
	case h == parquetEncryptedMagic || t == parquetEncryptedMagic:
		return nil, errEncrypted
	case h != parquetMagic:
		return nil, fmt.Errorf("the file does not begin with %s, so it is no Parquet file", parquetMagic)
	case t != parquetMagic:
		return nil, fmt.Errorf("the file does not end with %s: it was cut off, or is still being written", parquetMagic)
	}
	length := int64(binary.LittleEndian.Uint32(tail[:4]))
	if length > size-int64(len(parquetMagic)+frame) || length > maxFooterBytes {
		return nil, fmt.Errorf("its last bytes promise a footer of %d bytes, which do not fit the file of %d bytes (and at most %d are read); it is damaged", length, size, maxFooterBytes)
	}
	footer := make([]byte, length)
	if _, err := r.ReadAt(footer, size-frame-length); err != nil {
		return nil, fmt.Errorf("reading the footer: %w", err)
	}
	n, err := scanThrift(footer, nil)
	if err != nil {
		return nil, fmt.Errorf("the footer is damaged: %w", err)
	}
	meta := new(format.FileMetaData)
	if err := contained(func() error { return thrift.Unmarshal(new(thrift.CompactProtocol), footer[:n], meta) }); err != nil {
		return nil, fmt.Errorf("the footer is damaged: %w", err)
	}
	if n < len(footer) { // a signature stands behind the footer of files with encrypted columns
		return nil, errEncrypted
	}
	return meta, checkMeta(meta, size)
}

// checkMeta checks the row groups: their counts and places.
func checkMeta(meta *format.FileMetaData, size int64) error {
	rows := int64(0)
	for i := range meta.RowGroups {
		g := &meta.RowGroups[i]
		if g.NumRows < 0 || g.NumRows > meta.NumRows-rows {
			return fmt.Errorf("the footer is damaged: row group %d has %d rows, the file has %d", i+1, g.NumRows, meta.NumRows)
		}
		rows += g.NumRows
		for j := range g.Columns {
			c := &g.Columns[j]
			start := chunkStart(&c.MetaData)
			if c.FilePath != "" {
				return fmt.Errorf("row group %d has columns in another file, %q, which is not read", i+1, c.FilePath)
			}
			if start < 0 || c.MetaData.TotalCompressedSize < 0 || start > size || c.MetaData.TotalCompressedSize > size-start || c.MetaData.NumValues < 0 {
				return fmt.Errorf("the footer is damaged: column %d of row group %d lies outside the file", j+1, i+1)
			}
		}
	}
	if rows != meta.NumRows {
		return fmt.Errorf("the footer is damaged: it promises %d rows, its row groups have %d", meta.NumRows, rows)
	}
	return nil
}

// chunkStart is where the first page of a column's chunk begins.
func chunkStart(m *format.ColumnMetaData) int64 {
	if m.DictionaryPageOffset != 0 {
		return m.DictionaryPageOffset
	}
	return m.DataPageOffset
}
