/* The fast CPU form of logprob: logprob_fast.c. */
#ifndef WINNOW_LOGPROB_FAST_H
#define WINNOW_LOGPROB_FAST_H

#include <stdint.h>

/* For each row of vocab logits, the first of which are stride apart: its greatest
 * logit, -Inf if there is none but NaN, and the sum of exponentials of its logits less
 * that, which is NaN if the row has NaN or +Inf. */
void winnow_logprob_rows(const float *logits, int64_t rows, int64_t vocab, int64_t stride, float *tops, double *sums);

#endif
