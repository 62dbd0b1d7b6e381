#!/usr/bin/env python3
"""Times nvcc on the files of bench/compile_time/ and writes bench/results/compile_time.json.

compile_time.py [--arch 80,90] [--only include,one_kernel] [--repeats N] [--commit HASH] [--output FILE]

The least of the repeats counts: other work on the machine only adds to a time.
"""

import argparse
import datetime
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BENCH = Path(__file__).resolve().parent
SNIPPETS = ["empty", "include", "one_kernel", "run_time_entry"]
ARCHITECTURES = ["80", "89", "90", "100a", "120a"]


def compile_once(nvcc, snippet, arch):
    """Seconds of wall time and of processor time; the file is compiled for this architecture alone."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            nvcc,
            "-std=c++17",
            f"-gencode=arch=compute_{arch},code=sm_{arch}",
            f"-I{BENCH.parent / 'include'}",
            "-c",
            str(BENCH / "compile_time" / f"{snippet}.cu"),
            "-o",
            f"{folder}/out.o",
        ]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        begin = time.monotonic()
        subprocess.run(command, check=True)
        wall = time.monotonic() - begin
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(nvcc, snippet, arch, repeats):
    runs = [compile_once(nvcc, snippet, arch) for _ in range(repeats)]
    wall, processor = (round(min(values), 2) for values in zip(*runs))
    print(f"{snippet:16} sm_{arch:5} {wall:7.2f} s", flush=True)
    return {"file": snippet, "arch": arch, "seconds": wall, "processor_seconds": processor}


def first_line(command, containing=""):
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return next(line.strip() for line in lines if containing in line)


def processor_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def context(nvcc, arguments):
    return {
        "nvcc": first_line([nvcc, "--version"], "release"),
        "host_compiler": first_line(["g++", "--version"]),
        "processor": processor_name(),
        "processors": os.cpu_count(),
        "repeats": arguments.repeats,
        "commit": arguments.commit,
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": " ".join([Path(sys.argv[0]).name] + sys.argv[1:]),
    }


def write(path, head, results):
    rows = ",\n".join("  " + json.dumps(result) for result in results)
    head = json.dumps(head, indent=1)[:-2]
    path.write_text(f'{head},\n "results": [\n{rows}\n]}}\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default=",".join(ARCHITECTURES))
    parser.add_argument("--only", default=",".join(SNIPPETS))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--commit", default="unknown")
    parser.add_argument("--output", type=Path, default=BENCH / "results" / "compile_time.json")
    arguments = parser.parse_args()
    nvcc = os.environ.get("NVCC", "nvcc")
    results = [
        measure(nvcc, snippet, arch, arguments.repeats)
        for snippet in arguments.only.split(",")
        for arch in arguments.arch.split(",")
    ]
    write(arguments.output, context(nvcc, arguments), results)


if __name__ == "__main__":
    main()
