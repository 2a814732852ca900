package placement

// Bytes is what a process takes of a GPU's memory, or an estimate of it.
type Bytes struct {
	Weights uint64 // of the layers that are there; exact
	Cache   uint64 // keys and values of all contexts; exact
	Compute uint64 // the buffers that llama.cpp reserves for all contexts, logits included
	Logits  uint64 // the part of Compute that is logits, of all contexts
	Scratch uint64 // what CUDA's matrix kernels take while they run
	Margin  uint64 // is left free
}

// Total is the sum. Logits are in Compute.
func (b Bytes) Total() uint64 { return b.Weights + b.Cache + b.Compute + b.Scratch + b.Margin }

const (
	// margin is left free on each GPU: llama.cpp's own fitting leaves as much
	// (--fit-target, 1024 MiB). CUDA's context is not in it: it is gone already
	// from what a GPU says to have free, since a process that asks has one.
	margin = 1 << 30

	// workspace is cuBLAS's of each context: what NVIDIA's documentation of
	// cublasSetWorkspace has for Hopper; older GPUs take less.
	workspace = 32 << 20

	// copies is how many batches llama.cpp keeps in flight over several GPUs: its
	// inputs are there so often (GGML_SCHED_MAX_COPIES).
	copies = 4

	// hopper is the compute capability, times ten, on which Auto may be CuBLAS.
	hopper = 90

	// largeCard is what a GPU has at least for which the larger batches are the
	// default: consumer cards have less.
	largeCard = 30e9
)

// load is what a process does to a GPU's memory besides weights.
type load struct {
	m        *Model
	batch    int // tokens
	contexts int
	cells    int // of each context
	flash    bool
	kernels  Kernels
}

// Kernels says which kernels multiply matrices.
type Kernels string

// The kinds of kernels. Auto is Int8 but on Hopper, where it may be CuBLAS.
const (
	Auto     Kernels = ""
	Int8     Kernels = "int8"       // multiply quantized weights as they are
	CuBLAS   Kernels = "cublas"     // turn weights into half precision first, and add in single precision
	CuBLAS16 Kernels = "cublas-f16" // the same, and add in half precision
)

// need is what layers from ≤ i < to, counted from the first on a GPU, take of it.
// The last of Model.Layers is what is behind them all. host is the number of
// layers that no GPU has, split says whether several GPUs share the model.
func (l *load) need(d Device, from, to, host int, split bool) Bytes {
	m, n := l.m, len(l.m.LayerBytes)
	var b Bytes
	for i := from; i < to; i++ {
		if i == n {
			b.Weights += m.OutputBytes
			continue
		}
		b.Weights += m.LayerBytes[i]
		b.Cache += m.CellBytes[i] * uint64(l.cells*l.contexts)
	}
	u := uint64(l.batch)
	compute := l.layer()
	if to == n+1 || host > 0 { // large batches leave nothing to the CPU: see streamed
		// llama.cpp reserves for a batch in which every token has a row.
		logits := u * uint64(m.Vocab) * floatBytes
		compute = max(compute, logits+2*u*uint64(m.Embd)*floatBytes+l.mask())
		b.Logits = logits * uint64(l.contexts)
	}
	if split {
		compute += (copies - 1) * u * uint64(l.cells+m.Embd) * floatBytes
	}
	compute += l.streamed(host)
	b.Compute = compute * uint64(l.contexts)
	b.Scratch = l.scratch(d) * uint64(l.contexts)
	b.Margin = margin
	return b
}

// layer is what a layer's activations and the mask take at most: the residual, and
// a feed-forward block's two inner products or attention's parts. Without flash
// attention there are scores. Both this and what the logits take are upper bounds,
// by less than a seventh, of what llama.cpp reserves for models of 0.1 to 1.5 B
// weights on a CPU; the engine's tests hold that.
func (l *load) layer() uint64 {
	m, u := l.m, uint64(l.batch)
	wide := max(2*m.FeedForward, m.Attention)
	n := u*uint64(3*m.Embd+wide)*floatBytes + l.mask()
	if !l.flash {
		n += u * uint64(l.cells) * uint64(m.Heads) * floatBytes * 3 / 2
	}
	return n
}

// mask says which cells each token sees, in single and in half precision.
func (l *load) mask() uint64 {
	return uint64(l.batch) * uint64(l.cells) * (floatBytes + halfBytes)
}

// streamed is the room for weights that are in the computer's memory: for batches
// of 32 tokens and more, llama.cpp copies them to the GPU and multiplies there.
// What is behind the last layer is among them unless all layers are on GPUs.
func (l *load) streamed(host int) uint64 {
	if host == 0 {
		return 0
	}
	n := l.m.OutputBytes
	for _, size := range l.m.LayerBytes[:host-1] {
		n = max(n, size)
	}
	return n
}

// scratch is what the matrix kernels of one context take: activations in half
// precision on both sides of a product and, where weights are turned into half
// precision first, the largest matrix, half as much again because the pool of
// CUDA's backend keeps smaller pieces.
func (l *load) scratch(d Device) uint64 {
	m := l.m
	n := workspace + 2*uint64(l.batch)*uint64(max(m.FeedForward, m.Embd))*halfBytes
	if l.kernels == CuBLAS || l.kernels == CuBLAS16 || l.kernels == Auto && d.Capability == hopper {
		n += m.Largest * halfBytes * 3 / 2
	}
	return n
}
