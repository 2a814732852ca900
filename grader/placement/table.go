package placement

import (
	"fmt"
	"strings"
	"text/tabwriter"
)

// String is the plan as a short table, one line a GPU.
func (p *Plan) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for i, c := range p.Children {
		if len(c.Shares) == 0 {
			fmt.Fprintf(w, "CPU\tall of the model\n")
		}
		for _, s := range c.Shares {
			fmt.Fprintf(w, "%s\t%s\tprocess %d\t%d of %d layers\t%s of %s free\tweights %s, cache %s, compute %s (logits %s), scratch %s, margin %s\n",
				s.Device.Name, s.Device.Description, i+1, s.Layers, p.Layers, gib(s.Need.Total()), gib(s.Device.Free),
				gib(s.Need.Weights), gib(s.Need.Cache), gib(s.Need.Compute), gib(s.Need.Logits), gib(s.Need.Scratch), gib(s.Need.Margin))
		}
	}
	if p.Batch > 0 {
		fmt.Fprintf(w, "batches of %d tokens, %d contexts of %d threads a process\n", p.Batch, p.Contexts, p.Children[0].Threads)
	}
	_ = w.Flush() // a strings.Builder takes everything
	return b.String()
}
