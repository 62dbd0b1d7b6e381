#!/usr/bin/env python3
"""Prints the Markdown tables of the mat-vec's results: table_gemv.py [FOLDER]"""

import sys

from gemv_results import DEFAULT_FOLDER, TOKENS, distinct, geometric_mean, load, ratios, select, source


def row(cells):
    print("| " + " | ".join(cells) + " |")


def header(cells):
    row(cells)
    row(["---"] * len(cells))


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def layer(record):
    return f"{record['model']} {record['layer']}"


def means_table(records):
    """Geometric means over the distinct layers of the models, at each M."""
    kinds = [
        ("time / floor", "time_us", "floor_us"),
        ("behind any / floor", "any_ahead_us", "floor_us"),
        ("cuBLAS BF16 / time", "cublas_bf16_us", "time_us"),
        ("cuBLASLt FP8 / time", "cublaslt_fp8_us", "time_us"),
    ]
    header(["activations", "geometric mean of"] + [f"M = {m}" for m in TOKENS])
    for activation in ["nvfp4", "bf16"]:
        for name, over, under in kinds:
            means = [
                geometric_mean(ratios(distinct(select(records, activation, m)), over, under)) for m in TOKENS
            ]
            if any(mean is not None for mean in means):
                row([activation, name] + [number(mean) for mean in means])


def layers_table(records, m):
    """Microseconds of each layer at one M."""
    header(["layer", "N x K", "NVFP4", "BF16", "floor", "cuBLAS BF16", "cuBLASLt FP8", "NVFP4 x BF16"])
    others = {(r["model"], r["layer"]): r["time_us"] for r in select(records, "bf16", m)}
    for r in select(records, "nvfp4", m):
        cublas = r.get("cublas_bf16_us")
        times = [r["time_us"], others.get((r["model"], r["layer"])), r["floor_us"], cublas, r.get("cublaslt_fp8_us")]
        row(
            [layer(r), f"{r['n']}x{r['k']}"]
            + [number(time, 1) for time in times]
            + [number(cublas / r["time_us"], 1) if cublas else ""]
        )


def layouts_table(records):
    """What swizzled scales cost: their time over that of linear ones, where both were measured."""
    groups = [(activation, m) for activation in ["nvfp4", "bf16"] for m in [1, 8]]
    header(["swizzled / linear"] + [f"{activation} M = {m}" for activation, m in groups])
    columns = []
    for activation, m in groups:
        linear = {(r["model"], r["layer"]): r["time_us"] for r in select(records, activation, m)}
        swizzled = select(records, activation, m, layout="swizzled128x4")
        columns.append({layer(r): r["time_us"] / linear[r["model"], r["layer"]] for r in swizzled})
    for name in columns[0]:
        row([name] + [number(column.get(name)) for column in columns])


def gated_table(records):
    """What SwiGLU in the epilogue takes at M = 1: the time with it over the floor, and over the time without it."""
    header(["gate_up with SwiGLU", "activations", "microseconds", "time / floor", "time / without"])
    for activation in ["nvfp4", "bf16"]:
        plain = {(r["model"], r["layer"]): r["time_us"] for r in select(records, activation, 1)}
        for r in select(records, activation, 1, gate="gate_up"):
            without = plain.get((r["model"], r["layer"]))
            ratio = r["time_us"] / without if without else None
            row([layer(r), activation, number(r["time_us"], 1), number(r["time_us"] / r["floor_us"]), number(ratio)])


def main():
    records, context = load(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_FOLDER)
    print(f"{source(context)}; cold weights, dependent launch\n")
    means_table(records)
    for m in [1, 8]:
        print(f"\nMicroseconds at M = {m}\n")
        layers_table(records, m)
    print()
    layouts_table(records)
    if any(r.get("gate", "none") != "none" for r in records):
        print()
        gated_table(records)


if __name__ == "__main__":
    main()
