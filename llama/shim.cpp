#include "shim.h"

#include <cstdio>
#include <exception>

// Runs call and turns an exception into threw, with its text in err.
template <typename T, typename F>
static T guarded(T threw, char * err, size_t err_len, F call) {
    try {
        return call();
    } catch (const std::exception & e) {
        snprintf(err, err_len, "%s", e.what());
    } catch (...) {
        snprintf(err, err_len, "unknown C++ exception");
    }
    return threw;
}

extern "C" {

void goLog(int level, char * text);

static void log_to_go(enum ggml_log_level level, const char * text, void *) {
    goLog((int) level, const_cast<char *>(text));
}

void shim_log_to_go(void) {
    llama_log_set(log_to_go, nullptr); // also sets ggml's hook
}

int32_t shim_tokenize(const struct llama_vocab * vocab, const char * text, int32_t text_len,
                      llama_token * tokens, int32_t n_max, bool parse_special, char * err, size_t err_len) {
    return guarded<int32_t>(SHIM_THREW, err, err_len, [&] {
        return llama_tokenize(vocab, text, text_len, tokens, n_max, /*add_special=*/false, parse_special);
    });
}

int32_t shim_token_to_piece(const struct llama_vocab * vocab, llama_token token, char * buf, int32_t len,
                            bool special, char * err, size_t err_len) {
    return guarded<int32_t>(SHIM_THREW, err, err_len, [&] {
        return llama_token_to_piece(vocab, token, buf, len, /*lstrip=*/0, special);
    });
}

int32_t shim_chat_apply_template(const char * tmpl, const struct llama_chat_message * chat, size_t n_msg,
                                 bool add_generation_prompt, char * buf, int32_t len, char * err, size_t err_len) {
    return guarded<int32_t>(SHIM_THREW, err, err_len, [&] {
        return llama_chat_apply_template(tmpl, chat, n_msg, add_generation_prompt, buf, len);
    });
}

int32_t shim_decode(struct llama_context * ctx, struct llama_batch batch, char * err, size_t err_len) {
    return guarded<int32_t>(SHIM_THREW, err, err_len, [&] { return llama_decode(ctx, batch); });
}

struct llama_model * shim_model_load(const char * path, struct llama_model_params params, char * err, size_t err_len) {
    return guarded<struct llama_model *>(nullptr, err, err_len,
                                         [&] { return llama_model_load_from_file(path, params); });
}

struct llama_context * shim_context_init(struct llama_model * model, struct llama_context_params params,
                                         char * err, size_t err_len) {
    return guarded<struct llama_context *>(nullptr, err, err_len,
                                           [&] { return llama_init_from_model(model, params); });
}

int32_t shim_quantize(const char * in, const char * out, const llama_model_quantize_params * params,
                      char * err, size_t err_len) {
    return guarded<int32_t>(SHIM_THREW, err, err_len,
                            [&] { return (int32_t) llama_model_quantize(in, out, params); });
}

} // extern "C"
