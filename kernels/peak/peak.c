#include "peak.h"

#include <string.h>

#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
typedef float lanes __attribute__((vector_size(4 * LANES)));

// Enough sums that none waits for the one before it.
enum { SUMS = 12 };

float winnow_peak_read(const float *x, int64_t n) {
    lanes sum[SUMS];
    memset(sum, 0, sizeof sum);
    for (int64_t i = 0; i + SUMS * LANES <= n; i += SUMS * LANES) {
#pragma GCC unroll 12
        for (int s = 0; s < SUMS; s++) {
            lanes v;
            memcpy(&v, x + i + s * LANES, sizeof v);
            sum[s] += v;
        }
    }
    float all = 0;
    for (int s = 0; s < SUMS; s++) {
        for (int k = 0; k < LANES; k++) {
            all += sum[s][k];
        }
    }
    return all;
}

void winnow_peak_triad(float *restrict a, const float *restrict b, const float *restrict c, float f, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        a[i] = b[i] + f * c[i];
    }
}

float winnow_peak_fma(float factor, float summand, int64_t steps) {
    const lanes f = factor - (lanes){0}, s = summand - (lanes){0};
    lanes x[SUMS];
    for (int k = 0; k < SUMS; k++) {
        x[k] = s + (float)k;
    }
    for (int64_t i = 0; i < steps; i++) {
#pragma GCC unroll 12
        for (int k = 0; k < SUMS; k++) {
            x[k] = x[k] * f + s;
        }
    }
    float all = 0;
    for (int k = 0; k < SUMS; k++) {
        for (int j = 0; j < LANES; j++) {
            all += x[k][j];
        }
    }
    return all;
}

int64_t winnow_peak_fma_flops(void) { return 2 * SUMS * LANES; }
