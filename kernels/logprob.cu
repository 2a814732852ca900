// Log-sum-exp of rows of logits, with a gather of the few logits that are asked for.
//
// A row is read once and yields two numbers, so the only bound is memory: 151,936
// logits are 608 KB, and an H100 reads 3.35 TB/s. The rungs, each of which gives the
// greatest logit of a row (or chunk) and the sum of exponentials less that:
//
//   1 thread_a_row   A thread walks its row twice, first for the greatest logit, then
//                    for the sum. Lanes of a warp read rows that are far apart: each
//                    load touches 32 cache lines and uses 4 bytes of each.
//   2 block_a_row    A block shares a row, lanes read neighbours. Still two passes, of
//                    which the second finds its data in the second-level cache at best.
//   3 online_row     One pass: a thread keeps a greatest logit so far and a sum relative
//                    to it, and rescales the sum when a greater one comes (Milakov and
//                    Gimelshein, "Online normalizer calculation for softmax", 2018).
//                    Sixteen logits a step in four loads of 16 bytes: one rescaling for
//                    all of them, and 64 bytes on the way for each thread.
//   4 online_chunk   The same for chunks of 16,384 logits, a block each. Rung 3 leaves
//                    most of the device idle when there are fewer rows than it holds
//                    blocks, and ends with a tail of half-empty waves when there are
//                    more. Shipped.
//
// The kernel `finish` then joins a row's chunks and gathers. The chunk's length is
// fixed, and sums are made by trees of one shape, so a row gives the same bits
// whatever else is in the launch, on every device.
//
// Exponentials are winnow_exp_nonpositive's, as on the processor, not the special
// function unit's: at 3.35 TB/s a multiprocessor of an H100 gets about four logits a
// cycle, for which 14 instructions each are half of what it can issue.
#include "launch.cuh"
#include "logprob_math.h"

namespace {

constexpr int threads = 256, warps = threads / 32;
constexpr int step = 16 * threads;       // logits that a block reads at once
constexpr int chunk = 4 * step;          // logits of a block of rung 4
constexpr unsigned everybody = 0xffffffffu;

// A greatest logit and the sum of exponentials less it. The sum is NaN where a logit
// is NaN or +Inf.
struct Sum {
    float top, sum;
};

// Joins the sums of a block's threads; the first thread has the result.
__device__ Sum join(Sum mine) {
    __shared__ float tops[warps], sums[warps];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    float top = mine.top;
    for (int d = 16; d > 0; d /= 2) top = fmaxf(top, __shfl_xor_sync(everybody, top, d));
    if (lane == 0) tops[warp] = top;
    __syncthreads();
    top = tops[0];
    for (int w = 1; w < warps; w++) top = fmaxf(top, tops[w]);
    float sum = mine.sum * winnow_exp_nonpositive(winnow_logit_base(mine.top) - winnow_logit_base(top));
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(everybody, sum, d);
    if (lane == 0) sums[warp] = sum;
    __syncthreads();
    sum = 0;
    for (int w = 0; w < warps; w++) sum += sums[w];
    return {top, sum};
}

// Kahan's addition, for a sum of so many terms that single precision would lose its
// last digits.
struct Careful {
    float sum, carry;
    __device__ void add(float x) {
        float term = x - carry, next = sum + term;
        carry = (next - sum) - term;
        sum = next;
    }
};

__global__ void thread_a_row(const float *logits, int64_t rows, int64_t vocab, int64_t stride, float *tops, float *sums) {
    int64_t r = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
    if (r >= rows) return;
    const float *row = logits + r * stride;
    float top = -INFINITY;
    Careful all = {0, 0};
    for (int64_t i = 0; i < vocab; i++) top = fmaxf(top, row[i]);
    for (int64_t i = 0; i < vocab; i++) all.add(winnow_exp_nonpositive(row[i] - winnow_logit_base(top)));
    tops[r] = top;
    sums[r] = all.sum;
}

__global__ void block_a_row(const float *logits, int64_t vocab, int64_t stride, float *tops, float *sums) {
    const float *row = logits + static_cast<int64_t>(blockIdx.x) * stride;
    float top = -INFINITY;
    Careful part = {0, 0};
    for (int64_t i = threadIdx.x; i < vocab; i += threads) top = fmaxf(top, row[i]);
    for (int64_t i = threadIdx.x; i < vocab; i += threads) part.add(winnow_exp_nonpositive(row[i] - winnow_logit_base(top)));
    Sum all = join({top, part.sum});
    if (threadIdx.x == 0) {
        tops[blockIdx.x] = all.top;
        sums[blockIdx.x] = all.sum;
    }
}

// The sum of one step of 16 logits a thread: four times four neighbours. Beyond the
// end stands -Inf. Rows that do not begin at a multiple of 16 bytes are loaded by
// single logits, in the same order.
template <bool aligned>
__device__ Sum add(Sum s, const float *row, int64_t begin, int64_t end) {
    float x[16];
#pragma unroll
    for (int g = 0; g < 4; g++) {
        int64_t i = begin + (static_cast<int64_t>(g) * threads + threadIdx.x) * 4;
        if (aligned && i + 4 <= end) {
            float4 four = __ldg(reinterpret_cast<const float4 *>(row + i));
            x[4 * g] = four.x, x[4 * g + 1] = four.y, x[4 * g + 2] = four.z, x[4 * g + 3] = four.w;
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++) x[4 * g + k] = i + k < end ? __ldg(row + i + k) : -INFINITY;
        }
    }
    float top = x[0];
#pragma unroll
    for (int k = 1; k < 16; k++) top = fmaxf(top, x[k]);
    if (top > s.top) {
        s.sum *= winnow_exp_nonpositive(winnow_logit_base(s.top) - winnow_logit_base(top));
        s.top = top;
    }
    float base = winnow_logit_base(s.top);
#pragma unroll
    for (int k = 0; k < 16; k++) x[k] = winnow_exp_nonpositive(x[k] - base);
#pragma unroll
    for (int width = 8; width > 0; width /= 2) {
#pragma unroll
        for (int k = 0; k < width; k++) x[k] += x[k + width];
    }
    s.sum += x[0];
    return s;
}

