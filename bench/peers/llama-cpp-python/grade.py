#!/usr/bin/env python3
"""winnow's grading job in llama-cpp-python, in three ways.

generate  create_chat_completion at temperature 0, the score parsed from the text
logits    Llama.eval: the prefix stays in the cache, the logits row is read, no token generated
packed    llama_batch and llama_decode by hand: many records in one batch, each a sequence of its own
"""
import ctypes
import pathlib
import sys

import llama_cpp
import numpy as np
from llama_cpp.llama_chat_format import Jinja2ChatFormatter

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402

BATCH = 512
SEQUENCES = 64  # for packed: records in one batch, at most


class Prompts:
    """The chat template, cut where the user's text stands, and what follows from it."""

    def __init__(self, llm, system):
        self.llm = llm
        render = Jinja2ChatFormatter(
            template=llm.metadata["tokenizer.chat_template"],
            bos_token=llm.detokenize([llm.token_bos()], special=True).decode(),
            eos_token=llm.detokenize([llm.token_eos()], special=True).decode())
        mark = "<<user's text>>"
        messages = [{"role": "system", "content": system}, {"role": "user", "content": mark}]
        self.before, self.after = render(messages=messages).prompt.split(mark)

    def tokens(self, user):
        return self.llm.tokenize((self.before + user + self.after).encode(), add_bos=False, special=True)

    def prefix(self, users):
        """The tokens that all prompts begin with."""
        rows = [self.tokens(u) for u in [*users, "Instruction:\n?"]]
        n = 0
        while all(n < len(r) and r[n] == rows[0][n] for r in rows):
            n += 1
        return rows[0][:n], max(map(len, rows))

    def digits(self):
        ids = [self.llm.tokenize(d.encode(), add_bos=False) for d in measure.DIGITS]
        if any(len(i) != 1 for i in ids):
            sys.exit("grade: this vocabulary has no single tokens for 0 to 5, and this program reads one row a record")
        return [i[0] for i in ids]


def weights(row, digits):
    picked = row[digits].astype(np.float64)
    return np.exp(picked - picked.max())


def load(args, n_ctx):
    # n_threads is half the cores by default: here all, as for the others.
    return llama_cpp.Llama(model_path=args.model, n_ctx=n_ctx, n_batch=BATCH, n_ubatch=BATCH, n_threads=args.threads,
                           n_threads_batch=args.threads, flash_attn=args.flash == "on", logits_all=False, verbose=False)


def by_generating(args, job):
    llm = load(args, 4096)

    def run(users=job["users"]):
        ratings, tokens = [], 0
        for user in users:
            out = llm.create_chat_completion(
                messages=[{"role": "system", "content": job["system"]}, {"role": "user", "content": user}],
                temperature=0, max_tokens=256)
            ratings.append(measure.score_of(out["choices"][0]["message"]["content"] or ""))
            tokens += out["usage"]["total_tokens"]
        return ratings, tokens

    run(job["users"][-1:])
    return run


def by_logits(args, job):
    llm = load(args, 4096)
    prompts = Prompts(llm, job["system"])
    prefix, _ = prompts.prefix(job["users"])
    digits = prompts.digits()
    llm.eval(prefix)

    def run(users=job["users"]):
        ratings, evaluated = [], 0
        for user in users:
            own = prompts.tokens(user)[len(prefix):]
            llm.n_tokens = len(prefix)  # eval removes from the cache what is behind it
            llm.eval(own)
            row = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(llm.ctx, -1), shape=(llm.n_vocab(),))
            ratings.append(measure.expected(weights(row, digits)))
            evaluated += len(own)
        return ratings, evaluated

    run(job["users"][-1:])
    return run


class Packer:
    """A context of its own with a unified cache, and one batch that is filled by hand."""

    def __init__(self, args, llm, prefix, longest):
        p = llama_cpp.llama_context_default_params()
        p.n_ctx = len(prefix) + max(BATCH, longest)
        p.n_batch = p.n_ubatch = max(BATCH, longest)
        p.n_threads = p.n_threads_batch = args.threads
        p.n_seq_max, p.kv_unified = SEQUENCES + 1, True
        p.flash_attn_type = (llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED if args.flash == "on"
                             else llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED)
        self.room = p.n_batch
        self.ctx = llama_cpp.llama_init_from_model(llm.model, p)
        self.memory = llama_cpp.llama_get_memory(self.ctx)
        self.batch = llama_cpp.llama_batch_init(self.room, 0, 1)
        self.start, self.vocab = len(prefix), llm.n_vocab()
        self.add(prefix, 0, 0, 0)
        self.decode(len(prefix))
        for seq in range(1, SEQUENCES + 1):
            llama_cpp.llama_memory_seq_cp(self.memory, 0, seq, 0, -1)

    def add(self, tokens, at, position, seq):
        """Puts tokens into the batch from index at; the last one gets a row."""
        n, b = len(tokens), self.batch
        for i in range(n):
            b.token[at + i], b.pos[at + i] = tokens[i], position + i
            b.n_seq_id[at + i], b.seq_id[at + i][0], b.logits[at + i] = 1, seq, i == n - 1

    def decode(self, n):
        self.batch.n_tokens = n
        code = llama_cpp.llama_decode(self.ctx, self.batch)
        if code != 0:
            sys.exit(f"grade: llama_decode returned {code} for a batch of {n} tokens")

    def rows(self, records):
        """The logits row behind each of the records, which fit one batch together."""
        at, last = 0, []
        for seq, tokens in enumerate(records, 1):
            self.add(tokens, at, self.start, seq)
            at += len(tokens)
            last.append(at - 1)
        self.decode(at)
        out = [np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(self.ctx, i), shape=(self.vocab,)) for i in last]
        llama_cpp.llama_memory_seq_rm(self.memory, ctypes.c_int32(-1), self.start, -1)
        return out


def by_packing(args, job):
    llm = load(args, 512)
    prompts = Prompts(llm, job["system"])
    prefix, longest = prompts.prefix(job["users"])
    digits, packer = prompts.digits(), Packer(args, llm, prefix, longest)

    def run(users=job["users"]):
        own = [prompts.tokens(u)[len(prefix):] for u in users]
        ratings, bins = [None] * len(own), []
        for i in sorted(range(len(own)), key=lambda i: -len(own[i])):  # first-fit decreasing
            for b in bins:
                if b[0] + len(own[i]) <= packer.room and len(b[1]) < SEQUENCES:
                    b[0] += len(own[i])
                    b[1].append(i)
                    break
            else:
                bins.append([len(own[i]), [i]])
        for _, members in bins:
            for i, row in zip(members, packer.rows([own[i] for i in members])):
                ratings[i] = measure.expected(weights(row, digits))
        return ratings, sum(map(len, own))

    run(job["users"][-1:])
    return run


WAYS = {"generate": by_generating, "logits": by_logits, "packed": by_packing}
NOTES = {"generate": "chat completion, temperature 0, at most 256 tokens, number on the first line",
         "logits": "Llama.eval behind the cached prefix, first-token digits",
         "packed": f"llama_decode by hand, up to {SEQUENCES} records in {BATCH} tokens, first-token digits"}


def main():
    args, job = measure.arguments(WAYS)
    run = WAYS[args.way](args, job)
    measure.report(args, "llama-cpp-python", llama_cpp.__version__, args.way, run, args.repeats,
                   f"{NOTES[args.way]}; flash attention {args.flash}")


main()
