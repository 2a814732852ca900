// The emulation's launches: blocks, fibers, barriers and warps. See emulate.h.
#include "../launch.cuh"

#include "device.h"

#include <csetjmp>
#include <mutex>
#include <pthread.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unordered_map>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace winnow {
namespace {

constexpr size_t stack_bytes = 64 << 10, page_bytes = 4096;
constexpr size_t shared_default = 48 << 10, shared_most = 227 << 10;
constexpr int threads_most = 1024;

enum class State { ready, barrier, warp, done };

struct Fiber {
    ucontext_t start;
    jmp_buf here;
    bool begun = false;
    void *stack = nullptr;

    uint3 index;
    int number = 0;
    State state = State::done;
    const char *where = ""; // at what it waits
    int line = 0;
    bool predicate = false;
    Warp what = Warp::sync;
    unsigned mask = 0;
    uint64_t bits = 0;
    int source = 0;
};

// Everything of the launch that runs. One runs at a time, under device.h's lock.
struct Launch {
    std::vector<Fiber> fibers{threads_most};
    int threads = 0;
    Fiber *current = nullptr;
    pthread_t thread; // that runs it
    jmp_buf scheduler;
    const std::function<void()> *body = nullptr;
    const char *name = "";
    std::string fault;
    int votes = 0;
    bool backwards = false;
    std::unordered_map<const void *, bool> turns; // a kernel's own: an op may have two launches
    unsigned char *dynamic = nullptr;
    std::unordered_map<const void *, int> allowed;
    std::vector<unsigned char> memory = std::vector<unsigned char>(shared_most + device::zone_bytes + 1024); // dynamic is in it
    int waiting[threads_most / 32] = {}; // lanes of each warp that wait for others of it
} launch_state;

Launch &L = launch_state;

// A fiber lives on from block to block: making one costs a system call.
void fiber_main() {
    for (;;) {
        (*L.body)();
        L.current->state = State::done;
        if (_setjmp(L.current->here) == 0) {
            _longjmp(L.scheduler, 1);
        }
    }
}

void prepare(Fiber &f) {
    if (f.stack == nullptr) {
        f.stack = mmap(nullptr, stack_bytes + page_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (f.stack == MAP_FAILED || mprotect(f.stack, page_bytes, PROT_NONE) != 0) { // the lowest page stops an overflow
            std::perror("winnow emulation: a thread's stack");
            std::abort();
        }
    }
    getcontext(&f.start);
    f.start.uc_stack.ss_sp = static_cast<char *>(f.stack) + page_bytes;
    f.start.uc_stack.ss_size = stack_bytes;
    f.start.uc_link = nullptr;
    makecontext(&f.start, fiber_main, 0);
    f.begun = false;
}

void yield() {
    if (_setjmp(L.current->here) == 0) {
        _longjmp(L.scheduler, 1);
    }
    threadIdx = L.current->index;
}

void resume(Fiber &f) {
    L.current = &f;
    threadIdx = f.index;
    if (_setjmp(L.scheduler) == 0) {
        if (f.begun) {
            _longjmp(f.here, 1);
        }
        f.begun = true;
        setcontext(&f.start);
    }
    L.current = nullptr;
}

std::string place(const Fiber &f) {
    char text[160];
    std::snprintf(text, sizeof text, "block (%u, %u, %u), thread (%u, %u, %u)", blockIdx.x, blockIdx.y, blockIdx.z, f.index.x, f.index.y, f.index.z);
    return text;
}

void multiply_all(Fiber *first) {
    const nvcuda::wmma::product *lanes[32];
    for (int i = 0; i < 32; i++) {
        lanes[i] = reinterpret_cast<const nvcuda::wmma::product *>(first[i].bits);
    }
    nvcuda::wmma::multiply(lanes);
}

// Lets the lanes that f waits for go on, if all of them have come.
bool release(Fiber &f) {
    Fiber *first = &L.fibers[static_cast<size_t>(f.number) / 32 * 32];
    int lanes = std::min(32, L.threads - f.number / 32 * 32);
    unsigned live = 0;
    for (int i = 0; i < lanes; i++) {
        if ((f.mask >> i & 1u) != 0 && first[i].state != State::done) {
            live |= 1u << i;
            if (first[i].state != State::warp || first[i].what != f.what || first[i].mask != f.mask) {
                return false;
            }
        }
    }
    if (f.what == Warp::mma && live != 0xffffffffu) {
        L.fault = place(f) + ": mma_sync by a warp of fewer than 32 threads";
        return false;
    }
    uint64_t ballot = 0, results[32] = {};
    for (int i = 0; i < lanes; i++) {
        if ((live >> i & 1u) != 0 && first[i].bits != 0) {
            ballot |= uint64_t{1} << i;
        }
    }
    for (int i = 0; i < lanes; i++) {
        if ((live >> i & 1u) == 0) {
            continue;
        }
        switch (f.what) {
        case Warp::shuffle:
            if (first[i].source < 0 || first[i].source > 31 || (live >> first[i].source & 1u) == 0) {
                L.fault = place(first[i]) + ": " + first[i].where + " from lane " + std::to_string(first[i].source) + ", which takes no part";
                return false;
            }
            results[i] = first[first[i].source].bits;
            break;
        case Warp::ballot: results[i] = ballot; break;
        case Warp::any: results[i] = ballot != 0; break;
        case Warp::all: results[i] = ballot == live; break;
        case Warp::sync: case Warp::mma: break;
        }
    }
    if (f.what == Warp::mma) {
        multiply_all(first);
    }
    for (int i = 0; i < lanes; i++) {
        if ((live >> i & 1u) != 0) {
            first[i].bits = results[i];
            first[i].state = State::ready;
            L.waiting[f.number / 32]--;
        }
    }
    return true;
}

// Lets all threads of the block pass the barrier where they wait.
bool release_block() {
    Fiber *first = nullptr, *ended = nullptr;
    L.votes = 0;
    for (int i = 0; i < L.threads; i++) {
        Fiber &f = L.fibers[static_cast<size_t>(i)];
        if (f.state == State::done) {
            ended = &f;
        } else if (f.state != State::barrier) {
            return false;
        } else if (first != nullptr && (first->line != f.line || std::strcmp(first->where, f.where) != 0)) {
            L.fault = place(f) + " waits at the barrier " + f.where + ":" + std::to_string(f.line) + ", another at line " + std::to_string(first->line);
            return false;
        } else {
            first = &f;
            L.votes += f.predicate;
        }
    }
    if (ended != nullptr) {
        L.fault = place(*ended) + " has ended while others wait at the barrier " + first->where + ":" + std::to_string(first->line);
        return false;
    }
    for (int i = 0; i < L.threads; i++) {
        L.fibers[static_cast<size_t>(i)].state = State::ready;
    }
    return true;
}

// Nothing can run: either a barrier is complete, or the block hangs for ever.
bool unblock() {
    bool any = false;
    for (int i = 0; i < L.threads && L.fault.empty(); i++) {
        Fiber &f = L.fibers[static_cast<size_t>(i)];
        any |= f.state == State::warp && release(f);
    }
    if (any || !L.fault.empty() || release_block()) {
        return true;
    }
    if (L.fault.empty()) {
        for (int i = 0; i < L.threads; i++) {
            const Fiber &f = L.fibers[static_cast<size_t>(i)];
            if (f.state == State::warp) {
                L.fault = place(f) + " waits in " + f.where + " for lanes that never come there";
                break;
            }
        }
    }
    return false;
}

void run_block(device::Memory shared) {
    std::memset(shared.at, 0xff, shared.bytes);
    std::memset(L.waiting, 0, sizeof L.waiting);
    for (int i = 0; i < L.threads; i++) {
        Fiber &f = L.fibers[static_cast<size_t>(i)];
        if (f.stack == nullptr) {
            prepare(f);
        }
        f.number = i;
        unsigned n = static_cast<unsigned>(i);
        f.index = {n % blockDim.x, n / blockDim.x % blockDim.y, n / blockDim.x / blockDim.y};
        f.state = State::ready;
    }
    for (;;) {
        int done = 0;
        bool ran = false;
        for (int i = 0; i < L.threads; i++) {
            Fiber &f = L.fibers[static_cast<size_t>(L.backwards ? L.threads - 1 - i : i)];
            if (f.state == State::ready) {
                resume(f);
                ran = true;
                if (!L.fault.empty()) {
                    return;
                }
            }
            done += f.state == State::done;
        }
        if (done == L.threads) {
            return;
        }
        if (!ran) {
            (void)unblock();
            if (!L.fault.empty()) {
                return;
            }
        }
    }
}

} // namespace

int lane() {
    return L.current->number % 32;
}

void fault(const char *what) {
    if (L.current == nullptr || !pthread_equal(L.thread, pthread_self())) { // a launcher's own code, not a kernel's
        device::fail(cudaErrorInvalidValue, std::string("host code: ") + what);
        return;
    }
    L.fault = place(*L.current) + ": " + what;
    yield(); // for ever: the launch ends
}

int barrier(const char *file, int line, bool predicate) {
    Fiber &f = *L.current;
    f.where = file;
    f.line = line;
    f.predicate = predicate;
    f.state = State::barrier;
    yield();
    return L.votes;
}

uint64_t warp(Warp what, unsigned mask, uint64_t bits, int source, const char *where) {
    Fiber &f = *L.current;
    if ((mask >> (f.number % 32) & 1u) == 0) {
        fault((std::string(where) + " by a lane that its mask leaves out").c_str());
    }
    f.what = what;
    f.mask = mask;
    f.bits = bits;
    f.source = source;
    f.where = where;
    f.state = State::warp;
    int &waiting = L.waiting[f.number / 32];
    waiting++;
    // Lanes that ended or do not exist are noticed later, when nothing else can run.
    if (waiting < __builtin_popcount(mask) || !release(f)) {
        yield();
    }
    return f.bits;
}

void *dynamic_shared() {
    return L.dynamic;
}

cudaError_t allow_shared(const void *kernel, cudaFuncAttribute which, int bytes) {
    std::lock_guard<std::mutex> guard(device::lock());
    if (which != cudaFuncAttributeMaxDynamicSharedMemorySize) {
        return cudaSuccess; // a hint
    }
    if (bytes < 0 || static_cast<size_t>(bytes) > shared_most) {
        return device::refuse(cudaErrorInvalidValue);
    }
    L.allowed[kernel] = bytes;
    return cudaSuccess;
}

cudaError_t run(const void *kernel, const char *name, dim3 grid, dim3 block, size_t shared_bytes, void *,
                const std::function<void()> &thread) {
    std::lock_guard<std::mutex> guard(device::lock());
    if (device::broken() != cudaSuccess) {
        return device::broken();
    }
    uint64_t threads = uint64_t{block.x} * block.y * block.z;
    if (threads == 0 || threads > threads_most || block.z > 64 || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.x > 0x7fffffffu || grid.y > 65535 || grid.z > 65535) {
        return device::refuse(cudaErrorInvalidConfiguration);
    }
    auto allowed = L.allowed.find(kernel);
    if (shared_bytes > (allowed == L.allowed.end() ? shared_default : static_cast<size_t>(allowed->second))) {
        return device::refuse(cudaErrorInvalidValue);
    }
    L.dynamic = reinterpret_cast<unsigned char *>((reinterpret_cast<uintptr_t>(L.memory.data()) + 1023) / 1024 * 1024);
    device::Memory shared = device::shared_variables();
    L.thread = pthread_self();
    L.body = &thread;
    L.name = name;
    L.threads = static_cast<int>(threads);
    L.fault.clear();
    L.backwards = L.turns[kernel] = !L.turns[kernel];
    blockDim = block;
    gridDim = grid;
    uint64_t blocks = uint64_t{grid.x} * grid.y * grid.z;
    for (uint64_t n = 0; n < blocks && L.fault.empty(); n++) {
        uint64_t b = L.backwards ? blocks - 1 - n : n;
        blockIdx = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)};
        std::memset(L.dynamic, 0xff, shared_bytes);
        std::memset(L.dynamic + shared_bytes, device::zone_byte, device::zone_bytes);
        run_block(shared);
        if (size_t i = device::changed(L.dynamic + shared_bytes); i < device::zone_bytes && L.fault.empty()) {
            L.fault = place(L.fibers[0]) + "…: something wrote " + std::to_string(i) + " bytes beyond the dynamic shared memory";
        }
    }
    bool stuck = !L.fault.empty();
    if (!stuck) {
        L.fault = device::damage();
    }
    if (!L.fault.empty()) {
        device::fail(stuck ? cudaErrorLaunchFailure : cudaErrorIllegalAddress, std::string(L.name) + ": " + L.fault);
    }
    if (stuck) { // fibers are somewhere inside the kernel: begin them anew
        for (Fiber &f : L.fibers) {
            if (f.stack != nullptr) {
                prepare(f);
            }
        }
    }
    return cudaSuccess; // like a GPU: what went wrong inside comes with the next call
}

} // namespace winnow
