#!/usr/bin/env python3
"""Draws the mat-vec's results: plot_gemv.py [FOLDER [OUTPUT_FOLDER [svg | png]]]

Writes gemv_tokens (time over the floor against M) and gemv_layers (the time of each layer at M = 1).
"""

from gemv_results import TOKENS, distinct, geometric_mean, load, ratios, select, source
from plot_style import BF16, CUBLAS, FLOOR, FP8, NVFP4, draw, legend_below, plt


def over_floor(records, activation, field):
    """(M, geometric mean, least, most) of a time over the floor, for the M that were measured."""
    points = []
    for m in TOKENS:
        values = ratios(distinct(select(records, activation, m)), field, "floor_us")
        if values:
            points.append((m, geometric_mean(values), min(values), max(values)))
    return points


def plot_tokens(records, context):
    figure, axes = plt.subplots(figsize=(8, 4.6), layout="constrained")
    series = [
        ("nvfp4", "cublas_bf16_us", "cuBLAS BF16", CUBLAS, False),
        ("nvfp4", "cublaslt_fp8_us", "cuBLASLt FP8", FP8, False),
        ("bf16", "time_us", "reset, BF16 activations", BF16, True),
        ("nvfp4", "time_us", "reset, NVFP4 activations", NVFP4, True),
    ]
    for activation, field, label, style, band in series:
        points = over_floor(records, activation, field)
        if not points:
            continue
        m, mean, least, most = zip(*points)
        axes.plot(m, mean, label=label, linewidth=2, markersize=6, **style)
        if band:
            axes.fill_between(m, least, most, color=style["color"], alpha=0.15, linewidth=0)
    axes.axhline(1, color=FLOOR, linewidth=1)
    axes.text(16, 1, "reading the weights alone", ha="right", va="top", fontsize=9, color=FLOOR)
    axes.set_xticks(TOKENS)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("M (tokens)")
    axes.set_ylabel("time / floor")
    title = "NVFP4 mat-vec: geometric mean over layers, band from best to worst"
    axes.set_title(f"{title}\n{source(context)}", fontsize=11)
    legend_below(figure)
    return figure


def plot_layers(records, context):
    rows = select(records, "nvfp4", 1)
    bf16 = {(r["model"], r["layer"]): r["time_us"] for r in select(records, "bf16", 1)}
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.27 * len(rows)), layout="constrained")
    y = list(range(len(rows)))
    floor = [r["floor_us"] for r in rows]
    nvfp4 = [r["time_us"] for r in rows]
    cublas = [r.get("cublas_bf16_us") for r in rows]
    axes.hlines(y, floor, [c or t for c, t in zip(cublas, nvfp4)], color="#cccccc", linewidth=1)
    axes.plot(floor, y, "|", color=FLOOR, markersize=12, markeredgewidth=2, label="floor")
    for times, label, style in [
        ([bf16.get((r["model"], r["layer"])) for r in rows], "reset, BF16 activations", BF16),
        (cublas, "cuBLAS BF16", CUBLAS),
        (nvfp4, "reset, NVFP4 activations", NVFP4),
    ]:
        points = [(time, i) for i, time in enumerate(times) if time]
        if points:
            axes.plot(*zip(*points), label=label, **{**style, "linestyle": "none"}, markersize=6)
    axes.set_yticks(y, [f"{r['model']} {r['layer']}  {r['n']}x{r['k']}" for r in rows], fontsize=9)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlim(left=0)
    axes.set_xlabel("microseconds at M = 1")
    axes.set_title(f"NVFP4 mat-vec, one launch with cold weights\n{source(context)}", fontsize=11)
    legend_below(figure)
    return figure


if __name__ == "__main__":
    draw(load, {"gemv_tokens": plot_tokens, "gemv_layers": plot_layers})
