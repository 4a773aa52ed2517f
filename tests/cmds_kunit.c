// SPDX-License-Identifier: GPL-2.0-only
/* Check each byte of Identify. Included by cmds.c. */

#include "cmds_kunit.h"

static void nvmevf_cmds_kunit_identify(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	struct nvme_id_ctrl *id;
	u8 sqe[64] = { [0] = 0x06, [40] = 0x01 };

	id = kunit_kzalloc(test, sizeof(*id), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, id);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_identify_ctrl(&seen->ctrl, id), 0);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, (void *)id);
	KUNIT_EXPECT_EQ(test, seen->len, 4096);
}

static void nvmevf_cmds_kunit_identify_secondary(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	struct nvme_secondary_ctrl_list *list;
	u8 sqe[64] = { [0] = 0x06, [40] = 0x15, [42] = 0x34, [43] = 0x12 };

	list = kunit_kzalloc(test, sizeof(*list), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, list);
	KUNIT_EXPECT_EQ(test,
			nvmevf_cmds_identify_secondary(&seen->ctrl, 0x1234,
						       list), 0);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, (void *)list);
	KUNIT_EXPECT_EQ(test, seen->len, 4096);
}

static void nvmevf_cmds_kunit_identify_ns(struct kunit *test)
{
	static const struct {
		u16	status;
		int	error, expected;
	} cases[] = {
		{ 0x4001, -EOPNOTSUPP, -EOPNOTSUPP },
		{ 0x4002, -EINVAL, -EOPNOTSUPP },
		{ 0x400b, -EIO, -EOPNOTSUPP },
		{ 0x402c, -EIO, -EOPNOTSUPP },
		{ 0x4006, -EIO, -EIO },
		/* The controller did not answer. */
		{ 0, -EINVAL, -EINVAL }, { 0, -EAGAIN, -EAGAIN },
	};
	struct nvmevf_cmds_kunit *seen = test->priv;
	u8 sqe[64] = {
		[0] = 0x06, [4] = 0x78, [5] = 0x56, [6] = 0x34, [7] = 0x12,
		[40] = 0x12, [42] = 0xcd, [43] = 0xab,
	};
	unsigned int i;
	u8 data[1];

	KUNIT_EXPECT_EQ(test,
			nvmevf_cmds_identify_ns(&seen->ctrl, 0x12, 0x12345678,
						0xabcd, data), 0);
	KUNIT_EXPECT_EQ(test, seen->verb, NVMEVF_VERB_IDENTIFY);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, (void *)data);
	KUNIT_EXPECT_EQ(test, seen->len, 4096);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		seen->status = cases[i].status;
		seen->ret = cases[i].error;
		KUNIT_EXPECT_EQ_MSG(test, cases[i].expected,
				    nvmevf_cmds_identify_ns(&seen->ctrl, 0x10, 0,
							    0, data),
				    "status %#x", cases[i].status);
	}
}

static struct kunit_case nvmevf_cmds_kunit_cases[] = {
	KUNIT_CASE(nvmevf_cmds_kunit_identify),
	KUNIT_CASE(nvmevf_cmds_kunit_identify_secondary),
	KUNIT_CASE(nvmevf_cmds_kunit_identify_ns),
	{ }
};

static struct kunit_suite nvmevf_cmds_kunit_suite = {
	.name = "nvme_vfio_pci_cmds",
	.init = nvmevf_cmds_kunit_init,
	.test_cases = nvmevf_cmds_kunit_cases,
};

kunit_test_suite(nvmevf_cmds_kunit_suite);
