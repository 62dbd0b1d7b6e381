#!/usr/bin/env python3
"""Draws the accuracy study: plot_reasoner.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes reasoner_accuracy (solved under every policy) and reasoner_entropy (token entropies; false equations by the entropy of
their step).
"""

import json
from pathlib import Path

import numpy as np

from plot_style import BF16, NVFP4, draw, legend_below, plt
from table_reasoner import POLICIES

STYLES = {"BF16": BF16, "W4A4": NVFP4}


def load(folder):
    folder = Path(folder) if (Path(folder) / "reasoner.json").exists() else Path(__file__).parent / "results"
    report = json.loads((folder / "reasoner.json").read_text())
    return report, {"models": report["rows"][0]["models"]}


def accuracy(report, context):
    figure, axis = plt.subplots(figsize=(8, 4.2), layout="constrained")
    for shift, (form, style) in zip((-0.1, 0.1), STYLES.items()):
        rows = {r["policy"]: r["solved"] for r in report["rows"] if r["models"] == context["models"] and r["form"] == form}
        at = [i for i, policy in enumerate(POLICIES) if policy in rows]
        mean, low, high = (np.array([rows[POLICIES[i]][k] for i in at]) for k in ("mean", "low", "high"))
        axis.errorbar(np.array(at) + shift, mean, yerr=[mean - low, high - mean], capsize=3, label=form,
                      **{**style, "linestyle": "none"})
    axis.set_xticks(range(len(POLICIES)), [p.replace(", ", ",\n") for p in POLICIES], fontsize=9)
    axis.set_ylabel("problems solved, %")
    axis.set_title(f"Countdown, {context['models']}: 95 % intervals over problems", fontsize=11)
    legend_below(figure)
    return figure


def total(report, form, field):
    return np.sum([e[field] for e in report["entropies"] if e["form"] == form and e["model"].startswith("small")], 0)


def entropy(report, _):
    figure, (tokens, steps) = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
    bins = report["token_bins"]
    for form, style in STYLES.items():
        counts = total(report, form, "tokens")
        edges = 10.0 ** (bins["lowest_decade"] + np.arange(len(counts)) / bins["bins_per_decade"])
        tokens.step(edges, 100 * counts / counts.sum(), where="post", label=form, color=style["color"])
        step = total(report, form, "steps")
        enough = step[:, 0] >= 200
        nats = report["step_bin_nats"] * (np.arange(len(step)) + 0.5)
        steps.plot(nats[enough], 100 * step[enough, 1] / step[enough, 0], linewidth=2, markersize=5, **style)
    tokens.set_xscale("log")
    tokens.set_xlabel("entropy of a token, nats (first bin: all below)")
    tokens.set_ylabel("tokens, %")
    steps.set_xlabel("mean entropy of a step, nats")
    steps.set_ylabel("false equations, %")
    figure.suptitle("T = 1, small models", fontsize=11)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    draw(load, {"reasoner_accuracy": accuracy, "reasoner_entropy": entropy})
