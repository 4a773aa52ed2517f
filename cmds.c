// SPDX-License-Identifier: GPL-2.0-only
/*
 * Submit commands on behalf of a VF: log, trace and count them; and Identify of its PF.
 */

#include <kunit/static_stub.h>
#include <linux/array_size.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/minmax.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "cmds.h"
#include "names.h"
#include "trace.h"

/* For how long a controller may be busy with other commands, and how often to ask */
#define NVMEVF_CMDS_BUSY_MS	10000
#define NVMEVF_CMDS_RESEND_MS	20

/**
 * nvmevf_cmds_send() - Send a command; trace and count its end
 * @ctrl: the VF's controller
 * @verb: what the command is for
 * @cmd: the command
 * @buf: its data, or NULL
 * @len: bytes of data
 * @res: receives the result and the status
 *
 * There is no line in the log.
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		     const struct nvme_command *cmd, void *buf,
		     unsigned int len, struct nvme_vf_result *res)
{
	u8 opcode = cmd->common.opcode;
	ktime_t began;
	u64 took_ns;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_send, ctrl, verb, cmd, buf, len,
				   res);

	trace_nvmevf_command_begin(ctrl->vf, verb, opcode, len);
	began = ktime_get();
	ret = nvme_submit_vf_cmd(ctrl->vf, cmd, buf, len, res);
	took_ns = ktime_to_ns(ktime_sub(ktime_get(), began));
	trace_nvmevf_command(ctrl->vf, verb, opcode, len, ret, res->status,
			     took_ns);
	nvmevf_stats_command(&ctrl->stats, verb, opcode, ret, res->status,
			     took_ns);
	return ret;
}

/**
 * nvmevf_cmds_resend() - Send a command, and again while the controller is busy
 * @ctrl: the VF's controller
 * @verb: what the command is for
 * @cmd: the command
 * @buf: its data, or NULL
 * @len: bytes of data
 * @res: receives the result and the status
 *
 * Each is traced and counted. There is no line in the log.
 *
 * Context: Process context, sleeps until the last command has ended.
 *
 * Return: 0 or a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_resend(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		       const struct nvme_command *cmd, void *buf,
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

/**
 * nvmevf_cmds_log() - Log that a command failed
 * @ctrl: the VF's controller
 * @name: name of the command
 * @error: negative errno
 * @status: NVMe status, or 0
 *
 * Context: Any.
 */
void nvmevf_cmds_log(struct nvmevf_ctrl *ctrl, const char *name, int error,
		     u16 status)
{
	if (status)
		nvmevf_ctrl_err(ctrl, "%s failed: NVMe status %#x (%pe)\n",
				name, status, ERR_PTR(error));
	else
		nvmevf_ctrl_err(ctrl, "%s failed: %pe\n", name, ERR_PTR(error));
}

/**
 * nvmevf_cmds_submit() - Have a command carried out; log an error
 * @ctrl: the VF's controller
 * @verb: what the command is for
 * @name: its name, for the log
 * @cmd: the command
 * @buf: its data, or NULL
 * @len: bytes of data
 * @result: receives dwords 0 and 1 of the completion if it succeeded; may be NULL
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0 or a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_submit(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		       const char *name, const struct nvme_command *cmd,
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
	const struct nvme_command cmd = {
		.identify.opcode = nvme_admin_identify,
		.identify.cns = NVME_ID_CNS_CTRL,
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
	const struct nvme_command cmd = {
		.identify.opcode = nvme_admin_identify,
		.identify.cns = NVME_ID_CNS_SCNDRY_CTRL_LIST,
		.identify.ctrlid = cpu_to_le16(cntid),
	};

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_identify_secondary, ctrl, cntid,
				   list);

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_IDENTIFY,
				  "Identify Secondary Controller List", &cmd,
				  list, sizeof(*list), NULL);
}

/**
 * nvmevf_cmds_find_secondary() - Find a VF in the Secondary Controller List of the PF
 * @ctrl: the controller of a VF of this PF
 * @vfn: number of the VF to find, from 1
 * @entry: receives its entry; remains if the list does not have the VF. Entries of other
 *	primary controllers are ignored.
 *
 * Context: Process context, sleeps until the commands have ended.
 *
 * Return: 0; -ENOMEM; a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_cmds_find_secondary(struct nvmevf_ctrl *ctrl, int vfn,
			       struct nvme_secondary_ctrl *entry)
{
	struct nvme_secondary_ctrl_list *list;
	unsigned int i, num, next = 0, first;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_find_secondary, ctrl, vfn, entry);

	list = kzalloc_obj(*list, GFP_KERNEL);
	if (!list)
		return -ENOMEM;

	/* The IDs ascend. The loop must end even if a controller repeats them. */
	do {
		first = next;
		ret = nvmevf_cmds_identify_secondary(ctrl, first, list);
		if (ret)
			break;

		num = min(list->num, ARRAY_SIZE(list->entry));
		for (i = 0; i < num; i++) {
			if (le16_to_cpu(list->entry[i].vfn) == vfn &&
			    le16_to_cpu(list->entry[i].pcid) == ctrl->pf_cntlid) {
				*entry = list->entry[i];
				goto out_free;
			}
			next = le16_to_cpu(list->entry[i].scid) + 1;
		}
	} while (num == ARRAY_SIZE(list->entry) && next > first &&
		 next <= U16_MAX);

out_free:
	kfree(list);
	return ret;
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
	const struct nvme_command cmd = {
		.identify.opcode = nvme_admin_identify,
		.identify.nsid = cpu_to_le32(nsid),
		.identify.cns = cns,
		.identify.ctrlid = cpu_to_le16(cntid),
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

/**
 * nvmevf_cmds_max_transfer() - Return how much data one command can carry
 * @ctrl: the VF's controller
 * @bytes: receives the limit
 *
 * Context: Process context, may sleep, sends no command.
 *
 * Return: 0 or a negative errno of nvme_vf_max_transfer().
 */
int nvmevf_cmds_max_transfer(struct nvmevf_ctrl *ctrl, u32 *bytes)
{
	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_max_transfer, ctrl, bytes);

	return nvme_vf_max_transfer(ctrl->vf, bytes);
}

/**
 * nvmevf_cmds_epoch() - Return a number that changes with each reset of the PF
 * @ctrl: the VF's controller
 * @epoch: receives the number
 *
 * Context: Process context, may sleep, sends no command.
 *
 * Return: 0 or a negative errno of nvme_vf_epoch().
 */
int nvmevf_cmds_epoch(struct nvmevf_ctrl *ctrl, u64 *epoch)
{
	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmds_epoch, ctrl, epoch);

	return nvme_vf_epoch(ctrl->vf, epoch);
}

/**
 * nvmevf_cmds_check_epoch() - Check that the PF was not reset
 * @ctrl: the VF's controller
 * @epoch: number of nvmevf_cmds_epoch() from before
 *
 * Context: Process context, may sleep, sends no command.
 *
 * Return: 0; -ENODEV if the PF has another number now; a negative errno of
 * nvme_vf_epoch().
 */
int nvmevf_cmds_check_epoch(struct nvmevf_ctrl *ctrl, u64 epoch)
{
	u64 now;
	int ret;

	ret = nvmevf_cmds_epoch(ctrl, &now);
	if (ret)
		return ret;
	return now == epoch ? 0 : -ENODEV;
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/cmds_kunit.c"
#endif
