/* The C side of cosine_cpu.go; see cosine_fast.c. */
#ifndef WINNOW_COSINE_FAST_H
#define WINNOW_COSINE_FAST_H

#include <stdint.h>

struct winnow_cosine_pair {
    int32_t i, j;
    float similarity;
};

/* How rows become bytes. step[0] is one step of the left side, step[1] of the
 * right; order has the dimensions, those of the most variance first. */
struct winnow_cosine_coding {
    int32_t dim, stride, groups, stages;
    double step[2];
    double longest;  /* no centred row is longer */
    float threshold;
    float reach;     /* the threshold less all rounding */
    const float *mean;
    const int32_t *order;
};

/* One side of the comparison. Panels of the left side have TILE_ROWS rows, of the
 * right side TILE_COLUMNS; within a panel, four elements of each row in turn. */
struct winnow_cosine_side {
    int32_t rows;      /* true rows */
    int32_t panels;
    const float *unit; /* rows × stride, of length 1 or 0 */
    uint8_t *codes;    /* panels × groups × panel rows × 4 */
    int32_t *base;     /* left: panels × rows; right: panels × stages × rows */
    float *rest;       /* left: panels × stages; right: panels × stages × rows */
};

int32_t winnow_cosine_tile_rows(void);
int32_t winnow_cosine_tile_columns(void);
int32_t winnow_cosine_most(int32_t right);
int32_t winnow_cosine_stages(int32_t groups);
int64_t winnow_cosine_normalise(const float *in, int64_t rows, int32_t dim, int32_t stride, float *out);
void winnow_cosine_encode(const struct winnow_cosine_coding *c, struct winnow_cosine_side *side, int32_t right,
                          int32_t first, int32_t end);
int32_t winnow_cosine_scan(const struct winnow_cosine_coding *c, const struct winnow_cosine_side *left,
                           const struct winnow_cosine_side *right, int32_t same, const uint32_t *skip, int32_t left_first,
                           int32_t left_end, int32_t *at, int32_t right_end, struct winnow_cosine_pair *out,
                           int32_t capacity);

#endif
