#!/usr/bin/env python3
"""Compiles the device quantisers for one architecture and fails if ptxas spills registers or a kernel takes more of them
than CTAs of its size can have.

check_resources.py NVCC INCLUDE_FOLDER ARCH
"""

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import compile_file, judge, resources, target  # noqa: E402

NAMES = r"\d+(rms_norm_quantize_kernel|quantize_kernel|own_quantizer)"
KERNELS = 7  # two of each quantiser, for rows that are aligned and for any, and the kernel of the engine's own
MOST = 64  # of a CTA of 1,024 threads, which RMSNorm may have


def main():
    nvcc, include, arch = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        log = compile_file(nvcc, [include], HERE / "quantizers.cu", [target(arch)], folder)
    kernels = resources(log)
    bad = 0
    if len(kernels) != KERNELS:
        bad += 1
        print(f"FAILED: {len(kernels)} kernels, {KERNELS} expected")
    for kernel, (registers, spills) in kernels.items():
        bad += judge(arch, re.search(NAMES, kernel)[1], registers, MOST, spills)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
