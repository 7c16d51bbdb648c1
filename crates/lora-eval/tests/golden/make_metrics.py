"""Makes metrics.json beside this file: inputs and the values that scikit-learn, torchmetrics and SciPy give for them.

    python make_metrics.py

Needs numpy, scipy, scikit-learn, torch and torchmetrics; the versions used are written into the file. Numbers are stored with
full precision (the shortest text that reads back as the same double). The same seed and versions give the same file.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy
import scipy.optimize
import scipy.special
import scipy.stats
import sklearn
import sklearn.metrics as skm
import torch
import torchmetrics
from torchmetrics.functional.classification import multiclass_calibration_error

SEED = 20240515
BINS = [1, 10, 15]


def average(logits, rule, temperature=1.0):
    """[members, examples, classes] -> probabilities [examples, classes]."""
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    if rule == "logits":
        return scipy.special.softmax(scaled.mean(axis=0), axis=-1)
    return scipy.special.softmax(scaled, axis=-1).mean(axis=0)


def gaps(confidence, correct, groups):
    """ECE and MCE over groups of example indices."""
    filled = [g for g in groups if len(g)]
    gap = [abs(correct[g].mean() - confidence[g].mean()) for g in filled]
    return {"ece": sum(len(g) * d for g, d in zip(filled, gap)) / len(confidence), "mce": max(gap)}


def equal_width(confidence, correct, bins, left_open):
    """NumPy's digitize: right=True is (lo, hi], right=False is [lo, hi); the outer edges belong to the outer bins."""
    edges = np.arange(bins + 1) / bins
    index = np.clip(np.digitize(confidence, edges, right=left_open) - 1, 0, bins - 1)
    return gaps(confidence, correct, [np.flatnonzero(index == b) for b in range(bins)])


def equal_mass(confidence, correct, bins):
    """NumPy's array_split of the examples sorted by confidence, wrong before right among equals."""
    order = np.lexsort((correct, confidence))
    return gaps(confidence, correct, np.array_split(order, bins))["ece"]


def classification_scores(probabilities, labels):
    examples, classes = probabilities.shape
    top = probabilities.argmax(axis=1)
    confidence, correct = probabilities.max(axis=1), (top == labels).astype(float)
    every = list(range(classes))
    of_class = skm.precision_recall_fscore_support(labels, top, labels=every, zero_division=np.nan)
    precision, recall, f1 = ([None if np.isnan(value) else value for value in values] for values in of_class[:3])
    scores = {
        "accuracy": skm.accuracy_score(labels, top),
        "balanced_accuracy": skm.balanced_accuracy_score(labels, top),
        "f1_macro": skm.f1_score(labels, top, average="macro", zero_division=0),
        "f1_micro": skm.f1_score(labels, top, average="micro", zero_division=0),
        "f1_weighted": skm.f1_score(labels, top, average="weighted", zero_division=0),
        "f1_of_class": list(skm.f1_score(labels, top, average=None, labels=every, zero_division=0)),
        "confusion": skm.confusion_matrix(labels, top, labels=every).tolist(),
        "by_class": [list(scores) for scores in zip(precision, recall, f1)],
        "matthews": skm.matthews_corrcoef(labels, top),
        "nll": skm.log_loss(labels, probabilities, labels=every),
        "brier": skm.brier_score_loss(labels, probabilities, labels=every, scale_by_half=False),
    }
    if classes == 2:
        # The default for two classes counts the positive class alone: half of the sum over both.
        scores["brier_sklearn_binary"] = skm.brier_score_loss(labels, probabilities[:, 1], labels=every)
    scores["calibration"] = [
        {
            "bins": bins,
            "left_open": equal_width(confidence, correct, bins, True),
            "left_closed": equal_width(confidence, correct, bins, False),
            "adaptive_ece": equal_mass(confidence, correct, bins),
            "torchmetrics": {
                name: float(
                    multiclass_calibration_error(
                        torch.from_numpy(probabilities), torch.from_numpy(labels), classes, bins, norm
                    )
                )
                for name, norm in [("ece", "l1"), ("mce", "max")]
            },
        }
        for bins in BINS
    ]
    return scores


