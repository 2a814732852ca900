// A stand-in for the driver's libcuda.so.1, compiled by cuda_test.go: it has GPUS
// devices of compute capability MAJOR.MINOR, runs CUDA up to RELEASE, and answers
// cuInit with INIT.
enum { NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_VALUE = 1 };

static int started;

int cuInit(unsigned flags) {
    started = flags == 0 && INIT == 0;
    return INIT;
}

int cuDriverGetVersion(int * version) {
    *version = RELEASE;
    return 0;
}

int cuDeviceGetCount(int * n) {
    *n = GPUS;
    return started ? 0 : NOT_INITIALIZED;
}

int cuDeviceGet(int * device, int ordinal) {
    *device = ordinal + 40; // a handle is no ordinal
    return started ? ordinal >= 0 && ordinal < GPUS ? 0 : INVALID_DEVICE : NOT_INITIALIZED;
}

int cuDeviceGetAttribute(int * value, int attribute, int device) {
    if (device < 40 || device >= 40 + GPUS) return INVALID_DEVICE;
    if (attribute != 75 && attribute != 76) return INVALID_VALUE;
    *value = attribute == 75 ? MAJOR : MINOR;
    return 0;
}

int cuGetErrorName(int code, const char ** text) {
    *text = code == 100 ? "CUDA_ERROR_NO_DEVICE" : 0;
    return *text ? 0 : INVALID_VALUE;
}
