#!/usr/bin/env python3
"""Draws the sampler's results: plot_sampler.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes sampler: time against the batch for bf16 logits, without and with truncation, beside the PyTorch chain and a read.
"""

import json
from pathlib import Path

from gemv_results import source
from plot_style import CUBLAS, FLOOR, NVFP4, draw, legend_below, plt

SETTINGS = {"reset": "ReSET, no truncation", "reset, top-p .95, top-k 20": "ReSET, top-p .95, top-k 20"}
SERIES = [
    ("torch_chain_us", "PyTorch", CUBLAS),
    ("time_us", "reset", NVFP4),
    ("read_floor_us", "reading the logits alone", {"color": FLOOR, "linestyle": ":", "marker": "|"}),
]


def load(folder):
    """The records of sampler.json, and sampler_context.json beside it."""
    context = Path(folder) / "sampler_context.json"
    records = json.loads((Path(folder) / "sampler.json").read_text())
    return records, json.loads(context.read_text()) if context.exists() else {}


def plot(records, context):
    figure, axes = plt.subplots(1, len(SETTINGS), figsize=(8, 4.2), sharey=True, layout="constrained")
    for axis, (setting, title) in zip(axes, SETTINGS.items()):
        rows = [r for r in records if r["dtype"] == "bf16" and r["setting"] == setting and r["pdl"]]
        for field, label, style in SERIES:
            points = [(r["batch"], r[field]) for r in rows if r.get(field)]
            if points:
                name = label if axis is axes[0] else None
                axis.plot(*zip(*points), label=name, linewidth=2, markersize=6, **style)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_xticks([r["batch"] for r in rows], [str(r["batch"]) for r in rows])
        axis.set_xlabel("rows of logits")
        axis.set_title(title, fontsize=11)
    axes[0].set_ylabel("microseconds")
    figure.suptitle(f"From logits to token, V = 151,936, bf16\n{source(context)}", fontsize=11)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    draw(load, {"sampler": plot})
