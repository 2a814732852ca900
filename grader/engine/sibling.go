package engine

import (
	"errors"

	"winnow/grader/placement"
)

// Sibling opens another engine over the model of e, with a batch, contexts, kernels
// and rubrics of its own: to try many settings of a model that takes long to load.
// The model and where it is placed are those of e, whatever o says, so nothing is
// planned: what does not fit the memory fails. The sibling must be closed before e is.
func (e *Engine) Sibling(o Options) (*Engine, error) {
	if e.model == nil {
		return nil, errors.New("open an engine beside another one: that one has no model")
	}
	o.Model, o.GPULayers, o.Devices, o.Place = e.o.Model, e.o.GPULayers, e.o.Devices, e.o.Place
	if e.o.onGPU() {
		if o.Threads == 0 {
			o.Threads = e.o.Place.Threads
		}
		m, err := modelFacts(o.Model)
		plan := placement.Plan{Batch: o.Batch, Children: []placement.Child{*e.o.Place}}
		if err := o.chooseMatmul(&plan, err != nil || m.Largest > 0); err != nil {
			return nil, err
		}
	}
	return prepare(o, e.model)
}
