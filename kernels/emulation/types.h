// CUDA's vector types, half precision and qualifiers for g++.
#pragma once

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
#define __constant__ static const
// Shared variables are this library's only thread-local ones, so that they stand in
// one piece of memory, which is filled with NaN before each block.
#define __shared__ static thread_local

#define WINNOW_VECTOR(type, name, alignment2, alignment4) \
    struct alignas(alignment2) name##2 { type x, y; }; \
    struct name##3 { type x, y, z; }; \
    struct alignas(alignment4) name##4 { type x, y, z, w; }; \
    inline name##2 make_##name##2(type x, type y) { return {x, y}; } \
    inline name##3 make_##name##3(type x, type y, type z) { return {x, y, z}; } \
    inline name##4 make_##name##4(type x, type y, type z, type w) { return {x, y, z, w}; }
using uchar = unsigned char;
using uint = unsigned int;
using ushort = unsigned short;
WINNOW_VECTOR(char, char, 2, 4)
WINNOW_VECTOR(uchar, uchar, 2, 4)
WINNOW_VECTOR(short, short, 4, 8)
WINNOW_VECTOR(ushort, ushort, 4, 8)
WINNOW_VECTOR(int, int, 8, 16)
WINNOW_VECTOR(uint, uint, 8, 16)
WINNOW_VECTOR(float, float, 8, 16)
WINNOW_VECTOR(double, double, 16, 16)
struct alignas(16) longlong2 { long long x, y; };
struct alignas(16) ulonglong2 { unsigned long long x, y; };
#undef WINNOW_VECTOR

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

// Sixteen bits of IEEE 754 half precision.
struct half {
    uint16_t bits;
};
using __half = half;
struct alignas(4) half2 {
    half x, y;
};
using __half2 = half2;

inline float __half2float(half h) {
    uint32_t sign = static_cast<uint32_t>(h.bits & 0x8000u) << 16, exponent = h.bits >> 10 & 31u, fraction = h.bits & 0x3ffu;
    if (exponent == 0) { // zero and subnormal: fraction × 2^-24 is exact
        float magnitude = std::ldexp(static_cast<float>(fraction), -24);
        return sign != 0 ? -magnitude : magnitude;
    }
    uint32_t word = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    float f;
    std::memcpy(&f, &word, sizeof f);
    return f;
}

// To the nearest, ties to even.
inline half __float2half(float f) {
    uint32_t word;
    std::memcpy(&word, &f, sizeof word);
    uint16_t sign = static_cast<uint16_t>(word >> 16 & 0x8000u);
    uint32_t magnitude = word & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
        return {0x7fff};
    }
    if (magnitude >= 0x477ff000u) { // 65520 and more round to infinity
        return {static_cast<uint16_t>(sign | 0x7c00u)};
    }
    if (magnitude < 0x38800000u) { // below 2^-14: a multiple of 2^-24
        float scaled = std::nearbyint(std::ldexp(std::fabs(f), 24));
        return {static_cast<uint16_t>(sign | static_cast<uint16_t>(scaled))};
    }
    uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23);
    return {static_cast<uint16_t>(sign | rounded >> 13)};
}

inline half __float2half_rn(float f) { return __float2half(f); }
inline float2 __half22float2(half2 h) { return {__half2float(h.x), __half2float(h.y)}; }
inline half2 __floats2half2_rn(float x, float y) { return {__float2half(x), __float2half(y)}; }
inline half2 __float22half2_rn(float2 f) { return {__float2half(f.x), __float2half(f.y)}; }
inline float __low2float(half2 h) { return __half2float(h.x); }
inline float __high2float(half2 h) { return __half2float(h.y); }
inline uint16_t __half_as_ushort(half h) { return h.bits; }
inline half __ushort_as_half(uint16_t bits) { return {bits}; }
