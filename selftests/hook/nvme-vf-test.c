// SPDX-License-Identifier: GPL-2.0-only
/*
 * Call linux/nvme-vf.h with any arguments, for selftests/hook_test.c. The module is
 * part of the test bed and of no package: root could send commands by it.
 */
#include <linux/compat.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/nvme-vf-lm.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/uaccess.h>

#include "nvme-vf-test.h"

static int submit(struct pci_dev *pdev, struct nvme_vf_test *test)
{
	struct nvme_vf_result result = { .result = U64_MAX, .status = U16_MAX };
	void __user *data = u64_to_user_ptr(test->buf);
	struct nvme_command cmd;
	void *buf = NULL;
	int ret = 0;

	memcpy(&cmd, test->cmd, sizeof(cmd));
	if (test->buf) {
		/* Page aligned, so that one command can carry as much as possible. */
		buf = kvzalloc(PAGE_ALIGN(max(test->len, 1U)), GFP_KERNEL);
		if (!buf)
			return -ENOMEM;
		if (copy_from_user(buf, data, test->len))
			ret = -EFAULT;
	}
	if (!ret) {
		test->ret = nvme_submit_vf_cmd(pdev, &cmd, buf, test->len,
					       &result);
		test->value = result.result;
		test->status = result.status;
		if (buf && copy_to_user(data, buf, test->len))
			ret = -EFAULT;
	}
	kvfree(buf);
	return ret;
}

static int call(struct pci_dev *pdev, struct nvme_vf_test *test)
{
	unsigned int bytes = 0;

	switch (test->function) {
	case NVME_VF_TEST_SUBMIT:
		return submit(pdev, test);
	case NVME_VF_TEST_MAX_TRANSFER:
		test->ret = nvme_vf_max_transfer(pdev, &bytes);
		test->value = bytes;
		return 0;
	case NVME_VF_TEST_EPOCH:
		test->ret = nvme_vf_epoch(pdev, &test->value);
		return 0;
	case NVME_VF_TEST_CHECK_MIGRATION:
		test->ret = nvme_vf_check_migration(pdev);
		return 0;
	default:
		return -EINVAL;
	}
}

static long nvme_vf_test_ioctl(struct file *file, unsigned int number,
			       unsigned long arg)
{
	void __user *user = (void __user *)arg;
	struct nvme_vf_test test;
	struct pci_dev *pdev;
	int ret;

	if (number != NVME_VF_TEST_CALL)
		return -ENOTTY;
	if (copy_from_user(&test, user, sizeof(test)))
		return -EFAULT;

	pdev = pci_get_domain_bus_and_slot(test.domain, test.bus, test.devfn);
	if (!pdev)
		return -ENXIO;
	ret = call(pdev, &test);
	pci_dev_put(pdev);
	if (!ret && copy_to_user(user, &test, sizeof(test)))
		ret = -EFAULT;
	return ret;
}

static const struct file_operations nvme_vf_test_fops = {
	.owner		= THIS_MODULE,
	.unlocked_ioctl	= nvme_vf_test_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
};

static struct miscdevice nvme_vf_test_device = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "nvme-vf-test",
	.fops	= &nvme_vf_test_fops,
	.mode	= 0600,
};
module_misc_device(nvme_vf_test_device);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Calls of the functions for NVMe VFs, for tests");
