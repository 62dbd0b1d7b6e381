#!/usr/bin/env python3
"""The accuracy study as Markdown: table_reasoner.py [reasoner.json]"""

import json
import sys

from reasoner_report import FORMS, OUTPUT

POLICIES = ["greedy", *(f"T = {t}" for t in (0.2, 0.4, 0.6, 0.8, 1.0)), "fixed threshold", "ReSET, tau_0 as published",
            "ReSET, tau_0 chosen"]


def plain(value):
    return "" if value is None else f"{value['mean']:.1f} [{value['low']:.1f}, {value['high']:.1f}]"


def signed(value):
    return "" if value is None else f"{value['mean']:+.1f} [{value['low']:+.1f}, {value['high']:+.1f}]"


def main_table(rows, models):
    """BF16 and W4A4 side by side."""
    found = {(r["form"], r["policy"]): r for r in rows if r["models"] == models}
    print("| policy | BF16 | W4A4 | W4A4 - BF16 | W4A4's gain over T = 1 | BF16's | difference |\n" + "|---" * 7 + "|")
    for policy in POLICIES:
        bf16, w4a4 = found.get(("BF16", policy)), found.get(("W4A4", policy))
        if not bf16 or not w4a4:
            continue
        print(f"| {policy} | {plain(bf16['solved'])} | {plain(w4a4['solved'])} | {signed(w4a4.get('minus_bf16'))} | "
              f"{signed(w4a4.get('gain_over_t1'))} | {signed(bf16.get('gain_over_t1'))} | "
              f"{signed(w4a4.get('difference_of_differences'))} |")


def other_table(rows, models, forms):
    print("| form | policy | solved | minus BF16 | gain over T = 1 | difference |\n" + "|---" * 6 + "|")
    for row in rows:
        if row["models"] == models and row["form"] in forms:
            print(f"| {row['form']} | {row['policy']} | {plain(row['solved'])} | {signed(row.get('minus_bf16'))} | "
                  f"{signed(row.get('gain_over_t1'))} | {signed(row.get('difference_of_differences'))} |")


def main():
    report = json.loads(open(sys.argv[1] if len(sys.argv) > 1 else OUTPUT).read())
    for models in dict.fromkeys(r["models"] for r in report["rows"]):
        print(f"\n{models}\n")
        main_table(report["rows"], models)
    print("\nsmall-1, all forms\n")
    other_table(report["rows"], "small-1", list(FORMS.values()))


if __name__ == "__main__":
    main()
