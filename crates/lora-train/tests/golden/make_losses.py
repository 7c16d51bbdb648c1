"""Writes losses.json: losses and their gradients by PyTorch, torchvision and scikit-learn.

Usage: python make_losses.py, in this folder
"""
import json

import numpy
import sklearn
import torch
import torchvision
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from torchvision.ops import sigmoid_focal_loss

generator = torch.Generator().manual_seed(11)


def normal(*shape):
    return torch.randn(*shape, generator=generator).mul(2).requires_grad_()


def case(kind, outputs, loss, **settings):
    loss.backward()
    return {
        "kind": kind,
        **settings,
        "outputs": outputs.flatten().tolist(),
        "shape": list(outputs.shape),
        "loss": loss.item(),
        "gradient": outputs.grad.flatten().tolist(),
    }


def focal(outputs, labels, weight, gamma):
    """Equation 5 of arXiv 1708.02002 for a softmax; a mean with the weights, as cross_entropy's."""
    log_p = torch.log_softmax(outputs, 1).gather(1, labels[:, None])[:, 0]
    of_rows = weight[labels]
    return (of_rows * (1 - log_p.exp()) ** gamma * -log_p).sum() / of_rows.sum()


cases = []
labels = torch.tensor([0, 4, 2, 2, 1, 0, 3])
weights = [0.5, 2.0, 1.25, 4.0, 0.75]
for weight in (None, weights):
    for smoothing in (0.0, 0.1, 0.4):
        outputs = normal(7, 5)
        as_tensor = None if weight is None else torch.tensor(weight)
        loss = cross_entropy(outputs, labels, weight=as_tensor, label_smoothing=smoothing)
        cases.append(case("classes", outputs, loss, labels=labels.tolist(), weights=weight, smoothing=smoothing, gamma=0.0))
    for gamma in (0.5, 2.0, 3.5):
        outputs = normal(7, 5)
        as_tensor = torch.tensor(weight or [1.0] * 5)
        loss = focal(outputs, labels, as_tensor, gamma)
        cases.append(case("classes", outputs, loss, labels=labels.tolist(), weights=weight, smoothing=0.0, gamma=gamma))

held = [[0, 3], [], [1], [0, 1, 2, 3], [2], [2, 3]]
truth = torch.zeros(6, 4)
for row, of_row in enumerate(held):
    truth[row, of_row] = 1.0
for weight in (None, [0.5, 3.0, 1.25, 2.0]):
    as_tensor = None if weight is None else torch.tensor(weight)
    for smoothing in (0.0, 0.2):
        outputs = normal(6, 4)
        smoothed = truth * (1 - smoothing) + smoothing / 2
        loss = binary_cross_entropy_with_logits(outputs, smoothed, pos_weight=as_tensor)
        cases.append(case("labels", outputs, loss, held=held, weights=weight, smoothing=smoothing, gamma=0.0))
for gamma in (0.5, 2.0):
    outputs = normal(6, 4)
    loss = sigmoid_focal_loss(outputs, truth, alpha=-1, gamma=gamma, reduction="mean")
    cases.append(case("labels", outputs, loss, held=held, weights=None, smoothing=0.0, gamma=gamma))

balanced = []
for rows in ([0, 0, 0, 1, 2, 2], [3, 1, 1, 1, 1, 1, 0], [2, 2, 0, 0]):
    classes = numpy.unique(rows)
    found = compute_class_weight("balanced", classes=classes, y=numpy.array(rows))
    balanced.append({"labels": rows, "weights": dict(zip(map(str, classes.tolist()), found.tolist()))})

versions = {"torch": torch.__version__, "torchvision": torchvision.__version__, "scikit-learn": sklearn.__version__}
with open("losses.json", "w") as file:
    json.dump({"versions": versions, "cases": cases, "balanced": balanced}, file, indent=1)
    file.write("\n")
