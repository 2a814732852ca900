// A stand-in for libggml-cuda.so, compiled by cuda_test.go: a backend with GPUS
// devices that can be listed and compute nothing. ENGINE and ARCHITECTURES are
// what it says of itself.
#include "ggml-backend-impl.h"

#include <string.h>

static struct ggml_backend_reg reg;
static struct ggml_backend_device devices[GPUS + 1];

static const char * reg_name(ggml_backend_reg_t r) { return "CUDA"; }
static size_t reg_count(ggml_backend_reg_t r) { return GPUS; }
static ggml_backend_dev_t reg_device(ggml_backend_reg_t r, size_t i) { return &devices[i]; }

static const char * dev_name(ggml_backend_dev_t d) { return d == devices ? "CUDA0" : "CUDA1"; }
static const char * dev_description(ggml_backend_dev_t d) { return "a stand-in"; }
static enum ggml_backend_dev_type dev_type(ggml_backend_dev_t d) { return GGML_BACKEND_DEVICE_TYPE_GPU; }

static void dev_memory(ggml_backend_dev_t d, size_t * free, size_t * total) {
    *free = (size_t) 3 << 30;
    *total = (size_t) 80 << 30;
}

static void dev_props(ggml_backend_dev_t d, struct ggml_backend_dev_props * p) {
    p->name = dev_name(d);
    p->description = dev_description(d);
    p->type = dev_type(d);
    p->id = "GPU-stand-in";
    p->device_id = "0000:17:00.0";
    p->compute_major = 9;
    p->compute_minor = 0;
}

#ifndef NO_INIT
ggml_backend_reg_t ggml_backend_init(void) {
    for (int i = 0; i < GPUS; i++) {
        devices[i].iface = (struct ggml_backend_device_i) {
            .get_name = dev_name, .get_description = dev_description, .get_memory = dev_memory, .get_type = dev_type, .get_props = dev_props,
        };
        devices[i].reg = &reg;
    }
    reg.api_version = GGML_BACKEND_API_VERSION;
    reg.iface = (struct ggml_backend_reg_i) { .get_name = reg_name, .get_device_count = reg_count, .get_device = reg_device };
    return &reg;
}
#endif

const char * winnow_cuda_engine(void) { return ENGINE; }
const char * winnow_cuda_architectures(void) { return ARCHITECTURES; }
#ifndef NO_MATMUL
int winnow_cuda_matmul(int choice) { return choice < 0 || choice > LAST_MATMUL; }
#endif

#ifdef NEEDS_CUBLAS
int cublas_stand_in(void);
int needs_cublas(void) { return cublas_stand_in(); }
#endif
#ifdef NEEDS_UNKNOWN
void ggml_of_another_version(void);
void needs_unknown(void) { ggml_of_another_version(); }
#endif
