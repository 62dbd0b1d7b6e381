#!/usr/bin/env python3
"""The README's section on the accuracy study, but for its first lines: table_reasoner.py [reasoner.json]"""

import json
import re
import sys
import textwrap

from reasoner_report import ALL_SEEDS, COOLER, OUTPUT
from reasoner_study import (BASELINE, CHANGES, CHOSEN, EVERYWHERE, FORMS, HALF, LARGE, LONGER, PAIR, PUBLISHED, SHORT, SMALL,
                            TEMPERATURES, THRESHOLD_OF, WHOLE)

POLICIES = ["greedy", *TEMPERATURES, *dict.fromkeys(THRESHOLD_OF[p] for p in (PUBLISHED, CHOSEN, HALF)), *THRESHOLD_OF]
ADAPTIVE = (PUBLISHED, SHORT, CHOSEN, HALF)
ADAPTIVE_EVERYWHERE = tuple(filter(EVERYWHERE.__contains__, ADAPTIVE))
UNRESOLVED = "not resolved"
PUBLISHED_RANGE = "0.49..0.65"  # nats, tau_0 of the published models


def plain(value):
    return "" if value is None else f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def signed(value):
    return "" if value is None else f"{value['mean']:+.1f} [{value['low']:+.1f}, {value['high']:+.1f}]"


def resolved(value):
    """What an interval says: a gain, a loss, or neither."""
    return "gain" if value["low"] > 0 else "loss" if value["high"] < 0 else UNRESOLVED


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


def percent(share, digits):
    return f"{100 * share:.{digits}f}"


def ratio(part, whole):
    return "none" if whole == 0 else f"{100 * part / whole:.1f}"


def header(*columns):
    print("| " + " | ".join(columns) + " |\n" + "|---" * len(columns) + "|")


def line(*cells):
    print("| " + " | ".join(cells) + " |")


def main_table(report):
    """BF16 and W4A4 side by side, and what W4A4 gains."""
    header("policy", *(f"{form} solved, %" for form in PAIR), "W4A4 - BF16", "W4A4's gain over T = 1", "BF16's", "difference")
    for policy in (*POLICIES, *(name + LONGER for name in (COOLER, BASELINE, SHORT))):
        bf16, w4a4 = (report.row(form, policy) for form in PAIR)
        line(policy, plain(bf16["solved"]), plain(w4a4["solved"]), signed(w4a4["minus_bf16"]), signed(w4a4.get("gain_over_t1")),
             signed(bf16.get("gain_over_t1")), signed(w4a4.get("difference_over_t1")))


def step_table(report):
    """ReSET against the fixed threshold with its tau_0 and T_low: what the steps are worth."""
    header("policy", "window", "tokens in a step at least that old, %", "in uncertain steps, %",
           *(f"{form}, over the threshold" for form in PAIR), "difference")
    choice = report.choices[SMALL[0]]
    for policy, window in {PUBLISHED: 32, SHORT: choice["short_window"], CHOSEN: choice["own_window"], HALF: 32}.items():
        w4a4 = report.row("W4A4", policy)
        line(policy, str(window), percent(w4a4["share_aged"][str(window)], 1), percent(w4a4["share_uncertain"], 1),
             *(signed(report.field(form, policy, "gain_over_threshold")) for form in PAIR), signed(w4a4["difference_over_threshold"]))


def seed_table(report):
    """The training of each model, and what it brought about."""
    header("model", "T = 1 / 0.6 before reinforcement, %", "after, %", "above 0.1 / 0.5 nats, %", "tau_0 as published", "BF16 at T = 1",
           "W4A4 - BF16", "W4A4's gain", "BF16's", "difference")
    for model in SMALL + LARGE:
        bf16, w4a4, bf16_short, short = (report.row(form, policy, model) for policy in (BASELINE, SHORT) for form in PAIR)
        solved = report.document["training"][model]["solved"]
        pair = lambda when: " / ".join(f"{100 * solved[when][t]:.1f}" for t in ("1.0", "0.6"))
        line(model, pair("imitated"), pair("reinforced"),
             f"{100 * bf16['share_above_tenth_nat']:.1f} / {100 * bf16['share_above_half_nat']:.1f}",
             f"{report.choices[model]['published_tau0']:.3f}", plain(bf16["solved"]), signed(w4a4["minus_bf16"]),
             signed(short["gain_over_t1"]), signed(bf16_short["gain_over_t1"]), signed(short["difference_over_t1"]))


