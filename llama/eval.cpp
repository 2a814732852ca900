#include "shim.h"

#include <cstdio>
#include <cstring>
#include <new>
#include <vector>

#include "ggml.h"

// What one context's callback looks for.
struct shim_eval {
    uintptr_t          handle;
    bool               output;
    char               states[32]; // name of the tensor of hidden states; "" for none
    std::vector<float> host;       // states of a device, on their way to Go
};

extern "C" {

void goOutput(uintptr_t handle, struct shim_rows * rows);
void goStates(uintptr_t handle, struct shim_states * states);

static ggml_backend_buffer_t buffer_of(const struct ggml_tensor * t) {
    return t->view_src ? t->view_src->buffer : t->buffer;
}

static bool is_output(const struct shim_eval * e, const struct ggml_tensor * t) {
    return e->output && std::strcmp(t->name, "result_output") == 0;
}

static void see_output(struct shim_eval * e, struct ggml_tensor * t) {
    if (t->ne[1] == 0) return; // a batch without output rows

    struct shim_rows rows = {};
    ggml_backend_buffer_t buffer = buffer_of(t);
    rows.ok = t->type == GGML_TYPE_F32 && t->nb[0] == sizeof(float) && t->ne[2] == 1 && t->ne[3] == 1 &&
              t->nb[1] % sizeof(float) == 0 && buffer != nullptr;
    if (rows.ok) {
        rows.data   = (uintptr_t) t->data;
        rows.rows   = t->ne[1];
        rows.vocab  = t->ne[0];
        rows.stride = (int64_t) (t->nb[1] / sizeof(float));
        rows.host   = ggml_backend_buffer_is_host(buffer);
        ggml_backend_dev_t device = ggml_backend_buft_get_device(ggml_backend_buffer_get_type(buffer));
        rows.device = device ? ggml_backend_dev_name(device) : "";
    }
    goOutput(e->handle, &rows);
}

static void see_states(struct shim_eval * e, struct ggml_tensor * t) {
    struct shim_states states = {};
    ggml_backend_buffer_t buffer = buffer_of(t);
    states.ok = t->type == GGML_TYPE_F32 && ggml_is_contiguous(t) && t->ne[2] == 1 && t->ne[3] == 1 && buffer != nullptr;
    if (states.ok) {
        states.width  = t->ne[0];
        states.tokens = t->ne[1];
        if (ggml_backend_buffer_is_host(buffer)) {
            states.data = (const float *) t->data;
        } else {
            try {
                e->host.resize((size_t) ggml_nelements(t));
                ggml_backend_tensor_get(t, e->host.data(), 0, ggml_nbytes(t));
                states.data = e->host.data();
            } catch (const std::bad_alloc &) {
                states.no_memory = true;
            }
        }
    }
    goStates(e->handle, &states);
}

// The scheduler asks for every node of the graph and computes all up to the next
// wanted one together, so only what is looked for is wanted and Go hears of nothing
// else.
static bool on_eval(struct ggml_tensor * t, bool ask, void * data) {
    struct shim_eval * e = (struct shim_eval *) data;
    const bool output = is_output(e, t);
    if (ask) return output || (e->states[0] && std::strcmp(t->name, e->states) == 0);
    if (output) {
        see_output(e, t);
    } else {
        see_states(e, t);
    }
    return true; // false would leave the graph's other nodes uncomputed and report success
}

struct shim_eval * shim_observe(struct llama_context_params * params, uintptr_t handle, bool output, int32_t layer) {
    struct shim_eval * e = new (std::nothrow) shim_eval();
    if (!e) return nullptr;
    e->handle = handle;
    e->output = output;
    if (layer >= 0) std::snprintf(e->states, sizeof e->states, "l_out-%d", (int) layer);
    params->cb_eval           = on_eval;
    params->cb_eval_user_data = e;
    return e;
}

void shim_observe_free(struct shim_eval * e) { delete e; }

} // extern "C"
