"""What the README says of the engine's speed is what the results say."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import table_engine as table  # noqa: E402

README_LENGTHS = [1024]


def test_full_run():
    """More or less is said of the run that was measured, not of the integral."""
    def text(measured):
        return table.full_run({"full_run": {"generated": 8, "measured_ms": measured, "integrated_ms": 100.0}})
    assert text(101.0) == "a full run of 8 tokens took 1.00 % more than the integral"
    assert text(98.5) == "a full run of 8 tokens took 1.50 % less than the integral"
    assert table.full_run({}) is None


def test_readme():
    readme = (ROOT / "README.md").read_text()
    words = " ".join(readme.split())
    for gpu in ("h100", "h200"):
        records, context = table.load(ROOT / "bench" / "results" / gpu)
        assert table.table(records, README_LENGTHS) in readme, gpu
        for sentence in (table.cost_of_policy(records, context), table.full_run(context)):
            assert sentence in words, f"{gpu}: {sentence}"


def test_cost():
    cases = [{"pairs": 32, "lower_quartile": -0.2, "median": 0.1, "upper_quartile": 0.2},
             {"pairs": 32, "lower_quartile": -0.1, "median": -0.05, "upper_quartile": 0.4}]
    assert table.cost_of_policy([], {"policy_cost": cases}) == (
        "ReSET on against off: -0.05 .. +0.10 % of a step, medians of 32 pairs whose middle halves lie in -0.20 .. +0.40 %")
    assert table.cost_of_policy([], {}) is None


def test_profile():
    step = {"model": "m", "batch": 1}
    profile = [{**step, "engine": "a", "part": "norm", "time_us": 250.0}, {**step, "engine": "a", "part": "head", "time_us": 750.0},
               {**step, "engine": "b", "part": "head", "time_us": 100.0},
               {**step, "engine": "b", "batch": 8, "part": "norm", "time_us": 40.0}]
    assert table.profile_table(profile).splitlines() == [
        "| kernels | m, a, batch 1 | m, b, batch 1 | m, b, batch 8 |", "| --- | --- | --- | --- |",
        "| norm | 0.25 ms, 25.0 % |  | 0.04 ms, 100.0 % |", "| head | 0.75 ms, 75.0 % | 0.10 ms, 100.0 % |  |",
        "| all | 1.00 ms | 0.10 ms | 0.04 ms |"]


for test in (test_full_run, test_cost, test_profile, test_readme):
    test()
