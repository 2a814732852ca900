// Greedy farthest-point selection; kcenter.go says what it computes.
//
// Each pick needs every row's distance to the row that was picked before, the
// minimum of that and what was known, and the greatest key over all rows. Nothing of
// it can begin before the last pick is known, so a pick is a pass over the whole
// matrix and the job is bound by memory: 52,000 × 768 values of 2 bytes are 80 MB a
// pick, more than the L2 cache of an H100 holds, 24 µs at its 3.35 TB/s. The last form
// leaves most of that out. Each gives the same bits as the CPU:
//
//   thread   One thread a row. Neighbouring threads read addresses a row apart: of
//            each 32-byte sector they use 2 or 4 bytes at a time and hope that the
//            caches keep the rest. A second kernel, of one block, finds the greatest key.
//   quarter  Four threads a row, 8 columns each at a time: a warp reads 8 pieces of 64
//            bytes (128 of float32) with one instruction, whole sectors. The row picked
//            before is in shared memory. The sum's 32 lanes are 8 a thread; two shuffles
//            and a tree in registers add them in the order that kcenter.go names.
//   fused    The same, and each block reduces its rows' keys and puts the greatest into
//            the pick's cell by one atomic maximum. A maximum of whole numbers does not
//            depend on who comes first. One launch a pick, nothing read twice.
//
//   bounds   What kcenter.go describes for the CPU, in rounds: `above` lists the rows whose
//            bound is not below a floor, `catch_up` has a warp compare each of them with
//            the centres that it has not seen, eight at a time, and `drain` is fused for
//            the listed rows alone, until the best is below the floor. It computes about a
//            quarter of the distances, from centres that stay in the L2 cache, but waits
//            for the host three times a round. The order of the list is chance; no result
//            depends on it.
//
// But for bounds, the host never waits for a pick: the next launch finds the row that was picked in
// the cell of the one before. The order of launches on the stream is all the
// synchronisation there is; a launch in the queue costs 2 to 3 µs of the card's time at
// most, which is why there is no kernel that stays for all picks and waits inside.
//
// Rows are padded with zeros to a multiple of 32 columns.
#include "launch.cuh"

#include "kcenter_math.h"

namespace {

using Key = unsigned long long; // see kcenter_key; 64 bits as atomicMax takes them

constexpr int threads = 256;
constexpr int row_threads = 4; // columns 8q to 8q+7 of every 32 belong to thread q of a row
constexpr int tile = 1024;     // columns of the centre in shared memory at a time

// The row that was picked before this step: named by the host, or the last step's.
__device__ int centre_of(const Key *previous, int given) {
    return previous == nullptr ? given : static_cast<int>(kcenter_key_row(*previous));
}

__device__ float value(const float *p) { return *p; }
__device__ float value(const uint16_t *p) { return kcenter_half(*p); }

// Eight columns with the widest loads there are; p is aligned to 16 bytes.
__device__ void eight(const float *p, float *x) {
    float4 a = reinterpret_cast<const float4 *>(p)[0], b = reinterpret_cast<const float4 *>(p)[1];
    x[0] = a.x, x[1] = a.y, x[2] = a.z, x[3] = a.w;
    x[4] = b.x, x[5] = b.y, x[6] = b.z, x[7] = b.w;
}

__device__ void eight(const uint16_t *p, float *x) {
    uint4 a = *reinterpret_cast<const uint4 *>(p);
    unsigned words[4] = {a.x, a.y, a.z, a.w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
        x[2 * i] = kcenter_half(static_cast<uint16_t>(words[i] & 0xffffu));
        x[2 * i + 1] = kcenter_half(static_cast<uint16_t>(words[i] >> 16));
    }
}

// The new minimum of row i: -1 for the centre itself and for those before it.
__device__ float nearer(float before, float distance, bool is_centre) {
    return is_centre || before < 0 ? -1.0f : fminf(before, distance);
}

__device__ Key key_of(float near, const float *squares, int i) {
    if (near < 0) {
        return 0;
    }
    return kcenter_key(squares == nullptr ? near : near * squares[i], static_cast<uint32_t>(i));
}

// The greatest key of the block, in its first thread. All threads take part.
__device__ Key block_greatest(Key key) {
    __shared__ Key warps[32];
    for (int step = 16; step > 0; step /= 2) {
        Key other = __shfl_xor_sync(0xffffffffu, key, step);
        key = other > key ? other : key;
    }
    if (threadIdx.x % 32 == 0) {
        warps[threadIdx.x / 32] = key;
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        for (unsigned w = 1; w < blockDim.x / 32; w++) {
            key = warps[w] > key ? warps[w] : key;
        }
    }
    return key;
}

template <typename T>
__global__ void near_by_thread(const T *rows, int n, int stride, float *near, const Key *previous, int given) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i >= n) {
        return;
    }
    int c = centre_of(previous, given);
    const T *x = rows + static_cast<size_t>(i) * static_cast<size_t>(stride);
    const T *y = rows + static_cast<size_t>(c) * static_cast<size_t>(stride);
    float lane[KCENTER_LANES] = {};
    for (int j = 0; j < stride; j += KCENTER_LANES) {
#pragma unroll
        for (int l = 0; l < KCENTER_LANES; l++) {
            lane[l] = kcenter_add_square(value(x + j + l), value(y + j + l), lane[l]);
        }
    }