def form_table(report, models):
    """Each form at T = 1, and what ReSET gains."""
    titles = {PUBLISHED: "as published", CHOSEN: "chosen"}
    header("form", "solved at T = 1", "minus BF16", *(c for t in titles.values() for c in (f"ReSET, tau_0 {t}: gain", "less BF16's")))
    for form in FORMS:
        row = report.row(form, BASELINE, models)
        cells = [signed(report.field(form, p, name, models)) for p in titles for name in ("gain_over_t1", "difference_over_t1")]
        line(form, plain(row["solved"]), signed(row.get("minus_bf16")), *cells)


def solved_table(report, models):
    """Each form under each policy that all have."""
    names = [p.replace("fixed ", "").replace("tau_0 ", "") for p in EVERYWHERE]
    header("form", *names)
    for form in FORMS:
        line(form, *(f"{report.field(form, p, 'solved', models)['mean']:.1f}" for p in EVERYWHERE))


def changes(report):
    return [c for c in CHANGES if (ALL_SEEDS, "W4A4", f"{SHORT}, {c}") in report.rows]


def change_table(report):
    """Changes to ReSET with the short window."""
    header("change", "tokens a step", "in uncertain steps, %", *(f"{form}, over no change" for form in PAIR), "difference")
    for change in changes(report):
        policy = f"{SHORT}, {change}"
        row = report.row("W4A4", policy)
        line(change, f"{row['mean_step']:.0f}", percent(row["share_uncertain"], 1),
             *(signed(report.field(form, policy, "gain_over_unchanged")) for form in PAIR), signed(row["difference_over_unchanged"]))


def span(values, digits=2):
    return f"{min(values):.{digits}f}..{max(values):.{digits}f}"


def told(value):
    """A difference and what its interval says."""
    return f"{signed(value)}{'' if resolved(value) != UNRESOLVED else ', ' + UNRESOLVED}"


def task_paragraph(report):
    """What a failure is, and what a choice is."""
    row = lambda form, policy=BASELINE: report.row(form, policy)
    ends = lambda form, policy: (f"{row(form, policy)['solved']['mean']:.1f} / {row(form, policy)['wrong']:.1f} / "
                                 f"{row(form, policy)['cut_off']:.1f}")
    share = lambda form: " and ".join(f"{100 * row(form)[f'share_above_{n}_nat']:.1f}" for n in ("tenth", "half"))
    longer = BASELINE + LONGER
    most_wrong = max(row(form, policy)["wrong"] for form in PAIR for policy in (*POLICIES, longer))
    limit, published = row("BF16")["limit"][0], span([report.choices[m]["published_tau0"] for m in SMALL])
    return f"""What is measured. Solved / wrong / cut off at T = 1 are {ends("BF16", BASELINE)} % in BF16 and {ends("W4A4", BASELINE)} % in
W4A4; no policy of this table has more than {most_wrong:.1f} % of wrong answers, so nearly every failure is a search that the limit of
{limit} tokens cuts off. With {report.document["longer_limit"]} tokens these are {ends("BF16", longer)} and {ends("W4A4", longer)} %,
and W4A4 minus BF16 is {told(row("W4A4", longer)["minus_bf16"])} points instead of {told(row("W4A4")["minus_bf16"])}. Each problem has
one first move that leads to the target (26 of 2,048 have a second one through a number above 999, which no trace writes), and the
traces imitated draw their tries with replacement. So choices are guesses among moves that are equally good a priori, and accuracy
is how soon one is right.
At T = 1 {share("BF16")} % of BF16's tokens have more than 0.1 and 0.5 nats, {share("W4A4")} % of W4A4's. tau_0 as published, the 80th
percentile of W4A4 at T = 0.6, is {published} nats (larger model: {report.choices[LARGE[0]]["published_tau0"]:.2f}); the published models
have {PUBLISHED_RANGE}."""


