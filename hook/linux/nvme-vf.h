/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface of nvme-pci for the VFIO driver of an NVMe virtual function (VF).
 *
 * A VF that is assigned to a guest has no queue of the host's. The commands that
 * concern the VF go to the admin queue of its physical function (PF) instead.
 *
 * nvme_submit_vf_cmd() lets only the commands of a table through. The function
 * takes from the caller only the fields that the table names, and writes the name
 * of the VF (the VF index, for example) itself. So a driver can change only its own
 * VF, and can read nothing of other VFs but their resources and namespaces.
 *
 * Locks: a caller may hold any sleeping lock except one that a reset of the PF or
 * its remove() takes. The functions take no device lock. They hold no lock while
 * a command is under way.
 */
#ifndef _LINUX_NVME_VF_H
#define _LINUX_NVME_VF_H

#include <linux/build_bug.h>
#include <linux/nvme.h>
#include <linux/types.h>

struct pci_dev;

/**
 * struct nvme_secondary_ctrl - entry of the Secondary Controller List
 * @scid: secondary controller identifier
 * @pcid: primary controller identifier
 * @scs: secondary controller state; bit 0: online
 * @rsvd5: reserved
 * @vfn: virtual function number, counted from 1
 * @nvq: VQ flexible resources (queue pairs) that are assigned
 * @nvi: VI flexible resources (interrupt vectors) that are assigned
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
 * @entry: entries in ascending order of the controller identifier
 */
struct nvme_secondary_ctrl_list {
	__u8				num;
	__u8				rsvd1[31];
	struct nvme_secondary_ctrl	entry[127];
};

static_assert(sizeof(struct nvme_secondary_ctrl) == 32);
static_assert(sizeof(struct nvme_secondary_ctrl_list) == NVME_IDENTIFY_DATA_SIZE);

/* Live migration commands of NVMe Base 2.1, and their selectors */
enum nvme_vf_migration_opcode {
	nvme_vf_track_send	= 0x3d,
	nvme_vf_track_recv	= 0x3e,
	nvme_vf_migration_send	= 0x41,
	nvme_vf_migration_recv	= 0x42,
};

enum {
	NVME_VF_TRACK_MEMORY	= 0x1,
	NVME_VF_TRACKED_MEMORY	= 0x0,
	NVME_VF_SEND_SUSPEND	= 0x0,
	NVME_VF_SEND_RESUME	= 0x1,
	NVME_VF_SEND_SET_STATE	= 0x2,
	NVME_VF_RECV_GET_STATE	= 0x0,
};

/**
 * struct nvme_vf_track - data of Track Send, Track Memory Changes, without descriptors
 * @version: version of the data structure, 0
 * @rsvd1: reserved
 * @granularity: binary logarithm of the units of 4 KiB in which changes are tracked
 * @count: number of descriptors that follow, 12 bytes each
 *
 * The command has no length: the controller reads as many descriptors as @count says.
 */
struct nvme_vf_track {
	__u8	version;
	__u8	rsvd1[2];
	__u8	granularity;
	__le32	count;
};

#define NVME_VF_TRACK_DESC_SIZE	12

static_assert(sizeof(struct nvme_vf_track) == 8);

/* Identify: Supported Controller State Formats */
#define NVME_VF_CNS_STATE_FORMATS	0x20

/**
 * struct nvme_vf_result - completion of a command
 * @result: dwords 0 and 1 of the completion queue entry, also of a command that
 *	failed; 0 if the controller did not answer
 * @status: status field of the completion queue entry without the phase tag; 0 if
 *	the command succeeded or the controller did not answer
 */
struct nvme_vf_result {
	u64 result;
	u16 status;
};

