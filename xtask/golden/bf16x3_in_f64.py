"""How far `bf16x3` itself is from exact products: reference cases in float64, but that each number of a product with a frozen weight is
the sum of two bf16 numbers, and the product of both low ones is left out. What this program prints is the precision's share of a
difference; the rest is ours.

    pip install torch transformers peft safetensors
    python xtask/golden/bf16x3_in_f64.py crates/lora-models/tests/golden/lora_dropout/* xtask/golden/lora_dropout/* xtask/golden/training/tiny_bert_bias_all

Printed are the largest differences from the case's gradients as `cargo xtask golden` counts them: of the number, or of a hundredth of the
tensor's largest. `exact` has float64 products too, so it shows what the reference's own float32 leaves.
"""

import json
import os
import sys

import peft
import torch
import transformers
from safetensors.torch import load_file

FLOOR = 1e-2  # as in xtask/workbench/src/golden/compare.rs
plain_linear = torch.nn.functional.linear
has_two_terms = False


def split(x):
    high = x.to(torch.float32).to(torch.bfloat16).to(torch.float64)
    low = (x - high).to(torch.float32).to(torch.bfloat16).to(torch.float64)
    return high, low


def product(a, b):
    (a_high, a_low), (b_high, b_low) = split(a), split(b)
    return a_high @ b_high + a_high @ b_low + a_low @ b_high


class Frozen(torch.autograd.Function):
    @staticmethod
    def forward(context, x, weight):
        context.save_for_backward(weight)
        return product(x, weight.T)

    @staticmethod
    def backward(context, grad):
        (weight,) = context.saved_tensors
        return product(grad, weight), None


def linear(x, weight, bias=None):
    if not has_two_terms or weight.requires_grad:
        return plain_linear(x, weight, bias)
    y = Frozen.apply(x, weight)
    return y if bias is None else y + bias


torch.nn.functional.linear = linear


def difference(found, expected):
    expected = expected.double().reshape(found.shape)
    scale = torch.maximum(expected.abs(), FLOOR * expected.abs().max())
    return ((found - expected).abs() / scale).max().item()


def model_of(folder):
    with open(f"{folder}/base/config.json", encoding="utf-8") as file:
        architecture = json.load(file)["architectures"][0]
    kind = getattr(transformers, architecture)
    model = kind.from_pretrained(f"{folder}/base", dtype=torch.float64, attn_implementation="sdpa" if "modernbert" in folder else "eager")
    model = peft.PeftModel.from_pretrained(model, f"{folder}/adapter", is_trainable=True)
    return model.to(torch.float64).eval()


def masked(case, parameters, member, kept):
    """The factors with their masks, by which gradients are multiplied too: name of the gradient and mask of each."""
    masks = {}
    with torch.no_grad():
        for name, parameter in parameters.items():
            for factor, side in (("lora_A", "a"), ("lora_B", "b")):
                if f".{factor}." in name:
                    path = name.removeprefix("base_model.model.").split(f".{factor}")[0]
                    mask = case[f"{member}.mask_{side}.{path}"].double().flatten() * kept
                    mask = mask[None, :] if side == "a" else mask[:, None]
                    parameter.mul_(mask)
                    masks[name] = (f"grad_{side}.{path}", mask)
    return masks


def largest(folder):
    case = load_file(f"{folder}/io.safetensors")
    names = ["input_ids", "attention_mask", "labels"] + ([] if "modernbert" in folder else ["token_type_ids"])
    inputs = {name: case[name] for name in names if name in case}

    def gradients(member=None, kept=1.0):
        model = model_of(folder)
        parameters = dict(model.named_parameters())
        masks = masked(case, parameters, member, kept) if member else {}
        model(**inputs).loss.backward()
        return parameters, masks

    worst = 0.0
    if os.path.basename(os.path.dirname(folder)) == "lora_dropout":
        with open(f"{folder}/io.json", encoding="utf-8") as file:
            p = json.load(file)["p"]
        for member in sorted({name.split(".")[0] for name in case if name.startswith("member")}):
            for convention, kept in (("plain", 1.0), ("rescaled", 1 / (1 - p))):
                parameters, masks = gradients(member, kept)
                for name, (reference, mask) in masks.items():
                    expected = case[f"{member}.{convention}.{reference}"]
                    worst = max(worst, difference(parameters[name].grad * mask, expected))
        return worst
    parameters, _ = gradients()
    for name in case:
        found = parameters.get(name.removeprefix("grad.").replace(".weight", ".default.weight"))
        if name.startswith("grad.") and found is not None:
            worst = max(worst, difference(found.grad, case[name]))
    return worst


transformers.logging.set_verbosity_error()
for folder in sys.argv[1:]:
    folder = folder.rstrip("/")
    found = []
    for has_two_terms in (False, True):
        found.append(largest(folder))
    print(f"{folder}: exact {found[0]:.1e}, bf16x3 {found[1]:.1e}")
