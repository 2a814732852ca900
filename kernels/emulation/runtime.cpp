// The emulated CUDA runtime: one device whose memory is the processor's. See
// emulate.h.
#include "../launch.cuh"

#include "device.h"

#include <chrono>
#include <cstdlib>
#include <map>

struct winnow_emulated_stream {};
struct winnow_emulated_event {
    std::chrono::steady_clock::time_point at;
};

namespace winnow::device {
namespace {

constexpr size_t memory_bytes = size_t{256} << 20;

struct State {
    std::mutex lock;
    cudaError_t broken = cudaSuccess, last = cudaSuccess;
    std::map<unsigned char *, size_t> memory; // by address, without the zones
    size_t used = 0;
    int handles = 0; // streams and events
} state;

// Whether [p, p+bytes) lies within one allocation.
bool owned(const void *p, size_t bytes) {
    auto *at = const_cast<unsigned char *>(static_cast<const unsigned char *>(p));
    auto next = state.memory.upper_bound(at);
    if (next == state.memory.begin()) {
        return false;
    }
    auto &[begin, size] = *std::prev(next);
    return at + bytes <= begin + size;
}

} // namespace

std::mutex &lock() { return state.lock; }
cudaError_t broken() { return state.broken; }

cudaError_t refuse(cudaError_t code) {
    if (code != cudaSuccess) {
        state.last = code;
    }
    return code;
}

void fail(cudaError_t code, const std::string &text) {
    if (state.broken == cudaSuccess) {
        std::fprintf(stderr, "winnow emulation: %s\n", text.c_str());
        state.broken = code;
    }
}

size_t changed(const unsigned char *zone) {
    size_t i = 0;
    if (zone[0] != zone_byte || std::memcmp(zone, zone + 1, zone_bytes - 1) != 0) {
        while (zone[i] == zone_byte) {
            i++;
        }
        return i;
    }
    return zone_bytes;
}

std::string damage() {
    for (auto &[begin, bytes] : state.memory) {
        if (size_t i = changed(begin + bytes); i < zone_bytes) {
            return "something wrote " + std::to_string(i) + " bytes beyond an allocation of " + std::to_string(bytes) + " bytes";
        }
        if (size_t i = changed(begin - zone_bytes); i < zone_bytes) {
            return "something wrote up to " + std::to_string(zone_bytes - i) + " bytes before an allocation of " + std::to_string(bytes) + " bytes";
        }
    }
    return "";
}

} // namespace winnow::device

using winnow::device::refuse;
using winnow::device::state;

#define WINNOW_ENTER \
    std::lock_guard<std::mutex> guard(state.lock); \
    if (state.broken != cudaSuccess) return refuse(state.broken)

const char *cudaGetErrorName(cudaError_t code) {
    switch (code) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorInvalidDevice: return "cudaErrorInvalidDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    }
    return "unrecognized error code";
}

const char *cudaGetErrorString(cudaError_t code) {
    switch (code) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorIllegalAddress: return "an illegal memory access was encountered";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    }
    return "unrecognized error code";
}

cudaError_t cudaPeekAtLastError() {
    std::lock_guard<std::mutex> guard(state.lock);
    return state.broken != cudaSuccess ? state.broken : state.last;
}

cudaError_t cudaGetLastError() {
    std::lock_guard<std::mutex> guard(state.lock);
    cudaError_t code = state.broken != cudaSuccess ? state.broken : state.last;
    state.last = cudaSuccess;
    return code;
}

cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
    WINNOW_ENTER;
    return refuse(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDevice(int *device) {
    *device = 0;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    WINNOW_ENTER;
    std::snprintf(properties->name, sizeof properties->name, "emulation on the processor");
    return refuse(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr which, int device) {
    WINNOW_ENTER;
    if (device != 0) {
        return refuse(cudaErrorInvalidDevice);
    }
    switch (which) {
    case cudaDevAttrMultiProcessorCount: *value = 3; break; // odd, so that even shares are no accident
    case cudaDevAttrMemoryClockRate: case cudaDevAttrGlobalMemoryBusWidth: *value = 0; break;
    case cudaDevAttrL2CacheSize: *value = 4 << 20; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 227 << 10; break;
    }
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *all_bytes) {
    WINNOW_ENTER;
    *all_bytes = winnow::device::memory_bytes;
    *free_bytes = *all_bytes - state.used;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes) {
    WINNOW_ENTER;
    constexpr size_t zone = winnow::device::zone_bytes;
    *memory = nullptr;
    if (bytes > winnow::device::memory_bytes - state.used) {
        return refuse(cudaErrorMemoryAllocation);
    }
    size_t rounded = (bytes + 255) / 256 * 256;
    auto *raw = static_cast<unsigned char *>(std::aligned_alloc(256, rounded + 2 * zone));
    if (raw == nullptr) {
        return refuse(cudaErrorMemoryAllocation);
    }
    std::memset(raw, winnow::device::zone_byte, rounded + 2 * zone);
    std::memset(raw + zone, 0xff, bytes);
    state.memory[raw + zone] = bytes;
    state.used += bytes;
    *memory = raw + zone;
    return cudaSuccess;
}

cudaError_t cudaFree(void *memory) {
    WINNOW_ENTER;
    if (memory == nullptr) {
        return cudaSuccess;
    }
    auto found = state.memory.find(static_cast<unsigned char *>(memory));
    if (found == state.memory.end()) {
        return refuse(cudaErrorInvalidValue);
    }
    std::free(found->first - winnow::device::zone_bytes);
    state.used -= found->second;
    state.memory.erase(found);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
    WINNOW_ENTER;
    using winnow::device::owned;
    if (bytes == 0) {
        return cudaSuccess;
    }
    if ((kind != cudaMemcpyDeviceToHost && !owned(to, bytes)) || (kind != cudaMemcpyHostToDevice && !owned(from, bytes))) {
        return refuse(cudaErrorInvalidValue);
    }
    std::memcpy(to, from, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *memory, int byte, size_t bytes, cudaStream_t) {
    WINNOW_ENTER;
    if (bytes > 0 && !winnow::device::owned(memory, bytes)) {
        return refuse(cudaErrorInvalidValue);
    }
    if (bytes > 0) {
        std::memset(memory, byte, bytes);
    }
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    WINNOW_ENTER;
    *stream = new winnow_emulated_stream;
    state.handles++;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    WINNOW_ENTER;
    delete stream;
    state.handles--;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t) {
    WINNOW_ENTER;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event) {
    WINNOW_ENTER;
    *event = new winnow_emulated_event;
    state.handles++;
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
    WINNOW_ENTER;
    delete event;
    state.handles--;
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
    WINNOW_ENTER;
    event->at = std::chrono::steady_clock::now();
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t) {
    WINNOW_ENTER;
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    WINNOW_ENTER;
    *milliseconds = std::chrono::duration<float, std::milli>(to->at - from->at).count();
    return cudaSuccess;
}

// For tests: what is allocated, streams and events included.
WINNOW_EXPORT int winnow_emulated_live(void) {
    std::lock_guard<std::mutex> guard(state.lock);
    return static_cast<int>(state.memory.size()) + state.handles;
}

// For tests: makes a broken device whole again, with nothing allocated.
WINNOW_EXPORT void winnow_emulated_reset(void) {
    std::lock_guard<std::mutex> guard(state.lock);
    for (auto &[begin, bytes] : state.memory) {
        std::free(begin - winnow::device::zone_bytes);
    }
    state.memory.clear();
    state.used = 0;
    state.handles = 0;
    state.broken = state.last = cudaSuccess;
}

// What -fsanitize=... calls, in place of libubsan. All of these begin with where.
struct winnow_source {
    const char *file;
    uint32_t line, column;
};

#define WINNOW_SANITIZE(name, text, ...) \
    extern "C" __attribute__((visibility("hidden"))) void __ubsan_handle_##name(const winnow_source *at, ##__VA_ARGS__) { \
        char what[512]; \
        std::snprintf(what, sizeof what, "%s:%u: %s", at->file, at->line, text); \
        winnow::fault(what); \
    }
WINNOW_SANITIZE(out_of_bounds, "index beyond the array", void *)
WINNOW_SANITIZE(type_mismatch_v1, "null or misaligned pointer", void *)
WINNOW_SANITIZE(shift_out_of_bounds, "shift by too much", void *, void *)
WINNOW_SANITIZE(add_overflow, "signed sum overflows", void *, void *)
WINNOW_SANITIZE(sub_overflow, "signed difference overflows", void *, void *)
WINNOW_SANITIZE(mul_overflow, "signed product overflows", void *, void *)
WINNOW_SANITIZE(negate_overflow, "signed negation overflows", void *)
WINNOW_SANITIZE(divrem_overflow, "division by zero or overflow", void *, void *)
