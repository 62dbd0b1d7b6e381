#!/usr/bin/env python3
"""The README's section on the accuracy study, but for its first lines: table_reasoner.py [reasoner.json]"""

import json
import re
import sys
import textwrap

from reasoner_report import ALL_SEEDS, COOLER, OUTPUT
from reasoner_study import (BASELINE, CHANGES, CHOSEN, FORMS, HALF, LARGE, LONGER, PAIR, PUBLISHED, SHORT, SMALL, TEMPERATURES,
                            THRESHOLD_OF, WHOLE)

POLICIES = ["greedy", *TEMPERATURES, *dict.fromkeys(THRESHOLD_OF[p] for p in (PUBLISHED, CHOSEN, HALF)), *THRESHOLD_OF]
ADAPTIVE = (PUBLISHED, SHORT, CHOSEN, HALF)
PUBLISHED_RANGE = "0.49..0.65"  # nats, tau_0 of the published models


def plain(value):
    return "" if value is None else f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def signed(value):
    return "" if value is None else f"{value['mean']:+.1f} [{value['low']:+.1f}, {value['high']:+.1f}]"


def resolved(value):
    """What an interval says: a gain, a loss, or neither."""
    return "gain" if value["low"] > 0 else "loss" if value["high"] < 0 else "not resolved"


class Report:
    """The rows of reasoner.json by their names."""

    def __init__(self, document):
        self.document = document
        self.rows = {(r["models"], r["form"], r["policy"]): r for r in document["rows"]}
        self.choices = document["choice"]

    def row(self, form, policy, models=ALL_SEEDS):
        return self.rows[models, form, policy]

    def field(self, form, policy, name, models=ALL_SEEDS):
        return self.row(form, policy, models).get(name)

    def steps(self, form, begin=0, end=None):
        """[steps, wrong, in solved traces] of the bins begin..end, over the small models."""
        bins = [e["steps"][begin:end] for e in self.document["entropies"] if e["form"] == form and e["model"] in SMALL]
        return [sum(b[i] for model in bins for b in model) for i in range(3)]


def percent(part, whole):
    return "none" if whole == 0 else f"{100 * part / whole:.2f}"


def header(*columns):
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def line(*cells):
    print("| " + " | ".join(cells) + " |")


def main_table(report, models, policies):
    """BF16 and W4A4 side by side: what became of the traces, and what W4A4 gains."""
    header("policy", *(f"{form} {what}, %" for form in PAIR for what in ("solved", "wrong", "cut off")), "W4A4 - BF16",
           "W4A4's gain over T = 1", "BF16's", "difference")
    for policy in policies:
        bf16, w4a4 = (report.row(form, policy, models) for form in PAIR)
        ends = [c for r in (bf16, w4a4) for c in (plain(r["solved"]), f"{r['wrong']:.1f}", f"{r['cut_off']:.1f}")]
        line(policy, *ends, signed(w4a4["minus_bf16"]), signed(w4a4.get("gain_over_t1")), signed(bf16.get("gain_over_t1")),
             signed(w4a4.get("difference_over_t1")))


def step_table(report):
    """ReSET against the fixed threshold with its tau_0 and T_low: what the steps are worth."""
    header("policy", "tokens in a step of at least the window, %", "in uncertain steps, %", *(f"{form}, over the threshold" for form in PAIR),
           "difference", "W4A4 at the threshold, over T = 1")
    choice = report.choices[SMALL[0]]
    windows = {PUBLISHED: 32, SHORT: choice["short_window"], CHOSEN: choice["own_window"], HALF: 32}
    for policy, window in windows.items():
        w4a4 = report.row("W4A4", policy)
        line(policy, f"{100 * w4a4['share_aged'][str(window)]:.1f}", f"{100 * w4a4['share_uncertain']:.1f}",
             *(signed(report.field(form, policy, "gain_over_threshold")) for form in PAIR), signed(w4a4["difference_over_threshold"]),
             signed(report.field("W4A4", THRESHOLD_OF[policy], "gain_over_t1")))


