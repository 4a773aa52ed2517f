# SPDX-License-Identifier: GPL-2.0
"""vfs: the PF and the VFs of the host VM"""
import os
import subprocess

from tap import check

DRIVER = "nvme-vfio-pci"
MODULE = "nvme_vfio_pci"
PCI = "/sys/bus/pci"
PF = os.environ["TESTBED_PF"]
VFS = os.environ["TESTBED_VFS"].split()


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


def write(path, text):
    with open(path, "w") as file:
        file.write(text)


def driver(vf):
    """Return the name of the driver that @vf is bound to, or "none"."""
    path = f"{PCI}/devices/{vf}/driver"
    return os.path.basename(os.path.realpath(path)) if os.path.exists(path) else "none"


def check_driver(vf, expected):
    check(driver(vf) == expected, f"{vf} is bound to {driver(vf)}, expected {expected}")


def unbind(vf):
    """Unbind @vf from its driver if the VF has one."""
    if driver(vf) != "none":
        write(f"{PCI}/devices/{vf}/driver/unbind", vf)


def bind(*vfs):
    """Bind VFs to the driver."""
    for vf in vfs:
        write(f"{PCI}/devices/{vf}/driver_override", DRIVER)
        unbind(vf)
        write(f"{PCI}/drivers_probe", vf)
        check_driver(vf, DRIVER)


def nvme(*args):
    """Run nvme-cli."""
    done = subprocess.run(["nvme", *args], capture_output=True, text=True, check=False)
    check(done.returncode == 0, f"nvme {' '.join(args)} failed: {done.stdout}{done.stderr}")


def pf_device():
    """Return the device file of the PF."""
    return "/dev/" + os.listdir(f"{PCI}/devices/{PF}/nvme")[0]


def fill_pf(count):
    """Remove the VFs. Let the PF hold @count flexible queues, and vectors, as when delivered."""
    write(f"{PCI}/devices/{PF}/sriov_numvfs", "0")
    number = read(f"/sys/class/nvme/{os.path.basename(pf_device())}/cntlid").strip()
    for resource in ("0", "1"):
        nvme("virt-mgmt", pf_device(), "-c", number, "-r", resource, "-n", str(count), "-a", "1")
    write(f"{PCI}/devices/{PF}/reset", "1")


def vf_number(vf):
    """Return the number of @vf, and of its secondary controller. The first VF has number 1."""
    return next(number for number in range(1, len(VFS) + 1)
                if os.path.realpath(f"{PCI}/devices/{PF}/virtfn{number - 1}").endswith(vf))


def set_resources(vf, queues, vectors):
    """Give @vf this number of queue pairs and vectors, and bind the VF to the driver."""
    unbind(vf)
    controller = ("virt-mgmt", pf_device(), "-c", str(vf_number(vf)))
    nvme(*controller, "-a", "7")
    nvme(*controller, "-r", "0", "-a", "8", "-n", str(queues))
    nvme(*controller, "-r", "1", "-a", "8", "-n", str(vectors))
    nvme(*controller, "-a", "9")
    bind(vf)


def set_attached(vf, nsid, attached):
    """Attach namespace @nsid to @vf, or detach the namespace."""
    nvme("attach-ns" if attached else "detach-ns", pf_device(), "-n", str(nsid),
         "-c", str(vf_number(vf)))
