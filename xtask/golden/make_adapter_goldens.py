"""Writes reference cases for adapters that go beyond make_goldens.py, computed by PEFT on a tiny random BERT.

    python make_adapter_goldens.py --out . --seed 13      # the cases committed here

  adapters/tiny_bert_KIND          outputs with the adapter (dora, pissa, olora, lora_bias, exclude, adalora) and without
  adalora_training/tiny_bert       loss and rank pattern of every step of an AdaLoRA training, and its last weights
  training/tiny_bert_KIND          gradients, losses and last weights of ten AdamW steps (dora, pissa)
  combined/METHOD                  two adapters (combined/one, combined/two) put together by add_weighted_adapter

Needs torch, transformers, peft and safetensors; every io.json names the versions used.
"""
import argparse

import torch
from peft import AdaLoraConfig, LoraConfig, get_peft_model
from peft.tuners.lora import model as lora_model
from peft.utils import merge_utils
from tiny_cases import (SETTINGS, fresh, inputs, only, outputs, some_labels, ten_steps, tiny_bert, write_adapter, write_base,
                        write_io)

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", required=True)
arguments.add_argument("--seed", type=int, default=13)
arguments = arguments.parse_args()
torch.manual_seed(arguments.seed)

TARGETS = ["query", "value"]


def segmented():
    """Inputs with segments, all of them the first."""
    batch = inputs()
    return {**batch, "token_type_ids": torch.zeros_like(batch["input_ids"])}


def disturb(model):
    """Numbers such as training would leave: nothing trained is zero or as it started."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:
                continue
            if "magnitude" in name:
                parameter.mul_(1.0 + 0.2 * torch.rand_like(parameter))
            elif "lora_" in name:
                parameter.add_(0.2 * torch.randn_like(parameter))


def adalora_config(**changes):
    return AdaLoraConfig(task_type="SEQ_CLS", target_modules=TARGETS, init_r=5, target_r=2, lora_alpha=8, tinit=4, tfinal=8,
                         deltaT=3, beta1=0.8, beta2=0.9, orth_reg_weight=0.3, total_step=30, **changes)


def train_adalora(model, batch, labels, learning_rate, steps):
    """PEFT's order of calls; what is returned is one loss and one rank pattern a step."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=learning_rate, weight_decay=0.01)
    model.train()
    losses, patterns = [], []
    for step in range(steps):
        loss = model(**batch, labels=labels).loss
        loss.backward()
        losses.append(loss.detach())
        optimizer.step()
        model.base_model.update_and_allocate(step)
        optimizer.zero_grad()
        pattern = model.peft_config["default"].rank_pattern or {}
        patterns.append({name.replace("base_model.model.", "").replace(".lora_E.default", ""): kept for name, kept in pattern.items()})
    model.eval()
    return torch.stack(losses), patterns


def adapters():
    common = dict(task_type="SEQ_CLS", r=3, lora_alpha=5)
    kinds = {
        "dora": lambda: LoraConfig(**common, target_modules=TARGETS, use_dora=True),
        "dora_all_linear": lambda: LoraConfig(**common, target_modules="all-linear", use_dora=True, use_rslora=True),
        "pissa": lambda: LoraConfig(**common, target_modules=TARGETS, init_lora_weights="pissa"),
        "olora": lambda: LoraConfig(**common, target_modules=TARGETS, init_lora_weights="olora"),
        "lora_bias": lambda: LoraConfig(**common, target_modules=TARGETS, lora_bias=True),
        "exclude": lambda: LoraConfig(**common, target_modules=["dense", "key"], exclude_modules=["pooler.dense"],
                                      layers_to_transform=[1], layers_pattern="layer"),
        "adalora": adalora_config,
    }
    for kind, config in kinds.items():
        folder = fresh(f"{arguments.out}/adapters/tiny_bert_{kind}")
        model, batch = tiny_bert(), segmented()
        write_base(model, folder)
        base = outputs(model, batch, "base.")
        adapted = get_peft_model(model, config())
        if kind == "adalora":
            train_adalora(adapted, batch, some_labels(), 5e-2, 30)
        else:
            disturb(adapted)
        adapted.eval()
        tensors = {**batch, **base, **outputs(adapted, batch)}
        write_adapter(adapted, f"{folder}/adapter")
        write_io(folder, tensors, arguments.seed, case=f"PEFT {kind}, eval mode", task_type="SEQ_CLS")


