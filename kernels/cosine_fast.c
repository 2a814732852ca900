/* The fast CPU form of cosine.go. Most pairs are far below the threshold, so a
 * pair is first compared in bytes, a stage of STAGE_GROUPS × 4 dimensions at a
 * time, and dropped as soon as nothing that is still to come could lift it to the
 * threshold. With rows centred on their mean m, a = m + x and b = m + y:
 *
 *   a·b = x·y + h(a) + h(b),  h(a) = m·x + |m|²/2
 *   x·y = x'·y' + x"·y"      (x' the dimensions so far, x" the rest)
 *       ≤ s t q·r + |x'| |d| + |e| |y'| + |e| |d| + |x"| |y"|
 *
 * by Cauchy-Schwarz, where q and r are the bytes of x' and y', s and t their steps,
 * e = x' - s q and d = y' - t r what they miss. q·r is what the processor adds up.
 * With |x'|, |y'| ≤ longest and |e| |d| ≤ (|e|² + |d|²)/2 all the other terms belong
 * to one row each, but for the last, of which a tile takes its longest left row. So
 * a check of a tile costs one maximum for each vector of sums. What passes the last
 * stage is computed in float32, and what is not clearly below the threshold then, in
 * float64 by the definition (cosine_math.h). That alone decides: the rest only ever
 * spares work. */
#include "cosine_fast.h"
#include "cosine_math.h"
#include "cosine_simd.h"

/* Groups of four dimensions between two checks. */
#define STAGE_GROUPS 16
/* Units of sums by which a check is more lenient than it must be: more than the
 * rounding of its few float32 operations on numbers below 2^27. */
#define SLACK 64
/* The base of rows that only fill a panel: they reach nothing. */
#define NEVER (1 << 29)

/* Vectors wider than the processor's are passed between functions of this file only. */
#pragma GCC diagnostic ignored "-Wpsabi"
typedef float float8 __attribute__((vector_size(32)));
typedef double double8 __attribute__((vector_size(64)));

int32_t winnow_cosine_tile_rows(void) { return TILE_ROWS; }
int32_t winnow_cosine_tile_columns(void) { return TILE_COLUMNS; }
int32_t winnow_cosine_most(int32_t right) { return right ? SIGNED_MOST : 127; }
int32_t winnow_cosine_stages(int32_t groups) { return (groups + STAGE_GROUPS - 1) / STAGE_GROUPS; }

static inline double8 widen(const float *p) {
    float8 f;
    memcpy(&f, p, sizeof f);
    return __builtin_convertvector(f, double8);
}

/* The tree that Go and the GPU add the lanes by. */
static inline double fold(const double8 *p) {
    typedef double double4 __attribute__((vector_size(32)));
    const double4 four = __builtin_shufflevector(*p, *p, 0, 1, 2, 3) + __builtin_shufflevector(*p, *p, 4, 5, 6, 7);
    return (four[0] + four[2]) + (four[1] + four[3]);
}

/* Gives every row length 1, or 0 where it has no length. Returns the first row
 * with a number that is not finite, or -1. */
int64_t winnow_cosine_normalise(const float *in, int64_t rows, int32_t dim, int32_t stride, float *out) {
    for (int64_t r = 0; r < rows; r++, in += dim, out += stride) {
        memcpy(out, in, (size_t)dim * sizeof *out);
        memset(out + dim, 0, (size_t)(stride - dim) * sizeof *out);
        double8 sum = {0};
        for (int32_t k = 0; k < stride; k += 8) {
            double8 x = widen(out + k);
            sum += x * x;
        }
        double square = fold(&sum);
        if (!winnow_cosine_finite(square)) {
            return r;
        }
        const double factor = winnow_cosine_factor(square);
        for (int32_t k = 0; k < dim; k++) {
            out[k] = winnow_cosine_scaled(out[k], factor);
        }
    }
    return -1;
}

