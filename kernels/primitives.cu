// What the operations take from CUDA, in one kernel, so that a test can compare
// each with what it must give: on a GPU this checks the GPU's way of looking at it,
// in the emulation it checks the emulation. No operation calls it.
#include "launch.cuh"

namespace {

// Words that each of the 32 lanes writes.
constexpr int words = 16;

// One block of 64 threads. Its second warp has only even lanes at the shuffles.
__global__ void primitives(unsigned *out, float *product, const half *a, const half *b, unsigned *counter) {
    __shared__ __align__(32) float tile[16 * 16];
    WINNOW_DYNAMIC_SHARED(unsigned, seen);
    unsigned thread = threadIdx.x, lane = thread % 32, all = 0xffffffffu;
    unsigned *mine = out + thread * words;
    for (int i = 0; i < words; i++) {
        mine[i] = 0;
    }
    seen[thread] = thread * thread;
    unsigned early = atomicAdd(counter, 1u);
    atomicMax(counter + 1, lane * 3);
    unsigned won = atomicCAS(counter + 2, 0u, 7u) == 0u;
    int votes = __syncthreads_count(won);
    mine[0] = seen[63 - thread];
    mine[1] = static_cast<unsigned>(votes);
    mine[2] = early < 64;
    if (thread >= 32) {
        if (lane % 2 == 0) {
            unsigned even = 0x55555555u;
            mine[3] = __shfl_xor_sync(even, lane, 2);
            mine[4] = __ballot_sync(even, lane > 15);
            mine[5] = __shfl_sync(even, lane * 10, 4);
        }
        __syncwarp();
    } else {
        mine[3] = __shfl_sync(all, lane * 10, static_cast<int>(lane) + 33);
        mine[4] = __shfl_up_sync(all, lane, 3u);
        mine[5] = __shfl_down_sync(all, lane, 3u);
        mine[6] = __shfl_xor_sync(all, lane, 5);
        mine[7] = __shfl_down_sync(all, lane, 2u, 8);
        mine[8] = __ballot_sync(all, lane % 3 == 0);
        mine[9] = static_cast<unsigned>(__any_sync(all, lane == 31)) | static_cast<unsigned>(__all_sync(all, lane < 31)) << 1;
        unsigned long long wide = __shfl_sync(all, 0x100000000ull * lane + 1, 9);
        mine[10] = static_cast<unsigned>(wide >> 32);
        mine[11] = static_cast<unsigned>(__popc(lane)) | static_cast<unsigned>(__clz(static_cast<int>(lane))) << 8 | static_cast<unsigned>(__ffs(static_cast<int>(lane))) << 16;
        float x = 1.0f + 0x1p-12f * static_cast<float>(counter[0] / 64);
        mine[12] = __float_as_uint(fmaf(x, x, -1.0f));
        mine[13] = __float_as_uint(x * x - 1.0f); // not fused: the square is rounded
        mine[14] = __umulhi(0x80000000u + lane, 6u);
        mine[15] = static_cast<unsigned>(__dp4a(0x01ff0203, 0x10101010, static_cast<int>(lane)));

        using namespace nvcuda::wmma;
        fragment<matrix_a, 16, 16, 16, half, row_major> fa;
        fragment<matrix_b, 16, 16, 16, half, col_major> fb;
        fragment<accumulator, 16, 16, 16, float> sum;
        load_matrix_sync(fa, a, 16);
        load_matrix_sync(fb, b, 16);
        fill_fragment(sum, 1.0f);
        mma_sync(sum, fa, fb, sum);
        for (int i = 0; i < sum.num_elements; i++) {
            sum.x[i] *= 0.5f;
        }
        store_matrix_sync(tile, sum, 16, mem_row_major);
        __syncwarp();
        for (unsigned i = lane; i < 256; i += 32) {
            product[i] = tile[i];
        }
    }
    __syncthreads();
}

// Every bit pattern of a half to a float, and that float back.
__global__ void halves(float *wide, half *back) {
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    unsigned short bits = static_cast<unsigned short>(i);
    wide[i] = __half2float(__ushort_as_half(bits));
    back[i] = __float2half(wide[i]);
}

// Floats to halves.
__global__ void narrow(half *out, const float *in, int n) {
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) {
        out[i] = __float2half(in[i]);
    }
}

} // namespace

// out: 64 × 16 words. product: 16 × 16. a, b: 16 × 16. counter: 3 words, zero.
WINNOW_EXPORT int winnow_primitives(unsigned *out, float *product, const void *a, const void *b, unsigned *counter, void *stream) {
    return static_cast<int>(WINNOW_LAUNCH(primitives, 1, 64, 64 * sizeof(unsigned), stream, out, product,
                                          static_cast<const half *>(a), static_cast<const half *>(b), counter));
}

// wide, back: 65536 each. out, in: n each.
WINNOW_EXPORT int winnow_halves(float *wide, void *back, void *out, const float *in, int n, void *stream) {
    cudaError_t code = WINNOW_LAUNCH(halves, 65536 / 256, 256, 0, stream, wide, static_cast<half *>(back));
    if (code == cudaSuccess && n > 0) {
        code = WINNOW_LAUNCH(narrow, (n + 255) / 256, 256, 0, stream, static_cast<half *>(out), in, n);
    }
    return static_cast<int>(code);
}
