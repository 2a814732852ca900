// All pairs of rows whose similarity reaches a threshold: cosine.go on a GPU.
//
// A launch compares a band of left rows with a stretch of right rows and writes
// down which pairs may reach the threshold: candidates, in whatever order blocks
// come to them, never a matrix of similarities. A second kernel computes each
// candidate by the definition (cosine_math.h), in float64. What a kernel calls a
// candidate is therefore a matter of speed only, as long as it leaves none out; the
// host drops those that do not reach the threshold and sorts the rest.
//
// The ladder: naive, a thread a pair, reading two rows each time; tiled, 64 × 64
// pairs a block in float32, rows read once a tile into shared memory; tensor, what
// is shipped, 128 × 128 pairs a block in fp16 on tensor cores. The similarities of
// a tile never leave registers unless one of them reaches the threshold.
//
// 100k × 384 are 3.8e12 operations: with dense fp16 tensor cores of about 1e15 a
// second the bound is 4 ms. Reading is no limit: a block reads 2 × 128 rows for
// 128 × 128 pairs, and blocks that run at the same time share most of them in L2.
#include "launch.cuh"

#include "cosine_math.h"

namespace {

// Where candidates go. count runs on when capacity is reached, so that the host
// knows; pairs has (i, j), counted within the launch.
struct Found {
    unsigned *count;
    unsigned capacity;
    int2 *pairs;
};

__device__ __forceinline__ void add(const Found &found, int i, int j) {
    unsigned at = atomicAdd(found.count, 1u);
    if (at < found.capacity) {
        found.pairs[at] = make_int2(i, j);
    }
}

// The rows of a launch. diagonal is by how much the number of left row 0 is greater
// than that of right row 0 where both count in one set, of which only pairs with
// i < j are wanted: i + diagonal < j. Of two sets it is so small that all are.
struct Shape {
    int left, right, stride;
    int diagonal;
    float reach; // what a candidate has at least
};

__device__ __forceinline__ bool wanted(const Shape &s, int i, int j) {
    return i < s.left && j < s.right && i + s.diagonal < j;
}

// Whether a tile of pairs from (i, j) on, as many columns wide, has none that is wanted.
__device__ __forceinline__ bool below(const Shape &s, int i, int j, int columns) {
    return i + s.diagonal >= j + columns - 1;
}

constexpr int lanes = WINNOW_COSINE_LANES;

// All eight lanes of a row get the sum of theirs, by the tree of cosine_fast.c.
__device__ __forceinline__ double fold(double sum) {
    for (int step = lanes / 2; step > 0; step /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, step);
    }
    return sum;
}

// Rows as they come to rows of length 1, in float32 and in fp16, with zeros up to
// stride. bad becomes the first row, counted from first, that is not finite.
__global__ void prepare(const float *in, int rows, int dim, int stride, int first, float *unit, half *halves, int *bad) {
    int row = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / lanes), lane = static_cast<int>(threadIdx.x % lanes);
    const float *from = in + static_cast<int64_t>(row) * dim;
    double square = fold(row < rows ? winnow_cosine_lane(from, from, dim, lane) : 0.0);
    if (row >= rows) {
        return;
    }
    if (!winnow_cosine_finite(square)) {
        if (lane == 0) {
            atomicMin(bad, first + row);
        }
        square = 0;
    }
    double factor = winnow_cosine_factor(square);
    int64_t to = static_cast<int64_t>(row) * stride;
    for (int k = lane; k < stride; k += lanes) {
        float x = k < dim && factor > 0 ? winnow_cosine_scaled(from[k], factor) : 0.0f;
        unit[to + k] = x;
        halves[to + k] = __float2half(x);
    }
}

__global__ void naive(Shape s, const float *left, const float *right, Found found) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), j = static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y);
    if (!wanted(s, i, j)) {
        return;
    }
    const float *a = left + static_cast<int64_t>(i) * s.stride, *b = right + static_cast<int64_t>(j) * s.stride;
    float sum = 0;
    for (int k = 0; k < s.stride; k++) {
        sum = fmaf(a[k], b[k], sum);
    }
    if (sum >= s.reach) {
        add(found, i, j);
    }
}

constexpr int tile = 64, tile_depth = 16;

