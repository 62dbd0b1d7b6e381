#!/usr/bin/env python3
"""Compiles the kernels of the room for one architecture and fails if ptxas spills registers or a kernel takes more of them
than CTAs of its size can have.

check_resources.py NVCC INCLUDE_FOLDER ARCH
"""

import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import check_kernels, compile_file, target  # noqa: E402

NAMES = r"\d+(rms_norm_quantize_kernel|dequantize_kernel|quantize_kernel|own_quantizer)"
# For each of three types two of each quantiser, for rows that are aligned and for any, and the dequantiser; and the
# kernel of the engine's own.
KERNELS = 3 * (2 * 3 + 1) + 1
MOST = 64  # of a CTA of 1,024 threads, which RMSNorm may have; of the others, half of what threads can be resident


def main():
    nvcc, include, arch = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        log = compile_file(nvcc, [include], HERE / "kernels.cu", [target(arch)], folder)
    sys.exit(1 if check_kernels(arch, log, NAMES, KERNELS, lambda name: MOST) else 0)


if __name__ == "__main__":
    main()
