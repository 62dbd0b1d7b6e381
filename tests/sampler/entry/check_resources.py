#!/usr/bin/env python3
"""Compiles the device sampler for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow.

check_resources.py NVCC INCLUDE_FOLDER TESTS_FOLDER ARCH
"""

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import compile_file, judge, resources, target  # noqa: E402

NAMES = r"\d+(sample_rows|add_request|update_request|import_state|commit_rows|mark_unused)"
KERNELS = 7  # two cuts of the work, and those of add, update, import, commit and prepare


def main():
    nvcc, include, tests, arch = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        log = compile_file(nvcc, [include, tests], HERE / "run_time_entry.cu", [target(arch)], folder)
    kernels = resources(log)
    bad = 0
    if len(kernels) != KERNELS:
        bad += 1
        print(f"FAILED: {len(kernels)} kernels, {KERNELS} expected")
    for kernel, (registers, spills) in kernels.items():
        name = re.search(NAMES, kernel)[1]
        bad += judge(arch, name, registers, 128 if name == "sample_rows" else 255, spills)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
