#!/usr/bin/env python3
"""Draws the accuracy study: plot_reasoner.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes reasoner_accuracy (solved under every policy) and reasoner_entropy (token entropies; what becomes of steps by theirs).
"""

import json
from pathlib import Path

import numpy as np

from plot_style import BF16, NVFP4, draw, legend_below, plt
from table_reasoner import POLICIES, SMALL

STYLES = {"BF16": BF16, "W4A4": NVFP4}


def load(folder):
    return json.loads((Path(folder) / "reasoner.json").read_text()), {}


def accuracy(report, _):
    """Solved under every policy, and what each gains over T = 1: of the small models, all seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, layout="constrained")
    for axis, field in zip(axes, ("solved", "gain_over_t1")):
        for shift, (form, style) in zip((-0.15, 0.15), STYLES.items()):
            rows = {r["policy"]: r[field] for r in report["rows"] if (r["models"], r["form"]) == (SMALL, form) and field in r}
            at = [i for i, policy in enumerate(POLICIES) if policy in rows]
            mean, low, high = (np.array([rows[POLICIES[i]][k] for i in at]) for k in ("mean", "low", "high"))
            axis.errorbar(mean, np.array(at) + shift, xerr=[mean - low, high - mean], capsize=3,
                          label=form if axis is axes[0] else None, **{**style, "linestyle": "none"})
    axes[0].set_xlabel("problems solved, %, and 95 % intervals")
    axes[1].set_xlabel("gain over T = 1.0, points (missing: less than -5)")
    axes[1].set_xlim(-5, 1.2)
    axes[1].set_xticks(range(-4, 2))
    axes[1].axvline(0, color="#222222", linewidth=0.8)
    axes[0].set_yticks(range(len(POLICIES)), POLICIES, fontsize=9)
    axes[0].invert_yaxis()
    figure.suptitle(SMALL, fontsize=11)
    legend_below(figure)
    return figure


def total(report, form, field):
    return np.sum([e[field] for e in report["entropies"] if e["form"] == form and e["model"].startswith("small")], 0)


def entropy(report, _):
    figure, (tokens, solved, wrong) = plt.subplots(1, 3, figsize=(10, 4), layout="constrained")
    bins = report["token_bins"]
    for form, style in STYLES.items():
        counts = total(report, form, "tokens")
        edges = 10.0 ** (bins["lowest_decade"] + np.arange(len(counts)) / bins["bins_per_decade"])
        tokens.step(edges, 100 * counts.cumsum() / counts.sum(), where="post", label=form, color=style["color"])
        step = total(report, form, "steps")
        step = step[step[:, 0] >= 200]
        nats = report["step_bin_nats"] * (np.arange(len(step)) + 0.5)
        for axis, column in ((solved, 2), (wrong, 1)):
            axis.plot(nats, 100 * step[:, column] / step[:, 0], linewidth=2, markersize=5, **style)
    tokens.set_xscale("log")
    tokens.set_xlabel("entropy of a token, nats")
    tokens.set_ylabel("tokens up to it, %")
    for axis, label in ((solved, "steps of solved traces, %"), (wrong, "false equations, %")):
        axis.set_xlabel("mean entropy of a step, nats")
        axis.set_ylabel(label)
    figure.suptitle("T = 1, small models", fontsize=11)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    draw(load, {"reasoner_accuracy": accuracy, "reasoner_entropy": entropy})
