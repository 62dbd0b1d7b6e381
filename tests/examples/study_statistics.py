"""The statistics of the accuracy study on made-up outcomes, and what is committed of it; skipped without numpy."""

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

CHOICE = {"published_tau0": 0.05, "published_t_low": 0.1, "short_window": 8, "own_tau0": 0.3, "own_t_low": 0.6, "own_window": 4,
          "candidates": [{"tau0": None, "t_low": t_low, "window": 32, "solved": 70.0} for t_low in (0.1, 0.6)]}
MODELS = study.SMALL + study.LARGE
PROBLEMS = 200
TRAINING = {"commit": "abc", "limit": 160, "parameters": 5,
            "solved": {when: {"1.0": 0.7, "0.6": 0.6} for when in ("imitated", "reinforced")}}


def record(job, share, rng):
    draws = rng.random(PROBLEMS * job.samples)
    outcomes = "".join("1" if d < share else "0" if d < share + 0.05 else "-" for d in draws)
    found = {"policy": job.spec, "outcomes": outcomes, "tokens": 1000, "high": 300, "uncertain": 20, "boundaries": 100,
             "aged": {str(w): 1000 // w for w in (2, 4, 8, 16, 32, 64)}, "entropy_percentiles": {"80": 0.1}, "share_above_tenth_nat": 0.2,
             "share_above_half_nat": 0.1, "token_entropies": [1, 2], "steps": [[2, 1, 1]] * 9}
    return {"samples": job.samples, "limit": job.limit or 160, "commit": "abc", "policies": [found]}


def write_study(folder):
    """A whole study of random outcomes: W4A4 solves 10 points less, and ReSET as published gives them back, and 4 to BF16."""
    rng, choice = np.random.default_rng(1), {m: CHOICE for m in MODELS}
    (folder / "choice.json").write_text(json.dumps(choice))
    for policy, job in study.plan(choice):
        share = {True: (0.84, 0.8), False: (0.8, 0.7)}[job.form == "BF16"][policy != study.PUBLISHED]
        job.path(folder).write_text(json.dumps(record(job, share, rng)))
    for m in MODELS:
        (folder / m).mkdir()
        (folder / m / "training.json").write_text(json.dumps(TRAINING))


def test_codec():
    solved, cut = np.array([0, 4, 1, 2]), np.array([4, 0, 3, 0])
    assert [a.tolist() for a in report.decode(report.encode(solved, cut, 4), 4)] == [solved.tolist(), cut.tolist()]


def interval_of(problems, values):
    bootstrap = report.Bootstrap(problems)
    interval = bootstrap.later(values)
    bootstrap.settle()
    return interval


def test_bootstrap():
    values = np.random.default_rng(1).normal(3, 10, (1, 1000))
    interval = interval_of(1000, values)
    half = 1.96 * values.std() / 1000 ** 0.5
    assert abs(interval["mean"] - values.mean()) < 1e-9
    assert abs(interval["high"] - interval["low"] - 2 * half) < 0.1 * half
    assert interval_of(1000, np.zeros((3, 1000))) == {"mean": 0, "low": 0, "high": 0}
    # Seeds that differ widen the interval: problems alone, all alike, would leave none.
    spread = interval_of(50, np.repeat([[0.0], [3.0], [6.0]], 50, 1))
    assert abs(spread["low"]) < 1 and abs(spread["high"] - 6) < 1


def test_policies():
    named = study.policies_of(CHOICE)
    assert named[study.PUBLISHED] == "reset,tau0=0.0500,t_low=0.1" and named[study.SHORT] == "reset,tau0=0.0500,t_low=0.1,window=8"
    assert named[study.THRESHOLD_OF[study.CHOSEN]] == "threshold,tau0=0.3000,t_low=0.6"
    assert named[study.BASELINE] == "temperature=1.0" and named[study.BASELINE + study.WHOLE] == "temperature=1.0,top_p=1"
    assert f"{study.SHORT}, window = 8" not in named and f"{study.SHORT}, window = 4" in named


def test_plan():
    rows = [(job.model, job.form, policy) for policy, job in study.plan({m: CHOICE for m in MODELS})]
    assert len(set(rows)) == len(rows)
    main = {"greedy", *study.TEMPERATURES, *study.THRESHOLD_OF, *study.THRESHOLD_OF.values()}
    pair = main | {name + study.LONGER for name in (study.BASELINE, "T = 0.6", study.SHORT)}
    pair |= {name + study.WHOLE for name in (study.BASELINE, study.SHORT)}
    pair |= {f"{study.SHORT}, {change}" for change in study.CHANGES if change != f"window = {CHOICE['short_window']}"}
    every = main - {study.HALF, study.THRESHOLD_OF[study.HALF]}
    expected = {(m, form): pair if m in study.SMALL and form in study.PAIR else every for m in MODELS for form in study.FORMS}
    assert {key: {row[2] for row in rows if row[:2] == key} for key in {row[:2] for row in rows}} == expected
    assert len(study.FORMS) == 7 and len(main) == 13 and len(every) == 11 and len(pair) == 24 and len(rows) == 386
    paths = {job.path(Path("work")) for _, job in study.plan({m: CHOICE for m in MODELS})}
    assert len(paths) == len({job for _, job in study.plan({m: CHOICE for m in MODELS})})


def test_report():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_study(folder)
        document = report.gather(folder, folder)
        next(folder.glob("small-2_W4A16*")).unlink()
        try:
            report.gather(folder, folder)
        except SystemExit as error:
            assert "1 jobs of the study are missing" in str(error)
        else:
            raise AssertionError("a partial study is taken for a whole one")
    found = table.Report(report.report(document, resamples=500))
    row = found.row("W4A4", study.PUBLISHED)
    assert abs(row["gain_over_t1"]["mean"] - 10) < 3 and abs(row["difference_over_t1"]["mean"] - 6) < 3
    assert abs(row["gain_over_threshold"]["mean"] - 10) < 3 and row["difference_over_threshold"]["low"] > 0
    assert abs(row["solved"]["mean"] + row["wrong"] + row["cut_off"] - 100) < 1e-9 and abs(row["wrong"] - 5) < 2
    assert abs(found.field("W4A4", study.BASELINE, "minus_bf16")["mean"] + 10) < 3
    assert found.row("BF16", study.BASELINE + study.LONGER)["limit"] == [study.LONG] * 3
    changed = found.row("W4A4", f"{study.SHORT}, history = include")
    expected = changed["solved"]["mean"] - found.row("W4A4", study.SHORT)["solved"]["mean"]
    assert abs(changed["gain_over_unchanged"]["mean"] - expected) < 1e-9
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        table.section(found)
    assert printed.getvalue().count("| W4A4 ScaleSweep |") == 4  # two tables of each group of models
    document["rows"].pop()
    try:
        report.report(document)
    except AssertionError as error:
        assert "differ from the plan" in str(error)
    else:
        raise AssertionError("a row is missing and is not missed")


def close(a, b):
    """Equal but for the last digits of numbers."""
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(close(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(close, a, b))
    return abs(a - b) < 1e-4 if isinstance(a, float) else a == b


def test_readme():
    """The README has what the committed report says, and the report what the committed outcomes of the whole study say."""
    document, committed = json.loads(report.OUTCOMES.read_text()), json.loads(report.OUTPUT.read_text())
    assert report.check_complete(document) == 2048 and len(document["rows"]) == 386
    assert close(report.report(document), committed)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        table.section(table.Report(committed))
    assert printed.getvalue() in (report.OUTPUT.parents[2] / "README.md").read_text()


for test in (test_codec, test_bootstrap, test_policies, test_plan, test_report, test_readme):
    test()
