/* What the CPU form and the kernels of kcenter.go share, so that both give the
 * same bits: the square that is added, the order of the sum, the score, and the
 * key by which rows are ordered. */
#ifndef WINNOW_KCENTER_MATH_H
#define WINNOW_KCENTER_MATH_H

#include "both.h"

#ifdef __CUDACC__
#include <cuda_fp16.h>
#else
#include <string.h>
#endif

/* Column j is summed in lane j % KCENTER_LANES. Rows are padded with zeros to a
 * multiple of that many columns: a difference of zero changes no sum. */
#define KCENTER_LANES 32

/* One step of a lane's sum, rounded once. */
WINNOW_BOTH float kcenter_add_square(float x, float y, float sum) {
    float t = x - y;
    return fmaf(t, t, sum);
}

/* The sum of 8 lanes by halves: the end of the tree 32, 16, 8, 4, 2, 1. */
WINNOW_BOTH float kcenter_fold8(const float *lane) {
    float a = lane[0] + lane[4], b = lane[1] + lane[5], c = lane[2] + lane[6], d = lane[3] + lane[7];
    return (a + c) + (b + d);
}

/* The value of an IEEE binary16 number, which is finite. */
WINNOW_BOTH float kcenter_half(uint16_t bits) {
#ifdef __CUDA_ARCH__
    return __half2float(__ushort_as_half(bits));
#else
    /* Exponent and fraction as they stand, then the difference of the exponents'
     * biases as a factor, which is exact for subnormal numbers too. */
    uint32_t wide = (uint32_t)(bits & 0x7fffu) << 13;
    float value;
    memcpy(&value, &wide, sizeof value);
    value *= 0x1p112f;
    memcpy(&wide, &value, sizeof wide);
    wide |= (uint32_t)(bits & 0x8000u) << 16;
    memcpy(&value, &wide, sizeof value);
    return value;
#endif
}

/* Rows by falling score, then by rising index, are keys by falling value. Scores
 * are not negative, so their bits are in the order of their values. No row has the
 * key 0. */
WINNOW_BOTH uint64_t kcenter_key(float score, uint32_t row) {
    uint32_t bits;
#ifdef __CUDA_ARCH__
    bits = __float_as_uint(score);
#else
    memcpy(&bits, &score, sizeof bits);
#endif
    return (uint64_t)bits << 32 | (uint32_t)~row;
}

WINNOW_BOTH uint32_t kcenter_key_row(uint64_t key) {
    return ~(uint32_t)key;
}

#endif
