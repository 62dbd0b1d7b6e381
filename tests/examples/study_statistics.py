"""The statistics of the accuracy study on made-up outcomes; skipped without numpy."""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

try:
    import numpy as np
except ImportError:
    print("skipped: numpy is missing")
    sys.exit(77)

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))
import reasoner_report as report  # noqa: E402
import reasoner_study as study  # noqa: E402
import table_reasoner as table  # noqa: E402

CHOICE = {"published_tau0": 0.05, "published_t_low": 0.1, "own_tau0": 0.3, "own_t_low": 0.1}
PROBLEMS, SAMPLES = 400, 4


def outcome(spec, share, seed):
    bits = np.random.default_rng(seed).random(PROBLEMS * SAMPLES) < share
    return {"policy": spec, "solved": "".join("01"[int(b)] for b in bits), "tokens": 1000, "finished": 10, "high": 300,
            "uncertain": 20, "entropy_percentiles": {"80": 0.1}, "share_above_tenth_nat": 0.2, "share_above_half_nat": 0.1,
            "token_entropies": [1, 2], "steps": [[1, 0, 1]]}


def write(work, name, policies):
    job = {"samples": SAMPLES, "limit": 160, "policies": policies}
    (work / f"{name}.json").write_text(json.dumps(job))


def test_bootstrap():
    values = np.random.default_rng(1).normal(3, 10, 1000)
    interval = report.Bootstrap()(values)
    half = 1.96 * values.std() / 1000 ** 0.5
    assert abs(interval["mean"] - values.mean()) < 1e-9
    assert abs(interval["high"] - interval["low"] - 2 * half) < 0.1 * half
    assert report.Bootstrap()(np.zeros(1000)) == {"mean": 0, "low": 0, "high": 0}


def test_policies():
    specs = study.policies_of(CHOICE)
    assert specs["adaptive"][0] == "threshold,tau0=0.5000,t_low=0.1"
    assert specs["adaptive"][1] == "reset,tau0=0.0500,t_low=0.1"
    named = report.labels(CHOICE)
    assert len(set(named.values())) == len(named)
    assert named[report.BASELINE] == "temperature=1.0"
    named = report.labels({**CHOICE, "own_tau0": 0.5})
    assert named["ReSET, tau_0 chosen"] == named["ReSET, tau_0 = 0.5"]


def test_jobs():
    plan = list(study.jobs({m: CHOICE for m in study.SEEDS}))
    names = [job[0] for job in plan]
    assert len(set(names)) == len(names)
    for m in study.SEEDS:
        policies = {p for job in plan if job[1] == m and job[0].startswith(f"{m}-w4a4-rtn") for p in job[4]}
        specs = study.policies_of(CHOICE)
        assert {*specs["plain"], *specs["adaptive"], "greedy"} <= policies


def test_rows():
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "choice.json").write_text(json.dumps({m: CHOICE for m in study.SEEDS[:2]}))
        own = study.policies_of(CHOICE)["adaptive"][2]
        for i, model in enumerate(study.SEEDS[:2]):
            write(work, f"{model}-bf16", [outcome("temperature=1.0", 0.8, i), outcome(own, 0.8, 10 + i)])
            write(work, f"{model}-w4a4-rtn", [outcome("temperature=1.0", 0.6, 20 + i), outcome(own, 0.7, 30 + i)])
        _, found, limits = report.load(work)
        rows = report.compare(found, report.Bootstrap())
    assert limits == {m: 160 for m in study.SEEDS[:2]}
    assert {r["models"] for r in rows} == {"small, all seeds", "small-1", "small-2"}
    row = next(r for r in rows if r["models"] == "small, all seeds" and r["form"] == "W4A4" and r["policy"] != report.BASELINE)
    gain, other = row["gain_over_t1"]["mean"], next(
        r for r in rows if r["models"] == "small, all seeds" and r["form"] == "BF16" and "gain_over_t1" in r)["gain_over_t1"]["mean"]
    assert abs(row["difference_of_differences"]["mean"] - (gain - other)) < 1e-9
    assert row["difference_of_differences"]["low"] < gain - other < row["difference_of_differences"]["high"]
    assert abs(gain - 10) < 3 and abs(row["minus_bf16"]["mean"] + 10) < 3
    assert row["traces"] == 2 * PROBLEMS * SAMPLES


def test_readme():
    """The README has what the report says."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        table.section(json.loads(report.OUTPUT.read_text()))
    assert printed.getvalue() in (report.OUTPUT.parents[2] / "README.md").read_text()


for test in (test_bootstrap, test_policies, test_jobs, test_rows, test_readme):
    test()
