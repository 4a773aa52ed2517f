# SPDX-License-Identifier: GPL-2.0
"""faults: make the device model misbehave

COMMAND and FAULT hold the numbers of qemu/faults.def by name: COMMAND["SAVE"] is an
opcode, COMMAND["STD_GET"] the code of a verb, FAULT["DELAY"] a kind of fault.
STANDARD_VERBS has the verbs that take the place of the vendor's commands.
"""
import os
import re

from vfs import nvme, pf_device, read, vf_number

LINES = re.findall(r"^(COMMAND|VERB|FAULT)\((\w+), *(\w+)\)",
                   read(os.path.join(os.environ["TESTBED_DIR"], "faults.def")), re.M)
COMMAND, FAULT = ({name: int(value, 0) for macro, name, value in LINES if macro in tables}
                  for tables in (("COMMAND", "VERB"), ("FAULT",)))
STANDARD_VERBS = {"QUERY": "STD_SIZE", "SUSPEND": "STD_SUSPEND", "RESUME": "STD_RESUME",
                  "SAVE": "STD_GET", "LOAD": "STD_SET"}


def set_fault(vf, command, fault, value=0, times=0):
    """Apply @fault with its @value to @command of @vf, @times times. 0 means always.

    If the driver was told to use the standard's set, a command of the vendor's stands for
    that which takes its place.
    """
    if os.environ.get("NVMEVF_SET") == "standard":
        command = STANDARD_VERBS.get(command, command)
    # Set Features of a vendor-specific feature, see qemu/faults.def
    word = vf_number(vf) | COMMAND[command] << 16 | FAULT[fault] << 24
    nvme("admin-passthru", pf_device(), "-O", "9", "--cdw10=0xc0", f"--cdw11={word}",
         f"--cdw12={value}", f"--cdw13={times}")
