"""Writes schedule.json: learning-rate factors as transformers computes them, one list of `total_steps + 2` values a case.

Usage: python schedule.py > schedule.json
"""
import json

import torch
import transformers

cases = []
for kind, make in [
    ("constant", lambda opt, warmup, total: transformers.get_constant_schedule_with_warmup(opt, warmup)),
    ("linear", transformers.get_linear_schedule_with_warmup),
    ("cosine", transformers.get_cosine_schedule_with_warmup),
]:
    for warmup, total in [(0, 7), (2, 10), (3, 3), (5, 4), (0, 1), (6, 61)]:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
        factor = make(optimizer, warmup, total).lr_lambdas[0]
        factors = [factor(step) for step in range(total + 2)]
        cases.append({"lr_scheduler_type": kind, "warmup_steps": warmup, "total_steps": total, "factors": factors})

print(json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "cases": cases}, indent=1))
