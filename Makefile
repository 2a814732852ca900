# winnow. `make help` lists the targets.
#
# MARCH picks the processor that the C++ engine is compiled for: native (the
# default) for this machine, x86-64-v3 for a binary that runs on any x86-64
# machine since 2013. All builds share these flags, so that Go's cache holds one
# compiled engine: compiling it takes minutes.

MARCH   ?= native
PYTHON  ?= python3
ARGS    ?=
BIN     ?= bin/winnow

ENGINE     := github.com/ollama/ollama
ENGINE_DIR := $(shell go mod download $(ENGINE) && go list -m -f '{{.Dir}}' $(ENGINE))
ENGINE_VERSION := $(shell go list -m -f '{{.Version}}' $(ENGINE))
# "native" means another processor on another machine, but Go's cache sees only
# the words: this number keeps their engines apart.
CPU_ID     := $(shell $(CC) -march=$(MARCH) -Q --help=target 2>/dev/null | cksum | cut -d' ' -f1)
# The module leaves out three things that ggml's own build has. OpenMP's threads
# wait for one another better than ggml's own. Repacking turns 4-bit weights into
# the layout that vector instructions want when a model is loaded. Of both the
# sources are there, the switch is not. AMX's sources are not, so the compiler must
# not announce AMX.
ENGINE_OPT := -DGGML_USE_OPENMP -fopenmp -DGGML_USE_CPU_REPACK
NO_AMX     := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16
ifeq ($(shell $(CC) $(NO_AMX) -E -x c /dev/null >/dev/null 2>&1 && echo known),known)
ENGINE_OPT += $(NO_AMX)
endif
OPT        := -O3 -march=$(MARCH) -DWINNOW_CPU_ID=$(CPU_ID) $(ENGINE_OPT)
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)

export CGO_ENABLED  := 1
export CGO_CFLAGS   := $(OPT)
export CGO_CXXFLAGS := $(OPT) -Wno-stringop-overflow
# OpenMP's library goes into the binary where the compiler brings it in that form.
export CGO_LDFLAGS  := $(if $(filter /%,$(shell $(CC) -print-file-name=libgomp.a)),-l:libgomp.a,-lgomp) -ldl
GGML       := $(ENGINE_DIR)/ml/backend/ggml/ggml
export CGO_CPPFLAGS := -I$(ENGINE_DIR)/llama/llama.cpp/include -I$(GGML)/include -I$(GGML)/src
export GOFLAGS      := -trimpath -buildvcs=false

MODEL := models/smollm2-135m-instruct.gguf

.PHONY: help build run model test short soak fuzz lint bench cuda cuda-canary clean kernels bench-kernels kernel-peers bin/bench-kernels bundle try-bundle

help: ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## compile bin/winnow (the first time compiles llama.cpp: minutes)
	go build -ldflags "-X main.version=$(VERSION)" -o $(BIN) ./cmd/winnow

model: $(MODEL) ## fetch the default model and convert it to this machine's fastest format

$(MODEL): | build
	PYTHON=$(PYTHON) scripts/fetch-default-model.sh bin/winnow $@

run: build model ## grade the example records with the default model, show and write what is kept
	@mkdir -p out
	bin/winnow filter examples/records.json -m $(MODEL) --top-percent 50 --scores out/scores.jsonl \
		-o out/kept.json --dropped out/dropped.json --table || [ $$? -eq 3 ]

test: build model ## run every test
	WINNOW_TEST_MODEL=$(CURDIR)/$(MODEL) go test $(ARGS) ./...

WITHOUT_ENGINE = $(shell go list -f '{{if not .DepOnly}}{{.ImportPath}}{{end}}' ./grader ./grader/audit ./grader/calibration ./grader/cascade ./grader/child ./grader/data ./grader/dedup ./grader/gold ./grader/htmlreport ./grader/journal ./grader/metric ./grader/placement ./grader/prompt ./grader/rating ./grader/record ./grader/rubric ./grader/selection ./grader/signal ./grader/testset ./grader/verdict ./kernels ./internal/...)

