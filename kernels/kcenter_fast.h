/* The fast CPU form of kcenter.go; kcenter_cpu.go says how the parts go together.
 *
 * Rows are float (half 0) or binary16 (half 1), n of them with d columns. stride is
 * d rounded up to KCENTER_LANES. near[i] is the square of the row's distance to the
 * nearest of the centres seen[i], the first ones; -1 when it is one itself. A row's
 * score is near[i] * squares[i], or near[i] where squares is NULL. */
#ifndef WINNOW_KCENTER_FAST_H
#define WINNOW_KCENTER_FAST_H

#include <stdint.h>

/* How many rows of a group share a pass over the centres. */
#define KCENTER_GROUP 16

/* Lists the rows whose key is at least floor; list has room for n. Returns how
 * many there are and the greatest key of all in *best (0: every row is a centre). */
int64_t winnow_kcenter_list(const float *near, const float *squares, int64_t n, uint64_t floor,
                            int32_t *list, uint64_t *best);

/* Compares the listed rows, at most KCENTER_GROUP, with the centres that they have
 * not seen, each until its key is below floor. work has room for KCENTER_GROUP rows
 * of stride floats. Returns the number of distances computed. */
int64_t winnow_kcenter_catch_up(const void *rows, int half, int64_t d, int64_t stride, float *near, const float *squares,
                                int32_t *seen, const float *centres, int64_t centre_count, uint64_t floor,
                                const int32_t *list, int64_t listed, float *work);

/* Writes the listed rows as padded floats. */
void winnow_kcenter_rows(const void *rows, int half, int64_t d, int64_t stride, const int32_t *list, int64_t listed, float *to);

/* Makes centres of the rows listed, greatest key first, while one has a key of at
 * least floor, and at most limit. Rows that fall below it leave the list. active
 * are the rows listed, padded, in the order of the list. The new centres' keys go to
 * keys, their rows behind centre_count rows of centres. Every listed row has seen
 * all centres before and after. Returns the number of new centres; *listed is
 * updated, *distances counted up. */
int64_t winnow_kcenter_drain(int64_t stride, float *near, const float *squares, int32_t *seen,
                             float *centres, int64_t centre_count, uint64_t floor, int64_t limit,
                             int32_t *list, int64_t *listed, float *active, uint64_t *keys, int64_t *distances);

/* The plain form: compares the rows from first to last with one centre, a padded
 * row, and returns the greatest key among them. */
uint64_t winnow_kcenter_sweep(const void *rows, int half, int64_t d, int64_t stride, float *near, const float *squares,
                              int64_t first, int64_t last, const float *centre, float *work);

#endif
