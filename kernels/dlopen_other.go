//go:build !linux

package kernels

import (
	"fmt"
	"runtime"
)

func dlopen(string) (uintptr, error) {
	return 0, fmt.Errorf("GPU kernels run on linux only, this is %s", runtime.GOOS)
}

func dlsym(uintptr, any, string) error {
	return fmt.Errorf("GPU kernels run on linux only, this is %s", runtime.GOOS)
}
