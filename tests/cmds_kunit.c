// SPDX-License-Identifier: GPL-2.0-only
/* How the five commands are encoded: every byte of them. Included by cmds.c. */

#include <kunit/test.h>

struct nvmevf_cmds_kunit {
	u8			sqe[64];
	void			*buf;
	unsigned int		len;
	unsigned int		sent;
	struct pci_dev		pdev;
};

/* Takes the place of nvmevf_cmd_submit(). */
static int nvmevf_cmds_kunit_submit(struct pci_dev *pdev, const char *name,
				    union nvmevf_cmd *cmd, u32 *result,
				    void *buf, unsigned int len)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, pdev, &seen->pdev);
	memcpy(seen->sqe, cmd, sizeof(seen->sqe));
	seen->buf = buf;
	seen->len = len;
	seen->sent++;
	if (result)
		*result = 0x1234;
	return 0;
}

static int nvmevf_cmds_kunit_init(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen;

	seen = kunit_kzalloc(test, sizeof(*seen), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, seen);
	/* The function is to write each byte. */
	memset(seen->sqe, 0xff, sizeof(seen->sqe));
	seen->pdev.dev.init_name = "kunit";
	test->priv = seen;
	kunit_activate_static_stub(test, nvmevf_cmd_submit,
				   nvmevf_cmds_kunit_submit);
	return 0;
}

/*
 * Whether one command was sent, with these data and with 0 in all bytes but the
 * opcode's and those of the size: in that of the VF, above all.
 */
static void nvmevf_cmds_kunit_expect(struct kunit *test, u8 opcode,
				     const u8 size[4], void *buf,
				     unsigned int len)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u8 sqe[64] = { opcode };

	memcpy(sqe + 44, size, 4);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, buf);
	KUNIT_EXPECT_EQ(test, seen->len, len);
}

static const u8 nvmevf_cmds_kunit_no_size[4];

static void nvmevf_cmds_kunit_query_data_size(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u32 size = 0;

	/* What one command can carry is not known of a VF without a PF. */
	KUNIT_EXPECT_LT(test, nvmevf_cmd_query_data_size(&seen->pdev, &size), 0);
	KUNIT_EXPECT_EQ(test, size, 0x1234);
	nvmevf_cmds_kunit_expect(test, 0xc4, nvmevf_cmds_kunit_no_size, NULL, 0);
}

static void nvmevf_cmds_kunit_suspend(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_cmd_suspend(&seen->pdev), 0);
	nvmevf_cmds_kunit_expect(test, 0xc8, nvmevf_cmds_kunit_no_size, NULL, 0);
}

static void nvmevf_cmds_kunit_resume(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_cmd_resume(&seen->pdev), 0);
	nvmevf_cmds_kunit_expect(test, 0xcc, nvmevf_cmds_kunit_no_size, NULL, 0);
}

static void nvmevf_cmds_kunit_save_data(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u8 buf[8];

	KUNIT_EXPECT_EQ(test, nvmevf_cmd_save_data(&seen->pdev, buf, 8), 0);
	nvmevf_cmds_kunit_expect(test, 0xd2, nvmevf_cmds_kunit_no_size, buf, 8);
}

static void nvmevf_cmds_kunit_load_data(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	static const u8 size[4] = { 0x04, 0x03, 0x02, 0x01 };
	u8 buf[8];

	KUNIT_EXPECT_EQ(test,
			nvmevf_cmd_load_data(&seen->pdev, buf, 0x01020304), 0);
	nvmevf_cmds_kunit_expect(test, 0xd5, size, buf, 0x01020304);
}

/* The transfer is of whole dwords, but the size is the state's. */
static void nvmevf_cmds_kunit_odd_sizes(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	static const u8 size[4] = { 5 };
	u8 buf[8];

	KUNIT_EXPECT_EQ(test, nvmevf_cmd_load_data(&seen->pdev, buf, 5), 0);
	nvmevf_cmds_kunit_expect(test, 0xd5, size, buf, 8);

	seen->sent = 0;
	KUNIT_EXPECT_EQ(test, nvmevf_cmd_save_data(&seen->pdev, buf, 5), 0);
	nvmevf_cmds_kunit_expect(test, 0xd2, nvmevf_cmds_kunit_no_size, buf, 8);
}

static void nvmevf_cmds_kunit_identify(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	struct nvme_id_ctrl *id;
	u8 sqe[64] = { [0] = 0x06, [40] = 0x01 };

	id = kunit_kzalloc(test, sizeof(*id), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, id);
	KUNIT_EXPECT_EQ(test, nvmevf_cmd_identify(&seen->pdev, id), 0);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, (void *)id);
	KUNIT_EXPECT_EQ(test, seen->len, 4096);
}

static void nvmevf_cmds_kunit_identify_secondary(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	struct nvme_secondary_ctrl_list *list;
	u8 sqe[64] = { [0] = 0x06, [40] = 0x15 };

	list = kunit_kzalloc(test, sizeof(*list), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, list);
	KUNIT_EXPECT_EQ(test, nvmevf_cmd_identify_secondary(&seen->pdev, list), 0);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, (void *)list);
	KUNIT_EXPECT_EQ(test, seen->len, 4096);
}

static struct kunit_case nvmevf_cmds_kunit_cases[] = {
	KUNIT_CASE(nvmevf_cmds_kunit_query_data_size),
	KUNIT_CASE(nvmevf_cmds_kunit_suspend),
	KUNIT_CASE(nvmevf_cmds_kunit_resume),
	KUNIT_CASE(nvmevf_cmds_kunit_save_data),
	KUNIT_CASE(nvmevf_cmds_kunit_load_data),
	KUNIT_CASE(nvmevf_cmds_kunit_odd_sizes),
	KUNIT_CASE(nvmevf_cmds_kunit_identify),
	KUNIT_CASE(nvmevf_cmds_kunit_identify_secondary),
	{ }
};

static struct kunit_suite nvmevf_cmds_kunit_suite = {
	.name = "nvme_vfio_pci_cmds",
	.init = nvmevf_cmds_kunit_init,
	.test_cases = nvmevf_cmds_kunit_cases,
};

kunit_test_suite(nvmevf_cmds_kunit_suite);
