// What device code calls: indices, barriers, shuffles, atomics, arithmetic.
#pragma once

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
constexpr int warpSize = 32;

namespace winnow {

// Operations that lanes of a warp do together.
enum class Warp { sync, shuffle, ballot, any, all, mma };

// Waits for all lanes of the mask. For a shuffle it returns the bits that lane
// `source` of the warp brought, for a vote the vote.
uint64_t warp(Warp what, unsigned mask, uint64_t bits, int source, const char *where);
// Waits for all threads of the block and returns how many brought true.
int barrier(const char *file, int line, bool predicate);
int lane();
// Reports what device code did wrong; the launch fails.
void fault(const char *what);

inline int shuffle_source(int lane, int source, int width, bool in_range) {
    return in_range ? (lane & ~(width - 1)) + source : lane;
}

template <typename T>
T shuffle(unsigned mask, T value, int source, const char *where) {
    static_assert(sizeof(T) <= 8, "a shuffle moves at most eight bytes");
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = warp(Warp::shuffle, mask, bits, source, where);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

} // namespace winnow

#define __syncthreads() ((void)::winnow::barrier(__FILE__, __LINE__, false))
#define __syncthreads_count(predicate) (::winnow::barrier(__FILE__, __LINE__, (predicate) != 0))
#define __syncthreads_or(predicate) (::winnow::barrier(__FILE__, __LINE__, (predicate) != 0) > 0)
#define __syncthreads_and(predicate) (::winnow::barrier(__FILE__, __LINE__, (predicate) == 0) == 0)

inline void __syncwarp(unsigned mask = 0xffffffffu) { winnow::warp(winnow::Warp::sync, mask, 0, 0, "__syncwarp"); }
inline unsigned __ballot_sync(unsigned mask, int predicate) {
    return static_cast<unsigned>(winnow::warp(winnow::Warp::ballot, mask, predicate != 0, 0, "__ballot_sync"));
}
inline int __any_sync(unsigned mask, int predicate) {
    return static_cast<int>(winnow::warp(winnow::Warp::any, mask, predicate != 0, 0, "__any_sync"));
}
inline int __all_sync(unsigned mask, int predicate) {
    return static_cast<int>(winnow::warp(winnow::Warp::all, mask, predicate != 0, 0, "__all_sync"));
}
template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
    int lane = winnow::lane();
    return winnow::shuffle(mask, value, winnow::shuffle_source(lane, source & (width - 1), width, true), "__shfl_sync");
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int step, int width = 32) {
    int lane = winnow::lane(), source = (lane & (width - 1)) ^ step;
    return winnow::shuffle(mask, value, winnow::shuffle_source(lane, source, width, source < width), "__shfl_xor_sync");
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned step, int width = 32) {
    int lane = winnow::lane(), source = (lane & (width - 1)) + static_cast<int>(step);
    return winnow::shuffle(mask, value, winnow::shuffle_source(lane, source, width, source < width), "__shfl_down_sync");
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned step, int width = 32) {
    int lane = winnow::lane(), source = (lane & (width - 1)) - static_cast<int>(step);
    return winnow::shuffle(mask, value, winnow::shuffle_source(lane, source, width, source >= 0), "__shfl_up_sync");
}
inline unsigned __activemask() {
    winnow::fault("__activemask tells nothing that code may rely on: pass the mask along");
    return 0xffffffffu;
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// Atomics. Threads take turns, so plain code is atomic. Each returns what was there.
template <typename T, typename F>
T winnow_atomic(T *address, F change) {
    T old = *address;
    *address = change(old);
    return old;
}
// The second parameter takes its type from the first, as CUDA's overloads do.
template <typename T> struct winnow_same { using type = T; };
template <typename T> using winnow_same_t = typename winnow_same<T>::type;
template <typename T> T atomicAdd(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return static_cast<T>(old + v); }); }
template <typename T> T atomicSub(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return static_cast<T>(old - v); }); }
template <typename T> T atomicMax(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return std::max(old, v); }); }
template <typename T> T atomicMin(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return std::min(old, v); }); }
template <typename T> T atomicOr(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return static_cast<T>(old | v); }); }
template <typename T> T atomicAnd(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T old) { return static_cast<T>(old & v); }); }
template <typename T> T atomicExch(T *a, winnow_same_t<T> v) { return winnow_atomic(a, [&](T) { return v; }); }
template <typename T> T atomicCAS(T *a, winnow_same_t<T> expected, winnow_same_t<T> v) {
    return winnow_atomic(a, [&](T old) { return old == expected ? v : old; });
}

// Loads with a hint.
template <typename T> T __ldg(const T *p) { return *p; }
template <typename T> T __ldcs(const T *p) { return *p; }
template <typename T> T __ldcg(const T *p) { return *p; }

// Arithmetic. min and max of integers are global functions in CUDA.
using std::max;
using std::min;
inline float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __fsqrt_rn(float a) { return std::sqrt(a); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __expf(float a) { return std::exp(a); }
inline float __logf(float a) { return std::log(a); }
inline float rsqrtf(float a) { return 1.0f / std::sqrt(a); }
inline int __popc(unsigned a) { return __builtin_popcount(a); }
inline int __popcll(unsigned long long a) { return __builtin_popcountll(a); }
inline int __ffs(int a) { return __builtin_ffs(a); }
inline int __clz(int a) { return a == 0 ? 32 : __builtin_clz(static_cast<unsigned>(a)); }
inline int __clzll(long long a) { return a == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(a)); }
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return static_cast<unsigned long long>(static_cast<unsigned __int128>(a) * b >> 64);
}
inline int __dp4a(int a, int b, int c) { // four products of signed bytes, added up
    int8_t x[4], y[4];
    std::memcpy(x, &a, 4);
    std::memcpy(y, &b, 4);
    return c + x[0] * y[0] + x[1] * y[1] + x[2] * y[2] + x[3] * y[3];
}
template <typename To, typename From> To winnow_bits(From from) {
    static_assert(sizeof(To) == sizeof(From), "same size");
    To to;
    std::memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float a) { return winnow_bits<int>(a); }
inline unsigned __float_as_uint(float a) { return winnow_bits<unsigned>(a); }
inline float __int_as_float(int a) { return winnow_bits<float>(a); }
inline float __uint_as_float(unsigned a) { return winnow_bits<float>(a); }
inline long long __double_as_longlong(double a) { return winnow_bits<long long>(a); }
inline double __longlong_as_double(long long a) { return winnow_bits<double>(a); }
