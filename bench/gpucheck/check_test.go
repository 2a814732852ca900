// Package gpucheck has only tests: the check itself is for machines without Go.
package gpucheck

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestConclusions runs the tests of the Python part.
func TestConclusions(t *testing.T) {
	files, err := filepath.Glob("*.py")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files { // so that go test runs it again when one has changed
		if _, err := os.ReadFile(f); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("python3", "-B", "-m", "unittest", "check_test")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
