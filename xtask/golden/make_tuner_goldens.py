"""Writes reference cases for the tuners beside LoRA and for the rarer options of PEFT's LoRA, on tiny random models.

    python make_tuner_goldens.py --out . --seed 17      # the cases committed here

  adapters/tiny_bert_KIND      outputs with the adapter, made by PEFT (bias_all, embeddings, pissa_niter), and without
  adapters/tiny_llama_embeddings   an adapter on `embed_tokens`, with which PEFT saves the frozen table too
  training/tiny_bert_KIND      gradients, losses and last weights of ten AdamW steps: full, bitfit (Transformers alone), houlsby,
                               pfeiffer (bottlenecks written out here in torch), bias_all and embeddings (PEFT)

`tuned/` is this project's own form of what is trained; its `tuned.safetensors` holds the values at the start.
Needs torch, transformers, peft and safetensors; every io.json names the versions used.
"""
import argparse
import json
import os
import shutil

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification, LlamaConfig, LlamaForSequenceClassification

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", required=True)
arguments.add_argument("--seed", type=int, default=17)
arguments = arguments.parse_args()
torch.manual_seed(arguments.seed)
transformers.logging.set_verbosity_error()

CLASSES, ROWS, LENGTH, VOCABULARY = 3, 4, 7, 31
BERT = dict(hidden_size=12, num_attention_heads=2, num_hidden_layers=2, intermediate_size=20, vocab_size=VOCABULARY,
            max_position_embeddings=16, num_labels=CLASSES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
LLAMA = dict(hidden_size=12, num_attention_heads=2, num_key_value_heads=1, num_hidden_layers=2, intermediate_size=20,
             vocab_size=VOCABULARY, max_position_embeddings=16, num_labels=CLASSES, pad_token_id=0)
COMMON = dict(task_type="SEQ_CLS", r=3, lora_alpha=5)
SETTINGS = dict(lr=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, max_grad_norm=1.0, warmup_steps=2, total_steps=10,
                schedule="linear")


def randomized(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.copy_(0.3 * torch.randn_like(parameter))
            else:
                parameter.add_(0.05 * torch.randn_like(parameter))
    return model.eval()


def tiny_bert():
    return randomized(BertForSequenceClassification(BertConfig(**BERT)))


def inputs():
    tokens = torch.randint(1, VOCABULARY, (ROWS, LENGTH))
    mask = torch.ones_like(tokens)
    mask[2, 5:] = 0
    return {"input_ids": tokens * mask, "attention_mask": mask}


def outputs(model, batch, prefix=""):
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True)
    named = {f"{prefix}hidden.{layer}": hidden for layer, hidden in enumerate(found.hidden_states)}
    return {**named, f"{prefix}logits": found.logits}


def only(folder, *files):
    for name in os.listdir(folder):
        if name not in files:
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def write_base(model, folder):
    model.save_pretrained(f"{folder}/base")
    only(f"{folder}/base", "config.json", "model.safetensors")


def write_adapter(model, folder):
    model.save_pretrained(folder)
    only(folder, "adapter_config.json", "adapter_model.safetensors")


def write_io(folder, tensors, **notes):
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, f"{folder}/io.safetensors")
    versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
    with open(f"{folder}/io.json", "w") as file:
        json.dump({**versions, "seed": arguments.seed, **notes}, file, indent=1)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def disturb(model):
    """Numbers such as training would leave: nothing trained is zero or as it started."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                parameter.add_(0.2 * torch.randn_like(parameter))


def with_decaying_spectrum(model):
    """Singular values 4, 2, 1, 1/2 and so on, so that a random sketch finds the largest ones to the last digit."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("query.weight", "value.weight")):
                u, s, v = torch.linalg.svd(parameter, full_matrices=False)
                parameter.copy_(u @ torch.diag(4.0 * 0.5 ** torch.arange(len(s))) @ v)
    return model


def adapters():
    kinds = {
        "bias_all": LoraConfig(**COMMON, target_modules=["query", "value"], bias="all"),
        "embeddings": LoraConfig(**COMMON, target_modules=["query", "word_embeddings", "position_embeddings"], use_rslora=True),
        "pissa_niter": LoraConfig(**COMMON, target_modules=["query", "value"], init_lora_weights="pissa_niter_16"),
    }
    for kind, config in kinds.items():
        model, batch = tiny_bert(), inputs()
        if kind == "pissa_niter":
            with_decaying_spectrum(model)
        adapter_case(f"{arguments.out}/adapters/tiny_bert_{kind}", model, batch, config)
    model = randomized(LlamaForSequenceClassification(LlamaConfig(**LLAMA)))
    config = LoraConfig(**COMMON, target_modules=["v_proj", "embed_tokens"])
    adapter_case(f"{arguments.out}/adapters/tiny_llama_embeddings", model, inputs(), config)


