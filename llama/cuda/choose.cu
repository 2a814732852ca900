// ggml decides when it is compiled whether quantized weights go through its own
// int8 kernels or through cuBLAS. Which one is faster depends on the card, the
// format and the batch, so here it is decided when the program runs: one library,
// half the size of two.
#include "choose.h"

// The module's file declares and defines the question under another name; the
// rest of the backend asks ours.
#define ggml_cuda_should_use_mmq ggml_cuda_should_use_mmq_upstream
#include "mmq.cu"
#undef ggml_cuda_should_use_mmq

int winnow_matmul_choice = WINNOW_MATMUL_INT8;

bool ggml_cuda_should_use_mmq(enum ggml_type type, int cc, int64_t ne11) {
    return winnow_matmul_choice == WINNOW_MATMUL_INT8 && ggml_cuda_should_use_mmq_upstream(type, cc, ne11);
}

extern "C" {

// winnow_cuda_engine names the version of the sources that this was compiled from.
__attribute__((visibility("default"))) const char * winnow_cuda_engine(void) {
    return WINNOW_ENGINE_VERSION;
}

// winnow_cuda_architectures lists what the kernels were compiled for, times ten:
// 900 is compute capability 9.0.
__attribute__((visibility("default"))) const char * winnow_cuda_architectures(void) {
#define TEXT_OF(...) #__VA_ARGS__
#define TEXT(...) TEXT_OF(__VA_ARGS__)
    return TEXT(__CUDA_ARCH_LIST__);
}

// winnow_cuda_matmul chooses for all products that begin after it returns; it
// returns 0, or 1 for a choice that there is not.
__attribute__((visibility("default"))) int winnow_cuda_matmul(int choice) {
    if (choice < WINNOW_MATMUL_INT8 || choice > WINNOW_MATMUL_CUBLAS_F16) {
        return 1;
    }
    winnow_matmul_choice = choice;
    return 0;
}

}
