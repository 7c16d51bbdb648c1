"""Files that are written for others are read by the others' own packages, and hold the same numbers.

    python xtask/formats.py --lora target/release/lora      # or: cargo xtask interop --python PATH

card         huggingface_hub parses the README.md of a training, and finds the scores of results.json
tensorboard  its reader finds every loss, rate, norm and score of results.json in the event file, and the settings
gguf         gguf reads adapters of decoders: names are those of its own tables, and each pair of tensors is the update of PEFT's folder
A part whose package is missing is skipped, and says so. Ends with "N passed, 0 failed, M skipped" and exit code 0.
"""
import argparse, csv, importlib.util, json, os, subprocess, sys, tempfile, warnings
warnings.filterwarnings("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"

parser = argparse.ArgumentParser()
parser.add_argument("--lora", required=True, help="the lora program")
arguments = parser.parse_args()
LORA = os.path.abspath(arguments.lora)
TEXTS = [(f"{opening} {thing} was {word}.", label) for opening in ("The", "Our", "That") for thing in ("soup", "film", "walk home", "repair")
         for word, label in (("awful", "bad"), ("cold and late", "bad"), ("a delight", "good"), ("better than I hoped", "good"))]

def lora(*words):
    done = subprocess.run([LORA, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"lora {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")

def train_classifier(folder):
    data = os.path.join(folder, "rows.csv")
    with open(data, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    output = os.path.join(folder, "reviews")
    lora("train", "--model", "minilm-l6", "--data", data, "--output", output, "--learning-rate", "3e-3", "--num-train-epochs", "2",
         "--per-device-train-batch-size", "8", "--validation-fraction", "0.4", "--mask-probability", "0.3", "--report-to", "tensorboard",
         "--metric-for-best-model", "f1", "--quiet")
    return output

def card(output):
    from huggingface_hub import ModelCard, metadata_eval_result
    found = ModelCard.load(os.path.join(output, "README.md"))
    data, results = found.data, json.load(open(os.path.join(output, "results.json")))
    assert data.library_name == "peft" and data.pipeline_tag == "text-classification", data
    assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2", data.base_model
    assert "lora" in data.tags and data.model_name == "reviews", data
    splits = {result.dataset_split for result in data.eval_results}
    assert splits == {"validation", "test"}, splits
    for result in data.eval_results:
        key = {"matthews_correlation": "matthews", "brier_score": "brier"}.get(result.metric_type, result.metric_type)
        methods = {f"({method['method']})": method["scores"] for method in results["scores"][result.dataset_split]}
        method = result.metric_name[result.metric_name.index("("):]
        assert result.metric_value == methods[method][key], (result, methods[method])
    # What the hub's own function makes of one of them has the same form as ours.
    one = data.eval_results[0]
    made = metadata_eval_result(model_pretty_name=data.model_name, task_pretty_name="", task_id=one.task_type, metrics_pretty_name=one.metric_name,
                                metrics_id=one.metric_type, metrics_value=one.metric_value, dataset_pretty_name=one.dataset_name,
                                dataset_id=one.dataset_type, dataset_split=one.dataset_split)
    theirs, ours = made["model-index"][0]["results"][0], data.to_dict()["model-index"][0]["results"][0]
    assert theirs["dataset"] == ours["dataset"], (theirs, ours)
    assert {name: theirs["metrics"][0][name] for name in ours["metrics"][0]} == ours["metrics"][0], (theirs, ours)
    return f"{len(data.eval_results)} scores"

def tensorboard(output):
    import numpy
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    events = EventAccumulator(output, size_guidance={"scalars": 0, "tensors": 0}).Reload()
    history = json.load(open(os.path.join(output, "results.json")))["history"]
    def compare(tag, rows, key):
        found = [(event.step, numpy.float32(event.value)) for event in events.Scalars(tag)]
        expected = [(row["step"], numpy.float32(row[key])) for row in rows]
        assert found == expected and expected, (tag, found, expected)
        return len(found)
    numbers = sum(compare(f"train/{key}", history["steps"], key) for key in ("loss", "grad_norm", "learning_rate"))
    numbers += sum(compare(tag, history["evaluations"], key) for tag, key in (("eval/loss", "loss"), ("eval/f1", "metric"), ("eval/ece", "ece")))
    text = events.Tensors("settings/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "learning_rate: 0.003" in text, text
    return f"{numbers} numbers"

def words_tokenizer(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast
    tokens = ["<unk>", "<eos>", "say", "sky", "blue", "grass", "green"]
    tokenizer = Tokenizer(models.WordLevel({token: place for place, token in enumerate(tokens)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<eos>", pad_token="<eos>").save_pretrained(folder)
    return len(tokens)

def gguf(folder):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM
    torch.manual_seed(3)
    sizes = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=32, tie_word_embeddings=False)
    families = {
        "llama": (LlamaForCausalLM, lambda vocabulary: LlamaConfig(vocab_size=vocabulary, **sizes), "all-linear"),
        "qwen2": (Qwen2ForCausalLM, lambda vocabulary: Qwen2Config(vocab_size=vocabulary, **sizes), ["q_proj", "k_proj", "down_proj"]),
        "gpt2": (GPT2LMHeadModel, lambda vocabulary: GPT2Config(vocab_size=vocabulary, n_embd=16, n_layer=2, n_head=4, n_positions=32, n_inner=24,
                                                                eos_token_id=1, bos_token_id=1), ["c_attn", "c_fc", "mlp.c_proj"]),
    }
    pairs = 0
    for name, (model_class, settings, targets) in families.items():
        base, adapter = (os.path.join(folder, f"{name}-{kind}") for kind in ("base", "peft"))
        model = model_class(settings(words_tokenizer(base)))
        model.save_pretrained(base)
        # Ranks and alphas of their own, and a B that is not zero.
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=10, target_modules=targets, init_lora_weights=False,
                                                   rank_pattern={"q_proj": 2, "c_fc": 2}, alpha_pattern={"down_proj": 3, "mlp.c_proj": 3}))
        adapted.save_pretrained(adapter)
        pairs += compare_gguf(folder, base, adapter, name)
    # Trained here, with plain masks: the alpha carries the expected update.
    base, trained, data = os.path.join(folder, "llama-base"), os.path.join(folder, "trained"), os.path.join(folder, "prompts.csv")
    with open(data, "w", encoding="utf-8") as file:
        file.write("text,completion\n" + "say sky,blue\nsay grass,green\n" * 8)
    lora("train", "--model", base, "--train-file", data, "--output", trained, "--problem-type", "causal_lm", "--text-column", "text",
         "--label-column", "completion", "--learning-rate", "1e-2", "--num-train-epochs", "2", "--per-device-train-batch-size", "4", "--r", "2",
         "--lora-alpha", "6", "--mask-probability", "0.5", "--mask-rescale", "plain", "--validation-fraction", "0", "--max-seq-length", "32", "--target-modules", "all-linear", "--quiet")
    alpha = json.load(open(os.path.join(trained, "adapter_config.json")))["lora_alpha"]
    assert alpha == 6 * 0.5 ** 2, alpha
    return f"{pairs + compare_gguf(folder, base, trained, 'llama')} pairs"

def compare_gguf(folder, base, adapter, family):
    import gguf, numpy, torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
    path = f"{adapter}.gguf"
    lora("export", "--format", "gguf", "--adapter", adapter, "--model", base, "--output", path)
    reader = gguf.GGUFReader(path)
    value = lambda key: reader.get_field(key).contents()
    architecture = {"llama": gguf.MODEL_ARCH.LLAMA, "qwen2": gguf.MODEL_ARCH.QWEN2, "gpt2": gguf.MODEL_ARCH.GPT2}[family]
    assert value(gguf.Keys.General.ARCHITECTURE) == gguf.MODEL_ARCH_NAMES[architecture]
    assert value(gguf.Keys.General.TYPE) == gguf.GGUFType.ADAPTER and value(gguf.Keys.Adapter.TYPE) == "lora"
    alpha = value(gguf.Keys.Adapter.LORA_ALPHA)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    settings, table = model.config, gguf.get_tensor_name_map(architecture, 2)
    there = PeftModel.from_pretrained(model, adapter)
    tensors = {tensor.name: torch.from_numpy(numpy.array(tensor.data)) for tensor in reader.tensors}
    def turned(weight, heads):
        # How llama.cpp's converter orders the rows of queries and keys of a LLaMA.
        return weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
    compared = 0
    for path_of, module in there.base_model.model.named_modules():
        if not hasattr(module, "lora_A") or "default" not in module.lora_A:
            continue
        name = table.get_name(path_of)
        a, b = tensors.pop(f"{name}.weight.lora_a"), tensors.pop(f"{name}.weight.lora_b")
        update = module.scaling["default"] * (module.lora_B["default"].weight @ module.lora_A["default"].weight).detach()
        if family == "llama" and path_of.endswith(("q_proj", "k_proj")):
            update = turned(update, settings.num_attention_heads if path_of.endswith("q_proj") else settings.num_key_value_heads)
        # What llama.cpp computes: alpha / rank, the rank being that of the pair.
        found = alpha / b.shape[1] * (b @ a)
        difference = (found - update).abs().max().item()
        assert found.shape == update.shape and difference <= 1e-6 * update.abs().max().item() and update.abs().max() > 1e-4, (name, difference)
        compared += 1
    assert not tensors, list(tensors)
    return compared

PACKAGES = {"card": ["huggingface_hub"], "tensorboard": ["tensorboard"], "gguf": ["gguf", "peft", "transformers"]}
passed = failed = skipped = 0
with tempfile.TemporaryDirectory() as folder:
    output = train_classifier(folder)
    for name, check in (("card", lambda: card(output)), ("tensorboard", lambda: tensorboard(output)), ("gguf", lambda: gguf(folder))):
        missing = [package for package in PACKAGES[name] if importlib.util.find_spec(package) is None]
        if missing:
            print(f"skip  {name}: there is no package {', '.join(missing)}")
            skipped += 1
            continue
        try:
            print(f"pass  {name}: {check()}")
            passed += 1
        except AssertionError as difference:
            print(f"FAIL  {name}: {difference}")
            failed += 1
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed else 0)
