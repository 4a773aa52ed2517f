# SPDX-License-Identifier: GPL-2.0
"""gap_vm: guests that report each I/O, which tells how long they had no disk

The host's clock measures the longest gap between two reports, because the guest's clock may
stop during a move. See guest/gapload.c.
"""
import time

from qemu_vm import SlottedVm
from tap import check, say

NAMESPACE = "/dev/nvme0n1"      # as the PF has it
STEADY = 50                     # I/Os before a move, and after it


class GapVm(SlottedVm):
    """A guest that reports each I/O."""

    def __init__(self, name, vfs, *, load="/gapload", **options):
        self.done = []          # times of the I/Os, in ms
        self.gone = []          # reports of the guest that it had no disk
        super().__init__(name, vfs, load=load, **options)

    def listen(self, lines):
        for line in lines:
            now = time.monotonic() * 1000
            kind = line.split(" ", 1)[0]
            # A migration splits the line that is being sent.
            if kind == "done" and line.endswith("\n"):
                self.done.append(now)
            elif kind == "gone":
                self.gone.append(line.strip())
            elif kind in ("fail", "corrupt"):
                self.problems.append(line.strip())

    def show_progress(self):
        say(f"{self.name} {' '.join(self.vfs)}: {len(self.done)} I/Os")

    def wait_for_ios(self, ios):
        before = len(self.done)
        self.wait_for(lambda: len(self.done) >= before + ios, f"{ios} I/Os")

    def sample(self, target, before):
        """Return what a move cost that began after @before I/Os of this guest."""
        state = self.migration("completed")
        target.wait_for_ios(STEADY)
        done = self.done[before - 1:] + target.done
        gap = max(later - earlier for earlier, later in zip(done, done[1:]))
        return (f"gap_ms={gap:.0f} downtime_ms={state['downtime']} "
                f"memory_mib={state['ram']['downtime-bytes'] / 2**20:.1f}")

    def check_disk(self):
        """Fail if the guest had no disk at any time, or its kernel reports a problem."""
        check(not self.gone, f"the guest lost its disk: {self.gone}")
        self.check_kernel()


class VirtioVm(GapVm):
    """Such a guest with virtio-blk."""

    before_vfs = (*GapVm.before_vfs,
                  "-drive", f"file={NAMESPACE},format=raw,if=none,id=disk,cache=none,aio=native",
                  "-device", "virtio-blk-pci,drive=disk")