/**
 * nvme_submit_vf_cmd() - Send an admin command for a VF to the PF
 * @vf: the VF, bound to the driver of the caller
 * @cmd: the command. Identify is let through for these data structures, and these
 *	fields are taken from @cmd besides the opcode and CNS:
 *	* 01h, Identify Controller: none
 *	* 03h, Namespace Identification Descriptor list: NSID
 *	* 10h, Allocated Namespace ID list: NSID
 *	* 11h, Identify Namespace for an allocated NSID: NSID
 *	* 12h, list of the controllers that a namespace is attached to: NSID, CNTID
 *	* 15h, Secondary Controller List: CNTID
 *	* 20h, Supported Controller State Formats: none
 *
 *	These describe the PF and its subsystem, and change nothing. Migration Send,
 *	Migration Receive, Track Send and Track Receive are let through for these
 *	selectors:
 *	* Suspend: STYPE (notification or suspend)
 *	* Resume: none
 *	* Set Controller State: SEQIND, CSVI, CSUUIDI, offset
 *	* Get Controller State: CSVI, CSUUIDI, offset
 *	* Track Memory Changes: TACT (start or stop)
 *	* Tracked Memory Changes: none
 *
 *	The function writes the controller ID of the VF, which it finds in the Secondary
 *	Controller List of the PF, and the number of dwords, which is @len. CNS 20h and
 *	these commands need HMLMS (OACS bit 11) of the PF.
 *	linux/nvme-vf-lm.h has more commands.
 * @buf: data to send, or memory for the data to receive; NULL for a command
 *	without data. Page aligned memory is not copied. vmalloc() memory is
 *	allowed.
 * @len: bytes in @buf, at most what nvme_vf_max_transfer() returns; Identify: 4096;
 *	Set and Get Controller State, Tracked Memory Changes: a multiple of 4; Track
 *	Memory Changes, start or stop: struct nvme_vf_track and all its descriptors
 * @result: dwords and status of the completion, written in any case; may be NULL
 *
 * Context: Process context. Sleeps until the command ends, for up to twice the
 * admin timeout of the PF. While 16 other commands for VFs of the PF are under
 * way, the function first waits for one of these to end; a fatal signal ends
 * that wait.
 *
 * Return: 0, or a negative errno. The function itself returns:
 * * -EINVAL: @vf is not a VF, or the fields of @cmd, @buf or @len are not allowed
 * * -EPERM: the opcode is not let through
 * * -EOPNOTSUPP: the PF does not list the command as supported; the command was not
 *   sent, and @result has no status
 * * -EMSGSIZE: @len is more than one command can carry
 * * -ENXIO: the Secondary Controller List does not have the VF as one of the PF
 * * -ENODEV: the PF is not bound to nvme, or is dead or being removed
 * * -EAGAIN: the PF is being reset, or the caller was killed; the command was not
 *   sent
 * * -ECANCELED: a reset of the PF canceled the command, which may have been
 *   carried out
 * * other errors of the block layer, for example -ENOMEM
 *
 * If the command that asks for the controller ID fails, the function returns that error,
 * and @result is the completion of that command.
 *
 * For an error status of the controller, which is in @result, it returns:
 * * -EOPNOTSUPP: Invalid Command Opcode
 * * -EINVAL: Invalid Field in Command
 * * -EPROTO: Command Sequence Error; -EPROTO has no other cause
 * * -EIO: any other status
 */
int nvme_submit_vf_cmd(struct pci_dev *vf, const struct nvme_command *cmd,
		       void *buf, unsigned int len,
		       struct nvme_vf_result *result);

/**
 * nvme_vf_max_transfer() - Return how much data one command can carry
 * @vf: the VF
 * @bytes: the limit in bytes, for page aligned memory; from the limits of the
 *	admin queue of the PF
 *
 * Context: Process context. May sleep, but sends no command.
 *
 * Return: 0, -EINVAL if @vf is not a VF, or -ENODEV if its PF is not bound to nvme.
 */
int nvme_vf_max_transfer(struct pci_dev *vf, unsigned int *bytes);

/**
 * nvme_vf_epoch() - Return a number that changes with each reset of the PF
 * @vf: the VF
 * @epoch: the number. The PF gets a new one when it is bound, and at each reset
 *	before the controller loses anything. No number is used twice. If the
 *	number has changed, the effects of all earlier commands may be lost.
 *
 * Context: Process context. May sleep, but sends no command.
 *
 * Return: 0, -EINVAL if @vf is not a VF, or -ENODEV if its PF is not bound to nvme.
 */
int nvme_vf_epoch(struct pci_dev *vf, u64 *epoch);

#endif /* _LINUX_NVME_VF_H */
