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


def load_profile(folder):
    """The records of engine_profile.json, if there is one."""
    path = Path(folder) / "engine_profile.json"
    return json.loads(path.read_text()) if path.exists() else []


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


def rows(records, lengths):
    for model in sorted({r["model"] for r in records}, key=lambda name: int(name.split("-")[-1].rstrip("b"))):
        for batch in sorted({r["batch"] for r in records}):
            for generated in lengths:
                baseline = find(records, model, batch, generated, "bf16")
                if baseline is None:
                    continue
                ours = find(records, model, batch, generated, "nvfp4-w4a16")
                cells = [model, batch, generated, number(baseline["ms_per_token"]), number(ours and ours["ms_per_token"])]
                cells += [number(speed_up(records, model, batch, generated, engine, head)) for _, engine, head in VARIANTS]
                cells += [number(baseline["fraction_of_stream"]), number(ours and ours["fraction_of_stream"])]
                yield cells


def table(records, lengths):
    heads = ["model", "batch", "generated", "BF16 ms", "W4A16 ms", *(f"{name} x BF16" for name, _, _ in VARIANTS),
             "BF16 of stream", "W4A16 of stream"]
    return markdown([heads, *rows(records, lengths)])


def markdown(lines):
    text = ["| " + " | ".join(map(str, cells)) + " |" for cells in lines]
    return "\n".join([text[0], "|" + " --- |" * len(lines[0]), *text[1:]])


def cost_of_policy(records, context):
    """The least and the largest share of a step that ReSET adds, over all models and batches; None where it was not measured."""
    measured = context.get("policy_cost")
    if measured:
        medians = [case["median"] for case in measured]
        low, high = min(case["lower_quartile"] for case in measured), max(case["upper_quartile"] for case in measured)
        return (f"ReSET on against off: {min(medians):+.2f} .. {max(medians):+.2f} % of a step, medians of {measured[0]['pairs']} pairs "
                f"whose middle halves lie in {low:+.2f} .. {high:+.2f} %")
    # Records of before the two were measured in turn.
    pairs = [(r, find(records, r["model"], r["batch"], r["generated"], r["engine"], r["head"], False)) for r in records if r["reset"]]
    costs = [100 * (on["ms_per_token"] / off["ms_per_token"] - 1) for on, off in pairs if off]
    return f"ReSET on against off: {min(costs):+.2f} .. {max(costs):+.2f} % of a step" if costs else None


def full_run(context):
    """How the time of a run of every step compares with the integral over the steps that are timed; None without one."""
    check = context.get("full_run")
    if not check:
        return None
    off = 100 * (check["measured_ms"] / check["integrated_ms"] - 1)
    return f"a full run of {check['generated']} tokens took {abs(off):.2f} % {'more' if off > 0 else 'less'} than the integral"


def profile_table(profile):
    """Where the time of a step goes: a line for each kind of kernel, its milliseconds and its share of all kernels' time."""
    steps, parts = (list(dict.fromkeys(key(r) for r in profile)) for key in (step_of, lambda r: r["part"]))
    times = {(step_of(r), r["part"]): r["time_us"] / 1000 for r in profile}
    totals = {step: sum(time for (of, _), time in times.items() if of == step) for step in steps}
    lines = [["kernels", *(f"{model}, {engine}, batch {batch}" for model, engine, batch in steps)]]
    for part in parts:
        cells = [(times.get((step, part)), totals[step]) for step in steps]
        lines.append([part, *("" if time is None else f"{time:.2f} ms, {100 * time / total:.1f} %" for time, total in cells)])
    lines.append(["all", *(f"{totals[step]:.2f} ms" for step in steps)])
    return markdown(lines)


def step_of(record):
    return record["model"], record["engine"], record["batch"]


def main():
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_FOLDER
    records, context = load(folder)
    print(table(records, sorted({r["generated"] for r in records})))
    sentences = [text for text in (cost_of_policy(records, context), full_run(context)) if text]
    print(f"\n{'; '.join(sentences)}.\n\n{source(context)}")
    profile = load_profile(folder)
    if profile:
        commits = ", ".join(dict.fromkeys(r["commit"] for r in profile))
        print(f"\n{profile_table(profile)}\n\n{source({**context, 'commit': commits})}")


if __name__ == "__main__":
    main()
