# SPDX-License-Identifier: GPL-2.0
"""host_memory: the standard's Track Send and Track Receive, by ioctl, and the truth

The names are those of NVM Express Base 2.1, figures 460 to 472. The truth is what the
device model knows of the writes of a VF apart from its log, see qemu/lm-truth.c.inc.
"""
import ctypes
import fcntl
import struct

from controller_state import INVALID_CONTROLLER
from tap import check
from vfs import VFS, pf_device, vf_number

ADMIN64_CMD = 0xc0504e47        # NVME_IOCTL_ADMIN64_CMD
PASSTHRU64 = struct.Struct("<BBHIIIQQII6IIIQ")
TRACK_SEND, TRACK_RECEIVE = 0x3d, 0x3e
GET_LOG_PAGE = 0x02
TRUTH_PAGE = 0xc1
PAGE = 4096

CONTROLLER_SUSPENDED = 0x139

START = struct.Struct("<B2xBI")
RANGE = struct.Struct("<QI")
REPORT = struct.Struct("<BBHIH6x")
DESCRIPTOR = struct.Struct("<QII")
TRUTH = struct.Struct("<6Q16x")
COUNTERS = ("written", "dirtied", "reported", "missed")
# What the device model writes behind the last descriptor
POISON = 0x5a
MAX_MTR = 10000


def admin(opcode, cdw10, cdw11=0, cdw12=0, data=None):
    """Send an admin command to the PF. Return its status without DNR and More, DW0 and DW1."""
    command = bytearray(PASSTHRU64.pack(
        opcode, 0, 0, 0, 0, 0, 0, ctypes.addressof(data) if data else 0, 0,
        len(data) if data else 0, cdw10, cdw11, cdw12, 0, 0, 0, 0, 0, 0))
    with open(pf_device(), "rb") as device:
        status = fcntl.ioctl(device, ADMIN64_CMD, command, True)
    result = PASSTHRU64.unpack(command)[-1]
    return status & 0x7ff, result & 0xffffffff, result >> 32


def start(cntlid, ranges, granularity=0, version=0, count=None):
    """Start tracking @ranges, a list of (address, granules). Return status, DW0 and DW1."""
    raw = START.pack(version, granularity, len(ranges) if count is None else count)
    raw += b"".join(RANGE.pack(*one) for one in ranges)
    return admin(TRACK_SEND, 1 | 1 << 16, cntlid, data=ctypes.create_string_buffer(raw, len(raw)))


def stop(cntlid):
    return admin(TRACK_SEND, 1, cntlid)[0]


class Report:
    """What Track Receive has returned"""

    def __init__(self, raw):
        version, attributes, self.cntlid, count, self.granularity = REPORT.unpack_from(raw)
        check(version == 0 and attributes < 4, f"Track Receive returns {raw[:16].hex()}")
        self.more, self.suspended = bool(attributes & 1), bool(attributes & 2)
        end = REPORT.size + count * DESCRIPTOR.size
        check(end <= len(raw), f"{count} descriptors in {len(raw)} bytes")
        check(count or not self.more, "MTR is set, but there is no descriptor")
        check(set(raw[end:]) <= {POISON}, "there is more behind the last descriptor")
        self.granule = PAGE << self.granularity
        self.ranges = [one[:2] for one in DESCRIPTOR.iter_unpack(raw[REPORT.size:end])]

    def pages(self):
        """Return the addresses of all pages."""
        return {address + at for address, granules in self.ranges
                for at in range(0, granules * self.granule, PAGE)}


def read(cntlid, size=PAGE):
    """Return the status and, if it is 0, the report."""
    data = ctypes.create_string_buffer(b"\x3c" * size, size)
    status = admin(TRACK_RECEIVE, 0, cntlid, size // 4 - 1, data)[0]
    return status, None if status else Report(data.raw)


def drain(cntlid, size=PAGE):
    """Read until MTR is 0. Return all pages, and whether the controller is suspended."""
    pages = set()
    for _ in range(MAX_MTR):
        status, report = read(cntlid, size)
        check(status == 0, f"Track Receive fails with {status:#x}")
        check(report.cntlid == cntlid, f"the report is that of controller {report.cntlid}")
        pages |= report.pages()
        if not report.more:
            return pages, report.suspended
    check(False, f"MTR is still set after {MAX_MTR} commands")
    return None


def truth(number, size=32 * PAGE):
    """Return the pages that VF @number has written since the last call, and counters."""
    pages = set()
    while True:
        data = ctypes.create_string_buffer(size)
        status = admin(GET_LOG_PAGE, TRUTH_PAGE | (size // 4 - 1) << 16 & 0xffffffff,
                       number << 16 | (size // 4 - 1) >> 16, data=data)[0]
        check(status == 0, f"Get Log Page of the truth fails with {status:#x}")
        count, left, *counters = TRUTH.unpack_from(data.raw)
        pages |= set(struct.unpack_from(f"<{count}Q", data.raw, TRUTH.size))
        if not left:
            return pages, dict(zip(COUNTERS, counters))


def check_untracked():
    """No VF is tracked any more, and the reports had all pages that the VFs wrote."""
    for vf in VFS:
        status = read(vf_number(vf))[0]
        check(status == INVALID_CONTROLLER,
              f"{vf} is still tracked: Track Receive has status {status:#x}")
        missed = truth(vf_number(vf))[1]["missed"]
        check(not missed, f"the reports of {vf} lacked {missed} pages")
