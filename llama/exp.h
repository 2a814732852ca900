// An exponential that the compiler turns into vector instructions.
#ifndef WINNOW_LLAMA_EXP_H
#define WINNOW_LLAMA_EXP_H

#include <cmath>
#include <cstdint>
#include <cstring>

// e^x for x <= 0. x = n ln 2 + r with |r| <= ln 2 / 2; e^r is its Taylor polynomial
// of degree 6, whose error there is below 1.3e-7 relative; 2^n goes into the
// exponent.
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

#endif
