"""Makes task_scores.json beside this file: inputs, and what scikit-learn, SciPy, torchmetrics and plain Python give for them.

    python make_task_scores.py

Needs numpy, scipy, scikit-learn, torch and torchmetrics; the versions used are written into the file. What no library computes (the
risk-coverage curve with ties, the rules of SQuAD 2.0) is computed here in another way than in the crate: orders are enumerated, and
the rules are written with Python's own `re`, `string` and `Counter`, on which the official scripts stand. The same seed and versions
give the same file.
"""

import collections
import fractions
import itertools
import json
import pathlib
import re
import string

import numpy as np
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as skm
import torch
import torchmetrics
from torchmetrics.functional.text import squad as torchmetrics_squad

SEED = 20240516
rng = np.random.default_rng(SEED)


# ---- detection ----
def detection(name, in_scope, out_of_scope):
    doubts = np.concatenate([in_scope, out_of_scope])
    outside = np.repeat([0, 1], [len(in_scope), len(out_of_scope)])
    # In-scope is positive here, and a small doubt its score.
    rates, found, _ = skm.roc_curve(1 - outside, -doubts, drop_intermediate=False)
    return {
        "name": name,
        "in_scope": list(in_scope),
        "out_of_scope": list(out_of_scope),
        "auroc": skm.roc_auc_score(outside, doubts),
        "false_positive_rates": {str(share): min(rates[found >= share]) for share in (0.5, 0.8, 0.95, 1.0)},
    }


def detections():
    noise = rng.normal(0, 1, 60)
    return [
        detection("separated_by_one", rng.normal(0, 1, 70), rng.normal(1, 1, 45)),
        detection("many_ties", np.round(rng.uniform(0, 1, 80) * 5) / 5, np.round(rng.uniform(0.2, 1, 33) * 5) / 5),
        detection("all_equal", np.full(9, 0.5), np.full(4, 0.5)),
        detection("worse_than_chance", noise[:40] + 1.5, noise[40:]),
        detection("one_each", np.array([0.25]), np.array([0.125])),
    ]


# ---- risk and coverage ----
def risks(losses):
    """The mean loss of the first k, for each k, exactly."""
    sums = itertools.accumulate(fractions.Fraction(loss) for loss in losses)
    return [total / k for k, total in enumerate(sums, 1)]


