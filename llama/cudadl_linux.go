package llama

import (
	"fmt"
	"runtime"

	"github.com/ebitengine/purego"
)

// dlopen opens a shared library for good: a path, or a name that the system's
// loader looks up. Libraries of CUDA have threads and destructors of their own,
// so none is ever closed.
func dlopen(path string) (uintptr, error) {
	runtime.LockOSThread() // the text of a loader's error belongs to its thread
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// bind makes *fn, a variable of a function type, the library's function of the
// name.
func bind(lib uintptr, name string, fn any) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	address, err := purego.Dlsym(lib, name)
	if err != nil {
		return fmt.Errorf("find %s: %w", name, err)
	}
	purego.RegisterFunc(fn, address)
	return nil
}
