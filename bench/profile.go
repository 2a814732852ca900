package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	gguf "github.com/gpustack/gguf-parser-go"

	"winnow/grader/engine"
)

// Profile is the settings that Tune found to be the fastest for a model on a
// machine.
type Profile struct {
	Version        string  `json:"winnow"` // of the program; set by the caller
	Machine        string  `json:"machine"`
	Device         string  `json:"device"`
	Engine         string  `json:"engine"`
	Model          string  `json:"model"` // name of the file that was measured
	Batch          int     `json:"batch_tokens"`
	Cells          int     `json:"cells,omitempty"` // filled by a batch and the measured rubric's prefix, where that makes whole steps
	Contexts       int     `json:"contexts"`
	Threads        int     `json:"threads"` // of each context
	FlashAttention bool    `json:"flash_attention"`
	Matmul         string  `json:"matmul,omitempty"` // what a GPU's matrix products go through; "" for the program's choice
	RecordRate     float64 `json:"records_per_s"`
	DefaultRate    float64 `json:"default_records_per_s"` // with the settings that hold without a profile
}

// profilePath names the profile of a model on this machine, with or without layers
// on its GPUs, which are named by their kinds. What decides is the model's shape:
// models that differ in their weights alone run at one speed.
func profilePath(model string, gpuLayers int, gpus []string) (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNoCache, err)
	}
	var shape string
	err = withHeader(model, func(f *gguf.GGUFFile) error {
		shape, err = shapeOf(f)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read the shape of %s: %w: want a model in GGUF format", model, err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "profile 1\n%s\n%v\n%s", machineWith(kinds(gpuLayers, gpus)), gpuLayers != 0, shape))
	return filepath.Join(dir, "winnow", "profiles", hex.EncodeToString(sum[:16])+".json"), nil
}

// kinds lists the GPUs that compute, each kind once: several of one kind are used
// with the settings of one.
func kinds(gpuLayers int, gpus []string) []string {
	if gpuLayers == 0 {
		return nil
	}
	return slices.Compact(slices.Sorted(slices.Values(gpus)))
}

// shapeOf lists what a model's speed follows from: what the header says of the
// architecture, and the shapes and formats of the tensors. The model's name is
// not among it, nor where in the file something stands.
func shapeOf(f *gguf.GGUFFile) (string, error) {
	h, err := newHeader(f.Header.MetadataKV)
	if err != nil {
		return "", err
	}
	var lines []string
	for _, kv := range h.kvs {
		if !strings.HasPrefix(kv.Key, h.arch+".") {
			continue
		}
		value := kv.Value
		if kv.ValueType == gguf.GGUFMetadataValueTypeArray {
			a := kv.ValueArray()
			value = []any{a.Type, a.Len, a.Array}
		}
		lines = append(lines, fmt.Sprintf("%s %v\n", kv.Key, value))
	}
	for _, t := range f.TensorInfos {
		lines = append(lines, fmt.Sprintf("%s %v %d\n", t.Name, t.Type, t.Dimensions))
	}
	slices.Sort(lines) // programs that write models order them as they like
	return h.arch + "\n" + strings.Join(lines, ""), nil
}

// errNoCache means that there is no folder for profiles.
var errNoCache = errors.New("find the cache folder")

// LoadProfile returns the profile of a model on this machine and its path, or
// nil if there is none; gpus are the descriptions of the GPUs that may be used.
// Without a folder for caches there is none, and no path.
func LoadProfile(model string, gpuLayers int, gpus ...string) (*Profile, string, error) {
	path, err := profilePath(model, gpuLayers, gpus)
	if errors.Is(err, errNoCache) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, path, nil
	}
	if err != nil {
		return nil, path, fmt.Errorf("read the profile: %w", err)
	}
	var p Profile
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, path, fmt.Errorf("profile %s: %w: remove it, or run winnow bench --tune again", path, err)
	}
	if p.Batch < engine.MinBatch || p.Cells < 0 || p.Contexts < 1 || p.Threads < 1 {
		return nil, path, fmt.Errorf("profile %s: batches of %d tokens, %d contexts, %d threads make no sense: remove it, or run winnow bench --tune again", path, p.Batch, p.Contexts, p.Threads)
	}
	return &p, path, nil
}

// Save writes the profile to where LoadProfile finds it with the same arguments and
// returns the path.
func (p *Profile) Save(model string, gpuLayers int, gpus ...string) (path string, err error) {
	if path, err = profilePath(model, gpuLayers, gpus); err != nil {
		return "", err
	}
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return "", err
	}
	part := path + ".part"
	if err := os.WriteFile(part, append(data, '\n'), 0o666); err != nil {
		return "", errors.Join(err, os.Remove(part))
	}
	return path, os.Rename(part, path)
}

// Apply puts the profile's settings into o where o leaves them open.
func (p *Profile) Apply(o *engine.Options) {
	if o.Batch == 0 && p.Cells > 0 {
		o.Cells = p.Cells // another rubric's prefix leaves another batch
	} else if o.Batch == 0 {
		o.Batch = p.Batch
	}
	if o.Lanes == 0 && o.Threads == 0 {
		o.Lanes, o.Threads = p.Contexts, p.Threads // measured together
	}
	if o.Matmul == "" {
		o.Matmul = p.Matmul
	}
}
