# SPDX-License-Identifier: GPL-2.0-only
ifneq ($(KERNELRELEASE)$(obj),)

obj-$(CONFIG_NVME_VFIO_PCI) += nvme-vfio-pci.o
nvme-vfio-pci-y := main.o stream.o cmds.o
nvme-vfio-pci-$(CONFIG_VFIO_DEBUGFS) += stats.o
# trace.h includes itself
CFLAGS_main.o := -I$(src)

# The hook's header, also where the kernel has no copy of it in include/linux.
ccflags-y += -I$(src)/hook

# For compat.h: has struct vfio_device_ops got the member?
nvmevf-ops = $(if $(shell grep -w $(1) $(srctree)/include/linux/vfio.h),-D$(2))
ccflags-y += $(call nvmevf-ops,get_region_info_caps,NVMEVF_HAVE_REGION_INFO_CAPS)
ccflags-y += $(call nvmevf-ops,match_token_uuid,NVMEVF_HAVE_MATCH_TOKEN)

else # not kbuild: what people call

include selftests/testbed/host/targets.mk

endif