template <bool aligned>
__global__ void __launch_bounds__(threads) online_row(const float *logits, int64_t vocab, int64_t stride, float *tops, float *sums) {
    const float *row = logits + static_cast<int64_t>(blockIdx.x) * stride;
    Sum s = {-INFINITY, 0};
    for (int64_t i = 0; i < vocab; i += step) s = add<aligned>(s, row, i, vocab);
    s = join(s);
    if (threadIdx.x == 0) {
        tops[blockIdx.x] = s.top;
        sums[blockIdx.x] = s.sum;
    }
}

template <bool aligned>
__global__ void __launch_bounds__(threads) online_chunk(const float *logits, int64_t vocab, int64_t stride, int chunks, float *tops, float *sums) {
    const float *row = logits + static_cast<int64_t>(blockIdx.x / chunks) * stride;
    int64_t begin = static_cast<int64_t>(blockIdx.x % chunks) * chunk;
    int64_t end = begin + chunk < vocab ? begin + chunk : vocab;
    Sum s = {-INFINITY, 0};
    for (int64_t i = begin; i < end; i += step) s = add<aligned>(s, row, i, end);
    s = join(s);
    if (threadIdx.x == 0) {
        tops[blockIdx.x] = s.top;
        sums[blockIdx.x] = s.sum;
    }
}

// A warp joins a row's chunks and gathers the logits that are asked for.
__global__ void finish(const float *logits, int64_t rows, int64_t stride, int chunks, const float *tops, const float *sums,
                       const int32_t *targets, const int32_t *tokens, const int32_t *starts, int shared_tokens,
                       float *row_tops, double *row_sums, float *picked) {
    int64_t r = static_cast<int64_t>(blockIdx.x) * warps + threadIdx.x / 32;
    int lane = threadIdx.x % 32;
    if (r >= rows) return; // all lanes of a warp or none
    float top = -INFINITY;
    for (int c = lane; c < chunks; c += 32) top = fmaxf(top, tops[r * chunks + c]);
    for (int d = 16; d > 0; d /= 2) top = fmaxf(top, __shfl_xor_sync(everybody, top, d));
    double sum = 0;
    for (int c = lane; c < chunks; c += 32) {
        float less = winnow_logit_base(tops[r * chunks + c]) - winnow_logit_base(top);
        sum += static_cast<double>(sums[r * chunks + c]) * static_cast<double>(winnow_exp_nonpositive(less));
    }
    for (int d = 16; d > 0; d /= 2) sum += __shfl_xor_sync(everybody, sum, d);
    const float *row = logits + r * stride;
    if (lane == 0) {
        row_tops[r] = top;
        row_sums[r] = sum;
        if (targets != nullptr) picked[r] = targets[r] < 0 ? 0 : row[targets[r]];
    }
    int64_t first = starts != nullptr ? 0 : r * shared_tokens;
    int from = starts != nullptr ? starts[r] : 0, to = starts != nullptr ? starts[r + 1] : shared_tokens;
    for (int j = from + lane; j < to; j += 32) picked[rows + first + j] = row[tokens[j]];
}

} // namespace

