// Signatures by blocks of permutations: a block's factors, summands and minima stay
// in vector registers while a set, which stays in the first cache, streams by.
#include "minhash_fast.h"

#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512DQ__)

// 8 lanes; 8 vectors take 24 of the 32 registers and hide the multiplication's
// latency.
#include <immintrin.h>
#define LANES 8
#define VECTORS 8
typedef __m512i lanes;
static inline lanes spread(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static inline lanes scramble(lanes x, lanes mul, lanes add) {
    return _mm512_add_epi64(_mm512_mullo_epi64(x, mul), add);
}
static inline lanes lesser(lanes a, lanes b) { return _mm512_min_epu64(a, b); }

#else

// The compiler's vectors, in what the machine has: with AVX2 3 × 4 registers of 16,
// and a 64-bit multiplication made of 32-bit ones.
#ifdef __AVX2__
#define LANES 4
#else
#define LANES 2
#endif
#define VECTORS 4
typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));
static inline lanes spread(uint64_t x) { return x - (lanes){0}; }
static inline lanes scramble(lanes x, lanes mul, lanes add) { return x * mul + add; }
// Comparisons of signed numbers are what there are instructions for.
typedef int64_t signed_lanes __attribute__((vector_size(8 * LANES)));
static inline lanes lesser(lanes a, lanes b) {
    const lanes top = spread(UINT64_C(1) << 63);
    lanes less = (lanes)((signed_lanes)(a ^ top) < (signed_lanes)(b ^ top));
    return (a & less) | (b & ~less);
}

#endif

#define BLOCK (LANES * VECTORS)

// block writes the minima of BLOCK permutations of a set.
static inline void block(uint64_t *out, const uint64_t *set, int64_t size,
                         const uint64_t *mul, const uint64_t *add) {
    lanes m[VECTORS], a[VECTORS], least[VECTORS];
    memcpy(m, mul, sizeof m);
    memcpy(a, add, sizeof a);
#pragma GCC unroll 8
    for (int v = 0; v < VECTORS; v++) {
        least[v] = spread(UINT64_MAX);
    }
    for (int64_t i = 0; i < size; i++) {
        const lanes x = spread(set[i]);
#pragma GCC unroll 8
        for (int v = 0; v < VECTORS; v++) {
            least[v] = lesser(least[v], scramble(x, m[v], a[v]));
        }
    }
    memcpy(out, least, sizeof least);
}

static inline uint64_t mix64(uint64_t x) {
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

// minima writes a set's signature.
static void minima(uint64_t *out, const uint64_t *set, int64_t size,
                   const uint64_t *mul, const uint64_t *add, int64_t permutations) {
    int64_t p = 0;
    for (; permutations - p >= BLOCK; p += BLOCK) {
        block(out + p, set, size, mul + p, add + p);
    }
    if (p < permutations) {
        uint64_t rest[BLOCK];
        block(rest, set, size, mul + p, add + p);
        memcpy(out + p, rest, (size_t)(permutations - p) * sizeof *rest);
    }
}

// hash_bands goes row by row, so that no hash waits for the one before it.
static void hash_bands(uint64_t *hash, const uint64_t *signature, int64_t bands, int64_t rows) {
    for (int64_t b = 0; b < bands; b++) {
        hash[b] = (uint64_t)rows;
    }
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t b = 0; b < bands; b++) {
            hash[b] = mix64(hash[b] ^ signature[b * rows + r]);
        }
    }
}

void winnow_minhash(uint64_t *out, const uint64_t *values, const int64_t *offsets, int64_t n,
                    const uint64_t *mul, const uint64_t *add, int64_t permutations,
                    int64_t bands, int64_t rows, uint64_t *signature) {
    for (int64_t i = 0; i < n; i++) {
        const uint64_t *set = values + offsets[i];
        const int64_t size = offsets[i + 1] - offsets[i];
        if (bands == 0) {
            minima(out + i * permutations, set, size, mul, add, permutations);
        } else {
            minima(signature, set, size, mul, add, permutations);
            hash_bands(out + i * bands, signature, bands, rows);
        }
    }
}
