// Attention over a packed batch on a CPU.
//
// ggml's flash attention goes through all cells of the cache for every query and
// every head, and skips the masked ones one by one, in half precision. In a packed
// batch nearly all are masked: a record sees the shared prefix and itself. Here the
// cells that a query sees are listed once for all its heads; what is left is dense,
// in single precision, and each half-precision row of the cache is converted once
// for the heads that share it.
//
// A query's result depends on the cells it sees and on their order alone, not on
// where in the cache they are, what else is there, or which thread computes it.
//
// It is hooked in by ggml's interface for accelerators of the CPU backend
// (traits.h). What it does not know (masks with a slope, capped logits, sinks,
// quantized caches, processors without F16C and FMA) goes on to ggml's own.

#include "shim.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <vector>

#include "ggml-cpu/traits.h"

#if defined(__AVX512F__) || (defined(__AVX2__) && defined(__F16C__) && defined(__FMA__))
#define ATTENTION_KNOWN 1
#include <immintrin.h>
#endif

#include "exp.h"

static std::atomic<bool> attention_on{true};

#ifdef ATTENTION_KNOWN

#ifdef __AVX512F__
typedef __m512 vec;
enum { WIDTH = 16, REGISTERS = 20 }; // accumulators that leave room for operands
static inline vec load_half(const ggml_fp16_t * p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *) p)); }
static inline vec load(const float * p) { return _mm512_loadu_ps(p); }
static inline void store(float * p, vec x) { _mm512_storeu_ps(p, x); }
static inline vec fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
static inline vec all(float x) { return _mm512_set1_ps(x); }
static inline __m256 fold(vec x) {
    return _mm256_add_ps(_mm512_castps512_ps256(x), _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(x), 1)));
}
#else
typedef __m256 vec;
enum { WIDTH = 8, REGISTERS = 10 };
static inline vec load_half(const ggml_fp16_t * p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *) p)); }
static inline vec load(const float * p) { return _mm256_loadu_ps(p); }
static inline void store(float * p, vec x) { _mm256_storeu_ps(p, x); }
static inline vec fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
static inline vec all(float x) { return _mm256_set1_ps(x); }
static inline __m256 fold(vec x) { return x; }
#endif

static inline float total(vec x) {
    const __m256 a = fold(x);
    __m128       b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b              = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}

// What one thread works with: the cells that a query sees, what the mask adds to
// their scores, and the scores.
struct workspace {
    std::vector<int32_t> cells;
    std::vector<float>   bias;
    std::vector<float>   scores;
};

// Lists the cells that are not masked.
static void see(workspace & w, const ggml_fp16_t * mask, int64_t n) {
    const uint16_t minus_inf = 0xFC00;
    const uint64_t four      = 0xFC00FC00FC00FC00u;
    w.cells.clear();
    w.bias.clear();
    for (int64_t i = 0; i < n; i += 4) {
        uint64_t word;
        if (i + 4 <= n) {
            std::memcpy(&word, mask + i, sizeof word);
            if (word == four) continue;
        }
        for (int64_t j = i; j < i + 4 && j < n; j++) {
            if (mask[j] == minus_inf) continue;
            w.cells.push_back((int32_t) j);
            w.bias.push_back(mask[j] == 0 ? 0.0f : ggml_fp16_to_fp32(mask[j]));
        }
    }
}

// Turns n scores into weights in place and returns their sum. Vectors of fixed
// width keep the order of the sum.
static float weigh(float * s, size_t n) {
    float tops[16], sums[16] = {0};
    for (int k = 0; k < 16; k++) tops[k] = s[0];
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int k = 0; k < 16; k++) tops[k] = s[i + k] > tops[k] ? s[i + k] : tops[k];
    }
    for (; i < n; i++) tops[0] = s[i] > tops[0] ? s[i] : tops[0];
    float top = tops[0];
    for (int k = 1; k < 16; k++) top = tops[k] > top ? tops[k] : top;
    for (i = 0; i + 16 <= n; i += 16) {
        for (int k = 0; k < 16; k++) {
            s[i + k] = exp_nonpositive(s[i + k] - top);
            sums[k] += s[i + k];
        }
    }
    float sum = 0;
    for (; i < n; i++) sum += s[i] = exp_nonpositive(s[i] - top);
    for (int k = 0; k < 16; k++) sum += sums[k];
    return sum;
}

