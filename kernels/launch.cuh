// What every .cu file here includes, and nothing else of CUDA: with nvcc it is
// CUDA's own headers, with g++ the emulation in emulation/, on which the tests of
// machines without a GPU run. WINNOW_LAUNCH and WINNOW_DYNAMIC_SHARED stand for
// the two things that g++ cannot parse.
//
// A launcher is a function marked WINNOW_EXPORT. It returns a cudaError_t as int,
// launches on the stream that it is given, into memory that it is given, and
// waits for nothing. It takes at most 15 arguments.
#pragma once

#include "both.h"

#define WINNOW_EXPORT extern "C" __attribute__((visibility("default")))

// The version of the interface between base.cu and library.go.
#define WINNOW_KERNELS_ABI 1

#ifdef __CUDACC__

#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <mma.h>

#define WINNOW_DYNAMIC_SHARED(type, name) extern __shared__ __align__(16) unsigned char winnow_dynamic_shared[]; \
    type *name = reinterpret_cast<type *>(winnow_dynamic_shared)

namespace winnow {

template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const char *, dim3 grid, dim3 block, size_t shared_bytes,
                   void *stream, Arguments... arguments) {
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared_bytes;
    config.stream = static_cast<cudaStream_t>(stream);
    cudaError_t code = cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...);
    if (code != cudaSuccess) {
        (void)cudaGetLastError(); // the caller has the error: it must not turn up again later
    }
    return code;
}

} // namespace winnow

#else

#include "emulation/emulate.h"

#endif

// WINNOW_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...) is
// kernel<<<grid, block, shared_bytes, stream>>>(arguments...) and has the value of
// its cudaError_t. A template goes in parentheses: (scale<float, 4>).
#define WINNOW_LAUNCH(kernel, ...) ::winnow::launch(kernel, #kernel, __VA_ARGS__)