// 256 threads, each 4 × 4 pairs: those whose numbers are equal to its own modulo 16.
__global__ void tiled(Shape s, const float *left, const float *right, Found found) {
    // A column more than needed, so that a warp's reads fall into different banks.
    __shared__ float a[tile_depth][tile + 1], b[tile_depth][tile + 1];
    int i0 = static_cast<int>(blockIdx.x) * tile, j0 = static_cast<int>(blockIdx.y) * tile;
    if (below(s, i0, j0, tile)) {
        return; // the whole block
    }
    int x = static_cast<int>(threadIdx.x) % 16, y = static_cast<int>(threadIdx.x) / 16;
    float sum[4][4] = {};
    for (int k0 = 0; k0 < s.stride; k0 += tile_depth) {
        for (int r = y; r < tile; r += 16) {
            a[x][r] = i0 + r < s.left ? left[static_cast<int64_t>(i0 + r) * s.stride + k0 + x] : 0.0f;
            b[x][r] = j0 + r < s.right ? right[static_cast<int64_t>(j0 + r) * s.stride + k0 + x] : 0.0f;
        }
        __syncthreads();
        for (int k = 0; k < tile_depth; k++) {
            for (int u = 0; u < 4; u++) {
                for (int v = 0; v < 4; v++) {
                    sum[u][v] = fmaf(a[k][y + 16 * u], b[k][x + 16 * v], sum[u][v]);
                }
            }
        }
        __syncthreads();
    }
    for (int u = 0; u < 4; u++) {
        for (int v = 0; v < 4; v++) {
            int i = i0 + y + 16 * u, j = j0 + x + 16 * v;
            if (sum[u][v] >= s.reach && wanted(s, i, j)) {
                add(found, i, j);
            }
        }
    }
}

namespace wmma = nvcuda::wmma;

// Four warps of 64 × 64 pairs each, 4 × 4 fragments of 16 × 16: for each 16
// dimensions a warp reads 8 fragments from shared memory for 16 products.
constexpr int block_pairs = 128, depth = 32, block_threads = 128;
// Rows in shared memory are 80 bytes apart: eight rows that a load takes together
// lie in different banks, and fragments still begin at multiples of 32 bytes.
constexpr int pitch = depth + 8;
// Pieces of 16 bytes: four a row, so four for each thread and side.
constexpr int pieces = block_pairs * depth / 8 / block_threads;

struct Step {
    uint4 a[pieces], b[pieces];
};

// A thread's share of the next 32 dimensions of both sides, to registers.
__device__ __forceinline__ void fetch(Step &step, const Shape &s, const half *left, const half *right, int i0, int j0, int k0) {
    const uint4 zero = make_uint4(0, 0, 0, 0);
#pragma unroll
    for (int p = 0; p < pieces; p++) {
        int at = static_cast<int>(threadIdx.x) + p * block_threads, row = at / 4, k = k0 + at % 4 * 8;
        step.a[p] = i0 + row < s.left ? *reinterpret_cast<const uint4 *>(left + static_cast<int64_t>(i0 + row) * s.stride + k) : zero;
        step.b[p] = j0 + row < s.right ? *reinterpret_cast<const uint4 *>(right + static_cast<int64_t>(j0 + row) * s.stride + k) : zero;
    }
}

__device__ __forceinline__ void put(const Step &step, half *a, half *b) {
#pragma unroll
    for (int p = 0; p < pieces; p++) {
        int at = static_cast<int>(threadIdx.x) + p * block_threads, to = at / 4 * pitch + at % 4 * 8;
        *reinterpret_cast<uint4 *>(a + to) = step.a[p];
        *reinterpret_cast<uint4 *>(b + to) = step.b[p];
    }
}

__global__ void __launch_bounds__(block_threads) tensor(Shape s, const half *left, const half *right, Found found) {
    // Two of each: while one is multiplied, the other is filled.
    __shared__ __align__(32) half a[2][block_pairs * pitch];
    __shared__ __align__(32) half b[2][block_pairs * pitch];
    __shared__ __align__(32) float scratch[block_threads / 32][256];
    int i0 = static_cast<int>(blockIdx.x) * block_pairs, j0 = static_cast<int>(blockIdx.y) * block_pairs;
    if (below(s, i0, j0, block_pairs)) {
        return; // the whole block
    }
    int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    int row0 = warp / 2 * 64, column0 = warp % 2 * 64;

    wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum[4][4];
#pragma unroll
    for (int u = 0; u < 4; u++) {
#pragma unroll
        for (int v = 0; v < 4; v++) {
            wmma::fill_fragment(sum[u][v], 0.0f);
        }
    }
    Step step;
    fetch(step, s, left, right, i0, j0, 0);
    put(step, a[0], b[0]);
    __syncthreads();
    for (int k0 = 0, now = 0; k0 < s.stride; k0 += depth, now ^= 1) {
        bool more = k0 + depth < s.stride;
        if (more) {
            fetch(step, s, left, right, i0, j0, k0 + depth);
        }
#pragma unroll
        for (int k = 0; k < depth; k += 16) {
            wmma::fragment<wmma::matrix_a, 16, 16, 16, half, wmma::row_major> x[4];
#pragma unroll
            for (int u = 0; u < 4; u++) {
                wmma::load_matrix_sync(x[u], a[now] + (row0 + 16 * u) * pitch + k, pitch);
            }
#pragma unroll
            for (int v = 0; v < 4; v++) {
                // Right rows by columns: a column of the right factor is a row.
                wmma::fragment<wmma::matrix_b, 16, 16, 16, half, wmma::col_major> y;
                wmma::load_matrix_sync(y, b[now] + (column0 + 16 * v) * pitch + k, pitch);
#pragma unroll
                for (int u = 0; u < 4; u++) {
                    wmma::mma_sync(sum[u][v], x[u], y, sum[u][v]);
                }
            }
        }
        if (more) {
            put(step, a[now ^ 1], b[now ^ 1]);
        }
        __syncthreads();
    }
#pragma unroll
    for (int u = 0; u < 4; u++) {
#pragma unroll
        for (int v = 0; v < 4; v++) {
            bool any = false;
            for (int e = 0; e < sum[u][v].num_elements; e++) {
                any = any || sum[u][v].x[e] >= s.reach;
            }
            // Which pair an element belongs to shows only in memory.
            if (!__any_sync(0xffffffffu, any)) {
                continue;
            }
            float *square = scratch[warp];
            wmma::store_matrix_sync(square, sum[u][v], 16, wmma::mem_row_major);
            __syncwarp();
            for (int at = lane; at < 256; at += 32) {
                int i = i0 + row0 + 16 * u + at / 16, j = j0 + column0 + 16 * v + at % 16;
                if (square[at] >= s.reach && wanted(s, i, j)) {
                    add(found, i, j);
                }
            }
            __syncwarp();
        }
    }
}

