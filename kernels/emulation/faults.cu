// Kernels that do what a kernel must not, each in its own way, for the tests of
// the emulation. The library has none of them.
#include "../launch.cuh"

namespace {

__global__ void ends_early(int *) {
    if (threadIdx.x == 5) {
        return;
    }
    __syncthreads();
}

__global__ void two_barriers(int *) {
    if (threadIdx.x < 16) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}

__global__ void lane_missing(int *out) {
    if (threadIdx.x != 7) {
        out[threadIdx.x] = __shfl_sync(0xffffffffu, 1, 0);
    } else {
        __syncthreads();
    }
}

__global__ void shuffles_from_nobody(int *out) {
    if (threadIdx.x < 16) {
        out[threadIdx.x] = __shfl_sync(0xffffu, 1, 20);
    }
}

__global__ void not_in_mask(int *out) {
    out[threadIdx.x] = __shfl_sync(0xfffu, 1, 0);
}

__global__ void writes_beyond(int *out) {
    out[32 + threadIdx.x] = 1;
}

__global__ void writes_before(int *out) {
    out[-1 - static_cast<int>(threadIdx.x)] = 1;
}

__global__ void shared_index(int *out) {
    __shared__ int tile[16];
    tile[threadIdx.x] = 1;
    out[threadIdx.x] = tile[threadIdx.x % 16];
}

__global__ void dynamic_beyond(int *) {
    WINNOW_DYNAMIC_SHARED(int, tile);
    tile[threadIdx.x] = 1;
}

__global__ void misaligned(int *out) {
    reinterpret_cast<float4 *>(out + 1)[threadIdx.x % 2] = make_float4(0, 0, 0, 0);
}

// Reads what nothing has written: NaN, or -1 as an integer. It leaves something
// behind for the next block.
template <typename T>
__device__ T unwritten() {
    __shared__ T tile[32];
    T found = tile[threadIdx.x];
    tile[threadIdx.x] = 5;
    return found;
}

__global__ void uninitialised(int *out) {
    __shared__ int tile[32];
    int found = tile[threadIdx.x];
    tile[threadIdx.x] = 5;
    out[threadIdx.x] = found == unwritten<short>() ? found : 0;
}

// Neighbours without a barrier: which value is there depends on the order.
__global__ void races(int *out) {
    __shared__ int tile[32];
    tile[threadIdx.x] = static_cast<int>(threadIdx.x);
    out[threadIdx.x] = tile[threadIdx.x ^ 1u];
}

} // namespace

#define WINNOW_FAULT(name, shared_bytes) \
    WINNOW_EXPORT int winnow_fault_##name(int *out, void *stream) { \
        return static_cast<int>(WINNOW_LAUNCH(name, 2, 32, shared_bytes, stream, out)); \
    }

WINNOW_FAULT(ends_early, 0)
WINNOW_FAULT(two_barriers, 0)
WINNOW_FAULT(lane_missing, 0)
WINNOW_FAULT(shuffles_from_nobody, 0)
WINNOW_FAULT(not_in_mask, 0)
WINNOW_FAULT(writes_beyond, 0)
WINNOW_FAULT(writes_before, 0)
WINNOW_FAULT(shared_index, 0)
WINNOW_FAULT(dynamic_beyond, 16)
WINNOW_FAULT(misaligned, 0)
WINNOW_FAULT(uninitialised, 0)
WINNOW_FAULT(races, 0)

// Launches that CUDA refuses: a block that is too large, an empty grid, more shared
// memory than was asked for.
WINNOW_EXPORT int winnow_fault_block(int *out, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(races, 1, 1025, 0, stream, out));
}
WINNOW_EXPORT int winnow_fault_grid(int *out, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(races, 0, 32, 0, stream, out));
}
WINNOW_EXPORT int winnow_fault_shared(int *out, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(dynamic_beyond, 1, 32, 48 * 1024 + 16, stream, out));
}
// The same, allowed before.
WINNOW_EXPORT int winnow_fault_allowed(int *out, void *stream) {
    cudaError_t code = cudaFuncSetAttribute(dynamic_beyond, cudaFuncAttributeMaxDynamicSharedMemorySize, 64 * 1024);
    if (code == cudaSuccess) {
        code = WINNOW_LAUNCH(dynamic_beyond, 1, 32, 48 * 1024 + 16, stream, out);
    }
    return static_cast<int>(code);
}
