// SPDX-License-Identifier: GPL-2.0-only
/*
 * The five live migration commands of an NVMe VF, sent through its PF.
 *
 * All functions sleep until the command ended. Errors are those of
 * nvme_submit_vf_cmd(), which also says how long that may take, each with one
 * line in the log.
 */

#include <kunit/static_stub.h>
#include <linux/align.h>
#include <linux/ktime.h>
#include <linux/nvme-vf-lm.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>

#include "cmds.h"
#include "stats.h"
#include "trace.h"

union nvmevf_cmd {
	struct nvme_vf_command vf;
	struct nvme_command nvme;
};

static int nvmevf_cmd_submit(struct pci_dev *pdev, const char *name,
			     union nvmevf_cmd *cmd, u32 *result, void *buf,
			     unsigned int len)
{
	struct nvme_vf_result res;
	ktime_t began;
	u64 took_ns;
	int ret;

	KUNIT_STATIC_STUB_REDIRECT(nvmevf_cmd_submit, pdev, name, cmd, result,
				   buf, len);

	began = ktime_get();
	ret = nvme_submit_vf_cmd(pdev, &cmd->nvme, buf, len, &res);
	took_ns = ktime_to_ns(ktime_sub(ktime_get(), began));
	trace_nvmevf_command(pdev, cmd->vf.opcode, len, ret, res.status,
			     took_ns);
	nvmevf_stats_command(pdev, cmd->vf.opcode, ret, res.status, took_ns);

	if (ret && res.status)
		dev_err_ratelimited(&pdev->dev, "%s failed: NVMe status %#x (%pe)\n",
				    name, res.status, ERR_PTR(ret));
	else if (ret)
		dev_err_ratelimited(&pdev->dev, "%s failed: %pe\n", name,
				    ERR_PTR(ret));
	else if (result)
		*result = res.result;

	return ret;
}

/**
 * nvmevf_cmd_identify() - Identify Controller of the PF
 * @pdev: the VF
 * @id: what the PF says of itself
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_identify(struct pci_dev *pdev, struct nvme_id_ctrl *id)
{
	union nvmevf_cmd cmd = {
		.nvme.identify.opcode = nvme_admin_identify,
		.nvme.identify.cns = NVME_ID_CNS_CTRL,
	};

	return nvmevf_cmd_submit(pdev, "Identify Controller", &cmd, NULL, id,
				 sizeof(*id));
}

/**
 * nvmevf_cmd_identify_secondary() - Secondary Controller List of the PF
 * @pdev: the VF
 * @list: the first 127 VFs of the PF, with their resources
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_identify_secondary(struct pci_dev *pdev,
				  struct nvme_secondary_ctrl_list *list)
{
	union nvmevf_cmd cmd = {
		.nvme.identify.opcode = nvme_admin_identify,
		.nvme.identify.cns = NVME_ID_CNS_SCNDRY_CTRL_LIST,
	};

	return nvmevf_cmd_submit(pdev, "Identify Secondary Controller List",
				 &cmd, NULL, list, sizeof(*list));
}

/**
 * nvmevf_cmd_query_data_size() - How large the state of the VF is
 * @pdev: the VF, running or suspended
 * @size: bytes that SAVE_DATA would return now, never 0, and not more than one
 *	command can carry on this host
 *
 * Return: 0 or a negative errno, -E2BIG for a state too large to be moved.
 */
int nvmevf_cmd_query_data_size(struct pci_dev *pdev, u32 *size)
{
	union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_query_data_size };
	unsigned int max;
	int ret;

	ret = nvmevf_cmd_submit(pdev, "QUERY_DATA_SIZE", &cmd, size, NULL, 0);
	if (!ret)
		ret = nvme_vf_max_transfer(pdev, &max);
	if (ret)
		return ret;

	if (!*size) {
		dev_err_ratelimited(&pdev->dev,
				    "QUERY_DATA_SIZE failed: the controller says that there is no state\n");
		return -EIO;
	}
	if (*size > max) {
		dev_err_ratelimited(&pdev->dev,
				    "can't migrate: %u bytes of state, but one command carries %u\n",
				    *size, max);
		return -E2BIG;
	}

	return 0;
}

/**
 * nvmevf_cmd_suspend() - Have the VF fetch no more commands and finish the others
 * @pdev: the VF
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_suspend(struct pci_dev *pdev)
{
	union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_suspend };

	return nvmevf_cmd_submit(pdev, "SUSPEND", &cmd, NULL, NULL, 0);
}

/**
 * nvmevf_cmd_resume() - Have the VF run again
 * @pdev: the VF, suspended
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_resume(struct pci_dev *pdev)
{
	union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_resume };

	return nvmevf_cmd_submit(pdev, "RESUME", &cmd, NULL, NULL, 0);
}

/**
 * nvmevf_cmd_save_data() - Take the state out of the VF, which disables it
 * @pdev: the VF, suspended
 * @buf: room for the state, page aligned; rounded up to whole dwords
 * @size: bytes of state, as QUERY_DATA_SIZE told since the VF was suspended
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_save_data(struct pci_dev *pdev, void *buf, u32 size)
{
	union nvmevf_cmd cmd = { .vf.opcode = nvme_vf_save_data };

	return nvmevf_cmd_submit(pdev, "SAVE_DATA", &cmd, NULL, buf,
				 ALIGN(size, sizeof(u32)));
}

/**
 * nvmevf_cmd_load_data() - Put a saved state into the VF
 * @pdev: the VF, suspended
 * @buf: the state, page aligned; rounded up to whole dwords
 * @size: bytes of state
 *
 * Return: 0 or a negative errno.
 */
int nvmevf_cmd_load_data(struct pci_dev *pdev, void *buf, u32 size)
{
	union nvmevf_cmd cmd = {
		.vf.opcode = nvme_vf_load_data,
		.vf.size = cpu_to_le32(size),
	};

	return nvmevf_cmd_submit(pdev, "LOAD_DATA", &cmd, NULL, buf,
				 ALIGN(size, sizeof(u32)));
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/cmds_kunit.c"
#endif