def adalora_training():
    folder = fresh(f"{arguments.out}/adalora_training/tiny_bert")
    model, batch = tiny_bert(), segmented()
    write_base(model, folder)
    labels = some_labels()
    adapted = get_peft_model(model, adalora_config())
    write_adapter(adapted, f"{folder}/adapter")
    start = {f"start.{name}": value for name, value in named(adapted).items()}
    losses, patterns = train_adalora(adapted, batch, labels, 2e-2, 30)
    final = {f"final.{name}": value for name, value in named(adapted).items()}
    write_io(folder, {**batch, "labels": labels, "losses": losses, **start, **final}, arguments.seed,
             case="AdaLoRA training, AdamW without schedule and clipping", lr=2e-2, weight_decay=0.01, steps=30, patterns=patterns)


def named(model, what="data"):
    """Trained parameters, or their gradients, under the names of PEFT's files."""
    def in_file(name):
        name = name.replace("base_model.model.", "").replace(".default", "").replace("modules_to_save.", "")
        return name.removesuffix(".weight") if "magnitude" in name else name
    return {in_file(name): getattr(p, what).detach().clone() for name, p in model.named_parameters() if p.requires_grad}


def combined():
    root = fresh(f"{arguments.out}/combined")
    model = tiny_bert()
    configs = {
        "one": LoraConfig(r=3, lora_alpha=5, target_modules=TARGETS),
        "two": LoraConfig(r=3, lora_alpha=2, target_modules=["query", "key"]),
    }
    adapted = get_peft_model(model, configs["one"], adapter_name="one")
    adapted.add_adapter("two", configs["two"])
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.randn_like(parameter))
    for name in configs:
        adapted.save_pretrained(root, selected_adapters=[name])
        only(f"{root}/{name}", "adapter_config.json", "adapter_model.safetensors")
    only(root, "one", "two")
    draws = []
    original = merge_utils.random_pruning

    def recorded(tensor, density, rescale):
        mask = torch.bernoulli(torch.full_like(tensor, density))
        draws.append(mask)
        pruned = tensor * mask
        return pruned / density if rescale else pruned

    methods = {
        "linear": dict(combination_type="linear"),
        "cat": dict(combination_type="cat"),
        "svd": dict(combination_type="svd", svd_rank=4),
        "ties": dict(combination_type="ties", density=0.6),
        "ties_frequency": dict(combination_type="ties", density=0.6, majority_sign_method="frequency"),
        "ties_svd": dict(combination_type="ties_svd", density=0.6),
        "dare_linear": dict(combination_type="dare_linear", density=0.7),
        "dare_ties": dict(combination_type="dare_ties", density=0.7),
        "magnitude_prune": dict(combination_type="magnitude_prune", density=0.5),
    }
    weights = [0.7, -0.4]
    for method, options in methods.items():
        draws.clear()
        merge_utils.random_pruning = recorded
        adapted.add_weighted_adapter(["one", "two"], weights, method, **options)
        merge_utils.random_pruning = original
        adapted.save_pretrained(root, selected_adapters=[method])
        only(f"{root}/{method}", "adapter_config.json", "adapter_model.safetensors")
        masks = {f"draw.{index}": mask for index, mask in enumerate(draws)}
        write_io(f"{root}/{method}", masks or {"none": torch.zeros(1)}, arguments.seed, weights=weights, options=options,
                 order=[name.replace("base_model.model.", "") for name, module in adapted.named_modules()
                        if isinstance(module, lora_model.LoraLayer) and method in module.lora_A])
        adapted.delete_adapter(method)
    only(root, *configs, *methods)


def trainings():
    """Gradients and ten steps with AdamW: what DoRA's norm and PiSSA's base weight pass on to the gradient, and what not."""
    kinds = {
        "dora": LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, target_modules=TARGETS, use_dora=True),
        "pissa": LoraConfig(task_type="SEQ_CLS", r=3, lora_alpha=5, target_modules=TARGETS, init_lora_weights="pissa"),
    }
    for kind, config in kinds.items():
        folder = fresh(f"{arguments.out}/training/tiny_bert_{kind}")
        model, batch = tiny_bert(), segmented()
        write_base(model, folder)
        labels = some_labels()
        adapted = get_peft_model(model, config)
        disturb(adapted)
        write_adapter(adapted, f"{folder}/adapter")
        tensors = ten_steps(adapted, batch, labels, named, "base_model.model.")
        write_io(folder, tensors, arguments.seed, case=f"ten AdamW steps, {kind}", **SETTINGS)


adapters()
adalora_training()
combined()
trainings()
