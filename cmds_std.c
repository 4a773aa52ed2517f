// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live migration commands of NVMe Base 2.1: Migration Send and Migration Receive.
 * cmds_track.c has Track Send and Track Receive. nvme.txt says what a controller must
 * have, and which choices are made here.
 *
 * A controller state begins with a header that tells its size. It is transferred in
 * chunks, each of which has an offset, so it may be larger than one command can carry.
 */

#include <linux/align.h>
#include <linux/build_bug.h>
#include <linux/math.h>
#include <linux/mm.h>
#include <linux/nvme-vf.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/wordpart.h>

#include "cmds.h"
#include "format.h"
#include "names.h"

/* Optional Admin Command Support: Host Managed Live Migration Support */
#define NVMEVF_STD_HMLMS	BIT(11)

/* The only version of the NVMe Controller State that Base 2.1 defines */
#define NVMEVF_STD_VERSION	0

/* The largest controller state. It is in memory that the user is charged for. */
#define NVMEVF_STD_MAX_SIZE	SZ_16M

#define NVMEVF_STD_NOT_SUSPENDED	0x13a

/* Secondary Controller State, in the Secondary Controller List */
#define NVMEVF_STD_ONLINE	BIT(0)

/* Fields of the commands */
#define NVMEVF_STD_SUSPEND	BIT(16)	/* STYPE in CDW11; 0 is a notification */
#define NVMEVF_STD_FIRST	BIT(16)	/* SEQIND in CDW10 */
#define NVMEVF_STD_LAST		BIT(17)
#define NVMEVF_STD_CSUP		BIT(0)	/* in dword 0 of the completion */

/* The Controller State data structure, without the parts that follow */
struct nvmevf_std_header {
	__le16	version;
	__u8	attributes;
	__u8	rsvd3[13];
	__le64	nvmecss[2];	/* dwords of NVMe Controller State */
	__le64	vss[2];		/* dwords of vendor specific data */
};

static_assert(sizeof(struct nvmevf_std_header) == 48);

/* Dwords of an NVMe Controller State without queues */
#define NVMEVF_STD_NO_QUEUES	2

/* Supported Controller State Formats: the numbers of versions and UUIDs come first. */
struct nvmevf_std_formats {
	__u8	versions;
	__u8	uuids;
	__u8	list[NVME_IDENTIFY_DATA_SIZE - 2];
};

static int nvmevf_std_check(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id)
{
	return le16_to_cpu(id->oacs) & NVMEVF_STD_HMLMS ? 0 : -EOPNOTSUPP;
}

/* Return the index of the version that the driver knows, from 1, or 0. */
static u8 nvmevf_std_find_version(const struct nvmevf_std_formats *formats)
{
	const __le16 *versions = (const void *)formats->list;
	unsigned int i;

	for (i = 0; i < formats->versions; i++)
		if (le16_to_cpu(versions[i]) == NVMEVF_STD_VERSION)
			return i + 1;
	return 0;
}

/*
 * The NVMe Controller State leaves out the admin queue, registers and features. So a
 * state is complete only with the vendor specific data, whose format the UUID tells.
 */
static int nvmevf_std_read_formats(const struct nvmevf_std_formats *formats,
				   struct nvmevf_format *format,
				   const char **missing)
{
	struct nvmevf_format found = {
		.version = NVMEVF_STD_VERSION,
		.version_index = nvmevf_std_find_version(formats),
		.uuid_index = 1,
	};

	if (!found.version_index) {
		*missing = "controller has no state version that the driver knows";
		return -EOPNOTSUPP;
	}

	memcpy(found.uuid, formats->list + formats->versions * sizeof(__le16),
	       sizeof(found.uuid));
	if (!formats->uuids || !memchr_inv(found.uuid, 0, sizeof(found.uuid))) {
		*missing = "controller has no UUID, so its state leaves out the admin queue";
		return -EOPNOTSUPP;
	}
	*format = found;
	return 0;
}

static int nvmevf_std_find_format(struct nvmevf_ctrl *ctrl,
				  struct nvmevf_format *format,
				  const char **missing)
{
	const struct nvme_command cmd = {
		.identify.opcode = nvme_admin_identify,
		.identify.cns = NVME_VF_CNS_STATE_FORMATS,
	};
	struct nvmevf_std_formats *formats;
	struct nvme_vf_result res;
	int ret;

	formats = kzalloc_obj(*formats, GFP_KERNEL);
	if (!formats)
		return -ENOMEM;

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_IDENTIFY, &cmd, formats,
				 sizeof(*formats), &res);
	/* A PF without this data structure may have the other command set. */
	if (!ret || (res.status & NVME_SCT_SC_MASK) == NVME_SC_INVALID_FIELD)
		ret = nvmevf_std_read_formats(formats, format, missing);
	else
		nvmevf_cmds_log(ctrl, "Identify Supported Controller State Formats",
				ret, res.status);
	kfree(formats);
	return ret;
}

