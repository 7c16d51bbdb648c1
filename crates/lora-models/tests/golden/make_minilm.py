"""Writes minilm.safetensors: what Transformers computes with assets/minilm-l6 in float32 on real sentences.

    python make_minilm.py      # needs torch, transformers, safetensors

Tensors: input_ids, token_type_ids, attention_mask [batch, seq]; hidden.6 [batch, seq, 384] (last layer);
logits [batch, 3] of a classifier whose weight is sin(0.1 i) / 10 (i counts row-major over [3, 384]) and whose bias is [0.1, -0.2, 0.3].
Versions are in the metadata.
"""
import os, torch, transformers
from safetensors.torch import save_file

here = os.path.dirname(os.path.abspath(__file__))
folder = os.path.join(here, "../../../../assets/minilm-l6")
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
model = transformers.BertForSequenceClassification.from_pretrained(folder, num_labels=3, dtype=torch.float32).eval()
with torch.no_grad():
    model.classifier.weight.copy_((torch.sin(0.1 * torch.arange(3 * 384, dtype=torch.float64)) / 10).reshape(3, 384))
    model.classifier.bias.copy_(torch.tensor([0.1, -0.2, 0.3]))
    x = tokenizer(
        [("The bridge was closed for repairs until late autumn.", "Nobody could cross the river that year."),
         ("Prices rose again; naïve buyers, as ever, paid twice — or so it seemed.", "What did the café charge?"),
         ("No.", "Is it?"),
         ("A small dog watched the rain, hoping the walk had not been forgotten, and sighed.", "It had been forgotten.")],
        padding=True, return_tensors="pt")
    out = model(**x, output_hidden_states=True)
save_file({**{k: v.contiguous() for k, v in x.items()}, "hidden.6": out.hidden_states[-1].contiguous(), "logits": out.logits.contiguous()},
          os.path.join(here, "minilm.safetensors"),
          metadata={"torch": torch.__version__, "transformers": transformers.__version__})
