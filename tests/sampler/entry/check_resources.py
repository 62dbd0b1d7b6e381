#!/usr/bin/env python3
"""Compiles the device sampler for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow.

check_resources.py NVCC INCLUDE_FOLDER TESTS_FOLDER ARCH
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import check_kernels, compile_file, target  # noqa: E402

NAMES = r"\d+(sample_rows|add_request|update_request|import_state|commit_rows|mark_unused)"
KERNELS = 7  # two cuts of the work, and those of add, update, import, commit and prepare


def main():
    nvcc, include, tests, arch = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        log = compile_file(nvcc, [include, tests], HERE / "run_time_entry.cu", [target(arch)], folder)
    sys.exit(1 if check_kernels(arch, log, NAMES, KERNELS, lambda name: 128 if name == "sample_rows" else 255) else 0)


if __name__ == "__main__":
    main()
