package engine

import (
	"fmt"
	"strings"

	"golang.org/x/sys/cpu"

	"winnow/llama"
)

// Feature is an instruction set that makes the engine fast.
type Feature struct {
	Name    string
	Machine bool // the processor has it
	Build   bool // the engine was compiled for it
}

// Features compares what the engine was compiled for with what the machine has.
// Only instruction sets that both sides can tell of are listed.
func Features() []Feature {
	if !cpu.Initialized {
		return nil
	}
	build := llama.Features()
	var list []Feature
	for _, f := range []struct {
		name    string
		machine bool
	}{
		{"SSE3", cpu.X86.HasSSE3},
		{"SSSE3", cpu.X86.HasSSSE3},
		{"AVX", cpu.X86.HasAVX},
		{"AVX2", cpu.X86.HasAVX2},
		{"FMA", cpu.X86.HasFMA},
		{"BMI2", cpu.X86.HasBMI2},
		{"AVX_VNNI", cpu.X86.HasAVXVNNI},
		{"AVX512", cpu.X86.HasAVX512F},
		{"AVX512_VBMI", cpu.X86.HasAVX512VBMI},
		{"AVX512_VNNI", cpu.X86.HasAVX512VNNI},
		{"AVX512_BF16", cpu.X86.HasAVX512BF16},
		{"AMX_INT8", cpu.X86.HasAMXInt8},
		{"NEON", cpu.ARM64.HasASIMD},
		{"DOTPROD", cpu.ARM64.HasASIMDDP},
		{"SVE", cpu.ARM64.HasSVE},
	} {
		if b := build["CPU."+f.name] == "1"; b || f.machine {
			list = append(list, Feature{f.name, f.machine, b})
		}
	}
	return list
}

// CheckCPU compares the build with the machine. A build that uses instructions
// which the machine lacks would be killed by the first of them: that is an
// error. One that leaves them unused is slow: that is a warning.
func CheckCPU() (warning string, err error) {
	var lacking, unused []string
	for _, f := range Features() {
		switch {
		case f.Build && !f.Machine:
			lacking = append(lacking, f.Name)
		case f.Machine && !f.Build:
			unused = append(unused, f.Name)
		}
	}
	if len(lacking) > 0 {
		return "", fmt.Errorf("this program was compiled for a processor with %s, which this machine lacks: build it here with make build, or with MARCH=x86-64-v3 for any machine", strings.Join(lacking, ", "))
	}
	if len(unused) > 0 {
		warning = fmt.Sprintf("this program was compiled without %s, which this machine has: make build here makes it faster", strings.Join(unused, ", "))
	}
	return warning, nil
}
