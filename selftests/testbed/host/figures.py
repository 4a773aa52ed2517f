#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0
"""figures.py --update [RESULTS.json] | --check: the figures in README.md and doc/

--update copies RESULTS.json, which bench writes, to doc/results.json, and writes the figures
in it to the documents and to doc/plot.svg. In a document they are between two comments,
"figures begin" and "figures end". --check prints what differs from doc/results.json.
"""
import json
import os
import re
import shutil
import sys

TOP = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
RESULTS = "doc/results.json"
BLOCK = re.compile(r"(<!-- figures begin[^\n]*-->\n).*?(<!-- figures end -->\n)", re.S)
# the figures of README.md, by the IDs of their rows
FEW = ("blackout.own", "read.128K", "out.16", "io.speed", "grow.device.fio.1024")

# These colors are readable on white and on black.
TEXT, BLUE, GREEN, RED = "#7d858e", "#3b82c4", "#2e9e4f", "#d9534f"
# height of the plots of plot_growth()
GROWTH = 260


def value(row):
    middle, low, high = (f"{row[key]:.{row['digits']}f}" for key in ("median", "min", "max"))
    return f"{middle} ({low} .. {high})"


def limit(row):
    return row["limit"] and f"{row['limit']}, {'holds' if row['holds'] else 'MISSED'}"


def table(rows, notes=True):
    """Return the lines of a table of the results @rows."""
    columns = ["what", "median (least .. most)", "limit"] + ["note"] * notes
    cells = [columns, ["---"] * len(columns)]
    for row in rows:
        cells.append([row["name"], value(row), limit(row)] + [row["note"]] * notes)
    return ["| " + " | ".join(line) + " |" for line in cells]


def label(x, y, text, anchor="start", color=TEXT):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{color}">{text}</text>'


def line(points, color, width=2, dashes=""):
    points = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
    dashes = dashes and f' stroke-dasharray="{dashes}"'
    return (f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width}"'
            f'{dashes}/>')


def plot_vfs(results, width, height):
    """Yield a plot of the time until all VFs are saved, by their number."""
    rows = sorted((int(key[4:]), row) for key, row in results.items() if key.startswith("out."))
    curves = (("a thread for each VF", BLUE, [row["median"] for _, row in rows]),
              ("one thread, as in QEMU", GREEN, [row["also"]["one_thread"] for _, row in rows]),
              ("one VF after another", RED, [row["also"]["one_by_one"] for _, row in rows]))
    most = max(max(curve) for _, _, curve in curves)
    left, top, bottom = 50, 50, 45

    def place(index, time):
        return (left + index * (width - left - 20) / max(len(rows) - 1, 1),
                height - bottom - time / most * (height - bottom - top))

    yield label(8, 18, "Time until all VFs of a PF are saved, in multiples of the device's time for one VF")
    yield label((left + width) / 2, height - 6, "number of VFs (logarithmic)", "middle")
    for index, (count, _) in enumerate(rows):
        yield label(place(index, 0)[0], height - bottom + 18, count, "middle")
    for time in sorted({1, round(most / 4), round(most / 2), round(most)}):
        y = place(0, time)[1]
        yield label(left - 8, y + 4, time, "end")
        yield line([(left, y), (width - 20, y)], TEXT, 0.3)
    for number, (name, color, curve) in enumerate(curves):
        yield line([place(*point) for point in enumerate(curve)], color)
        yield label(left + 14, top + 16 + 17 * number, name, color=color)


def plot_guest(results, top, width):
    """Yield bars of how long a guest that moves has no disk, with their ranges."""
    left, right = 270, 70
    rows = [results[f"guest.{way}"] for way in ("vf", "virtio", "hotplug")]
    scale = (width - left - right) / max(row["max"] for row in rows)
    yield label(8, top, "Milliseconds without I/O of a guest that moves: median, least and most")
    for number, row in enumerate(rows):
        y = top + 14 + 24 * number
        name = re.sub("^guest without I/O: |, ms$", "", row["name"])
        yield label(left - 8, y + 13, name, "end")
        yield (f'<rect x="{left}" y="{y}" width="{row["median"] * scale:.0f}" height="16" '
               f'fill="{BLUE}"/>')
        yield line([(left + row[key] * scale, y + 8) for key in ("min", "max")], TEXT)
        yield label(left + row["max"] * scale + 8, y + 13, f"{row['median']:.0f}")


