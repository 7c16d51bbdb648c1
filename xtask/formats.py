"""Files that are written for others are read by the others' own packages, and hold the same numbers.

    python xtask/formats.py --lora target/release/lora      # or: cargo xtask interop --python PATH

card         huggingface_hub parses the README.md of a training, and finds the scores of results.json
tensorboard  its reader finds every loss, rate, norm and score of results.json in the event file, and the settings
mlflow       a real `mlflow server` on loopback has every loss, rate, norm and score of results.json, all settings and the end
gguf         gguf reads adapters of decoders: names are those of its own tables, and each pair of tensors is the update of PEFT's folder
merged       gguf reads merged models: every tensor has the bits that it makes itself of PEFT's merged weights, and every token its place
vllm         a classifier on a LLaMA is what vLLM's loader of adapters asks for, and merged what its classifiers are (read from its source, not run)
A part whose package is missing is skipped, and says so. Ends with "N passed, 0 failed, M skipped" and exit code 0.
"""
import argparse, contextlib, csv, json, os, re, socket, subprocess, sys, tempfile, time, urllib.request, warnings
import outcomes
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

def train_classifier(folder, name, *where):
    data = os.path.join(folder, "rows.csv")
    with open(data, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    output = os.path.join(folder, name)
    lora("train", "--model", "minilm-l6", "--data", data, "--output", output, "--learning-rate", "3e-3", "--num-train-epochs", "2",
         "--per-device-train-batch-size", "8", "--validation-fraction", "0.4", "--mask-probability", "0.3",
         "--metric-for-best-model", "f1", "--quiet", *where)
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

@contextlib.contextmanager
def mlflow_server(folder):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    log = open(os.path.join(folder, "mlflow.log"), "w+")
    server = subprocess.Popen([sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1", "--backend-store-uri",
                               f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", f"{folder}/artifacts"], stdout=log, stderr=log)
    try:
        for _ in range(240):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health")
                break
            assert server.poll() is None, open(log.name).read()
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()

def mlflow(folder):
    with mlflow_server(folder) as address:
        output = train_classifier(folder, "followed", "--report-to", "mlflow", "--mlflow-tracking-uri", address, "--mlflow-experiment-name", "ours & yours")
        from mlflow.tracking import MlflowClient
        client = MlflowClient(address)
        [run] = client.search_runs([client.get_experiment_by_name("ours & yours").experiment_id])
        assert run.info.status == "FINISHED" and run.info.run_name == "followed", run.info
        assert run.info.start_time <= run.info.end_time
        config = {key: value for key, value in json.load(open(os.path.join(output, "run.json")))["config"].items() if value is not None}
        assert run.data.params.keys() == config.keys(), run.data.params.keys() ^ config.keys()
        for key, value in config.items():
            found = run.data.params[key]
            assert found == value or json.loads(found) == value, (key, found, value)
        history, numbers = json.load(open(os.path.join(output, "results.json")))["history"], 0
        for tag, rows, key in (*((f"train/{key}", "steps", key) for key in ("loss", "grad_norm", "learning_rate")),
                               ("eval/loss", "evaluations", "loss"), ("eval/f1", "evaluations", "metric"), ("eval/ece", "evaluations", "ece")):
            found = [(metric.step, metric.value) for metric in client.get_metric_history(run.info.run_id, tag)]
            expected = [(row["step"], row[key]) for row in history[rows]]
            assert sorted(found) == expected and expected, (tag, found, expected)
            numbers += len(found)
        return f"{numbers} numbers, {len(config)} settings"

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

def bytes_tokenizer(folder, family):
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast
    tokenizer, bytes_of = Tokenizer(models.BPE()), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family == "llama")
    if family == "llama":
        # As SmolLM has it.
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), bytes_of])
    else:
        words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
        tokenizer.normalizer = normalizers.NFC()
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(words), "isolated"), bytes_of])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=["<|end|>", "<|start|>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator([text for text, _ in TEXTS], trainer)
    tokenizer.add_tokens(["<tool>"])
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<|start|>", eos_token="<|end|>", pad_token="<|end|>",
                                   chat_template="{% for message in messages %}{{ message.content }}{% endfor %}")
    made.save_pretrained(folder)
    return made

