/* Vectors for cosine_fast.c in three forms: AVX-512 with VNNI, AVX2 (with or without
 * AVX-VNNI), and plain C. lanes_dot adds to each lane the
 * products of four bytes without sign (one group for all lanes) and four bytes
 * with sign (the lane's own). */
#ifndef WINNOW_COSINE_SIMD_H
#define WINNOW_COSINE_SIMD_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VNNI__)

#define LANES 16
#define TILE_ROWS 12
#define SIGNED_MOST 127
typedef __m512i lanes;
typedef __m512 floats;

static inline floats floats_load(const float *p) { return _mm512_loadu_ps(p); }
static inline floats floats_dot(floats sum, floats a, floats b) { return _mm512_fmadd_ps(a, b, sum); }
static inline float floats_sum(floats v) { return _mm512_reduce_add_ps(v); }

static inline lanes lanes_all(int32_t x) { return _mm512_set1_epi32(x); }
static inline lanes lanes_load(const void *p) { return _mm512_loadu_si512(p); }
static inline lanes lanes_add(lanes a, lanes b) { return _mm512_add_epi32(a, b); }
static inline lanes lanes_max(lanes a, lanes b) { return _mm512_max_epi32(a, b); }
/* Not the intrinsic: with it gcc 12 keeps the sums of a tile on the stack. */
static inline lanes lanes_dot(lanes sum, lanes bytes, lanes with_sign) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(with_sign));
    return sum;
}
/* One bit a lane: a >= b. */
static inline uint32_t lanes_reach(lanes a, lanes b) { return _mm512_cmpge_epi32_mask(a, b); }
/* constant + factor × floats[lane], cut to integers. */
static inline lanes lanes_line(float constant, float factor, const float *floats) {
    return _mm512_cvttps_epi32(_mm512_fmadd_ps(_mm512_set1_ps(factor), _mm512_loadu_ps(floats), _mm512_set1_ps(constant)));
}

#elif defined(__AVX2__) && defined(__FMA__)

#define LANES 8
#define TILE_ROWS 6
typedef __m256i lanes;
typedef __m256 floats;

static inline floats floats_load(const float *p) { return _mm256_loadu_ps(p); }
static inline floats floats_dot(floats sum, floats a, floats b) { return _mm256_fmadd_ps(a, b, sum); }
static inline float floats_sum(floats v) {
    return ((v[0] + v[4]) + (v[1] + v[5])) + ((v[2] + v[6]) + (v[3] + v[7]));
}

static inline lanes lanes_all(int32_t x) { return _mm256_set1_epi32(x); }
static inline lanes lanes_load(const void *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline lanes lanes_add(lanes a, lanes b) { return _mm256_add_epi32(a, b); }
static inline lanes lanes_max(lanes a, lanes b) { return _mm256_max_epi32(a, b); }
#if defined(__AVXVNNI__)
#define SIGNED_MOST 127
static inline lanes lanes_dot(lanes sum, lanes bytes, lanes with_sign) { return _mm256_dpbusd_avx_epi32(sum, bytes, with_sign); }
#else
/* Two products are added in 16 bits: 2 × 255 × 63 fits. */
#define SIGNED_MOST 63
static inline lanes lanes_dot(lanes sum, lanes bytes, lanes with_sign) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, with_sign), _mm256_set1_epi16(1)));
}
#endif
static inline uint32_t lanes_reach(lanes a, lanes b) {
    return 0xffu & ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(b, a)));
}
static inline lanes lanes_line(float constant, float factor, const float *floats) {
    return _mm256_cvttps_epi32(_mm256_fmadd_ps(_mm256_set1_ps(factor), _mm256_loadu_ps(floats), _mm256_set1_ps(constant)));
}

#else

#define LANES 8
#define TILE_ROWS 4
#define SIGNED_MOST 127
typedef struct {
    int32_t of[LANES];
} lanes;
typedef struct {
    float of[LANES];
} floats;

static inline floats floats_load(const float *p) {
    floats v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline floats floats_dot(floats sum, floats a, floats b) {
    for (int l = 0; l < LANES; l++) sum.of[l] += a.of[l] * b.of[l];
    return sum;
}
static inline float floats_sum(floats v) {
    float sum = 0;
    for (int l = 0; l < LANES; l++) sum += v.of[l];
    return sum;
}

static inline lanes lanes_all(int32_t x) {
    lanes v;
    for (int l = 0; l < LANES; l++) v.of[l] = x;
    return v;
}
static inline lanes lanes_load(const void *p) {
    lanes v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline lanes lanes_add(lanes a, lanes b) {
    for (int l = 0; l < LANES; l++) a.of[l] += b.of[l];
    return a;
}
static inline lanes lanes_max(lanes a, lanes b) {
    for (int l = 0; l < LANES; l++) a.of[l] = a.of[l] > b.of[l] ? a.of[l] : b.of[l];
    return a;
}
static inline lanes lanes_dot(lanes sum, lanes bytes, lanes with_sign) {
    uint8_t u[4 * LANES];
    int8_t s[4 * LANES];
    memcpy(u, &bytes, sizeof u);
    memcpy(s, &with_sign, sizeof s);
    for (int l = 0; l < LANES; l++) {
        sum.of[l] += u[4 * l] * s[4 * l] + u[4 * l + 1] * s[4 * l + 1] + u[4 * l + 2] * s[4 * l + 2] + u[4 * l + 3] * s[4 * l + 3];
    }
    return sum;
}
static inline uint32_t lanes_reach(lanes a, lanes b) {
    uint32_t bits = 0;
    for (int l = 0; l < LANES; l++) bits |= (uint32_t)(a.of[l] >= b.of[l]) << l;
    return bits;
}
static inline lanes lanes_line(float constant, float factor, const float *floats) {
    lanes v;
    for (int l = 0; l < LANES; l++) v.of[l] = (int32_t)(constant + factor * floats[l]);
    return v;
}

#endif

/* A tile is TILE_ROWS rows by TILE_COLUMNS columns: its sums fill the registers. */
#define TILE_COLUMNS (2 * LANES)

static inline lanes lanes_group(const uint8_t *p) {
    int32_t four;
    memcpy(&four, p, sizeof four);
    return lanes_all(four);
}

#endif
