package kernels

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"unsafe"

	"winnow/internal/dl"
)

// abi is the version of the interface of base.cu; launch.cuh has the same number.
const abi = 1

// libraryName is the file that `make kernels` builds.
const libraryName = "libwinnow-kernels.so"

// base has the functions of base.cu. Those that return an int32 return a
// cudaError_t; streams and events are pointers that only CUDA looks into.
type base struct {
	ABI           func() int32                                                                         `symbol:"winnow_kernels_abi"`
	Architectures func() string                                                                        `symbol:"winnow_kernels_architectures"`
	ErrorName     func(code int32) string                                                              `symbol:"winnow_error_name"`
	ErrorText     func(code int32) string                                                              `symbol:"winnow_error_text"`
	DeviceCount   func(count *int32) int32                                                             `symbol:"winnow_device_count"`
	DeviceUse     func(device int32) int32                                                             `symbol:"winnow_device_use"`
	DeviceInfo    func(device int32, name *byte, nameBytes int32, values *int64) int32                 `symbol:"winnow_device_info"`
	StreamOpen    func(device int32, stream *uintptr) int32                                            `symbol:"winnow_stream_open"`
	StreamClose   func(device int32, stream uintptr) int32                                             `symbol:"winnow_stream_close"`
	StreamSync    func(device int32, stream uintptr) int32                                             `symbol:"winnow_stream_sync"`
	Malloc        func(device int32, memory *devicePtr, bytes int64) int32                             `symbol:"winnow_malloc"`
	Free          func(device int32, memory devicePtr) int32                                           `symbol:"winnow_free"`
	Fill          func(device int32, memory devicePtr, value int32, bytes int64, stream uintptr) int32 `symbol:"winnow_fill"`
	Upload        func(device int32, to devicePtr, from unsafe.Pointer, bytes int64, s uintptr) int32  `symbol:"winnow_upload"`
	Download      func(device int32, to unsafe.Pointer, from devicePtr, bytes int64, s uintptr) int32  `symbol:"winnow_download"`
	EventOpen     func(device int32, event *uintptr) int32                                             `symbol:"winnow_event_open"`
	EventClose    func(device int32, event uintptr) int32                                              `symbol:"winnow_event_close"`
	EventRecord   func(device int32, event, stream uintptr) int32                                      `symbol:"winnow_event_record"`
	EventElapsed  func(device int32, from, to uintptr, milliseconds *float32) int32                    `symbol:"winnow_event_elapsed"`
}

// library is a loaded libwinnow-kernels.so.
type library struct {
	base
	path string
	lib  dl.Library

	mu    sync.Mutex
	bound map[reflect.Type]any // launchers by the type of their struct
}

// loadLibrary loads the library at path and checks that it is of this version.
func loadLibrary(path string) (*library, error) {
	lib, err := dl.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: loading %s: %w", ErrNoLibrary, path, err)
	}
	l := &library{path: path, lib: lib, bound: map[reflect.Type]any{}}
	if err := l.register(&l.ABI, "winnow_kernels_abi"); err != nil {
		return nil, fmt.Errorf("%w: %s is another library: %w", ErrNoLibrary, path, err)
	}
	if got := l.ABI(); got != abi {
		return nil, fmt.Errorf("%w: %s is of version %d, this program needs version %d: build both from the same sources (make build kernels)", ErrNoLibrary, path, got, abi)
	}
	if err := l.fill(reflect.ValueOf(&l.base).Elem()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	return l, nil
}

// register makes *fn, a variable of function type, call the function of that name.
func (l *library) register(fn any, name string) error {
	if err := l.lib.Bind(name, fn); err != nil {
		return fmt.Errorf("%s has no %s: build it again (make kernels): %w", l.path, name, err)
	}
	return nil
}

// fill registers every field of a struct under the name in its tag `symbol`.
func (l *library) fill(v reflect.Value) error {
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("symbol")
		if err := l.register(v.Field(i).Addr().Interface(), name); err != nil {
			return err
		}
	}
	return nil
}

// launchers returns an operation's launchers: T is a struct of exported fields,
// functions of the launchers' types with the C name in the tag `symbol`. They are
// registered once a library.
//
//	type selfTest struct {
//		Run func(out, in, work devicePtr, n int32, stream uintptr) int32 `symbol:"winnow_selftest"`
//	}
func launchers[T any](l *library) (*T, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := reflect.TypeFor[T]()
	if found, ok := l.bound[key]; ok {
		return found.(*T), nil
	}
	fns := new(T)
	if err := l.fill(reflect.ValueOf(fns).Elem()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLibrary, err)
	}
	l.bound[key] = fns
	return fns, nil
}

// err turns a cudaError_t into an error; 0 is none.
func (l *library) err(op string, code int32) error {
	if code == 0 {
		return nil
	}
	return &Error{Op: op, Code: int(code), Name: l.ErrorName(code), Text: l.ErrorText(code)}
}

// findLibrary returns the path of the library, by WINNOW_KERNELS or else by where
// the program is.
func findLibrary() (string, error) {
	switch named := os.Getenv("WINNOW_KERNELS"); named {
	case "":
	case "off":
		return "", fmt.Errorf("%w: WINNOW_KERNELS is off", ErrNoLibrary)
	default:
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("%w: WINNOW_KERNELS names a file that cannot be used: %w", ErrNoLibrary, err)
		}
		return filepath.Abs(named)
	}
	program, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("%w: finding this program's folder: %w", ErrNoLibrary, err)
	}
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	return findBeside(filepath.Dir(program))
}

// findBeside looks in the places for a program in dir.
func findBeside(dir string) (string, error) {
	var tried []string
	for _, place := range []string{dir, filepath.Join(dir, "../lib/winnow"), filepath.Join(dir, "../build/kernels")} {
		path := filepath.Join(place, libraryName)
		info, err := os.Stat(path)
		switch {
		case err == nil && info.Mode().IsRegular():
			return path, nil
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return "", fmt.Errorf("%w: %w", ErrNoLibrary, err)
		}
		tried = append(tried, place)
	}
	return "", fmt.Errorf("%w: no %s in %s: `make kernels` builds it, WINNOW_KERNELS names another place", ErrNoLibrary, libraryName, strings.Join(tried, ", "))
}
