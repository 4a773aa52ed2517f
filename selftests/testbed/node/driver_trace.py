# SPDX-License-Identifier: GPL-2.0
"""driver_trace: the commands of the driver and the interrupts of the VFs, from tracepoints"""
import os
import re
import subprocess

from tap import check
from vfs import read, write

TRACING = "/sys/kernel/tracing"
DRIVER_EVENTS = ("nvmevf_command_begin", "nvmevf_command", "nvmevf_data_read")


class Command:
    """One command of the driver. The times are in ms; end is None until the command has ended."""

    def __init__(self, fields, begin):
        self.verb, self.vf, self.begin, self.end = fields["verb"], fields["vf"], begin, None
        self.opcode = int(fields["opcode"], 16)


class Trace:
    """What happened between start() and stop(), or until the last call of update()."""

    def __init__(self):
        if not os.path.exists(f"{TRACING}/trace"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
        write(f"{TRACING}/tracing_on", "0")
        write(f"{TRACING}/trace_clock", "mono")
        write(f"{TRACING}/buffer_size_kb", "16384")
        for event in DRIVER_EVENTS:
            write(f"{TRACING}/events/nvme_vfio_pci/{event}/enable", "1")
        write(f"{TRACING}/events/irq/irq_handler_entry/filter", 'name ~ "vfio-msi*"')
        write(f"{TRACING}/events/irq/irq_handler_entry/enable", "1")
        # Verbs that may fail, with the status. A PF does not tell the UUID of a namespace that
        # is not attached to itself. It does not end the tracking of a suspended VF, so the driver
        # tries again later.
        self.expected = {("identify", "0x4002"), ("track_stop", "0x4139")}
        self.clear()

    def clear(self):
        self.commands = []      # in the order in which they began
        self.busy = 0           # commands that the driver sends again, which are not in the list
        self.reads = []         # times at which a read() of controller state ended
        self.interrupts = []    # (time, PCI address of the VF)
        self.vectors = {}       # vectors that raised interrupts, by PCI address

    def start(self):
        write(f"{TRACING}/trace", "")
        write(f"{TRACING}/tracing_on", "1")

    def stop(self):
        write(f"{TRACING}/tracing_on", "0")
        self.update()

    def update(self):
        """Read the trace again."""
        self.clear()
        for line in read(f"{TRACING}/trace").splitlines():
            event = re.search(r"\s(\d+\.\d+): (\w+): (.*)", line)
            if event:
                self.add(float(event[1]) * 1000, event[2], event[3])

    def add(self, when, event, text):
        if event == "irq_handler_entry":
            vector, vf = re.search(r"\[(\d+)\]\(([\w:.]+)\)", text).groups()
            self.interrupts.append((when, vf))
            self.vectors.setdefault(vf, set()).add(int(vector))
            return
        fields = dict(re.findall(r"(\w+)=(\S+)", text))
        if event == "nvmevf_command_begin":
            self.commands.append(Command(fields, when))
        elif event == "nvmevf_command":
            expected = (fields["verb"], fields["status"]) in self.expected
            busy = fields["status"] == "0x21"
            check(fields["error"] == "0" or expected or busy,
                  f"a command of the driver failed: {text}")
            for command in self.commands:
                if ((command.verb, command.vf, command.end) ==
                        (fields["verb"], fields["vf"], None)):
                    command.end = when
                    if busy:
                        self.busy += 1
                        self.commands.remove(command)
                    break
        elif event == "nvmevf_data_read":
            self.reads.append(when)

    def io_vectors(self, vm, ios):
        """Return the vectors of I/O queues that each VF uses while the guest of @vm does @ios I/Os."""
        self.start()
        vm.wait_for_ios(ios)
        self.stop()
        vectors = {vf: found - {0} for vf, found in self.vectors.items()}
        return {vf: found for vf, found in vectors.items() if found}

    def begun(self, verb, vfs=None):
        """Return the commands @verb that have begun until now, for @vfs or for any VF."""
        self.update()
        return [command for command in self.commands
                if command.verb == verb and (vfs is None or command.vf in vfs)]

    def ended(self, verb, after=0.0, before=float("inf")):
        """Return the commands @verb that began at @after or later, and ended until @before."""
        return [command for command in self.commands
                if command.verb == verb and command.end is not None
                and command.begin >= after and command.end <= before]
