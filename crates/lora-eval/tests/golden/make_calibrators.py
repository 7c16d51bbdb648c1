"""Makes calibrators.json beside this file: probabilities and labels, and what torch-uncertainty, scikit-learn, relplot and torchmetrics
make of them.

    python make_calibrators.py

Needs numpy, scikit-learn, torch, torchmetrics, torch-uncertainty and relplot; the versions used are written into the file.

Vector scaling of torch-uncertainty has no bias, and neither vector scaling has a prior there; these two are minimized by SciPy, on the
penalized likelihood as it stands in the documentation. Its scalers get ln p for logits, in double precision, and the steps that they need.
"""

import functools
import json
import logging
import pathlib
from importlib.metadata import version

import numpy as np
import relplot
import scipy.optimize
import scipy.special
import torch
from torch.utils.data import DataLoader, TensorDataset
from torch_uncertainty.post_processing.calibration import dirichlet_scaler
from torch_uncertainty.post_processing.calibration.isotonic_regression import IsotonicRegressionScaler
from torchmetrics.functional.classification import binary_calibration_error

# Its search ends where the loss hardly changes; let it end where it does not.
dirichlet_scaler.LBFGS = functools.partial(torch.optim.LBFGS, tolerance_grad=1e-12, tolerance_change=1e-18, line_search_fn="strong_wolfe")
logging.disable(logging.CRITICAL)
torch.set_default_dtype(torch.float64)
rng = np.random.default_rng(20261129)


def drawn(rows, classes, sharpness, truth=0.6, digits=None):
    logits = rng.normal(0, sharpness, (rows, classes))
    probabilities = scipy.special.softmax(logits, axis=1)
    # The truth is softer, and tilted towards the first classes.
    tilt = np.linspace(0.5, -0.5, classes)
    of_labels = scipy.special.softmax(truth * logits + tilt, axis=1)
    labels = np.array([rng.choice(classes, p=row) for row in of_labels])
    if digits:
        probabilities = np.round(probabilities, digits) + 10.0**-digits
        probabilities /= probabilities.sum(1, keepdims=True)
    return probabilities, labels


def batches(probabilities, labels):
    data = TensorDataset(torch.log(torch.from_numpy(probabilities)), torch.from_numpy(labels))
    return DataLoader(data, batch_size=len(labels))


def dirichlet(fit, labels, test, off_diagonal, bias):
    classes = fit.shape[1]
    scaler = dirichlet_scaler.DirichletScaler(classes, lr=1, max_iter=5000, lambda_reg=off_diagonal, mu_reg=bias).double()
    for group in range(3):
        scaler.fit(batches(fit, labels), progress=False)
    return torch.softmax(scaler(torch.log(torch.from_numpy(test))), 1).detach().numpy()


def vector(fit, labels, test, deviation):
    classes = fit.shape[1]
    x = np.log(fit)

    def loss(numbers):
        w, b = numbers[:classes], numbers[classes:]
        nll = -scipy.special.log_softmax(w * x + b, axis=1)[np.arange(len(labels)), labels].mean()
        if deviation:
            nll += (((w - 1) ** 2).sum() + (b**2).sum()) / (2 * deviation**2 * len(labels))
        return nll

    def slope(numbers):
        w, b = numbers[:classes], numbers[classes:]
        error = (scipy.special.softmax(w * x + b, axis=1) - np.eye(classes)[labels]) / len(labels)
        gradient = np.concatenate([(error * x).sum(0), error.sum(0)])
        if deviation:
            gradient += np.concatenate([w - 1, b]) / (deviation**2 * len(labels))
        return gradient

    start = np.concatenate([np.ones(classes), np.zeros(classes)])
    found = scipy.optimize.minimize(loss, start, jac=slope, method="BFGS", options={"gtol": 1e-10, "maxiter": 10_000}).x
    return scipy.special.softmax(found[:classes] * np.log(test) + found[classes:], axis=1)


def isotonic(fit, labels, test):
    scaler = IsotonicRegressionScaler()
    scaler.fit(batches(fit, labels), progress=False)
    return torch.softmax(scaler(torch.log(torch.from_numpy(test))), 1).numpy()


def errors(probabilities, labels):
    top = probabilities.argmax(1)
    smooth, width = relplot.smECE(probabilities.max(1), (top == labels).astype(float), return_width=True)
    of_class = lambda c: binary_calibration_error(
        torch.from_numpy(probabilities[:, c]).float(), torch.from_numpy((labels == c).astype(int)), n_bins=15, norm="l1"
    ).item()
    return {
        "smooth_ece": float(smooth),
        "bandwidth": float(width),
        "classwise_ece": float(np.mean([of_class(c) for c in range(probabilities.shape[1])])),
    }


def case(name, rows, classes, sharpness, digits=None):
    fit, labels = drawn(rows, classes, sharpness, digits=digits)
    test, _ = drawn(25, classes, sharpness * 1.2)
    return {
        "name": name,
        "classes": classes,
        "fit": fit.flatten().tolist(),
        "labels": labels.tolist(),
        "test": test.flatten().tolist(),
        "vector": vector(fit, labels, test, None).flatten().tolist(),
        "vector_with_prior": vector(fit, labels, test, 0.5).flatten().tolist(),
        "dirichlet": [
            {"off_diagonal": l, "bias": m, "test": dirichlet(fit, labels, test, l, m).flatten().tolist()}
            for l, m in [(0.1, 0.05), (2.0, 1.0)]
        ],
        "isotonic": isotonic(fit, labels, test).flatten().tolist(),
        **errors(fit, labels),
    }


def calibrated(name, rows, truth):
    probabilities, labels = drawn(rows, 3, 2.0, truth)
    return {"name": name, "classes": 3, "fit": probabilities.flatten().tolist(), "labels": labels.tolist(), **errors(probabilities, labels)}


document = {
    "versions": {
        name: version(name)
        for name in ["numpy", "scipy", "scikit-learn", "torch", "torchmetrics", "torch-uncertainty", "relplot"]
    },
    "cases": [
        case("two classes", 60, 2, 1.5),
        case("three classes", 120, 3, 2.0),
        case("five classes, equal probabilities", 150, 5, 1.5, digits=1),
    ],
    "errors": [
        calibrated("nearly calibrated", 400, 1.0),
        calibrated("far too sure", 80, 0.0),
        calibrated("few rows", 7, 0.6),
    ],
}
path = pathlib.Path(__file__).with_name("calibrators.json")
path.write_text(json.dumps(document) + "\n")
print(path, path.stat().st_size)
for each in document["cases"] + document["errors"]:
    print(each["name"], each["smooth_ece"], each["bandwidth"], each["classwise_ece"])
