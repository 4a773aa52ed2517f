// SPDX-License-Identifier: GPL-2.0-only
/* Compare identities. tests/load_kunit.c changes each field. Included by ctrl.c. */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#include "namespaces_kunit.h"

struct nvmevf_ctrl_kunit {
	struct nvmevf_ctrl	ctrl;
	struct pci_dev		pdev;
	struct nvmevf_identity	own;
	struct nvmevf_identity	source;
	bool			allow_firmware_mismatch;
	char			*command_set;

	/* What the PF tells to nvmevf_ctrl_kunit_choose() */
	u16			oacs;
	u8			byte_3072;
	u8			formats[5];
	u16			formats_status;
	u16			scid;
	int			identify_error;
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
	t->own.cntlid = cpu_to_le16(VF_CNTLID);
	t->source = t->own;
	t->allow_firmware_mismatch = allow_firmware_mismatch;
	t->command_set = command_set;
	test->priv = t;
	return 0;
}

static void nvmevf_ctrl_kunit_exit(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;

	if (!t)
		return;
	allow_firmware_mismatch = t->allow_firmware_mismatch;
	command_set = t->command_set;
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

/*
 * A Secondary Controller List of many VFs, whose first controller ID is 100. The VF with
 * number n has n queue pairs. Before them, the list has a VF of another PF.
 */
#define SECONDARIES	300
#define PF_CNTLID	7

static int nvmevf_ctrl_kunit_secondary(struct nvmevf_ctrl *ctrl, u16 cntid,
				       struct nvme_secondary_ctrl_list *list)
{
	unsigned int vfn = cntid <= 100 ? 1 : cntid - 100 + 1;

	memset(list, 0xff, sizeof(*list));
	list->num = 0;
	if (cntid < 100)
		list->entry[list->num++] = (struct nvme_secondary_ctrl) {
			.scid = cpu_to_le16(99),
			.pcid = cpu_to_le16(PF_CNTLID + 1),
			.vfn = cpu_to_le16(2),
		};
	for (; list->num < 127 && vfn <= SECONDARIES; vfn++)
		list->entry[list->num++] = (struct nvme_secondary_ctrl) {
			.scid = cpu_to_le16(100 + vfn - 1),
			.pcid = cpu_to_le16(PF_CNTLID),
			.vfn = cpu_to_le16(vfn),
			.nvq = cpu_to_le16(vfn),
		};
	return 0;
}

/* A controller that repeats its first page. */
static int nvmevf_ctrl_kunit_endless(struct nvmevf_ctrl *ctrl, u16 cntid,
				     struct nvme_secondary_ctrl_list *list)
{
	return nvmevf_ctrl_kunit_secondary(ctrl, 0, list);
}

static void nvmevf_ctrl_kunit_find_secondary(struct kunit *test)
{
	static const unsigned int vfns[] = {
		1, 2, 127, 128, 129, 254, 255, SECONDARIES
	};
	struct nvmevf_ctrl_kunit *t = test->priv;
	struct nvme_secondary_ctrl entry;
	unsigned int i;

	t->ctrl.pf_cntlid = PF_CNTLID;
	kunit_activate_static_stub(test, nvmevf_cmds_identify_secondary,
				   nvmevf_ctrl_kunit_secondary);
	for (i = 0; i < ARRAY_SIZE(vfns); i++) {
		KUNIT_ASSERT_EQ(test,
				nvmevf_cmds_find_secondary(&t->ctrl, vfns[i],
							   &entry), 0);
		KUNIT_EXPECT_EQ(test, le16_to_cpu(entry.nvq), vfns[i]);
		KUNIT_EXPECT_EQ(test, le16_to_cpu(entry.scid), 99 + vfns[i]);
	}

	entry.nvq = cpu_to_le16(7);
	KUNIT_EXPECT_EQ(test,
			nvmevf_cmds_find_secondary(&t->ctrl, SECONDARIES + 1,
						   &entry), 0);
	KUNIT_EXPECT_EQ_MSG(test, le16_to_cpu(entry.nvq), 7, "not in the list");

	kunit_activate_static_stub(test, nvmevf_cmds_identify_secondary,
				   nvmevf_ctrl_kunit_endless);
	KUNIT_EXPECT_EQ(test,
			nvmevf_cmds_find_secondary(&t->ctrl, 128, &entry), 0);
	KUNIT_EXPECT_EQ_MSG(test, le16_to_cpu(entry.nvq), 7, "the same page again");
}

/*
 * The standard's commands name the VF by its controller ID. A PF that does not tell the ID
 * does not have them: without Virtualization Management, or if the list lacks the VF.
 */
static void nvmevf_ctrl_kunit_needs_cntlid(struct kunit *test)
{
	static const u16 oacs[] = { BIT(11), BIT(11) | NVMEVF_OACS_VIRT_MGMT };
	struct nvmevf_ctrl_kunit *t = test->priv;
	struct nvme_secondary_ctrl secondary;
	struct nvme_id_ctrl *id;
	const char *missing;
	unsigned int i;

	id = kunit_kzalloc(test, sizeof(*id), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, id);
	kunit_activate_static_stub(test, nvmevf_cmds_identify_secondary,
				   nvmevf_ctrl_kunit_secondary);
	for (i = 0; i < ARRAY_SIZE(oacs); i++) {
		id->oacs = cpu_to_le16(oacs[i]);
		secondary.scid = cpu_to_le16(NVMEVF_CNTLID_UNKNOWN);
		missing = NULL;
		KUNIT_EXPECT_EQ(test, -EOPNOTSUPP,
				nvmevf_ctrl_check_set(&t->ctrl, &nvmevf_cmds_std, id,
						      &secondary, &missing));
		KUNIT_EXPECT_STREQ(test, missing,
				   "PF does not report the controller ID of the VF");
	}
}

static int nvmevf_ctrl_kunit_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
				  const struct nvme_command *cmd, void *buf,
				  unsigned int len, struct nvme_vf_result *res)
{
	struct nvmevf_ctrl_kunit *t = kunit_get_current_test()->priv;
	struct nvme_id_ctrl *id = buf;

	*res = (struct nvme_vf_result) { };
	if (t->identify_error)
		return t->identify_error;
	if (cmd->identify.cns == NVME_VF_CNS_STATE_FORMATS) {
		res->status = t->formats_status;
		if (res->status)
			return -EINVAL;
		memcpy(buf, t->formats, sizeof(t->formats));
	} else {
		id->oacs = cpu_to_le16(t->oacs);
		id->vs[0] = t->byte_3072;
	}
	return 0;
}