// The similarity of each candidate, eight threads a pair. All lanes of a warp go
// through the loop equally often.
__global__ void measure(const float *left, const float *right, int stride, Found found, float *values) {
    unsigned count = *found.count < found.capacity ? *found.count : found.capacity;
    unsigned group = (blockIdx.x * blockDim.x + threadIdx.x) / lanes, groups = gridDim.x * blockDim.x / lanes;
    int lane = static_cast<int>(threadIdx.x % lanes);
    unsigned in_warp = 32 / lanes;
    for (unsigned first = group / in_warp * in_warp; first < count; first += groups) {
        unsigned at = first + group % in_warp;
        double sum = 0;
        if (at < count) {
            int2 p = found.pairs[at];
            sum = winnow_cosine_lane(left + static_cast<int64_t>(p.x) * stride, right + static_cast<int64_t>(p.y) * stride, stride, lane);
        }
        sum = fold(sum);
        if (at < count && lane == 0) {
            values[at] = winnow_cosine_value(sum);
        }
    }
}

unsigned blocks(int64_t n, int size) { return static_cast<unsigned>((n + size - 1) / size); }

} // namespace

// in: rows × dim floats. unit: rows × stride floats, halves: as many halves; stride
// is a multiple of 32 and at least dim. bad: one int, to which the number of the
// first row that is not finite is brought down (rows count from first).
WINNOW_EXPORT int winnow_cosine_prepare(const float *in, int rows, int dim, int stride, int first, float *unit, void *halves,
                                        int *bad, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(prepare, blocks(static_cast<int64_t>(rows) * lanes, 256), 256, 0, stream, in, rows, dim, stride,
                                          first, unit, static_cast<half *>(halves), bad));
}

// Compares left rows with right rows, prepared ones, at most 2^31 - 1 pairs, and
// writes at most capacity pairs and their similarities; count, which begins at 0,
// says how many there are. rung: 1 naive, 2 tiled, 3 tensor. diagonal: see Shape.
WINNOW_EXPORT int winnow_cosine_pairs(int rung, const float *left, const void *left_halves, int left_rows, const float *right,
                                      const void *right_halves, int right_rows, int stride, int diagonal, float threshold,
                                      unsigned *count, unsigned capacity, void *pairs, float *values, void *stream) {
    Found found = {count, capacity, static_cast<int2 *>(pairs)};
    Shape shape = {left_rows, right_rows, stride, diagonal, 0};
    cudaError_t code;
    switch (rung) {
    case 1:
        shape.reach = threshold - winnow_cosine_float_margin(stride);
        code = WINNOW_LAUNCH(naive, dim3(blocks(left_rows, 16), blocks(right_rows, 16)), dim3(16, 16), 0, stream, shape, left, right, found);
        break;
    case 2:
        shape.reach = threshold - winnow_cosine_float_margin(stride);
        code = WINNOW_LAUNCH(tiled, dim3(blocks(left_rows, tile), blocks(right_rows, tile)), 256, 0, stream, shape, left, right, found);
        break;
    case 3:
        shape.reach = threshold - winnow_cosine_half_margin(stride);
        code = WINNOW_LAUNCH(tensor, dim3(blocks(left_rows, block_pairs), blocks(right_rows, block_pairs)), block_threads, 0, stream, shape,
                             static_cast<const half *>(left_halves), static_cast<const half *>(right_halves), found);
        break;
    default:
        return static_cast<int>(cudaErrorInvalidValue);
    }
    if (code == cudaSuccess) {
        // Enough threads to fill any GPU; how many candidates there are only it knows.
        int64_t most = static_cast<int64_t>(left_rows) * right_rows;
        most = most < capacity ? most : capacity;
        unsigned grid = blocks(most * lanes, 256);
        code = WINNOW_LAUNCH(measure, grid < 1024 ? grid : 1024, 256, 0, stream, left, right, stride, found, values);
    }
    return static_cast<int>(code);
}
