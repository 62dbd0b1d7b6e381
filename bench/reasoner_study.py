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
FORMS = tuple((f"{name}-{rule}", rule, activations) for name, activations in (("w4a4", "nvfp4"), ("w4a16", "full"))
              for rule in RULES if (name, rule) != ("w4a4", "round-to-nearest"))
SEEDS = ("small-1", "small-2", "small-3")
PROBLEMS = Path(__file__).resolve().parent.parent / "examples/reasoner/data"
T_LOW = (0.1, 0.4)  # that validation chooses from, with tau_0 as published
OWN = tuple((tau0, t_low) for tau0 in (0.1, 0.3, 0.5, 0.7) for t_low in T_LOW)  # and pairs (tau_0, T_low) to choose from
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
    half = reset(0.5, 0.1)
    return {"plain": list(TEMPERATURES), "adaptive": [half.replace("reset", "threshold"), published, own, half],
            "whole": ["temperature=1.0,top_p=1", *(policy + ",top_p=1" for policy in (published, half))],
            "ablation": [own + more for more in (",window=8", ",window=16", ",window=64", ",history=include", ",t_high=0.8",
                                                  ",t_high=1.2", ",boundary= no")]}


def parts(choice):
    """The policies of a model in the order in which they are run."""
    p = policies_of(choice)
    threshold, published, own, half = p["adaptive"]
    return {"": [p["plain"][4], own], "-warm": [p["plain"][2], half], "-whole": p["whole"], "-greedy": ["greedy"],
            "-adaptive": [published, threshold], "-rest": [p["plain"][i] for i in (0, 1, 3)]}


PAIR = (("bf16", None, "full"), ("w4a4-rtn", RULES[0], "nvfp4"))


def jobs(choice):
    """(name, model, rule, activations, policies, samples), the most important first."""
    def pair(part, seeds):
        for m in seeds:
            for form, rule, activations in PAIR:
                yield f"{m}-{form}{part}", m, rule, activations, parts(choice[m])[part], 1 if part == "-greedy" else 4

    def forms(m):
        half = policies_of(choice[m])["adaptive"][3]
        for form, rule, activations in FORMS:
            yield f"{m}-{form}", m, rule, activations, list(dict.fromkeys([*parts(choice[m])[""], half])), 4

    for part in ("", "-warm", "-greedy", "-adaptive"):
        yield from pair(part, SEEDS)
    first = SEEDS[0]
    yield from pair("-rest", [first])
    yield from forms(first)
    yield f"{first}-w4a4-rtn-ablation", first, RULES[0], "nvfp4", policies_of(choice[first])["ablation"], 4
    yield from large_jobs()
    yield from pair("-whole", [first])
    yield from pair("-rest", SEEDS[1:])
    for m in SEEDS[1:]:
        yield from forms(m)


def large_jobs():
    """The larger model, on which nothing is chosen."""
    policies = [TEMPERATURES[4], TEMPERATURES[2], reset(0.5, 0.1)]
    for form, rule, activations in PAIR:
        yield f"large-1-{form}", "large-1", rule, activations, policies, 4


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--problems", type=int, default=2048)
    parser.add_argument("--validation", type=int, default=1024)
    parser.add_argument("--seconds", type=float, default=1e9, help="no job begins after that")
    parser.add_argument("--large", type=int, default=2048, help="problems of the larger model")
    parser.add_argument("--only", default="", help="only jobs whose name begins so")
    args = parser.parse_args()
    args.start = time.time()
    args.work.mkdir(parents=True, exist_ok=True)
    choice = choose(args, SEEDS)
    if choice is None:
        return
    (args.work / "choice.json").write_text(json.dumps(choice, indent=1) + "\n")
    for name, model, rule, activations, policies, samples in jobs(choice):
        count = args.large if model == "large-1" else args.problems
        if name.startswith(args.only):
            run(args, name, model, rule, activations, policies, "study_evaluation", count, samples)


if __name__ == "__main__":
    main()
