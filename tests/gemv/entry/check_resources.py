#!/usr/bin/env python3
"""Compiles the run-time entry for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow. With a file in the place of the architecture, fails unless it compiles the kernels that
are named, in this order, and no others: none of them for a file that only includes the library.

check_resources.py NVCC INCLUDE_FOLDER ARCH
check_resources.py NVCC INCLUDE_FOLDER FILE ARCH [KERNEL...]
"""

import re
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "support"))
from ptxas import compile_file, judge, resources, target  # noqa: E402

REGISTERS = 65536  # of a multiprocessor
KERNELS = 28  # that the entry can choose among


def launch_bounds(ptx):
    """Of each kernel: the threads of a CTA and the CTAs of a multiprocessor."""
    bounds = {}
    for entry in re.split(r"\.entry\s+", ptx)[1:]:
        head = entry[: entry.index("{")]
        threads = re.search(r"\.maxntid\s+(\d+)", head)
        ctas = re.search(r"\.minnctapersm\s+(\d+)", head)
        if threads:
            bounds[re.match(r"[\w$]+", head)[0]] = (int(threads[1]), int(ctas[1]) if ctas else 1)
    return bounds


def least_registers(include, arch, kernel):
    """What keeps CTAs of kTensorRing apart: detail::tensor_ring_registers."""
    text = (Path(include) / "reset/gemv/detail/kernel_limits.hpp").read_text()
    pattern = r"tensor_ring_registers\(.*?arch < 100 \? (\d+) : (\d+);.*?tokens <= 8 \? (\d+) : (\d+);"
    before, one, eight, sixteen = map(int, re.search(pattern, text, re.S).groups())
    tokens = re.search(r"gemv_tensor_ringILi(\d+)E", kernel)
    if not tokens or arch < 90:  # kTensorRing is empty there
        return 0
    return {"1": before if arch < 100 else one, "8": eight, "16": sixteen}[tokens[1]]


def check_entry(nvcc, include, arch):
    with tempfile.TemporaryDirectory() as folder:
        options = [target(arch), "--keep", "--keep-dir", folder]
        log = compile_file(nvcc, [include], HERE / "run_time_entry.cu", options, folder)
        bounds = launch_bounds(next(Path(folder).glob("*.ptx")).read_text())
    kernels = resources(log)
    bad = 0
    if len(kernels) != KERNELS or kernels.keys() != bounds.keys():
        bad += 1
        print(f"FAILED: {len(kernels)} kernels, {len(bounds)} with launch bounds, {KERNELS} expected")
    for name, (registers, spills) in sorted(kernels.items()):
        threads, ctas = bounds.get(name, (1024, 1))
        # Registers are given to a warp in steps of 8 a thread.
        most = min(255, REGISTERS // (threads * ctas) // 8 * 8)
        short = re.search(r"gemv\w*?(?=EvN)|$", name)[0] or name
        bad += judge(arch, short, registers, most, spills)
        least = least_registers(include, int(arch.rstrip("af")), short)
        if -(-registers // 8) * 8 < least:
            bad += 1
            print(f"FAILED: two CTAs may share a multiprocessor: the selector counts on {least} registers")
    return bad


def check_kernels_of(nvcc, include, source, arch, wanted):
    with tempfile.TemporaryDirectory() as folder:
        options = [target(arch), "--keep", "--keep-dir", folder]
        compile_file(nvcc, [include], source, options, folder)
        ptx = next(Path(folder).glob("*.ptx")).read_text()
    entries = re.findall(r"\.entry\s+([\w$]+)", ptx)
    # Mangled: the name, and "IL" where its template arguments, none of them a type, begin.
    found = [re.search(r"\d(gemv\w*?)IL|$", entry)[1] or entry for entry in entries]
    if found == wanted:
        return 0
    print(f"FAILED: compiled {found} for sm_{arch}, {wanted} expected")
    return 1


def main():
    nvcc, include, *rest = sys.argv[1:]
    if len(rest) == 1:
        bad = check_entry(nvcc, include, rest[0])
    else:
        source, arch, *wanted = rest
        bad = check_kernels_of(nvcc, include, source, arch, wanted)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
