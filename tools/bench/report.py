"""Figures as text and as JSON."""

import json
import statistics

from tools.bench import goals

# Name of a figure -> heading, digits behind the point.
COLUMNS = {
    "cpu_us": ("CPU us", 1),
    "gb_per_cpu_second": ("GB per CPU s", 2),
    "start_ms": ("start ms", 1),
    "ready_cpu_ms": ("CPU to ready ms", 1),
    "ready_ms": ("ready ms", 0),
    "kib_per_connection": ("KiB/connection", 2),
    "scrape_ms": ("CPU ms/scrape", 2),
    "series": ("series", 0),
    "us_per_series": ("CPU us/series", 2),
    "anonymous_mib": ("anonymous MiB", 1),
    "rate": ("per second", 0),
    "system_calls": ("system calls", 2),
    "instructions": ("instructions", 0),
    "p50_ms": ("p50 ms", 3),
    "p99_ms": ("p99 ms", 3),
    "p50_ms_fixed": ("p50 ms fixed", 3),
    "p99_ms_fixed": ("p99 ms fixed", 3),
    "rss_mib": ("RSS MiB", 1),
    "pss_mib": ("PSS MiB", 1),
    "private_mib": ("private MiB", 1),
}


def figure(name, value):
    """The median, with the spread where there were rounds."""
    digits = COLUMNS[name][1]
    if value is None:
        return "-"
    if not isinstance(value, list):
        return f"{value:.{digits}f}"
    middle = f"{statistics.median(value):.{digits}f}"
    return middle if len(value) < 2 else f"{middle} ({min(value):.{digits}f}-{max(value):.{digits}f})"


def columns(rows):
    """Rows of cells, the first of them the heading, as lines of equal columns."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return lines


def table(result):
    used = [name for name in COLUMNS if any(name in found for found in result.figures.values())]
    rows = [["", *(COLUMNS[name][0] for name in used), "Remora / it"]]
    for contender, found in result.figures.items():
        ratio = None if contender == "remora" else result.ratio(contender)
        rows.append([contender, *(figure(name, found.get(name)) for name in used), f"{ratio:.3f}" if ratio else ""])
    lines = columns(rows)
    return "\n".join([f"=== {result.title} ({result.name})", *lines, *(f"  {note}" for note in result.notes), ""])


def summary_rows(results):
    """Of each case the figure that it is about, and what part of each peer's Remora's is."""
    names = list(dict.fromkeys(name for result in results for name in result.figures if name != "direct"))
    rows = [["case", "figure", *names, *(f"/ {name}" for name in names if name != "remora")]]
    for result in results:
        ratios = [result.ratio(name) for name in names if name != "remora"]
        values = [result.value(name) for name in names]
        rows.append([result.name, COLUMNS[result.primary][0] + (" (more is better)" if result.more_is_better else ""),
                     *("-" if value is None else f"{value:.{COLUMNS[result.primary][1]}f}" for value in values),
                     *("-" if ratio is None else f"{ratio:.3f}" for ratio in ratios)])
    return rows


def summary(results):
    lines = ["=== All cases, medians; the last columns are Remora's figure over the peer's", *columns(summary_rows(results))]
    if judged := goals.judged(results):
        lines += ["", "=== Goals", *columns([["case", "goal", "reached", ""], *judged])]
    return "\n".join(lines)


def markdown(results):
    """The same for README."""
    tables = [summary_rows(results), [["case", "goal", "reached", ""], *goals.judged(results)]]
    lines = []
    for rows in tables:
        heading, *rest = ("| " + " | ".join(row) + " |" for row in rows)
        lines += [heading, "|" + "---|" * len(rows[0]), *rest, ""]
    return "\n".join(lines)


def write_json(path, description, results):
    cases = {r.name: {"title": r.title, "primary": r.primary, "more_is_better": r.more_is_better, "notes": r.notes,
                      "figures": r.figures} for r in results}
    with open(path, "w") as f:
        json.dump({"machine": description, "cases": cases}, f, indent=1)
        f.write("\n")
