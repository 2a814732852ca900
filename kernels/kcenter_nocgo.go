//go:build !cgo

package kernels

import "context"

func (job *kcenterJob) onCPU(ctx context.Context) error { return job.plain(ctx) }

func (job *kcenterJob) sweepOnCPU(ctx context.Context) error { return job.plain(ctx) }
