# SPDX-License-Identifier: GPL-2.0
"""moving_guest: a guest under I/O whose migrations may fail"""
import time

from faults import set_fault
from qemu_vm import PATIENCE, Vm
from tap import check, say


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s")
        time.sleep(0.02)


class MovingGuest:
    """A guest under I/O, and the QEMU that has it."""

    vm_class = Vm
    ios = 3000              # that show that the guest goes on

    # options: those of vm_class, also for the QEMUs of later migrations
    def __init__(self, vms, trace, vfs, name="source", **options):
        self.vms, self.trace, self.options = vms, trace, options
        self.vm = vms.start(self.vm_class(name, vfs, **options))
        self.vm.wait_for(lambda: self.vm.reports, "the guest's first I/O")
        self.check_io()

    def check_io(self):
        self.vm.check_guest()
        self.vm.wait_for_ios(self.ios)

    def start_target(self, name, vfs):
        return self.vms.start(self.vm_class(name, vfs, incoming=True, **self.options))

    def begin_slow_move(self, target):
        """Begin a migration that takes minutes. Return when QEMU sends the guest's memory."""
        self.vm.migrate_to(target, **{"max-bandwidth": 1 << 20, "downtime-limit": 1})
        wait_until(lambda: self.vm.execute("query-migrate").get("ram", {}).get("transferred", 0)
                   > 1 << 20, "PRE_COPY")

    def speed_up(self):
        self.vm.execute("migrate-set-parameters", **self.vm.parameters())

    def cancel(self):
        self.vm.execute("migrate_cancel")
        self.vm.migration("cancelled")

    def check_recovered(self, event):
        """Fail unless the guest goes on at the source after a migration that ended by @event."""
        wait_until(lambda: self.vm.execute("query-status")["status"] == "running",
                   "the guest's start at the source")
        self.check_io()
        say(f"# {event}; longest gap in the guest until now {self.vm.reports[-1]['longest_ms']} ms")

    def count(self, verb):
        """Return the number of commands @verb that have begun for the guest's VFs."""
        return len(self.trace.begun(verb, self.vm.vfs))

    def kill_during(self, verb, target_vf, slow_vf, fault=None):
        """Kill the target while the command @verb of @slow_vf, a @fault, is in flight."""
        fault = fault or verb.upper()
        target = self.start_target(verb, [target_vf])
        set_fault(slow_vf, fault, "NEVER")
        self.trace.start()
        self.vm.migrate_to(target)
        wait_until(lambda: self.trace.begun(verb), verb)
        target.process.kill()
        self.trace.update()
        check(not self.trace.ended(verb), f"{verb} ended in spite of the fault")
        set_fault(slow_vf, fault, "NONE")
        target.stop()
        self.vm.migration("failed")
        self.check_recovered(f"killed during {verb}")

    def move(self, target):
        self.vm.migrate_to(target)
        return self.complete_move(target)

    def complete_move(self, target):
        """Wait for the end of a migration to @target. Return QEMU's information about it."""
        state = self.vm.migration("completed")
        target.wait_for(lambda: target.reports, "I/O on the target")
        self.vm = target
        self.check_io()
        return state

    def verify(self):
        end = self.vm.end_load()
        self.vm.check_kernel()
        say(f"# {end['writes']} writes, {end['reads']} verified reads, "
            f"longest gap {end['longest_ms']} ms")
