# SPDX-License-Identifier: GPL-2.0
"""libvirt_pair: tests with the libvirt of two hosts

Host 1 sends commands to the libvirt of both hosts, and prints TAP. Host 2 answers its requests.
"""
import os
import re
import shlex
import time

from document import commands
from libvirt_domain import (LIBVIRTD, NODE, URI, VF, begin, check_message, check_state, domain,
                            explain, listen_to, virsh, wait_for_fio, wait_until, watch)
from qemu_vm import LoadReports, Peer
from tap import check, say
from vfs import DRIVER, MODULE, VFS, driver, read


def ask(peer, *words):
    """Send a request to host 2, and return the words of its answer."""
    peer.send("do", *words)
    return peer.receive("done")


def migrate(source, *options, xml=None, fails=False):
    """Migrate the guest from host @source by migrate.md. Return the output of virsh."""
    _, *words = shlex.split(*commands("migrate.md", "virsh"))
    if xml:
        options += ("--xml", xml)
    return virsh(*words[:-1], URI[3 - source], *options, host=source, fails=fails)


def check_refused(reason, source, *options, state="running", xml=None):
    """Fail unless libvirt refuses a migration for @reason, and the guest keeps its @state."""
    check_message(migrate(source, *options, xml=xml, fails=True), reason)
    check_state(state, source)


def move(peer, source, managed="yes", model=True, vf=VF):
    """Move the guest from host @source to the other, where its first VF is @vf."""
    target = 3 - source
    xml = domain(virsh("dumpxml", "--migratable", "guest", host=source), managed, model, vf)
    begin = time.monotonic()
    migrate(source, xml=xml)
    took = time.monotonic() - begin
    bound = ask(peer, "driver", vf)[0] if target == 2 else driver(vf)
    check(bound == DRIVER, f"{vf} of host{target} is bound to {bound}, expected {DRIVER}")
    check_state("running", target)
    guest = listen_to(target)
    wait_for_fio(guest)
    report = guest.reports[-1]
    say(f"# host{target} has the guest, virsh took {took:.1f} s; {report['ios']} I/Os, "
        f"fio waited {report['longest_ms']} ms at most")
    return guest


def add_alias(vf):
    """Add @vf's device to modules.alias, as if the driver's device table had it."""
    path = f"/lib/modules/{os.uname().release}/modules.alias"
    ours = re.findall(rf"^alias (vfio_pci:.*) {MODULE}$", read(path), re.M)
    check(len(ours) == 1, f"modules.alias has {ours} for the driver, expected one alias")
    ids = [int(read(f"/sys/bus/pci/devices/{vf}/{name}"), 16) for name in ("vendor", "device")]
    with open(path, "a") as file:
        file.write("alias {} {}\n".format(
            re.sub("v.{8}d.{8}", "v{:08X}d{:08X}".format(*ids), ours[0], count=1), MODULE))


def interrupts(vf):
    """Return how many interrupts the I/O queues of @vf have raised."""
    lines = re.findall(rf"^ *\d+:([ \d]+).*vfio-msix\[[1-9]\d*\]\({vf}\)", read("/proc/interrupts"),
                       re.M)
    return sum(int(count) for line in lines for count in line.split())


def wait_for_io_through(vf):
    begin = interrupts(vf)
    wait_until(lambda: interrupts(vf) > begin + 100, f"I/O through {vf}")


def wait_until_free(vf):
    wait_until(lambda: driver(vf) == "none", f"the release of {vf}")


def serve(peer, more):
    """Answer the requests of host 1, which may be some of @more."""
    requests = {"driver": driver, "alias": add_alias, "io": wait_for_io_through,
                "free": wait_until_free, "restart": LIBVIRTD.restart,
                "end": LoadReports("guest", VFS).check_kernel} | more
    request = ""
    while request != "end":
        request, *args = peer.receive("do")
        peer.send("done", requests[request](*args) or "")


def run(*tests, requests=None):
    """Run a script whose host 1 runs @tests. Each begins where the one before it ended.

    Host 2 also answers @requests: functions by their name.
    """
    tap, peer = begin(len(tests) if NODE == 1 else 1, Peer)

    def fail(error):
        # host 2 fails, too
        peer.send("failed:", error)
        explain(error)

    if NODE == 2:
        tap.run("host 2", serve, peer, requests or {}, explain=fail)
    else:
        watch(1)
        watch(2)
        all(tap.run(*test, peer, explain=fail) for test in tests)
    tap.exit()
