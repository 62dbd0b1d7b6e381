#!/usr/bin/env python3
"""Draws the accuracy study: plot_reasoner.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes reasoner_accuracy (solved under every policy) and reasoner_entropy (token entropies; what becomes of steps by theirs).
"""

import json
from pathlib import Path

import numpy as np

from plot_style import BF16, NVFP4, draw, legend_below, plt
from reasoner_report import ALL_SEEDS
from reasoner_study import SMALL
from table_reasoner import POLICIES

STYLES = {"BF16": BF16, "W4A4": NVFP4}
FEWEST = 200  # steps of a bin that is drawn
LOWEST_GAIN = -5  # points; what loses more is left out of the right half


def load(folder):
    return json.loads((Path(folder) / "reasoner.json").read_text()), {}


def accuracy(report, _):
    """Solved under every policy, and what each gains over T = 1: of the small models, all seeds."""
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), sharey=True, layout="constrained")
    for axis, field, lowest in zip(axes, ("solved", "gain_over_t1"), (0, LOWEST_GAIN)):
        for shift, (form, style) in zip((-0.15, 0.15), STYLES.items()):
            rows = {r["policy"]: r[field] for r in report["rows"] if (r["models"], r["form"]) == (ALL_SEEDS, form) and field in r}
            at = [i for i, policy in enumerate(POLICIES) if policy in rows and rows[policy]["mean"] >= lowest]
            mean, low, high = (np.array([rows[POLICIES[i]][k] for i in at]) for k in ("mean", "low", "high"))
            axis.errorbar(mean, np.array(at) + shift, xerr=[mean - low, high - mean], capsize=3,
                          label=form if axis is axes[0] else None, **{**style, "linestyle": "none"})
    axes[0].set_xlabel("problems solved, %, and 95 % intervals")
    axes[1].set_xlabel(f"gain over T = 1.0, points (missing: less than {LOWEST_GAIN})")
    axes[1].axvline(0, color="#222222", linewidth=0.8)
    axes[0].set_yticks(range(len(POLICIES)), POLICIES, fontsize=9)
    axes[0].invert_yaxis()
    figure.suptitle("small models, mean of three training seeds", fontsize=11)
    legend_below(figure)
    return figure


def total(report, form, field):
    return np.sum([e[field] for e in report["entropies"] if e["form"] == form and e["model"] in SMALL], 0)


def upper_edges(count, lowest_decade, bins_per_decade):
    """Of the bins of token entropies, nats: what a bin and those before it hold is at most that."""
    return 10.0 ** (lowest_decade + np.arange(1, count + 1) / bins_per_decade)


def shares(steps, column, nats):
    """(middles of the bins that hold enough steps, percent of their steps that the column counts)."""
    at = np.flatnonzero(steps[:, 0] >= FEWEST)
    return nats * (at + 0.5), 100 * steps[at, column] / steps[at, 0]


def entropy(report, _):
    figure, (tokens, solved, wrong) = plt.subplots(1, 3, figsize=(10, 4), layout="constrained")
    for form, style in STYLES.items():
        counts = total(report, form, "tokens")
        edges = upper_edges(len(counts), **report["token_bins"])
        tokens.step(edges, 100 * counts.cumsum() / counts.sum(), where="post", label=form, color=style["color"])
        for axis, column in ((solved, 2), (wrong, 1)):
            axis.plot(*shares(total(report, form, "steps"), column, report["step_bin_nats"]), linewidth=2, markersize=5, **style)
    tokens.set_xscale("log")
    tokens.set_xlabel("entropy of a token, nats")
    tokens.set_ylabel("tokens up to it, %")
    for axis, label in ((solved, "steps of solved traces, %"), (wrong, "false equations, %")):
        axis.set_xlabel("mean entropy of a step, nats")
        axis.set_ylabel(label)
    figure.suptitle("T = 1, small models, all seeds", fontsize=11)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    draw(load, {"reasoner_accuracy": accuracy, "reasoner_entropy": entropy})
