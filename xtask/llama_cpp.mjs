// Greedy continuations by llama.cpp, for xtask/llama_cpp.py: read from node's standard input in a folder with node-llama-cpp.
// The argument is a JSON file with `cases` (model, lora or null, prompts) and `tokens`, how many new ones at most.
// Prints, for each case and prompt, the tokens of the prompt, the new ones, and the two largest probabilities at each.
import { readFileSync } from "node:fs";
import { getLlama, LlamaLogLevel } from "node-llama-cpp";

// The package starts node again to try its library, with a file, which --input-type refuses.
process.execArgv = [];

const { cases, tokens: limit } = JSON.parse(readFileSync(process.argv[2], "utf8"));
const llama = await getLlama({ gpu: false, build: "never", logLevel: LlamaLogLevel.error });
const answers = [];
for (const { model: modelPath, lora, prompts } of cases) {
    const model = await llama.loadModel({ modelPath });
    // Numbers of 32 bits in the cache too: its default of 16 bits is a rounding of llama.cpp's own.
    const context = await model.createContext({
        contextSize: 256, threads: 2, flashAttention: false, experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
        ...(lora ? { lora: { adapters: [{ filePath: lora }] } } : {}),
    });
    const sequence = context.getSequence();
    const answered = [];
    for (const prompt of prompts) {
        await sequence.clearHistory();
        const read = model.tokenize(prompt, true);
        if (model.tokens.shouldPrependBosToken) read.unshift(model.tokens.bos);
        const tokens = [], largest = [];
        for await (const { token, probabilities } of sequence.evaluateWithMetadata(read, { probabilities: true }, { temperature: 0 })) {
            largest.push([...probabilities.values()].sort((a, b) => b - a).slice(0, 2));
            if (model.isEogToken(token)) break;
            tokens.push(token);
            if (tokens.length === limit) break;
        }
        answered.push({ read, tokens, text: model.detokenize(tokens), largest });
    }
    answers.push(answered);
    await context.dispose();
    await model.dispose();
}
process.stdout.write(JSON.stringify(answers), () => process.exit(0));
