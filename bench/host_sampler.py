#!/usr/bin/env python3
"""Runs the CPU sampler's benchmark and writes FOLDER/sampler.json: host_sampler.py BENCH_SAMPLER [FOLDER [COMMIT]]

Means of ten repetitions and the fastest of them, in microseconds, with the CPU's name and the program's own flags.
"""

import json
import subprocess
import sys
from pathlib import Path

DEFAULT_FOLDER = Path(__file__).parent / "results" / "host"


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown CPU"


def records_of(benchmarks):
    """One record a benchmark of its aggregates."""
    records = {}
    for result in benchmarks:
        name = result["run_name"].split("/repeats:")[0]
        record = records.setdefault(name, {"name": name})
        if result["aggregate_name"] in ("mean", "min"):
            record[f"{result['aggregate_name']}_us"] = round(result["real_time"], 1)
    return list(records.values())


def main():
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_FOLDER
    output = subprocess.run([sys.argv[1], "--benchmark_format=json"], check=True, capture_output=True, text=True).stdout
    results = json.loads(output)
    context = results["context"]
    folder.mkdir(parents=True, exist_ok=True)
    head = {
        "cpu": cpu_name(),
        "compiler": context["compiler"],
        "flags": context["flags"],
        "commit": sys.argv[3] if len(sys.argv) > 3 else "unknown",
        "date": context["date"],
    }
    lines = ",\n".join(json.dumps(record) for record in records_of(results["benchmarks"]))
    text = json.dumps(head, indent=2)[:-2] + f',\n  "records": [\n{lines}\n]\n}}\n'
    (folder / "sampler.json").write_text(text)


if __name__ == "__main__":
    main()
