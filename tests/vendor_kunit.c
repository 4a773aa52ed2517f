// SPDX-License-Identifier: GPL-2.0-only
/* Check each byte of the vendor specific commands. Included by cmds_vendor.c. */

#include "cmds_kunit.h"

/*
 * Expect that one command was sent, with this data, and with 0 in all bytes but
 * the opcode and the size. In particular, the index of the VF is left to the hook.
 */
static void nvmevf_vendor_kunit_expect(struct kunit *test, enum nvmevf_verb verb,
				       u8 opcode, const u8 size[4], void *buf,
				       unsigned int len)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u8 sqe[64] = { opcode };

	memcpy(sqe + 44, size, 4);
	KUNIT_EXPECT_EQ(test, seen->sent, 1);
	KUNIT_EXPECT_EQ(test, seen->verb, verb);
	KUNIT_EXPECT_MEMEQ(test, seen->sqe, sqe, sizeof(sqe));
	KUNIT_EXPECT_PTR_EQ(test, seen->buf, buf);
	KUNIT_EXPECT_EQ(test, seen->len, len);
}

static const u8 nvmevf_vendor_kunit_no_size[4];

static void nvmevf_vendor_kunit_query_data_size(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u32 size = 0;

	/* A VF without a PF has no limit, so the call fails after the command. */
	KUNIT_EXPECT_LT(test, nvmevf_cmds_vendor.query_size(&seen->ctrl, &size), 0);
	KUNIT_EXPECT_EQ(test, size, 0x1234);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_SIZE, 0xc4,
				   nvmevf_vendor_kunit_no_size, NULL, 0);
}

static void nvmevf_vendor_kunit_suspend(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.suspend(&seen->ctrl), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_SUSPEND, 0xc8,
				   nvmevf_vendor_kunit_no_size, NULL, 0);
}

static void nvmevf_vendor_kunit_resume(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.resume(&seen->ctrl), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_RESUME, 0xcc,
				   nvmevf_vendor_kunit_no_size, NULL, 0);
}

/* A VF that is not suspended needs no RESUME; each other error must remain. */
static void nvmevf_vendor_kunit_undo_suspend(struct kunit *test)
{
	static const int errors[][2] = {
		{ 0, 0 }, { -EPROTO, 0 }, { -EIO, -EIO }, { -EAGAIN, -EAGAIN },
		{ -ECANCELED, -ECANCELED },
	};
	struct nvmevf_cmds_kunit *seen = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		seen->sent = 0;
		seen->ret = errors[i][0];
		KUNIT_EXPECT_EQ(test, errors[i][1],
				nvmevf_cmds_vendor.undo_suspend(&seen->ctrl));
		nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_RESUME, 0xcc,
					   nvmevf_vendor_kunit_no_size, NULL, 0);
	}
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.resume(&seen->ctrl), -ECANCELED);
	seen->ret = -EPROTO;
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.resume(&seen->ctrl), -EPROTO);
}

/* Command Interrupted without Do Not Retry, and no other status, is no answer. */
static void nvmevf_vendor_kunit_busy(struct kunit *test)
{
	static const struct {
		u16	status;
		bool	again;
	} statuses[] = {
		{ 0x0021, true }, { 0x1821, true }, { 0x4021, false },
		{ 0x0121, false }, { 0x0020, false },
	};
	struct nvmevf_cmds_kunit *seen = test->priv;
	unsigned int i;

	seen->busy = 3;
	for (i = 0; i < ARRAY_SIZE(statuses); i++) {
		seen->busy_status = statuses[i].status;
		seen->sent = 0;
		KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.suspend(&seen->ctrl),
				statuses[i].again ? 0 : -EIO);
		KUNIT_EXPECT_EQ(test, seen->sent, statuses[i].again ? 4 : 1);

		seen->sent = 0;
		KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.undo_suspend(&seen->ctrl),
				statuses[i].again ? 0 : -EIO);
		KUNIT_EXPECT_EQ(test, seen->sent, statuses[i].again ? 4 : 1);
	}
}

static void nvmevf_vendor_kunit_save_data(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	u8 buf[8];

	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.save(&seen->ctrl, buf, 8), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_SAVE, 0xd2,
				   nvmevf_vendor_kunit_no_size, buf, 8);
}

static void nvmevf_vendor_kunit_load_data(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	static const u8 size[4] = { 0x04, 0x03, 0x02, 0x01 };
	u8 buf[8];

	KUNIT_EXPECT_EQ(test,
			nvmevf_cmds_vendor.load(&seen->ctrl, buf, 0x01020304), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_LOAD, 0xd5,
				   size, buf, 0x01020304);
}

/* Data is transferred in whole dwords, but the size is that of the state. */
static void nvmevf_vendor_kunit_odd_sizes(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	static const u8 size[4] = { 5 };
	u8 buf[8];

	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.load(&seen->ctrl, buf, 5), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_LOAD, 0xd5,
				   size, buf, 8);

	seen->sent = 0;
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_vendor.save(&seen->ctrl, buf, 5), 0);
	nvmevf_vendor_kunit_expect(test, NVMEVF_VERB_SAVE, 0xd2,
				   nvmevf_vendor_kunit_no_size, buf, 8);
}

/* Byte 3072 must be 1. Then the hook is asked, which fails without a PF. */
static void nvmevf_vendor_kunit_check(struct kunit *test)
{
	struct nvmevf_cmds_kunit *seen = test->priv;
	struct nvme_id_ctrl *id;
	unsigned int byte;

	id = kunit_kzalloc(test, sizeof(*id), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, id);
	for (byte = 0; byte <= U8_MAX; byte++) {
		((u8 *)id)[3072] = byte;
		KUNIT_EXPECT_EQ(test, byte == 1 ? -EINVAL : -EOPNOTSUPP,
				nvmevf_cmds_vendor.check(&seen->ctrl, id));
	}
	KUNIT_EXPECT_EQ(test, seen->sent, 0);
}

static struct kunit_case nvmevf_vendor_kunit_cases[] = {
	KUNIT_CASE(nvmevf_vendor_kunit_query_data_size),
	KUNIT_CASE(nvmevf_vendor_kunit_suspend),
	KUNIT_CASE(nvmevf_vendor_kunit_resume),
	KUNIT_CASE(nvmevf_vendor_kunit_undo_suspend),
	KUNIT_CASE(nvmevf_vendor_kunit_busy),
	KUNIT_CASE(nvmevf_vendor_kunit_save_data),
	KUNIT_CASE(nvmevf_vendor_kunit_load_data),
	KUNIT_CASE(nvmevf_vendor_kunit_odd_sizes),
	KUNIT_CASE(nvmevf_vendor_kunit_check),
	{ }
};

static struct kunit_suite nvmevf_vendor_kunit_suite = {
	.name = "nvme_vfio_pci_vendor",
	.init = nvmevf_cmds_kunit_init,
	.test_cases = nvmevf_vendor_kunit_cases,
};

kunit_test_suite(nvmevf_vendor_kunit_suite);
