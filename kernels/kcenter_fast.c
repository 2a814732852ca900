#include "kcenter_fast.h"
#include "kcenter_math.h"

#include <string.h>

/* Four distances are computed together: they share the loads of one row, and their
 * sums hide one another's latency. distances4 gives them in the order of p. */

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__FMA__))
#include <immintrin.h>

/* The last two steps of the tree for four sums at once: out[i] from s[i]. */
static inline __m128 fold4(__m128 s0, __m128 s1, __m128 s2, __m128 s3) {
    _MM_TRANSPOSE4_PS(s0, s1, s2, s3);
    return _mm_add_ps(_mm_add_ps(s0, s2), _mm_add_ps(s1, s3));
}

static inline __m128 halve(__m256 s) {
    return _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
}
#endif

#if defined(__AVX512F__)

static inline __m512 add_squares(__m512 x, const float *y, __m512 sum) {
    __m512 t = _mm512_sub_ps(x, _mm512_loadu_ps(y));
    return _mm512_fmadd_ps(t, t, sum);
}

static inline __m128 quarter(__m512 a, __m512 b) {
    __m512 s = _mm512_add_ps(a, b);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(s), 1));
    return halve(_mm256_add_ps(_mm512_castps512_ps256(s), high));
}

static inline void distances4(const float *x, const float *const p[4], int64_t stride, float out[4]) {
    __m512 a0 = _mm512_setzero_ps(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (int64_t j = 0; j < stride; j += 32) {
        __m512 low = _mm512_loadu_ps(x + j), high = _mm512_loadu_ps(x + j + 16);
        a0 = add_squares(low, p[0] + j, a0);
        a1 = add_squares(low, p[1] + j, a1);
        a2 = add_squares(low, p[2] + j, a2);
        a3 = add_squares(low, p[3] + j, a3);
        b0 = add_squares(high, p[0] + j + 16, b0);
        b1 = add_squares(high, p[1] + j + 16, b1);
        b2 = add_squares(high, p[2] + j + 16, b2);
        b3 = add_squares(high, p[3] + j + 16, b3);
    }
    _mm_storeu_ps(out, fold4(quarter(a0, b0), quarter(a1, b1), quarter(a2, b2), quarter(a3, b3)));
}

#elif defined(__AVX2__) && defined(__FMA__)

static inline __m256 add_squares(__m256 x, const float *y, __m256 sum) {
    __m256 t = _mm256_sub_ps(x, _mm256_loadu_ps(y));
    return _mm256_fmadd_ps(t, t, sum);
}

/* Two at a time: four would need more registers than there are. */
static inline void sums2(const float *x, const float *p, const float *q, int64_t stride, __m128 *sp, __m128 *sq) {
    __m256 a0 = _mm256_setzero_ps(), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
    for (int64_t j = 0; j < stride; j += 32) {
        __m256 x0 = _mm256_loadu_ps(x + j), x1 = _mm256_loadu_ps(x + j + 8);
        __m256 x2 = _mm256_loadu_ps(x + j + 16), x3 = _mm256_loadu_ps(x + j + 24);
        a0 = add_squares(x0, p + j, a0);
        a1 = add_squares(x1, p + j + 8, a1);
        a2 = add_squares(x2, p + j + 16, a2);
        a3 = add_squares(x3, p + j + 24, a3);
        b0 = add_squares(x0, q + j, b0);
        b1 = add_squares(x1, q + j + 8, b1);
        b2 = add_squares(x2, q + j + 16, b2);
        b3 = add_squares(x3, q + j + 24, b3);
    }
    *sp = halve(_mm256_add_ps(_mm256_add_ps(a0, a2), _mm256_add_ps(a1, a3)));
    *sq = halve(_mm256_add_ps(_mm256_add_ps(b0, b2), _mm256_add_ps(b1, b3)));
}

static inline void distances4(const float *x, const float *const p[4], int64_t stride, float out[4]) {
    __m128 s0, s1, s2, s3;
    sums2(x, p[0], p[1], stride, &s0, &s1);
    sums2(x, p[2], p[3], stride, &s2, &s3);
    _mm_storeu_ps(out, fold4(s0, s1, s2, s3));
}

#else

static inline void distances4(const float *x, const float *const p[4], int64_t stride, float out[4]) {
    for (int c = 0; c < 4; c++) {
        float lane[KCENTER_LANES] = {0};
        for (int64_t j = 0; j < stride; j += KCENTER_LANES) {
            for (int l = 0; l < KCENTER_LANES; l++) {
                lane[l] = kcenter_add_square(x[j + l], p[c][j + l], lane[l]);
            }
        }
        for (int half = KCENTER_LANES / 2; half >= 8; half /= 2) {
            for (int l = 0; l < half; l++) {
                lane[l] += lane[l + half];
            }
        }
        out[c] = kcenter_fold8(lane);
    }
}

#endif

static inline float lesser(float a, float b) { return b < a ? b : a; }

static inline float score_of(const float *near, const float *squares, int64_t i) {
    return squares ? near[i] * squares[i] : near[i];
}

static inline uint64_t key_of(const float *near, const float *squares, int64_t i) {
    return kcenter_key(score_of(near, squares, i), (uint32_t)i);
}

static void widen(const void *rows, int half, int64_t d, int64_t stride, int64_t i, float *to) {
    if (half) {
        const uint16_t *from = (const uint16_t *)rows + i * d;
        for (int64_t j = 0; j < d; j++) {
            to[j] = kcenter_half(from[j]);
        }
    } else {
        memcpy(to, (const float *)rows + i * d, (size_t)d * sizeof *to);
    }
    memset(to + d, 0, (size_t)(stride - d) * sizeof *to);
}

void winnow_kcenter_rows(const void *rows, int half, int64_t d, int64_t stride, const int32_t *list, int64_t listed, float *to) {
    for (int64_t g = 0; g < listed; g++) {
        widen(rows, half, d, stride, list[g], to + g * stride);
    }
}

int64_t winnow_kcenter_list(const float *near, const float *squares, int64_t n, uint64_t floor,
                            int32_t *list, uint64_t *best) {
    int64_t listed = 0;
    uint64_t top = 0;
    for (int64_t i = 0; i < n; i++) {
        if (near[i] < 0) {
            continue;
        }
        uint64_t key = key_of(near, squares, i);
        if (key > top) {
            top = key;
        }
        list[listed] = (int32_t)i;
        listed += key >= floor;
    }
    *best = top;
    return listed;
}

int64_t winnow_kcenter_catch_up(const void *rows, int half, int64_t d, int64_t stride, float *near, const float *squares,
                                int32_t *seen, const float *centres, int64_t centre_count, uint64_t floor,
                                const int32_t *list, int64_t listed, float *work) {
    int64_t first = centre_count, computed = 0;
    int64_t live[KCENTER_GROUP]; /* places in the list */
    for (int64_t g = 0; g < listed; g++) {
        live[g] = g;
        widen(rows, half, d, stride, list[g], work + g * stride);
        if (seen[list[g]] < first) {
            first = seen[list[g]];
        }
    }
    /* Four centres at a time pass by the group while they are in the first cache.
     * Seeing a centre a second time changes nothing. */
    for (int64_t c = first / 4 * 4; c < centre_count && listed > 0; c += 4) {
        const float *p[4];
        int64_t end = c + 4 < centre_count ? c + 4 : centre_count;
        for (int64_t k = 0; k < 4; k++) {
            p[k] = centres + (c + k < end ? c + k : end - 1) * stride;
        }
        int64_t still = 0;
        for (int64_t g = 0; g < listed; g++) {
            int32_t i = list[live[g]];
            if (seen[i] < end) {
                float out[4];
                distances4(work + live[g] * stride, p, stride, out);
                computed += 4;
                near[i] = lesser(near[i], lesser(lesser(out[0], out[1]), lesser(out[2], out[3])));
                seen[i] = (int32_t)end;
                if (key_of(near, squares, i) < floor) {
                    continue;
                }
            }
            live[still++] = live[g];
        }
        listed = still;
    }
    return computed;
}

int64_t winnow_kcenter_drain(int64_t stride, float *near, const float *squares, int32_t *seen,
                             float *centres, int64_t centre_count, uint64_t floor, int64_t limit,
                             int32_t *list, int64_t *listed, float *active, uint64_t *keys, int64_t *distances) {
    const size_t row_bytes = (size_t)stride * sizeof *active;
    int64_t m = *listed, made = 0, best = -1;
    uint64_t top = 0;
    for (int64_t g = 0; g < m; g++) {
        uint64_t key = key_of(near, squares, list[g]);
        if (key >= floor && key > top) {
            top = key;
            best = g;
        }
    }
    while (best >= 0 && made < limit) {
        float *centre = centres + (centre_count + made) * stride;
        memcpy(centre, active + best * stride, row_bytes);
        near[list[best]] = -1;
        keys[made++] = top;
        m--;
        list[best] = list[m];
        memcpy(active + best * stride, active + m * stride, row_bytes);

        top = 0;
        best = -1;
        *distances += m;
        for (int64_t g = 0; g < m; g += 4) {
            const float *p[4];
            float out[4];
            int64_t end = g + 4 < m ? g + 4 : m;
            for (int64_t k = 0; k < 4; k++) {
                p[k] = active + (g + k < end ? g + k : end - 1) * stride;
            }
            distances4(centre, p, stride, out);
            for (int64_t k = g; k < end; k++) {
                int32_t i = list[k];
                near[i] = lesser(near[i], out[k - g]);
                seen[i] = (int32_t)(centre_count + made);
            }
        }
        int64_t still = 0;
        for (int64_t g = 0; g < m; g++) {
            uint64_t key = key_of(near, squares, list[g]);
            if (key < floor) {
                continue;
            }
            if (still < g) {
                list[still] = list[g];
                memcpy(active + still * stride, active + g * stride, row_bytes);
            }
            if (key > top) {
                top = key;
                best = still;
            }
            still++;
        }
        m = still;
    }
    *listed = m;
    return made;
}

uint64_t winnow_kcenter_sweep(const void *rows, int half, int64_t d, int64_t stride, float *near, const float *squares,
                              int64_t first, int64_t last, const float *centre, float *work) {
    const int in_place = !half && d == stride;
    uint64_t top = 0;
    for (int64_t i = first; i < last; i += 4) {
        const float *p[4];
        float out[4];
        int64_t end = i + 4 < last ? i + 4 : last;
        for (int64_t k = 0; k < 4; k++) {
            int64_t row = i + k < end ? i + k : end - 1;
            if (in_place) {
                p[k] = (const float *)rows + row * d;
            } else {
                widen(rows, half, d, stride, row, work + k * stride);
                p[k] = work + k * stride;
            }
        }
        distances4(centre, p, stride, out);
        for (int64_t row = i; row < end; row++) {
            if (near[row] < 0) {
                continue;
            }
            near[row] = lesser(near[row], out[row - i]);
            uint64_t key = key_of(near, squares, row);
            if (key > top) {
                top = key;
            }
        }
    }
    return top;
}
