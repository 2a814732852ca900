// nvcuda::wmma for g++: 16×16×16, half in, float out. Each lane holds eight
// elements of a fragment. Which ones is nobody's business, as with real tensor
// cores: here element e of lane l is the matrix's element 8 l + e by rows.
#pragma once

namespace nvcuda::wmma {

struct matrix_a;
struct matrix_b;
struct accumulator;
struct row_major;
struct col_major;
enum layout_t { mem_row_major, mem_col_major };

template <typename Use, int M, int N, int K, typename T, typename Layout = void>
struct fragment {
    static_assert(M == 16 && N == 16 && K == 16, "the emulation knows 16x16x16 only");
    static constexpr int num_elements = 8;
    T x[num_elements];
};

// Calls f with each of this lane's elements and its place in memory.
template <typename F>
void each(bool by_rows, unsigned stride, const F &f) {
    for (int e = 0; e < 8; e++) {
        unsigned at = static_cast<unsigned>(winnow::lane()) * 8 + static_cast<unsigned>(e), row = at / 16, column = at % 16;
        f(e, by_rows ? size_t{row} * stride + column : size_t{column} * stride + row);
    }
}

inline void check(const void *p, unsigned stride, unsigned element_bytes, const char *what) {
    winnow::warp(winnow::Warp::sync, 0xffffffffu, 0, 0, what);
    if (reinterpret_cast<uintptr_t>(p) % 32 != 0) {
        winnow::fault("wmma: the matrix does not begin at a multiple of 32 bytes");
    }
    if (stride * element_bytes % 16 != 0) {
        winnow::fault("wmma: the leading dimension is no multiple of 16 bytes");
    }
}

template <typename Use, typename Layout>
void load_matrix_sync(fragment<Use, 16, 16, 16, half, Layout> &f, const half *p, unsigned stride) {
    check(p, stride, sizeof(half), "load_matrix_sync");
    each(std::is_same<Layout, row_major>::value, stride, [&](int e, size_t at) { f.x[e] = p[at]; });
}

inline void load_matrix_sync(fragment<accumulator, 16, 16, 16, float> &f, const float *p, unsigned stride, layout_t layout) {
    check(p, stride, sizeof(float), "load_matrix_sync");
    each(layout == mem_row_major, stride, [&](int e, size_t at) { f.x[e] = p[at]; });
}

inline void store_matrix_sync(float *p, const fragment<accumulator, 16, 16, 16, float> &f, unsigned stride, layout_t layout) {
    check(p, stride, sizeof(float), "store_matrix_sync");
    each(layout == mem_row_major, stride, [&](int e, size_t at) { p[at] = f.x[e]; });
}

template <typename F, typename T>
void fill_fragment(F &f, T value) {
    for (auto &x : f.x) {
        x = value;
    }
}

// Where one lane's parts are, for the lane that comes last and computes for all.
struct product {
    const half *a, *b;
    const float *c;
    float *d;
};
// d = a × b + c; lanes is indexed by lane.
void multiply(const product *const *lanes);

template <typename LayoutA, typename LayoutB>
void mma_sync(fragment<accumulator, 16, 16, 16, float> &d, const fragment<matrix_a, 16, 16, 16, half, LayoutA> &a,
              const fragment<matrix_b, 16, 16, 16, half, LayoutB> &b, const fragment<accumulator, 16, 16, 16, float> &c) {
    product mine = {a.x, b.x, c.x, d.x};
    winnow::warp(winnow::Warp::mma, 0xffffffffu, reinterpret_cast<uintptr_t>(&mine), 0, "mma_sync");
}

} // namespace nvcuda::wmma
