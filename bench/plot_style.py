"""How the plots of bench/results look, and where the scripts that draw them read and write."""

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from gemv_results import DEFAULT_FOLDER

# Told apart by marker and dash as well as by colour, and in greyscale.
NVFP4 = {"color": "#0b6e4f", "marker": "o"}
BF16 = {"color": "#d1495b", "marker": "s"}
CUBLAS = {"color": "#33415c", "marker": "^", "linestyle": "--"}
FP8 = {"color": "#7d8597", "marker": "v", "linestyle": ":"}
FLOOR = "#222222"

STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "reset",
}


def legend_below(figure):
    figure.legend(frameon=False, fontsize=10, loc="outside lower center", ncol=4, columnspacing=1.2, handletextpad=0.4)


def draw(load, plots):
    """Saves every plot by its name, as the arguments say: [FOLDER [OUTPUT_FOLDER [svg | png]]]."""
    arguments = sys.argv[1:]
    folder = Path(arguments[0]) if arguments else DEFAULT_FOLDER
    output = Path(arguments[1]) if len(arguments) > 1 else folder
    kind = arguments[2] if len(arguments) > 2 else "svg"
    records, context = load(folder)
    # The date would make every run a change.
    metadata = {"Date": None} if kind == "svg" else {}
    with plt.rc_context(STYLE):
        for name, plot in plots.items():
            figure = plot(records, context)
            figure.savefig(output / f"{name}.{kind}", metadata=metadata, dpi=110, bbox_inches="tight")
            plt.close(figure)
