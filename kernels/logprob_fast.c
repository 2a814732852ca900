/* Log-sum-exp of vocabulary rows on a processor: one pass over memory. A block of a
 * row stays in the first-level cache between finding its greatest logit and adding
 * its exponentials. The sums of a block are single precision, in as many lanes as
 * make 16 additions each; lanes are added up over blocks in double precision. The
 * order depends on nothing but the row's length. */
#include "logprob_fast.h"

#include "logprob_math.h"

/* Prefetching is a matter of twice the speed: at the end of a block's arithmetic the
 * processor's own prefetcher has given up. */
enum { LANES = 64, BLOCK = 16 * LANES, AHEAD = 2 * BLOCK };

static float block_top(const float *x) {
    float tops[LANES];
    for (int k = 0; k < LANES; k++) tops[k] = x[k] > -INFINITY ? x[k] : -INFINITY; /* no NaN */
    for (int i = LANES; i < BLOCK; i += LANES) {
        for (int k = 0; k < LANES; k++) tops[k] = x[i + k] > tops[k] ? x[i + k] : tops[k];
    }
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; k++) tops[k] = tops[k + width] > tops[k] ? tops[k + width] : tops[k];
    }
    return tops[0];
}

static void block_sum(const float *x, uintptr_t ahead, float base, double *sums) {
    float part[LANES] = {0};
    for (int i = 0; i < BLOCK; i += LANES) {
        for (int k = 0; k < LANES; k += 16) __builtin_prefetch((const void *)(ahead + sizeof(float) * (size_t)(i + k)));
        for (int k = 0; k < LANES; k++) part[k] += winnow_exp_nonpositive(x[i + k] - base);
    }
    for (int k = 0; k < LANES; k++) sums[k] += part[k];
}

/* Where a row's sum stands after some of its blocks. */
struct state {
    float top;
    double sums[LANES];
};

static void block(struct state *s, const float *x, uintptr_t ahead) {
    const float top = block_top(x);
    if (top > s->top) { /* rare after the first blocks */
        const double scale = winnow_exp_nonpositive(winnow_logit_base(s->top) - winnow_logit_base(top));
        for (int k = 0; k < LANES; k++) s->sums[k] *= scale;
        s->top = top;
    }
    block_sum(x, ahead, winnow_logit_base(s->top), s->sums);
}

static void row(const float *x, int64_t n, float *top, double *sum) {
    struct state s = {.top = -INFINITY};
    int64_t i = 0;
    for (; i + BLOCK <= n; i += BLOCK) block(&s, x + i, (uintptr_t)(x + i) + AHEAD * sizeof(float));
    if (i < n) {
        float rest[BLOCK];
        for (int k = 0; k < BLOCK; k++) rest[k] = i + k < n ? x[i + k] : -INFINITY;
        block(&s, rest, (uintptr_t)(x + n));
    }
    for (int width = LANES / 2; width > 0; width /= 2) {
        for (int k = 0; k < width; k++) s.sums[k] += s.sums[k + width];
    }
    *top = s.top;
    *sum = s.sums[0];
}

void winnow_logprob_rows(const float *logits, int64_t rows, int64_t vocab, int64_t stride, float *tops, double *sums) {
    for (int64_t r = 0; r < rows; r++) row(logits + r * stride, vocab, tops + r, sums + r);
}
