package kernels

import (
	"runtime"

	"github.com/ebitengine/purego"
)

// dlopen loads a library with its symbols to itself.
func dlopen(path string) (uintptr, error) {
	runtime.LockOSThread() // the text of a loader's error belongs to its thread
	defer runtime.UnlockOSThread()
	return purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
}

// dlsym makes *fn call the library's function of that name.
func dlsym(handle uintptr, fn any, name string) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	address, err := purego.Dlsym(handle, name)
	if err != nil {
		return err
	}
	purego.RegisterFunc(fn, address)
	return nil
}