// One query for HEADS heads that share a head of the cache. VECS vectors make a row.
template <int VECS, int HEADS>
static void attend(workspace & w, const float * const * q, float * const * out, const char * k, size_t k_stride,
                   const char * v, size_t v_stride, float scale) {
    const size_t n = w.cells.size();
    w.scores.resize(HEADS * n);
    float * s = w.scores.data();
    {
        vec query[HEADS][VECS];
        for (int h = 0; h < HEADS; h++) {
            for (int d = 0; d < VECS; d++) query[h][d] = mul(load(q[h] + d * WIDTH), all(scale));
        }
        for (size_t i = 0; i < n; i++) {
            const ggml_fp16_t * row = (const ggml_fp16_t *) (k + w.cells[i] * k_stride);
            vec dot[HEADS];
            const vec first = load_half(row);
            for (int h = 0; h < HEADS; h++) dot[h] = mul(query[h][0], first);
            for (int d = 1; d < VECS; d++) {
                const vec x = load_half(row + d * WIDTH);
                for (int h = 0; h < HEADS; h++) dot[h] = fma(query[h][d], x, dot[h]);
            }
            for (int h = 0; h < HEADS; h++) s[h * n + i] = total(dot[h]) + w.bias[i];
        }
    }
    float sum[HEADS];
    for (int h = 0; h < HEADS; h++) sum[h] = weigh(s + h * n, n);
    vec acc[HEADS][VECS];
    for (int h = 0; h < HEADS; h++) {
        for (int d = 0; d < VECS; d++) acc[h][d] = all(0);
    }
    for (size_t i = 0; i < n; i++) {
        const ggml_fp16_t * row = (const ggml_fp16_t *) (v + w.cells[i] * v_stride);
        for (int d = 0; d < VECS; d++) {
            const vec x = load_half(row + d * WIDTH);
            for (int h = 0; h < HEADS; h++) acc[h][d] = fma(all(s[h * n + i]), x, acc[h][d]);
        }
    }
    for (int h = 0; h < HEADS; h++) {
        for (int d = 0; d < VECS; d++) store(out[h] + d * WIDTH, mul(acc[h][d], all(1 / sum[h])));
    }
}

typedef void (*attend_fn)(workspace &, const float * const *, float * const *, const char *, size_t, const char *, size_t, float);

// How many heads at most are computed together: as many as fit the registers.
template <int VECS> static constexpr int most_heads() {
    return REGISTERS / VECS >= 4 ? 4 : REGISTERS / VECS >= 2 ? 2 : 1;
}

template <int VECS> static attend_fn choose(int heads) {
    constexpr int most = most_heads<VECS>();
    if constexpr (most >= 4) {
        if (heads >= 4) return attend<VECS, 4>;
        if (heads == 3) return attend<VECS, 3>;
    }
    if constexpr (most >= 2) {
        if (heads >= 2) return attend<VECS, 2>;
    }
    return attend<VECS, 1>;
}

struct shape {
    int vecs;
    int most;
    attend_fn (*choose)(int);
};

static const shape shapes[] = {
    {64 / WIDTH, most_heads<64 / WIDTH>(), choose<64 / WIDTH>},
    {80 / WIDTH, most_heads<80 / WIDTH>(), choose<80 / WIDTH>},
    {96 / WIDTH, most_heads<96 / WIDTH>(), choose<96 / WIDTH>},
    {128 / WIDTH, most_heads<128 / WIDTH>(), choose<128 / WIDTH>},
    {32 / WIDTH, most_heads<32 / WIDTH>(), choose<32 / WIDTH>},
    {16 / WIDTH, most_heads<16 / WIDTH>(), choose<16 / WIDTH>},
};

static const shape * shape_of(const ggml_tensor * k) {
    if (k->ne[0] % WIDTH != 0) return nullptr;
    for (const shape & s : shapes) {
        if (s.vecs * WIDTH == k->ne[0]) return &s;
    }
    return nullptr;
}

