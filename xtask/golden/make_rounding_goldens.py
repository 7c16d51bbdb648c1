"""Writes cases whose outputs are computed in float64: random GPT-2 models whose large adapters make rounding grow.

    python make_rounding_goldens.py --out DIR
    cargo run --release -p workbench -- golden --dir DIR      # our largest error in each

Each io.json has PyTorch's own largest error in float32 (`float32_error`); the script prints the median and the largest of them.
The cases are for this comparison and are not committed. Needs torch, transformers, peft and safetensors.
"""
import argparse
import statistics

import torch
from peft import LoraConfig, get_peft_model
from tiny_cases import fresh, outputs, write_adapter, write_base, write_io
from transformers import GPT2Config, GPT2LMHeadModel

arguments = argparse.ArgumentParser()
arguments.add_argument("--out", required=True)
arguments.add_argument("--cases", type=int, default=24)
arguments = arguments.parse_args()

VOCABULARY, ROWS, LENGTH = 50, 4, 9


def case(folder, seed):
    torch.manual_seed(seed)
    config = GPT2Config(vocab_size=VOCABULARY, n_embd=24, n_layer=3, n_head=3, n_positions=64, resid_pdrop=0, embd_pdrop=0,
                        attn_pdrop=0, pad_token_id=0, bos_token_id=1, eos_token_id=2, attn_implementation="eager")
    model = GPT2LMHeadModel(config).eval()
    for parameter in model.parameters():
        noise = torch.randn_like(parameter)
        parameter.data = 0.3 * noise if parameter.dim() > 1 else parameter.data + 0.05 * noise
    model.tie_weights()
    tokens = torch.randint(3, VOCABULARY, (ROWS, LENGTH))
    mask = torch.ones_like(tokens)
    mask[1, 6:] = 0
    mask[3, 4:] = 0
    batch = {"input_ids": tokens * mask, "attention_mask": mask}
    write_base(model, folder)
    base = outputs(model.double(), batch, "base.")
    model.float()
    settings = dict(r=3, lora_alpha=6, use_rslora=True, rank_pattern={"c_attn": 2}, alpha_pattern={"c_attn": 32})
    adapted = get_peft_model(model, LoraConfig(**settings, task_type="CAUSAL_LM", target_modules=["c_attn"])).eval()
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.3)
    write_adapter(adapted, f"{folder}/adapter")
    rounded, exact = outputs(adapted, batch), outputs(adapted.double(), batch)
    real = mask.bool()  # padding is compared nowhere
    error = max((rounded[name].double() - exact[name])[real].abs().max().item() for name in exact)
    nearest = {name: numbers.float() for name, numbers in {**base, **exact}.items()}
    write_io(folder, {**batch, **nearest}, seed, case="PEFT in float64", task_type="CAUSAL_LM", float32_error=error)
    return error


errors = [case(fresh(f"{arguments.out}/adapters/rounding_{seed}"), seed) for seed in range(1000, 1000 + arguments.cases)]
print(f"PyTorch in float32: median {statistics.median(errors):.1e}, largest {max(errors):.1e}")
