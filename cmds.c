// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submit commands on behalf of a VF: Identify of its PF, and the vendor's five
 * live migration commands, which nvme.txt describes.
 */

#include <kunit/static_stub.h>
#include <linux/align.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/nvme-vf.h>
#include <linux/nvme-vf-lm.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/wordpart.h>

#include "cmds.h"
#include "format.h"
#include "names.h"
#include "trace.h"

/* For how long a controller may be busy with other commands, and how often to ask */
#define NVMEVF_CMDS_BUSY_MS	10000
#define NVMEVF_CMDS_RESEND_MS	20

union nvmevf_cmd {
	struct nvme_command nvme;
	struct nvme_vf_command vf;
};

/* Send one command; trace and count its end, without a line in the log. */
static int nvmevf_cmds_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
			    const union nvmevf_cmd *cmd, void *buf,
			    unsigned int len, struct nvme_vf_result *res)
{
	u8 opcode = cmd->nvme.common.opcode;
	ktime_t began;
	u64 took_ns;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_send, ctrl, verb, cmd, buf, len,
				   res);

	trace_nvmevf_command_begin(ctrl->vf, verb, opcode, len);
	began = ktime_get();
	ret = nvme_submit_vf_cmd(ctrl->vf, &cmd->nvme, buf, len, res);
	took_ns = ktime_to_ns(ktime_sub(ktime_get(), began));
	trace_nvmevf_command(ctrl->vf, verb, opcode, len, ret, res->status,
			     took_ns);
	nvmevf_stats_command(&ctrl->stats, verb, opcode, ret, res->status,
			     took_ns);
	return ret;
}

/* Send a command again as long as the controller says that it is busy with others. */
static int nvmevf_cmds_resend(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
			      const union nvmevf_cmd *cmd, void *buf,
			      unsigned int len, struct nvme_vf_result *res)
{
	unsigned long end = jiffies + msecs_to_jiffies(NVMEVF_CMDS_BUSY_MS);
	int ret;

	for (;;) {
		ret = nvmevf_cmds_send(ctrl, verb, cmd, buf, len, res);
		if ((res->status & (NVME_STATUS_DNR | NVME_SCT_SC_MASK)) !=
		    NVME_SC_CMD_INTERRUPTED)
			return ret;

		/* Others may wait for the lock of a caller that was killed. */
		if (time_after(jiffies, end) || fatal_signal_pending(current))
			return ret;
		schedule_timeout_killable(msecs_to_jiffies(NVMEVF_CMDS_RESEND_MS));
	}
}

static void nvmevf_cmds_log(struct nvmevf_ctrl *ctrl, const char *name, int error,
			    u16 status)
{
	if (status)
		nvmevf_ctrl_err(ctrl, "%s failed: NVMe status %#x (%pe)\n",
				name, status, ERR_PTR(error));
	else
		nvmevf_ctrl_err(ctrl, "%s failed: %pe\n", name, ERR_PTR(error));
}

/* Have one command carried out; log an error. @result may be NULL. */
static int nvmevf_cmds_submit(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
			      const char *name, const union nvmevf_cmd *cmd,
			      void *buf, unsigned int len, u64 *result)
{
	struct nvme_vf_result res;
	int ret;

	ret = nvmevf_cmds_resend(ctrl, verb, cmd, buf, len, &res);
	if (ret)
		nvmevf_cmds_log(ctrl, name, ret, res.status);
	else if (result)
		*result = res.result;

	return ret;
}

