# SPDX-License-Identifier: GPL-2.0
"""libvirt_domain: libvirt in the host VM, and the domain of the tests

The domain is domain.xml, the example for users. This module adds a kernel that reports
through a serial port over TCP. fio writes and verifies in the guest all the time.
"""
import contextlib
import os
import re
import socket
import subprocess
import threading
import time
import xml.etree.ElementTree as ET

from qemu_vm import CMDLINE, PATIENCE, LoadReports
from tap import ERRORS, Tap, check, comment, say
from vfs import VFS, read, write

# 1 or 2 of two hosts, or 0 if there is only this host
NODE = int(os.environ["TESTBED_NODE"] or 0)
HERE = os.environ["TESTBED_DIR"]
BLOCKS = os.environ.get("NVMEVF_SOAK_BLOCKS", "1024")
HOSTS = {1: "host1", 2: "host2"} if NODE else {1: "localhost"}
URI = {host: f"qemu+tcp://{name}/system" for host, name in HOSTS.items()}
# No keepalive: an emulated host may not answer for half a minute.
VIRSH = ["virsh", "-k", "0", "-c"]
SERIAL = 4001
CONSOLE = "/tmp/guest.console"
# The VF of the test, on each host.
VF = VFS[0]


class Daemon:
    """libvirtd of this host. systemd, which starts libvirt's other daemons, does not run here."""

    process = None

    def start(self):
        write("/etc/libvirt/qemu.conf", 'stdio_handler = "file"\nuser = "root"\ngroup = "root"\n')
        write("/etc/libvirt/libvirtd.conf", 'listen_tls = 0\nlisten_tcp = 1\nauth_tcp = "none"\n'
              'auth_unix_rw = "none"\nkeepalive_interval = -1\n')
        self.process = subprocess.Popen(["libvirtd", "--listen"], stdout=subprocess.DEVNULL,
                                        stderr=open("libvirtd.log", "a"))
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(["virsh", "-c", "qemu:///system", "version"], capture_output=True,
                             check=False).returncode:
            check(time.monotonic() < deadline,
                  f"libvirtd does not answer after {PATIENCE} s: {read('libvirtd.log')[-500:]}")
            time.sleep(0.2)

    def restart(self):
        """Restart libvirtd as systemd does, which sends SIGKILL if SIGTERM is not enough."""
        self.process.terminate()
        # libvirtd does not always end while a guest moves. systemd waits for 90 s.
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            comment("libvirtd did not end within 30 s after SIGTERM")
            self.process.kill()
            self.process.wait()
        self.start()


LIBVIRTD = Daemon()


