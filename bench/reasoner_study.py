#!/usr/bin/env python3
"""Runs the accuracy study of the reasoner on the CPU: reasoner_study.py --models DIR --work DIR --programs DIR

DIR of --models holds what examples/reasoner/train/models.py has trained, unpacked; DIR of --programs the programs reasoner_study and
quantize. Outcomes of every model, form and policy go to the work folder, one file each, and what is there is not run again, so that
the study can be cut in pieces: the exit status is 2 while something is left. reasoner_report.py goes on from the work folder.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

RULES = ("round-to-nearest", "four-over-six", "scale-sweep")
FORMS = {"BF16": (None, "full"), **{f"{name}{suffix}": (rule, activations) for name, activations in (("W4A4", "nvfp4"), ("W4A16", "full"))
                                    for rule, suffix in zip(RULES, ("", " Four Over Six", " ScaleSweep"))}}
PAIR = ("BF16", "W4A4")  # the forms that the smaller parts compare
SMALL, LARGE = ("small-1", "small-2", "small-3"), ("large-1",)
PROBLEMS = Path(__file__).resolve().parent.parent / "examples/reasoner/data"
SAMPLES = 4  # of a problem; greedy decoding needs one
LONG = 448  # tokens, the prompt included: twice the limit that reinforcement began with; imitation saw traces of that length

BASELINE = "T = 1.0"
TEMPERATURES = tuple(f"T = {t}" for t in (0.2, 0.4, 0.6, 0.8, 1.0))
PUBLISHED, SHORT, CHOSEN, HALF = (f"ReSET, tau_0 {which}" for which in ("as published", "as published, short window", "chosen", "= 0.5"))
# The threshold without the steps: with the same tau_0 and T_low.
THRESHOLD_OF = {PUBLISHED: "fixed threshold, tau_0 as published", CHOSEN: "fixed threshold, tau_0 chosen",
                HALF: "fixed threshold, tau_0 = 0.5"}
THRESHOLD_OF[SHORT] = THRESHOLD_OF[PUBLISHED]
CHANGES = {**{f"window = {w}": f",window={w}" for w in (4, 8)}, "history = include": ",history=include",
           "T_high = 0.8": ",t_high=0.8", "T_high = 1.2": ",t_high=1.2", "a step is a try": ",boundary= no",
           "a step ends at =": ",boundary=="}
LONGER, WHOLE = f", limit {LONG}", ", no top-p"
# Of the policies those that every form of every model has; the small models' pair has all.
EVERYWHERE = ("greedy", *TEMPERATURES, THRESHOLD_OF[PUBLISHED], THRESHOLD_OF[CHOSEN], PUBLISHED, SHORT, CHOSEN)

# What validation chooses from; below a temperature of about a half, a token of low entropy keeps one candidate under top-p 0.95.
T_LOW = (0.1, 0.6, 0.9)
TAU_0 = (0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
WINDOWS = (32, 4, 8)


def reset(tau0, t_low, more=""):
    return f"reset,tau0={tau0:.4f},t_low={t_low}{more}"


def policies_of(choice):
    """The specification of every policy by its name, in the order of the tables."""
    published = reset(choice["published_tau0"], choice["published_t_low"])
    named = {"greedy": "greedy", **{name: name.replace("T = ", "temperature=") for name in TEMPERATURES}}
    adaptive = {PUBLISHED: published, SHORT: f"{published},window={choice['short_window']}",
                CHOSEN: reset(choice["own_tau0"], choice["own_t_low"], f",window={choice['own_window']}"), HALF: reset(0.5, 0.1)}
    for name in (PUBLISHED, CHOSEN, HALF):
        named[THRESHOLD_OF[name]] = adaptive[name].split(",window")[0].replace("reset", "threshold")
    named |= adaptive
    named |= {f"{SHORT}, {change}": adaptive[SHORT] + more for change, more in CHANGES.items()
              if more != f",window={choice['short_window']}"}
    named |= {name + LONGER: named[name] for name in (BASELINE, "T = 0.6", SHORT)}
    return named | {name + WHOLE: named[name] + ",top_p=1" for name in (BASELINE, SHORT)}


@dataclass(frozen=True)
class Job:
    """One model in one form under one policy."""
    model: str
    form: str
    spec: str
    problems: str = "study_evaluation"
    samples: int = SAMPLES
    limit: int = 0  # 0: the model's own

    def path(self, work):
        text = f"{self.model} {self.form} {self.problems} {self.samples} {self.limit} {self.spec}"
        return work / (urllib.parse.quote(text.replace(" ", "_"), safe="=,") + ".json")


def job_of(model, form, name, spec):
    return Job(model, form, spec, samples=1 if spec == "greedy" else SAMPLES, limit=LONG if name.endswith(LONGER) else 0)


def plan(choice):
    """(policy's name, job) of every model that has a choice, the most important first; two names may share a job."""
    main = [name for name in policies_of(next(iter(choice.values()))) if not name.startswith(f"{SHORT}, ") and LONGER not in name
            and WHOLE not in name]

    def part(models, forms, belongs):
        for model in filter(choice.__contains__, models):
            for form in forms:
                yield from ((name, job_of(model, form, name, spec)) for name, spec in policies_of(choice[model]).items() if belongs(name))

    others = [form for form in FORMS if form not in PAIR]
    yield from part(SMALL, PAIR, main.__contains__)
    yield from part(SMALL, PAIR, lambda name: name.endswith(LONGER))
    yield from part(SMALL, others, EVERYWHERE.__contains__)
    yield from part(LARGE, FORMS, EVERYWHERE.__contains__)
    yield from part(SMALL, PAIR, lambda name: name.startswith(f"{SHORT}, ") and not name.endswith((LONGER, WHOLE)))
    yield from part(SMALL, PAIR, lambda name: name.endswith(WHOLE))


class Study:
    def __init__(self, args):
        self.args, self.end = args, time.time() + args.seconds
        self.commit = (args.programs / "commit").read_text().strip()
        self.pool = concurrent.futures.ThreadPoolExecutor(args.jobs)

    def checkpoint(self, model, form):
        rule = FORMS[form][0]
        return self.args.models / model if rule is None else self.args.work / "checkpoints" / f"{model}-{rule}"

    def quantise(self):
        """NVFP4 checkpoints by every rule, where they are missing."""
        for model in SMALL + LARGE:
            for rule in RULES:
                folder, source = self.args.work / "checkpoints" / f"{model}-{rule}", self.args.models / model
                if not folder.exists():
                    folder.parent.mkdir(exist_ok=True)
                    part = folder.with_suffix(f".{os.getpid()}")
                    command = [self.args.programs / "quantize", source, part, "--rule", rule, "--input-scales",
                               source / "input_scales.json"]
                    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                    part.rename(folder)

    def run(self, job):
        """The record of a job, which is run unless it has been; None where there is no time left."""
        path, args = job.path(self.args.work), self.args
        if not path.exists():
            if time.time() > self.end:
                return None
            part = path.with_suffix(f".{os.getpid()}")
            command = [args.programs / "reasoner_study", "--model", self.checkpoint(job.model, job.form), "--problems",
                       PROBLEMS / f"{job.problems}.txt", "--count", str(args.problems), "--samples", str(job.samples), "--out", part,
                       "--threads", str(args.threads)]
            command += ["--nvfp4-activations"] if FORMS[job.form][1] == "nvfp4" else []
            command += ["--limit", str(job.limit)] if job.limit else []
            subprocess.run([*command, job.spec], check=True, stdout=subprocess.DEVNULL)
            part.write_text(json.dumps(json.loads(part.read_text()) | {"commit": self.commit}) + "\n")
            part.rename(path)
        return json.loads(path.read_text())

    def run_all(self, jobs):
        try:
            return list(self.pool.map(self.run, jobs))
        except BaseException:
            self.pool.shutdown(cancel_futures=True)
            raise


def solved(record):
    outcomes = record["policies"][0]["outcomes"]
    return 100 * outcomes.count("1") / len(outcomes)


def candidates(published):
    """(tau_0, T_low, window, specification) that validation looks at; tau_0 is None where it is the published rule's."""
    for tau0 in (None, *TAU_0):
        for t_low in T_LOW:
            for window in WINDOWS:
                yield tau0, t_low, window, reset(published if tau0 is None else tau0, t_low, f",window={window}")


def on_validation(model, spec):
    return Job(model, "W4A4", spec, "study_validation", 2)


def choose(study):
    """tau_0, T_low and windows by the validation problems, for W4A4: one choice for all models, the first of those best for the small.

    Only tau_0 as published is each model's own: the 80th percentile of its token entropies at T = 0.6.
    """
    plain = study.run_all([on_validation(m, "temperature=0.6") for m in SMALL + LARGE])
    if None in plain:
        return None
    published = {m: r["policies"][0]["entropy_percentiles"]["80"] for m, r in zip(SMALL + LARGE, plain)}
    models = SMALL
    jobs = [on_validation(m, spec) for m in models for *_, spec in candidates(published[m])]
    records = study.run_all(jobs)
    if None in records:
        return None
    names = [key for *key, _ in candidates(0)]
    scores = [sum(solved(r) for r in records[i::len(names)]) / len(models) for i in range(len(names))]
    tried = [{"tau0": tau0, "t_low": t_low, "window": window, "solved": s} for (tau0, t_low, window), s in zip(names, scores)]
    best = lambda belongs: max(filter(belongs, tried), key=lambda c: c["solved"])
    t_low = best(lambda c: c["tau0"] is None and c["window"] == 32)["t_low"]
    short = best(lambda c: c["tau0"] is None and c["t_low"] == t_low and c["window"] < 32)
    own = best(lambda c: c["tau0"] is not None)
    return {m: {"published_tau0": published[m], "published_t_low": t_low, "short_window": short["window"], "own_tau0": own["tau0"],
                "own_t_low": own["t_low"], "own_window": own["window"], "candidates": tried} for m in published}


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True, help="with a file `commit`, which the results name")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 8), help="policies that run side by side")
    parser.add_argument("--threads", type=int, default=8, help="of each of them")
    parser.add_argument("--problems", type=int, default=2048)
    parser.add_argument("--seconds", type=float, default=1e9, help="no job begins after that")
    return parser.parse_args()


def main():
    study = Study(parse())
    study.args.work.mkdir(parents=True, exist_ok=True)
    study.quantise()
    choice = choose(study)
    if choice is None:
        print("validation is not done; run again", flush=True)
        return 2
    (study.args.work / "choice.json").write_text(json.dumps(choice, indent=1) + "\n")
    jobs = list(dict.fromkeys(job for _, job in plan(choice)))
    left = study.run_all(jobs).count(None)
    print(f"{len(jobs) - left} of {len(jobs)} jobs are done" + ("; run again" if left else ""), flush=True)
    return 2 if left else 0


if __name__ == "__main__":
    sys.exit(main())
