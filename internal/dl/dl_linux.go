// Package dl opens shared libraries at run time.
package dl

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// Library is an open library. None is ever closed: those of CUDA have threads and
// destructors of their own.
type Library uintptr

// Open opens a library, at a path or by a name that the system's loader looks up.
// Its symbols are its own.
func Open(path string) (Library, error) {
	runtime.LockOSThread() // the text of a loader's error belongs to its thread
	defer runtime.UnlockOSThread()
	l, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	return Library(l), err
}

// Bind makes *fn, a variable of a function type, the library's function of the
// name. The error names it.
func (l Library) Bind(name string, fn any) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	address, err := purego.Dlsym(uintptr(l), name)
	if err != nil {
		return err
	}
	purego.RegisterFunc(fn, address)
	return nil
}
