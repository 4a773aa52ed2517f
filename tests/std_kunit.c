// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check the standard's commands byte by byte, the chunks of a state, and headers that
 * another host or a controller made up. Included by cmds_std.c.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/unaligned.h>

#define CHUNK		8192		/* what one command carries, but for 100 bytes */
#define MOST		8		/* commands that are kept */

struct nvmevf_std_kunit {
	struct nvmevf_ctrl	ctrl;
	struct pci_dev		pdev;
	u8			*state;		/* of the controller */
	u32			size;
	u64			result;
	u16			status;
	int			ret;
	u8			scs;		/* 1: online */
	int			secondary_ret;

	/* What was sent */
	unsigned int		sent;
	enum nvmevf_verb	verb[MOST];
	u8			sqe[MOST][64];
	u32			offset[MOST], len[MOST];
};

/* Takes the place of nvmevf_cmds_send(). */
static int nvmevf_std_kunit_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
				 const struct nvme_command *cmd, void *buf,
				 unsigned int len, struct nvme_vf_result *res)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_std_kunit *t = test->priv;
	unsigned int i = t->sent++;
	u32 offset = get_unaligned_le32((u8 *)cmd + 48);

	*res = (struct nvme_vf_result){ t->result, t->status };
	if (i >= MOST)
		return -EIO;
	t->verb[i] = verb;
	memcpy(t->sqe[i], cmd, sizeof(t->sqe[i]));
	t->offset[i] = offset;
	t->len[i] = len;
	if (t->ret || !buf)
		return t->ret;
	KUNIT_EXPECT_LE(test, offset + len, t->size);
	if (offset + len > t->size)
		return -EIO;
	if (t->sqe[i][0] == 0x41)
		KUNIT_EXPECT_MEMEQ(test, (u8 *)buf, t->state + offset, len);
	else
		memcpy(buf, t->state + offset, len);
	return 0;
}

static int nvmevf_std_kunit_max_transfer(struct nvmevf_ctrl *ctrl, u32 *bytes)
{
	*bytes = CHUNK + 100;
	return 0;
}

static int nvmevf_std_kunit_find_secondary(struct nvmevf_ctrl *ctrl, int vfn,
					   struct nvme_secondary_ctrl *entry)
{
	struct nvmevf_std_kunit *t = kunit_get_current_test()->priv;

	entry->scs = t->scs;
	return t->secondary_ret;
}

/* Make a state of @size bytes. */
static void nvmevf_std_kunit_make(struct kunit *test, u32 size)
{
	struct nvmevf_std_kunit *t = test->priv;
	u32 i;

	t->sent = 0;
	t->size = size;
	t->state = kunit_kzalloc(test, size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->state);
	for (i = 48; i < size; i++)
		t->state[i] = i * 7 + i / 251;
	t->state[2] = 1;
	put_unaligned_le64(2, t->state + 16);
	put_unaligned_le64((size - 48) / 4 - 2, t->state + 32);
}

static int nvmevf_std_kunit_init(struct kunit *test)
{
	struct nvmevf_std_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->pdev.dev.init_name = "kunit";
	t->ctrl.vf = &t->pdev;
	t->ctrl.format.version_index = 3;
	t->ctrl.format.uuid_index = 0x85;
	t->result = 1;
	t->scs = 1;
	nvmevf_stats_init(&t->ctrl.stats);
	ratelimit_default_init(&t->ctrl.messages);
	test->priv = t;
	kunit_activate_static_stub(test, nvmevf_cmds_send, nvmevf_std_kunit_send);
	kunit_activate_static_stub(test, nvmevf_cmds_max_transfer,
				   nvmevf_std_kunit_max_transfer);
	kunit_activate_static_stub(test, nvmevf_cmds_find_secondary,
				   nvmevf_std_kunit_find_secondary);
	return 0;
}

/* The controller ID and the number of dwords are left to the hook. */
static void nvmevf_std_kunit_suspend_resume(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;
	u8 suspend[64] = { [0] = 0x41, [46] = 1 };
	u8 resume[64] = { [0] = 0x41, [40] = 1 };

	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.suspend(&t->ctrl), 0);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.resume(&t->ctrl), 0);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.undo_suspend(&t->ctrl), 0);
	KUNIT_ASSERT_EQ(test, t->sent, 3);
	KUNIT_EXPECT_EQ(test, t->verb[0], NVMEVF_VERB_SUSPEND);
	KUNIT_EXPECT_EQ(test, t->verb[1], NVMEVF_VERB_RESUME);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[0], suspend, 64);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[1], resume, 64);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[2], resume, 64);
}

/*
 * A VF that is online and not suspended runs already. Each other error remains. What
 * undoes Suspend needs no VF that runs.
 */
