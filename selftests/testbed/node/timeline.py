# SPDX-License-Identifier: GPL-2.0
"""timeline: draw what happened one after another, as bars of characters"""

WIDTH = 40


def bar(begin, end, total, mark="#"):
    """Return a line with a bar from @begin to @end, on a scale from 0 to @total. No bar is empty."""
    first = min(round(WIDTH * begin / total), WIDTH - 1)
    last = max(round(WIDTH * end / total), first + 1)
    return f"|{' ' * first}{mark * (last - first)}{' ' * (WIDTH - last)}|"
