// A stand-in for NVIDIA's management library, compiled by energy_nvml_test.go.
// It answers as fake_answer tells it, and holds its caller to nvml.h: nothing is
// asked before nvmlInit_v2, and only handles that it gave out are known. What it
// writes beside an error is no answer.

#include <stdatomic.h>
#include <stddef.h>

typedef int nvmlReturn_t;
typedef struct device *nvmlDevice_t;

enum { INIT, COUNT, HANDLE, ENERGY, POWER, CALLS }; // the test has them in this order
enum { GPUS = 2 };
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2 };

static struct {
    _Atomic nvmlReturn_t code;
    _Atomic unsigned long long value;
} answers[CALLS][GPUS];

static struct device {
    int given;
} devices[GPUS];

static _Atomic int running; // calls of nvmlInit_v2 less those of nvmlShutdown

void fake_answer(int call, int gpu, nvmlReturn_t code, unsigned long long value) {
    answers[call][gpu].value = value;
    answers[call][gpu].code = code;
}

int fake_running(void) { return running; }

nvmlReturn_t nvmlInit_v2(void) {
    nvmlReturn_t code = answers[INIT][0].code;
    if (code == SUCCESS)
        running++;
    return code;
}

nvmlReturn_t nvmlShutdown(void) {
    if (running <= 0)
        return UNINITIALIZED;
    running--;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count) {
    if (running <= 0)
        return UNINITIALIZED;
    *count = (unsigned int)answers[COUNT][0].value;
    return answers[COUNT][0].code;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *device) {
    if (running <= 0)
        return UNINITIALIZED;
    if (index >= GPUS)
        return INVALID_ARGUMENT;
    *device = &devices[index];
    devices[index].given = answers[HANDLE][index].code == SUCCESS;
    return answers[HANDLE][index].code;
}

// known returns the number of a device that was given out, -1 for any other.
static int known(nvmlDevice_t device) {
    for (int i = 0; i < GPUS; i++)
        if (device == &devices[i] && device->given)
            return i;
    return -1;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *energy) {
    int i = known(device);
    if (running <= 0)
        return UNINITIALIZED;
    if (i < 0)
        return INVALID_ARGUMENT;
    *energy = answers[ENERGY][i].value;
    return answers[ENERGY][i].code;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *power) {
    int i = known(device);
    if (running <= 0)
        return UNINITIALIZED;
    if (i < 0)
        return INVALID_ARGUMENT;
    *power = (unsigned int)answers[POWER][i].value;
    return answers[POWER][i].code;
}

const char *nvmlErrorString(nvmlReturn_t code) {
    switch (code) {
    case UNINITIALIZED:
        return "Uninitialized";
    case INVALID_ARGUMENT:
        return "Invalid Argument";
    case 3:
        return "Not Supported";
    case 9:
        return "Driver Not Loaded";
    case 15:
        return "GPU is lost";
    default:
        return NULL;
    }
}
