#include "shim.h"

#include <cstring>

#include "ggml.h"

extern "C" {

void goOutput(uintptr_t handle, struct shim_rows * rows);

// The scheduler asks for every node of the graph and computes all up to the next
// wanted one together, so only one node is wanted and Go hears of nothing else.
static bool on_eval(struct ggml_tensor * t, bool ask, void * data) {
    if (ask) return std::strcmp(t->name, "result_output") == 0;
    if (t->ne[1] == 0) return true; // a batch without output rows

    struct shim_rows rows = {};
    ggml_backend_buffer_t buffer = t->view_src ? t->view_src->buffer : t->buffer;
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
    goOutput((uintptr_t) data, &rows);
    return true; // false would leave the graph's other nodes uncomputed and report success
}

void shim_observe_output(struct llama_context_params * params, uintptr_t handle) {
    params->cb_eval           = on_eval;
    params->cb_eval_user_data = (void *) handle;
}

} // extern "C"