def verdict(values):
    """How many of the differences are what."""
    return ", ".join(f"{name} {sum(resolved(v) == what for v in values)}"
                     for what, name in (("gain", "gains"), ("loss", "losses"), (UNRESOLVED, UNRESOLVED)))


def gains_paragraph(report):
    """What was and what was not reproduced of the method's gains."""
    field = report.field
    over = lambda name, forms=PAIR: verdict([field(form, p, name) for form in forms for p in ADAPTIVE])
    cooler = [field(form, COOLER, "gain_over_t1") for form in PAIR]
    longer, whole = (field("W4A4", SHORT + kind, "gain_over_t1") for kind in (LONGER, WHOLE))
    bf16_whole, difference = field("BF16", SHORT + WHOLE, "gain_over_t1"), field("W4A4", SHORT + WHOLE, "difference_over_t1")
    old = lambda w: percent(report.row("W4A4", PUBLISHED)["share_aged"][str(w)], 1)
    window = report.choices[SMALL[0]]["short_window"]
    return f"""ReSET over T = 1, four choices of its parameters on BF16 and on W4A4: {over("gain_over_t1")}. W4A4's gain minus BF16's, which
would be specific to NVFP4: {over("difference_over_t1", ("W4A4",))}. With the longer limit W4A4's gain with the short window is
{told(longer)}; without top-p, over T = 1 without it, it is {told(whole)}, BF16's {told(bf16_whole)}, the difference {told(difference)}.
Intervals are not corrected for their number. T = 0.6 instead of 1 changes BF16 by {told(cooler[0])} and W4A4 by {told(cooler[1])}:
quantised or not, these models are not helped by cooler sampling. What steps add to the fixed threshold of the same tau_0 and T_low is
in a table below: {over("gain_over_threshold")}. They are exercised in part: {old(32)} % of the tokens are in a step that is at
least 32 tokens old, so that with the published window the last 32 tokens stand in for the step throughout; with a window of
{window} it is {old(window)} %."""


def rest_paragraph(report):
    """The larger model, other forms and changes to ReSET: what their tables say."""
    every = lambda name, models, policies=ADAPTIVE_EVERYWHERE: [
        value for form in FORMS for p in policies if (value := report.field(form, p, name, models)) is not None]
    steps = lambda models: verdict(every("gain_over_threshold", models))
    larger = lambda policies: verdict(every("gain_over_t1", LARGE[0], policies))
    other = [report.field(form, p, "difference_over_t1") for form in FORMS if form not in PAIR for p in ADAPTIVE_EVERYWHERE]
    changed = {(c, form): report.field(form, f"{SHORT}, {c}", "gain_over_unchanged") for c in changes(report) for form in PAIR}
    names = [f"{c} ({form}, {signed(v)})" for (c, form), v in changed.items() if resolved(v) != UNRESOLVED]
    return f"""The larger model: W4A4 minus BF16 is {told(report.row("W4A4", BASELINE, LARGE[0])["minus_bf16"])} points at T = 1. What its
{len(FORMS)} forms gain from ReSET over T = 1: with tau_0 as published, either window, {larger((PUBLISHED, SHORT))}; with the tau_0 that was
chosen on the small models, {larger((CHOSEN,))}, as under the fixed threshold with it, {larger((THRESHOLD_OF[CHOSEN],))}. What
quantised ones gain minus what its BF16 gains: {verdict(every("difference_over_t1", LARGE[0]))}. What steps add to the fixed threshold, in
all forms: {steps(ALL_SEEDS)} for the small models, {steps(LARGE[0])} for the larger one; by chance one in twenty would be resolved. Of the
small models, what forms other than W4A4 gain minus what BF16 gains: {verdict(other)}. Changes to ReSET: {verdict(list(changed.values()))};
resolved are {", ".join(names) if names else "none"}."""


