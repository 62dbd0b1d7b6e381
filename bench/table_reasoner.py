#!/usr/bin/env python3
"""The README's section on the accuracy study, but for its first lines: table_reasoner.py [reasoner.json]"""

import json
import re
import sys
import textwrap

from reasoner_report import BASELINE, FORMS, OUTPUT

PUBLISHED, CHOSEN, HALF = (f"ReSET, tau_0 {which}" for which in ("as published", "chosen", "= 0.5"))
THRESHOLD = "fixed threshold, tau_0 = 0.5"
WHOLE = [f"{policy}, no top-p" for policy in (BASELINE, PUBLISHED, HALF)]
POLICIES = ["greedy", *(f"T = {t}" for t in (0.2, 0.4, 0.6, 0.8, 1.0)), THRESHOLD, PUBLISHED, CHOSEN, HALF]
SMALL, FIRST, LARGE = "small, all seeds", "small-1", "large-1"


def plain(value):
    return "" if value is None else f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def signed(value):
    return "" if value is None else f"{value['mean']:+.1f} [{value['low']:+.1f}, {value['high']:+.1f}]"


def header(*columns):
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def pick(rows, models, form, policy):
    return next((r for r in rows if (r["models"], r["form"], r["policy"]) == (models, form, policy)), None)


def main_table(rows, models, policies):
    """BF16 and W4A4 side by side."""
    header("policy", "BF16", "W4A4", "W4A4 - BF16", "W4A4's gain over T = 1", "BF16's", "difference")
    for policy in policies:
        bf16, w4a4 = pick(rows, models, "BF16", policy), pick(rows, models, "W4A4", policy)
        if not bf16 or not w4a4:
            continue
        print(f"| {policy} | {plain(bf16['solved'])} | {plain(w4a4['solved'])} | {signed(w4a4.get('minus_bf16'))} | "
              f"{signed(w4a4.get('gain_over_t1'))} | {signed(bf16.get('gain_over_t1'))} | "
              f"{signed(w4a4.get('difference_of_differences'))} |")


def seed_table(rows):
    """What differs between the training seeds."""
    header("model", "choices at T = 1, %", "BF16 at T = 1", "over T = 0.6", "W4A4 - BF16", "W4A4's gain from ReSET, tau_0 as published",
           "difference")
    for models in sorted({r["models"] for r in rows if r["models"].startswith("small-")}):
        bf16, w4a4 = pick(rows, models, "BF16", BASELINE), pick(rows, models, "W4A4", BASELINE)
        published = pick(rows, models, "W4A4", PUBLISHED)
        print(f"| {models} | {100 * bf16['share_above_tenth_nat']:.1f} | {plain(bf16['solved'])} | {signed(bf16['gain_over_t06'])} | "
              f"{signed(w4a4['minus_bf16'])} | {signed(published['gain_over_t1'])} | "
              f"{signed(published['difference_of_differences'])} |")


def form_table(rows, models):
    """Each form at T = 1, and what two policies gain."""
    header("form", "solved at T = 1", "minus BF16", f"{CHOSEN}: gain", "less BF16's", f"{HALF}: gain", "less BF16's")
    for form in FORMS.values():
        plain_row = pick(rows, models, form, BASELINE)
        cells = [(r.get("gain_over_t1"), r.get("difference_of_differences")) for r in (pick(rows, models, form, p) for p in (CHOSEN, HALF))]
        print(f"| {form} | {plain(plain_row['solved'])} | {signed(plain_row.get('minus_bf16'))} | "
              + " | ".join(signed(value) for pair in cells for value in pair) + " |")


def ablations(rows, models):
    changes = [r for r in rows if r["models"] == models and r["policy"].startswith(f"{CHOSEN}, ")]
    base = pick(rows, models, "W4A4", CHOSEN)["gain_over_t1"]
    return (f"Changes to ReSET with the chosen tau_0 on the first seed, W4A4, over T = 1: none {signed(base)}; " + "; ".join(
        f"{r['policy'].removeprefix(f'{CHOSEN}, ')} {signed(r['gain_over_t1'])}" for r in changes) + ".")


def steps_of(report, form, begin, end):
    """[steps, wrong, in solved traces] of the bins begin..end, over the small models."""
    bins = [e["steps"][begin:end] for e in report["entropies"] if e["form"] == form and e["model"].startswith("small")]
    return [sum(b[i] for model in bins for b in model) for i in range(3)]


def solved_by_step(report, begin, end):
    steps, _, solved = steps_of(report, "BF16", begin, end)
    return 100 * solved / steps


def wrong_by_step(report, form, begin=0, end=None):
    steps, wrong, _ = steps_of(report, form, begin, end)
    return 100 * wrong / steps


def span(values):
    return f"{min(values):.3f}..{max(values):.3f}"


def no_matter(candidates):
    """The highest tau_0 up to which T_low made no difference on validation."""
    scores = {}
    for c in candidates:
        scores.setdefault(c["tau0"], set()).add(c["solved"])
    moved = [tau0 for tau0, solved in scores.items() if tau0 is not None and len(solved) > 1]
    return max(tau0 for tau0, solved in scores.items() if tau0 is not None and tau0 < min(moved, default=float("inf")))


