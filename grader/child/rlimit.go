package child

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// forbidCoreFiles keeps a crash from writing gigabytes of a model to the disk.
func forbidCoreFiles() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("limit core files: %w", err)
	}
	return nil
}