static int nvmevf_ctrl_kunit_find(struct nvmevf_ctrl *ctrl, int vfn,
				  struct nvme_secondary_ctrl *entry)
{
	struct nvmevf_ctrl_kunit *t = kunit_get_current_test()->priv;

	entry->scid = cpu_to_le16(t->scid);
	return 0;
}

/*
 * The standard's set is chosen if it is complete, else the vendor's. The log has what is
 * missing. -EINVAL tells that the vendor's set was tried, which needs a real VF.
 */
static void nvmevf_ctrl_kunit_choose(struct kunit *test)
{
	static const struct {
		char	*permitted;
		u16	oacs;
		u8	byte_3072, versions, uuids;
		u16	scid;
		int	ret;
		char	*missing;
		u16	formats_status;
	} cases[] = {
		{ "auto", 0x880, 1, 1, 1, 7, 0 },
		{ "auto", 0x880, 0, 1, 1, 7, 0 },
		{ "standard", 0x880, 1, 1, 1, 7, 0 },
		{ "vendor", 0x880, 1, 1, 1, 7, -EINVAL },
		{ "vendor", 0x880, 0, 1, 1, 7, -EOPNOTSUPP, "none" },
		{ "auto", 0x080, 1, 1, 1, 7, -EINVAL },
		{ "auto", 0x080, 0, 1, 1, 7, -EOPNOTSUPP, "none" },
		{ "standard", 0x080, 1, 1, 1, 7, -EOPNOTSUPP, "none" },
		{ "auto", 0x800, 1, 1, 1, 7, -EINVAL },
		{ "auto", 0x880, 1, 1, 1, NVMEVF_CNTLID_UNKNOWN, -EINVAL },
		{ "auto", 0x880, 0, 1, 1, NVMEVF_CNTLID_UNKNOWN, -EOPNOTSUPP,
		  "PF does not report the controller ID of the VF" },
		{ "auto", 0x880, 1, 0, 1, 7, -EINVAL },
		{ "standard", 0x880, 1, 0, 1, 7, -EOPNOTSUPP,
		  "controller has no state version that the driver knows" },
		{ "auto", 0x880, 1, 1, 0, 7, -EINVAL },
		{ "auto", 0x880, 0, 1, 0, 7, -EOPNOTSUPP,
		  "controller has no UUID, so its state leaves out the admin queue" },
		{ "auto", 0x880, 1, 1, 1, 7, -EINVAL, .formats_status = 0x4002 },
		{ "standard", 0x880, 1, 1, 1, 7, -EOPNOTSUPP,
		  "controller has no state version that the driver knows", 0x4002 },
		{ "", 0x880, 1, 1, 1, 7, -EOPNOTSUPP,
		  "parameter command_set is not auto, standard or vendor" },
	};
	struct nvmevf_ctrl_kunit *t = test->priv;
	const char *missing;
	unsigned int i;
	int expected;

	nvmevf_stats_init(&t->ctrl.stats);
	kunit_activate_static_stub(test, nvmevf_cmds_send, nvmevf_ctrl_kunit_send);
	kunit_activate_static_stub(test, nvmevf_cmds_find_secondary,
				   nvmevf_ctrl_kunit_find);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		command_set = cases[i].permitted;
		t->oacs = cases[i].oacs;
		t->byte_3072 = cases[i].byte_3072;
		/* Version 0 and a UUID that begins with 1, if there are any */
		memset(t->formats, 0, sizeof(t->formats));
		t->formats[0] = cases[i].versions;
		t->formats[1] = cases[i].uuids;
		t->formats[2 * cases[i].versions + 2] = 1;
		t->formats_status = cases[i].formats_status;
		t->scid = cases[i].scid;
		expected = cases[i].ret;
		/* A kernel may lack the vendor's set. */
		if (expected == -EINVAL && ARRAY_SIZE(nvmevf_ctrl_sets) == 1)
			expected = -EOPNOTSUPP;
		t->ctrl.set = NULL;
		t->ctrl.format = (struct nvmevf_format) { };
		missing = "none";
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_ctrl_choose_set(&t->ctrl, &missing),
				    expected, "case %u", i);
		KUNIT_EXPECT_PTR_EQ_MSG(test, t->ctrl.set,
					expected ? NULL : &nvmevf_cmds_std,
					"case %u", i);
		/* The vendor's set has no formats. */
		KUNIT_EXPECT_EQ_MSG(test, t->ctrl.format.uuid_index, !expected,
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, t->ctrl.format.uuid[0], !expected,
				    "case %u", i);
		if (cases[i].missing)
			KUNIT_EXPECT_STREQ_MSG(test, missing, cases[i].missing,
					       "case %u", i);
	}

	/* The PF does not answer, or not about the formats. */
	t->identify_error = -EAGAIN;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_choose_set(&t->ctrl, &missing), -EAGAIN);
	t->identify_error = 0;
	command_set = "standard";
	t->oacs = 0x880;
	t->scid = 7;
	t->formats_status = 0x4006;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_choose_set(&t->ctrl, &missing), -EINVAL);
}

