#!/usr/bin/env python3
"""Runs the accuracy study of the reasoner on the CPU: reasoner_study.py --models DIR --work DIR --build DIR

DIR of --models holds what examples/reasoner/train/models.py has trained, unpacked. Outcomes of every model, form and policy go to
the work folder, one file a job; jobs whose file is there are not run again, so that the study can be cut in pieces.
reasoner_report.py turns them into bench/results/reasoner.json.
"""

import argparse
import json
import subprocess
import time
from pathlib import Path

RULES = ("round-to-nearest", "four-over-six", "scale-sweep")
SEEDS = ("small-1", "small-2", "small-3")
PROBLEMS = Path(__file__).resolve().parent.parent / "examples/reasoner/data"
T_LOW = (0.1, 0.4)  # that validation chooses from, with tau_0 as published
OWN = ((0.1, 0.1), (0.3, 0.1), (0.5, 0.1), (0.7, 0.1), (0.5, 0.4), (0.7, 0.4))  # and pairs (tau_0, T_low) to choose from
TEMPERATURES = tuple(f"temperature={t}" for t in (0.2, 0.4, 0.6, 0.8, 1.0))


def reset(tau0, t_low, more=""):
    return f"reset,tau0={tau0:.4f},t_low={t_low}{more}"


def form_folder(args, model, rule):
    """The checkpoint of a model in BF16 (rule None) or NVFP4, which is made where it is missing."""
    source = args.models / model
    if rule is None:
        return source
    folder = args.work / f"{model}-{rule}"
    if not folder.exists():
        command = [args.build / "examples/quantize/quantize", source, folder, "--rule", rule]
        subprocess.run([*command, "--input-scales", source / "input_scales.json"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    return folder


def run(args, name, model, rule, activations, policies, problems, count, samples):
    """Runs one job unless its file is there; returns its outcomes, or None where there is no time left."""
    out = args.work / f"{name}.json"
    if not out.exists():
        if time.time() > args.start + args.seconds:
            return None
        command = [args.build / "examples/reasoner/reasoner_study", "--model", form_folder(args, model, rule), "--problems",
                   PROBLEMS / f"{problems}.txt", "--count", str(count), "--samples", str(samples), "--out",
                   out.with_suffix(".part"), "--threads", str(args.threads)]
        command += ["--nvfp4-activations"] if activations == "nvfp4" else []
        subprocess.run([*command, *policies], check=True)
        out.with_suffix(".part").rename(out)
    return json.loads(out.read_text())


def solved(outcome):
    return outcome["solved"].count("1") / len(outcome["solved"])


def choose(args, models):
    """tau_0 and T_low on the validation problems, for NVFP4 (round-to-nearest, W4A4): T_low is one for all seeds of a size."""
    setting = ("round-to-nearest", "nvfp4")
    plain = {m: run(args, f"validation-plain-{m}", m, *setting, ["temperature=0.6"], "study_validation", args.validation, 2)
             for m in models}
    if None in plain.values():
        return None
    published = {m: plain[m]["policies"][0]["entropy_percentiles"]["80"] for m in models}
    candidates = [(None, t) for t in T_LOW] + list(OWN)
    score = [0.0] * len(candidates)
    for m in models:
        policies = [reset(published[m] if tau is None else tau, t) for tau, t in candidates]
        outcomes = run(args, f"validation-grid-{m}", m, *setting, policies, "study_validation", args.validation, 2)
        if outcomes is None:
            return None
        score = [s + solved(o) for s, o in zip(score, outcomes["policies"])]
    best = max(range(len(T_LOW)), key=score.__getitem__)
    own = max(range(len(T_LOW), len(candidates)), key=score.__getitem__)
    return {m: {"published_tau0": published[m], "published_t_low": candidates[best][1], "own_tau0": candidates[own][0],
                "own_t_low": candidates[own][1],
                "candidates": [{"tau0": tau, "t_low": t, "solved": 100 * s / len(models)} for (tau, t), s in
                               zip(candidates, score)]} for m in models}


def policies_of(choice):
    published = reset(choice["published_tau0"], choice["published_t_low"])
    own = reset(choice["own_tau0"], choice["own_t_low"])
    return {"plain": list(TEMPERATURES), "adaptive": [own.replace("reset", "threshold"), published, own],
            "ablation": [own + more for more in (",window=8", ",window=16", ",window=64", ",history=include", ",t_high=0.8",
                                                 ",t_high=1.2", ",boundary= no")]}


def parts(choice):
    """The policies of a model in the order in which they are run."""
    p = policies_of(choice)
    threshold, published, own = p["adaptive"]
    return {"": [p["plain"][4], own], "-others": [p["plain"][2], published, threshold], "-greedy": ["greedy"],
            "-rest": [p["plain"][i] for i in (0, 1, 3)]}


def jobs(choice, large):
    """(name, model, rule, activations, policies, samples), the most important first."""
    for part in ("", "-others", "-greedy", "-rest"):
        for m in SEEDS:
            for form, rule, activations in (("bf16", None, "full"), ("w4a4-rtn", RULES[0], "nvfp4")):
                policies = parts(choice[m])[part]
                if part != "-rest" or m == SEEDS[0]:
                    yield f"{m}-{form}{part}", m, rule, activations, policies, 1 if part == "-greedy" else 4
    p = policies_of(choice[SEEDS[0]])
    pair = [p["plain"][4], p["adaptive"][2]]
    for rule in RULES[1:]:
        yield f"small-1-w4a4-{rule}", "small-1", rule, "nvfp4", pair, 4
    for rule in RULES:
        yield f"small-1-w4a16-{rule}", "small-1", rule, "full", pair, 4
    yield "small-1-w4a4-ablation", "small-1", RULES[0], "nvfp4", p["ablation"], 4
    if large:
        for part in ("", "-others"):
            for form, rule, activations in (("bf16", None, "full"), ("w4a4-rtn", RULES[0], "nvfp4")):
                yield f"large-1-{form}{part}", "large-1", rule, activations, parts(large)[part], 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=2048)
    parser.add_argument("--validation", type=int, default=384)
    parser.add_argument("--seconds", type=float, default=1e9, help="no job begins after that")
    parser.add_argument("--large", action="store_true", help="the larger model, too")
    parser.add_argument("--only", default="", help="only jobs whose name begins so")
    args = parser.parse_args()
    args.start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    choice = choose(args, SEEDS)
    large = choose(args, ["large-1"]) if args.large else None
    if choice is None:
        return
    (args.work / "choice.json").write_text(json.dumps({**choice, **(large or {})}, indent=1) + "\n")
    for name, model, rule, activations, policies, samples in jobs(choice, large and large["large-1"]):
        if name.startswith(args.only):
            run(args, name, model, rule, activations, policies, "study_evaluation", args.problems, samples)


if __name__ == "__main__":
    main()
