"""Makes conformal.json beside this file: probabilities and labels, and the quantiles and sets that MAPIE gives for them.

    python make_conformal.py

Needs numpy, scikit-learn and MAPIE; the versions used are written into the file. Two things of MAPIE are held fixed: the uniform numbers
of APS and RAPS are drawn here and handed to it, and the penalty of RAPS is given (MAPIE looks for one on a part of the rows). Its
randomized RAPS divides by another number than the paper where a set reaches more than one class above the free ones: such rows are null.
"""

import json
import pathlib

import mapie
import numpy as np
import sklearn
from mapie.classification import SplitConformalClassifier
from mapie.conformity_scores import APSConformityScore, LACConformityScore, RAPSConformityScore
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import StratifiedShuffleSplit

rng = np.random.default_rng(20261129)
COVERAGES = [0.8, 0.9, 0.95]


class Known(ClassifierMixin, BaseEstimator):
    """A classifier whose inputs are its probabilities."""

    def fit(self, x, y):
        self.classes_ = np.unique(y)
        self.n_features_in_ = x.shape[1]
        return self

    def predict_proba(self, x):
        return x

    def predict(self, x):
        return self.classes_[x.argmax(1)]


class Uniforms(np.random.RandomState):
    """Gives the numbers that it was made of: first those of the fit, then, for each coverage anew, those of the sets."""

    def __init__(self, fit, sets):
        super().__init__(0)
        self.lists = {len(fit): fit, len(sets): sets}

    def uniform(self, low=0.0, high=1.0, size=None):
        count = size if np.isscalar(size) else int(np.prod(size))
        return self.lists[count].reshape(size)


class FixedRaps(RAPSConformityScore):
    PENALTY = 0.3

    def _find_lambda_star(self, *_args):
        return self.PENALTY


def drawn(rows, classes, sharpness):
    logits = rng.normal(0, sharpness, (rows, classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    # Labels from softer probabilities: the classifier is too sure, as real ones are.
    softer = probabilities**0.7
    softer /= softer.sum(1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in softer])
    return probabilities, labels


def conformal(score, fit, labels, test, coverage, state):
    classifier = SplitConformalClassifier(
        Known().fit(fit, np.arange(fit.shape[1])),
        confidence_level=coverage,
        conformity_score=score,
        prefit=True,
        random_state=state,
    )
    classifier.conformalize(fit, labels)
    options = {} if isinstance(score, LACConformityScore) else {"include_last_label": "randomized"}
    _, sets = classifier.predict_set(test, conformity_score_params=options)
    sets = sets[:, :, 0]
    quantile = float(np.ravel(classifier._mapie_classifier.conformity_score_function_.quantiles_)[0])
    return quantile, sets, classifier._mapie_classifier.conformity_score_function_


def last_class(test, quantile, free):
    """The rank (from 1) at which the penalized sum of each row reaches the quantile."""
    sums = np.sort(test, axis=1)[:, ::-1].cumsum(1)
    sums += FixedRaps.PENALTY * np.maximum(0, np.arange(1, test.shape[1] + 1) - free)
    return [int(np.argmax(row >= quantile - 1e-8)) + 1 if row[-1] >= quantile else len(row) for row in sums]


def entry(coverage, quantile, sets, **more):
    sets = [np.flatnonzero(row).tolist() for row in sets]
    return {"coverage": coverage, "quantile": quantile, "sets": sets, **more}


def case(name, rows, tests, classes, sharpness, randomized):
    fit, labels = drawn(rows, classes, sharpness)
    test, _ = drawn(tests, classes, sharpness)
    draw = (lambda count: rng.random(count)) if randomized else (lambda count: np.zeros(count))
    u_fit, u_test = draw(rows), draw(tests)
    lac = [entry(c, *conformal(LACConformityScore(), fit, labels, test, c, 0)[:2]) for c in COVERAGES]
    # MAPIE takes LAC alone for two classes.
    many = COVERAGES if classes > 2 else []
    aps = [entry(c, *conformal(APSConformityScore(), fit, labels, test, c, Uniforms(u_fit, u_test))[:2]) for c in many]
    by_class = []
    for c in COVERAGES:
        # Per class: MAPIE on the rows of one class, whose quantile decides about that class alone.
        quantiles, columns = [], []
        for label in range(classes):
            of_class = labels == label
            assert of_class.sum() not in (rows, tests) and of_class.sum() >= 20
            # MAPIE wants every class among the labels; LAC needs them for nothing else.
            scores = 1 - fit[of_class, label]
            n = len(scores)
            quantiles.append(float(np.quantile(scores, np.ceil((n + 1) * c) / n, method="lower")))
            columns.append(1 - test[:, label] <= quantiles[-1])
        by_class.append({"coverage": c, "quantiles": quantiles, "sets": [np.flatnonzero(row).tolist() for row in np.stack(columns, 1)]})
    raps = []
    for c in many:
        # MAPIE keeps a tenth of the rows to choose the free classes on; the rest is what it is fitted on.
        split = StratifiedShuffleSplit(n_splits=1, test_size=0.1, random_state=np.random.RandomState(0))
        used, _ = next(split.split(fit, labels))
        u_used = draw(len(used))
        state = Uniforms(u_used, u_test)
        state.seed(0)
        quantile, sets, function = conformal(FixedRaps(), fit, labels, test, c, state)
        free = int(np.ravel(function.k_star)[0])
        row = entry(c, quantile, sets, penalty=FixedRaps.PENALTY, free=free, rows=used.tolist(), uniforms=u_used.tolist())
        reached = last_class(test, quantile, free)
        row["sets"] = [found if last <= free + 1 else None for found, last in zip(row["sets"], reached)]
        assert sum(found is not None for found in row["sets"]) > tests / 2
        assert sorted(function.X_raps[:, 0]) == sorted(np.delete(fit, used, axis=0)[:, 0])
        raps.append(row)
    return {
        "name": name,
        "classes": classes,
        "fit": fit.flatten().tolist(),
        "labels": labels.tolist(),
        "test": test.flatten().tolist(),
        "uniforms_fit": u_fit.tolist(),
        "uniforms_test": u_test.tolist(),
        "lac": lac,
        "lac_by_class": by_class,
        "aps": aps,
        "raps": raps,
    }


document = {
    "versions": {"mapie": mapie.__version__, "numpy": np.__version__, "scikit-learn": sklearn.__version__},
    "cases": [
        case("two classes", 90, 40, 2, 1.5, False),
        case("two classes, randomized", 90, 40, 2, 1.5, True),
        case("four classes", 260, 50, 4, 2.0, False),
        case("four classes, randomized", 260, 50, 4, 2.0, True),
        case("seven classes, randomized", 320, 40, 7, 1.5, True),
    ],
}
path = pathlib.Path(__file__).with_name("conformal.json")
path.write_text(json.dumps(document) + "\n")
print(path, path.stat().st_size)
