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

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from tiny_cases import (BERT, SETTINGS, SIZES, fresh, inputs, outputs, randomized, some_labels, ten_steps, tiny_bert,
                        write_adapter, write_base, write_io)
from transformers import LlamaConfig, LlamaForSequenceClassification

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", required=True)
arguments.add_argument("--seed", type=int, default=17)
arguments = arguments.parse_args()
torch.manual_seed(arguments.seed)

LLAMA = dict(**SIZES, num_key_value_heads=1, pad_token_id=0)
COMMON = dict(task_type="SEQ_CLS", r=3, lora_alpha=5)


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
    write_io(folder, {**batch, **base, **outputs(adapted, batch)}, arguments.seed, case="PEFT, eval mode", task_type="SEQ_CLS")


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
    tensors = ten_steps(model, inputs(), some_labels(), named, prefix)
    write_io(folder, tensors, arguments.seed, case="ten AdamW steps", **SETTINGS)


adapters()
trainings()
