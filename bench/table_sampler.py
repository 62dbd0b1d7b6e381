#!/usr/bin/env python3
"""Prints the Markdown tables of the sampler's results: table_sampler.py [FOLDER [HOST_FOLDER]]

FOLDER holds sampler.json of the device, HOST_FOLDER that of a CPU (host_sampler.py writes it).
"""

import json
import sys
from pathlib import Path

from gemv_results import source

HERE = Path(__file__).parent / "results"
BATCHES = [1, 8, 32, 64]
FEW_BATCHES = [1, 8]
TRUNCATED = "reset, top-p .95, top-k 20"

USUAL = {
    "temperature": "one temperature, 1",
    "temperature .6": "one temperature, 0.6",
    "reset": "ReSET",
    "reset, top-p .95": "ReSET, top-p .95",
    TRUNCATED: "ReSET, top-p .95, top-k 20",
}
DRAFTS = {
    "4 drafts that match": "match, all hold",
    "4 drafts accepted": "rejection, all hold",
    "4 drafts, the first rejected": "rejection, the first does not",
}
LONG_WAYS = {
    "reset, top-k 1000": "top-k 1000",
    "reset, flat rows": "no truncation, rows in which no token stands out",
    "reset, flat rows, top-p .95": "top-p .95, such rows",
    "reset, rank": "no truncation, ranks told (`config.rank`)",
    "reset, flat rows, rank": "no truncation, such rows, ranks told",
    "reset, results told": "no truncation, everything about a row told (`call.results`)",
}
# Of one row on one core of a CPU.
HOST = {
    "statistics<float>": "entropy alone, fp32",
    "statistics<reset::BFloat16>": "entropy alone, bf16",
    "token/T_1": "token, no truncation, T = 1",
    "token/argmax": "token, argmax",
    "token/top_p_95_T_1": "token, top-p .95, T = 1",
    "token/top_p_95_T_06": "token, top-p .95, T = 0.6",
    "token/top_k_20_top_p_95_T_06": "token, top-p .95, top-k 20, T = 0.6",
    "token/min_p_05_T_1": "token, min-p .05, T = 1",
}


def row(cells):
    print("| " + " | ".join(cells) + " |")


def header(cells):
    row(cells)
    row(["---"] * len(cells))


def number(value):
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"


class Times:
    """Microseconds of the device's calls on bf16 logits, each launched as a dependent of the one before."""

    def __init__(self, records):
        self.records = {(r["batch"], r["setting"]): r for r in records if r["dtype"] == "bf16" and r["pdl"]}

    def cell(self, batch, setting):
        """A time and, in brackets, that of the PyTorch chain; empty where nothing was measured."""
        record = self.records.get((batch, setting))
        if record is None:
            return ""
        torch = record["torch_chain_us"]
        return number(record["time_us"]) + (f" ({torch:.0f})" if torch else "")

    def table(self, first, settings, batches):
        header([first] + [str(batch) for batch in batches])
        for setting, name in settings.items():
            cells = [self.cell(batch, setting) for batch in batches]
            if any(cells):
                row([name] + cells)

    def drafts_table(self):
        columns = [(batch, prefix) for prefix in ["reset", TRUNCATED] for batch in FEW_BATCHES]
        names = [f"{batch} slot{'s' if batch > 1 else ''}" for batch, _ in columns]
        names[2] += ", top-p .95, top-k 20"
        header(["drafts"] + names)
        for setting, name in DRAFTS.items():
            row([name] + [self.cell(batch, f"{prefix}, {setting}") for batch, prefix in columns])


def host_table(results):
    records = {r["name"]: r for r in results["records"]}
    header(["one row, one core", "mean of ten", "fastest"])
    for key, name in HOST.items():
        if key in records:
            row([name, number(records[key]["mean_us"]), number(records[key]["min_us"])])


def main():
    arguments = [Path(argument) for argument in sys.argv[1:]]
    folder = arguments[0] if arguments else HERE / "h100"
    host = (arguments[1] if len(arguments) > 1 else HERE / "host") / "sampler.json"
    context = json.loads((folder / "sampler_context.json").read_text())
    times = Times(json.loads((folder / "sampler.json").read_text()))
    print(f"{source(context)}; microseconds, in brackets those of PyTorch\n")
    times.table("rows", USUAL, BATCHES)
    print()
    times.drafts_table()
    print()
    times.table("", LONG_WAYS, FEW_BATCHES)
    if host.exists():
        results = json.loads(host.read_text())
        print(f"\n{results['cpu']}, {results['compiler']} {results['flags']}, commit {results['commit']}; microseconds\n")
        host_table(results)


if __name__ == "__main__":
    main()