#pragma unroll
    for (int half = KCENTER_LANES / 2; half >= 8; half /= 2) {
#pragma unroll
        for (int l = 0; l < half; l++) {
            lane[l] += lane[l + half];
        }
    }
    near[i] = nearer(near[i], kcenter_fold8(lane), i == c);
}

// One block finds the greatest key of all.
__global__ void greatest(const float *near, const float *squares, int n, Key *best) {
    Key key = 0;
    for (int i = static_cast<int>(threadIdx.x); i < n; i += static_cast<int>(blockDim.x)) {
        Key k = key_of(near[i], squares, i);
        key = k > key ? k : key;
    }
    key = block_greatest(key);
    if (threadIdx.x == 0) {
        *best = key;
    }
}

// The sum of a row's 32 lanes, in all four of its threads.
__device__ float fold(float *lane) {
#pragma unroll
    for (int l = 0; l < 8; l++) {
        lane[l] += __shfl_xor_sync(0xffffffffu, lane[l], 2); // lanes 16 apart
        lane[l] += __shfl_xor_sync(0xffffffffu, lane[l], 1); // lanes 8 apart
    }
    return kcenter_fold8(lane);
}

// The distance of row i to row c, in all four threads of the row; q is which of them
// this one is. All threads of the block take part, with rows of their own.
template <typename T>
__device__ float distance_by_quarter(const T *rows, int stride, int i, int c, int q) {
    __shared__ __align__(16) float centre[tile];
    const T *x = rows + static_cast<size_t>(i) * static_cast<size_t>(stride);
    const T *y = rows + static_cast<size_t>(c) * static_cast<size_t>(stride);
    float lane[8] = {};
    for (int begin = 0; begin < stride; begin += tile) {
        int columns = min(tile, stride - begin);
        if (begin > 0) {
            __syncthreads(); // all have read the tile before
        }
        for (int j = static_cast<int>(threadIdx.x) * 8; j < columns; j += threads * 8) {
            eight(y + begin + j, centre + j);
        }
        __syncthreads();
#pragma unroll(8 / sizeof(T))
        for (int j = q * 8; j < columns; j += KCENTER_LANES) {
            float a[8], b[8];
            eight(x + begin + j, a);
            eight(centre + j, b);
#pragma unroll
            for (int l = 0; l < 8; l++) {
                lane[l] = kcenter_add_square(a[l], b[l], lane[l]);
            }
        }
    }
    return fold(lane);
}

// The key of this thread's row after the step, 0 in all but one of its threads.
template <typename T>
__device__ Key step_by_quarter(const T *rows, int n, int stride, const float *squares, float *near, int c) {
    int at = static_cast<int>(blockIdx.x * (threads / row_threads) + threadIdx.x / row_threads), q = static_cast<int>(threadIdx.x % row_threads);
    int i = min(at, n - 1); // threads beyond the last row take part, and write nothing
    float distance = distance_by_quarter(rows, stride, i, c, q);
    if (at >= n || q != 0) {
        return 0;
    }
    float now = nearer(near[i], distance, i == c);
    near[i] = now;
    return key_of(now, squares, i);
}

template <typename T>
__global__ void __launch_bounds__(threads) near_by_quarter(const T *rows, int n, int stride, float *near, const Key *previous, int given) {
    step_by_quarter(rows, n, stride, static_cast<const float *>(nullptr), near, centre_of(previous, given));
}

template <typename T>
__global__ void __launch_bounds__(threads) fused(const T *rows, int n, int stride, const float *squares, float *near,
                                                 const Key *previous, int given, Key *best) {
    Key key = block_greatest(step_by_quarter(rows, n, stride, squares, near, centre_of(previous, given)));
    if (threadIdx.x == 0 && key > 0) {
        atomicMax(best, key);
    }
}

// The distance of two rows to one thread in four, without shared memory; whole warps
// take part.
template <typename T>
__device__ float distance_of(const T *x, const T *y, int stride, int q) {
    float lane[8] = {};
#pragma unroll(4 / sizeof(T))
    for (int j = q * 8; j < stride; j += KCENTER_LANES) {
        float a[8], b[8];
        eight(x + j, a);
        eight(y + j, b);
#pragma unroll
        for (int l = 0; l < 8; l++) {
            lane[l] = kcenter_add_square(a[l], b[l], lane[l]);
        }
    }
    return fold(lane);
}

