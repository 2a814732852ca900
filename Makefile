# winnow. `make help` lists the targets.
#
# MARCH picks the CPU that the C++ engine is compiled for: native (default) for
# this machine, x86-64-v3 for a binary that runs on any machine since 2013.

MARCH ?= native

# One place for every compiler flag, so that all builds share one cached engine.
# GRADER_CPU only separates the caches of machines whose "native" differs.
ENGINE      := github.com/ollama/ollama
ENGINE_DIR   = $(shell go mod download $(ENGINE) && go list -m -f '{{.Dir}}' $(ENGINE))
CPU_ID      := $(shell $(or $(CC),gcc) -march=$(MARCH) -Q --help=target 2>/dev/null | cksum | cut -d' ' -f1)
OPT         := -O3 -march=$(MARCH) -DGRADER_CPU=$(CPU_ID)
export CGO_ENABLED  := 1
export CGO_CFLAGS   := $(OPT)
export CGO_CXXFLAGS := $(OPT)
export CGO_CPPFLAGS  = -I$(ENGINE_DIR)/llama/llama.cpp/include -I$(ENGINE_DIR)/ml/backend/ggml/ggml/include
export GOFLAGS      := -trimpath -buildvcs=false
.PHONY: engine
engine:
	go build ./llama
