// The self-test that Open runs, and the smallest example of an op. It goes once
// through everything that the others rest on: a grid with a ragged end, warp
// shuffles, shared memory and a barrier, in an order of addition that never
// changes.
#include "launch.cuh"

namespace {

constexpr int threads = 128;

// out[i] = 2 in[i] + 1
__global__ void affine(float *out, const float *in, int n) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) {
        out[i] = fmaf(2.0f, in[i], 1.0f);
    }
}

// One block adds all: each thread its stride, each warp its lanes by a tree, and
// the first thread the warps.
__global__ void sum(float *out, const float *in, int n) {
    __shared__ float warps[threads / 32];
    float part = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += threads) {
        part += in[i];
    }
    for (int step = 16; step > 0; step /= 2) {
        part += __shfl_down_sync(0xffffffffu, part, step);
    }
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = part;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        float all = 0;
        for (float w : warps) {
            all += w;
        }
        *out = all;
    }
}

} // namespace

// in: n floats. work: n floats. out: one float, the sum of 2 in[i] + 1.
WINNOW_EXPORT int winnow_selftest(float *out, const float *in, float *work, int n, void *stream) {
    cudaError_t code = WINNOW_LAUNCH(affine, (n + threads - 1) / threads, threads, 0, stream, work, in, n);
    if (code == cudaSuccess) {
        code = WINNOW_LAUNCH(sum, 1, threads, 0, stream, out, work, n);
    }
    return static_cast<int>(code);
}