/**
 * nvmevf_cmds_identify_ctrl() - Identify Controller of the PF
 * @ctrl: the VF's controller
 * @id: receives the data structure
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_identify_ctrl(struct nvmevf_ctrl *ctrl, struct nvme_id_ctrl *id)
{
	const union nvmevf_cmd cmd = {
		.nvme.identify.opcode = nvme_admin_identify,
		.nvme.identify.cns = NVME_ID_CNS_CTRL,
	};

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_IDENTIFY,
				  "Identify Controller", &cmd, id, sizeof(*id),
				  NULL);
}

/**
 * nvmevf_cmds_identify_secondary() - Secondary Controller List of the PF
 * @ctrl: the VF's controller
 * @cntid: the lowest controller ID to list
 * @list: receives up to 127 secondary controllers
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_identify_secondary(struct nvmevf_ctrl *ctrl, u16 cntid,
				   struct nvme_secondary_ctrl_list *list)
{
	const union nvmevf_cmd cmd = {
		.nvme.identify.opcode = nvme_admin_identify,
		.nvme.identify.cns = NVME_ID_CNS_SCNDRY_CTRL_LIST,
		.nvme.identify.ctrlid = cpu_to_le16(cntid),
	};

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_identify_secondary, ctrl, cntid,
				   list);

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_IDENTIFY,
				  "Identify Secondary Controller List", &cmd,
				  list, sizeof(*list), NULL);
}

/**
 * nvmevf_cmds_identify_ns() - Identify of namespaces, sent to the PF
 * @ctrl: the VF's controller
 * @cns: what to identify
 * @nsid: the namespace, or the one before the first to list
 * @cntid: the lowest controller ID to list
 * @data: receives 4096 bytes
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0; -EOPNOTSUPP, without a line in the log, if the PF has no such data; a
 * negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_identify_ns(struct nvmevf_ctrl *ctrl, u8 cns, u32 nsid,
			    u16 cntid, void *data)
{
	const union nvmevf_cmd cmd = {
		.nvme.identify.opcode = nvme_admin_identify,
		.nvme.identify.nsid = cpu_to_le32(nsid),
		.nvme.identify.cns = cns,
		.nvme.identify.ctrlid = cpu_to_le16(cntid),
	};
	struct nvme_vf_result res;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_identify_ns, ctrl, cns, nsid,
				   cntid, data);

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_IDENTIFY, &cmd, data,
				 NVME_IDENTIFY_DATA_SIZE, &res);
	if (!ret)
		return 0;

	switch (res.status & NVME_SCT_SC_MASK) {
	case NVME_SC_INVALID_OPCODE:
	case NVME_SC_INVALID_FIELD:
	case NVME_SC_INVALID_NS:
	case NVME_SC_INVALID_IO_CMD_SET:
		return -EOPNOTSUPP;
	}
	nvmevf_cmds_log(ctrl, "Identify of namespaces", ret, res.status);
	return ret;
}

/* Other vendors may use byte 3072 for anything, so it is not enough. */
static int nvmevf_cmds_check(struct nvmevf_ctrl *ctrl,
			     const struct nvme_id_ctrl *id)
{
	if (id->vs[0] != NVME_VF_MIGRATION_SUPPORTED)
		return -EOPNOTSUPP;

	return nvme_vf_check_migration(ctrl->vf);
}

/* The state must fit one command, because SAVE_DATA and LOAD_DATA have no offset. */
static int nvmevf_cmds_max_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	return nvme_vf_max_transfer(ctrl->vf, size);
}

static int nvmevf_cmds_query_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	const union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_query_data_size };
	u64 result;
	u32 max;
	int ret;

	ret = nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SIZE, "QUERY_DATA_SIZE",
				 &cmd, NULL, 0, &result);
	if (ret)
		return ret;

	*size = lower_32_bits(result);
	ret = nvmevf_cmds_max_size(ctrl, &max);
	if (ret)
		return ret;

	if (!*size) {
		nvmevf_ctrl_err(ctrl,
				"QUERY_DATA_SIZE failed: controller reported 0 bytes, expected at least 1\n");
		return -EIO;
	}
	if (*size > max) {
		nvmevf_ctrl_err(ctrl,
				"cannot migrate: %u bytes of controller state, one command carries %u\n",
				*size, max);
		return -E2BIG;
	}

	return 0;
}

static int nvmevf_cmds_suspend(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_suspend };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SUSPEND, "SUSPEND", &cmd,
				  NULL, 0, NULL);
}

static int nvmevf_cmds_resume(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_resume };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_RESUME, "RESUME", &cmd,
				  NULL, 0, NULL);
}

static int nvmevf_cmds_undo_suspend(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_resume };
	struct nvme_vf_result res;
	int ret;

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_RESUME, &cmd, NULL, 0, &res);
	/* Command Sequence Error: the VF is not suspended. */
	return ret == -EPROTO ? 0 : ret;
}

static int nvmevf_cmds_save(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	const union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_save_data };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SAVE, "SAVE_DATA", &cmd,
				  buf, ALIGN(size, sizeof(u32)), NULL);
}

static int nvmevf_cmds_load(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	const union nvmevf_cmd cmd = {
		.vf.opcode = nvme_vf_load_data,
		.vf.size = cpu_to_le32(size),
	};

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_LOAD, "LOAD_DATA", &cmd,
				  buf, ALIGN(size, sizeof(u32)), NULL);
}

const struct nvmevf_cmd_set nvmevf_cmds_vendor = {
	.id = NVMEVF_COMMAND_SET_VENDOR,
	.check = nvmevf_cmds_check,
	.query_size = nvmevf_cmds_query_size,
	.suspend = nvmevf_cmds_suspend,
	.resume = nvmevf_cmds_resume,
	.undo_suspend = nvmevf_cmds_undo_suspend,
	.save = nvmevf_cmds_save,
	.load = nvmevf_cmds_load,
	.max_size = nvmevf_cmds_max_size,
};

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/cmds_kunit.c"
#endif
