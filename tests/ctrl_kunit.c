// SPDX-License-Identifier: GPL-2.0-only
/* Compare identities. tests/load_kunit.c changes each field. Included by ctrl.c. */

#include <kunit/test.h>

struct nvmevf_ctrl_kunit {
	struct nvmevf_ctrl	ctrl;
	struct pci_dev		pdev;
	struct nvmevf_identity	own;
	struct nvmevf_identity	source;
	bool			allow_firmware_mismatch;
};

static int nvmevf_ctrl_kunit_init(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->pdev.dev.init_name = "kunit";
	t->ctrl.vf = &t->pdev;
	ratelimit_default_init(&t->ctrl.messages);
	t->own = (struct nvmevf_identity) {
		.magic = cpu_to_le64(NVMEVF_STREAM_MAGIC),
		.version = cpu_to_le16(NVMEVF_STREAM_VERSION),
		.model = "a model",
		.firmware = "1.0",
		.queue_pairs = cpu_to_le16(3),
	};
	t->source = t->own;
	t->allow_firmware_mismatch = allow_firmware_mismatch;
	test->priv = t;
	return 0;
}

static void nvmevf_ctrl_kunit_exit(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;

	if (t)
		allow_firmware_mismatch = t->allow_firmware_mismatch;
}

static void nvmevf_ctrl_kunit_firmware(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;

	t->source.firmware[0] = '2';

	allow_firmware_mismatch = false;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_accept(&t->ctrl, &t->own, &t->source),
			-EINVAL);

	allow_firmware_mismatch = true;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_accept(&t->ctrl, &t->own, &t->source),
			0);
}

static void nvmevf_ctrl_kunit_queue_pairs(struct kunit *test)
{
	static const struct {
		u16	own;
		int	error;
	} cases[] = { { 3, 0 }, { 2, -EINVAL }, { 4, 0 }, { 0, 0 } };
	struct nvmevf_ctrl_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		t->own.queue_pairs = cpu_to_le16(cases[i].own);
		KUNIT_EXPECT_EQ_MSG(test,
				    nvmevf_ctrl_accept(&t->ctrl, &t->own,
						       &t->source),
				    cases[i].error, "this VF has %u queue pairs",
				    cases[i].own);
	}
}

static struct kunit_case nvmevf_ctrl_kunit_cases[] = {
	KUNIT_CASE(nvmevf_ctrl_kunit_firmware),
	KUNIT_CASE(nvmevf_ctrl_kunit_queue_pairs),
	{ }
};

static struct kunit_suite nvmevf_ctrl_kunit_suite = {
	.name = "nvme_vfio_pci_ctrl",
	.init = nvmevf_ctrl_kunit_init,
	.exit = nvmevf_ctrl_kunit_exit,
	.test_cases = nvmevf_ctrl_kunit_cases,
};

kunit_test_suite(nvmevf_ctrl_kunit_suite);
