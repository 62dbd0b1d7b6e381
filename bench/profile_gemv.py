#!/usr/bin/env python3
"""What a mat-vec keeps busy, by the counters of the GPU.

profile_gemv.py BENCH_GEMV [FOLDER [COMMIT]] [--filter=REGULAR_EXPRESSION]
profile_gemv.py --table FOLDER

Runs each call that matches once under Nsight Compute (ncu on the PATH), with cold caches and nothing before it, writes
FOLDER/gemv_counters.json and prints it as Markdown. Alone a kernel takes longer than in a chain of them.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

import nsight
from gemv_results import DEFAULT_FOLDER

LAYERS = "gemv/Qwen3-(8B/(qkv|o|gate_up|down)|32B/(o|down))/m:(1|8|16)/(nvfp4|bf16)/linear/pdl/iter"

# What each counter is called in the results. Shares are of what the unit could do: memory, L2 and the data pipe of loads and
# stores, shared memory's among them, while the kernel runs; the others while their multiprocessor has a CTA.
COUNTERS = {
    "gpu__time_duration.sum": "time_us",
    "gpu__dram_throughput.avg.pct_of_peak_sustained_elapsed": "memory_percent",
    "lts__throughput.avg.pct_of_peak_sustained_elapsed": "l2_percent",
    "l1tex__data_pipe_lsu_wavefronts.avg.pct_of_peak_sustained_elapsed": "lsu_data_percent",
    "smsp__issue_active.avg.pct_of_peak_sustained_active": "issue_percent",
    "sm__pipe_alu_cycles_active.avg.pct_of_peak_sustained_active": "alu_percent",
    "sm__pipe_fma_cycles_active.avg.pct_of_peak_sustained_active": "fma_percent",
    "sm__pipe_tensor_cycles_active.avg.pct_of_peak_sustained_active": "tensor_percent",
    "sm__warps_active.avg.per_cycle_active": "warps",
    "smsp__inst_executed.sum": "instructions",
}


def calls(bench, pattern):
    """The benchmarks that match, in the order in which they run: of each what its name says."""
    command = [bench, "--benchmark_list_tests", f"--benchmark_filter={pattern}"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    found = []
    for name in names:
        parts = re.match(r"gemv/([^/]+)/([^/]+)/m:(\d+)/([^/]+)/([^/]+)/pdl", name)
        if not parts:
            raise SystemExit(f"profile_gemv.py: {name} is no call with dependent launch")
        model, layer, m, activation, layout = parts.groups()
        found.append({"model": model, "layer": layer, "m": int(m), "activation": activation, "layout": layout})
    return found


def profile(bench, pattern):
    """Of each launch, in order, its kernel and counters."""
    launches = []
    for launch in nsight.profile([bench, "--profile", f"--benchmark_filter={pattern}"], COUNTERS):
        values = {name: launch[counter] for counter, name in COUNTERS.items()}
        values["time_us"] /= 1000
        kernel = re.search(r"gemv_(\w+?)<", launch["Kernel Name"])[1]
        launches.append({"kernel": kernel, **{name: round(value, 1) for name, value in values.items()}})
    return launches


def print_table(records):
    names = list(COUNTERS.values())
    print("| layer | M | activations | kernel | " + " | ".join(name.replace("_", " ") for name in names) + " |")
    print("|" + " --- |" * (4 + len(names)))
    for r in records:
        cells = [f"{r['model']} {r['layer']}", str(r["m"]), r["activation"], r["kernel"]]
        print("| " + " | ".join(cells + [f"{r[name]:,.0f}" if r[name] >= 100 else f"{r[name]:.1f}" for name in names]) + " |")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bench", nargs="?")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("commit", nargs="?", default="unknown")
    parser.add_argument("--filter", default=LAYERS)
    parser.add_argument("--table", type=Path, metavar="FOLDER")
    options = parser.parse_args(arguments)
    if options.bench is None and options.table is None:
        parser.error("expected BENCH_GEMV or --table")
    return options


def main():
    options = parse(sys.argv[1:])
    if options.table is not None:
        return print_table(json.loads((options.table / "gemv_counters.json").read_text()))
    named = calls(options.bench, options.filter)
    launches = profile(options.bench, options.filter)
    if len(named) != len(launches):
        raise SystemExit(f"profile_gemv.py: {len(launches)} launches of {len(named)} calls were profiled")
    records = [{**call, **launch, "commit": options.commit} for call, launch in zip(named, launches)]
    nsight.write_records(options.folder / "gemv_counters.json", records)
    print_table(records)


if __name__ == "__main__":
    main()
