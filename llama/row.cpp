#include "shim.h"

#include <cmath>
#include <cstring>

// e^x for x <= 0, in a form that the compiler turns into vector instructions.
// x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its Taylor polynomial of degree 6,
// whose error there is below 1.3e-7 relative; 2^n goes into the exponent.
static inline float exp_nonpositive(float x) {
    x = x < -87.0f ? -87.0f : x; // below that 2^n is no normal number; NaN passes
    const float n = std::nearbyint(x * 1.44269504f);
    const float r = (x - n * 0.693359375f) - n * -2.12194440e-4f; // ln 2 in two parts
    const float p = 1.0f + r * (1.0f + r * (0.5f + r * (1.0f / 6 + r * (1.0f / 24 + r * (1.0f / 120 + r * (1.0f / 720))))));
    const int32_t bits = ((int32_t) n + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}

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