def seed_table(report):
    """The training of each model, and what it brought about."""
    header("model", "parameters", "limit", "T = 1 / 0.6 before reinforcement, %", "after, %", "above 0.1 / 0.5 nats at T = 1, %",
           "80th percentile, nats", "BF16 at T = 1", "over T = 0.6", "W4A4 - BF16", f"W4A4's gain, {PUBLISHED}", "difference")
    for models in SMALL + LARGE:
        training = report.document["training"][models]
        bf16, w4a4, published = (report.row(*key, models) for key in (("BF16", BASELINE), ("W4A4", BASELINE), ("W4A4", PUBLISHED)))
        pair = lambda when: " / ".join(f"{100 * training['solved'][when][t]:.1f}" for t in ("1.0", "0.6"))
        line(models, f"{training['parameters']:,}", str(training["limit"]), pair("imitated"), pair("reinforced"),
             f"{100 * bf16['share_above_tenth_nat']:.1f} / {100 * bf16['share_above_half_nat']:.1f}", f"{bf16['entropy_p80'][0]:.2f}",
             plain(bf16["solved"]), signed(bf16["gain_over_t06"]), signed(w4a4["minus_bf16"]), signed(published["gain_over_t1"]),
             signed(published["difference_over_t1"]))


def form_table(report, models):
    """Each form at T = 1, and what ReSET gains."""
    titles = {PUBLISHED: "as published", SHORT: "short window", CHOSEN: "chosen"}
    header("form", "solved at T = 1", "minus BF16", *(c for t in titles.values() for c in (f"ReSET {t}: gain", "less BF16's")))
    for form in FORMS:
        row = report.row(form, BASELINE, models)
        cells = [signed(report.field(form, p, name, models)) for p in titles for name in ("gain_over_t1", "difference_over_t1")]
        line(form, plain(row["solved"]), signed(row.get("minus_bf16")), *cells)


def change_table(report):
    """Changes to ReSET with the short window."""
    header("change", "tokens a step", "in uncertain steps, %", *(f"{form}, over no change" for form in PAIR), "difference")
    for change in CHANGES:
        policy = f"{SHORT}, {change}"
        if (ALL_SEEDS, "W4A4", policy) in report.rows:
            row = report.row("W4A4", policy)
            line(change, f"{row['mean_step']:.0f}", f"{100 * row['share_uncertain']:.1f}",
                 *(signed(report.field(form, policy, "gain_over_unchanged")) for form in PAIR), signed(row["difference_over_unchanged"]))


def span(values):
    return f"{min(values):.3f}..{max(values):.3f}"


def finding(report, policy):
    """One policy's gains and what the intervals say of them."""
    gains = [report.field(form, policy, "gain_over_t1") for form in PAIR]
    difference = report.field("W4A4", policy, "difference_over_t1")
    words = {"gain": "more than BF16", "loss": "less than BF16", "not resolved": "a difference that is not resolved across seeds"}
    return f"{policy}: W4A4 {signed(gains[1])} ({resolved(gains[1])}), BF16 {signed(gains[0])}, {words[resolved(difference)]} ({signed(difference)})"


def models_paragraph(report):
    row = lambda form, policy: report.row(form, policy)
    p80 = lambda form: span(row(form, BASELINE)["entropy_p80"])
    share = lambda form, name: f"{100 * row(form, BASELINE)[name]:.1f}"
    cooler = report.field("BF16", COOLER, "gain_over_t1")
    return f"""The models: BF16 solves {plain(row("BF16", BASELINE)["solved"])} % at T = 1; T = 0.6 changes that by {signed(cooler)}
({resolved(cooler)}). {share("BF16", "share_above_tenth_nat")} % of the tokens have more than 0.1 nats and
{share("BF16", "share_above_half_nat")} % more than 0.5; the 80th percentile, from which tau_0 is set, is {p80("BF16")} nats at T = 1
({p80("W4A4")} in W4A4; tau_0 as published is {span([report.choices[m]["published_tau0"] for m in SMALL])}), where the published models have
{PUBLISHED_RANGE}. Of the traces that solve nothing at T = 1, {row("BF16", BASELINE)["cut_off"]:.1f} of
{100 - row("BF16", BASELINE)["solved"]["mean"]:.1f} points are cut off by the limit, so that accuracy here is the share of searches that end in
time; with a limit of {report.document["longer_limit"]} tokens BF16 solves {plain(row("BF16", BASELINE + LONGER)["solved"])} and W4A4
{plain(row("W4A4", BASELINE + LONGER)["solved"])} %, W4A4 {signed(row("W4A4", BASELINE + LONGER)["minus_bf16"])}."""


