//go:build cgo

package kernels

import "testing"

// TestC checks that the C files are compiled as doc.go says.
func TestC(t *testing.T) {
	if cFuses() {
		t.Error("the C compiler fuses x*x - 1: results would depend on the processor")
	}
}