/* Codes the panels [first, end) of one side. */
void winnow_cosine_encode(const struct winnow_cosine_coding *c, struct winnow_cosine_side *side, int32_t right,
                          int32_t first, int32_t end) {
    const int32_t wide = right ? TILE_COLUMNS : TILE_ROWS;
    const int32_t most = winnow_cosine_most(right);
    const double step = c->step[right != 0], unit = 1 / (c->step[0] * c->step[1]);
    double mean_square = 0;
    for (int32_t k = 0; k < c->dim; k++) {
        mean_square += (double)c->mean[k] * (double)c->mean[k];
    }
    for (int32_t p = first; p < end; p++) {
        uint8_t *codes = side->codes + (int64_t)p * c->groups * wide * 4;
        memset(codes, right ? 0 : 128, (size_t)c->groups * (size_t)wide * 4);
        for (int32_t s = 0; !right && s < c->stages; s++) {
            side->rest[(int64_t)p * c->stages + s] = 0;
        }
        for (int32_t l = 0; l < wide; l++) {
            const int64_t row = (int64_t)p * wide + l;
            if (row >= side->rows) {
                if (!right) {
                    side->base[row] = -NEVER;
                }
                for (int32_t s = 0; right && s < c->stages; s++) {
                    side->rest[((int64_t)p * c->stages + s) * wide + l] = 0;
                    side->base[((int64_t)p * c->stages + s) * wide + l] = NEVER;
                }
                continue;
            }
            const float *u = side->unit + row * c->stride;
            double offset = mean_square / 2, miss = 0, rest = 0;
            /* Backwards, so that rest is what is still to come. */
            for (int32_t k = c->groups * 4 - 1; k >= 0; k--) {
                const int32_t stage = k / 4 / STAGE_GROUPS;
                if (k % (4 * STAGE_GROUPS) == 4 * STAGE_GROUPS - 1 || k == c->groups * 4 - 1) {
                    float length = (float)(sqrt(rest) * (1 + 0x1p-20));
                    float *at = right ? &side->rest[((int64_t)p * c->stages + stage) * wide + l]
                                      : &side->rest[(int64_t)p * c->stages + stage];
                    *at = right || length > *at ? length : *at;
                }
                if (k >= c->dim) {
                    continue;
                }
                const int32_t from = c->order[k];
                const double x = (double)u[from] - (double)c->mean[from];
                double q = nearbyint(x / step);
                q = q > most ? most : q < -most ? -most : q;
                codes[((int64_t)(k / 4) * wide + l) * 4 + k % 4] = (uint8_t)(right ? (int)q : (int)q + 128);
                offset += (double)c->mean[from] * x;
                miss += (x - step * q) * (x - step * q);
                rest += x * x;
            }
            const double own = offset + (sqrt(miss) * c->longest + miss / 2) * (1 + 0x1p-20);
            if (!right) {
                side->base[row] = (int32_t)ceil(own * unit);
                continue;
            }
            int32_t base = -(int32_t)ceil(own * unit) - SLACK;
            for (int32_t s = 0, k = 0; s < c->stages; s++) {
                const int32_t to = s + 1 < c->stages ? (s + 1) * STAGE_GROUPS * 4 : c->groups * 4;
                for (; k < to; k++) {
                    base += 128 * (int32_t)(int8_t)codes[((int64_t)(k / 4) * wide + l) * 4 + k % 4];
                }
                side->base[((int64_t)p * c->stages + s) * wide + l] = base;
            }
        }
    }
}

/* Compares a tile in bytes. Returns whether anything is left, and for each row
 * which columns. */
