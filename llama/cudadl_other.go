//go:build !linux

package llama

import "errors"

var errNotLinux = errors.New("CUDA is used on Linux only")

func dlopen(string) (uintptr, error) { return 0, errNotLinux }

func bind(uintptr, string, any) error { return errNotLinux }