def start_virsh(*args, host=1):
    return subprocess.Popen([*VIRSH, URI[host], *args], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


def end_virsh(process, fails=False):
    """Return the output of a virsh that must succeed, or the messages of one that must fail."""
    out, err = (text.strip() for text in process.communicate(timeout=2 * PATIENCE))
    check(bool(process.returncode) == fails,
          f"{' '.join(process.args)} {'succeeded' if fails else 'failed'}: {out} {err}")
    return err if fails else out


def virsh(*args, host=1, fails=False):
    """Run virsh, and return what end_virsh() does."""
    return end_virsh(start_virsh(*args, host=host), fails)


def set_address(hostdev, vf):
    address = re.fullmatch(r"(\w+):(\w+):(\w+)\.(\w)", vf)
    for key, value in zip(("domain", "bus", "slot", "function"), address.groups()):
        hostdev.find("source/address").set(key, "0x" + value)


def hostdev(vf):
    """Write a hostdev of domain.xml, but for @vf, into a file. Return its name."""
    element = ET.fromstring(read("domain.xml")).find("devices/hostdev")
    set_address(element, vf)
    ET.ElementTree(element).write("hostdev.xml")
    return "hostdev.xml"


def domain(xml, managed="yes", model=True, vf=VF, arguments=True, iommufd=False):
    """Write @xml with these settings into a file. Return its name.

    The first VF is @vf. Without @arguments, QEMU has the arguments that libvirt chooses. With
    @iommufd, libvirt uses that instead of VFIO's type 1 IOMMU.
    """
    for prefix, uri in re.findall(r"xmlns:(\w+)='([^']+)'", xml):
        ET.register_namespace(prefix, uri)
    root = ET.fromstring(xml)
    hostdevs = root.findall("devices/hostdev")
    set_address(hostdevs[0], vf)
    for hostdev in hostdevs:
        hostdev.set("managed", managed)
        if not model:
            hostdev.remove(hostdev.find("driver"))
        if iommufd:
            hostdev.find("driver").set("iommufd", "yes")
    if not arguments:
        root.remove(root.find("{*}commandline"))
    # the guest of the test bed. A reboot must end it, not start it again.
    system = root.find("os")
    if system.find("kernel") is None:
        ET.SubElement(root, "on_reboot").text = "destroy"
        for key, value in (("kernel", f"{HERE}/vmlinuz"), ("initrd", f"{HERE}/initrd"),
                           ("cmdline", f"{CMDLINE}/fioload {BLOCKS}")):
            ET.SubElement(system, key).text = value
        for number, source in enumerate((f"<serial type='file'><source path='{CONSOLE}' "
                                         "append='on'/>",
                                         "<serial type='tcp'><source mode='bind' host='0.0.0.0' "
                                         f"service='{SERIAL}'/>")):
            root.find("devices").append(ET.fromstring(
                f"{source}<target port='{number}'/></serial>"))
    ET.ElementTree(root).write("new.xml")
    return "new.xml"


def listen_to(host=1):
    """Listen to the guest on @host. Return its reports."""
    guest = LoadReports("guest", [HOSTS[host]])
    connection = socket.create_connection((HOSTS[host], SERIAL), PATIENCE)
    connection.settimeout(None)
    guest.commands = connection.makefile("w")

    def listen():
        with contextlib.suppress(OSError):
            guest.listen(connection.makefile("r", errors="replace"))
        guest.problems.append("the serial port was closed")
    threading.Thread(target=listen, daemon=True).start()
    return guest


def watch(host=1):
    """Print a comment if the guest on @host resets itself, as qemu_vm.py does."""
    events = subprocess.Popen(["stdbuf", "-oL", *VIRSH, URI[host], "qemu-monitor-event", "--loop"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def listen():
        for line in events.stdout:
            if '"reason":"guest-reset"' in line:
                comment("QEMU ended with status 0, reason guest-reset")
    threading.Thread(target=listen, daemon=True).start()


def wait_for_fio(guest):
    """Wait until fio has begun and completed a whole run."""
    seen = len(guest.reports)
    guest.wait_for(lambda: len(guest.reports) > seen, "I/O")
    run = guest.reports[-1]["runs"]
    guest.wait_for(lambda: guest.reports[-1]["runs"] > run + 1, "a run of fio")


def check_state(expected, host=1):
    state = virsh("domstate", "guest", host=host)
    check(state == expected, f"the guest is {state} on {HOSTS[host]}, expected {expected}")


def check_message(message, *expected):
    """Fail unless libvirt's @message contains all texts of @expected."""
    say(f"# {message}")
    for text in expected:
        check(text in message, f"libvirt's message is \"{message}\", expected \"{text}\"")


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s")
        time.sleep(0.1)


def passes(host=1):
    """Return how many times QEMU has begun to write or send the memory of the guest."""
    job = start_virsh("domjobinfo", "guest", host=host)
    found = re.search(r"Iteration: +(\d+)", job.communicate()[0])
    return int(found[1]) if found else 0


def end_load(guest):
    """Let the guest verify every block, and check the messages of its kernel."""
    end = guest.end_load()
    say(f"# {end['ios']} I/Os, {end['runs']} runs of fio, lost {end['lost']}, "
        f"corrupted {end['corrupt']}")
    guest.check_kernel()


def show_logs():
    for log in ("libvirtd.log", CONSOLE, "/var/log/libvirt/qemu/guest.log"):
        if os.path.exists(log):
            for line in read(log).splitlines()[-25:]:
                comment(f"{log}: {line}")


def explain(error):
    """Print the logs and @error, for Tap.run()."""
    show_logs()
    comment(error)


def begin(plan, connect=lambda: None):
    """Start libvirtd and the TAP of a script. Return the latter and what @connect() returns."""
    tap = Tap(plan)
    try:
        LIBVIRTD.start()
        return tap, connect()
    except ERRORS as error:
        show_logs()
        tap.bail_out(error)
        tap.exit()