static bool known(const ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    float params[3]; // scale, slope, cap of the logits
    std::memcpy(params, op->op_params, sizeof params);
    return mask && !op->src[4] && params[1] == 0 && params[2] == 0 && q->type == GGML_TYPE_F32 &&
           k->type == GGML_TYPE_F16 && v->type == GGML_TYPE_F16 && mask->type == GGML_TYPE_F16 &&
           k->ne[0] == v->ne[0] && k->ne[2] == v->ne[2] && q->ne[3] == 1 && k->ne[3] == 1 && v->ne[3] == 1 &&
           mask->ne[2] == 1 && mask->ne[3] == 1 && q->ne[2] % k->ne[2] == 0 && q->nb[0] == sizeof(float) &&
           k->nb[0] == sizeof(ggml_fp16_t) && v->nb[0] == sizeof(ggml_fp16_t) && shape_of(k);
}

static void forward(const ggml_compute_params * params, ggml_tensor * op) {
    const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
    static thread_local workspace w;
    float scale;
    std::memcpy(&scale, op->op_params, sizeof scale);
    const shape * s       = shape_of(k);
    const int64_t queries = q->ne[1], heads = q->ne[2], sharing = heads / k->ne[2];
    // Threads take blocks in turns: what queries see grows within a record.
    const int64_t block = 8;
    for (int64_t begin = params->ith * block; begin < queries; begin += params->nth * block) {
        for (int64_t i = begin; i < begin + block && i < queries; i++) {
            see(w, (const ggml_fp16_t *) ((const char *) mask->data + i * mask->nb[1]), k->ne[1]);
            if (w.cells.empty()) {
                std::memset((char *) op->data + i * heads * op->nb[1], 0, heads * op->nb[1]);
                continue;
            }
            for (int64_t h = 0; h < heads;) {
                const int64_t group = h / sharing, left = (group + 1) * sharing - h;
                const int     n     = left < s->most ? (int) left : s->most;
                const float * in[4];
                float *       out[4];
                for (int j = 0; j < n; j++) {
                    in[j]  = (const float *) ((const char *) q->data + i * q->nb[1] + (h + j) * q->nb[2]);
                    out[j] = (float *) ((char *) op->data + (i * heads + h + j) * op->nb[1]);
                }
                s->choose(n)(w, in, out, (const char *) k->data + group * k->nb[2], k->nb[1],
                             (const char *) v->data + group * v->nb[2], v->nb[1], scale);
                h += n;
            }
        }
    }
}

namespace {

struct attention : ggml::cpu::tensor_traits, ggml::cpu::extra_buffer_type {
    bool work_size(int, const ggml_tensor *, size_t &) override { return false; } // ggml's estimate will do
    bool compute_forward(ggml_compute_params * params, ggml_tensor * op) override {
        forward(params, op);
        return true;
    }
    bool supports_op(ggml_backend_dev_t, const ggml_tensor *) override { return false; } // no weights live here
    ggml::cpu::tensor_traits * get_tensor_traits(const ggml_tensor * op) override {
        return op->op == GGML_OP_FLASH_ATTN_EXT && attention_on.load(std::memory_order_relaxed) && known(op) ? this : nullptr;
    }
};

} // namespace

#endif

extern "C" {

bool shim_attention_install(void) {
#ifdef ATTENTION_KNOWN
    // The backend copies its list for the loading of models when it is first asked.
    // That copy must be made before: no weight is to be put into this "buffer".
    ggml_backend_dev_t dev = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    if (!dev) return false;
    auto bufts = (ggml_backend_dev_get_extra_bufts_t) ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(dev), "ggml_backend_dev_get_extra_bufts");
    if (!bufts) return false;
    bufts(dev);
    static attention             own;
    static ggml_backend_buffer_type type = {};
    type.device  = dev;
    type.context = static_cast<ggml::cpu::extra_buffer_type *>(&own);
    ggml_backend_cpu_get_extra_buffer_types().push_back(&type);
    return true;
#else
    return false;
#endif
}

void shim_attention_use(bool on) { attention_on.store(on, std::memory_order_relaxed); }

}
