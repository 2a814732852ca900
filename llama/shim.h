// The one header that every Go file of this package includes.
#ifndef WINNOW_LLAMA_SHIM_H
#define WINNOW_LLAMA_SHIM_H

#if !__has_include("llama.h")
#error "llama.h not found: build with `make build` (or `make test`), which sets CGO_CPPFLAGS to the engine's headers"
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "ggml-backend.h"
#include "llama.h"

#ifdef __cplusplus
#define SHIM_ASSERT static_assert
extern "C" {
#else
#define SHIM_ASSERT _Static_assert
#endif

// What the Go side relies on when it fills C arrays.
SHIM_ASSERT(sizeof(llama_token) == 4, "llama_token must be 32 bits");
SHIM_ASSERT(sizeof(llama_pos) == 4, "llama_pos must be 32 bits");
SHIM_ASSERT(sizeof(llama_seq_id) == 4, "llama_seq_id must be 32 bits");
SHIM_ASSERT(sizeof(((llama_batch *) 0)->logits[0]) == 1, "output flags must be bytes");
SHIM_ASSERT(sizeof(float) == 4, "logits must be 32 bits");

// Calls that may throw. They return the wrapped function's value, or
// SHIM_THREW (NULL for pointers) with the exception's text in err.
#define SHIM_THREW INT32_MIN

int32_t shim_tokenize(const struct llama_vocab * vocab, const char * text, int32_t text_len,
                      llama_token * tokens, int32_t n_max, bool parse_special, char * err, size_t err_len);
int32_t shim_token_to_piece(const struct llama_vocab * vocab, llama_token token, char * buf, int32_t len,
                            bool special, char * err, size_t err_len);
int32_t shim_chat_apply_template(const char * tmpl, const struct llama_chat_message * chat, size_t n_msg,
                                 bool add_generation_prompt, char * buf, int32_t len, char * err, size_t err_len);
int32_t shim_decode(struct llama_context * ctx, struct llama_batch batch, char * err, size_t err_len);
struct llama_model * shim_model_load(const char * path, struct llama_model_params params, char * err, size_t err_len);
struct llama_context * shim_context_init(struct llama_model * model, struct llama_context_params params,
                                         char * err, size_t err_len);
int32_t shim_quantize(const char * in, const char * out, const llama_model_quantize_params * params,
                      char * err, size_t err_len);

// The logarithm of the sum of n exponentials: row.cpp.
double shim_log_sum_exp(const float * row, size_t n);

// Our attention for packed batches on a CPU: attention.cpp. Installing it returns
// whether this build has it; it is then in use.
bool shim_attention_install(void);
void shim_attention_use(bool on);

// Rows of logits where they were computed, for goOutput: eval.cpp.
struct shim_rows {
    bool         ok; // the rest holds
    bool         host;
    uintptr_t    data;
    int64_t      rows, vocab, stride; // stride in logits
    const char * device;
};

// The output of a layer in the host's memory, for goStates: one row a token.
struct shim_states {
    bool          ok; // the rest holds
    bool          no_memory;
    const float * data;
    int64_t       tokens, width;
};

// Makes contexts of these parameters call goOutput with the handle after every
// computation of rows, if output, and goStates after every computation of that layer,
// if it is not negative. The result must outlive them; NULL means that memory ran out.
struct shim_eval;
struct shim_eval * shim_observe(struct llama_context_params * params, uintptr_t handle, bool output, int32_t layer);
void shim_observe_free(struct shim_eval * eval);

// Routes llama's and ggml's messages to goLog.
void shim_log_to_go(void);

#ifdef __cplusplus
}
#endif
#endif