def adapter_case(folder, model, batch, config):
    fresh(folder)
    write_base(model, folder)
    base = outputs(model, batch, "base.")
    adapted = get_peft_model(model, config)
    disturb(adapted)
    adapted.eval()
    write_adapter(adapted, f"{folder}/adapter")
    write_io(folder, {**batch, **base, **outputs(adapted, batch)}, case="PEFT, eval mode", task_type="SEQ_CLS")


class Bottleneck(torch.nn.Module):
    """`h + f(h W_down + b_down) W_up + b_up` (Houlsby et al. 2019)."""

    def __init__(self, size, activation):
        super().__init__()
        self.adapter_down = torch.nn.Linear(BERT["hidden_size"], size)
        self.adapter_up = torch.nn.Linear(size, BERT["hidden_size"])
        self.activation = activation
        for parameter in self.parameters():
            torch.nn.init.normal_(parameter, std=0.3)

    def forward(self, hidden):
        return hidden + self.adapter_up(self.activation(self.adapter_down(hidden)))


class Followed(torch.nn.Module):
    """A linear with a bottleneck after it: before residual and norm."""

    def __init__(self, linear, bottleneck):
        super().__init__()
        self.linear, self.bottleneck = linear, bottleneck

    def forward(self, hidden):
        return self.bottleneck(self.linear(hidden))


def full(model):
    return {"full": {"modules_to_save": ["classifier"]}}


def bitfit(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("bias" in name or name.startswith("classifier"))
    return {"bit_fit": {"modules_to_save": ["classifier"]}}


def bottlenecks(placement, activation, name, size):
    def tune(model):
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        model.classifier.requires_grad_(True)
        for layer in model.bert.encoder.layer:
            if placement == "houlsby":
                layer.attention.output.dense = Followed(layer.attention.output.dense, Bottleneck(size, activation))
            layer.output.dense = Followed(layer.output.dense, Bottleneck(size, activation))
        return {"bottleneck": {"placement": placement, "size": size, "activation": name, "modules_to_save": ["classifier"]}}
    return tune


def named(model, what="data"):
    """Trained parameters, or their gradients, under the names of files."""
    def in_file(name):
        name = name.replace("base_model.model.", "").replace(".default", "").replace("modules_to_save.", "")
        return name.replace(".dense.bottleneck.", ".dense.")
    return {in_file(name): getattr(p, what).detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def trainings():
    gelu, relu = torch.nn.functional.gelu, torch.nn.functional.relu
    tuners = {
        "full": full,
        "bitfit": bitfit,
        "houlsby": bottlenecks("houlsby", gelu, "gelu", 5),
        "pfeiffer": bottlenecks("pfeiffer", relu, "relu", 4),
    }
    for kind, tune in tuners.items():
        folder = fresh(f"{arguments.out}/training/tiny_bert_{kind}")
        model = tiny_bert()
        write_base(model, folder)
        tuning = tune(model)
        os.makedirs(f"{folder}/tuned")
        save_file(named(model), f"{folder}/tuned/tuned.safetensors")
        with open(f"{folder}/tuned/tuning.json", "w") as file:
            settings = {"format": 1, "tuning": tuning, "task_type": "SEQ_CLS", "base_model_name_or_path": None}
            json.dump(settings, file, indent=1)
        train(folder, model, "")
    configs = {
        "bias_all": LoraConfig(**COMMON, target_modules=["query", "value"], bias="all"),
        "embeddings": LoraConfig(**COMMON, target_modules=["query", "word_embeddings"]),
    }
    for kind, config in configs.items():
        folder = fresh(f"{arguments.out}/training/tiny_bert_{kind}")
        model = tiny_bert()
        write_base(model, folder)
        adapted = get_peft_model(model, config)
        disturb(adapted)
        write_adapter(adapted, f"{folder}/adapter")
        train(folder, adapted, "base_model.model.")


def train(folder, model, prefix):
    batch, labels = inputs(), torch.randint(0, CLASSES, (ROWS,))
    model.train()
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=SETTINGS["lr"], weight_decay=SETTINGS["weight_decay"])
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, SETTINGS["warmup_steps"], SETTINGS["total_steps"])
    losses, norms, gradients = [], [], {}
    for step in range(SETTINGS["total_steps"]):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        if step == 0:
            gradients = {f"grad.{prefix}{name}": gradient for name, gradient in named(model, "grad").items()}
        norms.append(torch.nn.utils.clip_grad_norm_(parameters, SETTINGS["max_grad_norm"]))
        losses.append(loss.detach())
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    final = {f"final.{prefix}{name}": value for name, value in named(model).items()}
    tensors = {**batch, "labels": labels, "losses": torch.stack(losses), "grad_norms": torch.stack(norms), **gradients, **final}
    write_io(folder, tensors, case="ten AdamW steps", **SETTINGS)


adapters()
trainings()
