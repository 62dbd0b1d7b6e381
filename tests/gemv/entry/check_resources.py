#!/usr/bin/env python3
"""Compiles the run-time entry for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow; without an architecture, fails if including the library compiles a kernel.

check_resources.py NVCC INCLUDE_FOLDER [ARCH]
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
REGISTERS = 65536  # of a multiprocessor
KERNELS = 26  # that the entry can choose among


def compile_file(nvcc, include, source, options, folder):
    command = [nvcc, "-std=c++17", f"-I{include}", *options, str(HERE / source), "-o", f"{folder}/out"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stdout}")
    return result.stdout


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


def resources(log):
    """Of each kernel: its registers and the bytes it spills."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part[: part.index("'")]
        spills = sum(int(bytes) for bytes in re.findall(r"(\d+) bytes spill (?:stores|loads)", part))
        found[name] = (int(re.search(r"Used (\d+) registers", part)[1]), spills)
    return found


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
        options = [f"-gencode=arch=compute_{arch},code=sm_{arch}", "-cubin", "-Xptxas", "-v"]
        log = compile_file(nvcc, include, "run_time_entry.cu", [*options, "--keep", "--keep-dir", folder], folder)
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
        print(f"sm_{arch} {short}: {registers} registers of {most}, {spills} bytes of spills")
        if spills > 0 or registers > most:
            bad += 1
            print("FAILED: it spills" if spills > 0 else "FAILED: beyond its launch bounds")
        least = least_registers(include, int(arch.rstrip("af")), short)
        if -(-registers // 8) * 8 < least:
            bad += 1
            print(f"FAILED: two CTAs may share a multiprocessor: the selector counts on {least} registers")
    return bad


def check_include(nvcc, include):
    with tempfile.TemporaryDirectory() as folder:
        options = ["-arch=sm_90", "-cubin", "--keep", "--keep-dir", folder]
        compile_file(nvcc, include, "include_only.cu", options, folder)
        ptx = next(Path(folder).glob("*.ptx")).read_text()
    entries = re.findall(r"\.entry\s+([\w$]+)", ptx)
    for entry in entries:
        print(f"FAILED: compiled though nothing calls it: {entry}")
    return len(entries)


def main():
    nvcc, include, *arch = sys.argv[1:]
    bad = check_entry(nvcc, include, arch[0]) if arch else check_include(nvcc, include)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
