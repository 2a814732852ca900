// The emulated device's memory and errors, between runtime.cpp and fibers.cpp.
#pragma once

#include <cstddef>
#include <mutex>
#include <string>

namespace winnow::device {

// Around each allocation, and behind dynamic shared memory, are so many bytes of one
// value, which nothing may change.
constexpr size_t zone_bytes = 4096;
constexpr unsigned char zone_byte = 0xa5;

// The place of the first byte of a zone that was changed, or zone_bytes.
size_t changed(const unsigned char *zone);

std::mutex &lock();                              // held by whatever touches the device
cudaError_t broken();                            // the error that every call returns from now on
cudaError_t refuse(cudaError_t code);            // remembers it as the last error and returns it
void fail(cudaError_t code, const std::string &text); // breaks the device and tells why
std::string damage();                            // describes a write beside an allocation, or is empty

// This library's thread-local memory of this thread: the shared variables of all
// kernels, and the variable that finds them.
struct Memory {
    void *at = nullptr;
    size_t bytes = 0;
};
Memory shared_variables();

} // namespace winnow::device
