// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vendor specific live migration commands, which nvme.txt describes.
 */

#include <linux/align.h>
#include <linux/nvme-vf.h>
#include <linux/nvme-vf-lm.h>
#include <linux/wordpart.h>

#include "cmds.h"
#include "format.h"
#include "names.h"

union nvmevf_vendor_cmd {
	struct nvme_command nvme;
	struct nvme_vf_command vf;
};

/* Other vendors may use byte 3072 for anything, so it is not enough. */
static int nvmevf_vendor_check(struct nvmevf_ctrl *ctrl,
			       const struct nvme_id_ctrl *id)
{
	if (id->vs[0] != NVME_VF_MIGRATION_SUPPORTED)
		return -EOPNOTSUPP;

	return nvme_vf_check_migration(ctrl->vf);
}

/* The state must fit one command, because SAVE_DATA and LOAD_DATA have no offset. */
static int nvmevf_vendor_max_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	return nvmevf_cmds_max_transfer(ctrl, size);
}

static int nvmevf_vendor_query_size(struct nvmevf_ctrl *ctrl, u32 *size)
{
	const union nvmevf_vendor_cmd cmd = { .vf.opcode = nvme_vf_query_data_size };
	u64 result;
	u32 max;
	int ret;

	ret = nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SIZE, "QUERY_DATA_SIZE",
				 &cmd.nvme, NULL, 0, &result);
	if (ret)
		return ret;

	*size = lower_32_bits(result);
	ret = nvmevf_vendor_max_size(ctrl, &max);
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

static int nvmevf_vendor_suspend(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_vendor_cmd cmd = { .vf.opcode = nvme_vf_suspend };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SUSPEND, "SUSPEND", &cmd.nvme,
				  NULL, 0, NULL);
}

static int nvmevf_vendor_resume(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_vendor_cmd cmd = { .vf.opcode = nvme_vf_resume };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_RESUME, "RESUME", &cmd.nvme,
				  NULL, 0, NULL);
}

static int nvmevf_vendor_undo_suspend(struct nvmevf_ctrl *ctrl)
{
	const union nvmevf_vendor_cmd cmd = { .vf.opcode = nvme_vf_resume };
	struct nvme_vf_result res;
	int ret;

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_RESUME, &cmd.nvme, NULL, 0, &res);
	/* Command Sequence Error: the VF is not suspended. */
	return ret == -EPROTO ? 0 : ret;
}

static int nvmevf_vendor_save(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	const union nvmevf_vendor_cmd cmd = { .vf.opcode = nvme_vf_save_data };

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_SAVE, "SAVE_DATA", &cmd.nvme,
				  buf, ALIGN(size, sizeof(u32)), NULL);
}

static int nvmevf_vendor_load(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	const union nvmevf_vendor_cmd cmd = {
		.vf.opcode = nvme_vf_load_data,
		.vf.size = cpu_to_le32(size),
	};

	return nvmevf_cmds_submit(ctrl, NVMEVF_VERB_LOAD, "LOAD_DATA", &cmd.nvme,
				  buf, ALIGN(size, sizeof(u32)), NULL);
}

const struct nvmevf_cmd_set nvmevf_cmds_vendor = {
	.id = NVMEVF_COMMAND_SET_VENDOR,
	.name = "vendor",
	.save_disables = true,
	.check = nvmevf_vendor_check,
	.query_size = nvmevf_vendor_query_size,
	.suspend = nvmevf_vendor_suspend,
	.resume = nvmevf_vendor_resume,
	.undo_suspend = nvmevf_vendor_undo_suspend,
	.save = nvmevf_vendor_save,
	.load = nvmevf_vendor_load,
	.max_size = nvmevf_vendor_max_size,
};

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/vendor_kunit.c"
#endif
