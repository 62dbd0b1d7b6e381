#!/usr/bin/env python3
"""Tabulates whole decode steps as Markdown: table_engine.py [FOLDER]"""

import json
import sys
from pathlib import Path

from gemv_results import DEFAULT_FOLDER, source


def load(folder):
    """The records of engine.json, and engine_context.json beside it."""
    folder = Path(folder)
    return json.loads((folder / "engine.json").read_text()), json.loads((folder / "engine_context.json").read_text())


def find(records, model, batch, generated, engine, head="bf16", reset=True):
    wanted = {"model": model, "batch": batch, "generated": generated, "engine": engine, "head": head, "reset": reset}
    return next((r for r in records if all(r[key] == value for key, value in wanted.items())), None)


def speed_up(records, model, batch, generated, engine, head="bf16"):
    """Tokens a second over those of the BF16 engine, or None where either was not measured."""
    ours = find(records, model, batch, generated, engine, head)
    theirs = find(records, model, batch, generated, "bf16")
    return ours["tokens_per_s"] / theirs["tokens_per_s"] if ours and theirs else None


VARIANTS = [("W4A16", "nvfp4-w4a16", "bf16"), ("W4A4", "nvfp4-w4a4", "bf16"), ("W4A16, NVFP4 head", "nvfp4-w4a16", "nvfp4")]


def number(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def rows(records):
    for model in sorted({r["model"] for r in records}, key=lambda name: int(name.split("-")[-1].rstrip("b"))):
        for batch in sorted({r["batch"] for r in records}):
            for generated in sorted({r["generated"] for r in records}):
                baseline = find(records, model, batch, generated, "bf16")
                if baseline is None:
                    continue
                ours = find(records, model, batch, generated, "nvfp4-w4a16")
                cells = [model, batch, generated, number(baseline["ms_per_token"]), number(ours and ours["ms_per_token"])]
                cells += [number(speed_up(records, model, batch, generated, engine, head)) for _, engine, head in VARIANTS]
                cells += [number(baseline["fraction_of_stream"]), number(ours and ours["fraction_of_stream"])]
                yield cells


def cost_of_policy(records):
    """The largest share of a step that ReSET adds, over all pairs that were measured."""
    pairs = [(r, find(records, r["model"], r["batch"], r["generated"], r["engine"], r["head"], False)) for r in records if r["reset"]]
    return [on["ms_per_token"] / off["ms_per_token"] - 1 for on, off in pairs if off]


def main():
    records, context = load(sys.argv[1] if len(sys.argv) > 1 else DEFAULT_FOLDER)
    heads = ["model", "batch", "generated", "BF16 ms", "W4A16 ms", *(f"{name} x BF16" for name, _, _ in VARIANTS),
             "BF16 of stream", "W4A16 of stream"]
    print("| " + " | ".join(heads) + " |")
    print("|" + " --- |" * len(heads))
    for cells in rows(records):
        print("| " + " | ".join(map(str, cells)) + " |")
    costs = cost_of_policy(records)
    if costs:
        print(f"\nReSET on against off: {100 * min(costs):+.2f} .. {100 * max(costs):+.2f} % of a step.")
    check = context.get("full_run")
    if check:
        off = check["integrated_ms"] / check["measured_ms"] - 1
        print(f"A full run of {check['generated']} tokens against the integral: {100 * off:+.2f} %.")
    print(f"\n{source(context)}")


if __name__ == "__main__":
    main()
