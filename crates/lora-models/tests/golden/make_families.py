"""Writes reference cases for families, heads and file layouts: what Transformers and PEFT compute on tiny random models.

    python make_families.py            # writes models/, adapters/ and lora_dropout/ beside this file
    python make_families.py --out DIR --seed 5 --hidden 24 --heads 3 --layers 3 --rank 3
    python make_families.py --only modernbert    # those cases alone whose names begin so

Needs torch, transformers, peft, safetensors; their versions are in each io.json. `cargo xtask golden --dir` runs the folders
too. A case holds

    base/               config.json and weights: one file, several with an index, or pytorch_model.bin
    adapter/            for adapters: what PEFT saves
    io.safetensors      input_ids, attention_mask, token_type_ids; hidden.N; logits, or start_logits and end_logits;
                        for adapters also base.*: the same without the adapter;
                        for lora_dropout memberK.mask_{a,b}.PATH and memberK.{plain,rescaled}.{logits,loss,grad_{a,b}.PATH}
    io.json             versions, settings, what the case is for
"""

import argparse
import json
import os
import shutil

import peft
import torch
import transformers as tf
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

parser = argparse.ArgumentParser()
parser.add_argument("--out", default=os.path.dirname(os.path.abspath(__file__)))
parser.add_argument("--seed", type=int, default=23)
parser.add_argument("--hidden", type=int, default=12)
parser.add_argument("--heads", type=int, default=3)
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--rank", type=int, default=2)
parser.add_argument("--only", default="")
options = parser.parse_args()

HIDDEN, HEADS, LAYERS, RANK = options.hidden, options.heads, options.layers, options.rank
VOCAB, LABELS, ROWS, LENGTH, POSITIONS = 31, 4, 3, 11, 20
tf.logging.set_verbosity_error()
tf.logging.disable_progress_bar()

shared = dict(
    hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, intermediate_size=2 * HIDDEN + 1,
    vocab_size=VOCAB, num_labels=LABELS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
    max_position_embeddings=POSITIONS, pad_token_id=0,
)


def bert(**more):
    return tf.BertConfig(**{**shared, **more})


def roberta(config=tf.RobertaConfig, **more):
    return config(**{**shared, "pad_token_id": 1, "type_vocab_size": 1, **more})