short: ## run the tests that need no C++ engine, with the race detector; build it all without C
	go test -race $(ARGS) $(WITHOUT_ENGINE)
	CGO_ENABLED=0 go vet $(WITHOUT_ENGINE)
	CGO_ENABLED=0 go test $(ARGS) ./kernels

soak: build ## run the fault tests in their long form (about 5 minutes; SOAK_SEED=n for other faults)
	scripts/soak.sh $(ARGS)

fuzz: ## run each fuzz target for FUZZTIME (default 30s)
	scripts/fuzz.sh $(or $(FUZZTIME),30s)

lint: ## gofmt, vet, staticcheck, errcheck
	scripts/lint.sh

bench: build model ## measure grading beside the raw rate: make bench DATA=data.json
	bin/winnow bench -m $(MODEL) --data $(or $(DATA),examples/records.json) --records $(or $(RECORDS),64)

cuda: ## compile ggml's CUDA backend (CUDA_ARCHS="80;90"; default: the GPUs here, else 80;86;89;90;120)
	PYTHON=$(PYTHON) scripts/build-cuda.sh $(ENGINE_DIR) $(ENGINE_VERSION) "$(CUDA_ARCHS)" build/cuda

cuda-canary: build ## compile a handful of its files: do the engine's sources still fit?
	PYTHON=$(PYTHON) scripts/cuda-canary.sh $(ENGINE_DIR) $(ENGINE_VERSION) bin/winnow

# The programs of a bundle run on any x86-64 machine since 2013. Go's cache keeps an
# engine for each MARCH.
BUNDLE := build/gpu-bundle
.PHONY: gpu-bundle bundle-programs gpu-check
gpu-bundle: ## pack what scripts/gpu-check.sh needs on a GPU machine (after make cuda; compiles for x86-64-v3: minutes)
	rm -rf $(BUNDLE) && mkdir -p $(BUNDLE)/bin $(BUNDLE)/test
	$(MAKE) --no-print-directory MARCH=x86-64-v3 bundle-programs
	MARCH=x86-64-v3 scripts/gpu-bundle.sh $(BUNDLE) $(BUNDLE).tar.xz

bundle-programs:
	go build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BUNDLE)/bin/winnow ./cmd/winnow
	for p in llama grader/engine kernels; do \
		if [ -d $$p ]; then go test -c -ldflags '-s -w' -o $(BUNDLE)/test/$$(basename $$p).test ./$$p || exit 1; fi; done
	if [ -d bench/kernels ]; then go build -ldflags "-s -w -X main.version=$(VERSION)" -o $(BUNDLE)/bin/bench-kernels ./bench/kernels; fi

gpu-check: ## run all that needs a GPU, from the bundle, into build/gpu-check (steps can be resumed)
	scripts/gpu-check.sh $(BUNDLE).tar.xz build/gpu-check $(ARGS)

kernels: ## compile our GPU kernels (KERNEL_ARCHS="80;90"; default: 80;86;89;90;120)
	scripts/build-kernels.sh "$(KERNEL_ARCHS)" build/kernels

bin/bench-kernels:
	go build -ldflags "-X main.version=$(VERSION)" -o $@ ./bench/kernels

bench-kernels: bin/bench-kernels ## measure our kernels: make bench-kernels ARGS='-op kcenter -json FILE'
	bin/bench-kernels $(ARGS)

kernel-peers: bin/bench-kernels ## the same beside other libraries (about 10 minutes): make kernel-peers OUT=FILE
	PYTHON=$(PYTHON) bench/kernels/run.sh $(or $(OUT),out/kernels.jsonl) $(ARGS)

bundle: ## pack program and CUDA libraries for a room without a network (WITH="model.gguf image.tar" goes along)
	$(MAKE) --no-print-directory build MARCH=x86-64-v3 BIN=build/portable/winnow
	scripts/bundle.sh build/portable/winnow $(VERSION) build/winnow-$(VERSION)-bundle.tar $(WITH)

try-bundle: build model ## pack a bundle of this build, unpack it without a network and grade with it
	scripts/try-bundle.sh bin/winnow $(MODEL)

clean: ## remove what was built; the model stays
	rm -rf bin out build
