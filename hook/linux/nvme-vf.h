/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What nvme-pci offers to the VFIO driver of an NVMe virtual function (VF): the
 * live migration commands, sent on behalf of the VF through the admin queue of
 * its physical function (PF).
 */
#ifndef _LINUX_NVME_VF_H
#define _LINUX_NVME_VF_H

#include <linux/build_bug.h>
#include <linux/nvme.h>
#include <linux/stddef.h>
#include <linux/types.h>

struct pci_dev;

enum nvme_vf_opcode {
	nvme_vf_query_data_size	= 0xc4,
	nvme_vf_suspend		= 0xc8,
	nvme_vf_resume		= 0xcc,
	nvme_vf_save_data	= 0xd2,
	nvme_vf_load_data	= 0xd5,
};

/* Byte 3072 of Identify Controller, the first of the vendor specific ones. */
enum {
	NVME_VF_MIGRATION_UNSUPPORTED	= 0x00,
	NVME_VF_MIGRATION_SUPPORTED	= 0x01,
};

/**
 * struct nvme_vf_command - submission queue entry of the five commands
 * @opcode: one of enum nvme_vf_opcode
 * @flags: FUSE and PSDT
 * @command_id: command identifier
 * @rsvd4: reserved
 * @dptr: data pointer of SAVE_DATA and LOAD_DATA
 * @vf_index: the VF, counted from 1; nvme_submit_vf_cmd() fills it in
 * @rsvd42: reserved
 * @size: LOAD_DATA: bytes of state to be loaded
 * @rsvd48: reserved
 */
struct nvme_vf_command {
	__u8			opcode;
	__u8			flags;
	__u16			command_id;
	__u8			rsvd4[20];
	union nvme_data_ptr	dptr;
	__le16			vf_index;
	__u8			rsvd42[2];
	__le32			size;
	__u8			rsvd48[16];
};

/**
 * struct nvme_secondary_ctrl - entry of the Secondary Controller List
 * @scid: secondary controller identifier
 * @pcid: primary controller identifier
 * @scs: secondary controller state; bit 0: online
 * @rsvd5: reserved
 * @vfn: virtual function number, counted from 1
 * @nvq: VQ flexible resources, i.e. queue pairs, that are assigned
 * @nvi: VI flexible resources, i.e. interrupt vectors, that are assigned
 * @rsvd14: reserved
 */
struct nvme_secondary_ctrl {
	__le16			scid;
	__le16			pcid;
	__u8			scs;
	__u8			rsvd5[3];
	__le16			vfn;
	__le16			nvq;
	__le16			nvi;
	__u8			rsvd14[18];
};

/**
 * struct nvme_secondary_ctrl_list - Secondary Controller List, CNS 15h
 * @num: number of entries
 * @rsvd1: reserved
 * @entry: by rising controller identifier
 */
struct nvme_secondary_ctrl_list {
	__u8				num;
	__u8				rsvd1[31];
	struct nvme_secondary_ctrl	entry[127];
};

static_assert(sizeof(struct nvme_secondary_ctrl) == 32);
static_assert(sizeof(struct nvme_secondary_ctrl_list) == NVME_IDENTIFY_DATA_SIZE);
static_assert(sizeof(struct nvme_vf_command) == sizeof(struct nvme_command));
static_assert(offsetof(struct nvme_vf_command, dptr) == 24);
static_assert(offsetof(struct nvme_vf_command, vf_index) == 40);
static_assert(offsetof(struct nvme_vf_command, size) == 44);

int nvme_submit_vf_cmd(struct pci_dev *vf, const struct nvme_command *cmd,
		       u32 *result, void *buf, unsigned int len);
int nvme_vf_max_transfer(struct pci_dev *vf, unsigned int *bytes);
int nvme_vf_epoch(struct pci_dev *vf, u64 *epoch);

#endif /* _LINUX_NVME_VF_H */
