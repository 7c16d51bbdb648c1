"""Makes multi_label.json beside this file: logits and labels, and what scikit-learn and torchmetrics give for them.

    python make_multi_label.py

Needs numpy, scikit-learn, torch and torchmetrics; the versions used are written into the file.
"""

import json
import pathlib

import numpy as np
import sklearn
import sklearn.metrics as skm
import torch
import torchmetrics
from torchmetrics.functional.classification import binary_calibration_error, multilabel_exact_match

rng = np.random.default_rng(20261129)
BINS = 15


def case(name, logits, truth):
    logits = logits.astype(np.float32)
    probabilities = torch.sigmoid(torch.tensor(logits, dtype=torch.float64))
    target = torch.tensor(truth)
    predicted = (probabilities > 0.5).numpy().astype(int)
    f1 = lambda average: skm.f1_score(truth, predicted, average=average, zero_division=0)
    error = lambda p, y: binary_calibration_error(p, y, n_bins=BINS, norm="l1").item()
    each_nll = torch.nn.functional.binary_cross_entropy(probabilities, target.double(), reduction="none").mean(0)
    return {
        "name": name,
        "shape": list(logits.shape),
        "logits": logits.flatten().tolist(),
        "truth": [np.flatnonzero(row).tolist() for row in truth],
        "f1_micro": f1("micro"),
        "f1_macro": f1("macro"),
        "exact_match": multilabel_exact_match(probabilities, target, num_labels=truth.shape[1]).item(),
        "label_accuracy": 1 - skm.hamming_loss(truth, predicted),
        "nll": each_nll.mean().item(),
        "brier": float(((probabilities.numpy() - truth) ** 2).mean()),
        "ece": error(probabilities.flatten(), target.flatten()),
        "labels": [
            {
                "precision": skm.precision_score(truth[:, label], predicted[:, label], zero_division=0),
                "recall": skm.recall_score(truth[:, label], predicted[:, label], zero_division=0),
                "f1": skm.f1_score(truth[:, label], predicted[:, label], zero_division=0),
                "nll": each_nll[label].item(),
                "ece": error(probabilities[:, label], target[:, label]),
            }
            for label in range(truth.shape[1])
        ],
    }


def drawn(rows, labels, scale):
    logits = rng.normal(-0.5, scale, (rows, labels))
    truth = (rng.random((rows, labels)) < 1 / (1 + np.exp(-logits * 0.6))).astype(int)
    return logits, truth


never_held, truth = drawn(40, 3, 2.0)
truth[:, 1] = 0
never_predicted, other = drawn(40, 3, 2.0)
never_predicted[:, 1] = 0.0
other[:, 1] = 0
cases = [
    case("many labels", *drawn(64, 7, 1.5)),
    case("far too sure", *drawn(50, 4, 6.0)),
    case("a label that never holds", never_held, truth),
    case("a label that neither holds nor is predicted", never_predicted, other),
    case("one row", *drawn(1, 5, 1.0)),
]
versions = {
    "numpy": np.__version__,
    "scikit-learn": sklearn.__version__,
    "torch": torch.__version__,
    "torchmetrics": torchmetrics.__version__,
}
path = pathlib.Path(__file__).with_name("multi_label.json")
path.write_text(json.dumps({"versions": versions, "bins": BINS, "cases": cases}, indent=1) + "\n")
