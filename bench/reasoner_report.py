#!/usr/bin/env python3
"""Statistics of the accuracy study: reasoner_report.py WORK_FOLDER MODELS_FOLDER [OUTPUT.json], then the README's table.

Intervals are 95 %, from a bootstrap over problems that keeps a problem's samples, policies, forms and training seeds together.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from reasoner_study import policies_of

OUTPUT = Path(__file__).parent / "results" / "reasoner.json"
FORMS = {"bf16": "BF16", "w4a4-rtn": "W4A4", "w4a4-four-over-six": "W4A4 Four Over Six", "w4a4-scale-sweep": "W4A4 ScaleSweep",
         "w4a16-round-to-nearest": "W4A16", "w4a16-four-over-six": "W4A16 Four Over Six", "w4a16-scale-sweep": "W4A16 ScaleSweep"}
SUFFIXES = ("", "-warm", "-whole", "-greedy", "-adaptive", "-rest", "-ablation")
BASELINE = "T = 1.0"
NO_CHOICE = dict.fromkeys(("published_tau0", "published_t_low", "own_tau0", "own_t_low"), -1)  # of models without validation
RESAMPLES = 10000


def labels(choice):
    """The policy of each name; validation may choose one that has another name, too."""
    p = policies_of(choice)
    adaptive = ("fixed threshold, tau_0 = 0.5", "ReSET, tau_0 as published", "ReSET, tau_0 chosen", "ReSET, tau_0 = 0.5")
    specs = {"T = " + spec.split("=")[1]: spec for spec in p["plain"]}
    specs |= {"greedy": "greedy", **dict(zip(adaptive, p["adaptive"]))}
    specs |= dict(zip((f"{name}, no top-p" for name in (BASELINE, adaptive[1], adaptive[3])), p["whole"]))
    for spec in p["ablation"]:
        changed = spec.split(",")[-1].replace("=", " = ").replace("boundary =  no", "a step is a try")
        specs[f"ReSET, tau_0 chosen, {changed}"] = spec
    return specs


def outcomes(job):
    """Solved, [problems, samples]."""
    rows = {}
    for policy in job["policies"]:
        bits = np.frombuffer(policy["solved"].encode(), np.uint8) - ord("0")
        rows[policy["policy"]] = bits.reshape(-1, job["samples"]), policy
    return rows


def load(work):
    """(model, form, policy name) -> (share solved of each problem, the record of the study tool); models' limits."""
    choice = json.loads((work / "choice.json").read_text())
    found, limits = {}, {}
    for model in [*choice, "large-1"]:
        specs = labels(choice.get(model, NO_CHOICE))
        for form in FORMS:
            for suffix in SUFFIXES:
                path = work / f"{model}-{form}{suffix}.json"
                if not path.exists():
                    continue
                job = json.loads(path.read_text())
                limits[model] = job["limit"]
                solved = outcomes(job)
                for name in (name for name, spec in specs.items() if spec in solved):
                    bits, record = solved[specs[name]]
                    found[model, form, name] = 100.0 * bits.mean(1), {**record, "samples": job["samples"]}
    return choice, found, limits


class Bootstrap:
    """The same resampled problems for whatever is compared."""

    def __init__(self, resamples=RESAMPLES):
        self.resamples, self.weights = resamples, {}

    def __call__(self, values):
        n = len(values)
        if n not in self.weights:
            self.weights[n] = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), self.resamples) / n
        low, high = np.percentile(self.weights[n] @ values, (2.5, 97.5))
        return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def groups(found):
    """Models that are reported: each, and the small ones together."""
    models = sorted({key[0] for key in found}, key=lambda m: (m.startswith("large"), m))
    small = [m for m in models if m.startswith("small")]
    return {**({"small, all seeds": small} if len(small) > 1 else {}), **{m: [m] for m in models}}


