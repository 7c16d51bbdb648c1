"""What the generators of cases on tiny random models share: the model, its inputs, and how a case is written."""
import json
import os
import shutil

import peft
import torch
import transformers
from safetensors.torch import save_file
from transformers import BertConfig, BertForSequenceClassification

CLASSES, ROWS, LENGTH, VOCABULARY = 3, 4, 7, 31
SIZES = dict(hidden_size=12, num_attention_heads=2, num_hidden_layers=2, intermediate_size=20, vocab_size=VOCABULARY,
             max_position_embeddings=16, num_labels=CLASSES)
BERT = dict(**SIZES, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
# Ten steps of AdamW.
SETTINGS = dict(lr=1e-2, betas=[0.9, 0.999], eps=1e-8, weight_decay=0.01, max_grad_norm=1.0, warmup_steps=2, total_steps=10,
                schedule="linear")

transformers.logging.set_verbosity_error()


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


def some_labels():
    return torch.randint(0, CLASSES, (ROWS,))


def outputs(model, batch, prefix=""):
    with torch.no_grad():
        found = model(**batch, output_hidden_states=True)
    named = {f"{prefix}hidden.{layer}": hidden for layer, hidden in enumerate(found.hidden_states)}
    return {**named, f"{prefix}logits": found.logits}


def only(folder, *files):
    """Removes everything else from a folder."""
    for name in os.listdir(folder):
        if name not in files:
            path = os.path.join(folder, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.remove(path)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    return folder


def write_base(model, folder):
    model.save_pretrained(f"{folder}/base")
    only(f"{folder}/base", "config.json", "model.safetensors")


def write_adapter(model, folder):
    model.save_pretrained(folder)
    only(folder, "adapter_config.json", "adapter_model.safetensors")


def write_io(folder, tensors, seed, **notes):
    save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, f"{folder}/io.safetensors")
    versions = dict(torch=torch.__version__, transformers=transformers.__version__, peft=peft.__version__)
    with open(f"{folder}/io.json", "w") as file:
        json.dump({**versions, "seed": seed, **notes}, file, indent=1)


def ten_steps(model, batch, labels, named, prefix):
    """Losses, norms, the first gradients and the last weights; `named` gives parameters the names of files."""
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
    return {**batch, "labels": labels, "losses": torch.stack(losses), "grad_norms": torch.stack(norms), **gradients, **final}
