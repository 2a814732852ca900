// winnow's grading job in node-llama-cpp, in three ways.
//
// generate  LlamaChatSession at temperature 0, the score parsed from the text
// logits    controlledEvaluate behind the cached prefix, on several sequences at once, no token generated
// decide    LlamaDecisionContext, the library's own typed decisions: its question frame, not the rubric's
import fs from "node:fs";
import path from "node:path";
import {performance} from "node:perf_hooks";
import {parseArgs} from "node:util";
import {getLlama, getModuleVersion, JinjaTemplateChatWrapper, LlamaChatSession, LlamaLogLevel} from "node-llama-cpp";

const digits = [..."012345"];
const maxBatch = 512;

const {values: args} = parseArgs({options: {
    job: {type: "string"}, // job.json of job.py
    model: {type: "string"},
    way: {type: "string"},
    threads: {type: "string"},
    records: {type: "string"}, // only the first N of the job
    repeats: {type: "string", default: "1"}, // time N times and report the median
    sequences: {type: "string", default: "1"}, // records evaluated at once
    flash: {type: "string", default: "on"},
    ratings: {type: "string"} // file for the ratings: a JSON array, null where there is none
}});
for (const name of ["job", "model", "way", "threads", "records", "ratings"])
    if (args[name] == null)
        throw new Error(`grade.mjs: --${name} is missing`);

const job = JSON.parse(fs.readFileSync(args.job, "utf8"));
const users = job.users.slice(0, Number(args.records));
const threads = Number(args.threads), sequences = Number(args.sequences), flashAttention = args.flash === "on";

// maxThreads is at least 4 by default, which collapses on fewer cores.
const llama = await getLlama({gpu: false, build: "never", maxThreads: threads, logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: path.resolve(args.model)});

/** Runs one worker for each lane over the items, all taking from one queue. */
async function spread(lanes, items, work) {
    let next = 0;
    await Promise.all(lanes.map(async (lane) => {
        while (next < items.length) {
            const index = next++;
            await work(lane, items[index], index);
        }
    }));
}

/** The number on the first line of an answer, or null: AlpaGasus's way. */
function scoreOf(text) {
    const found = text.trim().split(/\r?\n/)[0].match(/\d+(?:\.\d+)?/);
    return found != null && Number(found[0]) <= 5 ? Number(found[0]) : null;
}

function expected(weights) {
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.reduce((sum, w, digit) => sum + digit * w, 0) / total;
}

async function byGenerating() {
    const context = await model.createContext({contextSize: 4096, batchSize: maxBatch, flashAttention, threads});
    const sequence = context.getSequence();
    const session = new LlamaChatSession({contextSequence: sequence, systemPrompt: job.system});
    return async (items) => {
        const before = sequence.tokenMeter.getState();
        const ratings = [];
        for (const user of items) {
            session.resetChatHistory();
            ratings.push(scoreOf(await session.prompt(user, {temperature: 0, maxTokens: 256})));
        }
        const used = sequence.tokenMeter.diff(before);
        return {ratings, tokens: used.usedInputTokens + used.usedOutputTokens};
    };
}

