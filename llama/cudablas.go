package llama

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"winnow/internal/dl"
)

// neededByELF returns the names of the libraries that a shared library needs.
func neededByELF(path string) (names []string, err error) {
	f, err := elf.Open(path)
	if err != nil {
		if noFile := new(fs.PathError); errors.As(err, &noFile) {
			return nil, err // it has the path
		}
		return nil, fmt.Errorf("%s is no shared library: %w", path, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("%s is no shared library: its type is %v", path, f.Type)
	}
	if names, err = f.ImportedLibraries(); err != nil {
		return nil, fmt.Errorf("read which libraries %s needs: %w", path, err)
	}
	return names, nil
}

// ofCUDA keeps the libraries that CUDA's toolkit brings and the system does not.
func ofCUDA(names []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return !strings.HasPrefix(name, "libcublas") && !strings.HasPrefix(name, "libcudart.")
	})
}

// cudaMajor is the number of the CUDA release that names of libraries belong to,
// 13 for libcublas.so.13; 0 if they do not tell.
func cudaMajor(names []string) int {
	for _, name := range ofCUDA(names) {
		_, version, _ := strings.Cut(name, ".so.")
		version, _, _ = strings.Cut(version, ".")
		if n, err := strconv.Atoi(version); err == nil && n > 0 {
			return n
		}
	}
	return 0
}

// loadNeeded loads what the backend needs of CUDA's toolkit, which no program may
// expect on the loader's path: Python environments have it too. A library that is
// loaded is found by its name when the backend asks for it. It returns cuBLAS's
// path.
func (h *cudaHost) loadNeeded(backend string, needs []string) (cuBLAS string, r *refusal) {
	for _, name := range ofCUDA(needs) {
		path, r := h.loadOne(name, h.toolkitFolders(backend, cudaMajor(needs)))
		if r != nil {
			return "", r
		}
		if strings.HasPrefix(name, "libcublas.") {
			cuBLAS = path
		}
	}
	return cuBLAS, nil
}

// loadOne loads a library of CUDA's toolkit: from the folders of the environment,
// by the system's loader, then from the other folders.
func (h *cudaHost) loadOne(name string, folders []string) (path string, r *refusal) {
	var failed []error
	try := func(dir string) bool {
		path = filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				failed = append(failed, err)
			}
			return false
		}
		// cuBLAS needs its other half, and looks for it on the loader's path only.
		if half, ok := strings.CutPrefix(name, "libcublas."); ok {
			if _, err := dl.Open(filepath.Join(dir, "libcublasLt."+half)); err != nil {
				failed = append(failed, err)
				return false
			}
		}
		if _, err := dl.Open(path); err != nil {
			failed = append(failed, err)
			return false
		}
		return true
	}
	for _, dir := range h.settingFolders() {
		if try(dir) {
			return path, nil
		}
	}
	if h.root == "/" { // the loader knows of no other
		if _, err := dl.Open(name); err == nil {
			return mappedPath(name), nil
		}
	}
	for _, dir := range folders {
		if try(dir) {
			return path, nil
		}
	}
	if len(failed) > 0 {
		return "", refuse("set "+cudaLibsEnv+" to the folder of a sound one", "%s cannot be loaded: %v", name, errors.Join(failed...))
	}
	wheel := "nvidia-cublas"
	if strings.HasSuffix(name, ".12") {
		wheel += "-cu12"
	}
	return "", refuse("pip install "+wheel+", or set "+cudaLibsEnv+" to the folder that has it", "there is no %s: CUDA's toolkit and PyTorch for CUDA bring it too", name)
}

func (h *cudaHost) settingFolders() []string {
	return slices.DeleteFunc(filepath.SplitList(h.env(cudaLibsEnv)), func(dir string) bool { return dir == "" })
}

// toolkitFolders are the folders where toolkits and Python environments put
// libraries of a CUDA release, nearest first.
func (h *cudaHost) toolkitFolders(backend string, major int) []string {
	beside := filepath.Dir(backend)
	wheels := []string{fmt.Sprintf("nvidia/cu%d/lib", major), "nvidia/cublas/lib", "nvidia/cuda_runtime/lib"}
	folders := []string{beside}
	for _, w := range wheels { // where make cuda puts a toolkit together
		folders = append(folders, filepath.Join(beside, "..", "cuda-toolkit", w))
	}
	if path := h.env("CUDA_PATH"); path != "" {
		folders = append(folders, filepath.Join(path, "lib64"), filepath.Join(path, "lib"))
	}
	folders = h.glob(folders, "usr/local/cuda*/lib64")
	folders = h.glob(folders, "usr/local/cuda*/targets/x86_64-linux/lib")

	var environments []string
	for _, name := range []string{"VIRTUAL_ENV", "CONDA_PREFIX"} {
		if path := h.env(name); path != "" {
			environments = append(environments, path)
		}
	}
	environments = h.glob(environments, "opt/*/.venv")
	environments = h.glob(environments, "usr/local")
	environments = h.glob(environments, "usr")
	if home := h.env("HOME"); home != "" {
		environments = append(environments, filepath.Join(home, ".local"))
	}
	for _, env := range environments {
		for _, packages := range []string{"site-packages", "dist-packages"} {
			for _, w := range wheels {
				found, _ := filepath.Glob(filepath.Join(escapeGlob(env), "lib", "python3*", packages, w)) // the pattern is sound
				folders = append(folders, found...)
			}
		}
	}
	return folders
}

// glob appends what matches a pattern below the root, the last name first: that
// is the newest version.
func (h *cudaHost) glob(folders []string, pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(escapeGlob(h.root), pattern)) // the pattern is sound
	slices.Reverse(found)
	return append(folders, found...)
}

// escapeGlob makes a path a pattern that matches itself alone.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// mappedPath returns the file from which a library was loaded by its name, or
// the name where the system does not tell.
func mappedPath(name string) string {
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return name
	}
	for line := range strings.Lines(string(maps)) {
		if i := strings.IndexByte(line, '/'); i >= 0 {
			if path := strings.TrimSpace(line[i:]); strings.HasPrefix(filepath.Base(path), name) {
				return path
			}
		}
	}
	return name
}