/* The PF has another firmware since the VF was bound. */
static void nvmevf_ctrl_kunit_set_is_gone(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;
	struct nvmevf_identity identity;

	nvmevf_stats_init(&t->ctrl.stats);
	kunit_activate_static_stub(test, nvmevf_cmds_send, nvmevf_ctrl_kunit_send);
	t->ctrl.set = &nvmevf_cmds_std;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_identity(&t->ctrl, &identity), -EOPNOTSUPP);
}

/* Return the number of namespaces, -1 if the PF cannot tell, or an error. */
static int nvmevf_ctrl_kunit_count_namespaces(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;
	struct nvmevf_namespaces *list;
	int ret;

	ret = nvmevf_ctrl_namespaces(&t->ctrl, &t->own, &list);
	if (!ret)
		ret = list ? list->count : -1;
	kvfree(list);
	return ret;
}

static void nvmevf_ctrl_kunit_namespaces(struct kunit *test)
{
	struct nvmevf_ctrl_kunit *t = test->priv;
	struct nvmevf_namespaces *list;

	nvmevf_namespaces_kunit_start(test);
	KUNIT_ASSERT_EQ(test, nvmevf_ctrl_namespaces(&t->ctrl, &t->own, &list), 0);
	KUNIT_ASSERT_NOT_NULL(test, list);
	KUNIT_EXPECT_EQ(test, list->count, 2);
	KUNIT_EXPECT_MEMEQ(test, (u8 *)list->ns, nvmevf_namespaces_kunit_payload,
			   sizeof(nvmevf_namespaces_kunit_payload));
	kvfree(list);

	nvmevf_namespaces_kunit_pf.count = 0;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test), 0);
}

