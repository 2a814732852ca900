package llama

// #include "shim.h"
import "C"

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"unsafe"
)

// Model is a loaded GGUF file. It may be used by any number of goroutines.
type Model struct {
	mu       sync.Mutex
	c        *C.struct_llama_model
	contexts int
	path     string
	places   places
	vocab    *Vocab
	// positions that there is a vector for, or 0 if positions are computed
	positions uint64
	leak      runtime.Cleanup

	sumOnce sync.Once
	sum     string
	sumErr  error
}

// ModelOptions says how a model is loaded.
type ModelOptions struct {
	GPULayers   int       // layers on GPUs, the output as one more; negative for all, 0 to use no GPU at all
	Devices     []string  // names of the GPUs that take them; nil for all that there are
	TensorSplit []float32 // how many of the layers each of Devices takes, as proportions; nil to go by free memory
	NoMmap      bool      // read the file instead of mapping it
	VocabOnly   bool      // no weights: for tokenizing only
}

// LoadModel reads the GGUF file at path.
func LoadModel(path string, o ModelOptions) (*Model, error) {
	Init()
	if o.GPULayers != 0 && !o.VocabOnly {
		LoadCUDA()
	}
	found, err := check(path)
	if err != nil {
		return nil, fmt.Errorf("load model: %w", err)
	}
	params := C.llama_model_default_params()
	places, err := place(&params, o)
	if err != nil {
		return nil, fmt.Errorf("load model %s: %w", path, err)
	}
	params.use_mmap = C.bool(!o.NoMmap)
	params.vocab_only = C.bool(o.VocabOnly)

	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var threw errText
	var c *C.struct_llama_model
	errors := logged.capture(func() {
		c = C.shim_model_load(cpath, params, &threw.buf[0], errBytes)
	})
	if c == nil {
		places.free()
		text := strings.TrimPrefix(errors+"; "+threw.String(), "; ")
		return nil, fmt.Errorf("load model %s: %w", path, &Error{Op: "llama_model_load_from_file", Text: strings.TrimSuffix(text, "; ")})
	}
	m := &Model{c: c, path: path, places: places, positions: found.positions}
	m.vocab = newVocab(m, C.llama_model_get_vocab(c))
	m.leak = watchLeak(m, "Model "+path)
	return m, nil
}

// Close frees the model. It fails with ErrInUse while a Context is open.
func (m *Model) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.c == nil {
		return nil
	}
	if m.contexts > 0 {
		return ErrInUse
	}
	m.leak.Stop()
	C.llama_model_free(m.c)
	m.places.free()
	m.c = nil
	return nil
}

// with runs f on the C handle, or returns ErrClosed.
func (m *Model) with(f func(c *C.struct_llama_model)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.c == nil {
		return ErrClosed
	}
	f(m.c)
	return nil
}

// Path returns the path that the model was loaded from.
func (m *Model) Path() string { return m.path }

// Vocab returns the model's vocabulary, which lives as long as the model.
func (m *Model) Vocab() *Vocab { return m.vocab }

// Info is what a model says of itself.
type Info struct {
	Description string // "llama 135M F16"
	Format      string // of the weights, "F16", "Q4_K - Medium"
	Arch        string // general.architecture
	Name        string // general.name; may be empty
	Params      uint64 // number of weights
	SizeBytes   uint64 // of all tensors
	Layers      int
	Embd        int // width of the hidden state
	Heads       int
	HeadsKV     int
	CtxTrain    int  // tokens of context it was trained with
	Decoder     bool // a causal transformer whose cache can be cut: what grading needs
}

// Info returns the model's facts.
func (m *Model) Info() (Info, error) {
	var i Info
	err := m.with(func(c *C.struct_llama_model) {
		var buf [256]C.char
		if C.llama_model_desc(c, &buf[0], C.size_t(len(buf))) > 0 {
			i.Description = C.GoString(&buf[0])
		}
		// The description is the architecture, the size class and the format.
		if words := strings.SplitN(i.Description, " ", 3); len(words) == 3 {
			i.Format = words[2]
		}
		i.Arch, _ = meta(c, "general.architecture")
		i.Name, _ = meta(c, "general.name")
		i.Params = uint64(C.llama_model_n_params(c))
		i.SizeBytes = uint64(C.llama_model_size(c))
		i.Layers = int(C.llama_model_n_layer(c))
		i.Embd = int(C.llama_model_n_embd(c))
		i.Heads = int(C.llama_model_n_head(c))
		i.HeadsKV = int(C.llama_model_n_head_kv(c))
		i.CtxTrain = int(C.llama_model_n_ctx_train(c))
		i.Decoder = bool(C.llama_model_has_decoder(c)) && !bool(C.llama_model_has_encoder(c)) &&
			!bool(C.llama_model_is_recurrent(c)) && !bool(C.llama_model_is_hybrid(c)) && !bool(C.llama_model_is_diffusion(c))
	})
	return i, err
}

// Meta returns a metadata value of the GGUF file as text, and whether it is there.
func (m *Model) Meta(key string) (value string, ok bool, err error) {
	err = m.with(func(c *C.struct_llama_model) { value, ok = meta(c, key) })
	return value, ok, err
}

func meta(c *C.struct_llama_model, key string) (string, bool) {
	ckey := C.CString(key)
	defer C.free(unsafe.Pointer(ckey))
	n := C.llama_model_meta_val_str(c, ckey, nil, 0)
	if n < 0 {
		return "", false
	}
	buf := make([]C.char, int(n)+1)
	C.llama_model_meta_val_str(c, ckey, &buf[0], C.size_t(len(buf)))
	return C.GoString(&buf[0]), true
}

// ChatTemplate returns the Jinja chat template of the GGUF file, or "".
func (m *Model) ChatTemplate() (string, error) {
	var s string
	err := m.with(func(c *C.struct_llama_model) {
		if t := C.llama_model_chat_template(c, nil); t != nil {
			s = C.GoString(t)
		}
	})
	return s, err
}

// SHA256 returns the hash of the model's file in hexadecimal. The file is read
// once; later calls return the same.
func (m *Model) SHA256() (string, error) {
	m.sumOnce.Do(func() {
		f, err := os.Open(m.path)
		if err != nil {
			m.sumErr = fmt.Errorf("hash model: %w", err)
			return
		}
		defer func() { _ = f.Close() }() // only read from
		h := sha256.New()
		if _, err := io.CopyBuffer(h, f, make([]byte, 1<<20)); err != nil {
			m.sumErr = fmt.Errorf("hash model: %w", err)
			return
		}
		m.sum = hex.EncodeToString(h.Sum(nil))
	})
	return m.sum, m.sumErr
}
