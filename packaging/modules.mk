# SPDX-License-Identifier: GPL-2.0
#
# make -f packaging/modules.mk [KDIR=DIR]: compile what hooked-nvme has left in nvme/,
# then the driver, for the kernel whose build directory DIR is. Of the nvme drivers only
# nvme.ko: the kernel's own nvme-core and the others stay as they are.
KDIR ?= /lib/modules/$(shell uname -r)/build

modules:
	$(MAKE) -C $(KDIR) M=$(CURDIR)/nvme KCPPFLAGS=-I$(CURDIR)/hook CONFIG_NVME_CORE= \
		CONFIG_NVME_FABRICS= CONFIG_NVME_RDMA= CONFIG_NVME_FC= CONFIG_NVME_TCP= modules
	$(MAKE) -C $(KDIR) M=$(CURDIR) CONFIG_NVME_VFIO_PCI=m \
		KBUILD_EXTRA_SYMBOLS=$(CURDIR)/nvme/Module.symvers modules
	rm -f *.mod.c	# or it passes for a source of ours
