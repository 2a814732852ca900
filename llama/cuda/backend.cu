// The module's backend, with one call of cuBLAS replaced. ggml multiplies F16
// matrices with sums in F16, which costs digits and, on cards for data centres,
// gains no time.
#include "common.cuh"
#include "choose.h"

static cublasStatus_t winnow_gemm_ex(cublasHandle_t handle, cublasOperation_t opA, cublasOperation_t opB,
                                     int m, int n, int k,
                                     const void * alpha, const void * A, cudaDataType typeA, int lda,
                                     const void * B, cudaDataType typeB, int ldb,
                                     const void * beta, void * C, cudaDataType typeC, int ldc,
                                     cublasComputeType_t compute, cublasGemmAlgo_t algo) {
    // With sums in F32 the factors are F32 too; ggml always multiplies by 1 and adds to nothing.
    const float one = 1.0f, zero = 0.0f;
    if (compute == CUBLAS_COMPUTE_16F && winnow_matmul_choice != WINNOW_MATMUL_CUBLAS_F16) {
        compute = CUBLAS_COMPUTE_32F;
        alpha   = &one;
        beta    = &zero;
    }
    return cublasGemmEx(handle, opA, opB, m, n, k, alpha, A, typeA, lda, B, typeB, ldb, beta, C, typeC, ldc, compute, algo);
}

#define cublasGemmEx winnow_gemm_ex
#include "ggml-cuda.cu"