def plot_growth(results, top, width):
    """Yield plots of what grows with the guest's memory: MiB in the blackout, and its length."""
    ways = (("nothing tracks", "none", RED), ("the VF tracks", "device", BLUE),
            ("the IOMMU tracks", "iommu", GREEN), ("virtio-blk", "virtio", TEXT))
    sizes = sorted(int(key.split(".")[3]) for key in results if key.startswith("grow.none.idle."))
    height = GROWTH - 80
    for title, left, of in (
            ("MiB of memory sent in the blackout", 50, lambda row: row["median"]),
            ("Milliseconds without I/O", width // 2 + 45, lambda row: row["also"]["gap_ms"])):
        right = left + width // 2 - 70
        # points by size; the smallest guest has no room for fio
        curves = {(way, load): [(mib, of(results[f"grow.{way}.{load}.{mib}"])) for mib in sizes
                                if f"grow.{way}.{load}.{mib}" in results]
                  for _, way, _ in ways for load in ("idle", "fio")}
        most = max(number for curve in curves.values() for _, number in curve)

        def place(mib, number, left=left, right=right, most=most):
            return (left + mib / sizes[-1] * (right - left), top + 20 + height - number / most * height)

        yield label(left - 42, top, title)
        for mib in sizes:
            yield label(place(mib, 0)[0], top + height + 38, mib, "middle")
        for number in (0, most / 2, most):
            y = place(0, number)[1]
            yield label(left - 8, y + 4, f"{number:.0f}", "end")
            yield line([(left, y), (right, y)], TEXT, 0.3)
        for number, (name, way, color) in enumerate(ways):
            for load, dashes in (("idle", ""), ("fio", "5 4")):
                yield line([place(*point) for point in curves[way, load]], color, dashes=dashes)
            yield label(left + 14, top + 36 + 17 * number, name, color=color)
        yield label(left + 14, top + 36 + 17 * len(ways), "dashed: fio")
    yield label(width / 2, top + height + 56, "MiB of memory of the guest", "middle")


def plot(results):
    """Return the plot, without a background."""
    width, height, below = 640, 310, 120
    growth = []
    if any(key.startswith("grow.") for key in results):
        growth = plot_growth(results, height + below + 20, width)
        below += GROWTH
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
                      f'height="{height + below}" font-family="sans-serif" font-size="13">',
                      *plot_vfs(results, width, height),
                      *plot_guest(results, height + 28, width), *growth, "</svg>", ""])


def files(results):
    """Yield the path and the text of each file with figures."""
    rows = list(results.values())
    for path, lines in (("README.md", table([results[key] for key in FEW], notes=False)),
                        ("doc/performance.md", table(rows))):
        with open(os.path.join(TOP, path), encoding="utf-8") as file:
            text = file.read()
        if not BLOCK.search(text):
            sys.exit(f'{path} lacks the comments "figures begin" and "figures end"')
        block = "\n" + "\n".join(lines) + "\n\n"
        yield path, BLOCK.sub(lambda match, block=block: match[1] + block + match[2], text)
    yield "doc/plot.svg", plot(results)


def main():
    update = sys.argv[1:2] == ["--update"] and len(sys.argv) <= 3
    if not update and sys.argv[1:] != ["--check"]:
        sys.exit(__doc__)
    if len(sys.argv) == 3:
        shutil.copyfile(sys.argv[2], os.path.join(TOP, RESULTS))
    with open(os.path.join(TOP, RESULTS), encoding="utf-8") as file:
        results = json.load(file)
    failed = 0
    for path, text in files(results):
        path_of = os.path.join(TOP, path)
        if update:
            with open(path_of, "w", encoding="utf-8") as file:
                file.write(text)
        else:
            with open(path_of, encoding="utf-8") as file:
                if file.read() != text:
                    print(f'{path} differs from {RESULTS}: run "make figures"')
                    failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