def from_probabilities(name, probabilities, labels):
    probabilities, labels = np.asarray(probabilities, dtype=np.float64), np.asarray(labels)
    return {
        "name": name,
        "classes": probabilities.shape[1],
        "labels": labels.tolist(),
        "probabilities": probabilities.ravel().tolist(),
        "expected": classification_scores(probabilities, labels),
    }


def ensemble(name, logits, labels, soft=None):
    """Averages, uncertainty and the fitted temperature of logits [members, examples, classes]."""
    members, examples, classes = logits.shape
    case = {
        "name": name,
        "members": members,
        "examples": examples,
        "classes": classes,
        "logits": logits.ravel().tolist(),
        "labels": labels.tolist(),
        "averages": {},
    }
    for rule in ["probabilities", "logits"]:
        def loss(log_temperature):
            # In logarithms, so that no probability rounds to 0.
            scaled = logits / np.exp(log_temperature)
            if rule == "logits":
                scaled = scaled.mean(axis=0, keepdims=True)
            log_p = scipy.special.log_softmax(scaled, axis=-1)[:, np.arange(examples), labels]
            return -(scipy.special.logsumexp(log_p, axis=0) - np.log(len(scaled))).mean()

        fit = scipy.optimize.minimize_scalar(loss, bounds=(np.log(0.01), np.log(100)), method="bounded", options={"xatol": 1e-12})
        probabilities = average(logits, rule)
        case["averages"][rule] = {
            "probabilities": probabilities.ravel().tolist(),
            "at_temperature_2.5": average(logits, rule, 2.5)[0].tolist(),
            "scores": classification_scores(probabilities, labels),
            "temperature": {
                "temperature": float(np.exp(fit.x)),
                "nll_before": float(loss(0.0)),
                "nll_after": float(fit.fun),
            },
        }
        if soft is not None:
            case["averages"][rule]["cross_entropy"] = float(
                (scipy.stats.entropy(soft, axis=1) + scipy.stats.entropy(soft, probabilities, axis=1)).mean()
            )
            case["averages"][rule]["soft_brier"] = float(((probabilities - soft) ** 2).sum(axis=1).mean())
    if soft is not None:
        case["soft_labels"] = soft.ravel().tolist()
    member = scipy.special.softmax(logits, axis=-1)
    mean = member.mean(axis=0)
    total, expected = scipy.stats.entropy(mean, axis=-1), scipy.stats.entropy(member, axis=-1).mean(axis=0)
    case["uncertainty"] = {
        "predictive_entropy": total.tolist(),
        "expected_entropy": expected.tolist(),
        "mutual_information": (total - expected).tolist(),
        "disagreement": (member.argmax(-1) != mean.argmax(-1)).mean(axis=0).tolist(),
    }
    return case


def regression(name, predictions, targets):
    predictions, targets = np.asarray(predictions, dtype=np.float64), np.asarray(targets, dtype=np.float64)
    return {
        "name": name,
        "predictions": predictions.tolist(),
        "targets": targets.tolist(),
        "expected": {
            "pearson": float(scipy.stats.pearsonr(predictions, targets).statistic),
            "spearman": float(scipy.stats.spearmanr(predictions, targets).statistic),
            "mse": skm.mean_squared_error(targets, predictions),
            "mae": skm.mean_absolute_error(targets, predictions),
        },
    }


def draw_ensemble(rng, members, examples, classes, spread):
    """Logits in 64ths (exact in single precision) around a signal, labels that follow the signal more often than not."""
    signal = rng.normal(0, 1.5, (examples, classes))
    labels = np.argmax(signal + rng.gumbel(0, 1, signal.shape), axis=1)
    logits = 1.7 * signal + rng.normal(0, spread, (members, examples, classes))
    return np.round(logits * 64) / 64, labels


