"""Trains the models of the accuracy study side by side on one GPU: three seeds of the small one and one larger.

    python3 examples/reasoner/train/models.py --out DIR --commit $(git rev-parse --short HEAD)

Writes DIR/NAME.tar.gz (a checkpoint, replaced every minute while training goes on) and DIR/NAME.log of each; five and a half minutes.
"""
import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
MODELS = {"small-1": ["--size", "1m", "--seed", "1"], "small-2": ["--size", "1m", "--seed", "2"],
          "small-3": ["--size", "1m", "--seed", "3"],
          "large-1": ["--size", "6m", "--seed", "1", "--problems", "256", "--rate", "2e-4", "--eval-samples", "4"]}


def launch(name, args, start, work, **environment):
    folder = work / name
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(HERE / "reinforce.py"), *MODELS[name], "--out", str(folder / name),
               "--archive", str(args.out / f"{name}.tar.gz"), "--start", str(start), "--imitate", str(args.imitate),
               "--until", str(args.until), "--commit", args.commit]
    threads = str(max(1, (os.cpu_count() or 4) // len(MODELS)))
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"), "TRITON_CACHE_DIR": str(folder / "triton"),
              "TORCHINDUCTOR_COMPILE_THREADS": threads, "OMP_NUM_THREADS": threads, "PYTHONUNBUFFERED": "1"}
    log = open(args.out / f"{name}.log", "a")
    return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **caches, **environment})


def watch(args, start, work):
    running = {name: launch(name, args, start, work) for name in MODELS}
    retried, shown = set(), start
    while running and time.time() - start < args.deadline:
        time.sleep(1)
        for name, process in list(running.items()):
            if process.poll() is None:
                continue
            print(f"[{time.time() - start:.0f}] {name} ended with {process.returncode}", flush=True)
            del running[name]
            if process.returncode != 0 and name not in retried and time.time() - start < args.until / 2:
                retried.add(name)
                running[name] = launch(name, args, start, work, TORCHDYNAMO_DISABLE="1")
        if time.time() - shown > 30:
            shown = time.time()
            for name in MODELS:
                print(name, (args.out / f"{name}.log").read_text().strip().rsplit("\n", 1)[-1], flush=True)
    for name, process in running.items():
        print(f"{name} is stopped at the deadline", flush=True)
        process.kill()
        process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--commit", required=True, help="of the training code, for the record")
    parser.add_argument("--imitate", type=float, default=210)
    parser.add_argument("--until", type=float, default=316)
    parser.add_argument("--deadline", type=float, default=450)
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    start = time.time()
    with tempfile.TemporaryDirectory() as work:
        watch(args, start, pathlib.Path(work))


if __name__ == "__main__":
    main()
