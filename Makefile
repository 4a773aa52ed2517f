# SPDX-License-Identifier: GPL-2.0-only
obj-$(CONFIG_NVME_VFIO_PCI) += nvme-vfio-pci.o
nvme-vfio-pci-y := main.o dirty.o save.o load.o stream.o image.o ctrl.o cmds.o \
		   cmds_std.o cmds_track.o cmds_vendor.o
nvme-vfio-pci-$(CONFIG_VFIO_DEBUGFS) += stats.o
# define_trace.h includes trace.h again
CFLAGS_main.o := -I$(src)
