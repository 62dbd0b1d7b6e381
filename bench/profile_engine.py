#!/usr/bin/env python3
"""Where the time of a decode step goes, kernel by kernel.

profile_engine.py BENCH_ENGINE [FOLDER [COMMIT]] [--models=qwen3-8b,qwen3-32b] [--batches=1,8]

Runs one step of each engine under Nsight Compute (ncu on the PATH) and writes FOLDER/engine_profile.json. Kernels run one after
the other there, with cold caches: their sum is more than a step takes.
"""

import argparse
import itertools
import re
import sys
from pathlib import Path

import nsight
from gemv_results import DEFAULT_FOLDER

ENGINES = ("bf16", "nvfp4-w4a16", "nvfp4-w4a4")
LENGTH = 1024
TIME = "gpu__time_duration.sum"  # in nanoseconds

# Kernels by what they are for, as a reader of the engine knows it; the first pattern that is found decides.
PARTS = [
    ("mat-vec", r"gemv_"),
    ("sampler", r"sample_rows"),
    ("attention", r"attend_kernel"),
    ("merge of attention", r"[Mm]erge"),
    ("norm", r"rms_norm"),
    ("gate times up", r"(?i)silu"),
    ("embedding", r"embed"),
    ("cuBLAS", r"nvjet|gemm|cublas|splitK|gemv2"),
]


def part_of(kernel):
    part = next((part for part, pattern in PARTS if re.search(pattern, kernel)), None)
    if part is None:
        raise SystemExit(f"profile_engine.py: no part of a step for the kernel {kernel}")
    return part


def profile(bench, model, engine, batch, length):
    parts = {}
    for launch in nsight.profile([bench, f"--profile={model},{engine},{batch},{length}"], [TIME]):
        total = parts.setdefault(part_of(launch["Kernel Name"]), [0, 0.0])
        total[0] += 1
        total[1] += launch[TIME] / 1000
    return [{"model": model, "engine": engine, "batch": batch, "length": length, "part": part, "launches": count,
             "time_us": round(time, 1)} for part, (count, time) in parts.items()]


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bench")
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("commit", nargs="?", default="unknown")
    parser.add_argument("--models", type=lambda text: text.split(","), default=["qwen3-8b"])
    parser.add_argument("--batches", type=lambda text: [int(n) for n in text.split(",")], default=[1])
    return parser.parse_args(arguments)


def main():
    options = parse(sys.argv[1:])
    steps = itertools.product(options.models, ENGINES, options.batches, [LENGTH])
    records = [{**record, "commit": options.commit} for step in steps for record in profile(options.bench, *step)]
    nsight.write_records(options.folder / "engine_profile.json", records)


if __name__ == "__main__":
    main()
