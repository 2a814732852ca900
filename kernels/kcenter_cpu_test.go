//go:build cgo

package kernels

import (
	"context"
	"testing"

	"winnow/internal/kernelcases"
)

// The bounds save distances.
func TestKCenterComputesLess(t *testing.T) {
	c := kernelcases.KCenterCase{Rows: 4000, Dim: 32, Picks: 600, Clusters: 200, Seed: 1}
	in, o := kcenterInput(c)
	got, err := KCenter(context.Background(), nil, in, o)
	if err != nil {
		t.Fatal(err)
	}
	if all := int64(c.Rows * c.Picks); !(got.Distances < all*2/3) {
		t.Errorf("%d distances computed, of %d", got.Distances, all)
	}
}
