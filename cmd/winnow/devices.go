package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"winnow/grader/engine"
	"winnow/grader/placement"
	"winnow/llama"
)

// matmulKernels are the kinds of matrix kernels of a GPU.
var matmulKernels = []string{string(llama.MatmulInt8), string(llama.MatmulCuBLAS), string(llama.MatmulCuBLASF16)}

func deviceFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "gpu-layers", Aliases: []string{"ngl", "n-gpu-layers"}, Value: "auto", Usage: "layers on GPUs, if there are any: `auto|all|N`; auto: as many as fit, 0: compute on the CPU"},
		&cli.StringFlag{Name: "device", Aliases: []string{"dev"}, DefaultText: "all GPUs", Usage: "GPUs to use, as winnow doctor names them: `CUDA0,CUDA1|none`; none, or cpu, computes on the CPU"},
		&cli.StringFlag{Name: "split-mode", Aliases: []string{"sm"}, DefaultText: "a model on each GPU that it fits, else layer", Usage: "how several GPUs share the work: `layer|none`; layer: one model over all GPUs, none: never"},
		&cli.StringFlag{Name: "tensor-split", Aliases: []string{"ts"}, Usage: "with one model over several GPUs, their shares of its layers, as `PROPORTIONS` such as 3,1"},
		&cli.StringFlag{Name: "gpu-kernels", Value: "auto", Usage: "matrix kernels of a GPU: `auto|int8|cublas|cublas-f16`; auto goes by the GPU, the format and the batch"},
	}
}

// deviceOptions reads the flags that say where the model is computed.
func deviceOptions(c *cli.Context, o *engine.Options) (err error) {
	if o.GPULayers, err = parseLayers(c.String("gpu-layers")); err != nil {
		return err
	}
	if c.IsSet("device") {
		if o.Devices, err = parseDevices(c.String("device")); err != nil {
			return err
		}
		if len(o.Devices) == 0 {
			if o.GPULayers > 0 {
				return usagef("--device %s leaves no GPU for -ngl %s: give one of the two", c.String("device"), c.String("gpu-layers"))
			}
			o.GPULayers = 0
		}
	}
	switch split := placement.Split(c.String("split-mode")); split {
	case placement.Whole, placement.ByLayer, placement.NoSplit:
		o.Split = split
	default:
		return usagef("--split-mode %s: want layer or none", split)
	}
	if text := c.String("tensor-split"); text != "" {
		if o.Split == placement.NoSplit {
			return usagef("--tensor-split needs --split-mode layer")
		}
		if o.TensorSplit, err = parseSplit(text); err != nil {
			return err
		}
		if n := len(o.Devices); n > 0 && n != len(o.TensorSplit) {
			return usagef("--tensor-split %s: %d shares for %d devices", text, len(o.TensorSplit), n)
		}
	}
	if k := c.String("gpu-kernels"); k != "auto" {
		if !slices.Contains(matmulKernels, k) {
			return usagef("--gpu-kernels %s: want auto, %s", k, strings.Join(matmulKernels, ", "))
		}
		o.Matmul = k
	}
	return nil
}

// parseLayers reads a number of layers: negative for auto.
func parseLayers(text string) (int, error) {
	switch text {
	case "auto":
		return -1, nil
	case "all":
		return engine.AllLayers, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 {
		return 0, usagef("--gpu-layers %s: want auto, all, or a number of layers", text)
	}
	return min(n, engine.AllLayers), nil
}

// parseDevices reads names of GPUs; none are the CPU.
func parseDevices(text string) ([]string, error) {
	if slices.Contains([]string{"none", "cpu"}, strings.ToLower(text)) {
		return nil, nil
	}
	var list []string
	for _, name := range strings.Split(text, ",") {
		name = strings.TrimSpace(name)
		switch {
		case name == "" || strings.EqualFold(name, "none") || strings.EqualFold(name, "cpu"):
			return nil, usagef("--device %s: want names of GPUs with commas between, such as CUDA0,CUDA1, or none alone", text)
		case slices.ContainsFunc(list, func(s string) bool { return strings.EqualFold(s, name) }):
			return nil, usagef("--device %s: %s is there twice", text, name)
		}
		list = append(list, name)
	}
	return list, nil
}

// parseSplit reads proportions.
func parseSplit(text string) ([]float64, error) {
	var list []float64
	total := 0.0
	for _, part := range strings.Split(text, ",") {
		x, err := strconv.ParseFloat(strings.TrimSpace(part), 64)
		if err != nil || !(x >= 0) || math.IsInf(x, 0) {
			return nil, usagef("--tensor-split %s: want numbers of 0 or more with commas between, such as 3,1", text)
		}
		list = append(list, x)
		total += x
	}
	if !(total > 0) || math.IsInf(total, 0) {
		return nil, usagef("--tensor-split %s: one of the shares must be above 0", text)
	}
	return list, nil
}

// ownGPUs lists the GPUs that an engine in this process may use.
func ownGPUs(o engine.Options) []placement.Device {
	if o.GPULayers == 0 {
		return nil
	}
	return engine.GPUs()
}

// usable returns the GPUs that the options allow. It tells whoever asked for a GPU
// if there is none.
func usable(o engine.Options, gpus []placement.Device) ([]placement.Device, error) {
	list, err := engine.Allowed(o, gpus)
	if err != nil {
		return nil, placeError(err)
	}
	if len(list) == 0 && o.GPULayers > 0 {
		slog.Warn("there is no GPU that can be used: -ngl has no effect, the CPU computes; winnow doctor says why")
	}
	return list, nil
}

// placeError gives an error of engine.Place its exit code.
func placeError(err error) error {
	var unknown *engine.DeviceError
	if errors.As(err, &unknown) && len(unknown.GPUs) > 0 {
		return usageError{fmt.Errorf("--device: %w", err)}
	}
	return modelError{err}
}

// kinds are the descriptions of GPUs.
func kinds(gpus []placement.Device) []string {
	var list []string
	for _, d := range gpus {
		list = append(list, d.Description)
	}
	return list
}

// visibleEnv is the list of the GPUs that CUDA shows a process: by number, or by
// their unique names.
const visibleEnv = "CUDA_VISIBLE_DEVICES"

// narrow returns a child's place as a process sees it that is shown the child's
// GPUs alone, and the environment that shows it these, or "" if that is that of
// this process. Names in the options would do to compute on the right GPU. But CUDA
// looks at every GPU that it is shown when it starts: one that has fallen off the
// bus would end the processes of all the others, whenever they start again.
func narrow(p placement.Child, gpus int) (placement.Child, string) {
	if len(p.Shares) == 0 || len(p.Shares) == gpus {
		return p, ""
	}
	visible, set := os.LookupEnv(visibleEnv)
	shown := strings.Split(visible, ",")
	var words []string
	shares := slices.Clone(p.Shares)
	for i, s := range p.Shares {
		d := s.Device
		switch {
		case !strings.HasPrefix(d.Name, "CUDA") || set && d.Index >= len(shown):
			return p, ""
		case set:
			words = append(words, strings.TrimSpace(shown[d.Index]))
		case d.ID != "":
			words = append(words, d.ID)
		default:
			words = append(words, strconv.Itoa(d.Index))
		}
		shares[i].Device.Name, shares[i].Device.Index = "CUDA"+strconv.Itoa(i), i
	}
	p.Shares = shares
	return p, visibleEnv + "=" + strings.Join(words, ",")
}
