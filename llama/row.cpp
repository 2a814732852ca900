#include "shim.h"

#include <cmath>

#include "exp.h"

extern "C" double shim_log_sum_exp(const float * row, size_t n) {
    enum { LANES = 16, BLOCK = 64 * LANES };
    float tops[LANES];
    for (int k = 0; k < LANES; k++) tops[k] = -INFINITY;
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        for (int k = 0; k < LANES; k++) tops[k] = row[i + k] > tops[k] ? row[i + k] : tops[k];
    }
    for (; i < n; i++) tops[0] = row[i] > tops[0] ? row[i] : tops[0];
    float top = tops[0];
    for (int k = 1; k < LANES; k++) top = tops[k] > top ? tops[k] : top;
    if (top == -INFINITY) { // all of them, or NaN among them
        for (i = 0; i < n; i++) if (row[i] != row[i]) return NAN;
        return -INFINITY;
    }

    // Blocks are short enough for single precision, and always summed in the same
    // order.
    double sum = 0;
    for (i = 0; i + BLOCK <= n; i += BLOCK) {
        float part[LANES] = {0};
        for (size_t j = i; j < i + BLOCK; j += LANES) {
            for (int k = 0; k < LANES; k++) part[k] += exp_nonpositive(row[j + k] - top);
        }
        for (int k = 0; k < LANES; k++) sum += part[k];
    }
    for (; i < n; i++) sum += exp_nonpositive(row[i] - top);
    return (double) top + std::log(sum);
}
