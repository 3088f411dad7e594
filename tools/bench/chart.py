"""The whole as one SVG: for each case a bar of each contender, as long as its figure against the largest of the case."""

from xml.sax.saxutils import escape

from tools.bench.report import COLUMNS

COLOURS = {"remora": "#1f6feb", "envoy": "#c9510c", "haproxy": "#8a8f98", "nginx": "#2da44e"}
LEFT, BAR, ROW, GAP, WIDTH = 650, 380, 14, 12, 1200


def _text(x, y, text, anchor="start", weight="normal", size=11, fill="#24292f"):
    return (f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}" font-size="{size}" fill="{fill}">'
            f"{escape(text)}</text>")


def _case(result, top):
    """The lines of one case, and where the next one begins."""
    column, digits = COLUMNS[result.primary]
    values = {name: result.value(name) for name in result.figures if result.value(name) is not None}
    largest = max(values.values(), default=0) or 1
    lines = [_text(LEFT - 90, top + 11, result.title, "end", "bold"),
             _text(LEFT - 90, top + 25, column + (", more is better" if result.more_is_better else ""), "end", size=10,
                   fill="#57606a")]
    y = top
    for name, value in values.items():
        length = max(1, round(BAR * value / largest))
        ratio = result.ratio(name) if name != "remora" else None
        label = f"{value:.{digits}f}" + (f"   Remora is {ratio:.2f} of it" if ratio else "")
        lines += [_text(LEFT - 8, y + 11, name, "end", size=10),
                  f'<rect x="{LEFT}" y="{y + 2}" width="{length}" height="{ROW - 4}" fill="{COLOURS.get(name, "#8a8f98")}"/>',
                  _text(LEFT + length + 6, y + 11, label, size=10)]
        y += ROW
    return lines, max(y, top + 2 * ROW) + GAP


def write(path, description, results):
    lines, y = [], 64
    for result in results:
        made, y = _case(result, y)
        lines += made
    versions = description["versions"]
    about = f'{description["cpu"]}, {description["cores"]} cores, Linux {description["kernel"]}, {description["date"]}'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        'font-family="sans-serif">',
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>',
        _text(16, 24, "What Remora costs beside its peers (shorter is cheaper)", weight="bold", size=15),
        _text(16, 42, about + "; " + ", ".join(n for n in versions if n in COLOURS), fill="#57606a"),
    ]
    with open(path, "w") as f:
        f.write("\n".join([*head, *lines, "</svg>", ""]))
