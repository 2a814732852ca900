// The loops behind peak.go.
#ifndef WINNOW_PEAK_H
#define WINNOW_PEAK_H

#include <stdint.h>

// winnow_peak_read returns a sum over x.
float winnow_peak_read(const float *x, int64_t n);

// winnow_peak_triad writes b + f*c to a.
void winnow_peak_triad(float *restrict a, const float *restrict b, const float *restrict c, float f, int64_t n);

// winnow_peak_fma takes steps of winnow_peak_fma_flops operations each on registers.
float winnow_peak_fma(float factor, float summand, int64_t steps);
int64_t winnow_peak_fma_flops(void);

#endif
