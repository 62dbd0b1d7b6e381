#!/usr/bin/env python3
"""Statistics of the accuracy study: reasoner_report.py [WORK_FOLDER MODELS_FOLDER] [--out FOLDER]

With folders, first gathers the outcomes of a finished study in reasoner_outcomes.json, how many of each problem's samples were solved
and how many were cut off; then, and without folders only this, computes reasoner.json from that file.

Intervals are 95 %, from a bootstrap over problems that keeps a problem's samples, policies, forms and training seeds together. Of several
training seeds, seeds and problems are both drawn anew, each with replacement and independently.
"""

import argparse
import base64
import json
import zlib
from pathlib import Path

import numpy as np

from reasoner_study import (BASELINE, CHANGES, FORMS, LARGE, LONG, LONGER, PAIR, SHORT, SMALL, THRESHOLD_OF, WHOLE, plan)

RESULTS = Path(__file__).parent / "results"
OUTPUT = RESULTS / "reasoner.json"
OUTCOMES = RESULTS / "reasoner_outcomes.json"
COOLER = "T = 0.6"
ALL_SEEDS = "small, all seeds"
RESAMPLES = 10000
TOGETHER = 128  # intervals
KEPT = ("tokens", "high", "uncertain", "boundaries", "aged", "share_above_tenth_nat", "share_above_half_nat")


def encode(solved, cut, samples):
    """A byte a problem, solved * (samples + 1) + cut off, compressed."""
    return base64.b64encode(zlib.compress((solved * (samples + 1) + cut).astype(np.uint8).tobytes(), 9)).decode()


def decode(text, samples):
    """Solved and cut off of each problem."""
    return np.divmod(np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8), samples + 1)


def gather_row(model, form, policy, job, record):
    """What is kept of one job of the study."""
    found = record["policies"][0]
    assert found["policy"] == job.spec and record["samples"] == job.samples, f"{job} has another record: {found['policy']}"
    outcomes = np.frombuffer(found["outcomes"].encode(), np.uint8).reshape(-1, job.samples)
    row = {"model": model, "form": form, "policy": policy, "spec": job.spec, "samples": job.samples, "limit": record["limit"],
           "outcomes": encode((outcomes == ord("1")).sum(1), (outcomes == ord("-")).sum(1), job.samples)}
    row |= {name: found[name] for name in KEPT}
    row["entropy_p80"] = found["entropy_percentiles"]["80"]
    if policy == BASELINE and form in PAIR:
        row |= {"token_entropies": found["token_entropies"], "steps": found["steps"]}
    return row


def gather(work, models):
    """The whole study as one document; refuses one of which a job is missing."""
    choice = json.loads((work / "choice.json").read_text())
    assert set(choice) == {*SMALL, *LARGE}, f"the study has chosen for {sorted(choice)} only: run reasoner_study.py again"
    rows, commits, missing = [], set(), []
    for policy, job in plan(choice):
        path = job.path(work)
        if not path.exists():
            missing.append(path.name)
            continue
        record = json.loads(path.read_text())
        commits.add(record["commit"])
        rows.append(gather_row(job.model, job.form, policy, job, record))
    if missing:
        raise SystemExit(f"{len(missing)} jobs of the study are missing, the first {missing[0]}: run reasoner_study.py again")
    assert len(commits) == 1, f"the study's programs are of {sorted(commits)}, expected one commit"
    training = {m: json.loads((models / m / "training.json").read_text()) for m in choice}
    return {"what": "of each held-out Countdown problem a byte, solved samples * (samples + 1) + samples cut off; zlib, base64",
            "programs_commit": commits.pop(), "training_commit": "/".join(sorted({t["commit"] for t in training.values()})),
            "longer_limit": LONG, "choice": choice, "training": training, "rows": rows}


def counts(row):
    """Shares of each problem's samples, percent: solved and cut off."""
    solved, cut = decode(row["outcomes"], row["samples"])
    return 100.0 * solved / row["samples"], 100.0 * cut / row["samples"]


def check_complete(document):
    """The file has every row of the plan, all of the same problems."""
    expected = {(job.model, job.form, policy) for policy, job in plan(document["choice"])}
    found = {(r["model"], r["form"], r["policy"]) for r in document["rows"]}
    assert found == expected, f"rows differ from the plan: {sorted(found ^ expected)[:3]}"
    sizes = {len(decode(r["outcomes"], r["samples"])[0]) for r in document["rows"]}
    assert len(sizes) == 1, f"rows have {sorted(sizes)} problems, expected the same"
    return sizes.pop()


class Bootstrap:
    """The same resampled problems, and training seeds, for whatever is compared."""

    def __init__(self, problems, resamples=RESAMPLES):
        rng = np.random.default_rng(0)
        self.problems = rng.multinomial(problems, np.full(problems, 1 / problems), resamples) / problems
        self.seeds = {}
        self.resamples = resamples
        self.waiting = []

    def later(self, values):
        """The interval of values [seeds, problems]; `settle` fills in its ends, of many at once: their products are one."""
        interval = {"mean": float(values.mean())}
        self.waiting.append((interval, values))
        if len(self.waiting) >= TOGETHER:
            self.settle()
        return interval

    def settle(self):
        if not self.waiting:
            return
        products = self.problems @ np.concatenate([values for _, values in self.waiting]).T
        ends = np.cumsum([len(values) for _, values in self.waiting])
        for (interval, values), own in zip(self.waiting, np.split(products, ends[:-1], 1)):
            n = len(values)
            if n not in self.seeds:
                self.seeds[n] = np.random.default_rng(n).multinomial(n, np.full(n, 1 / n), self.resamples) / n
            interval["low"], interval["high"] = map(float, np.percentile((own * self.seeds[n]).sum(1), (2.5, 97.5)))
        self.waiting = []


