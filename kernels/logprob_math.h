/* The arithmetic of logprob.c and logprob.cu: an exponential of numbers that are
 * not above zero, which vector units and GPUs compute without a branch. */
#ifndef WINNOW_LOGPROB_MATH_H
#define WINNOW_LOGPROB_MATH_H

#include "both.h"

#include <float.h>
#include <string.h>

WINNOW_BOTH uint32_t winnow_float_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

WINNOW_BOTH float winnow_bits_float(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^x for x <= 0, within 7.8e-8 of it (relative; tried for every float from -87 to -1e-9), e^-87
 * below -87, NaN for NaN; at most 1, and 1 for 0, so that the sum over a row is at
 * least 1 and no log-probability is above 0.
 *
 * x = n ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 leaves n in the last bits of
 * a float. e^r is a polynomial that begins with 1 + r and whose greatest relative
 * error on that interval, 3.1e-9, is the least for degree 6 (Remez' exchange). */
WINNOW_BOTH float winnow_exp_nonpositive(float x) {
    const float shift = 12582912.0f;
    x = x < -87.0f ? -87.0f : x;
    const float moved = fmaf(x, 1.44269504f, shift);
    const float n = moved - shift;
    float r = fmaf(n, -0.693359375f, x); /* ln 2 in two parts: n times the first is exact */
    r = fmaf(n, 2.12194440e-4f, r);
    float p = 1.3814613e-3f;
    p = fmaf(p, r, 8.3687097e-3f);
    p = fmaf(p, r, 4.1668387e-2f);
    p = fmaf(p, r, 1.6666521e-1f);
    p = fmaf(p, r, 4.9999994e-1f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    return p * winnow_bits_float((winnow_float_bits(moved) << 23) + 0x3f800000u);
}

/* What a row's exponentials are taken relative to: its greatest logit, or the least
 * number where that is -Inf, so that a difference is NaN only where the row has NaN
 * or +Inf. */
WINNOW_BOTH float winnow_logit_base(float top) {
    return top < -FLT_MAX ? -FLT_MAX : top;
}

#endif
