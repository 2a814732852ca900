package kernels

import (
	"fmt"
	"strings"
)

// LibraryStatus says whether GPU kernels can be used, and if not, why.
type LibraryStatus struct {
	Path          string // of the library; empty if there is none
	ABI           int    // version of its interface
	Architectures string // compute capabilities times ten that it has machine code for, such as "80;90"
	Devices       []Info // GPUs that passed the self-test, by ordinal up to the first that did not
	Err           error  // what is in the way: ErrNoLibrary, ErrNoDevice or a GPU's own error
}

// Status looks for the library, loads it and tests every GPU. It is meant for
// reports: each GPU costs about the memory and the time of a CUDA context.
func Status() LibraryStatus {
	path, err := findLibrary()
	if err != nil {
		return LibraryStatus{Err: err}
	}
	lib, err := loadLibrary(path)
	if err != nil {
		return LibraryStatus{Err: err}
	}
	return lib.status()
}

func (l *library) status() LibraryStatus {
	s := LibraryStatus{Path: l.path, ABI: abi, Architectures: l.Architectures()}
	count, err := l.devices()
	if err == nil && count == 0 {
		err = fmt.Errorf("%w: the driver names none", ErrNoDevice)
	}
	s.Err = err
	for i := range count {
		d, err := l.open(i)
		if err != nil {
			s.Err = err
			break
		}
		s.Devices = append(s.Devices, d.Info())
		if err := d.Close(); err != nil {
			s.Err = err
			break
		}
	}
	return s
}

// String returns the status as one line.
func (s LibraryStatus) String() string {
	var parts []string
	if s.Path != "" {
		parts = append(parts, fmt.Sprintf("%s (version %d, for %s)", s.Path, s.ABI, strings.ReplaceAll(s.Architectures, ";", ", ")))
	}
	for i, d := range s.Devices {
		parts = append(parts, fmt.Sprintf("GPU %d: %s, %d.%d", i, d.Name, d.Capability/10, d.Capability%10))
	}
	if s.Err != nil {
		parts = append(parts, strings.TrimPrefix(s.Err.Error(), "kernels: ")+"; the processor computes")
	}
	return strings.Join(parts, "; ")
}
