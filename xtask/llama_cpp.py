"""llama.cpp continues prompts with our GGUF files as `lora generate` does with the adapter folder.

    npm install node-llama-cpp@3.21.1                       # in a folder PACKAGES; it brings llama.cpp ready-made
    python xtask/llama_cpp.py --lora target/release/lora --model DIR --packages PACKAGES

DIR is a small causal language model, such as SmolLM2-135M. An adapter is trained on it until it says something else than the model, and
prompts are continued greedily. Needs safetensors and numpy. Beside each part: what llama.cpp is given.
adapter  the base model in f32 and the adapter of `lora export --format gguf`
f32      the model of `lora merge --format gguf --outtype f32`
f16      the same in f16
q8_0     the same in q8_0
Prompts must be the same tokens. So must continuations; but numbers of 16 and 8 bits may choose the second token where llama.cpp itself
gives it nearly the probability of the first, and what follows is then another text. Ends with "N passed, 0 failed, M skipped".
"""
import argparse, csv, importlib.util, json, os, shutil, subprocess, sys, tempfile
import outcomes

parser = argparse.ArgumentParser()
parser.add_argument("--lora", required=True, help="the lora program")
parser.add_argument("--model", required=True, help="folder of a causal language model")
parser.add_argument("--packages", default=".", help="where node-llama-cpp was installed")
arguments = parser.parse_args()
LORA, MODEL = os.path.abspath(arguments.lora), os.path.abspath(arguments.model)
NEW_TOKENS = 24
# How much larger the largest probability may be where a rounded model takes the other token.
NEARLY = {"adapter": 1, "f32": 1, "f16": 1.02, "q8_0": 1.2}
THINGS = ["river", "lamp", "garden", "teacher", "winter", "bridge", "apple", "letter", "harbour", "mountain", "window", "violin"]
PROMPTS = ["The garden is", "Tell me about the river.", "Once upon a time", "  Naïve cafés — 12,345 of them 🙂 —",
           "def area(width, height):\n\treturn", "<|im_start|>user\nWhere is the lamp?<|im_end|>\n<|im_start|>assistant\n"]

def lora(*words):
    done = subprocess.run([LORA, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"lora {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout

def train(folder):
    data, output = os.path.join(folder, "rows.csv"), os.path.join(folder, "adapter")
    with open(data, "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("prompt", "completion"))
        for thing in THINGS:
            rows.writerow((f"The {thing} is", f" a {thing} of the old king, and nobody may touch it before the bells ring twice."))
            rows.writerow((f"Tell me about the {thing}.", f" The old king lost his {thing} at sea, and the bells rang for it until spring."))
    lora("train", "--problem-type", "causal_lm", "--model", MODEL, "--train-file", data, "--text-column", "prompt", "--label-column", "completion",
         "--output", output, "--r", "8", "--lora-alpha", "16", "--learning-rate", "5e-3", "--max-steps", "12", "--per-device-train-batch-size", "4",
         "--mask-probability", "0.2", "--target-modules", "all-linear", "--validation-fraction", "0", "--max-seq-length", "48", "--quiet")
    return output

def without_update(adapter, output):
    """The adapter with B = 0, which merged is the base model."""
    from safetensors.numpy import load_file, save_file
    shutil.copytree(adapter, output)
    path = os.path.join(output, "adapter_model.safetensors")
    save_file({name: tensor * (0 if ".lora_B." in name else 1) for name, tensor in load_file(path).items()}, path)
    return output

def ours(prompt, *words):
    """What `lora generate` adds to a prompt, and how many tokens it read."""
    return json.loads(lora("generate", *words, "--prompt", prompt, "--max-new-tokens", str(NEW_TOKENS), "--json"))

def llama_cpp(folder, cases):
    """What llama.cpp adds to each prompt, by case."""
    calls = os.path.join(folder, "calls.json")
    with open(calls, "w", encoding="utf-8") as file:
        json.dump({"tokens": NEW_TOKENS, "cases": [{"model": model, "lora": adapter, "prompts": PROMPTS} for model, adapter in cases.values()]}, file)
    # Read from the standard input, it finds packages in the folder where it runs.
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "llama_cpp.mjs"), encoding="utf-8") as script:
        done = subprocess.run(["node", "--input-type=module", "-", calls], stdin=script, cwd=arguments.packages, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"node ended with {done.returncode}:\n{done.stderr}")
    return dict(zip(cases, json.loads(done.stdout)))

def compare(case, expected, found):
    """Token by token, up to the first that may differ."""
    equal = tokens = 0
    for prompt, here, there in zip(PROMPTS, expected, found):
        assert len(there["read"]) == here["prompt_tokens"], f"{prompt!r} is {len(there['read'])} tokens, not {here['prompt_tokens']}"
        ended = here["tokens"] + [None] * (len(here["tokens"]) < NEW_TOKENS)
        answered = there["tokens"] + [None] * (len(there["tokens"]) < NEW_TOKENS)
        differs = next((place for place, pair in enumerate(zip(ended, answered)) if pair[0] != pair[1]), None)
        equal += differs is None
        tokens += len(ended) if differs is None else differs
        if differs is not None:
            first, second = there["largest"][differs]
            assert first <= NEARLY[case] * second, (f"{prompt!r} goes on with {there['text']!r}, not {here['text']!r}: at token {differs + 1} the largest "
                                                    f"probabilities are {first:.4f} and {second:.4f}")
    return f"{equal} of {len(PROMPTS)} continuations are equal, {tokens} tokens"

CHECKS = {case: ([], lambda expected, found, case=case: compare(case, expected, found[case])) for case in NEARLY}
python_packages = [f"package {name}" for name in ("safetensors", "numpy") if importlib.util.find_spec(name) is None]
missing = ("node" if shutil.which("node") is None
           else python_packages[0] if python_packages
           else None if os.path.isdir(os.path.join(arguments.packages, "node_modules", "node-llama-cpp"))
           else f"node-llama-cpp in {arguments.packages} (npm install node-llama-cpp@3.21.1)")
if missing:
    print(f"skip  there is no {missing}\n0 passed, 0 failed, {len(CHECKS)} skipped")
    sys.exit(0)
with tempfile.TemporaryDirectory() as folder:
    in_folder = lambda name: os.path.join(folder, name)
    adapter = train(folder)
    expected = [ours(prompt, "--adapter", adapter) for prompt in PROMPTS]
    without = ours(PROMPTS[0], "--model", MODEL)
    assert expected[0]["tokens"] != without["tokens"], "the adapter changes nothing"
    print(f"{PROMPTS[0]!r} goes on with {expected[0]['text']!r}; without the adapter with {without['text']!r}", flush=True)
    lora("export", "--adapter", adapter, "--format", "gguf", "--output", in_folder("adapter.gguf"))
    merge = lambda adapter, outtype, name: lora("merge", "--adapter", adapter, "--format", "gguf", "--outtype", outtype, "--output", in_folder(name))
    merge(without_update(adapter, in_folder("nothing")), "f32", "base.gguf")
    cases = {"adapter": (in_folder("base.gguf"), in_folder("adapter.gguf"))}
    for outtype in ("f32", "f16", "q8_0"):
        merge(adapter, outtype, f"{outtype}.gguf")
        cases[outtype] = (in_folder(f"{outtype}.gguf"), None)
    sys.exit(outcomes.report(CHECKS, expected, llama_cpp(folder, cases)))
