package data

import (
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// pageHeader is what bounds the memory that a page takes.
type pageHeader struct {
	size                           int64 // of the header itself
	packed, unpacked, values, rows int64
	levels                         int64 // bytes before the packed ones
	plain                          bool  // not packed, whatever the column's codec
}

// pageChecker looks at pages before they are decoded.
type pageChecker struct{ zstd *zstd.Decoder }

func (p *pageChecker) close() {
	if p.zstd != nil {
		p.zstd.Close()
		p.zstd = nil
	}
}

// check goes through the headers of a chunk's pages. What unpacks a page does
// not stop at the size that its header has, so that is tried here first.
func (p *pageChecker) check(r io.ReaderAt, m *format.ColumnMetaData) error {
	at, end := chunkStart(m), chunkStart(m)+m.TotalCompressedSize
	for page := 1; at < end; page++ {
		h, err := readPageHeader(r, at, end)
		if err != nil {
			return fmt.Errorf("the header of page %d is damaged: %w", page, err)
		}
		at += h.size
		switch {
		case h.packed < 0 || h.packed > end-at || h.unpacked < 0 || h.values < 0 || h.rows < 0 || h.rows > h.values || h.levels < 0 || h.levels > min(h.packed, h.unpacked):
			return fmt.Errorf("the header of page %d is damaged: its sizes are impossible", page)
		case h.unpacked > maxPageBytes || h.values > maxPageValues:
			return fmt.Errorf("page %d has %d values in %d bytes, and at most %d in %d are read; write the file with smaller pages", page, h.values, h.unpacked, maxPageValues, maxPageBytes)
		}
		if !h.plain {
			n, err := p.unpack(m.Codec, io.NewSectionReader(r, at+h.levels, h.packed-h.levels), h.unpacked-h.levels)
			if err != nil {
				return fmt.Errorf("page %d cannot be unpacked: %w", page, err)
			}
			if n > h.unpacked-h.levels {
				return fmt.Errorf("page %d is damaged: it unpacks to more than the %d bytes that its header promises", page, h.unpacked-h.levels)
			}
		}
		at += h.packed
	}
	return nil
}

// minPacked is the least size of packed bytes that are tried: fewer cannot become
// very many.
const minPacked = 1 << 10

// unpack returns how many bytes a page has, or limit and one if it has more.
// Snappy says it at its beginning. LZ4 cannot unpack to more than 255 times its
// size; Brotli is trusted.
func (p *pageChecker) unpack(codec format.CompressionCodec, packed *io.SectionReader, limit int64) (int64, error) {
	if codec == format.Snappy {
		var head [binary.MaxVarintLen64]byte
		n, err := packed.Read(head[:])
		if err != nil && !errors.Is(err, io.EOF) {
			return 0, err
		}
		length, _ := binary.Uvarint(head[:n]) // 0 of what is none: unpacking says so
		return int64(min(length, uint64(limit)+1)), nil
	}
	if packed.Size() < minPacked {
		return 0, nil
	}
	var unpacked io.Reader
	var err error
	switch codec {
	case format.Gzip:
		unpacked, err = gzip.NewReader(packed)
	case format.Zstd:
		if p.zstd == nil {
			p.zstd, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		} else {
			err = p.zstd.Reset(packed)
		}
		unpacked = p.zstd
	default:
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return io.Copy(io.Discard, io.LimitReader(unpacked, limit+1))
}

// maxZstdWindow is the most that Zstandard's own command unpacks without being
// asked to.
const maxZstdWindow = 128 << 20

// readPageHeader reads the header that begins at a place of the file and ends
// before another.
func readPageHeader(r io.ReaderAt, at, end int64) (pageHeader, error) {
	for window := int64(1 << 10); ; window *= 8 {
		b := make([]byte, min(window, end-at))
		if _, err := r.ReadAt(b, at); err != nil {
			return pageHeader{}, err
		}
		var h pageHeader
		n, err := scanThrift(b, func(path []int16, v int64) {
			switch {
			case len(path) == 1 && path[0] == 2:
				h.unpacked = v
			case len(path) == 1 && path[0] == 3:
				h.packed = v
			case len(path) == 2 && path[1] == 1 && (path[0] == 5 || path[0] == 7 || path[0] == 8): // data page, dictionary, data page of version 2
				h.values = v
			case len(path) == 2 && path[0] == 8:
				switch path[1] {
				case 3:
					h.rows = v
				case 5, 6:
					if v < 0 {
						v = 1 << 40 // more than any page has
					}
					h.levels += v
				case 7:
					h.plain = v == 0
				}
			}
		})
		h.size = int64(n)
		if errors.Is(err, errThriftShort) && window < end-at && window < maxFooterBytes {
			continue
		}
		return h, err
	}
}