def kind(policy):
    """What a policy has in common with the T = 1 it is compared with: a longer limit, no top-p, or nothing."""
    return next((suffix for suffix in (LONGER, WHOLE) if policy.endswith(suffix)), "")


class Comparison:
    """Shares solved of one group of models, and what follows from them."""

    def __init__(self, found, models, bootstrap):
        self.found, self.models, self.bootstrap = found, models, bootstrap

    def solved(self, form, policy):
        """[models, problems]; None where no such row is in the study."""
        rows = [self.found.get((m, form, policy)) for m in self.models]
        assert any(rows) == all(rows), f"{form} under {policy} is there for some of {self.models} alone"
        return np.stack([counts(r)[0] for r in rows]) if all(rows) else None

    def gains(self, form, policy, against):
        """What a form gains from a policy over another one, and what is specific to NVFP4: that gain minus BF16's."""
        gain = lambda f: [self.solved(f, policy), self.solved(f, against)]
        mine, bf16 = gain(form), gain("BF16")
        if mine[1] is None or policy == against:
            return None, None
        difference = mine[0] - mine[1]
        known = form != "BF16" and bf16[0] is not None and bf16[1] is not None
        return self.bootstrap.later(difference), self.bootstrap.later(difference - (bf16[0] - bf16[1])) if known else None

    def row(self, form, policy):
        mine, bf16 = self.solved(form, policy), self.solved("BF16", policy)
        out = {"solved": self.bootstrap.later(mine)}
        if form != "BF16" and bf16 is not None:
            out["minus_bf16"] = self.bootstrap.later(mine - bf16)
        against = {"gain_over_t1": BASELINE + kind(policy), "gain_over_t06": COOLER + kind(policy)}
        if policy in THRESHOLD_OF:
            against["gain_over_threshold"] = THRESHOLD_OF[policy]
        if policy.removeprefix(f"{SHORT}, ") in CHANGES:
            against["gain_over_unchanged"] = SHORT
        for name, other in against.items():
            gain, specific = self.gains(form, policy, other)
            out |= {name: gain} if gain else {}
            out |= {name.replace("gain", "difference"): specific} if specific else {}
        return out


def describe(rows):
    """Tokens and entropies, over all traces of the models."""
    cut = np.mean([counts(r)[1].mean() for r in rows])
    solved = np.mean([counts(r)[0].mean() for r in rows])
    tokens = sum(r["tokens"] for r in rows)
    traces = sum(len(counts(r)[0]) * r["samples"] for r in rows)
    share = lambda count: sum(count(r) for r in rows) / tokens
    return {"cut_off": float(cut), "wrong": float(100 - solved - cut), "limit": [r["limit"] for r in rows], "samples": rows[0]["samples"],
            "mean_tokens": tokens / traces, "share_high": share(lambda r: r["high"]), "share_uncertain": share(lambda r: r["uncertain"]),
            "mean_step": tokens / max(1, sum(r["boundaries"] for r in rows)),
            "share_aged": {age: share(lambda r: r["aged"][age]) for age in rows[0]["aged"]},
            **{name: share(lambda r: r[name] * r["tokens"]) for name in ("share_above_tenth_nat", "share_above_half_nat")},
            "entropy_p80": [r["entropy_p80"] for r in rows]}


def compare(document, resamples=RESAMPLES):
    """A row for each group of models, form and policy."""
    bootstrap = Bootstrap(check_complete(document), resamples)
    found = {(r["model"], r["form"], r["policy"]): r for r in document["rows"]}
    rows = []
    for group, models in {ALL_SEEDS: SMALL, **{m: (m,) for m in SMALL + LARGE}}.items():
        comparison = Comparison(found, models, bootstrap)
        for form, policy in dict.fromkeys((r["form"], r["policy"]) for r in document["rows"] if r["model"] in models):
            rows.append({"models": group, "form": form, "policy": policy, **comparison.row(form, policy),
                         **describe([found[m, form, policy] for m in models])})
    bootstrap.settle()
    return rows


def report(document, resamples=RESAMPLES):
    kept = ("programs_commit", "training_commit", "longer_limit", "choice", "training")
    entropies = [{"model": r["model"], "form": r["form"], "tokens": r["token_entropies"], "steps": r["steps"]}
                 for r in document["rows"] if "steps" in r]
    return {"what": "share of held-out Countdown problems solved, percent, by the library's CPU engine",
            "problems": check_complete(document), **{name: document[name] for name in kept}, "top_p": 0.95, "window": 32,
            "bootstrap": resamples,
            "token_bins": {"lowest_decade": -6, "bins_per_decade": 8}, "step_bin_nats": 0.05, "rows": compare(document, resamples),
            "entropies": entropies}


def rounded(value):
    """To five digits behind the point: what the last bits of a sum are depends on the machine."""
    if isinstance(value, dict):
        return {name: rounded(v) for name, v in value.items()}
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 5) if isinstance(value, float) else value


def write(path, document):
    """JSON, a row a line."""
    path.write_text(json.dumps(document, separators=(",", ":")).replace('{"model', '\n{"model') + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", help="WORK_FOLDER and MODELS_FOLDER of a finished study")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    outcomes = args.out / OUTCOMES.name
    if args.folders:
        write(outcomes, gather(*args.folders))
    write(args.out / OUTPUT.name, rounded(report(json.loads(outcomes.read_text()))))


if __name__ == "__main__":
    main()