// What winnow_logprob works on. logits: rows of vocab, of which the first are stride
// apart. targets: one a row or null; below 0 none. tokens: shared_tokens of them, the
// same for each row, or, where starts (rows + 1 of them) is not null, those from
// starts[r] to starts[r + 1] for row r. top, sum: one a row. picked: the targets'
// logits, one a row, behind them those of the tokens, row after row. parts: 2 floats a
// row and chunk.
struct winnow_logprob_task {
    const float *logits;
    int64_t rows, vocab, stride;
    const int32_t *targets, *tokens, *starts;
    int64_t shared_tokens;
    float *top;
    double *sum;
    float *picked, *parts;
};

// The number of floats that parts must hold.
WINNOW_EXPORT int64_t winnow_logprob_parts(int64_t rows, int64_t vocab) {
    return 2 * rows * ((vocab + chunk - 1) / chunk);
}

WINNOW_EXPORT int winnow_logprob(const winnow_logprob_task *task, int rung, void *stream) {
    const winnow_logprob_task t = *task;
    if (t.rows == 0) return cudaSuccess;
    int64_t chunks = rung == 4 ? (t.vocab + chunk - 1) / chunk : 1;
    if (t.rows < 0 || t.vocab < 1 || t.stride < t.vocab || t.shared_tokens < 0 || t.shared_tokens > INT32_MAX ||
        rung < 1 || rung > 4 || t.rows * chunks > INT32_MAX) {
        return cudaErrorInvalidValue;
    }
    bool aligned = reinterpret_cast<uintptr_t>(t.logits) % 16 == 0 && t.stride % 4 == 0;
    unsigned rows = static_cast<unsigned>(t.rows), blocks = static_cast<unsigned>(t.rows * chunks);
    int n = static_cast<int>(chunks);
    float *tops = t.parts, *sums = t.parts + blocks;
    cudaError_t code = cudaErrorInvalidValue;
    switch (rung) {
    case 1:
        code = WINNOW_LAUNCH(thread_a_row, (rows + threads - 1) / threads, threads, 0, stream, t.logits, t.rows, t.vocab, t.stride, tops, sums);
        break;
    case 2:
        code = WINNOW_LAUNCH(block_a_row, rows, threads, 0, stream, t.logits, t.vocab, t.stride, tops, sums);
        break;
    case 3:
        code = aligned ? WINNOW_LAUNCH(online_row<true>, rows, threads, 0, stream, t.logits, t.vocab, t.stride, tops, sums)
                       : WINNOW_LAUNCH(online_row<false>, rows, threads, 0, stream, t.logits, t.vocab, t.stride, tops, sums);
        break;
    case 4:
        code = aligned ? WINNOW_LAUNCH(online_chunk<true>, blocks, threads, 0, stream, t.logits, t.vocab, t.stride, n, tops, sums)
                       : WINNOW_LAUNCH(online_chunk<false>, blocks, threads, 0, stream, t.logits, t.vocab, t.stride, n, tops, sums);
        break;
    }
    if (code == cudaSuccess) {
        code = WINNOW_LAUNCH(finish, (rows + warps - 1) / warps, threads, 0, stream, t.logits, t.rows, t.stride, n, tops, sums,
                             t.targets, t.tokens, t.starts, static_cast<int>(t.shared_tokens), t.top, t.sum, t.picked);
    }
    return static_cast<int>(code);
}
