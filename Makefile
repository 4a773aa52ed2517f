# SPDX-License-Identifier: GPL-2.0-only
obj-$(CONFIG_NVME_VFIO_PCI) += nvme-vfio-pci.o
nvme-vfio-pci-y := main.o stream.o cmds.o

# The hook's header, also where the kernel has no copy of it in include/linux.
ccflags-y += -I$(src)/hook

# kbuild reads the lines above; the ones below are for people.
ifeq ($(KERNELRELEASE)$(obj),)
include selftests/bench/targets.mk
endif
