#!/usr/bin/env python3
"""Compiles the device sampler for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow: with the published rule's detector for bfloat16, then for floats and halves, then for these
with several detectors at once.

check_resources.py NVCC INCLUDE_FOLDER TESTS_FOLDER ARCH
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import check_kernels, compile_file, target  # noqa: E402

NAMES = r"\d+(sample_rows|add_request|update_request|import_state|commit_rows|mark_unused)"
# How many kernels each file has: two cuts of the work and the one for entropies of other rows, and those of add, update,
# import, commit and prepare; the first three for either type.
KERNELS = {"run_time_entry.cu": 8, "every_type.cu": 6, "every_detector.cu": 6}
# Bytes that a kernel of a file may spill on a target: one, stored and loaded again, in the cut of one warp a chunk.
SPILLED = {("every_detector.cu", "120a"): 8}


def main():
    nvcc, include, tests, arch = sys.argv[1:]
    bad = 0
    for source, kernels in KERNELS.items():
        with tempfile.TemporaryDirectory() as folder:
            log = compile_file(nvcc, [include, tests], HERE / source, [target(arch)], folder)
        bad += check_kernels(arch, log, NAMES, kernels, lambda name: 128 if name == "sample_rows" else 255,
                             SPILLED.get((source, arch), 0))
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
