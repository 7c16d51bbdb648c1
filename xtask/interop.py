"""Adapters trained here load in PEFT and the other way round, with the same probabilities to 1e-4.

    python xtask/interop.py --lora target/release/lora      # needs torch, transformers, peft; or: cargo xtask interop --python PATH

1. `lora train` fine-tunes the embedded MiniLM with LoRA Dropout (plain masks, so the exported alpha carries the expected
   update); PEFT loads the folder onto the same base model and predicts.
2. PEFT fine-tunes MiniLM; `lora predict` loads that folder and predicts.
Ends with "2 passed, 0 failed" and exit code 0, or says which probabilities differ.
"""
import argparse, csv, json, os, subprocess, sys, tempfile, warnings
warnings.filterwarnings("ignore")
os.environ["HF_HUB_OFFLINE"] = "1"
import torch, transformers
from peft import LoraConfig, PeftModel, get_peft_model
transformers.logging.set_verbosity_error()

parser = argparse.ArgumentParser()
parser.add_argument("--lora", required=True, help="the lora program")
arguments = parser.parse_args()
root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
base = os.path.join(root, "assets", "minilm-l6")
TOLERANCE = 1e-4
LABELS = ["bad", "fine", "good"]
ROWS = [(f"{opening} {thing} was {word}{end}", label)
        for opening in ("The", "Our", "That") for thing in ("soup", "film", "long journey home", "repair")
        for word, label in (("awful", "bad"), ("cold and late", "bad"), ("as usual", "fine"), ("nothing special", "fine"),
                            ("a delight", "good"), ("better than I hoped", "good")) for end in (".", "!")]
TEXTS = ["A dull evening.", "What a wonderful, generous place!", "It is a chair.", "Slow service, but the naïve café charm won us over — twice."]

tokenizer = transformers.AutoTokenizer.from_pretrained(base)

def base_model():
    return transformers.BertForSequenceClassification.from_pretrained(base, num_labels=3, dtype=torch.float32)

def probabilities(model):
    model.eval()
    with torch.no_grad():
        return torch.softmax(model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits, -1).tolist()

def lora(*words):
    done = subprocess.run([arguments.lora, *words], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"lora {' '.join(words)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout

def ours(adapter):
    lines = lora("predict", "--adapter", adapter, "--members", "0", "--labels", ",".join(LABELS), "--json", *TEXTS).splitlines()
    return [list(json.loads(line)["probabilities"].values()) for line in lines]

def compare(name, found, expected):
    worst = max(abs(a - b) for x, y in zip(found, expected) for a, b in zip(x, y))
    moved = max(abs(p - 1 / 3) for row in expected for p in row)
    passed = worst <= TOLERANCE and len(found) == len(expected) == len(TEXTS) and moved > 0.1
    print(f"{'pass' if passed else 'FAIL'}  {name}: largest difference {worst:.1e}, allowed {TOLERANCE:.0e}; probabilities reach {moved + 1 / 3:.2f}")
    return passed

with tempfile.TemporaryDirectory() as folder:
    data = os.path.join(folder, "data.csv")
    with open(data, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *ROWS])
    trained_here = os.path.join(folder, "here")
    lora("train", "--model", "minilm-l6", "--train-file", data, "--validation-file", data, "--output", trained_here,
         "--learning-rate", "3e-3", "--num-train-epochs", "10", "--per-device-train-batch-size", "16", "--seed", "3", "--r", "4",
         "--lora-alpha", "12", "--mask-probability", "0.3", "--mask-rescale", "plain", "--temperature-scaling=false", "--quiet")
    there = PeftModel.from_pretrained(base_model(), trained_here)
    passed = [compare("trained here, read by PEFT", probabilities(there), ours(trained_here))]

    torch.manual_seed(5)
    model = get_peft_model(base_model(), LoraConfig(task_type="SEQ_CLS", r=4, lora_alpha=12, lora_dropout=0.1, target_modules=["query", "value"]))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    model.train()
    for start in range(0, len(ROWS) * 2, 16):
        rows = [ROWS[i % len(ROWS)] for i in range(start, start + 16)]
        batch = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
        model(**batch, labels=torch.tensor([LABELS.index(label) for _, label in rows])).loss.backward()
        optimizer.step(); optimizer.zero_grad()
    trained_there = os.path.join(folder, "there")
    model.save_pretrained(trained_there)
    # PEFT writes no name of a base model that lies in a folder as a hub id; point it to the folder.
    settings = os.path.join(trained_there, "adapter_config.json")
    config = json.load(open(settings)); config["base_model_name_or_path"] = base; json.dump(config, open(settings, "w"))
    passed.append(compare("trained by PEFT, read here", ours(trained_there), probabilities(model)))
print(f"{sum(passed)} passed, {len(passed) - sum(passed)} failed")
sys.exit(0 if all(passed) else 1)