static void nvmevf_std_kunit_resume_errors(struct kunit *test)
{
	static const struct {
		u16	status;
		int	error, expected, undone;
		u8	scs;
		int	secondary_ret;
	} cases[] = {
		{ 0x413a, -EIO, 0, 0, 1 },
		{ 0x13a, -EIO, 0, 0, 0xff },
		{ 0x413a, -EIO, -EIO, 0, 0 },
		{ 0x413a, -EIO, -EIO, 0, 0xfe },
		{ 0x413a, -EIO, -EAGAIN, 0, 1, -EAGAIN },
		{ 0x411f, -EIO, -EIO, -EIO, 1 },
		{ 0x400c, -EPROTO, -EPROTO, -EPROTO, 1 },
		{ 0, -ECANCELED, -ECANCELED, -ECANCELED, 1 },
		{ 0, 0, 0, 0, 0, -EAGAIN },	/* not asked */
	};
	struct nvmevf_std_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		t->sent = 0;
		t->status = cases[i].status;
		t->ret = cases[i].error;
		t->scs = cases[i].scs;
		t->secondary_ret = cases[i].secondary_ret;
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_cmds_std.resume(&t->ctrl),
				    cases[i].expected, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_cmds_std.undo_suspend(&t->ctrl),
				    cases[i].undone, "case %u", i);
	}
	t->status = 0x413a;
	t->ret = -EIO;
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.suspend(&t->ctrl), -EIO);
}

/* Sizes of states, and of the chunks but the last, which has the rest */
static const u32 nvmevf_std_kunit_sizes[] = {
	56, 1024, 4096, CHUNK - 4, CHUNK, CHUNK + 4, 2 * CHUNK, 3 * CHUNK + 100,
};

static void nvmevf_std_kunit_expect_chunks(struct kunit *test, bool save)
{
	struct nvmevf_std_kunit *t = test->priv;
	unsigned int i, count = DIV_ROUND_UP(t->size, CHUNK);
	u8 sqe[64];

	KUNIT_ASSERT_EQ(test, t->sent, count);
	for (i = 0; i < count; i++) {
		memset(sqe, 0, sizeof(sqe));
		if (save) {
			sqe[0] = 0x42;
			sqe[42] = 3;
			sqe[46] = 0x85;
		} else {
			sqe[0] = 0x41;
			sqe[40] = 2;
			sqe[42] = (i == 0 ? 1 : 0) | (i == count - 1 ? 2 : 0);
			sqe[46] = 3;
			sqe[47] = 0x85;
		}
		put_unaligned_le32(i * CHUNK, sqe + 48);
		KUNIT_EXPECT_MEMEQ(test, t->sqe[i], sqe, 64);
		KUNIT_EXPECT_EQ(test, t->len[i],
				min_t(u32, CHUNK, t->size - i * CHUNK));
		KUNIT_EXPECT_EQ(test, t->verb[i],
				save ? NVMEVF_VERB_SAVE : NVMEVF_VERB_LOAD);
	}
}

static void nvmevf_std_kunit_chunks(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;
	unsigned int i;
	u8 *buf;

	for (i = 0; i < ARRAY_SIZE(nvmevf_std_kunit_sizes); i++) {
		nvmevf_std_kunit_make(test, nvmevf_std_kunit_sizes[i]);
		buf = kunit_kzalloc(test, t->size, GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, buf);
		KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.save(&t->ctrl, buf, t->size), 0);
		nvmevf_std_kunit_expect_chunks(test, true);
		KUNIT_EXPECT_MEMEQ(test, buf, t->state, t->size);

		t->sent = 0;
		KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.load(&t->ctrl, buf, t->size), 0);
		nvmevf_std_kunit_expect_chunks(test, false);
	}
}

/* A VF with a part of a state must get no more commands, and above all no Resume. */
static void nvmevf_std_kunit_load_fails(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;

	nvmevf_std_kunit_make(test, 3 * CHUNK);
	t->ret = -EINVAL;
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.load(&t->ctrl, t->state, t->size),
			-EINVAL);
	KUNIT_EXPECT_EQ(test, t->sent, 1);
}

/* A state that was read while the VF was not suspended may contradict itself. */
static void nvmevf_std_kunit_not_suspended(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;
	bool has_queues;
	u32 size;
	u8 *buf;

	nvmevf_std_kunit_make(test, 2 * CHUNK);
	buf = kunit_kzalloc(test, t->size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	t->result = 0xfffffffe;
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.save(&t->ctrl, buf, t->size), -EIO);
	KUNIT_EXPECT_EQ(test, t->sent, 1);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.has_queues(&t->ctrl, &has_queues), -EIO);
	/* The size of a VF that runs is an estimate. */
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.query_size(&t->ctrl, &size), 0);
	KUNIT_EXPECT_EQ(test, size, 2 * CHUNK);
}

/* The size of the state must remain what it was when the memory was allocated. */
static void nvmevf_std_kunit_other_size(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;
	u8 *buf;

	nvmevf_std_kunit_make(test, 4096);
	buf = kunit_kzalloc(test, t->size, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.save(&t->ctrl, buf, 4092), -EIO);
}

