/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the VFIO core of some kernels wants and that of older ones lacks. The
 * Makefile looks into the kernel's headers. Not for a kernel tree of its own:
 * there the initializers belong into main.c.
 */
#ifndef NVMEVF_COMPAT_H
#define NVMEVF_COMPAT_H

#ifdef NVMEVF_HAVE_REGION_INFO_CAPS
#define NVMEVF_COMPAT_REGION_INFO \
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
#else
#define NVMEVF_COMPAT_REGION_INFO
#endif

#ifdef NVMEVF_HAVE_MATCH_TOKEN
#define NVMEVF_COMPAT_MATCH_TOKEN \
	.match_token_uuid = vfio_pci_core_match_token_uuid,
#else
#define NVMEVF_COMPAT_MATCH_TOKEN
#endif

#endif /* NVMEVF_COMPAT_H */