static void nvmevf_ctrl_kunit_many_namespaces(struct kunit *test)
{
	struct nvmevf_namespaces_kunit *pf = &nvmevf_namespaces_kunit_pf;
	unsigned int i;

	nvmevf_namespaces_kunit_start(test);
	pf->count = ARRAY_SIZE(pf->ns);
	for (i = 0; i < pf->count; i++) {
		pf->ns[i].nsid = 3 * (i + 1);
		pf->ns[i].attached = i == 0 || i >= 1023;
	}
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test),
			1 + pf->count - 1023);

	/* As many as a record has room for, and one more */
	for (i = 0; i < pf->count; i++)
		pf->ns[i].attached = i < 1024;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test), 1024);
	pf->ns[1500].attached = true;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test), -1);
}

/* What the PF does not support is left out; other errors are errors. */
static void nvmevf_ctrl_kunit_unknown_namespaces(struct kunit *test)
{
	static const struct {
		u8	cns;
		int	error, count;
	} cases[] = {
		{ 0x10, -EOPNOTSUPP, -1 }, { 0x10, -EAGAIN, -EAGAIN },
		{ 0x12, -EOPNOTSUPP, -1 }, { 0x12, -EIO, -EIO },
		{ 0x11, -EOPNOTSUPP, 2 }, { 0x11, -ECANCELED, -ECANCELED },
		{ 0x03, -EOPNOTSUPP, 2 }, { 0x03, -ENODEV, -ENODEV },
	};
	struct nvmevf_namespaces_kunit *pf = &nvmevf_namespaces_kunit_pf;
	struct nvmevf_ctrl_kunit *t = test->priv;
	unsigned int i;

	nvmevf_namespaces_kunit_start(test);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		pf->fails = cases[i].cns;
		pf->error = cases[i].error;
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_ctrl_kunit_count_namespaces(test),
				    cases[i].count, "CNS %#x: %d", pf->fails,
				    pf->error);
	}

	/* A list that does not ascend must end, too. */
	pf->fails = 0;
	pf->ns[1].nsid = 1;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test), -1);

	t->own.cntlid = cpu_to_le16(NVMEVF_CNTLID_UNKNOWN);
	pf->sent = 0;
	KUNIT_EXPECT_EQ(test, nvmevf_ctrl_kunit_count_namespaces(test), -1);
	KUNIT_EXPECT_EQ(test, pf->sent, 0);
}

static struct kunit_case nvmevf_ctrl_kunit_cases[] = {
	KUNIT_CASE(nvmevf_ctrl_kunit_firmware),
	KUNIT_CASE(nvmevf_ctrl_kunit_queue_pairs),
	KUNIT_CASE(nvmevf_ctrl_kunit_find_secondary),
	KUNIT_CASE(nvmevf_ctrl_kunit_needs_cntlid),
	KUNIT_CASE(nvmevf_ctrl_kunit_choose),
	KUNIT_CASE(nvmevf_ctrl_kunit_set_is_gone),
	KUNIT_CASE(nvmevf_ctrl_kunit_namespaces),
	KUNIT_CASE(nvmevf_ctrl_kunit_many_namespaces),
	KUNIT_CASE(nvmevf_ctrl_kunit_unknown_namespaces),
	{ }
};

static struct kunit_suite nvmevf_ctrl_kunit_suite = {
	.name = "nvme_vfio_pci_ctrl",
	.init = nvmevf_ctrl_kunit_init,
	.exit = nvmevf_ctrl_kunit_exit,
	.test_cases = nvmevf_ctrl_kunit_cases,
};

kunit_test_suite(nvmevf_ctrl_kunit_suite);
