#!/usr/bin/env python3
"""winnow's grading job in typed-gguf, in the one way it has.

score  one request whose questions are the records: the state (the rubric's system text) is
       evaluated once, each question forks from it, and the level is read from the logits.

typed-gguf writes its own frame around state and question, so the prompt is longer than the
rubric's and differs in its words. It brings no engine: its installer fetches a llama.cpp release
archive. Here it loads the library that was compiled for llama-cpp-python, whose structures are
compared with the ones that typed-gguf declares.
"""
import importlib.metadata
import pathlib
import sys

import llama_cpp
from typed_gguf import schema
from typed_gguf.engine.decide import DecisionEngine, plan_context
from typed_gguf.engine.session import ModelSession, open_model
from typed_gguf.runtime import ctypes_binding

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402


def check_structures():
    for name in ("llama_model_params", "llama_context_params", "llama_batch"):
        ours, theirs = (getattr(m, name) for m in (ctypes_binding, llama_cpp))
        layouts = [[(f[0], getattr(c, f[0]).offset, getattr(c, f[0]).size) for f in c._fields_] for c in (ours, theirs)]
        if layouts[0] != layouts[1]:
            sys.exit(f"grade: {name} of typed-gguf and of llama-cpp-python differ: pin versions that agree")


def request(args, job, users):
    return schema.parse_request({
        "state": job["system"],
        "questions": {str(i): {"type": "score", "instructions": user,
                               "criteria": [f"score {d}" for d in measure.DIGITS]} for i, user in enumerate(users)},
        # shipped: the bare level right behind the assistant's header, as in the rubric.
        "options": {"threads": args.threads, "cue": "shipped", "chat_format": "role_split",
                    "readout": "single_token", "state_cache": False}})


def main():
    args, job = measure.arguments(("score",))
    check_structures()
    folder = pathlib.Path(llama_cpp.__file__).parent / "lib"
    model = open_model(args.model, runtime_dir=folder, fit_disabled=True)

    def prepare(users):
        # A session decodes its state once and cannot go back: every run needs a new one.
        asked = request(args, job, users)
        plan = plan_context(asked, model)
        return asked, plan, DecisionEngine(ModelSession(model, plan))

    def decide(asked, plan, engine):
        out = engine.decide(asked, plan=plan)
        engine.session.close()
        return [a["score"] for a in out.answers.values()], out.usage["input_tokens"]

    decide(*prepare(job["users"][:1]))
    ready = [prepare(job["users"]) for _ in range(args.repeats)]
    measure.report(args, "typed-gguf", importlib.metadata.version("typed-gguf"), args.way, lambda: decide(*ready.pop()),
                   args.repeats, "one score question a record behind a shared state, the library's own frame; "
                   "llama.cpp of llama-cpp-python")


main()
