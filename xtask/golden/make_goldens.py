"""Writes reference cases ("goldens") computed by Hugging Face Transformers and PEFT on tiny random models.

    python make_goldens.py --out goldens --seed 7
    python make_goldens.py --out . --seed 11 --hidden 24 --heads 3 --layers 2 --rank 3 --only bert_seqcls   # the cases committed here, without adalora, dora and pissa

Needs: torch, transformers, peft, safetensors (versions used are recorded in each io.json).
Every case is a folder: base/ (config.json, model.safetensors), optionally adapter/ (PEFT files), and
io.safetensors (inputs and expected outputs, float32 or int64) plus io.json (notes, versions).

  models/<family>_<head>     forward outputs of a base model
  adapters/<family>_<kind>   forward outputs with a PEFT adapter, plus the base outputs without it
  training/<family>_<kind>   loss and gradients at step 0, then losses of 10 AdamW steps and the final adapter
  lora_dropout/<family>      outputs and gradients under given A-column / B-row masks (rescaled and not)
"""
import argparse, json, math, os, shutil, warnings
warnings.filterwarnings("ignore")
import torch, transformers, peft
from safetensors.torch import save_file
from transformers import (
    BertConfig, BertModel, BertForSequenceClassification, BertForQuestionAnswering, BertForMaskedLM,
    RobertaConfig, RobertaForSequenceClassification,
    DebertaV2Config, DebertaV2ForSequenceClassification, DebertaV2ForQuestionAnswering,
    LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification,
    MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM,
    GPT2Config, GPT2LMHeadModel)
from peft import LoraConfig, AdaLoraConfig, get_peft_model

transformers.logging.set_verbosity_error()
ap = argparse.ArgumentParser()
ap.add_argument("--out", required=True)
ap.add_argument("--seed", type=int, default=7)
ap.add_argument("--hidden", type=int, default=16)
ap.add_argument("--heads", type=int, default=2)
ap.add_argument("--layers", type=int, default=2)
ap.add_argument("--rank", type=int, default=4)
ap.add_argument("--only", default="", help="keep only cases whose name begins with this")
args = ap.parse_args()
H, HEADS, L, R = args.hidden, args.heads, args.layers, args.rank
VOCAB, LABELS, BATCH, LEN = 50, 3, 4, 9

enc = dict(hidden_size=H, num_hidden_layers=L, num_attention_heads=HEADS, intermediate_size=2 * H, vocab_size=VOCAB,
           num_labels=LABELS, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, max_position_embeddings=40)
dec = dict(hidden_size=H, num_hidden_layers=L, num_attention_heads=HEADS, intermediate_size=2 * H, vocab_size=VOCAB,
           num_labels=LABELS, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2)
bert = lambda **k: BertConfig(**{**enc, **k}, pad_token_id=0)
roberta = lambda: RobertaConfig(**enc, pad_token_id=1, bos_token_id=0, eos_token_id=2)
# The relative-position settings of the published DeBERTa-v3 checkpoints.
debertav3 = lambda **k: DebertaV2Config(**{**enc, "type_vocab_size": 0, **k}, pad_token_id=0, relative_attention=True, position_buckets=8,
    norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type=["p2c", "c2p"], position_biased_input=False,
    max_relative_positions=-1, pooler_hidden_size=H, pooler_dropout=0.0, pooler_hidden_act="gelu")
