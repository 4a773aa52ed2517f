/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The vendor specific commands that migrate an NVMe virtual function (VF).
 * nvme_submit_vf_cmd() writes the VF index, and lets the commands through if the
 * Commands Supported and Effects log of the PF lists all five as supported. It
 * returns -EOPNOTSUPP otherwise, and sends nothing: on the controllers of other
 * vendors the opcodes may mean anything.
 */
#ifndef _LINUX_NVME_VF_LM_H
#define _LINUX_NVME_VF_LM_H

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

/* Byte 3072 of Identify Controller, the first vendor specific byte. */
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
 * @vf_index: VF index, counted from 1; nvme_submit_vf_cmd() writes this field
 * @rsvd42: reserved
 * @size: LOAD_DATA: bytes of controller state in the data, at least 1 and at most
 *	the bytes of data
 * @rsvd48: reserved
 *
 * nvme_submit_vf_cmd() takes only the opcode and @size of LOAD_DATA from its
 * caller. SAVE_DATA and LOAD_DATA must have data, the other three must not.
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

static_assert(sizeof(struct nvme_vf_command) == sizeof(struct nvme_command));
static_assert(offsetof(struct nvme_vf_command, dptr) == 24);
static_assert(offsetof(struct nvme_vf_command, vf_index) == 40);
static_assert(offsetof(struct nvme_vf_command, size) == 44);

/**
 * nvme_vf_check_migration() - Test if the log of the PF lists the commands
 * @vf: the VF
 *
 * The log is the one that nvme read when the PF was initialized. The nvme of Linux
 * 7.3 reads one log for all controllers of an NVM subsystem, from the first of them.
 * Byte 3072 of Identify Controller is not tested.
 *
 * Context: Process context. May sleep, but sends no command.
 *
 * Return: 0; -EOPNOTSUPP if the log lacks at least one of the commands; -EINVAL if
 * @vf is not a VF; -ENODEV if its PF is not bound to nvme.
 */
int nvme_vf_check_migration(struct pci_dev *vf);

#endif /* _LINUX_NVME_VF_LM_H */
