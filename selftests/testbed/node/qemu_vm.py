# SPDX-License-Identifier: GPL-2.0
#
# qemu_vm - what the scripts share that run QEMUs in the host VM
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import traceback

# The nested machines are emulated; only something that hangs takes this long.
PATIENCE = 300
DRIVER = "nvme-vfio-pci"
MODULE = "nvme_vfio_pci"
PEER_PORT = 4000
# of the guest's kernel, up to what its init shall run; a machine that stood still for
# a minute is no machine with a stuck processor
CMDLINE = "console=ttyS0 loglevel=5 rdinit=/init panic=-1 watchdog_thresh=60 -- "
TRACING = "/sys/kernel/tracing"
# if the host's kernel has it; else QEMU takes VFIO's own type 1 IOMMU
IOMMUFD = os.path.exists("/dev/iommu")
COMMANDS = {
    "suspend": "suspend",
    "query": "query_data_size",
    "save": "save_data",
    "load": "load_data",
    "resume": "resume",
}

started = time.monotonic()


class Failure(Exception):
    pass


def check(condition, reason):
    if not condition:
        raise Failure(reason)


def say(text):
    print(f"[{time.monotonic() - started:5.1f} s] {text}", flush=True)


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def driver(vf):
    path = f"/sys/bus/pci/devices/{vf}/driver"
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else "none"


def bind(vf):
    device = f"/sys/bus/pci/devices/{vf}"
    write(f"{device}/driver_override", DRIVER)
    if os.path.exists(f"{device}/driver"):
        write(f"{device}/driver/unbind", vf)
    write("/sys/bus/pci/drivers_probe", vf)
    check(driver(vf) == DRIVER, f"{vf} is not bound to {DRIVER}")


class Guest:
    """What the load in a guest reports through the guest's second serial port."""

    def __init__(self, name, vfs):
        self.name, self.vfs = name, vfs
        self.reports = []       # dicts of the guest's "io" and "end" lines
        self.end = None
        self.trouble = []       # its other lines: lost and corrupt blocks, errors
        self.commands = None    # to the load, a file

    def listen(self, lines):
        number = re.compile(r"(\w+)=(\d+)")
        for line in lines:
            kind = line.split(" ", 1)[0]
            # A line that was being sent during the migration is in two halves.
            if kind in ("io", "end") and "longest_ms=" in line:
                report = {key: int(value) for key, value in number.findall(line)}
                if kind == "end":
                    self.end = report
                self.reports.append(report)
            elif kind in ("fail", "lost", "corrupt", "error"):
                self.trouble.append(line.strip())

    def check_alive(self):
        pass

    def check_guest(self):
        """Fails as soon as the guest has seen something wrong."""
        if self.trouble:
            raise Failure(f"guest: {self.trouble[0].removeprefix('fail ')}")
        self.check_alive()

    def depth(self):
        return max(report["in_flight"] for report in self.reports)

    def progress(self):
        if not self.reports:
            say(f"{self.name} {' '.join(self.vfs)}: no I/O yet")
            return
        report = self.reports[-1]
        say(f"{self.name} {' '.join(self.vfs)}: {report['ios']} I/Os, {report['in_flight']} in flight, "
            f"lost {report['lost']}, corrupt {report['corrupt']}")

    def wait_for(self, condition, what):
        """Waits until @condition() holds, and shows how the guest is doing."""
        deadline = time.monotonic() + PATIENCE
        shown = time.monotonic()
        while not condition():
            self.check_guest()
            check(time.monotonic() < deadline, f"{what} did not happen in {PATIENCE} s")
            if time.monotonic() - shown > (2 if self.reports else 10):
                self.progress()
                shown = time.monotonic()
            time.sleep(0.05)

    def end_load(self):
        """Has the guest verify every block, and returns its last report, which is a good one."""
        print("end", file=self.commands, flush=True)
        self.wait_for(lambda: self.end, "the guest's last report")
        check(not any(self.end[key] for key in ("errors", "in_flight", "lost", "corrupt")),
              f"the guest's last report: {self.end}")
        return self.end

    def check_kernel(self):
        """A guest that had to reset its controller got data back, but not its controller."""
        for line in read(f"{self.name}.console").splitlines():
            # it does not like to be without multipath
            check(not re.search(r"nvme(?!.*(?i:multipath))|I/O error|blocked for more than|BUG|Oops",
                                line),
                  f"guest's kernel: {line.strip()}")