def check_claims(row):
    """The paragraph's words hold for these numbers."""
    gain = lambda form, policy: row(form, policy)["gain_over_t1"]
    difference = lambda policy: row("W4A4", policy)["difference_of_differences"]
    assert gain("BF16", "T = 0.6")["high"] < 0 and row("W4A4", BASELINE)["minus_bf16"]["high"] < 0
    assert row("BF16", BASELINE)["share_above_tenth_nat"] >= 0.2
    assert all(gain("W4A4", f"T = {t}")["high"] < 0 for t in (0.2, 0.4, 0.6, 0.8))
    assert all(row("W4A4", policy)["minus_bf16"]["low"] > 0 for policy in ("greedy", "T = 0.2"))
    assert all(gain("W4A4", p)["low"] > 0 for p in (PUBLISHED, CHOSEN))
    assert all(gain("W4A4", p)["low"] <= 0 <= gain("W4A4", p)["high"] for p in (HALF, THRESHOLD))
    assert all(difference(p)["low"] <= 0 <= difference(p)["high"] for p in (PUBLISHED, CHOSEN, HALF, THRESHOLD))


def paragraph(report):
    """What was and was not reproduced, with the numbers of the report."""
    rows = report["rows"]
    row = lambda form, policy: pick(rows, SMALL, form, policy)
    gain = lambda form, policy: signed(row(form, policy)["gain_over_t1"])
    difference = lambda policy: signed(row("W4A4", policy)["difference_of_differences"])
    check_claims(row)
    choices = report["choice"].values()
    small = [r for r in rows if r["models"] in report["choice"] and r["policy"] == BASELINE]
    p80 = lambda form: span([r["entropy_p80"][0] for r in small if r["form"] == form])
    share = lambda form: 100 * row(form, BASELINE)["share_above_tenth_nat"]
    seeds = [pick(rows, m, "W4A4", PUBLISHED)["gain_over_t1"]["mean"] for m in report["choice"]]
    wrong = lambda form: " / ".join(f"{wrong_by_step(report, form, *bins):.1f}" for bins in ((0, 1), (2, 3), (5, 8), (8, None)))
    return f"""
The models: BF16 solves {plain(row("BF16", BASELINE)["solved"])} % at T = 1 and T = 0.6 changes that by {gain("BF16", "T = 0.6")}, so
no lower temperature is needed; {share("BF16"):.1f} % of the tokens are choices (above 0.1 nats), the 80th percentile of all tokens'
entropies is {p80("BF16")} nats. NVFP4 (W4A4, round-to-nearest) costs {signed(row("W4A4", BASELINE)["minus_bf16"])} points at T = 1, and T = 1 is the best
temperature of W4A4, too; greedy and at T = 0.2, where {row("BF16", "greedy")["finished"]:.0f} % and
{row("BF16", "T = 0.2")["finished"]:.0f} % of BF16's traces end within the limit, W4A4 solves more than BF16. Reproduced, but small: ReSET
gains on W4A4 over T = 1, with tau_0 as published ({span([c["published_tau0"] for c in choices])} nats) {gain("W4A4", PUBLISHED)} (by seed
{", ".join(f"{v:+.1f}" for v in seeds)}), with the tau_0 that validation chose
({next(iter(choices))["own_tau0"]}) {gain("W4A4", CHOSEN)}; with tau_0 = 0.5 it gains nothing that shows ({gain("W4A4", HALF)}), nor does
a fixed threshold ({gain("W4A4", THRESHOLD)}). Not reproduced: that this makes up for quantisation. BF16 gains
{gain("BF16", PUBLISHED)} from the same policy; the difference is {difference(PUBLISHED)} with tau_0 as published,
{difference(CHOSEN)} with the chosen one, {difference(HALF)} with 0.5 and {difference(THRESHOLD)} for the threshold. T_low does not
matter here: on validation 0.1 and 0.4 solve as many up to tau_0 = {no_matter(next(iter(choices))["candidates"])}. Reproduced: NVFP4's traces have higher entropies (80th percentile {p80("W4A4")} nats, choices {share("W4A4"):.1f} %) and
more false equations ({wrong_by_step(report, "BF16"):.2f} % of the steps in BF16, {wrong_by_step(report, "W4A4"):.2f} % in W4A4), and traces
whose steps have a high entropy fail more often ({solved_by_step(report, 0, 1):.0f} % of the steps below 0.05 nats belong to solved
ones, {solved_by_step(report, 8, None):.0f} % of those above 0.4). Only in part: that high entropy marks wrong steps; of the equations in
steps below 0.05 / at 0.1..0.15 / at 0.25..0.4 / above 0.4 nats {wrong("BF16")} % are false in BF16, {wrong("W4A4")} % in W4A4. These are
small models of one kind of problem, whose traces are some {row("BF16", BASELINE)["mean_tokens"]:.0f} tokens long, not reasoning
models of billions of parameters."""


def fill(text):
    """Prints a paragraph in lines of up to 140 characters; a number stays with its interval and with a % sign."""
    text = re.sub(r" (?=\[|%)|(?<=,) (?=[^ ]+\])", "\0", " ".join(text.split()))
    print("\n" + textwrap.fill(text, 140, break_on_hyphens=False, break_long_words=False).replace("\0", " "))


def section(report):
    """Prints the tables and the paragraph in the README's order."""
    rows = report["rows"]
    main_table(rows, SMALL, POLICIES)
    print("\nThe training seeds:\n")
    seed_table(rows)
    print("\nEvery form, all seeds (round-to-nearest where no rule is named):\n")
    form_table(rows, SMALL)
    fill(ablations(rows, FIRST))
    print("\nWithout top-p, the first seed; gains are over T = 1 with top-p 0.95:\n")
    main_table(rows, FIRST, WHOLE)
    print(f"\nThe larger model, 6.3 M parameters, on {report['problems'][LARGE]} of the problems:\n")
    main_table(rows, LARGE, POLICIES)
    print("\n![problems solved under every policy](bench/results/reasoner_accuracy.svg)")
    fill(paragraph(report))


def main():
    section(json.loads(open(sys.argv[1] if len(sys.argv) > 1 else OUTPUT).read()))


if __name__ == "__main__":
    main()
