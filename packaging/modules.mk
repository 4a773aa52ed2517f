# SPDX-License-Identifier: GPL-2.0
#
# make -f packaging/modules.mk [KDIR=DIR]: compile nvme.ko in nvme/, which hooked-nvme
# has made, and the driver, for the kernel that has the build directory DIR. Of the nvme
# drivers only nvme.ko is compiled: the kernel keeps its own nvme-core.ko and the others.
KDIR ?= /lib/modules/$(shell uname -r)/build
# The sources of the driver. dkms has patched them for the kernel and passes ".".
DRIVER ?= nvme/vfio
series = $(shell $(MAKE) -s --no-print-directory -C $(KDIR) kernelversion | cut -d. -f1,2)
patch = $(wildcard hook/$(series)/driver.patch)

.PHONY: modules nvme/vfio
modules: $(DRIVER)
	$(MAKE) -C $(KDIR) M=$(CURDIR)/nvme KCPPFLAGS=-I$(CURDIR)/hook CONFIG_NVME_CORE= \
		CONFIG_NVME_FABRICS= CONFIG_NVME_RDMA= CONFIG_NVME_FC= CONFIG_NVME_TCP= modules
	$(MAKE) -C $(KDIR) M=$(abspath $(DRIVER)) KCPPFLAGS=-I$(CURDIR)/hook \
		CONFIG_NVME_VFIO_PCI=m KBUILD_EXTRA_SYMBOLS=$(CURDIR)/nvme/Module.symvers modules
	test $(DRIVER) = . || cp $(DRIVER)/nvme-vfio-pci.ko .

# A copy: the patch must not change the sources.
nvme/vfio:
	rm -rf $@
	mkdir $@
	cp -r Makefile *.c *.h Kconfig tests $@
	test -z "$(patch)" || patch -d $@ -p1 --batch --forward < $(patch)
