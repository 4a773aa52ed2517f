# SPDX-License-Identifier: GPL-2.0
"""controller_state: the standard's Migration Send and Migration Receive, by ioctl

The names of statuses and the layout of the Controller State data structure are those of
NVM Express Base 2.1, figures 358 to 361.
"""
import ctypes
import fcntl
import struct

from tap import check
from vfs import pf_device

ADMIN_CMD = 0xc0484e41          # NVME_IOCTL_ADMIN_CMD
PASSTHRU = struct.Struct("<BBHIIIQQII6III")
SEND, RECEIVE = 0x41, 0x42

SUCCESS, INVALID_OPCODE, INVALID_FIELD, SEQUENCE_ERROR = 0, 0x1, 0x2, 0xc
INVALID_CONTROLLER, NO_RESOURCES, NOT_SUSPENDED = 0x11f, 0x138, 0x13a

# SEQIND
MIDDLE, FIRST, LAST, ONLY = range(4)

HEADER = struct.Struct("<HB13x4Q")
QUEUES = struct.Struct("<HHHH")
# The fields of a queue in the order of figures 360 and 361
SQ = struct.Struct("<QHHHHHHI")
SQ_FIELDS = ("prp1", "qsize", "qid", "cqid", "attr", "head", "tail")
CQ = struct.Struct("<QHHHHHHI")
CQ_FIELDS = ("prp1", "qsize", "qid", "head", "tail", "attr", "vector")


def admin(opcode, cdw10=0, cdw11=0, offset=0, cdw15=0, data=None):
    """Send an admin command to the PF. Return its status without DNR and More, and DW0."""
    command = bytearray(PASSTHRU.pack(
        opcode, 0, 0, 0, 0, 0, 0, ctypes.addressof(data) if data else 0, 0,
        len(data) if data else 0, cdw10, cdw11, offset & 0xffffffff, offset >> 32, 0, cdw15, 0, 0))
    with open(pf_device(), "rb") as device:
        status = fcntl.ioctl(device, ADMIN_CMD, command, True)
    return status & 0x7ff, PASSTHRU.unpack(command)[-1]


def suspend(cntlid, stype=1):
    return admin(SEND, 0, cntlid | stype << 16)[0]


def resume(cntlid):
    return admin(SEND, 1, cntlid)[0]


def get_part(cntlid, offset, dwords, version=1, uuid=1):
    """Get Controller State. Return the status, DW0, and the data."""
    data = ctypes.create_string_buffer(b"\x3c" * 4 * dwords, 4 * dwords)
    status, result = admin(RECEIVE, version << 16, cntlid | uuid << 16, offset, dwords - 1, data)
    return status, result, data.raw


def set_part(cntlid, data, seqind=ONLY, offset=0, version=1, uuid=1):
    """Set Controller State. Return the status."""
    buffer = ctypes.create_string_buffer(data, len(data)) if data else None
    return admin(SEND, 2 | seqind << 16, cntlid | version << 16 | uuid << 24, offset,
                 len(data) // 4, buffer)[0]


def sizes(data):
    """Return the bytes of the NVMe Controller State and of the vendor specific data."""
    _, _, queues, queues_high, vendor, vendor_high = HEADER.unpack_from(data)
    check(not queues_high and not vendor_high, "a size has more than 64 bits")
    return 4 * queues, 4 * vendor


def is_suspended(data):
    """Return bit 0 of CSATTR."""
    return bool(data[2] & 1)


def get(cntlid, version=1, uuid=1, chunk=16384):
    """Return the whole state of a suspended controller, read in commands of @chunk bytes."""
    status, _, data = get_part(cntlid, 0, HEADER.size // 4, version, uuid)
    check(status == SUCCESS, f"Get of the header fails with {status:#x}")
    size = HEADER.size + sum(sizes(data))
    state = b""
    while len(state) < size:
        dwords = min(chunk, size - len(state)) // 4
        status, result, data = get_part(cntlid, len(state), dwords, version, uuid)
        check(status == SUCCESS, f"Get at {len(state)} fails with {status:#x}")
        check(result & 1, f"Get at {len(state)} says that the controller is not suspended")
        state += data
    return state


def pieces(state, chunk):
    """Return a list of (offset, data) of at most @chunk bytes each."""
    return [(at, state[at:at + chunk]) for at in range(0, len(state), chunk)]


def set_all(cntlid, state, version=1, uuid=1, chunk=16384):
    """Set the whole state. Return the status of the last command, or of the first that fails."""
    parts = pieces(state, chunk)
    status = SUCCESS
    for at, data in parts:
        seqind = FIRST * (at == 0) + LAST * (at == parts[-1][0])
        status = set_part(cntlid, data, seqind, at, version, uuid)
        if status != SUCCESS:
            break
    return status


def pack_queues(queues):
    """Return the NVMe Controller State that has @queues, a list of (kind, fields)."""
    found = {kind: [fields for k, fields in queues if k == kind] for kind in ("sq", "cq")}
    data = QUEUES.pack(0, len(found["sq"]), len(found["cq"]), 0)
    for fields in found["sq"]:
        data += SQ.pack(*(fields[name] for name in SQ_FIELDS), 0)
    for fields in found["cq"]:
        data += CQ.pack(*(fields[name] for name in CQ_FIELDS), 0)
    return data


def pack(queues=b"", vendor=b"", version=0, attributes=1):
    """Return a Controller State data structure."""
    return HEADER.pack(version, attributes, len(queues) // 4, 0, len(vendor) // 4, 0) + \
        queues + vendor


def split(state):
    """Return the NVMe Controller State and the vendor specific data."""
    queues, vendor = sizes(state)
    end = HEADER.size + queues
    check(len(state) == end + vendor, f"the state has {len(state)} bytes")
    return state[HEADER.size:end], state[end:]
