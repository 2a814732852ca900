// The base of the library: devices, streams, memory, copies, events and the names
// of errors, as functions of plain C for library.go. Every function that can fail
// returns a cudaError_t as int. CUDA's current device belongs to the OS thread, so
// whatever touches a device sets it first; the calls of one Device all come from
// one thread, and setting what is set already costs next to nothing.
//
// A failed call leaves its code behind as the runtime's last error. It is taken
// away here at once: the caller has the code, and a later launch must not find it.
#include "launch.cuh"

#include <cstring>

namespace {

int done(cudaError_t code) {
    if (code != cudaSuccess) {
        (void)cudaGetLastError();
    }
    return static_cast<int>(code);
}

int attribute(int device, cudaDeviceAttr which, int64_t *value) {
    int found = 0;
    cudaError_t code = cudaDeviceGetAttribute(&found, which, device);
    *value = found;
    return done(code);
}

} // namespace

WINNOW_EXPORT int winnow_kernels_abi(void) {
    return WINNOW_KERNELS_ABI;
}

// The compute capabilities that there is machine code for, as CMake writes them,
// or "emulated".
WINNOW_EXPORT const char *winnow_kernels_architectures(void) {
    return WINNOW_ARCHITECTURES;
}

WINNOW_EXPORT const char *winnow_error_name(int code) {
    return cudaGetErrorName(static_cast<cudaError_t>(code));
}

WINNOW_EXPORT const char *winnow_error_text(int code) {
    return cudaGetErrorString(static_cast<cudaError_t>(code));
}

WINNOW_EXPORT int winnow_device_count(int *count) {
    *count = 0;
    return done(cudaGetDeviceCount(count));
}

// Makes the device current on this thread. Launchers rely on it.
WINNOW_EXPORT int winnow_device_use(int device) {
    return done(cudaSetDevice(device));
}

// values: compute capability times ten, multiprocessors, memory clock in kHz,
// memory bus in bits, memory in bytes, free memory in bytes.
WINNOW_EXPORT int winnow_device_info(int device, char *name, int name_bytes, int64_t *values) {
    int64_t major = 0, minor = 0;
    cudaDeviceProp properties;
    int code = done(cudaSetDevice(device));
    if (code == 0) code = done(cudaGetDeviceProperties(&properties, device));
    if (code == 0) code = attribute(device, cudaDevAttrComputeCapabilityMajor, &major);
    if (code == 0) code = attribute(device, cudaDevAttrComputeCapabilityMinor, &minor);
    if (code == 0) code = attribute(device, cudaDevAttrMultiProcessorCount, &values[1]);
    if (code == 0) code = attribute(device, cudaDevAttrMemoryClockRate, &values[2]);
    if (code == 0) code = attribute(device, cudaDevAttrGlobalMemoryBusWidth, &values[3]);
    size_t free_bytes = 0, all_bytes = 0;
    if (code == 0) code = done(cudaMemGetInfo(&free_bytes, &all_bytes));
    if (code != 0) {
        return code;
    }
    values[0] = major * 10 + minor;
    values[4] = static_cast<int64_t>(all_bytes);
    values[5] = static_cast<int64_t>(free_bytes);
    std::strncpy(name, properties.name, static_cast<size_t>(name_bytes) - 1);
    name[name_bytes - 1] = '\0';
    return 0;
}

// A stream that does not wait for the default one, which other libraries use.
WINNOW_EXPORT int winnow_stream_open(int device, void **stream) {
    *stream = nullptr;
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t *>(stream), cudaStreamNonBlocking));
}

WINNOW_EXPORT int winnow_stream_close(int device, void *stream) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaStreamDestroy(static_cast<cudaStream_t>(stream)));
}

// Waits until the stream is empty. It returns what went wrong on it, if anything.
WINNOW_EXPORT int winnow_stream_sync(int device, void *stream) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

WINNOW_EXPORT int winnow_malloc(int device, void **memory, int64_t bytes) {
    *memory = nullptr;
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaMalloc(memory, static_cast<size_t>(bytes)));
}

WINNOW_EXPORT int winnow_free(int device, void *memory) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaFree(memory));
}

// Sets every byte, on the stream.
WINNOW_EXPORT int winnow_fill(int device, void *memory, int byte, int64_t bytes, void *stream) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaMemsetAsync(memory, byte, static_cast<size_t>(bytes), static_cast<cudaStream_t>(stream)));
}

// Copies from ordinary host memory. When it returns, the source has been read.
WINNOW_EXPORT int winnow_upload(int device, void *to, const void *from, int64_t bytes, void *stream) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyHostToDevice, static_cast<cudaStream_t>(stream)));
}

// Copies to ordinary host memory and waits until all is there.
WINNOW_EXPORT int winnow_download(int device, void *to, const void *from, int64_t bytes, void *stream) {
    int code = done(cudaSetDevice(device));
    if (code == 0) code = done(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDeviceToHost, static_cast<cudaStream_t>(stream)));
    return code != 0 ? code : done(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
}

WINNOW_EXPORT int winnow_event_open(int device, void **event) {
    *event = nullptr;
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaEventCreate(reinterpret_cast<cudaEvent_t *>(event)));
}

WINNOW_EXPORT int winnow_event_close(int device, void *event) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaEventDestroy(static_cast<cudaEvent_t>(event)));
}

WINNOW_EXPORT int winnow_event_record(int device, void *event, void *stream) {
    int code = done(cudaSetDevice(device));
    return code != 0 ? code : done(cudaEventRecord(static_cast<cudaEvent_t>(event), static_cast<cudaStream_t>(stream)));
}

// Waits for the later event and gives the time between the two.
WINNOW_EXPORT int winnow_event_elapsed(int device, void *from, void *to, float *milliseconds) {
    *milliseconds = 0;
    int code = done(cudaSetDevice(device));
    if (code == 0) code = done(cudaEventSynchronize(static_cast<cudaEvent_t>(to)));
    return code != 0 ? code : done(cudaEventElapsedTime(milliseconds, static_cast<cudaEvent_t>(from), static_cast<cudaEvent_t>(to)));
}