def electra(**more):
    return tf.ElectraConfig(**{**shared, "embedding_size": HIDDEN // 2 + 1, **more})


def distilbert(**more):
    names = dict(
        dim=HIDDEN, hidden_dim=2 * HIDDEN + 1, n_layers=LAYERS, n_heads=HEADS, vocab_size=VOCAB, num_labels=LABELS,
        max_position_embeddings=POSITIONS, dropout=0.0, attention_dropout=0.0, seq_classif_dropout=0.0, pad_token_id=0,
    )
    return tf.DistilBertConfig(**{**names, **more})


def deberta_v3(**more):
    """The settings of the published v3 checkpoints, with few buckets, so that the logarithm counts."""
    published = dict(
        type_vocab_size=0, relative_attention=True, position_buckets=6, norm_rel_ebd="layer_norm", share_att_key=True,
        pos_att_type=["p2c", "c2p"], position_biased_input=False, pooler_hidden_size=HIDDEN, pooler_dropout=0.0,
    )
    return tf.DebertaV2Config(**{**shared, **published, **more})


def deberta_v2(**more):
    """Everything that v3 leaves out: convolution, own projections of positions, absolute positions, segments, small embeddings."""
    settings = dict(
        type_vocab_size=2, position_biased_input=True, share_att_key=False, position_buckets=-1, max_relative_positions=5,
        norm_rel_ebd="none", embedding_size=HIDDEN - 1, conv_kernel_size=3, conv_act="gelu", pooler_hidden_act="tanh",
    )
    return deberta_v3(**{**settings, **more})


def modernbert(**more):
    """Windows that reach two places to either side, in two of four layers, and frequencies that differ from layer to layer."""
    settings = dict(
        hidden_size=HIDDEN, num_hidden_layers=4, num_attention_heads=HEADS, intermediate_size=2 * HIDDEN + 1, vocab_size=VOCAB,
        num_labels=LABELS, max_position_embeddings=POSITIONS, pad_token_id=0, bos_token_id=1, cls_token_id=1, eos_token_id=2,
        sep_token_id=2, local_attention=4, rope_parameters={
            "full_attention": {"rope_type": "default", "rope_theta": 300.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 20.0},
        },
    )
    return tf.ModernBertConfig(**{**settings, **more})


MODELS = {
    "bert_tokens": lambda: tf.BertForTokenClassification(bert()),
    "bert_untied_mlm": lambda: tf.BertForMaskedLM(bert(tie_word_embeddings=False)),
    "bert_relu_seqcls": lambda: tf.BertForSequenceClassification(bert(hidden_act="relu")),
    "roberta_tokens": lambda: tf.RobertaForTokenClassification(roberta()),
    "roberta_qa": lambda: tf.RobertaForQuestionAnswering(roberta(num_labels=2)),
    "roberta_mlm": lambda: tf.RobertaForMaskedLM(roberta()),
    "xlmr_seqcls": lambda: tf.XLMRobertaForSequenceClassification(roberta(tf.XLMRobertaConfig)),
    "electra_seqcls": lambda: tf.ElectraForSequenceClassification(electra()),
    "electra_tokens": lambda: tf.ElectraForTokenClassification(electra(embedding_size=HIDDEN)),
    "electra_qa": lambda: tf.ElectraForQuestionAnswering(electra(num_labels=2)),
    "electra_mlm": lambda: tf.ElectraForMaskedLM(electra()),
    "distilbert_seqcls": lambda: tf.DistilBertForSequenceClassification(distilbert()),
    "distilbert_tokens": lambda: tf.DistilBertForTokenClassification(distilbert()),
    "distilbert_qa": lambda: tf.DistilBertForQuestionAnswering(distilbert(num_labels=2, qa_dropout=0.0)),
    "distilbert_mlm": lambda: tf.DistilBertForMaskedLM(distilbert()),
    "debertav3_tokens": lambda: tf.DebertaV2ForTokenClassification(deberta_v3()),
    "debertav3_mlm": lambda: tf.DebertaV2ForMaskedLM(deberta_v3()),
    "debertav2_seqcls": lambda: tf.DebertaV2ForSequenceClassification(deberta_v2()),
    "debertav2_mlm": lambda: tf.DebertaV2ForMaskedLM(deberta_v2(pos_att_type="c2p", legacy=False, embedding_size=HIDDEN)),
    "debertav2_absolute_qa": lambda: tf.DebertaV2ForQuestionAnswering(deberta_v2(relative_attention=False, num_labels=2)),
}
def decoder(config, **more):
    """A decoder of twice the heads of keys, and frequencies as `more` has them."""
    settings = dict(
        hidden_size=2 * HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS * 2, num_key_value_heads=HEADS,
        intermediate_size=2 * HIDDEN + 1, vocab_size=VOCAB, max_position_embeddings=POSITIONS, pad_token_id=0,
        bos_token_id=1, eos_token_id=2,
    )
    tied = more.pop("tie_word_embeddings", False)
    return config(**settings, tie_word_embeddings=tied, rope_parameters={"rope_theta": 100.0, **more})


MODELS["llama_yarn"] = lambda: tf.LlamaForCausalLM(
    decoder(tf.LlamaConfig, rope_type="yarn", factor=4.0, original_max_position_embeddings=30, beta_fast=2.0, beta_slow=0.3)
)
MODELS["qwen2_yarn"] = lambda: tf.Qwen2ForCausalLM(
    decoder(tf.Qwen2Config, rope_type="yarn", factor=3.0, original_max_position_embeddings=60, mscale=0.7, mscale_all_dim=0.4,
            truncate=False)
)
MODELS["gpt2_causal"] = lambda: tf.GPT2LMHeadModel(
    tf.GPT2Config(vocab_size=VOCAB, n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, n_positions=POSITIONS, resid_pdrop=0.0,
                  embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, pad_token_id=0)
)
MODELS["llama_tokens"] = lambda: tf.LlamaForTokenClassification(decoder(tf.LlamaConfig))
WITH_BIASES = dict(norm_bias=True, attention_bias=True, mlp_bias=True, classifier_bias=True)
MODELS.update({
    "modernbert_seqcls": lambda: tf.ModernBertForSequenceClassification(modernbert()),
    "modernbert_mean_seqcls": lambda: tf.ModernBertForSequenceClassification(
        modernbert(classifier_pooling="mean", hidden_activation="silu", classifier_activation="relu", **WITH_BIASES)
    ),
    "modernbert_layer_types_seqcls": lambda: tf.ModernBertForSequenceClassification(
        modernbert(layer_types=["sliding_attention", "full_attention", "full_attention", "sliding_attention"], local_attention=7)
    ),
    "modernbert_tokens": lambda: tf.ModernBertForTokenClassification(modernbert()),
    "modernbert_qa": lambda: tf.ModernBertForQuestionAnswering(modernbert(num_labels=2)),
    "modernbert_mlm": lambda: tf.ModernBertForMaskedLM(modernbert()),
    "modernbert_untied_mlm": lambda: tf.ModernBertForMaskedLM(modernbert(tie_word_embeddings=False, **WITH_BIASES)),
    "modernbert_plain_mlm": lambda: tf.ModernBertForMaskedLM(modernbert(decoder_bias=False)),
})
def llama(tied, **more):
    return tf.LlamaForCausalLM(decoder(tf.LlamaConfig, tie_word_embeddings=tied, **more))


TIED, UNTIED = (lambda: llama(True)), (lambda: llama(False))
LAYOUTS = {
    "llama_output_only": (TIED, "output-only"),
    "llama_output_differs": (TIED, "output-differs"),
    "llama_compiled": (UNTIED, "compiled"),
    "llama_seqcls_ends_in_padding": (lambda: tf.LlamaForSequenceClassification(decoder(tf.LlamaConfig)), "ends-in-padding"),
    "modernbert_4_config": (lambda: tf.ModernBertForSequenceClassification(modernbert()), "config-before-5"),
    "modernbert_scaled": (lambda: tf.ModernBertForSequenceClassification(modernbert()), "scaled"),
    "bert_sharded": (lambda: tf.BertForTokenClassification(bert()), "sharded"),
    "distilbert_bin": (lambda: tf.DistilBertForTokenClassification(distilbert()), "bin"),
    "roberta_f16_bin": (lambda: tf.RobertaForSequenceClassification(roberta()), "bin-f16"),
    "debertav3_old_bin": (lambda: tf.DebertaV2ForSequenceClassification(deberta_v3()), "bin-before-1.6"),
    "electra_bf16": (lambda: tf.ElectraForSequenceClassification(electra()), "bf16"),
}
ADAPTERS = {
    "electra_seqcls_lora": (MODELS["electra_seqcls"], "SEQ_CLS", ["query", "value"]),
    "electra_seqcls_all_linear": (MODELS["electra_seqcls"], "SEQ_CLS", "all-linear"),
    "distilbert_seqcls_lora": (MODELS["distilbert_seqcls"], "SEQ_CLS", ["q_lin", "v_lin"]),
    "roberta_tokens_lora": (MODELS["roberta_tokens"], "TOKEN_CLS", ["query", "value"]),
    "distilbert_qa_lora": (MODELS["distilbert_qa"], "QUESTION_ANS", ["q_lin", "out_lin"]),
    "debertav2_seqcls_lora": (MODELS["debertav2_seqcls"], "SEQ_CLS", ["query_proj", "pos_key_proj", "pos_query_proj"]),
}
# Adapters on the two ends of a language model, which are one tensor in a tied base.
ADAPTERS.update({
    "ends_untied_lm_head": (UNTIED, "CAUSAL_LM", ["q_proj", "lm_head"]),
    "ends_untied_both": (UNTIED, "CAUSAL_LM", ["embed_tokens", "lm_head"]),
    "ends_untied_saved": (UNTIED, "CAUSAL_LM", ["q_proj"], dict(modules_to_save=["lm_head", "embed_tokens"])),
    "ends_tied_lm_head": (TIED, "CAUSAL_LM", ["q_proj", "lm_head"]),
    "ends_tied_embed": (TIED, "CAUSAL_LM", ["q_proj", "embed_tokens"]),
    "ends_tied_both": (TIED, "CAUSAL_LM", ["embed_tokens", "lm_head"]),
    "ends_tied_saved_lm_head": (TIED, "CAUSAL_LM", ["q_proj"], dict(modules_to_save=["lm_head"])),
    "ends_tied_saved_embed": (TIED, "CAUSAL_LM", ["q_proj"], dict(modules_to_save=["embed_tokens"])),
    "ends_tied_kept_tied": (TIED, "CAUSAL_LM", ["q_proj", "embed_tokens"], dict(ensure_weight_tying=True)),
    "ends_tied_lm_head_kept_tied": (TIED, "CAUSAL_LM", ["q_proj", "lm_head"], dict(ensure_weight_tying=True)),
    "ends_tied_saved_kept_tied": (TIED, "CAUSAL_LM", ["q_proj"], dict(modules_to_save=["embed_tokens"], ensure_weight_tying=True)),
    "ends_gpt2_lm_head": (MODELS["gpt2_causal"], "CAUSAL_LM", ["c_attn", "lm_head"]),
})
# Trained biases, of heads with parts and of masked language models, whose decoder's bias PEFT writes under two names.
ALL_BIASES = dict(bias="all")
ADAPTERS.update({
    "bias_roberta_seqcls": (lambda: tf.RobertaForSequenceClassification(roberta()), "SEQ_CLS", ["query", "value"], ALL_BIASES),
    "bias_roberta_mlm": (MODELS["roberta_mlm"], None, ["query", "dense"], ALL_BIASES),
    "bias_bert_untied_mlm": (MODELS["bert_untied_mlm"], None, ["query", "value"], ALL_BIASES),
    "bias_bert_mlm_decoder": (lambda: tf.BertForMaskedLM(bert()), None, ["query", "decoder"], ALL_BIASES),
})
# Transformers calls the backbone below this head `transformer`, and below the others `model`.
ADAPTERS["qwen2_qa_lora"] = (lambda: tf.Qwen2ForQuestionAnswering(decoder(tf.Qwen2Config)), "QUESTION_ANS", ["q_proj", "v_proj"])
ADAPTERS["llama_tokens_lora"] = (MODELS["llama_tokens"], "TOKEN_CLS", ["q_proj", "v_proj"])
ADAPTERS.update({
    "modernbert_seqcls_lora": (MODELS["modernbert_mean_seqcls"], "SEQ_CLS", ["Wqkv"]),
    "modernbert_seqcls_all_linear": (MODELS["modernbert_seqcls"], "SEQ_CLS", "all-linear"),
    "modernbert_tokens_lora": (MODELS["modernbert_tokens"], "TOKEN_CLS", ["Wqkv", "Wo", "Wi"]),
    "modernbert_mlm_lora": (MODELS["modernbert_mlm"], None, ["Wqkv", "dense"]),
})
DROPOUT = {
    "debertav3_seqcls": (lambda: tf.DebertaV2ForSequenceClassification(deberta_v3()), "SEQ_CLS", ["query_proj", "key_proj"]),
    "modernbert_seqcls": (MODELS["modernbert_mean_seqcls"], "SEQ_CLS", ["Wqkv", "Wo"]),
    "modernbert_tokens": (MODELS["modernbert_tokens"], "TOKEN_CLS", ["Wqkv", "Wi"]),
    "modernbert_mlm": (MODELS["modernbert_mlm"], None, ["Wqkv", "Wo", "Wi"]),
}

# The error of float32 gradients up to which a draw of LoRA Dropout is taken; the tolerance of `cargo xtask golden` is 1e-3.
ROUNDING = 5e-4


def built(make):
    model = make().eval()
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        parameter.data = 0.3 * noise if parameter.dim() > 1 else parameter.data + 0.05 * noise
    model.tie_weights()
    return model


def inputs(model):
    config = model.config
    ids = torch.randint(3, VOCAB, (ROWS, LENGTH))
    mask = torch.ones_like(ids)
    for row, real in enumerate((LENGTH, 7, 2)):
        mask[row, real:] = 0
        ids[row, real:] = config.pad_token_id
    batch = {"input_ids": ids, "attention_mask": mask}
    if config.model_type in ("bert", "electra") or getattr(config, "type_vocab_size", 0) > 1:
        segments = torch.zeros_like(ids)
        segments[:, 4:] = 1
        batch["token_type_ids"] = segments * mask
    return batch


def outputs(model, batch):
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True)
    named = {f"hidden.{index}": hidden for index, hidden in enumerate(found.hidden_states)}
    for name in ("logits", "start_logits", "end_logits"):
        if getattr(found, name, None) is not None:
            named[name] = getattr(found, name)
    return named


def write_old_config(path):
    """ModernBERT's settings as Transformers 4 wrote them."""
    with open(path) as file:
        config = json.load(file)
    del config["layer_types"]
    ropes = config.pop("rope_parameters")
    config["global_attn_every_n_layers"] = 3
    config["global_rope_theta"] = ropes["full_attention"]["rope_theta"]
    config["local_rope_theta"] = ropes["sliding_attention"]["rope_theta"]
    with open(path, "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def scale_positions(path):
    """A scaling of positions beside the bases of the layers, in the key of Transformers 4."""
    with open(path) as file:
        config = json.load(file)
    config["rope_scaling"] = {"rope_type": "linear", "factor": 2.0}
    with open(path, "w") as file:
        json.dump(config, file, indent=2)
        file.write("\n")


def rewrite(path, layout):
    """Files that tools other than `save_pretrained` write."""
    table, output = "model.embed_tokens.weight", "lm_head.weight"
    tensors = load_file(path)
    if layout == "output-only":  # as tools that save one name of a shared tensor do
        tensors[output] = tensors.pop(table)
    elif layout == "output-differs":  # one of the two was trained, and config.json still says that they are tied
        tensors[output] = tensors[table].roll(1, 0).contiguous()
    else:  # the state of a model that torch.compile has wrapped
        tensors = {f"_orig_mod.{name}": tensor for name, tensor in tensors.items()}
    save_file(tensors, path, metadata={"format": "pt"})


def save_base(model, folder, layout="one"):
    base = f"{folder}/base"
    os.makedirs(base, exist_ok=True)
    if layout.endswith("f16"):
        model.to(torch.bfloat16 if layout == "bf16" else torch.float16)
    model.save_pretrained(base, **({"max_shard_size": "6KB"} if layout == "sharded" else {}))
    if layout in ("output-only", "output-differs", "compiled"):
        rewrite(f"{base}/model.safetensors", layout)
    if layout == "config-before-5":
        write_old_config(f"{base}/config.json")
    if layout == "scaled":
        scale_positions(f"{base}/config.json")
    if layout.startswith("bin"):
        os.remove(f"{base}/model.safetensors")
        modern = layout != "bin-before-1.6"
        torch.save(model.state_dict(), f"{base}/pytorch_model.bin", _use_new_zipfile_serialization=modern)
    model.float()  # what the file holds, computed in float32


def write(folder, tensors, **notes):
    shaped = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    save_file(shaped, f"{folder}/io.safetensors")
    versions = dict(torch=torch.__version__, transformers=tf.__version__, peft=peft.__version__)
    settings = dict(seed=options.seed, hidden=HIDDEN, heads=HEADS, layers=LAYERS, rank=RANK)
    with open(f"{folder}/io.json", "w") as file:
        json.dump({**versions, **settings, **notes}, file, indent=1)
        file.write("\n")


def adapted(model, task, targets, more={}):
    config = LoraConfig(r=RANK, lora_alpha=2 * RANK + 1, task_type=task, target_modules=targets, **more)
    model = get_peft_model(model, config).eval()
    trains_more = more.get("modules_to_save") or more.get("bias")
    for name, parameter in model.named_parameters():
        if "lora_B" in name or "lora_embedding_A" in name or trains_more and parameter.requires_grad:
            parameter.data.normal_(0, 0.3)
    return model


def save_adapter(model, folder):
    model.save_pretrained(f"{folder}/adapter")
    os.remove(f"{folder}/adapter/README.md")


def chosen(cases):
    return {name: case for name, case in cases.items() if name.startswith(options.only)}


def fresh(kind, name, draw=0):
    # A case has the same numbers whatever stands before it.
    torch.manual_seed(options.seed * 1000 + sum(map(ord, f"{kind}/{name}")) + 1_000_000 * draw)
    folder = f"{options.out}/{kind}/{name}"
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


for name, (make, layout) in chosen({**{name: (make, "one") for name, make in MODELS.items()}, **LAYOUTS}).items():
    folder = fresh("models", name)
    model = built(make)
    save_base(model, folder, layout)
    if layout.startswith("output-") or layout == "scaled":
        model = type(model).from_pretrained(f"{folder}/base").eval()
    batch = inputs(model)
    if layout == "ends-in-padding":  # texts whose own last tokens are the padding token, as where that is the end of a text
        batch["input_ids"][0, -1] = model.config.pad_token_id
        batch["input_ids"][1, 5:7] = model.config.pad_token_id
    write(folder, {**batch, **outputs(model, batch)}, case="forward", layout=layout)

for name, (make, task, targets, *more) in chosen(ADAPTERS).items():
    folder = fresh("adapters", name)
    model = built(make)
    save_base(model, folder)
    batch = inputs(model)
    plain = {f"base.{key}": value for key, value in outputs(model, batch).items()}
    model = adapted(model, task, targets, *more)
    save_adapter(model, folder)
    write(folder, {**batch, **plain, **outputs(model, batch)}, case="forward with a PEFT adapter", task_type=task)

def gradients(model, factors, originals, masks, kept, batch, labels):
    """Logits, loss and gradients of one masked pass. A masked factor is the factor times its mask: columns of A, rows of B. The
    gradient follows by the same mask."""
    for path, (a, b) in factors.items():
        a.data = (originals[path][0] * masks[path][0] * kept).to(a.dtype)
        b.data = (originals[path][1] * masks[path][1].unsqueeze(1) * kept).to(b.dtype)
    model.zero_grad(set_to_none=True)
    found = model(**batch, labels=labels)
    found.loss.backward()
    tensors = {"logits": found.logits.detach(), "loss": found.loss.detach().reshape(1)}
    for path, (a, b) in factors.items():
        tensors[f"grad_a.{path}"] = a.grad * masks[path][0] * kept
        tensors[f"grad_b.{path}"] = b.grad * masks[path][1].unsqueeze(1) * kept
    return tensors


def rounding(tensors, exact):
    """The largest error of float32 gradients, measured as `cargo xtask golden` measures ours."""
    def of(found, right):
        return ((found - right).abs() / torch.maximum(right.abs(), 1e-2 * right.abs().max())).max().item()

    return max(of(tensors[key].double(), exact[key]) for key in exact if key.startswith("grad"))


def dropout_case(make, task, targets, folder, p=0.4):
    """The tensors of a case, and how far its float32 gradients are from those in float64."""
    model = built(make)
    save_base(model, folder)
    batch = inputs(model)
    if task == "SEQ_CLS":
        labels = torch.randint(0, LABELS, (ROWS,))
    else:
        labels = torch.randint(0, LABELS if task else VOCAB, (ROWS, LENGTH))
        labels[batch["attention_mask"] == 0] = -100
    model = adapted(model, task, targets)
    save_adapter(model, folder)
    layers = {key.removeprefix("base_model.model."): part for key, part in model.named_modules() if hasattr(part, "lora_A")}
    factors = {path: (part.lora_A["default"].weight, part.lora_B["default"].weight) for path, part in layers.items()}
    originals = {path: (a.detach().clone(), b.detach().clone()) for path, (a, b) in factors.items()}
    tensors = {**batch, "labels": labels}
    passes = {}
    for member in range(2):
        masks = {
            path: (torch.bernoulli(torch.full((a.shape[1],), 1 - p)), torch.bernoulli(torch.full((b.shape[0],), 1 - p)))
            for path, (a, b) in originals.items()
        }
        for path, (mask_a, mask_b) in masks.items():
            tensors[f"member{member}.mask_a.{path}"] = mask_a
            tensors[f"member{member}.mask_b.{path}"] = mask_b
        for convention, kept in (("plain", 1.0), ("rescaled", 1 / (1 - p))):
            found = gradients(model, factors, originals, masks, kept, batch, labels)
            tensors |= {f"member{member}.{convention}.{key}": tensor for key, tensor in found.items()}
            passes[member, convention] = (masks, kept, found)
    model.double()
    exact = {key: gradients(model, factors, originals, masks, kept, batch, labels) for key, (masks, kept, _) in passes.items()}
    return tensors, max(rounding(passes[key][2], exact[key]) for key in exact)


for name, case in chosen(DROPOUT).items():
    for draw in range(20):
        folder = fresh("lora_dropout", name, draw)
        tensors, error = dropout_case(*case, folder)
        # Where PyTorch's own float32 is off by half of what we may be, the reference says nothing about us.
        if error < ROUNDING:
            break
    else:
        raise SystemExit(f"{name}: no draw has gradients that float32 can hold")
    write(folder, tensors, case="LoRA Dropout under given masks", p=0.4, draw=draw, rounding=error)