static inline int tile(const struct winnow_cosine_coding *c, float unit, const uint8_t *left, const int32_t *left_base,
                       const float *left_rest, const uint8_t *right, const int32_t *right_base, const float *right_rest,
                       uint32_t *hits) {
    lanes sum[TILE_ROWS][2];
#pragma GCC unroll 12
    for (int r = 0; r < TILE_ROWS; r++) {
        sum[r][0] = sum[r][1] = lanes_all(left_base[r]);
    }
    const float constant = c->reach * unit;
    for (int s = 0, g = 0; s < c->stages; s++) {
        const int to = g + STAGE_GROUPS < c->groups ? g + STAGE_GROUPS : c->groups;
        for (; g < to; g++, left += TILE_ROWS * 4, right += TILE_COLUMNS * 4) {
            const lanes b0 = lanes_load(right), b1 = lanes_load(right + 4 * LANES);
#pragma GCC unroll 12
            for (int r = 0; r < TILE_ROWS; r++) {
                const lanes a = lanes_group(left + 4 * r);
                sum[r][0] = lanes_dot(sum[r][0], a, b0);
                sum[r][1] = lanes_dot(sum[r][1], a, b1);
            }
        }
        lanes most0 = sum[0][0], most1 = sum[0][1];
#pragma GCC unroll 12
        for (int r = 1; r < TILE_ROWS; r++) {
            most0 = lanes_max(most0, sum[r][0]);
            most1 = lanes_max(most1, sum[r][1]);
        }
        const float factor = -left_rest[s] * unit;
        const lanes need0 = lanes_add(lanes_line(constant, factor, right_rest), lanes_load(right_base));
        const lanes need1 = lanes_add(lanes_line(constant, factor, right_rest + LANES), lanes_load(right_base + LANES));
        if (!(lanes_reach(most0, need0) | lanes_reach(most1, need1))) {
            return 0;
        }
        if (s + 1 == c->stages) {
#pragma GCC unroll 12
            for (int r = 0; r < TILE_ROWS; r++) {
                hits[r] = lanes_reach(sum[r][0], need0) | lanes_reach(sum[r][1], need1) << LANES;
            }
            return 1;
        }
        right_rest += TILE_COLUMNS;
        right_base += TILE_COLUMNS;
    }
    return 0;
}

/* The similarities of one row and count others, four at a time so that one does
 * not wait for another. */
static void similarities(const struct winnow_cosine_coding *c, const float *a, const float *unit, const int32_t *js,
                         int count, float *out) {
    int n = 0;
    for (; n + 4 <= count; n += 4) {
        const float *b0 = unit + (int64_t)js[n] * c->stride, *b1 = unit + (int64_t)js[n + 1] * c->stride;
        const float *b2 = unit + (int64_t)js[n + 2] * c->stride, *b3 = unit + (int64_t)js[n + 3] * c->stride;
        double8 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (int32_t k = 0; k < c->stride; k += 8) {
            const double8 x = widen(a + k);
            s0 += x * widen(b0 + k);
            s1 += x * widen(b1 + k);
            s2 += x * widen(b2 + k);
            s3 += x * widen(b3 + k);
        }
        out[n] = winnow_cosine_value(fold(&s0));
        out[n + 1] = winnow_cosine_value(fold(&s1));
        out[n + 2] = winnow_cosine_value(fold(&s2));
        out[n + 3] = winnow_cosine_value(fold(&s3));
    }
    for (; n < count; n++) {
        const float *b = unit + (int64_t)js[n] * c->stride;
        double8 s = {0};
        for (int32_t k = 0; k < c->stride; k += 8) {
            s += widen(a + k) * widen(b + k);
        }
        out[n] = winnow_cosine_value(fold(&s));
    }
}

/* Leaves those of count columns whose similarity to a row is not clearly below the
 * threshold, and returns how many. */