// The keys of some rows, in their order.
__global__ void keys_of(const float *near, const float *squares, const int32_t *which, int count, Key *keys) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < count) {
        keys[i] = key_of(near[which[i]], squares, which[i]);
    }
}

// Lists the rows whose key is at least floor, in any order. found[0] counts them,
// found[1] becomes the greatest key of all.
__global__ void above(const float *near, const float *squares, int n, Key floor, int32_t *list, Key *found) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    Key key = i < n ? key_of(near[i], squares, i) : 0;
    if (key >= floor) { // floor is at least 1
        list[atomicAdd(found, Key{1})] = i;
    }
    key = block_greatest(key);
    if (threadIdx.x == 0) {
        atomicMax(found + 1, key);
    }
}

// A warp compares each listed row with the centres from seen[i] on, until its key is
// below the floor. Centres beyond the last one are the last one again.
template <typename T>
__global__ void __launch_bounds__(threads) catch_up(const T *rows, int stride, const float *squares, float *near, int32_t *seen,
                                                    const Key *centres, int centre_count, Key floor, const int32_t *list, int listed,
                                                    Key *distances) {
    int at = static_cast<int>(blockIdx.x * (threads / 32) + threadIdx.x / 32), q = static_cast<int>(threadIdx.x % row_threads);
    if (at >= listed) {
        return; // all of the warp
    }
    int i = list[at], c = seen[i];
    Key computed = 0;
    float nearest = near[i];
    while (c < centre_count && key_of(nearest, squares, i) >= floor) {
        int mine = min(c + static_cast<int>(threadIdx.x % 32) / row_threads, centre_count - 1);
        size_t y = kcenter_key_row(centres[mine]);
        float distance = distance_of(rows + static_cast<size_t>(i) * static_cast<size_t>(stride), rows + y * static_cast<size_t>(stride), stride, q);
        for (int step = row_threads; step < 32; step *= 2) {
            distance = fminf(distance, __shfl_xor_sync(0xffffffffu, distance, step));
        }
        nearest = fminf(nearest, distance);
        c = min(c + 32 / row_threads, centre_count);
        computed += 32 / row_threads;
    }
    if (threadIdx.x % 32 == 0) {
        near[i] = nearest;
        seen[i] = c;
        atomicAdd(distances, computed);
    }
}

// One pick among the listed rows: compares them with centre number c, if there is one
// to compare with (c is not -1) and it was not below the floor, and puts the
// greatest key into *best. A row that had seen all centres has seen this one then.
template <typename T>
__global__ void __launch_bounds__(threads) drain(const T *rows, int stride, const float *squares, float *near, int32_t *seen,
                                                 const Key *centres, int c, Key floor, const int32_t *list, int listed, Key *best) {
    if (c >= 0 && centres[c] < floor) {
        return; // all threads: the round is over
    }
    int at = static_cast<int>(blockIdx.x * (threads / row_threads) + threadIdx.x / row_threads), q = static_cast<int>(threadIdx.x % row_threads);
    int i = list[min(at, listed - 1)];
    float now = near[i];
    if (c >= 0) {
        int centre = static_cast<int>(kcenter_key_row(centres[c]));
        now = nearer(now, distance_by_quarter(rows, stride, i, centre, q), i == centre);
    }
    Key key = 0;
    if (at < listed && q == 0) {
        if (c >= 0) {
            near[i] = now;
            seen[i] += seen[i] == c;
        }
        key = key_of(now, squares, i);
    }
    key = block_greatest(key);
    if (threadIdx.x == 0 && key > 0) {
        atomicMax(best, key);
    }
}

unsigned blocks_for(int64_t items, int a_block) {
    return static_cast<unsigned>((items + a_block - 1) / a_block);
}

template <typename T>
cudaError_t step(int kernel, const T *rows, int n, int stride, const float *squares, float *near, const Key *previous,
                 int given, Key *best, void *stream) {
    unsigned quarters = blocks_for(n, threads / row_threads);
    cudaError_t code;
    switch (kernel) {
    case 0:
        code = WINNOW_LAUNCH((near_by_thread<T>), blocks_for(n, threads), threads, 0, stream, rows, n, stride, near, previous, given);
        break;
    case 1:
        code = WINNOW_LAUNCH((near_by_quarter<T>), quarters, threads, 0, stream, rows, n, stride, near, previous, given);
        break;
    case 2:
        return WINNOW_LAUNCH((fused<T>), quarters, threads, 0, stream, rows, n, stride, squares, near, previous, given, best);
    default:
        return cudaErrorInvalidValue;
    }
    if (code == cudaSuccess) {
        code = WINNOW_LAUNCH(greatest, 1, 1024, 0, stream, near, squares, n, best);
    }
    return code;
}

} // namespace