def claims_paragraph(report):
    loss = report.field("W4A4", BASELINE, "minus_bf16")
    coarse = lambda form: percent(*report.steps(form)[1::-1])
    wrong = lambda form: " / ".join(percent(*report.steps(form, *bins)[1::-1]) for bins in ((0, 1), (2, 3), (5, 8), (8, None)))
    solved = lambda *bins: percent(*report.steps("BF16", *bins)[2::-2])
    worth = {p: report.field("W4A4", p, "gain_over_threshold") for p in ADAPTIVE}
    return f"""NVFP4 (W4A4, round-to-nearest) changes accuracy at T = 1 by {signed(loss)} points ({resolved(loss)}). Gains over T = 1.
{". ".join(finding(report, p) for p in (*ADAPTIVE, *dict.fromkeys(THRESHOLD_OF.values())))}. Step awareness, W4A4 over the fixed threshold
of the same tau_0 and T_low: {"; ".join(f"{p} {signed(v)} ({resolved(v)})" for p, v in worth.items())}. Entropies and errors at T = 1: false
equations are {coarse("BF16")} % of the steps in BF16 and {coarse("W4A4")} % in W4A4; {solved(0, 1)} % of the steps below 0.05 nats belong to
solved traces, {solved(8, None)} % of those above 0.4; of the equations in steps below 0.05 / at 0.1..0.15 / at 0.25..0.4 / above 0.4 nats
{wrong("BF16")} % are false in BF16, {wrong("W4A4")} % in W4A4."""


def choice_paragraph(report, models):
    """What validation chose, and how much T_low can matter."""
    choice = report.choices[models]
    scores = {}
    for c in choice["candidates"]:
        scores.setdefault((c["tau0"] or 0, c["window"]), set()).add(c["solved"])
    same = sum(len(s) == 1 for s in scores.values())
    return f"""Chosen on 1,024 validation problems, W4A4: T_low = {choice["published_t_low"]} and the short window {choice["short_window"]} for
tau_0 as published; tau_0 = {choice["own_tau0"]}, T_low = {choice["own_t_low"]}, window {choice["own_window"]} of
{len(choice["candidates"])} combinations. T_low made no difference at all in {same} of {len(scores)} pairs of tau_0 and window."""


def fill(text):
    """Prints a paragraph in lines of up to 140 characters; a number stays with its interval and with a % sign."""
    text = re.sub(r" (?=\[|%)|(?<=,) (?=[^ ]+\])", "\0", " ".join(text.split()))
    print("\n" + textwrap.fill(text, 140, break_on_hyphens=False, break_long_words=False).replace("\0", " "))


def section(report):
    """Prints the tables and the paragraphs in the README's order."""
    main_table(report, ALL_SEEDS, POLICIES)
    fill(choice_paragraph(report, SMALL[0]))
    print(f"\nWith a limit of {report.document['longer_limit']} tokens; gains are over T = 1 with that limit:\n")
    main_table(report, ALL_SEEDS, [name + LONGER for name in (BASELINE, COOLER, PUBLISHED, SHORT, CHOSEN)])
    print("\nWhat step awareness adds to a threshold:\n")
    step_table(report)
    print("\nThe models:\n")
    seed_table(report)
    print("\nEvery form, all seeds (round-to-nearest where no rule is named):\n")
    form_table(report, ALL_SEEDS)
    print(f"\nChanges to ReSET with tau_0 as published and a window of {report.choices[SMALL[0]]['short_window']}:\n")
    change_table(report)
    print("\nWithout top-p; gains are over T = 1 without it:\n")
    main_table(report, ALL_SEEDS, [name + WHOLE for name in (BASELINE, PUBLISHED, SHORT)])
    print("\nThe larger model:\n")
    main_table(report, LARGE[0], POLICIES)
    fill(choice_paragraph(report, LARGE[0]))
    print()
    form_table(report, LARGE[0])
    print("\n![problems solved under every policy](bench/results/reasoner_accuracy.svg)")
    print("\n![entropies of tokens and steps](bench/results/reasoner_entropy.svg)")
    fill(models_paragraph(report))
    fill(claims_paragraph(report))


def main():
    section(Report(json.loads(open(sys.argv[1] if len(sys.argv) > 1 else OUTPUT).read())))


if __name__ == "__main__":
    main()
