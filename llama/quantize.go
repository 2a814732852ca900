package llama

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sort"
	"strings"
	"unsafe"
)

// formats are the weight formats that Quantize writes, by the names that
// llama.cpp's users know.
var formats = map[string]C.enum_llama_ftype{
	"F32":    C.LLAMA_FTYPE_ALL_F32,
	"F16":    C.LLAMA_FTYPE_MOSTLY_F16,
	"BF16":   C.LLAMA_FTYPE_MOSTLY_BF16,
	"Q8_0":   C.LLAMA_FTYPE_MOSTLY_Q8_0,
	"Q6_K":   C.LLAMA_FTYPE_MOSTLY_Q6_K,
	"Q5_K_M": C.LLAMA_FTYPE_MOSTLY_Q5_K_M,
	"Q5_K_S": C.LLAMA_FTYPE_MOSTLY_Q5_K_S,
	"Q4_K_M": C.LLAMA_FTYPE_MOSTLY_Q4_K_M,
	"Q4_K_S": C.LLAMA_FTYPE_MOSTLY_Q4_K_S,
	"Q4_0":   C.LLAMA_FTYPE_MOSTLY_Q4_0,
	"Q4_1":   C.LLAMA_FTYPE_MOSTLY_Q4_1,
	"IQ4_NL": C.LLAMA_FTYPE_MOSTLY_IQ4_NL,
}

// Formats lists the weight formats that Quantize writes.
func Formats() []string {
	names := make([]string, 0, len(formats))
	for name := range formats {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// Quantize writes the model at in to out with its weights in the named format.
// Weights that are quantized already are decoded first: their error stays.
func Quantize(in, out, format string, threads int) error {
	Init()
	ftype, ok := formats[strings.ToUpper(format)]
	if !ok {
		return fmt.Errorf("quantize: unknown format %q, want one of %s", format, strings.Join(Formats(), ", "))
	}
	if err := Check(in); err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	info, err := os.Stat(in)
	if err != nil {
		return fmt.Errorf("quantize: %w", err)
	}
	if other, err := os.Stat(out); err == nil && os.SameFile(info, other) {
		return fmt.Errorf("quantize: %s is input and output at once", in)
	}
	p := C.llama_model_quantize_default_params()
	p.ftype = ftype
	p.allow_requantize = true
	p.nthread = C.int32_t(threads)
	cin, cout := C.CString(in), C.CString(out)
	defer C.free(unsafe.Pointer(cin))
	defer C.free(unsafe.Pointer(cout))
	var threw errText
	var code C.int32_t
	logs := logged.capture(func() { code = C.shim_quantize(cin, cout, &p, &threw.buf[0], errBytes) })
	if code != 0 {
		text := strings.Trim(logs+"; "+threw.String(), "; ")
		return fmt.Errorf("quantize %s to %s: %w", in, format, &Error{Op: "llama_model_quantize", Code: int(code), Text: text})
	}
	return nil
}
