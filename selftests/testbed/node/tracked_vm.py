# SPDX-License-Identifier: GPL-2.0
"""tracked_vm: QEMUs that are told which memory of the guest a VF writes

They have QEMU's default enable-migration, which refuses to migrate if nothing tracks the
memory, and its default downtime-limit, with which the precopy ends only if little memory is
written.
"""
from qemu_vm import SlottedVm


class LogVm(SlottedVm):
    """A QEMU over the type 1 IOMMU that asks the VF what the VF has written."""
    track, iommufd = "device", False


class NoLogVm(SlottedVm):
    """A QEMU that does not ask the VF."""

    def device(self, number, vf):
        return f"{super().device(number, vf)},x-device-dirty-page-tracking=off"


class BitsVm(NoLogVm):
    """A QEMU over iommufd that asks the IOMMU."""
    track, iommufd = "iommu", True
