//go:build !linux

// Package dl opens shared libraries at run time.
package dl

import (
	"fmt"
	"runtime"
)

// Library is an open library.
type Library uintptr

// Open fails: libraries of CUDA are used on Linux only.
func Open(path string) (Library, error) {
	return 0, fmt.Errorf("open %s: libraries are loaded at run time on Linux only, this is %s", path, runtime.GOOS)
}

// Bind fails as Open does.
func (Library) Bind(name string, _ any) error {
	return fmt.Errorf("find %s: libraries are loaded at run time on Linux only, this is %s", name, runtime.GOOS)
}
