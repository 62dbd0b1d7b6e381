"""Countdown: the vocabulary, problems, prompts and the check of an answer; traces come from countdown.cpp.

Splits are by a hash of the problem with its numbers sorted (FNV-1a of "a,b,c,d:target", modulo 16):
0 is held out for evaluation, 1 for calibration, the rest is for training.
"""
import ctypes
import os
import pathlib
import re
import subprocess
import tempfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent

PAD, BOS, EOS, STEP = 0, 1, 2, 3
VOCABULARY = ["_", "^", "$", "\n\n", "+", "-", "*", "/", "=", ",", ":", " go ", " dead", " no", " yes", "back ", "ans ",
              *"0123456789", "<unk>", "<spare0>", "<spare1>", "<spare2>", "<spare3>"]
IDS = {text: i for i, text in enumerate(VOCABULARY)}
SPLIT_PATTERN = r"\n\n| go | dead| no| yes|back |ans |[0-9]|[-+*/=,:^$_]"
MAX_TOKENS = 768  # of a trace, prompt included

TRAINING, EVALUATION, CALIBRATION = -1, 0, 1


class Options(ctypes.Structure):
    """What problems are drawn and how they are searched; the fields are explained in problem.hpp."""
    _fields_ = [(name, ctypes.c_int32) for name in
                ("largest", "target_high", "three_percent", "max_tokens", "oracle3", "oracle4", "dead3", "leave",
                 "rollouts", "most_openings")]


def options(**changes):
    values = dict(largest=40, target_high=149, three_percent=40, max_tokens=MAX_TOKENS, oracle3=50, oracle4=40, dead3=60,
                  leave=40, rollouts=0, most_openings=0)
    values.update(changes)
    return Options(**values)


def rollouts():
    """The task whose choices are equally good: independent tries, and at most one first move that leads to the target."""
    return options(largest=60, target_high=400, three_percent=100, max_tokens=448, rollouts=1, most_openings=1)


_library = None


def library():
    """Compiles countdown.cpp (once a process) and loads it."""
    global _library
    if _library is None:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "libcountdown.so")
            subprocess.run([os.environ.get("CXX", "g++"), "-O2", "-std=c++17", "-shared", "-fPIC", "-pthread",
                            str(HERE / "countdown.cpp"), "-o", path], check=True)
            _library = ctypes.CDLL(path)
        _library.countdown_traces.restype = ctypes.c_int64
    return _library


def _pointer(array):
    return ctypes.c_void_p(array.ctypes.data)


def traces(opts, seed, n, threads=os.cpu_count()):
    """n training traces: tokens [n, max_tokens] uint8, lengths [n], prompt lengths [n], searches written to get them."""
    tokens = np.empty((n, opts.max_tokens), np.uint8)
    lengths, prompts = np.empty(n, np.int32), np.empty(n, np.int32)
    searches = library().countdown_traces(ctypes.byref(opts), ctypes.c_uint64(seed), ctypes.c_int64(n), threads,
                                          _pointer(tokens), _pointer(lengths), _pointer(prompts))
    return tokens, lengths, prompts, searches


def problem_rows(opts, seed, n, split):
    """n distinct problems of a split, int32 [n, 5]: up to four numbers, zeros, the target."""
    rows = np.empty((n, 5), np.int32)
    library().countdown_problems(ctypes.byref(opts), ctypes.c_uint64(seed), ctypes.c_int64(n), split, _pointer(rows))
    return rows


def as_problem(row):
    return [int(v) for v in row[:4] if v], int(row[4])


def problems(opts, seed, n, split):
    """n distinct problems of a split, each (numbers, target)."""
    return [as_problem(row) for row in problem_rows(opts, seed, n, split)]


def solved_rows(rows, tokens, threads=4):
    """Which rows of tokens (uint8 [n, width]) solve their problem (int32 [n, 5], as `problem_rows` gives them)."""
    out = np.empty(len(tokens), np.uint8)
    library().countdown_solved(_pointer(rows), _pointer(tokens), ctypes.c_int64(len(tokens)), tokens.shape[1], threads,
                               _pointer(out))
    return out.astype(bool)


def solvable(numbers, target):
    array = np.array(numbers, np.int32)
    return bool(library().countdown_solvable(_pointer(array), len(numbers), target))


def problem_text(problem):
    numbers, target = problem
    return ",".join(map(str, numbers)) + ":" + str(target)


def encode(text):
    return [IDS[piece] for piece in re.findall(SPLIT_PATTERN, text)]


def decode(tokens):
    return "".join(VOCABULARY[t] for t in tokens)


def prompt(problem):
    return encode("^" + problem_text(problem) + "\n\n")


_ANSWER = re.compile(r"ans ((?:\d+[-+*/]\d+=\d+,?)+)\$")
_EQUATION = re.compile(r"(\d+)([-+*/])(\d+)=(\d+)")


def solved(problem, text):
    """Does a whole trace end in an answer that uses every number once, each equation true, and reaches the target?"""
    found = _ANSWER.search(text, text.rfind("\n\n"))
    if not found:
        return False
    numbers, target = problem
    left = list(numbers)
    for x, op, y, result in _EQUATION.findall(found.group(1)):
        x, y, result = int(x), int(y), int(result)
        for used in (x, y):
            if used not in left:
                return False
            left.remove(used)
        true = {"+": x + y, "-": x - y, "*": x * y, "/": x // y if y and x % y == 0 else None}[op]
        if true != result:
            return False
        left.append(result)
    return left == [target]
