package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v2"

	"winnow/grader/engine"
	"winnow/kernels"
	"winnow/llama"
)

func doctorCommand() *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "check the build, the devices, the numerics and a model",
		Description: `Example:
  winnow doctor -m model.gguf

Without -m, the default model is looked at if it is there. A machine without a
GPU is no fault. Exit code 1: the build computes wrongly or cannot run here; 4:
the model cannot grade.`,
		Flags:        append(engineFlags(), &cli.BoolFlag{Name: "json", Usage: "print one JSON object"}),
		OnUsageError: onUsageError,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return usagef("doctor takes no argument %q: give a model with -m", c.Args().First())
			}
			var d diagnosis
			err := d.find(c) // what was found before is printed with an error, too
			if c.Bool("json") {
				return errors.Join(err, printJSON(c.App.Writer, d))
			}
			w := tabwriter.NewWriter(c.App.Writer, 0, 0, 2, ' ', 0)
			d.print(w)
			return errors.Join(err, w.Flush())
		},
	}
}

// diagnosis is what doctor finds.
type diagnosis struct {
	Winnow     string           `json:"winnow"`
	Go         string           `json:"go"`
	Engine     string           `json:"engine"`
	Compiled   []string         `json:"compiled_for"`
	Unused     []string         `json:"not_used"` // what the processor has beyond that
	Warning    string           `json:"warning,omitempty"`
	Cores      int              `json:"cores"`     // that this process may use
	AllCores   int              `json:"all_cores"` // of the machine
	SelfTest   *float64         `json:"self_test"` // greatest difference; null: failed
	CUDA       llama.CUDAStatus `json:"cuda"`
	Devices    []llama.Device   `json:"devices"`
	Computes   string           `json:"computes_on"`
	Matmul     llama.Matmul     `json:"matmul,omitempty"`
	MatmulWhy  string           `json:"matmul_why,omitempty"`
	Kernels    string           `json:"kernels"`
	ModelState string           `json:"model_state,omitempty"`
	Model      *modelDiagnosis  `json:"model,omitempty"`
}

// modelDiagnosis is what doctor finds in a model.
type modelDiagnosis struct {
	Path         string  `json:"path"`
	SHA256       string  `json:"sha256"`
	Kind         string  `json:"kind"`
	Layers       int     `json:"layers"`
	Width        int     `json:"width"`
	Vocabulary   int     `json:"vocabulary"`
	GiB          float64 `json:"gib"`
	Params       uint64  `json:"params"`
	CtxTrain     int     `json:"ctx_train"`
	Ctx          int     `json:"ctx"`
	Device       string  `json:"device"`
	Template     string  `json:"chat_template"`
	Criteria     string  `json:"criteria"`
	PrefixTokens int     `json:"prefix_tokens"`
	RatingTokens int     `json:"rating_tokens"`
}

// find looks at everything.
func (d *diagnosis) find(c *cli.Context) (err error) {
	d.Winnow, d.Engine = version, llama.Version()
	d.Go = fmt.Sprintf("%s %s/%s", runtime.Version(), runtime.GOOS, runtime.GOARCH)
	d.Compiled, d.Unused = []string{}, []string{}
	for _, f := range engine.Features() {
		if f.Build {
			d.Compiled = append(d.Compiled, f.Name)
		} else {
			d.Unused = append(d.Unused, f.Name)
		}
	}
	d.Cores, d.AllCores = runtime.GOMAXPROCS(0), runtime.NumCPU()
	if d.Warning, err = engine.CheckCPU(); err != nil {
		return err
	}
	// Before CUDA is loaded: it is the CPU's arithmetic that is tested, and ggml
	// would give large products to a GPU.
	diff, selfErr := engine.SelfTest(c.Context)
	if err := d.findDevices(c); err != nil {
		return err
	}
	if selfErr != nil {
		return fmt.Errorf("self-test: %w", selfErr)
	}
	d.SelfTest = &diff

	path, err := modelPath(c)
	if err != nil {
		if c.String("model") == "" {
			d.ModelState = "none: give one with -m"
			return nil
		}
		return err
	}
	return d.findModel(c, path)
}

// findDevices looks for what can compute, and says what will.
func (d *diagnosis) findDevices(c *cli.Context) error {
	var o engine.Options
	if err := deviceOptions(c, &o); err != nil {
		return err
	}
	if o.GPULayers != 0 {
		llama.LoadCUDA()
	}
	d.CUDA, d.Devices, d.Kernels = llama.CUDA(), llama.Devices(), kernels.Status().String()
	var gpus []string
	for _, g := range d.Devices {
		if !g.GPU {
			continue
		}
		if gpus = append(gpus, g.Name); len(gpus) > 1 {
			continue
		}
		var err error
		// What most models are, until one is known.
		if d.Matmul, d.MatmulWhy, err = llama.ChooseMatmul(g, "quantized", max(engine.DefaultBatch, c.Int("ubatch-size"))); err != nil {
			return usageError{err}
		}
	}
	if d.Computes = strings.Join(gpus, ", "); len(gpus) == 0 {
		d.Computes = "CPU"
	}
	return nil
}