def selective(name, doubts, losses):
    """Every order in which doubt never falls, each counted once: the mean of their areas and of their risks at half coverage."""
    places = sorted(range(len(doubts)), key=lambda place: doubts[place])
    groups = [list(group) for _, group in itertools.groupby(places, key=lambda place: doubts[place])]
    areas, halves = [], []
    for order in itertools.product(*(itertools.permutations(group) for group in groups)):
        curve = risks([losses[place] for group in order for place in group])
        areas.append(sum(curve) / len(curve))
        halves.append(curve[-(-len(curve) // 2) - 1])
    best = risks(sorted(losses))
    area = sum(areas) / len(areas)
    return {
        "name": name,
        "doubts": list(map(float, doubts)),
        "losses": list(map(float, losses)),
        "aurc": float(area),
        "excess": float(area - sum(best) / len(best)),
        "risk_at_half": float(sum(halves) / len(halves)),
    }


def selectives():
    many = rng.uniform(0, 1, 50)
    return [
        selective("no_ties", many, (rng.uniform(0, 1, 50) < many).astype(float)),
        selective("ties_of_up_to_four", [0.1, 0.1, 0.3, 0.3, 0.3, 0.3, 0.5, 0.7, 0.7], [0, 1, 0, 1, 1, 0, 1, 0, 1]),
        selective("one_tie", [0.5] * 7, [1, 0, 0, 1, 0, 1, 1]),
        selective("losses_in_eighths", [3, 1, 2, 2, 5, 1], [0.125, 0.5, 2.25, 0, 1, 0.75]),
    ]


# ---- permutation test ----
def permutation(name, first, second):
    test = scipy.stats.permutation_test(
        (first, second),
        lambda a, b, axis: (a - b).mean(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    return {
        "name": name,
        "first": list(first),
        "second": list(second),
        "difference": float(test.statistic),
        "p_value": float(test.pvalue),
    }


def permutations():
    return [
        permutation("accuracies", rng.integers(0, 2, 12).astype(float), rng.integers(0, 2, 12).astype(float)),
        permutation("losses", rng.gamma(1, 1, 11), rng.gamma(1, 1.6, 11)),
        permutation("clear_difference", rng.normal(0, 1, 9) + 3, rng.normal(0, 1, 9)),
    ]


# ---- ranks ----
def ranks():
    scores = np.round(rng.uniform(0.5, 1, (6, 5)) * 12) / 12
    larger = [True, False, True, True, False]
    columns = [scipy.stats.rankdata(-column if up else column) for column, up in zip(scores.T, larger)]
    table = np.array(columns).T
    return {"scores": scores.tolist(), "larger": larger, "ranks": table.tolist(), "mean": table.mean(axis=1).tolist()}


# ---- GLUE ----
def glue():
    labels, predicted = rng.integers(0, 2, 80), rng.integers(0, 2, 80)
    predicted = np.where(rng.uniform(0, 1, 80) < 0.6, labels, predicted)
    three, three_predicted = rng.integers(0, 3, 60), rng.integers(0, 3, 60)
    targets = np.round(rng.uniform(0, 5, 50) * 5) / 5
    values = targets + rng.normal(0, 1, 50)
    accuracy, f1 = skm.accuracy_score(labels, predicted), skm.f1_score(labels, predicted)
    pearson = float(scipy.stats.pearsonr(values, targets).statistic)
    spearman = float(scipy.stats.spearmanr(values, targets).statistic)
    return {
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "accuracy": accuracy,
        "f1": f1,
        "accuracy_and_f1": (accuracy + f1) / 2,
        "matthews": skm.matthews_corrcoef(labels, predicted),
        "three_labels": three.tolist(),
        "three_predicted": three_predicted.tolist(),
        "three_accuracy": skm.accuracy_score(three, three_predicted),
        "values": values.tolist(),
        "targets": targets.tolist(),
        "pearson": pearson,
        "spearman": spearman,
        "pearson_and_spearman": (pearson + spearman) / 2,
    }


# ---- SQuAD ----
def plain(text):
    kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


def f1(truth, prediction):
    truth, prediction = plain(truth).split(), plain(prediction).split()
    if not truth or not prediction:
        return float(truth == prediction)
    same = sum((collections.Counter(truth) & collections.Counter(prediction)).values())
    return 0.0 if same == 0 else 2 * same / (len(truth) + len(prediction))


def means(rows):
    return {"total": len(rows), "exact": sum(r[0] for r in rows) / len(rows), "f1": sum(r[1] for r in rows) / len(rows)}


WORDS = "the a an The An mill old-mill river Thea U.S. é 日本 'quoted' 1923 12,5 don't naïve – A. Straße_b ((an)) half\u00a0space".split(" ")


def phrase(least):
    return " ".join(rng.choice(WORDS, rng.integers(least, 5)))


def squad_v1():
    cases = []
    for _ in range(150):
        answers = [phrase(1) for _ in range(rng.integers(1, 4))]
        prediction = answers[0] + rng.choice(["", " the", "!", " river"]) if rng.uniform() < 0.4 else phrase(1)
        # Where nothing is left on either side, libraries differ; the crate's own tests say what the script does.
        if plain(prediction) and all(map(plain, answers)):
            cases.append({"answers": answers, "prediction": prediction})
    scores = torchmetrics_squad(
        [{"prediction_text": case["prediction"], "id": str(i)} for i, case in enumerate(cases)],
        [{"answers": {"text": case["answers"], "answer_start": [0] * len(case["answers"])}, "id": str(i)} for i, case in enumerate(cases)],
    )
    return {
        "questions": cases,
        "exact": float(scores["exact_match"]) / 100,
        "f1": float(scores["f1"]) / 100,
        "normalized": [[text, plain(text)] for case in cases[:60] for text in case["answers"]],
    }


def best_threshold(rows, which):
    """All thresholds tried: none accepted, or everything up to one of the no-answer scores."""
    best = (sum(1 for row in rows if not row["has"]) / len(rows), None)
    for threshold in sorted({row["no_answer"] for row in rows}):
        total = 0.0
        for row in rows:
            accepted = row["no_answer"] <= threshold
            total += row[which] if accepted else float(not row["has"])
        if total / len(rows) > best[0] + 1e-12:
            best = (total / len(rows), threshold)
    return {"score": best[0], "threshold": best[1]}


def squad_v2(name, score_of):
    cases, rows = [], []
    for _ in range(120):
        answers = [] if rng.uniform() < 0.45 else [phrase(1) for _ in range(rng.integers(1, 4))]
        prediction = answers[0] if answers and rng.uniform() < 0.6 else (phrase(1) if rng.uniform() < 0.7 else "")
        no_answer = score_of(bool(answers))
        truths = [answer for answer in answers if plain(answer)] or [""]
        rows.append({
            "exact": float(max(plain(truth) == plain(prediction) for truth in truths)),
            "f1": max(f1(truth, prediction) for truth in truths),
            "has": bool(answers),
            "no_answer": no_answer,
        })
        cases.append({"answers": answers, "prediction": prediction, "no_answer": no_answer})

    def part(chosen, threshold=None):
        def turned(row):
            if threshold is not None and row["no_answer"] > threshold:
                return (float(not row["has"]),) * 2
            return row["exact"], row["f1"]

        return means([turned(row) for row in chosen])

    return {
        "name": name,
        "questions": cases,
        "all": part(rows),
        "with_answer": part([row for row in rows if row["has"]]),
        "without_answer": part([row for row in rows if not row["has"]]),
        "at_zero": part(rows, 0.0),
        "best_exact": best_threshold(rows, "exact"),
        "best_f1": best_threshold(rows, "f1"),
    }


# ---- multiple choice ----
def choices():
    counts = rng.integers(2, 6, 40)
    members = 3
    scores = [[np.round(rng.normal(-2, 2, count) * 64) / 64 for count in counts] for _ in range(members)]
    labels = [int(rng.integers(0, count)) for count in counts]
    case = {"members": members, "choices": counts.tolist(), "labels": labels, "scores": [float(s) for m in scores for row in m for s in row]}
    for temperature in (1.0, 2.5):
        mean = [
            torch.stack([torch.softmax(torch.tensor(scores[m][q]) / temperature, -1) for m in range(members)]).mean(0)
            for q in range(len(counts))
        ]
        right = torch.tensor([float(row.argmax() == label) for row, label in zip(mean, labels)])
        sure = torch.tensor([float(row.max()) for row in mean], dtype=torch.float64)
        bins = torch.clamp(torch.ceil(sure * 15) - 1, 0, 14)
        case[f"at_{temperature}"] = {
            "accuracy": float(right.mean()),
            "nll": -sum(float(torch.log(row[label])) for row, label in zip(mean, labels)) / len(labels),
            "ece": sum(
                float(abs(right[bins == b].double().mean() - sure[bins == b].mean())) * float((bins == b).sum()) / len(labels)
                for b in range(15)
                if (bins == b).any()
            ),
        }
    return case


def main():
    versions = {module.__name__: module.__version__ for module in (np, scipy, sklearn, torchmetrics)}
    golden = {
        "generator": "make_task_scores.py",
        "seed": SEED,
        "versions": versions | {"torch": torch.__version__.split("+")[0]},
        "detection": detections(),
        "selective": selectives(),
        "permutation": permutations(),
        "ranks": ranks(),
        "glue": glue(),
        "squad_v1": squad_v1(),
        "squad_v2": [
            squad_v2("scores_that_know_a_little", lambda has: float(rng.normal(-0.8 if has else 0.8, 1))),
            squad_v2("useless_scores", lambda has: float(rng.normal(0, 1))),
            squad_v2("many_ties", lambda has: float(np.round(rng.normal(-0.5 if has else 0.5, 1)))),
        ],
        "choices": choices(),
    }
    path = pathlib.Path(__file__).with_name("task_scores.json")
    path.write_text(json.dumps(golden, separators=(",", ":"), allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