static int nvmevf_std_suspend(struct nvmevf_ctrl *ctrl)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_migration_send,
		.common.cdw10 = cpu_to_le32(NVME_VF_SEND_SUSPEND),
		.common.cdw11 = cpu_to_le32(NVMEVF_STD_SUSPEND),
	};

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SUSPEND, "Suspend", &cmd, NULL,
				  0, NULL);
}

/* Succeed also if the VF is not suspended. */
static int nvmevf_std_send_resume(struct nvmevf_ctrl *ctrl, u16 *status)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_migration_send,
		.common.cdw10 = cpu_to_le32(NVME_VF_SEND_RESUME),
	};
	struct nvme_vf_result res;
	int ret;

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_RESUME, &cmd, NULL, 0, &res);
	*status = res.status;
	return (res.status & NVME_SCT_SC_MASK) == NVMEVF_STD_NOT_SUSPENDED ? 0 : ret;
}

/* Fail for a VF that is offline: it is not suspended, but it does not run either. */
static int nvmevf_std_check_online(struct nvmevf_ctrl *ctrl)
{
	struct nvme_secondary_ctrl secondary = { };
	int ret;

	ret = nvmevf_cmds_find_secondary(ctrl, pci_iov_vf_id(ctrl->vf) + 1,
					 &secondary);
	if (ret || secondary.scs & NVMEVF_STD_ONLINE)
		return ret;

	nvmevf_ctrl_err(ctrl, "Resume failed: VF is offline\n");
	return -EIO;
}

static int nvmevf_std_resume(struct nvmevf_ctrl *ctrl)
{
	u16 status;
	int ret;

	ret = nvmevf_std_send_resume(ctrl, &status);
	if (ret)
		nvmevf_cmds_log(ctrl, "Resume", ret, status);
	else if (status)
		/* A VF whose owner has reset its controller runs already. */
		ret = nvmevf_std_check_online(ctrl);
	return ret;
}

static int nvmevf_std_undo_suspend(struct nvmevf_ctrl *ctrl)
{
	u16 status;

	return nvmevf_std_send_resume(ctrl, &status);
}

/* Read a part of the controller state. @suspended: fail if the VF is not. */
static int nvmevf_std_get(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
			  void *buf, u64 offset, u32 len, bool suspended)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_migration_recv,
		.common.cdw10 = cpu_to_le32(NVME_VF_RECV_GET_STATE |
					    ctrl->format.version_index << 16),
		.common.cdw11 = cpu_to_le32(ctrl->format.uuid_index << 16),
		.common.cdw12 = cpu_to_le32(lower_32_bits(offset)),
		.common.cdw13 = cpu_to_le32(upper_32_bits(offset)),
	};
	u64 result;
	int ret;

	ret = nvmevf_cmds_submit(ctrl, verb, "Get Controller State", &cmd, buf, len,
				 &result);
	if (ret)
		return ret;

	/* The owner of the VF ends the suspension if it resets the controller. */
	if (suspended && !(result & NVMEVF_STD_CSUP)) {
		nvmevf_ctrl_err(ctrl,
				"Get Controller State failed: VF is not suspended, its owner has reset it\n");
		return -EIO;
	}
	return 0;
}

/* Return the size that a header declares, or 0 if it is larger than the limit. */
static u32 nvmevf_std_declared(const struct nvmevf_std_header *header)
{
	u64 queues = le64_to_cpu(header->nvmecss[0]);
	u64 vendor = le64_to_cpu(header->vss[0]);
	const u64 max = (NVMEVF_STD_MAX_SIZE - sizeof(*header)) / sizeof(u32);

	if (header->nvmecss[1] || header->vss[1] || queues > max ||
	    vendor > max - queues)
		return 0;
	return sizeof(*header) + sizeof(u32) * (queues + vendor);
}

/* Check a header, whichever controller or host it is from. */
static int nvmevf_std_check_header(struct nvmevf_ctrl *ctrl, const char *name,
				   const struct nvmevf_std_header *header,
				   u32 *size)
{
	if (header->version) {
		nvmevf_ctrl_err(ctrl, "%s failed: Controller State has version %u, expected 0\n",
				name, le16_to_cpu(header->version));
		return -EINVAL;
	}

	*size = nvmevf_std_declared(header);
	if (!*size) {
		nvmevf_ctrl_err(ctrl,
				"cannot migrate: %llu and %llu dwords of controller state, limit %u bytes\n",
				le64_to_cpu(header->nvmecss[0]),
				le64_to_cpu(header->vss[0]), NVMEVF_STD_MAX_SIZE);
		return -E2BIG;
	}
	return 0;
}

