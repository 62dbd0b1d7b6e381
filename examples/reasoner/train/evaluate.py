"""How many held-out problems the model solves: weights in BF16 and NVFP4, under several temperatures and ReSET.

    python3 examples/reasoner/train/evaluate.py --model examples/reasoner/model/bf16 --out bench/results/h200/reasoner.json

Round-to-nearest NVFP4 of every linear but the embedding and the head: W4A16 (weights only, what the CPU engine runs) and W4A4.
Every policy truncates at top-p 0.95; a trace may have 768 tokens, the prompt included. tau_0 is the 80th percentile of the token
entropies that NVFP4 shows on calibration problems, at T = 0.6. Intervals are 95 %, from a paired bootstrap over problems.
"""
import argparse
import json
import subprocess
import sys
import time

import numpy as np
import torch

import checkpoint
import countdown
import policy as policies
from decode import Decoder

FORMS = ("BF16", "W4A16", "W4A4")


def texts(tokens):
    for row in tokens:
        end = np.flatnonzero(row == countdown.EOS)
        yield countdown.decode(row[:end[0] + 1] if len(end) else row)


def measure(decoder, problems, samples, policy, seed):
    """Solved [problems, samples] and what the traces looked like."""
    prompts = [countdown.prompt(p) for p in problems for _ in range(samples)]
    start = time.time()
    out = decoder.run(prompts, policy, seed)
    seconds = time.time() - start
    written = list(texts(out["tokens"]))
    ok = np.array([countdown.solved(problems[i // samples], text) for i, text in enumerate(written)])
    h = out["entropy"][out["entropy"] >= 0]
    ended = (out["tokens"] == countdown.EOS).any(1)
    four = np.array([len(p[0]) == 4 for p in problems]).repeat(samples)
    return ok.reshape(-1, samples), {
        "solved": 100 * ok.mean(), "solved_three": 100 * ok[~four].mean(), "solved_four": 100 * ok[four].mean(),
        "wrong_answer": 100 * (ended & ~ok).mean(), "unfinished": 100 * (~ended).mean(), "mean_tokens": len(h) / len(ok),
        "share_low": float(out["low"].sum() / len(h)), "share_uncertain": float(out["uncertain"].sum() / len(h)),
        "entropy_percentiles": {str(q): float(np.percentile(h, q)) for q in (50, 60, 70, 75, 80, 85, 90, 95)},
        "share_above_half_nat": float((h > 0.5).mean()), "share_above_tenth_nat": float((h > 0.1).mean()),
        "seconds": seconds}, written


def bootstrap(values, resamples=4000, seed=0):
    """95 % interval of the mean of one value a problem."""
    rng = np.random.default_rng(seed)
    means = np.concatenate([rng.multinomial(len(values), np.full(len(values), 1 / len(values)), 200) @ values
                            for _ in range(resamples // 200)]) / len(values)
    return [float(np.percentile(means, q)) for q in (2.5, 97.5)]


def git_commit():
    return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip() or "unknown"


def show(value, interval):
    return f"{value:+.1f} [{interval[0]:+.1f}, {interval[1]:+.1f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out")
    parser.add_argument("--problems", type=int, default=4096)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--calibration", type=int, default=256, help="problems that tau_0 is taken from")
    parser.add_argument("--batch", type=int, default=8192)
    parser.add_argument("--temperatures", type=float, nargs="*", default=[0.0, 0.2, 0.6, 1.0])
    parser.add_argument("--t-low", type=float, nargs="*", default=[0.1, 0.4])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--commit", default=git_commit())
    args = parser.parse_args()

    opts = countdown.options()
    problems = countdown.problems(opts, args.seed, args.problems, countdown.EVALUATION)
    calibration = countdown.problems(opts, args.seed, args.calibration, countdown.CALIBRATION)
    decoder = Decoder(checkpoint.load(args.model), args.batch, device=args.device)

    tau0 = {}
    for form in FORMS[1:]:
        decoder.set_weights(form)
        _, calibrated, _ = measure(decoder, calibration, 4, policies.fixed(0.6), args.seed)
        tau0[form] = round(calibrated["entropy_percentiles"]["80"], 4)
    tau0["BF16"] = tau0["W4A16"]
    print("tau_0", tau0)

    rows, solved = [], {}
    for form in FORMS:
        decoder.set_weights(form)
        plan = [policies.fixed(t) for t in args.temperatures]
        plan += [policies.reset(tau0[form], t) for t in args.t_low] + [policies.threshold(tau0[form], args.t_low[0])]
        for p in plan:
            ok, row, written = measure(decoder, problems, args.samples, p, args.seed)
            solved[form, p.name] = 100.0 * ok.mean(1)
            row["solved_interval"] = bootstrap(solved[form, p.name])
            rows.append({"weights": form, "policy": p.name, "tau0": p.tau0, "t_low": p.t_low, "t_high": p.t_high,
                         "problems": len(problems), "samples": args.samples, **row})
            print(f"{form:6} {p.name:28} solved {row['solved']:.1f} {np.round(row['solved_interval'], 1)}  three {row['solved_three']:.1f}"
                  f"  four {row['solved_four']:.1f}  wrong {row['wrong_answer']:.1f}  unfinished {row['unfinished']:.1f}"
                  f"  tokens {row['mean_tokens']:.0f}  H80 {row['entropy_percentiles']['80']:.3f}  H>.5 {row['share_above_half_nat']:.3f}"
                  f"  low {row['share_low']:.2f}  uncertain {row['share_uncertain']:.2f}  {row['seconds']:.1f} s", flush=True)
    for row in rows:
        mine = solved[row["weights"], row["policy"]]
        against = {"minus_bf16": solved["BF16", row["policy"]]}
        for t in (0.6, 1.0):
            if t in args.temperatures:
                against[f"minus_t{t}"] = solved[row["weights"], policies.fixed(t).name]
        for name, other in against.items():
            difference = mine - other
            row[name] = {"difference": float(difference.mean()), "interval": bootstrap(difference)}
    names = [n for n in ("minus_bf16", "minus_t0.6", "minus_t1.0") if n in rows[0]]
    print("\n| weights | policy | solved | " + " | ".join(names) + " |\n" + "|---" * (3 + len(names)) + "|")
    for row in rows:
        cells = [show(row[n]["difference"], row[n]["interval"]) for n in names]
        low, high = row["solved_interval"]
        print(f"| {row['weights']} | {row['policy']} | {row['solved']:.1f} [{low:.1f}, {high:.1f}] | " + " | ".join(cells) + " |")

    if args.out:
        gpu = torch.cuda.get_device_name() if args.device == "cuda" else args.device
        checkpoint.write_json(args.out, {
            "what": "share of held-out Countdown problems solved, percent", "commit": args.commit, "gpu": gpu,
            "torch": torch.__version__, "date": time.strftime("%Y-%m-%d"), "command": "python3 " + " ".join(sys.argv),
            "top_p": 0.95, "window": decoder.window, "limit_tokens": countdown.MAX_TOKENS, "tau0": tau0, "rows": rows})


if __name__ == "__main__":
    main()