async function byLogits() {
    // The wrapper chosen by default writes BOS in front, the model's own template may not: here the latter decides.
    const wrapper = new JinjaTemplateChatWrapper({template: model.fileInfo.metadata.tokenizer.chat_template});
    const tokensOf = (user) => {
        const {contextText} = wrapper.generateContextState({chatHistory: [
            {type: "system", text: job.system}, {type: "user", text: user}, {type: "model", response: []}
        ]});
        return contextText.tokenize(model.tokenizer, "trimLeadingSpace");
    };
    const all = [...users, "Instruction:\n?"].map(tokensOf);
    let shared = 0;
    while (all.every((tokens) => shared < tokens.length && tokens[shared] === all[0][shared]))
        shared++;
    const prefix = all[0].slice(0, shared);
    const digitTokens = digits.map((digit) => {
        const tokens = model.tokenize(digit, false, "trimLeadingSpace");
        if (tokens.length !== 1)
            throw new Error("this vocabulary has no single tokens for 0 to 5, and this program reads one row a record");
        return tokens[0];
    });

    // Every sequence has a cache of its own, of contextSize cells: no more than the job needs.
    const contextSize = Math.max(...all.map((tokens) => tokens.length)) + 1;
    const context = await model.createContext({
        sequences, contextSize, batchSize: Math.min(maxBatch, contextSize * sequences), flashAttention, threads});
    const lanes = Array.from({length: sequences}, () => context.getSequence());
    await Promise.all(lanes.map((lane) => lane.evaluateWithoutGeneratingNewTokens(prefix)));

    return async (items) => {
        const ratings = new Array(items.length).fill(null);
        let tokens = 0;
        await spread(lanes, items, async (lane, user, index) => {
            const own = tokensOf(user).slice(prefix.length);
            await lane.adaptStateToTokens(prefix, false);
            const input = [...own.slice(0, -1), [own.at(-1), {generateNext: {logits: {filter: {tokens: digitTokens}}}}]];
            const logits = (await lane.controlledEvaluate(input)).at(-1).next.logits;
            const picked = digitTokens.map((token) => logits.get(token));
            const top = Math.max(...picked);
            ratings[index] = expected(picked.map((logit) => Math.exp(logit - top)));
            tokens += own.length;
        });
        return {ratings, tokens};
    };
}

async function byDeciding() {
    const context = await model.createDecisionContext({
        contextSize: 4096, batchSize: maxBatch, parallelQuestions: sequences, threads});
    const lanes = new Array(sequences).fill(context);
    const question = {type: "score", instruction: job.system, criteria: digits.map((digit) => `Score ${digit} of 5`)};
    return async (items) => {
        const ratings = new Array(items.length).fill(null);
        let tokens = 0;
        await spread(lanes, items, async (lane, user, index) => {
            const {answers, tokenUsage} = await lane.decideWithMeta(user, {accuracy: question});
            ratings[index] = answers.accuracy.score;
            tokens += tokenUsage.input + tokenUsage.output;
        });
        return {ratings, tokens};
    };
}

const ways = {
    generate: [byGenerating, "chat session, temperature 0, at most 256 tokens, number on the first line"],
    logits: [byLogits, "controlledEvaluate behind the cached prefix, first-token digits"],
    decide: [byDeciding, "LlamaDecisionContext, score question in the library's own frame"]
};
if (ways[args.way] == null)
    throw new Error(`grade.mjs: --way ${args.way}: want one of ${Object.keys(ways).join(", ")}`);
const [prepare, note] = ways[args.way];
const run = await prepare();
await run(users.slice(-1)); // not the first one, whose prompt would be in the cache when the clock starts

const seconds = [];
let result;
for (let i = 0; i < Number(args.repeats); i++) {
    const start = performance.now();
    result = await run(users);
    seconds.push((performance.now() - start) / 1000);
}
seconds.sort((a, b) => a - b);
const mid = (seconds[(seconds.length - 1) >> 1] + seconds[seconds.length >> 1]) / 2;
const given = result.ratings.filter((rating) => rating != null);
fs.writeFileSync(args.ratings, JSON.stringify(result.ratings));
process.stdout.write(JSON.stringify({
    peer: "node-llama-cpp", version: await getModuleVersion(), way: args.way, model: path.basename(args.model),
    records: users.length, threads, seconds: Number(mid.toFixed(3)), records_per_s: Number((users.length / mid).toFixed(4)),
    tokens_evaluated: result.tokens, parsed: given.length,
    mean_rating: given.length > 0 ? Number((given.reduce((a, b) => a + b, 0) / given.length).toFixed(4)) : null,
    notes: `${note}; ${sequences} sequence${sequences === 1 ? "" : "s"}` +
        (args.way === "decide" ? "" : `, flash attention ${args.flash}`)
}) + "\n");
await llama.dispose();
