# SPDX-License-Identifier: GPL-2.0
"""vf_guest: the guest of a VF, which is the program "queues" (selftests/queues.c)"""
import os
import re
import subprocess

from tap import check
from vfs import PCI, VFS, unbind, write

# The guest's memory, see lib/vf.h and lib/nvme.h
IOVA, SIZE = 0x40000000, 4 * 1024 * 1024


def values(line):
    """Return the numbers in a line of name=number."""
    return {name: int(number, 0) for name, number in re.findall(r"(\w+)=(\w+)", line)}


def expect(status, expected, what):
    check(status == expected, f"{what}: status {status:#x}, expected {expected:#x}")


def bind_plain():
    """Bind all VFs to vfio-pci, so that nothing but the script sends commands for them."""
    for vf in VFS:
        write(f"{PCI}/devices/{vf}/driver_override", "vfio-pci")
        unbind(vf)
        write(f"{PCI}/drivers_probe", vf)


class Guest:
    """The program "queues" """

    def __init__(self):
        self.process = subprocess.Popen(
            ["./queues"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
            env={**os.environ, "NVMEVF_DRIVER": "vfio-pci"})
        self.await_done("begin")

    def await_done(self, request):
        lines = []
        while (line := self.process.stdout.readline().strip()) != "done":
            check(line, f"the guest ended at the request {request}")
            lines.append(line)
        return lines

    def ask(self, request):
        """Return the lines of the answer."""
        self.process.stdin.write(request + "\n")
        return self.await_done(request)

    def tell(self):
        """Return what the guest knows of its queues, as a list of (kind, fields)."""
        return [(line.split()[0], values(line)) for line in self.ask("tell")]

    def admin(self, opcode, cdw10=0, cdw11=0):
        """Send an admin command to the VF, and return its status."""
        return values(self.ask(f"admin {opcode} {cdw10} {cdw11}")[0])["status"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)
