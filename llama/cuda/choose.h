// What a matrix product with many columns goes through. The numbers are part of
// the library's interface: llama/cuda.go has the same.
#pragma once

enum winnow_matmul {
    WINNOW_MATMUL_INT8 = 0,       // ggml's kernels on quantized weights, activations rounded to 8 bits
    WINNOW_MATMUL_CUBLAS = 1,     // weights unpacked to F16, cuBLAS, sums in F32
    WINNOW_MATMUL_CUBLAS_F16 = 2, // the same with sums in F16, as ggml's own cuBLAS build has it
};

// The choice that the program made; read at every product.
extern int winnow_matmul_choice;
