"""What ptxas says of the kernels of a file."""

import re
import subprocess
import sys


def compile_file(nvcc, includes, source, options, folder):
    """Compiles into the folder, with ptxas's report, which is returned."""
    command = [nvcc, "-std=c++17", *(f"-I{include}" for include in includes), "-cubin", "-Xptxas", "-v", *options, str(source),
               "-o", f"{folder}/out"]
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stdout}")
    return result.stdout


def target(arch):
    return f"-gencode=arch=compute_{arch},code=sm_{arch}"


def resources(log):
    """Of each kernel: its registers, and the bytes that it and the functions it calls spill."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        name = part[: part.index("'")]
        spills = sum(int(count) for count in re.findall(r"(\d+) bytes spill (?:stores|loads)", part))
        found[name] = (int(re.search(r"Used (\d+) registers", part)[1]), spills)
    return found


def check_kernels(arch, log, names, expected, most, spilled=0):
    """How many kernels of the report are not as they should be: `expected` of them, told by the pattern `names`, each with
    at most most(name) registers and so many bytes spilled."""
    kernels = resources(log)
    bad = 0
    if len(kernels) != expected:
        bad += 1
        print(f"FAILED: {len(kernels)} kernels, {expected} expected")
    for kernel, (registers, spills) in kernels.items():
        name = re.search(names, kernel)[1]
        bad += judge(arch, name, registers, most(name), spills, spilled)
    return bad


def judge(arch, name, registers, most, spills, spilled=0):
    """Prints a kernel's resources; 1 if it spills more bytes or takes more registers than it may, 0 otherwise."""
    print(f"sm_{arch} {name}: {registers} registers of {most}, {spills} bytes of spills")
    if spills > spilled or registers > most:
        print("FAILED: it spills" if spills > spilled else "FAILED: beyond its launch bounds")
        return 1
    return 0