def merged(folder):
    import gguf, numpy, torch
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import (AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)
    torch.manual_seed(4)
    sizes = dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 max_position_embeddings=64, bos_token_id=1, eos_token_id=0, pad_token_id=0)
    llama3 = {"rope_type": "llama3", "rope_theta": 5e3, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}
    families = {
        "llama": (LlamaForCausalLM, LlamaConfig(tie_word_embeddings=False, rope_parameters=llama3, **sizes), gguf.MODEL_ARCH.LLAMA),
        "qwen2": (Qwen2ForCausalLM, Qwen2Config(tie_word_embeddings=True, **sizes), gguf.MODEL_ARCH.QWEN2),
        "qwen3": (Qwen3ForCausalLM, Qwen3Config(tie_word_embeddings=False, head_dim=24, **sizes), gguf.MODEL_ARCH.QWEN3),
    }
    types = {"f32": gguf.GGMLQuantizationType.F32, "f16": gguf.GGMLQuantizationType.F16, "q8_0": gguf.GGMLQuantizationType.Q8_0}
    compared = 0
    for family, (model_class, settings, architecture) in families.items():
        base, adapter = (os.path.join(folder, f"{family}-whole-{kind}") for kind in ("base", "peft"))
        tokenizer = bytes_tokenizer(base, family)
        model = model_class(settings)
        for name, parameter in model.named_parameters():
            # Norms that are not all one, and biases that are not all zero.
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.2)
        model.save_pretrained(base)
        get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=10, target_modules="all-linear", init_lora_weights=False)).save_pretrained(adapter)
        whole = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter).merge_and_unload().state_dict()
        table = gguf.get_tensor_name_map(architecture, settings.num_hidden_layers)
        def expected(name, tensor):
            heads = {"q_proj": settings.num_attention_heads, "k_proj": settings.num_key_value_heads}.get(name.split(".")[-2])
            if family == "llama" and heads:
                tensor = tensor.reshape(heads, 2, tensor.shape[0] // heads // 2, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)
            return tensor.numpy()
        whole = {table.get_name(name, (".weight", ".bias")) : expected(name, tensor) for name, tensor in whole.items()
                 if not (settings.tie_word_embeddings and name == "lm_head.weight")}
        folder_of = {}
        for dtype, kind in types.items():
            path = os.path.join(folder, f"{family}-{dtype}.gguf")
            lora("merge", "--adapter", adapter, "--model", base, "--format", "gguf", "--outtype", dtype, "--output", path)
            reader = gguf.GGUFReader(path)
            value = lambda key: reader.get_field(key.replace("{arch}", gguf.MODEL_ARCH_NAMES[architecture])).contents()
            assert value(gguf.Keys.General.ARCHITECTURE) == gguf.MODEL_ARCH_NAMES[architecture]
            assert value(gguf.Keys.General.FILE_TYPE) == {"f32": gguf.LlamaFileType.ALL_F32, "f16": gguf.LlamaFileType.MOSTLY_F16,
                                                          "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0}[dtype]
            for key, wanted in ((gguf.Keys.LLM.BLOCK_COUNT, 2), (gguf.Keys.LLM.CONTEXT_LENGTH, 64), (gguf.Keys.LLM.EMBEDDING_LENGTH, 64),
                                (gguf.Keys.LLM.FEED_FORWARD_LENGTH, 96), (gguf.Keys.Attention.HEAD_COUNT, 4), (gguf.Keys.Attention.HEAD_COUNT_KV, 2),
                                (gguf.Keys.Attention.KEY_LENGTH, settings.head_dim if family != "qwen2" else 16),
                                (gguf.Keys.LLM.VOCAB_SIZE, 320), (gguf.Keys.Rope.FREQ_BASE, settings.rope_parameters["rope_theta"]),
                                (gguf.Keys.Tokenizer.PRE, "smollm" if family == "llama" else "qwen2"), (gguf.Keys.Tokenizer.BOS_ID, 1),
                                (gguf.Keys.Tokenizer.EOS_ID, 0), (gguf.Keys.Tokenizer.ADD_BOS, False),
                                (gguf.Keys.Tokenizer.CHAT_TEMPLATE, tokenizer.chat_template)):
                assert value(key) == wanted, (family, key, value(key), wanted)
            assert numpy.isclose(value(gguf.Keys.Attention.LAYERNORM_RMS_EPS), settings.rms_norm_eps)
            tokens = value(gguf.Keys.Tokenizer.LIST)
            assert tokens[:len(tokenizer)] == tokenizer.convert_ids_to_tokens(range(len(tokenizer))) and len(tokens) == 320
            kinds = dict(zip(tokens, value(gguf.Keys.Tokenizer.TOKEN_TYPE)))
            assert (kinds["<|end|>"], kinds["<tool>"], kinds["a"], kinds["[PAD319]"]) == (3, 4, 1, 5), kinds
            tensors = {tensor.name: tensor for tensor in reader.tensors}
            if family == "llama":
                from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
                scaled = ROPE_INIT_FUNCTIONS["llama3"](settings, "cpu")[0].numpy()
                plain = 5e3 ** -(numpy.arange(0, 16, 2) / 16)
                assert numpy.allclose(tensors.pop("rope_freqs.weight").data, plain / scaled, rtol=1e-5)
            assert tensors.keys() == whole.keys(), tensors.keys() ^ whole.keys()
            for name, tensor in tensors.items():
                wanted = whole[name]
                used = kind if wanted.ndim == 2 else gguf.GGMLQuantizationType.F32
                assert tensor.tensor_type == used, (family, name, tensor.tensor_type)
                assert list(reversed(tensor.shape.tolist())) == list(wanted.shape), (name, tensor.shape)
                if dtype == "f32":
                    # PEFT adds the update in another order.
                    assert numpy.abs(tensor.data - wanted).max() <= 1e-6 * numpy.abs(wanted).max(), (family, name)
                    folder_of[name] = numpy.array(tensor.data)
                else:
                    assert numpy.array_equal(tensor.data, gguf.quants.quantize(folder_of[name], used)), (family, dtype, name)
                compared += 1
    return f"{compared} tensors"

def vllm(folder):
    import torch
    from safetensors import safe_open
    from transformers import AutoModelForSequenceClassification, LlamaConfig, LlamaForCausalLM
    base, trained, whole, data = (os.path.join(folder, name) for name in ("vllm-base", "vllm-adapter", "vllm-merged", "vllm.csv"))
    bytes_tokenizer(base, "llama")
    LlamaForCausalLM(LlamaConfig(vocab_size=320, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                                 max_position_embeddings=64, bos_token_id=1, eos_token_id=0, pad_token_id=0)).save_pretrained(base)
    with open(data, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *TEXTS])
    lora("train", "--model", base, "--data", data, "--output", trained, "--learning-rate", "1e-2", "--num-train-epochs", "1", "--per-device-train-batch-size",
         "8", "--r", "4", "--mask-probability", "0.5", "--max-seq-length", "32", "--target-modules", "all-linear", "--quiet")
    # vllm/lora/peft_helper.py and lora_model.py: one rank and one scale for all, no DoRA, and of modules in full these two alone.
    config = json.load(open(os.path.join(trained, "adapter_config.json")))
    assert config["peft_type"] == "LORA" and config["task_type"] == "SEQ_CLS", config
    assert not config["use_dora"] and config["bias"] == "none" and not config.get("lora_bias"), config
    assert config["modules_to_save"] == ["score"] and not config["rank_pattern"] and not config["alpha_pattern"], config
    with safe_open(os.path.join(trained, "adapter_model.safetensors"), "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    assert tensors.pop("base_model.model.score.weight").shape == (2, 16)
    linear = r"base_model\.model\.model\.layers\.[01]\.(self_attn\.[qkvo]|mlp\.(gate|up|down))_proj\.lora_([AB])\.weight"
    for name, tensor in tensors.items():
        found = re.fullmatch(linear, name)
        assert found and tensor.shape[found[3] == "B"] == config["r"] == 4, (name, tensor.shape)
    assert len(tensors) == 2 * 7 * 2, len(tensors)
    # What any version serves: a model of its own, with the class that it looks for.
    lora("merge", "--adapter", trained, "--output", whole)
    config = json.load(open(os.path.join(whole, "config.json")))
    assert config["architectures"] == ["LlamaForSequenceClassification"] and config["id2label"] == {"0": "bad", "1": "good"}, config
    model, loading = AutoModelForSequenceClassification.from_pretrained(whole, dtype=torch.float32, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"], loading
    return f"{len(tensors)} factors, a head of {model.num_labels} labels"

with tempfile.TemporaryDirectory() as folder:
    output = train_classifier(folder, "reviews", "--report-to", "tensorboard")
    sys.exit(outcomes.report({
        "card": (["huggingface_hub"], lambda: card(output)),
        "tensorboard": (["tensorboard"], lambda: tensorboard(output)),
        "mlflow": (["mlflow"], lambda: mlflow(folder)),
        "gguf": (["gguf", "peft", "transformers"], lambda: gguf(folder)),
        "merged": (["gguf", "peft", "transformers"], lambda: merged(folder)),
        "vllm": (["torch", "transformers"], lambda: vllm(folder)),
    }))
