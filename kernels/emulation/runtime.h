// The CUDA runtime's functions for g++: those that base.cu and launchers call.
// emulate.cpp has them, and the fibers.
#pragma once

enum cudaError_t {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInvalidConfiguration = 9,
    cudaErrorInvalidDevice = 101,
    cudaErrorIllegalAddress = 700,
    cudaErrorLaunchFailure = 719,
};
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
enum cudaDeviceAttr {
    cudaDevAttrMultiProcessorCount = 16,
    cudaDevAttrMemoryClockRate = 36,
    cudaDevAttrGlobalMemoryBusWidth = 37,
    cudaDevAttrL2CacheSize = 38,
    cudaDevAttrComputeCapabilityMajor = 75,
    cudaDevAttrComputeCapabilityMinor = 76,
    cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
};
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8, cudaFuncAttributePreferredSharedMemoryCarveout = 9 };
struct cudaDeviceProp {
    char name[256];
};
using cudaStream_t = struct winnow_emulated_stream *;
using cudaEvent_t = struct winnow_emulated_event *;
constexpr unsigned cudaStreamNonBlocking = 1;

const char *cudaGetErrorName(cudaError_t code);
const char *cudaGetErrorString(cudaError_t code);
cudaError_t cudaGetLastError();
cudaError_t cudaPeekAtLastError();
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaGetDevice(int *device);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device);
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device);
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all_bytes);
cudaError_t cudaMalloc(void **memory, size_t bytes);
cudaError_t cudaFree(void *memory);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t stream);
cudaError_t cudaMemsetAsync(void *memory, int byte, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreate(cudaEvent_t *event);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to);

namespace winnow {

// What a launch asks for: shared memory beyond 48 KiB has to be allowed before.
cudaError_t allow_shared(const void *kernel, cudaFuncAttribute which, int bytes);
cudaError_t run(const void *kernel, const char *name, dim3 grid, dim3 block, size_t shared_bytes, void *stream,
                const std::function<void()> &thread);

template <typename... Parameters, typename... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const char *name, dim3 grid, dim3 block, size_t shared_bytes,
                   void *stream, Arguments... arguments) {
    return run(reinterpret_cast<const void *>(kernel), name, grid, block, shared_bytes, stream,
               [&] { kernel(static_cast<Parameters>(arguments)...); });
}

void *dynamic_shared();

} // namespace winnow

#define WINNOW_DYNAMIC_SHARED(type, name) type *name = static_cast<type *>(::winnow::dynamic_shared())

template <typename... Parameters>
cudaError_t cudaFuncSetAttribute(void (*kernel)(Parameters...), cudaFuncAttribute which, int value) {
    return winnow::allow_shared(reinterpret_cast<const void *>(kernel), which, value);
}

// As many blocks as a multiprocessor has room for; two here, whatever the kernel.
template <typename... Parameters>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void (*)(Parameters...), int, size_t) {
    *blocks = 2;
    return cudaSuccess;
}