def entropy_paragraph(report):
    """Entropies and errors, and what the study is not."""
    row = lambda form: report.row(form, BASELINE)
    p80 = lambda form: span(row(form)["entropy_p80"])
    share = lambda form, column, *bins: ratio(report.steps(form, *bins)[column], report.steps(form, *bins)[0])
    bins = ((0, 1), (2, 3), (5, 8), (8, None))
    wrong = lambda form: " / ".join(share(form, 1, *b) for b in bins)
    return f"""Entropies at T = 1. The 80th percentile is {p80("BF16")} nats in BF16 and {p80("W4A4")} in W4A4; {share("BF16", 1)} % of
BF16's steps are false equations, {share("W4A4", 1)} % of W4A4's. Of the steps below 0.05 / at 0.1..0.15 / at 0.25..0.4 / above 0.4 nats
{wrong("BF16")} % are false in BF16 and {wrong("W4A4")} % in W4A4, and {" / ".join(share("BF16", 2, *b) for b in bins)} % of BF16's
belong to solved traces. These are small models of one kind of problem, whose traces are some {row("BF16")["mean_tokens"]:.0f} tokens
long: of reasoning models of billions of parameters the study says little."""


def choice_paragraph(report):
    """What validation chose, and how much T_low can matter."""
    choice = report.choices[SMALL[0]]
    scores = {(c["tau0"], c["t_low"], c["window"]): c["solved"] for c in choice["candidates"]}
    cool = [abs(s - scores[tau0, 0.6, w]) for (tau0, t_low, w), s in scores.items() if t_low == 0.1 and (tau0 or 0) <= 0.5]
    own = f"tau_0 = {choice['own_tau0']}, T_low = {choice['own_t_low']} and window {choice['own_window']}"
    return f"""Chosen on 1,024 validation problems, W4A4, all seeds: T_low = {choice["published_t_low"]} and the short window
{choice["short_window"]} for tau_0 as published; {own} for "tau_0 chosen". "tau_0 = 0.5" has T_low = 0.1 and a window of 32. Up to
tau_0 = 0.5, T_low = 0.1 and 0.6 differ by at most {max(cool):.2f} points there."""


def fill(text):
    """Prints a paragraph in lines of up to 140 characters; a number stays with its interval and with a % sign."""
    text = re.sub(r" (?=\[|%)|(?<=,) (?=[^ ]+\])", "\0", " ".join(text.split()))
    print("\n" + textwrap.fill(text, 140, break_on_hyphens=False, break_long_words=False).replace("\0", " "))


def section(report):
    """Prints the tables and the paragraphs in the README's order."""
    main_table(report)
    fill(choice_paragraph(report))
    print("\n![problems solved under every policy](bench/results/reasoner_accuracy.svg)")
    fill(task_paragraph(report))
    fill(gains_paragraph(report))
    fill(rest_paragraph(report))
    print("\nWhat the steps add to the fixed threshold, in W4A4 where no form is named:\n")
    step_table(report)
    print("\nThe models; what training solved is of 1,024 calibration problems, before and after reinforcement (W4A4's and BF16's\n"
          "gains are those of ReSET, tau_0 as published, short window; intervals of one model are over problems alone):\n")
    seed_table(report)
    groups = {ALL_SEEDS: "Small models, all seeds", LARGE[0]: "The larger model"}
    for models, title in groups.items():
        print(f"\n{title}, every form (round-to-nearest where no rule is named):\n")
        form_table(report, models)
    for models, title in groups.items():
        print(f"\n{title}, problems solved, % (intervals are in the file):\n")
        solved_table(report, models)
    print(f"\nChanges to ReSET with tau_0 as published and a window of {report.choices[SMALL[0]]['short_window']}:\n")
    change_table(report)
    fill(entropy_paragraph(report))
    print("\n![entropies of tokens and steps](bench/results/reasoner_entropy.svg)")


def main():
    section(Report(json.loads(open(sys.argv[1] if len(sys.argv) > 1 else OUTPUT).read())))


if __name__ == "__main__":
    main()
