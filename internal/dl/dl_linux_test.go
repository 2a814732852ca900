package dl

import (
	"strings"
	"testing"
)

func TestLibrary(t *testing.T) {
	l, err := Open("libc.so.6")
	if err != nil {
		t.Fatal(err)
	}
	var length func(string) uintptr
	if err := l.Bind("strlen", &length); err != nil {
		t.Fatal(err)
	}
	if n := length("four"); n != 4 {
		t.Errorf("the library's function gives %d, want 4", n)
	}
	if err := l.Bind("no_such_function", &length); err == nil || !strings.Contains(err.Error(), "no_such_function") {
		t.Errorf("a name that is not there: error %v, want one that names it", err)
	}
	if _, err := Open("/nowhere/lib.so"); err == nil || !strings.Contains(err.Error(), "/nowhere/lib.so") {
		t.Errorf("a file that is not there: error %v, want one that names it", err)
	}
}