static int narrow(const struct winnow_cosine_coding *c, const float *a, const float *unit, int32_t *js, int count) {
    const float reach = c->threshold - winnow_cosine_float_margin(c->stride);
    int kept = 0;
    for (int n = 0; n < count; n += 4) {
        /* The last ones are computed again where there are no four. */
        const int32_t j[4] = {js[n], js[n + 1 < count ? n + 1 : n], js[n + 2 < count ? n + 2 : n], js[n + 3 < count ? n + 3 : n]};
        const float *b0 = unit + (int64_t)j[0] * c->stride, *b1 = unit + (int64_t)j[1] * c->stride;
        const float *b2 = unit + (int64_t)j[2] * c->stride, *b3 = unit + (int64_t)j[3] * c->stride;
        floats s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
        for (int32_t k = 0; k < c->stride; k += LANES) {
            const floats x = floats_load(a + k);
            s0 = floats_dot(s0, x, floats_load(b0 + k));
            s1 = floats_dot(s1, x, floats_load(b1 + k));
            s2 = floats_dot(s2, x, floats_load(b2 + k));
            s3 = floats_dot(s3, x, floats_load(b3 + k));
        }
        const float sums[4] = {floats_sum(s0), floats_sum(s1), floats_sum(s2), floats_sum(s3)};
        for (int m = 0; m < 4 && n + m < count; m++) {
            js[kept] = j[m];
            kept += sums[m] >= reach;
        }
    }
    return kept;
}

static inline int skipped(const uint32_t *skip, int64_t row) {
    return skip != 0 && __atomic_load_n(skip + row, __ATOMIC_RELAXED) != 0;
}

/* Compares the left panels [left_first, left_end) with the right panels from
 * at[0] to right_end, beginning at left panel at[1] of the first of them. Stops
 * before out could overflow, with at where to go on, and returns how many pairs it
 * wrote; at[0] == right_end says that all is done. With same, only pairs i < j. */
int32_t winnow_cosine_scan(const struct winnow_cosine_coding *c, const struct winnow_cosine_side *left,
                           const struct winnow_cosine_side *right, int32_t same, const uint32_t *skip, int32_t left_first,
                           int32_t left_end, int32_t *at, int32_t right_end, struct winnow_cosine_pair *out,
                           int32_t capacity) {
    const float unit = (float)(1 / (c->step[0] * c->step[1]));
    int32_t found = 0, p = at[1];
    for (int32_t q = at[0]; q < right_end; q++, p = left_first) {
        const int64_t right_stage = (int64_t)q * c->stages * TILE_COLUMNS;
        for (; p < left_end; p++) {
            const int64_t i0 = (int64_t)p * TILE_ROWS, j0 = (int64_t)q * TILE_COLUMNS;
            if (same && j0 + TILE_COLUMNS <= i0 + 1) {
                break;
            }
            if (capacity - found < TILE_ROWS * TILE_COLUMNS) {
                at[0] = q;
                at[1] = p;
                return found;
            }
            uint32_t hits[TILE_ROWS];
            if (!tile(c, unit, left->codes + (int64_t)p * c->groups * TILE_ROWS * 4, left->base + i0,
                      left->rest + (int64_t)p * c->stages, right->codes + (int64_t)q * c->groups * TILE_COLUMNS * 4,
                      right->base + right_stage, right->rest + right_stage, hits)) {
                continue;
            }
            for (int r = 0; r < TILE_ROWS; r++) {
                const int64_t i = i0 + r;
                if (hits[r] == 0 || i >= left->rows || skipped(skip, i)) {
                    continue;
                }
                int32_t js[TILE_COLUMNS];
                float values[TILE_COLUMNS];
                int count = 0;
                for (uint32_t bits = hits[r]; bits != 0; bits &= bits - 1) {
                    const int64_t j = j0 + __builtin_ctz(bits);
                    if (j < right->rows && !(same && j <= i) && !skipped(skip, j)) {
                        js[count++] = (int32_t)j;
                    }
                }
                count = narrow(c, left->unit + i * c->stride, right->unit, js, count);
                similarities(c, left->unit + i * c->stride, right->unit, js, count, values);
                for (int n = 0; n < count; n++) {
                    if (values[n] >= c->threshold) {
                        out[found++] = (struct winnow_cosine_pair){(int32_t)i, js[n], values[n]};
                    }
                }
            }
        }
    }
    at[0] = right_end;
    at[1] = left_first;
    return found;
}