static int nvmevf_std_get_header(struct nvmevf_ctrl *ctrl, bool suspended,
				 u64 *queues, u32 *size)
{
	struct nvmevf_std_header *header;
	int ret;

	header = kzalloc_obj(*header, GFP_KERNEL);
	if (!header)
		return -ENOMEM;

	ret = nvmevf_std_get(ctrl, NVMEVF_VERB_SIZE, header, 0, sizeof(*header),
			     suspended);
	if (!ret)
		ret = nvmevf_std_check_header(ctrl, "Get Controller State", header,
					      size);
	if (!ret)
		*queues = le64_to_cpu(header->nvmecss[0]);
	kfree(header);
	return ret;
}

static int nvmevf_std_query_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	u64 queues;

	return nvmevf_std_get_header(ctrl, false, &queues, size);
}

static int nvmevf_std_has_queues(struct nvmevf_ctrl *ctrl, bool *has_queues)
{
	u64 queues;
	u32 size;
	int ret;

	ret = nvmevf_std_get_header(ctrl, true, &queues, &size);
	if (!ret)
		*has_queues = queues != NVMEVF_STD_NO_QUEUES;
	return ret;
}

static int nvmevf_std_max_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	*size = NVMEVF_STD_MAX_SIZE;
	return 0;
}

/* Whole pages, because the data of a command is copied if it is not page aligned. */
static int nvmevf_std_chunk_size(struct nvmevf_ctrl *ctrl, u32 *chunk)
{
	u32 max;
	int ret;

	ret = nvmevf_cmds_max_transfer(ctrl, &max);
	if (!ret)
		*chunk = round_down(max, max < PAGE_SIZE ? sizeof(u32) : PAGE_SIZE);
	return ret;
}

static int nvmevf_std_save(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	u32 offset, len, chunk, declared;
	int ret;

	ret = nvmevf_std_chunk_size(ctrl, &chunk);
	if (ret)
		return ret;

	/* Nothing is read from beyond the end, which has undefined bytes. */
	for (offset = 0; offset < size; offset += len) {
		len = min(chunk, size - offset);
		ret = nvmevf_std_get(ctrl, NVMEVF_VERB_SAVE, buf + offset, offset,
				     len, true);
		if (ret)
			return ret;
	}

	ret = nvmevf_std_check_header(ctrl, "Get Controller State", buf, &declared);
	if (ret)
		return ret;
	if (declared != size) {
		nvmevf_ctrl_err(ctrl,
				"Get Controller State failed: %u bytes of controller state, %u before\n",
				declared, size);
		return -EIO;
	}
	return 0;
}

static int nvmevf_std_set(struct nvmevf_ctrl *ctrl, void *buf, u32 offset, u32 len,
			  u32 seqind)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_migration_send,
		.common.cdw10 = cpu_to_le32(NVME_VF_SEND_SET_STATE | seqind),
		.common.cdw11 = cpu_to_le32(ctrl->format.version_index << 16 |
					    (u32)ctrl->format.uuid_index << 24),
		.common.cdw12 = cpu_to_le32(offset),
	};

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_LOAD, "Set Controller State",
				  &cmd, buf, len, NULL);
}

static int nvmevf_std_load(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	u32 offset, len, chunk, seqind, declared = 0;
	int ret;

	/* The state is from another host. */
	if (size >= sizeof(struct nvmevf_std_header)) {
		ret = nvmevf_std_check_header(ctrl, "Set Controller State", buf,
					      &declared);
		if (ret)
			return ret;
	}
	if (declared != size) {
		nvmevf_ctrl_err(ctrl,
				"Set Controller State failed: %u bytes of controller state, its header declares %u\n",
				size, declared);
		return -EINVAL;
	}

	ret = nvmevf_std_chunk_size(ctrl, &chunk);
	if (ret)
		return ret;

	for (offset = 0; offset < size; offset += len) {
		len = min(chunk, size - offset);
		seqind = offset ? 0 : NVMEVF_STD_FIRST;
		if (offset + len == size)
			seqind |= NVMEVF_STD_LAST;
		ret = nvmevf_std_set(ctrl, buf + offset, offset, len, seqind);
		if (ret)
			return ret;
	}
	return 0;
}

const struct nvmevf_cmd_set nvmevf_cmds_std = {
	.id = NVMEVF_COMMAND_SET_STANDARD,
	.name = "standard",
	.check = nvmevf_std_check,
	.find_format = nvmevf_std_find_format,
	.has_queues = nvmevf_std_has_queues,
	.query_size = nvmevf_std_query_size,
	.suspend = nvmevf_std_suspend,
	.resume = nvmevf_std_resume,
	.undo_suspend = nvmevf_std_undo_suspend,
	.save = nvmevf_std_save,
	.load = nvmevf_std_load,
	.max_size = nvmevf_std_max_size,
	.track_limits = nvmevf_track_limits,
	.track_start = nvmevf_track_start,
	.track_read = nvmevf_track_read,
	.track_stop = nvmevf_track_stop,
};

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/std_kunit.c"
#endif
