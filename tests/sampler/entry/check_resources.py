#!/usr/bin/env python3
"""Compiles the device sampler for one architecture and fails if ptxas spills registers or a kernel takes more of them
than its launch bounds allow.

check_resources.py NVCC INCLUDE_FOLDER TESTS_FOLDER ARCH
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

KERNELS = 7  # two cuts of the work, and those of add, update, import, commit and prepare


def compile_entry(nvcc, include, tests, arch):
    source = Path(tests) / "sampler/entry/run_time_entry.cu"
    with tempfile.TemporaryDirectory() as folder:
        target = f"-gencode=arch=compute_{arch},code=sm_{arch}"
        command = [nvcc, "-std=c++17", f"-I{include}", f"-I{tests}", target, "-cubin", "-Xptxas", "-v"]
        result = subprocess.run(
            [*command, str(source), "-o", f"{folder}/out"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stdout}")
    return result.stdout


def main():
    nvcc, include, tests, arch = sys.argv[1:]
    parts = compile_entry(nvcc, include, tests, arch).split("Compiling entry function '")[1:]
    bad = 0
    if len(parts) != KERNELS:
        bad += 1
        print(f"FAILED: {len(parts)} kernels, {KERNELS} expected")
    for part in parts:
        name = re.search(r"\d+(sample_rows|add_request|update_request|import_state|commit_rows|mark_unused)", part)
        # Of the kernel and of the functions that it calls.
        spills = sum(int(count) for count in re.findall(r"(\d+) bytes spill (?:stores|loads)", part))
        registers = int(re.search(r"Used (\d+) registers", part)[1])
        most = 128 if name and name[1] == "sample_rows" else 255
        print(f"sm_{arch} {name[1] if name else '?'}: {registers} registers of {most}, {spills} bytes of spills")
        if not name or spills > 0 or registers > most:
            bad += 1
            print("FAILED: it spills or takes too many registers")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