static void nvmevf_std_kunit_has_queues(struct kunit *test)
{
	struct nvmevf_std_kunit *t = test->priv;
	bool has_queues = true;

	nvmevf_std_kunit_make(test, 4096);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.has_queues(&t->ctrl, &has_queues), 0);
	KUNIT_EXPECT_FALSE(test, has_queues);
	put_unaligned_le64(14, t->state + 16);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.has_queues(&t->ctrl, &has_queues), 0);
	KUNIT_EXPECT_TRUE(test, has_queues);
}

/* A header that was made up: no memory of that size, and no command */
static void nvmevf_std_kunit_headers(struct kunit *test)
{
	static const struct {
		u8	at;
		u64	value;
		int	save, load;
	} cases[] = {
		{ 16, U64_MAX, -E2BIG, -E2BIG },
		{ 16, 1ULL << 62, -E2BIG, -E2BIG },	/* times 4 is 0 */
		{ 24, 1, -E2BIG, -E2BIG }, { 40, 1, -E2BIG, -E2BIG },
		{ 24, 1ULL << 63, -E2BIG, -E2BIG },
		{ 32, U64_MAX - 1, -E2BIG, -E2BIG },	/* the sum is 0 */
		{ 32, SZ_16M / 4 - 12 - 2 + 1, -E2BIG, -E2BIG },
		{ 32, SZ_16M / 4 - 12 - 2, 0, -EINVAL },
		{ 32, 0, 0, -EINVAL }, { 16, 3, 0, -EINVAL },
		{ 0, 0x10001, -EINVAL, -EINVAL },	/* version */
	};
	struct nvmevf_std_kunit *t = test->priv;
	unsigned int i;
	u32 size;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		nvmevf_std_kunit_make(test, 4096);
		put_unaligned_le64(cases[i].value, t->state + cases[i].at);
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_cmds_std.query_size(&t->ctrl, &size),
				    cases[i].save, "case %u", i);
		t->sent = 0;
		KUNIT_EXPECT_EQ_MSG(test,
				    nvmevf_cmds_std.load(&t->ctrl, t->state, 4096),
				    cases[i].load, "case %u", i);
		KUNIT_EXPECT_EQ(test, t->sent, 0);
	}

	/* shorter than a header, and with bytes that are no dword */
	for (i = 1; i < 48; i++)
		KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.load(&t->ctrl, t->state, i),
				-EINVAL);
	nvmevf_std_kunit_make(test, 4096);
	KUNIT_EXPECT_EQ(test, nvmevf_cmds_std.load(&t->ctrl, t->state, 4095), -EINVAL);
	KUNIT_EXPECT_EQ(test, t->sent, 0);
}

static void nvmevf_std_kunit_formats(struct kunit *test)
{
	static const struct {
		u8	versions, uuids, list[40];
		int	ret;
		u8	version_index;
	} cases[] = {
		{ 1, 1, { 0, 0, 0xab }, 0, 1 },
		{ 3, 2, { 2, 0, 1, 0, 0, 0, 0xab }, 0, 3 },
		{ 2, 1, { 2, 0, 0, 1, 0xab }, -EOPNOTSUPP },
		{ 0, 1, { 0xab }, -EOPNOTSUPP },
		{ 1, 0, { 0, 0, 0xab }, -EOPNOTSUPP },
		{ 1, 1, { 0, 0, 0 }, -EOPNOTSUPP },
	};
	struct nvmevf_std_formats *formats;
	struct nvmevf_format format;
	const char *missing;
	unsigned int i;

	formats = kunit_kzalloc(test, sizeof(*formats), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, formats);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		formats->versions = cases[i].versions;
		formats->uuids = cases[i].uuids;
		memcpy(formats->list, cases[i].list, sizeof(cases[i].list));
		missing = NULL;
		KUNIT_EXPECT_EQ(test, cases[i].ret,
				nvmevf_std_read_formats(formats, &format, &missing));
		KUNIT_EXPECT_EQ(test, !missing, !cases[i].ret);
		if (cases[i].ret)
			continue;
		KUNIT_EXPECT_EQ(test, format.version_index, cases[i].version_index);
		KUNIT_EXPECT_EQ(test, format.uuid_index, 1);
		KUNIT_EXPECT_EQ(test, format.uuid[0], 0xab);
	}
}

static struct kunit_case nvmevf_std_kunit_cases[] = {
	KUNIT_CASE(nvmevf_std_kunit_suspend_resume),
	KUNIT_CASE(nvmevf_std_kunit_resume_errors),
	KUNIT_CASE(nvmevf_std_kunit_chunks),
	KUNIT_CASE(nvmevf_std_kunit_load_fails),
	KUNIT_CASE(nvmevf_std_kunit_not_suspended),
	KUNIT_CASE(nvmevf_std_kunit_other_size),
	KUNIT_CASE(nvmevf_std_kunit_has_queues),
	KUNIT_CASE(nvmevf_std_kunit_headers),
	KUNIT_CASE(nvmevf_std_kunit_formats),
	{ }
};

static struct kunit_suite nvmevf_std_kunit_suite = {
	.name = "nvme_vfio_pci_std",
	.init = nvmevf_std_kunit_init,
	.test_cases = nvmevf_std_kunit_cases,
};

kunit_test_suite(nvmevf_std_kunit_suite);
