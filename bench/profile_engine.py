#!/usr/bin/env python3
"""Where the time of a decode step goes, kernel by kernel: profile_engine.py BENCH_ENGINE [FOLDER [COMMIT]]

Runs one step of each engine under Nsight Compute (ncu on the PATH) and writes FOLDER/engine_profile.json. Kernels run one after
the other there, with cold caches: their sum is more than a step takes.
"""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

from gemv_results import DEFAULT_FOLDER

STEPS = [("qwen3-8b", engine, 1, 1024) for engine in ("bf16", "nvfp4-w4a16", "nvfp4-w4a4")]

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
    command = ["ncu", "--clock-control", "none", "--profile-from-start", "off", "--metrics", "gpu__time_duration.sum", "--csv",
               "--print-units", "base", bench, f"--profile={model},{engine},{batch},{length}"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = list(csv.DictReader(line for line in output.splitlines() if line.startswith('"')))
    parts = {}
    for row in rows:
        nanoseconds = float(row["Metric Value"].replace(",", ""))
        total = parts.setdefault(part_of(row["Kernel Name"]), [0, 0.0])
        total[0] += 1
        total[1] += nanoseconds / 1000
    return [{"model": model, "engine": engine, "batch": batch, "length": length, "part": part, "launches": count,
             "time_us": round(time, 1)} for part, (count, time) in parts.items()]


def main():
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else DEFAULT_FOLDER
    commit = sys.argv[3] if len(sys.argv) > 3 else "unknown"
    records = [{**record, "commit": commit} for step in STEPS for record in profile(sys.argv[1], *step)]
    text = ",\n".join(json.dumps(record) for record in records)
    (folder / "engine_profile.json").write_text(f"[\n{text}\n]\n")


if __name__ == "__main__":
    main()