def main():
    rng = np.random.default_rng(SEED)
    classification, ensembles = [], []

    for name, members, examples, classes, spread in [
        ("two_classes_three_members", 3, 60, 2, 1.0),
        ("three_classes_five_members", 5, 40, 3, 1.5),
        ("seven_classes_two_members", 2, 45, 7, 0.7),
        ("one_member", 1, 50, 4, 0.0),
    ]:
        logits, labels = draw_ensemble(rng, members, examples, classes, spread)
        soft = None
        if classes == 3:
            # Ten human votes an example, some classes without any.
            soft = rng.multinomial(10, scipy.special.softmax(logits.mean(axis=0), axis=1)) / 10
        ensembles.append(ensemble(name, logits, labels, soft))

    logits, labels = draw_ensemble(rng, 3, 32, 5, 1.0)
    labels[labels == 2] = 4
    ensembles.append(ensemble("class_without_labels", logits, labels))

    # All logits multiples of one half: equal probabilities within an example and equal confidences across examples.
    logits, labels = draw_ensemble(rng, 2, 48, 3, 1.0)
    ensembles.append(ensemble("ties", np.round(logits / 4) / 2, labels))

    classification.append(from_probabilities("one_example_right", [[0.2, 0.5, 0.3]], [1]))
    classification.append(from_probabilities("one_example_wrong", [[0.7, 0.3]], [1]))
    classification.append(from_probabilities("uniform_rows", np.full((12, 4), 0.25), np.arange(12) % 4))

    # Certain, right and wrong: the floor of the logarithm and the bin of exactly 1.
    certain = np.eye(3)[[0, 1, 2, 2, 1, 0, 0, 1]]
    classification.append(from_probabilities("certain", certain, [0, 1, 2, 0, 1, 0, 1, 1]))
    certain_two = np.array([[1.0, 0.0], [0.0, 1.0], [1 - 1e-9, 1e-9], [0.97, 0.03], [0.0, 1.0]])
    classification.append(from_probabilities("certain_and_nearly", certain_two, [0, 1, 0, 1, 0]))
    classification.append(from_probabilities("one_class_predicted", [[0.6, 0.4], [0.7, 0.3], [0.9, 0.1]], [0, 1, 1]))

    # Confidences exactly on the edges of 10 and of 15 bins, as the nearest double and as the nearest single.
    on_edges = sorted({k / b for b in (10, 15) for k in range(b // 2 + 1, b + 1)})
    on_edges += [float(np.float32(c)) for c in on_edges]
    rows = [[c, 1 - c] if i % 3 else [1 - c, c] for i, c in enumerate(on_edges)]
    classification.append(from_probabilities("on_bin_edges_two_classes", rows, rng.integers(0, 2, len(rows))))
    low_edges = sorted({k / b for b in (10, 15) for k in range(b // 4 + 1, b // 2 + 1)})
    rows = [np.roll([c] + [(1 - c) / 6] * 6, i) for i, c in enumerate(low_edges)]
    classification.append(from_probabilities("on_bin_edges_seven_classes", rows, rng.integers(0, 7, len(rows))))

    targets = np.round(rng.uniform(0, 5, 40) * 4) / 4
    predictions = targets + np.round(rng.normal(0, 1, 40) * 64) / 64
    regressions = [
        regression("noise_with_tied_targets", predictions, targets),
        regression("many_ties", np.round(predictions), np.round(targets)),
        regression("large_offset", predictions + 1e6, -targets),
        regression("two_examples", [1.0, 2.0], [3.5, 3.25]),
    ]

    versions = {module.__name__: module.__version__ for module in (np, scipy, sklearn, torchmetrics)}
    golden = {
        "generator": "make_metrics.py",
        "seed": SEED,
        "versions": versions | {"torch": torch.__version__.split("+")[0]},
        "classification": classification,
        "ensembles": ensembles,
        "regression": regressions,
    }
    path = pathlib.Path(__file__).with_name("metrics.json")
    path.write_text(json.dumps(golden, separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    with warnings.catch_warnings():
        # One class in labels and predictions makes some scores degenerate on purpose.
        warnings.simplefilter("ignore")
        main()