def mean_of(found, models, form, policy):
    """The mean over models of the share solved of each problem; None where one of them has not run."""
    rows = [found.get((m, form, policy)) for m in models]
    return None if None in rows else np.mean([r[0] for r in rows], 0)


def compare(found, bootstrap):
    """A row for each group, form and policy that has run, with what it gains and what is specific to NVFP4."""
    rows = []
    order = list(dict.fromkeys(key[2] for key in found))
    for group, models in groups(found).items():
        for form, title in FORMS.items():
            for policy in order:
                mine = mean_of(found, models, form, policy)
                if mine is None:
                    continue
                row = {"models": group, "form": title, "policy": policy, "solved": bootstrap(mine)}
                bf16, plain = mean_of(found, models, "bf16", policy), mean_of(found, models, form, BASELINE)
                if form != "bf16" and bf16 is not None:
                    row["minus_bf16"] = bootstrap(mine - bf16)
                if policy != BASELINE and plain is not None:
                    row["gain_over_t1"] = bootstrap(mine - plain)
                    row |= specific(found, models, policy, mine - plain, bf16, form, bootstrap)
                cooler = mean_of(found, models, form, "T = 0.6")
                if policy != "T = 0.6" and cooler is not None:
                    row["gain_over_t06"] = bootstrap(mine - cooler)
                rows.append(row | describe([found[m, form, policy][1] for m in models]))
    return rows


def specific(found, models, policy, gain, bf16, form, bootstrap):
    """What a form gains over its own T = 1 minus what BF16 gains over its own."""
    plain = mean_of(found, models, "bf16", BASELINE)
    if form == "bf16" or bf16 is None or plain is None:
        return {}
    return {"difference_of_differences": bootstrap(gain - (bf16 - plain))}


def describe(records):
    """Tokens and entropies, over all traces of the models."""
    traces = sum(len(r["solved"]) for r in records)
    tokens = sum(r["tokens"] for r in records)
    weigh = lambda name: float(sum(r[name] * r["tokens"] for r in records) / tokens)
    return {"traces": traces, "mean_tokens": tokens / traces, "finished": 100 * sum(r["finished"] for r in records) / traces,
            "share_high": sum(r["high"] for r in records) / tokens, "share_uncertain": sum(r["uncertain"] for r in records) / tokens,
            "share_above_tenth_nat": weigh("share_above_tenth_nat"), "share_above_half_nat": weigh("share_above_half_nat"),
            "entropy_p80": [r["entropy_percentiles"]["80"] for r in records]}


def entropies(found):
    """Histograms of token entropies and steps by their mean entropy at T = 1, for each model, BF16 and W4A4."""
    out = []
    for (model, form, policy), (_, record) in found.items():
        if policy == BASELINE and form in ("bf16", "w4a4-rtn"):
            out.append({"model": model, "form": FORMS[form], "tokens": record["token_entropies"], "steps": record["steps"]})
    return out


def training(models_folder, models):
    found = {}
    for model in models:
        path = models_folder / model / "training.json"
        found[model] = json.loads(path.read_text()) if path.exists() else {}
    return found


def git_commit():
    return subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()


def main():
    work, models = Path(sys.argv[1]), Path(sys.argv[2])
    output = Path(sys.argv[3]) if len(sys.argv) > 3 else OUTPUT
    choice, found, limits = load(work)
    problems = {model: len(values[0]) for (model, _, _), values in found.items()}
    report = {
        "what": "share of held-out Countdown problems solved, percent, by the library's CPU engine", "commit": git_commit(),
        "problems": problems, "samples": 4, "top_p": 0.95, "window": 32, "limit_tokens": limits, "bootstrap": RESAMPLES,
        "token_bins": {"lowest_decade": -6, "bins_per_decade": 8}, "step_bin_nats": 0.05, "choice": choice,
        "training": training(models, limits), "rows": compare(found, Bootstrap()), "entropies": entropies(found)}
    output.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