// findModel opens the model and looks at it.
func (d *diagnosis) findModel(c *cli.Context, path string) (err error) {
	o, err := engineOptions(c)
	if err != nil {
		return err
	}
	e, err := openEngine(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	info, m := e.Info(), e.Manifest()
	d.Model = &modelDiagnosis{
		Path: path, SHA256: m.Model.SHA256, Kind: info.Description, Layers: info.Layers, Width: info.Embd, Vocabulary: e.Model().Vocab().Size(),
		GiB: gib(info.SizeBytes), Params: info.Params, CtxTrain: info.CtxTrain, Ctx: e.Options().Ctx, Device: m.Runtime.Device,
		Template: e.Note(), Criteria: strings.Join(m.Criteria(), ", "), PrefixTokens: e.PrefixTokens(), RatingTokens: e.RatingTokens(),
	}
	for _, g := range d.Devices {
		if g.GPU {
			d.Matmul, d.MatmulWhy, err = llama.ChooseMatmul(g, info.Format, e.Options().Batch)
			return err
		}
	}
	return nil
}

// print writes the findings for people.
func (d *diagnosis) print(w *tabwriter.Writer) {
	fmt.Fprintf(w, "winnow\t%s, %s\n", d.Winnow, d.Go)
	fmt.Fprintf(w, "engine\t%s\n", d.Engine)
	fmt.Fprintf(w, "compiled for\t%s\n", strings.Join(d.Compiled, " "))
	if len(d.Unused) > 0 {
		fmt.Fprintf(w, "not used\t%s\n", strings.Join(d.Unused, " "))
	}
	if d.Warning != "" {
		fmt.Fprintf(w, "warning\t%s\n", d.Warning)
	}
	fmt.Fprintf(w, "cores\t%d usable of %d\n", d.Cores, d.AllCores)
	d.printDevices(w)
	if d.SelfTest != nil {
		fmt.Fprintf(w, "self-test\tpassed: packed ratings equal plain ones to %.1g\n", *d.SelfTest)
	}
	if d.ModelState != "" {
		fmt.Fprintf(w, "model\t%s\n", d.ModelState)
	}
	if m := d.Model; m != nil {
		fmt.Fprintf(w, "model\t%s\n", m.Path)
		fmt.Fprintf(w, "  sha256\t%s\n", m.SHA256)
		fmt.Fprintf(w, "  kind\t%s, %d layers, width %d, %d tokens in the vocabulary\n", m.Kind, m.Layers, m.Width, m.Vocabulary)
		fmt.Fprintf(w, "  size\t%.2f GiB, %.0f M weights\n", m.GiB, float64(m.Params)/1e6)
		fmt.Fprintf(w, "  context\t%d tokens in training, %d used for a record\n", m.CtxTrain, m.Ctx)
		fmt.Fprintf(w, "  device\t%s\n", m.Device)
		fmt.Fprintf(w, "  chat template\t%s\n", m.Template)
		fmt.Fprintf(w, "  rubric\t%s: %d tokens shared by all records, %d more for each record's rating\n", m.Criteria, m.PrefixTokens, m.RatingTokens)
	}
}

// printDevices writes what can compute, and what will.
func (d *diagnosis) printDevices(w *tabwriter.Writer) {
	if d.Computes == "" {
		return // it was not looked for
	}
	cuda := d.CUDA
	if cuda.Reason != "" {
		fmt.Fprintf(w, "cuda\tnot used: %s\n", cuda.Reason)
	} else {
		fmt.Fprintf(w, "cuda\tloaded\n")
	}
	if cuda.Path != "" {
		fmt.Fprintf(w, "  library\t%s\n", cuda.Path)
	}
	if cuda.Engine != "" {
		fmt.Fprintf(w, "  compiled\tfrom %s of the engine's sources, for compute capability %s\n", cuda.Engine, capabilities(cuda.Architectures...))
	}
	if cuda.CuBLAS != "" {
		fmt.Fprintf(w, "  cublas\t%s\n", cuda.CuBLAS)
	}
	if cuda.Driver != "" {
		fmt.Fprintf(w, "  driver\t%s\n", cuda.Driver)
	}
	for _, g := range d.Devices {
		fmt.Fprintf(w, "device\t%s %s", g.Name, g.Description)
		if g.Capability > 0 {
			fmt.Fprintf(w, ", compute capability %s", capabilities(g.Capability))
		}
		if g.MemoryTotal > 0 {
			fmt.Fprintf(w, ", %.1f of %.1f GiB free", gib(g.MemoryFree), gib(g.MemoryTotal))
		}
		fmt.Fprintln(w)
	}
	if d.Matmul != "" {
		fmt.Fprintf(w, "products\t%s: %s\n", d.Matmul, d.MatmulWhy)
	}
	if len(cuda.Devices) > 0 {
		fmt.Fprintf(w, "computes on\t%s\n", d.Computes)
	} else {
		fmt.Fprintf(w, "computes on\t%s: every command works, at the speed of its cores; for a GPU: %s\n", d.Computes, cuda.Remedy)
	}
	fmt.Fprintf(w, "kernels\t%s\n", d.Kernels)
}

// capabilities writes compute capabilities as NVIDIA does: "8.0, 9.0".
func capabilities(list ...int) string {
	var texts []string
	for _, c := range list {
		texts = append(texts, fmt.Sprintf("%d.%d", c/10, c%10))
	}
	return strings.Join(texts, ", ")
}

func gib(bytes uint64) float64 { return float64(bytes) / (1 << 30) }
