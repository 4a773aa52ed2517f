# SPDX-License-Identifier: GPL-2.0
"""document: the commands of a document, for the test that runs them

A document marks a block of commands with a comment before it:

    <!-- commands NAME, run by STEP -->
"""
import re
import subprocess

from tap import check
from vfs import read


def commands(path, name):
    """Return the lines of the block @name of the document @path."""
    block = re.search(rf"^<!-- commands {name}, run by [\w-]+ -->\n\n((?:    .*\n)+)", read(path), re.M)
    check(block, f"{path} has no block of commands {name}")
    return [line[4:] for line in block[1].splitlines()]


def run(lines):
    """Run @lines in a shell, and return what they print. A line that fails ends the test."""
    done = subprocess.run(["bash", "-euc", "\n".join(lines)], capture_output=True, text=True,
                          check=False)
    check(done.returncode == 0, f"{lines} failed: {done.stdout}{done.stderr}")
    return done.stdout
