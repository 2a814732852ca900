/* What a similarity is, for both sides: the dot product of two rows of length 1,
 * added in float64 by WINNOW_COSINE_LANES lanes (lane l adds the elements l, l + 8,
 * …) and then by a fixed tree, rounded to float32 and cut at 1. A product of two
 * float32 is exact in float64, so fusing it with the addition changes nothing: every
 * compiler gives the same bits. */
#ifndef WINNOW_COSINE_MATH_H
#define WINNOW_COSINE_MATH_H

#include "both.h"

#define WINNOW_COSINE_LANES 8

/* What one lane adds up. */
WINNOW_BOTH double winnow_cosine_lane(const float *a, const float *b, int dim, int lane) {
    double sum = 0;
    for (int k = lane; k < dim; k += WINNOW_COSINE_LANES) {
        sum += (double)a[k] * (double)b[k];
    }
    return sum;
}

/* The value of a pair from the sum of its lanes. */
WINNOW_BOTH float winnow_cosine_value(double sum) {
    float value = (float)sum;
    return value > 1.0f ? 1.0f : value;
}

/* Whether a row with that sum of squares has finite elements only. */
WINNOW_BOTH int winnow_cosine_finite(double square) { return square <= 0x1p300; }

/* What brings a row to length 1; a row of zeros stays one. */
WINNOW_BOTH double winnow_cosine_factor(double square) { return square > 0 ? 1 / sqrt(square) : 0; }

WINNOW_BOTH float winnow_cosine_scaled(float x, double factor) { return (float)((double)x * factor); }

/* Bounds on how far a dot product of rows of length 1 is from the similarity.
 * In float32, added in any order: 2^-23 an addition.
 * In fp16, added in float32: 2^-11 of each factor, the product of the two, fp16's
 * smallest steps, and 2^-22 an addition, since tensor cores cut where others round. */
WINNOW_BOTH float winnow_cosine_float_margin(int dim) { return (float)dim * 0x1p-23f + 0x1p-20f; }
WINNOW_BOTH float winnow_cosine_half_margin(int dim) { return 0x1.02p-10f + (float)dim * 0x1p-22f + 0x1p-16f; }

#endif
