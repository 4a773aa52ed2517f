# SPDX-License-Identifier: GPL-2.0
"""tap: run tests and print their results in the Test Anything Protocol"""
import subprocess
import sys
import time
import traceback

STARTED = time.monotonic()


class Failure(Exception):
    """A test failed. The text gives the reason."""


# What a test may raise. Any other exception is a bug of the script and ends it.
ERRORS = (Failure, OSError, LookupError, ValueError, subprocess.TimeoutExpired)


def check(condition, reason):
    """Fail with @reason unless @condition holds."""
    if not condition:
        raise Failure(reason)


def say(text):
    """Print a line of progress."""
    print(f"[{time.monotonic() - STARTED:5.1f} s] {text}", flush=True)


def comment(text):
    """Print all lines of @text as comments."""
    for line in str(text).splitlines():
        print(f"# {line}", flush=True)


class Tap:
    """The results of a script that runs @plan tests."""

    def __init__(self, plan, done=0):
        """Print the plan, unless @done tests have their results from before a reboot."""
        self.number = done
        self.failed = 0
        if not done:
            print(f"TAP version 13\n1..{plan}", flush=True)

    def result(self, passed, name):
        """Print one result and return @passed."""
        self.number += 1
        self.failed += not passed
        print(f"{'' if passed else 'not '}ok {self.number} {name}", flush=True)
        return passed

    def run(self, name, test, *args, explain=comment):
        """Run @test(*@args), and print its result. Hand the error of a failed test to @explain."""
        try:
            test(*args)
        except ERRORS as error:
            if not isinstance(error, Failure):
                comment(traceback.format_exc())
            explain(error)
            return self.result(False, name)
        return self.result(True, name)

    def bail_out(self, reason):
        """Give up: the remaining tests have no results."""
        self.failed += 1
        print(f"Bail out! {reason}", flush=True)

    def exit(self):
        """End the script with the status that the results require."""
        sys.exit(self.failed != 0)
