/* Per-element maths that a GPU and a processor share is written in headers of
 * plain C, whose functions begin with WINNOW_BOTH: nvcc compiles them for both
 * sides, gcc into the fast CPU form, g++ into the emulation. No compiler may fuse
 * a multiplication and an addition by itself (see kernels/doc.go): what must be
 * fused is written as fmaf, and then it is fused everywhere. */
#ifndef WINNOW_BOTH_H
#define WINNOW_BOTH_H

#include <math.h>
#include <stdint.h>

#ifdef __CUDACC__
#define WINNOW_BOTH static __host__ __device__ __forceinline__
#else
#define WINNOW_BOTH static inline __attribute__((unused))
#endif

#endif
