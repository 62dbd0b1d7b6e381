"""Runs a program under Nsight Compute (ncu on the PATH) and writes what it says of each launch."""

import csv
import json
import subprocess


def profile(command, metrics):
    """Of each launch between cudaProfilerStart and cudaProfilerStop, in order: its "Kernel Name", and the metrics as numbers."""
    ncu = ["ncu", "--clock-control", "none", "--profile-from-start", "off", "--metrics", ",".join(metrics), "--csv", "--page", "raw",
           "--print-units", "base"]
    output = subprocess.run([*ncu, *command], check=True, capture_output=True, text=True).stdout
    return launches(output, metrics)


def launches(output, metrics):
    """The same from the report."""
    rows = list(csv.DictReader(line for line in output.splitlines() if line.startswith('"')))
    # The first one has the units.
    return [{"Kernel Name": row["Kernel Name"], **{m: float(row[m].replace(",", "")) for m in metrics}} for row in rows[1:]]


def write_records(path, records):
    """As an array, a record a line."""
    text = ",\n".join(json.dumps(record) for record in records)
    path.write_text(f"[\n{text}\n]\n")