// Makes the steps from first to last-1. Step t compares all rows with a centre, given[t]
// for the first given_count steps (host memory) and else the pick of step t-1, and puts
// the key of its own pick into best[t]. kernel is 0, 1 or 2: thread, quarter, fused.
// rows: n × stride of float32 or, if half is not 0, binary16. squares: n, or null.
// near: n, +Inf before the first step. best: 0 before the step.
WINNOW_EXPORT int winnow_kcenter(int kernel, const void *rows, int half, int n, int stride, const float *squares, float *near,
                                 uint64_t *best, const int32_t *given, int given_count, int first, int last, void *stream) {
    static_assert(sizeof(Key) == sizeof(uint64_t), "a key has 64 bits");
    Key *keys = reinterpret_cast<Key *>(best);
    cudaError_t code = cudaSuccess;
    for (int t = first; t < last && code == cudaSuccess; t++) {
        const Key *previous = t < given_count ? nullptr : keys + t - 1;
        int centre = t < given_count ? given[t] : -1;
        code = half != 0 ? step(kernel, static_cast<const uint16_t *>(rows), n, stride, squares, near, previous, centre, keys + t, stream)
                         : step(kernel, static_cast<const float *>(rows), n, stride, squares, near, previous, centre, keys + t, stream);
    }
    return static_cast<int>(code);
}

// The parts of a round of bounds. centres: the keys of all centres, of which only
// the rows count for those from the host. list: the rows listed.

// keys: for each of count rows of which its key.
WINNOW_EXPORT int winnow_kcenter_keys(const float *squares, const float *near, const int32_t *which, int count, uint64_t *keys, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(keys_of, blocks_for(count, threads), threads, 0, stream, near, squares, which, count, reinterpret_cast<Key *>(keys)));
}

// found: 0 twice before; see above. list has room for n.
WINNOW_EXPORT int winnow_kcenter_above(int n, const float *squares, const float *near, uint64_t floor, int32_t *list, uint64_t *found, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(above, blocks_for(n, threads), threads, 0, stream, near, squares, n, static_cast<Key>(floor), list, reinterpret_cast<Key *>(found)));
}

// distances: counts up.
WINNOW_EXPORT int winnow_kcenter_catch_up(const void *rows, int half, int stride, const float *squares, float *near, int32_t *seen,
                                          const uint64_t *centres, int centre_count, uint64_t floor, const int32_t *list, int listed,
                                          uint64_t *distances, void *stream) {
    const Key *keys = reinterpret_cast<const Key *>(centres);
    unsigned blocks = blocks_for(listed, threads / 32);
    Key least = floor, *count = reinterpret_cast<Key *>(distances);
    return static_cast<int>(half != 0
        ? WINNOW_LAUNCH((catch_up<uint16_t>), blocks, threads, 0, stream, static_cast<const uint16_t *>(rows), stride, squares, near, seen, keys, centre_count, least, list, listed, count)
        : WINNOW_LAUNCH((catch_up<float>), blocks, threads, 0, stream, static_cast<const float *>(rows), stride, squares, near, seen, keys, centre_count, least, list, listed, count));
}

// Picks at most picks rows into the cells of centres behind centre_count, which are 0
// before; a cell below the floor is no pick. update: the listed rows have yet to be
// compared with the centre before the first cell.
WINNOW_EXPORT int winnow_kcenter_drain(const void *rows, int half, int stride, const float *squares, float *near, int32_t *seen, uint64_t *centres,
                                       int centre_count, int picks, int update, uint64_t floor, const int32_t *list, int listed, void *stream) {
    Key *keys = reinterpret_cast<Key *>(centres), least = floor;
    unsigned blocks = blocks_for(listed, threads / row_threads);
    cudaError_t code = cudaSuccess;
    for (int t = 0; t < picks && code == cudaSuccess; t++) {
        int c = t > 0 || update != 0 ? centre_count + t - 1 : -1;
        Key *best = keys + centre_count + t;
        code = half != 0
            ? WINNOW_LAUNCH((drain<uint16_t>), blocks, threads, 0, stream, static_cast<const uint16_t *>(rows), stride, squares, near, seen, keys, c, least, list, listed, best)
            : WINNOW_LAUNCH((drain<float>), blocks, threads, 0, stream, static_cast<const float *>(rows), stride, squares, near, seen, keys, c, least, list, listed, best);
    }
    return static_cast<int>(code);
}
