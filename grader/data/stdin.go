package data

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// stdinName is how stdin is called in records and errors.
const stdinName = "stdin"

// Spool copies r into a temporary file that has no name any more, so that it can
// be read as often as needed and is gone when the process ends. If ctx is done
// before r ends, Spool returns while a goroutine still waits for r.
func Spool(ctx context.Context, r io.Reader) (*os.File, error) {
	f, err := os.CreateTemp("", "winnow-stdin-")
	if err != nil {
		return nil, fmt.Errorf("copying stdin to a temporary file: %w; set TMPDIR to a folder that can be written", err)
	}
	err = os.Remove(f.Name())
	if err == nil {
		done := make(chan error, 1)
		go func() {
			_, err := io.Copy(f, r)
			done <- err
		}()
		select {
		case err = <-done:
		case <-ctx.Done():
			return nil, errors.Join(fmt.Errorf("copying stdin to a temporary file: %w", ctx.Err()), f.Close())
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copying stdin to the temporary file %s: %w; it takes as much room as the data: set TMPDIR to a folder that has it", f.Name(), err), f.Close())
	}
	return f, nil
}
