package journal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// file is what a Journal needs of an *os.File.
type file interface {
	io.WriterAt
	io.Closer
	Sync() error
	Truncate(size int64) error
}

// disk is what changes files. A test puts one that fails in its place.
type disk struct {
	wrap    func(*os.File) file
	rename  func(from, to string) error
	syncDir func(path string) error
}

func realDisk() disk {
	return disk{wrap: func(f *os.File) file { return f }, rename: os.Rename, syncDir: syncDir}
}

// syncDir makes a new file's name last. Some file systems cannot do so, and
// say EINVAL.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := dir.Sync(); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOTSUP) {
		return errors.Join(err, dir.Close())
	}
	return dir.Close()
}

// claim opens the regular file at path and takes it for this process alone, or
// fails with ErrLocked. Whoever puts another file in its place holds the lock
// meanwhile, so the path is looked at again when the file is locked.
func claim(path string, flags int) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, flags, 0o666)
		if err != nil {
			return nil, fmt.Errorf("open journal: %w", err)
		}
		still, err := lockAt(f, path)
		if err == nil && still {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// lockAt locks f and says whether the path still leads to it.
func lockAt(f *os.File, path string) (still bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, fmt.Errorf("open journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("open journal %s: want a regular file, found one with mode %s", path, info.Mode())
	}
	if err := lock(f); err != nil {
		return false, fmt.Errorf("lock journal %s: %w", path, err)
	}
	now, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open journal: %w", err)
	}
	return os.SameFile(info, now), nil
}

// lock takes the file for this process alone, or fails with ErrLocked.
func lock(f *os.File) error {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
		case unix.EINTR:
		case unix.EWOULDBLOCK:
			return ErrLocked
		default:
			return err
		}
	}
}

// replace puts a file with what write writes in the place of the one at path, or
// leaves that as it is: the new file is written beside it, synced and renamed. A
// symbolic link stays one.
func (d disk) replace(path string, mode fs.FileMode, write func(io.Writer) error) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-")
	if err != nil {
		return failed("write", path, err)
	}
	out := d.wrap(temp)
	if err = temp.Chmod(mode); err != nil {
		err = failed("write", path, err)
	} else {
		err = writeAll(out, path, 0, write)
	}
	if cerr := out.Close(); cerr != nil && err == nil {
		err = failed("write", path, cerr)
	}
	if err == nil {
		if err = d.rename(temp.Name(), path); err != nil {
			err = failed("write", path, err)
		}
	}
	if err != nil {
		_ = os.Remove(temp.Name()) // it is of no use; err says why
		return err
	}
	if err := d.syncDir(filepath.Dir(path)); err != nil {
		return failed("write", path, fmt.Errorf("its directory: %w", err))
	}
	return nil
}

// writeAll writes to the file at path from the offset at on, for good.
func writeAll(f file, path string, at int64, write func(io.Writer) error) error {
	w := bufio.NewWriterSize(namedWriter{io.NewOffsetWriter(f, at), path}, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return failed("write", path, err)
	}
	return nil
}

// namedWriter says in its errors which file they are about.
type namedWriter struct {
	w    io.Writer
	path string
}

// Write implements io.Writer.
func (n namedWriter) Write(b []byte) (int, error) {
	done, err := n.w.Write(b)
	if err == nil && done < len(b) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return done, failed("write", n.path, err)
	}
	return done, nil
}

// failed names the file of a fault and says what to do about it.
func failed(doing, path string, err error) error {
	return fmt.Errorf("%s %s: %w; nothing that was there before is lost: %s and run again", doing, path, err, remedy(err))
}

// remedy says what helps against a fault of the file system.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return "make room on its file system"
	case errors.Is(err, unix.EDQUOT):
		return "make room or have the disk quota raised"
	case errors.Is(err, unix.EIO):
		return "have the device checked or move the file to another one"
	case errors.Is(err, unix.EROFS):
		return "make its file system writable"
	}
	return "remove the cause"
}