class Vm(Guest):
    """A QEMU with VFs. The guest reports through its second serial port."""

    memory = "128M"
    load = "/ioload"        # what the guest runs, and on how many blocks, see guest/
    smp = "2"
    args = ()               # more arguments, which come before the VFs

    def __init__(self, name, vfs, *args, multifd=False):
        super().__init__(name, vfs)
        self.multifd = multifd
        self.events = []        # QMP's, by name
        self.shutdown = None    # why, if QEMU said so
        self.target = None      # of a migration within this host
        self.process = subprocess.Popen(
            ["qemu-system-x86_64", "-name", name, "-accel", "kvm", "-cpu", "host",
             "-M", "q35", "-smp", self.smp, "-m", self.memory, "-nodefaults", "-no-user-config",
             "-display", "none", "-no-reboot",
             "-kernel", "vmlinuz", "-initrd", "initrd",
             "-append", CMDLINE + self.load,
             "-serial", f"file:{name}.console", "-serial", "stdio",
             "-qmp", f"unix:{name}.qmp,server=on,wait=off",
             *(("-object", "iommufd,id=iommufd") if IOMMUFD else ()),
             *self.args,
             *(arg for number, vf in enumerate(vfs)
               for arg in ("-device", f"vfio-pci,{self.device(number, vf)},"
                           f"x-migration-multifd-transfer={'on' if multifd else 'off'}")),
             *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(f"{name}.log", "w"),
            text=True, errors="replace")
        self.commands = self.process.stdin
        threading.Thread(target=self.listen, args=(self.process.stdout,), daemon=True).start()
        self.qmp = None

    def device(self, number, vf):
        """The properties of a vfio-pci device."""
        return f"host={vf},enable-migration=on{',iommufd=iommufd' if IOMMUFD else ''}"

    def connect(self):
        deadline = time.monotonic() + PATIENCE
        connection = socket.socket(socket.AF_UNIX)
        while True:
            self.check_alive()
            try:
                connection.connect(f"{self.name}.qmp")
                break
            except (FileNotFoundError, ConnectionRefusedError):
                check(time.monotonic() < deadline, f"the {self.name} QEMU does not answer")
                time.sleep(0.1)
        self.qmp = connection.makefile("rw")
        json.loads(self.qmp.readline())
        self.execute("qmp_capabilities")

    def execute(self, command, **arguments):
        try:
            self.qmp.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            self.qmp.flush()
            while True:
                line = self.qmp.readline()
                if not line:
                    raise Failure(self.obituary())
                answer = json.loads(line)
                if "error" in answer:
                    raise Failure(f"{command}: {answer['error']['desc']}")
                if "return" in answer:
                    return answer["return"]
                self.heard(answer)
        except (BrokenPipeError, ConnectionResetError):
            raise Failure(self.obituary()) from None

    def heard(self, message):
        if "event" in message:
            self.events.append(message["event"])
        if message.get("event") == "SHUTDOWN":
            self.shutdown = message["data"]["reason"]

    def last_words(self):
        lines = read(f"{self.name}.log").strip().splitlines()
        return lines[-1] if lines else "no message"

    def obituary(self):
        status = self.process.wait(PATIENCE)
        try:
            # what it said before it ended, and nobody has read yet
            for line in self.qmp or ():
                self.heard(json.loads(line))
        except (OSError, ValueError):
            pass
        return (f"the {self.name} QEMU ended with status {status}, reason "
                f"{self.shutdown or 'not known'}: {self.last_words()}")

    def check_alive(self):
        if self.process.poll() is not None:
            raise Failure(self.obituary())

    def stop(self):
        self.process.kill()
        self.process.wait()

    def set_capabilities(self, *capabilities):
        known = ("return-path", "switchover-ack", "pause-before-switchover", "multifd")
        wanted = ("return-path", *(["multifd"] if self.multifd else []), *capabilities)
        self.execute("migrate-set-capabilities",
                     capabilities=[{"capability": name, "state": name in wanted}
                                   for name in known])

    def receive(self, uri, *capabilities):
        self.set_capabilities(*capabilities)
        self.execute("migrate-incoming", uri=uri)

    def send(self, uri, *capabilities, **parameters):
        self.set_capabilities(*capabilities)
        # All memory of a guest with a VF counts as dirty; it is sent in the blackout.
        parameters = {"downtime-limit": 60000, "max-bandwidth": 1 << 40} | parameters
        self.execute("migrate-set-parameters", **parameters)
        self.execute("migrate", uri=uri)

    def migrate_to(self, target, *capabilities, **parameters):
        """Begins a migration to @target, which was started by receiver()."""
        self.target = target
        target.receive(f"unix:{target.name}.incoming", *capabilities)
        self.send(f"unix:{target.name}.incoming", *capabilities, **parameters)

    def migration(self, *ends):
        """Waits until the migration has come to one of @ends, and returns QEMU's account."""
        deadline = time.monotonic() + PATIENCE
        while True:
            state = self.execute("query-migrate")
            if state["status"] in ends:
                return state
            over = state["status"] in ("completed", "failed", "cancelled")
            check(not over and time.monotonic() < deadline,
                  f"migration: {state['status']}: {state.get('error-desc', '')} "
                  f"(target: {self.target.last_words() if self.target else 'other host'})")
            time.sleep(0.05)


class SlottedVm(Vm):
    """Its VFs, 2 at most, are in slots, so that they can be unplugged."""

    args = ("-device", "pcie-root-port,id=slot0,chassis=1",
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
                      "the guest giving the VF back")


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
                # it may not have got that far
                check(time.monotonic() < deadline, f"{self.name} does not answer")
                time.sleep(0.2)
        # it may have to wait for a run of fio, and then for the migration
        connection.settimeout(3 * PATIENCE)
        self.lines = connection.makefile("rw")

    def tell(self, *words):
        print(*words, file=self.lines, flush=True)

    def hear(self, expected):
        words = self.lines.readline().split()
        check(words, f"{self.name} has gone")
        check(words[0] == expected, f"{self.name}: {' '.join(words)}")
        return words[1:]


def autopsy(vms):
    """Shows as comments what is known of @vms when something has failed."""
    time.sleep(0.5)     # for more that the guests have to say
    for vm in vms:
        for suffix in ("log", "console"):
            for line in read(f"{vm.name}.{suffix}").splitlines()[-15:]:
                print(f"# {vm.name}.{suffix}: {line}")
        for line in vm.trouble[:15]:
            print(f"# {vm.name} guest: {line}")


def receiver(name, vfs, multifd=False):
    return Vm(name, vfs, "-incoming", "defer", multifd=multifd)


vms = []        # all that were started


def start(vm):
    """Connects to @vm, which is to end with the test, and returns it."""
    vms.append(vm)
    vm.connect()
    return vm


def run(name, test, verdict="#"):
    """Prints as TAP what becomes of @test(), and exits. @verdict comes before why it failed."""
    failed = False
    print("TAP version 13\n1..1", flush=True)
    try:
        test()
    except (Failure, OSError, LookupError, ValueError) as failure:
        failed = True
        if not isinstance(failure, Failure):
            traceback.print_exc(file=sys.stdout)
        autopsy(vms[-2:])
        print(f"{verdict} {failure}", flush=True)
    finally:
        for vm in vms:
            vm.stop()
    print(f"{'not ' * failed}ok 1 {name}")
    sys.exit(failed)


class Trace:
    """Times of the driver's commands and of the VFs' interrupts."""

    def __init__(self):
        if not os.path.exists(f"{TRACING}/trace"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
        write(f"{TRACING}/trace_clock", "mono")
        write(f"{TRACING}/buffer_size_kb", "16384")
        probes = ""
        for name, symbol in COMMANDS.items():
            symbol = f"{MODULE}:nvmevf_cmd_{symbol}"
            probes += f"p:nvmevf/{name} {symbol} vf=$arg1:x64\n"
            probes += f"r:nvmevf/{name}_end {symbol} ret=$retval:s32\n"
        probes += f"p:nvmevf/read {MODULE}:nvmevf_stream_read\n"
        write(f"{TRACING}/tracing_on", "0")
        write(f"{TRACING}/kprobe_events", probes)
        write(f"{TRACING}/events/nvmevf/enable", "1")
        write(f"{TRACING}/events/irq/irq_handler_entry/filter", 'name ~ "vfio-msi*"')
        write(f"{TRACING}/events/irq/irq_handler_entry/enable", "1")

    def start(self):
        write(f"{TRACING}/trace", "")
        write(f"{TRACING}/tracing_on", "1")

    def stop(self):
        write(f"{TRACING}/tracing_on", "0")
        self.look()

    def began(self, name):
        """The VFs for which such commands have begun since start(), as pointers."""
        self.look()
        return [command[1] for command in self.commands if command[0] == name]

    def at_source(self, name):
        """How many of them were for a VF that was asked for its size: only sources are."""
        sources = self.began("query")
        return sum(vf in sources for vf in self.began(name))

    def look(self):
        self.commands = []      # [name, VF's pointer, start, end]
        self.reads = []         # times at which state was asked for
        self.interrupts = []    # (time, PCI address)
        self.vectors = {}       # those that raised interrupts, by PCI address
        for line in read(f"{TRACING}/trace").splitlines():
            event = re.search(r"\s(\d+\.\d+): (\w+): (.*)", line)
            if not event:
                continue
            when, name, rest = float(event[1]) * 1000, event[2], event[3]
            if name in COMMANDS:
                self.commands.append([name, rest.split("vf=")[1], when, None])
            elif name.endswith("_end"):
                check(rest.endswith("ret=0"), f"the driver's {name[:-4]} failed: {rest}")
                for command in self.commands:
                    if command[0] == name[:-4] and command[3] is None:
                        command[3] = when
                        break
            elif name == "read":
                self.reads.append(when)
            elif name == "irq_handler_entry":
                vector, vf = re.search(r"\[(\d+)\]\(([\w:.]+)\)", rest).groups()
                self.interrupts.append((when, vf))
                self.vectors.setdefault(vf, set()).add(int(vector))

    def find(self, name, after=0.0, before=float("inf")):
        return [c for c in self.commands
                if c[0] == name and c[3] is not None and c[2] >= after and c[3] <= before]
