# SPDX-License-Identifier: GPL-2.0
"""qemu_vm: QEMUs in the host VM, and the guests in them"""
import json
import os
import re
import socket
import subprocess
import threading
import time

from tap import Failure, Tap, check, comment, say
from vfs import read

# The nested machines are emulated. Only a hang takes this long, in seconds.
PATIENCE = 300
PEER_PORT = 4000
# The command line of the guest's kernel, up to what its init shall run. A host that is
# suspended for a minute must not look like a soft lockup.
CMDLINE = "console=ttyS0 loglevel=5 rdinit=/init panic=-1 watchdog_thresh=60 -- "
# With no iommufd in the host's kernel QEMU uses the type 1 IOMMU of VFIO.
IOMMUFD = os.path.exists("/dev/iommu")
# What tracks the memory that a VF writes: device, iommu, or nothing
TRACK = os.environ.get("NVMEVF_TRACK", "")
# MiB of memory that QEMU may send in the blackout of a guest whose memory is tracked. Without
# tracking, it sends about 76 of 128.
MAX_IN_BLACKOUT = 16


class LoadReports:
    """The reports of the load in a guest, which arrive through its second serial port."""

    def __init__(self, name, vfs):
        self.name, self.vfs = name, vfs
        self.title = f"{name} {' '.join(vfs)}"      # in lines of progress
        self.reports = []       # dicts of the load's "io" and "end" lines
        self.end = None
        self.identities = []    # what its controllers return to Identify Controller
        self.resets = 0         # of controllers, by reset_controllers()
        self.problems = []      # its other lines: lost and corrupt blocks, errors
        self.commands = None    # to the load, a file

    def listen(self, lines):
        number = re.compile(r"(\w+)=(\d+)")
        for line in lines:
            kind = line.split(" ", 1)[0]
            # A migration splits the line that is being sent.
            if kind in ("io", "end") and "longest_ms=" in line:
                report = {key: int(value) for key, value in number.findall(line)}
                if kind == "end":
                    self.end = report
                self.reports.append(report)
            elif re.fullmatch(r"identity nvme\d .* data=[0-9a-f]{8}", line.strip()):
                self.identities.append(" ".join(line.split()))
            elif kind == "reset":
                self.resets += 1
            elif kind in ("fail", "lost", "corrupt", "error"):
                self.problems.append(line.strip())

    def check_alive(self):
        pass

    def check_guest(self):
        """Fail if the guest has reported a problem."""
        if self.problems:
            raise Failure(f"guest: {self.problems[0].removeprefix('fail ')}")
        self.check_alive()

    def depth(self):
        """Return the largest number of I/Os in flight."""
        return max(report["in_flight"] for report in self.reports)

    def show_progress(self):
        if not self.reports:
            say(f"{self.title}: no I/O yet")
            return
        report = self.reports[-1]
        say(f"{self.title}: {report['ios']} I/Os, {report['in_flight']} in flight, "
            f"lost {report['lost']}, corrupt {report['corrupt']}")

    def wait_for(self, condition, what):
        """Wait until @condition() holds, and show the progress of the guest."""
        deadline = time.monotonic() + PATIENCE
        shown = time.monotonic()
        while not condition():
            self.check_guest()
            check(time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s")
            if time.monotonic() - shown > (5 if self.reports else 10):
                self.show_progress()
                shown = time.monotonic()
            time.sleep(0.05)

    def wait_for_ios(self, ios):
        """Wait until the guest has done @ios more I/Os."""
        before = self.reports[-1]["ios"] if self.reports else 0
        self.wait_for(lambda: self.reports and self.reports[-1]["ios"] >= before + ios,
                      f"{ios} I/Os")

    def end_load(self):
        """Let the guest verify every block. Return its last report, and fail if that has errors."""
        print("end", file=self.commands, flush=True)
        self.wait_for(lambda: self.end, "the last report of the guest")
        check(not any(self.end[key] for key in ("errors", "in_flight", "lost", "corrupt")),
              f"the last report of the guest has errors: {self.end}")
        return self.end

    def reset_controllers(self):
        """Let the guest reset its NVMe controllers. Wait until they work again."""
        before = self.resets
        print("reset", file=self.commands, flush=True)
        self.wait_for(lambda: self.resets > before, "a reset of the controller")

    def log(self, kind):
        """Return the path of a log.

        A read of a file on the share may fail while QEMU writes the file.
        """
        return f"/tmp/{self.name}.{kind}"

    def check_kernel(self):
        """Fail if the guest's kernel reports a problem. A reset of the controller is one."""
        for line in read(self.log("console")).splitlines():
            # The kernel warns if NVMe multipath is off, which is no problem.
            check(not re.search(r"nvme(?!.*(?i:multipath))|I/O error|blocked for more than|BUG|Oops",
                                line),
                  f"the guest's kernel reports: {line.strip()}")


class Qemu(LoadReports):
    """A QEMU with VFs, its guest, and QMP."""

    def __init__(self, name, vfs, *command):
        super().__init__(name, vfs)
        self.events = []        # QMP's, by name
        self.shutdown = None    # reason, if QEMU gave one
        self.target = None      # of a migration within this host
        self.qmp = None
        self.process = subprocess.Popen(
            [*command, "-qmp", f"unix:{name}.qmp,server=on,wait=off"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(self.log("log"), "w"),
            text=True, errors="replace")
        self.commands = self.process.stdin
        threading.Thread(target=self.listen, args=(self.process.stdout,), daemon=True).start()

    def connect(self):
        deadline = time.monotonic() + PATIENCE
        connection = socket.socket(socket.AF_UNIX)
        while True:
            self.check_alive()
            try:
                connection.connect(f"{self.name}.qmp")
                break
            except (FileNotFoundError, ConnectionRefusedError):
                check(time.monotonic() < deadline,
                      f"the {self.name} QEMU has no QMP socket after {PATIENCE} s")
                time.sleep(0.1)
        self.qmp = connection.makefile("rw")
        json.loads(self.qmp.readline())
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        """Execute a QMP command and return its result."""
        try:
            self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.qmp.flush()
            while True:
                line = self.qmp.readline()
                if not line:
                    raise Failure(self.describe_exit())
                answer = json.loads(line)
                if "error" in answer:
                    raise Failure(f"{command} failed: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
                self.add_event(answer)
        except (BrokenPipeError, ConnectionResetError):
            raise Failure(self.describe_exit()) from None

    def add_event(self, message):
        if "event" in message:
            self.events.append(message["event"])
        if message.get("event") == "SHUTDOWN":
            self.shutdown = message["data"]["reason"]

    def last_log_line(self):
        lines = read(self.log("log")).strip().splitlines()
        return lines[-1] if lines else "no message"

    def describe_exit(self):
        status = self.process.wait(PATIENCE)
        try:
            # events that QEMU sent before it ended
            for line in self.qmp or ():
                self.add_event(json.loads(line))
        except (OSError, ValueError):
            pass
        return (f"the {self.name} QEMU ended with status {status}, reason "
                f"{self.shutdown or 'not known'}: {self.last_log_line()}")

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(self.describe_exit())

    def stop(self):
        self.process.kill()
        self.process.wait()

    def migration(self, *ends):
        """Wait until the status of the migration is in @ends. Return QEMU's information about it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            state = self.execute("query-migrate")
            if state["status"] in ends:
                return state
            over = state["status"] in ("completed", "failed", "cancelled")
            if over or time.monotonic() > deadline:
                target = self.target.last_log_line() if self.target else "other host"
                raise Failure(f"migration: {state['status']}, expected {' or '.join(ends)}: "
                              f"{state.get('error-desc', 'no error')} (target: {target})")
            time.sleep(0.05)


class Vm(Qemu):
    """A QEMU that runs the guest of the test bed."""

    before_vfs = ()         # arguments of a subclass that precede the VFs
    track, iommufd = TRACK, IOMMUFD

    # load: what the guest runs, and on how many blocks, see guest/
    def __init__(self, name, vfs, *, initrd="initrd", load="/ioload", memory="128M", smp=2,
                 multifd=False, incoming=False):
        self.name = name        # for log()
        self.multifd = multifd
        self.smp = smp
        super().__init__(
            name, vfs,
            "qemu-system-x86_64", "-name", name, "-accel", "kvm", "-cpu", "host",
            "-M", "q35", "-smp", str(smp), "-m", memory, "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot",
            "-kernel", "vmlinuz", "-initrd", initrd,
            "-append", CMDLINE + load,
            "-serial", f"file:{self.log('console')}", "-serial", "stdio",
            *(("-object", "iommufd,id=iommufd0") if self.iommufd else ()),
            *(("-trace", "vfio_*_dirty_bitmap", "-D", self.log("trace")) if self.track else ()),
            *self.before_vfs,
            *(arg for number, vf in enumerate(vfs)
              for arg in ("-device", f"vfio-pci,{self.device(number, vf)},"
                          f"x-migration-multifd-transfer={'on' if multifd else 'off'}")),
            *(("-incoming", "defer") if incoming else ()))

    def device(self, number, vf):
        """Return the properties of a vfio-pci device."""
        # With the ID "iommufd", QEMU would also find that property of the first VF.
        # QEMU refuses to migrate a device whose writes nothing tracks, unless it is told to.
        return (f"host={vf},enable-migration={'auto' if self.track else 'on'}"
                f"{',iommufd=iommufd0' if self.iommufd else ''}")

    def dirty_pages(self):
        """Return how many pages VFIO has told QEMU of, for each time that QEMU asked."""
        # vfio_get_dirty_bitmap of QEMU 10.0 has another name in 11.1.
        return [int(pages) for pages in
                re.findall(r"vfio_\w+_dirty_bitmap .*dirty_pages=(\d+)", read(self.log("trace")))]

    def check_tracked(self, state):
        """Fail unless tracking kept memory out of the blackout of the migration with this @state."""
        check(any(self.dirty_pages()), "VFIO told QEMU of no page that the VF has written")
        memory = state["ram"]["downtime-bytes"] / (1 << 20)
        check(memory <= MAX_IN_BLACKOUT,
              f"QEMU sent {memory:.1f} MiB of memory in the blackout, expected {MAX_IN_BLACKOUT} or less")

    def set_capabilities(self, *capabilities):
        known = ("return-path", "switchover-ack", "pause-before-switchover", "multifd")
        wanted = ("return-path", *(["multifd"] if self.multifd else []), *capabilities)
        self.execute("migrate-set-capabilities",
                     capabilities=[{"capability": name, "state": name in wanted}
                                   for name in known])

    def receive(self, uri, *capabilities):
        self.set_capabilities(*capabilities)
        self.execute("migrate-incoming", uri=uri)

    def parameters(self):
        """Return the parameters with which a migration ends soon."""
        if self.track:
            # QEMU stops the guest when it can send the rest within the downtime limit. So
            # with this bandwidth, and QEMU's default limit, it sends little in the blackout.
            return {"max-bandwidth": 32 << 20, "downtime-limit": 300}
        # All memory of a guest with a VF counts as dirty. QEMU sends it during the downtime.
        return {"max-bandwidth": 1 << 40, "downtime-limit": 60000}

    def send(self, uri, *capabilities, **parameters):
        self.set_capabilities(*capabilities)
        self.execute("migrate-set-parameters", **(self.parameters() | parameters))
        self.execute("migrate", uri=uri)

    def migrate_to(self, target, *capabilities, **parameters):
        """Begin a migration to @target, which was started with incoming=True."""
        self.target = target
        target.receive(f"unix:{target.name}.incoming", *capabilities)
        self.send(f"unix:{target.name}.incoming", *capabilities, **parameters)


class SlottedVm(Vm):
    """A QEMU whose VFs, 2 at most, are in slots, so that they can be unplugged."""

    before_vfs = ("-device", "pcie-root-port,id=slot0,chassis=1",
                  "-device", "pcie-root-port,id=slot1,chassis=2")

    def device(self, number, vf):
        return f"{super().device(number, vf)},bus=slot{number},id=vf{number}"

    def plug(self, number, vf):
        properties = dict(item.split("=") for item in self.device(number, vf).split(","))
        self.execute("device_add", driver="vfio-pci", **properties)

    def unplug(self, number):
        self.execute("device_del", id=f"vf{number}")
        self.wait_for(lambda: all(device["name"] != f"vf{number}" for device in
                                  self.execute("qom-list", path="/machine/peripheral")),
                      "the release of the VF by the guest")


class Peer:
    """The other one of two hosts. They exchange lines."""

    def __init__(self):
        node = int(os.environ["TESTBED_NODE"])
        self.name = f"host{3 - node}"
        deadline = time.monotonic() + PATIENCE
        if node == 1:
            server = socket.create_server(("", PEER_PORT))
            server.settimeout(PATIENCE)
            connection, _ = server.accept()
        while node == 2:
            try:
                connection = socket.create_connection((self.name, PEER_PORT), PATIENCE)
                break
            except OSError:
                # host 1 may still boot
                check(time.monotonic() < deadline, f"{self.name} does not answer")
                time.sleep(0.2)
        # The other host may have to wait for a run of fio, and then for the migration.
        connection.settimeout(3 * PATIENCE)
        self.lines = connection.makefile("rw")

    def send(self, *words):
        print(*words, file=self.lines, flush=True)

    def receive(self, expected):
        """Receive a line whose first word must be @expected. Return the other words."""
        words = self.lines.readline().split()
        check(words, f"{self.name} closed the connection, expected \"{expected}\"")
        check(words[0] != "failed:", f"{self.name}: {' '.join(words[1:])}")
        check(words[0] == expected,
              f"{self.name} sent \"{' '.join(words)}\", expected \"{expected}\"")
        return words[1:]


class Vms:
    """The QEMUs of a script. They end with it."""

    def __init__(self):
        self.started = []

    def start(self, vm):
        """Connect to @vm and return it."""
        self.started.append(vm)
        vm.connect()
        return vm

    def stop(self):
        for vm in self.started:
            vm.stop()

    def show_logs(self, count=None):
        """Print the ends of the logs of the last @count QEMUs, or of all, as comments."""
        time.sleep(0.5)     # for output of the guests that is on its way
        for vm in self.started[-count if count else None:]:
            for suffix in ("log", "console"):
                if not os.path.exists(vm.log(suffix)):
                    continue        # a QEMU without a console
                for line in read(vm.log(suffix)).splitlines()[-15:]:
                    comment(f"{vm.name}.{suffix}: {line}")
            for line in vm.problems[:15]:
                comment(f"{vm.name} guest: {line}")

    def explain(self, error):
        """Print the logs and @error, for Tap.run()."""
        self.show_logs()
        comment(error)


def run(name, test, prefix="#"):
    """Run @test(Vms()) as the only test of a script. @prefix precedes the reason of a failure."""
    vms = Vms()

    def explain(error):
        vms.show_logs(2)
        print(f"{prefix} {error}", flush=True)

    tap = Tap(1)
    try:
        tap.run(name, test, vms, explain=explain)
    finally:
        vms.stop()
    tap.exit()
