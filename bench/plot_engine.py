#!/usr/bin/env python3
"""Draws whole decode steps: plot_engine.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes engine_speed, the speed-up over the BF16 engine, and engine_profile, where the time of a step goes.
"""

from gemv_results import source
from plot_style import BF16, CUBLAS, NVFP4, draw, legend_below, plt
from table_engine import load, load_profile, speed_up

SERIES = [("nvfp4-w4a16", "bf16", "W4A16", NVFP4), ("nvfp4-w4a4", "bf16", "W4A4", BF16),
          ("nvfp4-w4a16", "nvfp4", "W4A16, NVFP4 head", CUBLAS)]
COLOURS = {"mat-vec": "#0b6e4f", "cuBLAS": "#33415c", "attention": "#d1495b", "merge of attention": "#edae49",
           "norm": "#66a182", "gate times up": "#8d96a3", "sampler": "#b56576", "embedding": "#bbbbbb"}


def plot_speed(results, context):
    records, _ = results
    models = sorted({r["model"] for r in records}, key=lambda name: int(name.split("-")[-1].rstrip("b")))
    batches = sorted({r["batch"] for r in records})
    lengths = sorted({r["generated"] for r in records})
    figure, axes = plt.subplots(1, len(models), figsize=(3.2 * len(models), 4), sharey=True, layout="constrained", squeeze=False)
    for axis, model in zip(axes[0], models):
        for engine, head, label, style in SERIES:
            for generated, line in ((lengths[0], "-"), (lengths[-1], ":")):
                points = [(batch, speed_up(records, model, batch, generated, engine, head)) for batch in batches]
                points = [p for p in points if p[1]]
                name = f"{label}, {generated // 1024} K generated" if axis is axes[0][0] else None
                axis.plot(*zip(*points), label=name, linewidth=2, markersize=6, **{**style, "linestyle": line})
        axis.set_xticks(batches)
        axis.set_xlabel("batch")
        axis.set_title(model, fontsize=11)
    axes[0][0].set_ylabel("times as many tokens a second")
    axes[0][0].set_ylim(bottom=0)
    figure.suptitle(f"End to end against the same engine in BF16, 512-token prompt\n{source(context)}", fontsize=11)
    figure.legend(frameon=False, fontsize=10, loc="outside lower center", ncol=3)
    return figure


def plot_profile(results, context):
    _, profile = results
    steps = list(dict.fromkeys((r["model"], r["engine"], r["batch"]) for r in profile))
    figure, axis = plt.subplots(figsize=(8, 0.55 * len(steps) + 2), layout="constrained")
    left = {step: 0.0 for step in steps}
    for part, colour in COLOURS.items():
        times = {(r["model"], r["engine"], r["batch"]): r["time_us"] / 1000 for r in profile if r["part"] == part}
        axis.barh(range(len(steps)), [times.get(s, 0) for s in steps], left=list(left.values()), color=colour, label=part)
        left = {step: left[step] + times.get(step, 0) for step in steps}
    axis.set_yticks(range(len(steps)), [f"{model}, {engine}, batch {batch}" for model, engine, batch in steps])
    axis.invert_yaxis()
    axis.set_axisbelow(True)
    for place, total in enumerate(left.values()):
        axis.annotate(f"{total:.1f}", (total, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=10)
    axis.set_xlim(right=1.08 * max(left.values()))
    axis.set_xlabel("milliseconds of kernels, one after the other, 1,024 tokens of context")
    commit = ", ".join(dict.fromkeys(r["commit"] for r in profile))
    figure.suptitle(f"Where a decode step goes, by Nsight Compute\n{source({**context, 'commit': commit})}", fontsize=11)
    legend_below(figure)
    return figure


def load_all(folder):
    records, context = load(folder)
    return (records, load_profile(folder)), context


if __name__ == "__main__":
    draw(load_all, {"engine_speed": plot_speed, "engine_profile": plot_profile})