llama = lambda **k: LlamaConfig(**dec, num_key_value_heads=max(1, HEADS // 2), **k)
FAMILIES = {
    "bert_seqcls": lambda: BertForSequenceClassification(bert()),
    "bert_qa": lambda: BertForQuestionAnswering(bert(num_labels=2)),
    "bert_mlm": lambda: BertForMaskedLM(bert()),
    "roberta_seqcls": lambda: RobertaForSequenceClassification(roberta()),
    "debertav3_seqcls": lambda: DebertaV2ForSequenceClassification(debertav3()),
    "debertav3_qa": lambda: DebertaV2ForQuestionAnswering(debertav3(num_labels=2)),
    "llama_causal": lambda: LlamaForCausalLM(llama()),
    "llama_tied_causal": lambda: LlamaForCausalLM(llama(tie_word_embeddings=True)),
    "llama31_causal": lambda: LlamaForCausalLM(LlamaConfig(**{**dec, "max_position_embeddings": 64}, num_key_value_heads=max(1, HEADS // 2),
        rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 16})),
    "llama_seqcls": lambda: LlamaForSequenceClassification(llama()),
    "mistral_causal": lambda: MistralForCausalLM(MistralConfig(**dec, num_key_value_heads=max(1, HEADS // 2), sliding_window=4)),
    "qwen2_causal": lambda: Qwen2ForCausalLM(Qwen2Config(**dec, num_key_value_heads=max(1, HEADS // 2))),
    "qwen3_causal": lambda: Qwen3ForCausalLM(Qwen3Config(**dec, num_key_value_heads=max(1, HEADS // 2), head_dim=H // HEADS)),
    "gpt2_causal": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_embd=H, n_layer=L, n_head=HEADS, n_positions=64,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, pad_token_id=0, bos_token_id=1, eos_token_id=2)),
}
TARGETS = {"bert": ["query", "value"], "roberta": ["query", "value"], "debertav3": ["query_proj", "value_proj"],
           "llama": ["q_proj", "v_proj"], "gpt2": ["c_attn"], "qwen2": ["q_proj", "v_proj"]}

def build(name):
    model = FAMILIES[name]().eval()
    for p in model.parameters():
        p.data = torch.randn_like(p) * 0.3 if p.dim() > 1 else p.data + torch.randn_like(p) * 0.05
    model.tie_weights()
    return model

def batch(model):
    pad = model.config.pad_token_id
    ids = torch.randint(3, VOCAB, (BATCH, LEN)); mask = torch.ones_like(ids)
    mask[1, 6:] = 0; ids[1, 6:] = pad
    mask[3, 4:] = 0; ids[3, 4:] = pad
    x = {"input_ids": ids, "attention_mask": mask}
    if "bert" == model.config.model_type:
        types = torch.zeros_like(ids); types[:, 5:] = 1; x["token_type_ids"] = types * mask
    return x

def outputs(model, x):
    o = model(**x, output_hidden_states=True)
    out = {f"hidden.{i}": h for i, h in enumerate(o.hidden_states)}
    for k in ("logits", "start_logits", "end_logits"):
        if getattr(o, k, None) is not None: out[k] = getattr(o, k)
    return {k: v.detach().float().contiguous() for k, v in out.items()}

def write(path, tensors, **notes):
    save_file({k: v.clone().contiguous() for k, v in tensors.items()}, f"{path}/io.safetensors")
    json.dump(dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__, **notes),
              open(f"{path}/io.json", "w"), indent=1)

def save_base(model, path):
    os.makedirs(path, exist_ok=True); model.save_pretrained(path + "/base")
    for f in os.listdir(path + "/base"):
        if f not in ("config.json", "model.safetensors"): os.remove(f"{path}/base/{f}")

def save_adapter(pm, path):
    pm.save_pretrained(path)
    for f in os.listdir(path):
        if f not in ("adapter_config.json", "adapter_model.safetensors"): os.remove(f"{path}/{f}")

root = args.out
for kind in ("models", "adapters", "training", "lora_dropout"): shutil.rmtree(f"{root}/{kind}", ignore_errors=True)
torch.manual_seed(args.seed)
for name in FAMILIES:
    path = f"{root}/models/{name}"; model = build(name); x = batch(model); save_base(model, path)
    write(path, {**x, **outputs(model, x)}, case="base forward, eval mode")

KINDS = {
    "lora": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, lora_dropout=0.1, task_type=tt, target_modules=t),
    "rslora_patterns": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, use_rslora=True, rank_pattern={t[0]: 2}, alpha_pattern={t[-1]: 32}, task_type=tt, target_modules=t),
    "all_linear": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, task_type=tt, target_modules="all-linear"),
    "last_layer": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, task_type=tt, target_modules=t, layers_to_transform=[L - 1]),
    "dora": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, use_dora=True, task_type=tt, target_modules=t),
    "pissa": lambda t, tt: LoraConfig(r=R, lora_alpha=R, init_lora_weights="pissa", task_type=tt, target_modules=t),
    "bias_lora_only": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, bias="lora_only", task_type=tt, target_modules=t),
    "pooler": lambda t, tt: LoraConfig(r=R, lora_alpha=2 * R, task_type=tt, target_modules=t, modules_to_save=["classifier", "pooler"]),
    "adalora": lambda t, tt: AdaLoraConfig(init_r=6, target_r=3, lora_alpha=16, tinit=3, tfinal=5, deltaT=2, total_step=20, task_type=tt, target_modules=t),
}
def labels_for(tt, x):
    if tt == "SEQ_CLS": return torch.randint(0, LABELS, (BATCH,))
    y = x["input_ids"].clone(); y[x["attention_mask"] == 0] = -100
    return y

for name, tt in [("bert_seqcls", "SEQ_CLS"), ("roberta_seqcls", "SEQ_CLS"), ("debertav3_seqcls", "SEQ_CLS"), ("llama_seqcls", "SEQ_CLS"),
                 ("llama_causal", "CAUSAL_LM"), ("gpt2_causal", "CAUSAL_LM"), ("qwen2_causal", "CAUSAL_LM")]:
    fam = name.split("_")[0]
    for kind, make in KINDS.items():
        if kind == "pooler" and fam not in ("bert", "debertav3"): continue
        if kind == "bias_lora_only" and fam == "llama": continue
        if kind == "dora" and fam == "gpt2": continue
        path = f"{root}/adapters/{name}_{kind}"; model = build(name); x = batch(model)
        if kind != "pissa": save_base(model, path)
        base = outputs(model, x); y = labels_for(tt, x)
        if kind == "pissa": save_base(model, path)
        pm = get_peft_model(model, make(TARGETS[fam], tt))
        if kind == "adalora":
            opt = torch.optim.AdamW([p for p in pm.parameters() if p.requires_grad], lr=5e-2); pm.train()
            for s in range(20):
                pm(**x, labels=y).loss.backward(); opt.step(); pm.base_model.update_and_allocate(s); opt.zero_grad()
        elif kind == "pissa":
            pass  # outputs equal the base model's before training; the factors are the point of the case
        else:
            for n, p in pm.named_parameters():
                if "lora_B" in n: p.data.normal_(0, 0.3)
                if p.requires_grad and "magnitude" in n: p.data.mul_(1.0 + 0.1 * torch.rand_like(p))
                if p.requires_grad and n.endswith(".bias"): p.data.add_(0.1 * torch.randn_like(p))
        pm.eval(); out = outputs(pm, x); save_adapter(pm, path + "/adapter")
        write(path, {**x, **out, **{"base." + k: v for k, v in base.items()}}, case=f"PEFT {kind}, eval mode", task_type=tt)

# Training: dropout 0, gradient clipping 1.0, linear schedule with 2 warmup steps out of 10, AdamW(weight_decay 0.01).
for name, tt in [("bert_seqcls", "SEQ_CLS"), ("debertav3_seqcls", "SEQ_CLS"), ("llama_causal", "CAUSAL_LM")]:
    fam = name.split("_")[0]; path = f"{root}/training/{name}_lora"
    model = build(name); x = batch(model); y = labels_for(tt, x); save_base(model, path)
    pm = get_peft_model(model, LoraConfig(r=R, lora_alpha=2 * R, task_type=tt, target_modules=TARGETS[fam], modules_to_save=["classifier", "pooler"] if fam != "llama" else None))
    for n, p in pm.named_parameters():
        if "lora_B" in n: p.data.normal_(0, 0.1)
    save_adapter(pm, path + "/adapter"); pm.train()
    trainable = {n: p for n, p in pm.named_parameters() if p.requires_grad}
    opt = torch.optim.AdamW(trainable.values(), lr=1e-2, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    sched = transformers.get_linear_schedule_with_warmup(opt, 2, 10)
    losses, norms, grads = [], [], {}
    for step in range(10):
        loss = pm(**x, labels=y).loss; loss.backward()
        if step == 0: grads = {"grad." + n.replace(".default", "").replace("modules_to_save.", ""): p.grad.clone() for n, p in trainable.items()}
        norms.append(torch.nn.utils.clip_grad_norm_(trainable.values(), 1.0)); losses.append(loss.detach())
        opt.step(); sched.step(); opt.zero_grad()
    final = {"final." + n.replace(".default", "").replace("modules_to_save.", ""): p.detach() for n, p in trainable.items()}
    write(path, {**x, "labels": y, "losses": torch.stack(losses), "grad_norms": torch.stack(norms), **grads, **final},
          case="10 AdamW steps", lr=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, max_grad_norm=1.0, warmup_steps=2, total_steps=10, schedule="linear")

# LoRA Dropout: keep-masks m_A on A's input columns, m_B on B's output rows, for two members; p = 0.5.
for name, tt in [("bert_seqcls", "SEQ_CLS"), ("llama_causal", "CAUSAL_LM")]:
    fam = name.split("_")[0]; path = f"{root}/lora_dropout/{name}"
    model = build(name); x = batch(model); y = labels_for(tt, x); save_base(model, path)
    pm = get_peft_model(model, LoraConfig(r=R, lora_alpha=2 * R, task_type=tt, target_modules=TARGETS[fam]))
    for n, p in pm.named_parameters():
        if "lora_B" in n: p.data.normal_(0, 0.3)
    save_adapter(pm, path + "/adapter"); pm.eval()
    layers = {n: m for n, m in pm.named_modules() if hasattr(m, "lora_A") and "default" in getattr(m, "lora_A", {})}
    tensors = {**x, "labels": y}
    originals = {n: (m.lora_A["default"].weight.detach().clone(), m.lora_B["default"].weight.detach().clone()) for n, m in layers.items()}
    p_drop = 0.5
    for member in range(2):
        masks = {n: (torch.bernoulli(torch.full((a.shape[1],), 1 - p_drop)), torch.bernoulli(torch.full((b.shape[0],), 1 - p_drop))) for n, (a, b) in originals.items()}
        for n, (ma, mb) in masks.items():
            key = n.replace("base_model.model.", "", 1); tensors[f"member{member}.mask_a.{key}"] = ma; tensors[f"member{member}.mask_b.{key}"] = mb
        for rescale in (False, True):
            s = 1 / (1 - p_drop) if rescale else 1.0
            class Masked(torch.nn.Module):
                def __init__(self, m, n): super().__init__(); self.m, self.n = m, n
                def forward(self, h, *a, **k):
                    ma, mb = masks[self.n]; m = self.m
                    z = torch.nn.functional.linear(torch.nn.functional.linear(h * ma * s, m.lora_A["default"].weight), m.lora_B["default"].weight) * mb * s
                    return m.base_layer(h) + z * m.scaling["default"]
            for n, m in layers.items():
                parent = pm.get_submodule(n.rsplit(".", 1)[0]); setattr(parent, n.rsplit(".", 1)[1], Masked(m, n))
            o = pm(**x, labels=y); o.loss.backward(); tag = f"member{member}.{'rescaled' if rescale else 'plain'}"
            tensors[tag + ".logits"] = o.logits.detach(); tensors[tag + ".loss"] = o.loss.detach().reshape(1)
            for n, m in layers.items():
                key = n.replace("base_model.model.", "", 1)
                tensors[f"{tag}.grad_a.{key}"] = m.lora_A["default"].weight.grad.clone(); tensors[f"{tag}.grad_b.{key}"] = m.lora_B["default"].weight.grad.clone()
                parent = pm.get_submodule(n.rsplit(".", 1)[0]); setattr(parent, n.rsplit(".", 1)[1], m)
            pm.zero_grad(set_to_none=True)
    write(path, tensors, case="LoRA Dropout under given masks", p=p_drop, note="plain: masks in {0,1}; rescaled: masks in {0, 1/(1-p)}")
for kind in ("models", "adapters", "training", "lora_dropout"):
    for case in os.listdir(f"{root}/{kind}"):
        if not case.startswith(args.only): shutil.rmtree(f"{root}/{kind}/{case}")
print("done", root)
