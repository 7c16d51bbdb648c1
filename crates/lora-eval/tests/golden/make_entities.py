"""Makes entities.json beside this file: tags of words, and what seqeval gives for them in its strict mode with the scheme IOB2.

    python make_entities.py

Needs seqeval, with numpy and scikit-learn, on which it stands; the versions used are written into the file. Sequences are drawn tag by
tag, so that most hold what no annotator would write: inside tags without a beginning, a change of kind in the middle. The same seed and
versions give the same file.
"""

import json
import pathlib
import random
import warnings
from importlib.metadata import version

from seqeval.metrics import f1_score, precision_score, recall_score
from seqeval.scheme import IOB2, Entities

SEED = 20030601
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-MISC", "I-MISC"]


def sentence(draw, length):
    return [draw.choices(TAGS, [4, 2, 3, 2, 3, 1, 1])[0] for _ in range(length)]


def disturbed(draw, tags, share):
    return [draw.choice(TAGS) if draw.random() < share else tag for tag in tags]


def case(draw, sentences, longest, share):
    truth = [sentence(draw, draw.randint(1, longest)) for _ in range(sentences)]
    predicted = [disturbed(draw, tags, share) for tags in truth]
    settings = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    found = Entities(truth, IOB2).entities
    return {
        "truth": truth,
        "predicted": predicted,
        "entities": [[[entity.tag, entity.start, entity.end] for entity in of_sentence] for of_sentence in found],
        "precision": float(precision_score(truth, predicted, **settings)),
        "recall": float(recall_score(truth, predicted, **settings)),
        "f1": float(f1_score(truth, predicted, **settings)),
    }


def main():
    warnings.simplefilter("ignore")
    draw = random.Random(SEED)
    cases = [case(draw, sentences, longest, share) for sentences, longest, share in [(1, 3, 0.5), (6, 9, 0.3), (40, 20, 0.15), (12, 30, 0.9)]]
    golden = {"versions": {name: version(name) for name in ["seqeval", "numpy", "scikit-learn"]}, "seed": SEED, "cases": cases}
    path = pathlib.Path(__file__).with_name("entities.json")
    path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
