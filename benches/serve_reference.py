"""What people write to serve a PEFT classifier: FastAPI, PyTorch, one request at a time in a thread of its pool. The peer of
`lora serve` in `serve_load.py`.

    python -m venv v && v/bin/pip install torch transformers peft fastapi uvicorn
    v/bin/python benches/serve_reference.py runs/reviews assets/minilm-l6 --port 8001

It answers the same request with the same probabilities: those of the mean pass, at the temperature of `task.json`.
"""

import argparse
import json
import pathlib

import peft
import torch
import transformers
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

parser = argparse.ArgumentParser()
parser.add_argument("adapter", type=pathlib.Path)
parser.add_argument("base", help="folder of the base model")
parser.add_argument("--port", type=int, default=8001)
arguments = parser.parse_args()

task = json.loads((arguments.adapter / "task.json").read_text())
labels = [task["id2label"][str(place)] for place in range(len(task["id2label"]))]
temperature = (task.get("temperature") or {}).get("mean") or 1.0
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_file=f"{arguments.base}/tokenizer.json", pad_token="[PAD]", model_max_length=task["max_seq_length"]
)
base = transformers.AutoModelForSequenceClassification.from_pretrained(arguments.base, num_labels=len(labels))
# Merged, as one does for a service of one adapter: no branch is left.
model = peft.PeftModel.from_pretrained(base, arguments.adapter).merge_and_unload().eval()


class Request(BaseModel):
    texts: list[str]


app = FastAPI()


@app.get("/health")
def health():
    return {"status": "ok"}


@app.post("/predict")
def predict(request: Request):
    batch = tokenizer(request.texts, padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        rows = (model(**batch).logits.double() / temperature).softmax(-1).tolist()
    return {"predictions": [{"probabilities": dict(zip(labels, row))} for row in rows]}


uvicorn.run(app, port=arguments.port, log_level="warning")
