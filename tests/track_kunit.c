// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check Track Send and Track Receive byte by byte, how runs are made to fit a
 * controller, and answers that make no sense. Included by cmds_track.c.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>

#define MOST		8		/* commands that are kept */
#define DATA		256		/* bytes of data that are kept */

struct nvmevf_track_kunit {
	struct nvmevf_ctrl	ctrl;
	struct pci_dev		pdev;
	u8			answer[DATA];

	/* The outcome of each command */
	u16			status[MOST];
	int			ret[MOST];
	u64			result[MOST];

	/* What was sent */
	unsigned int		sent;
	enum nvmevf_verb	verb[MOST];
	u8			sqe[MOST][64];
	u8			data[MOST][DATA];
	u32			len[MOST];
};

/* Takes the place of nvmevf_cmds_send(). */
static int nvmevf_track_kunit_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
				   const struct nvme_command *cmd, void *buf,
				   unsigned int len, struct nvme_vf_result *res)
{
	struct nvmevf_track_kunit *t = kunit_get_current_test()->priv;
	unsigned int i = t->sent++;

	*res = (struct nvme_vf_result) { };
	if (i >= MOST)
		return -EIO;
	*res = (struct nvme_vf_result) { t->result[i], t->status[i] };
	t->verb[i] = verb;
	memcpy(t->sqe[i], cmd, sizeof(t->sqe[i]));
	t->len[i] = len;
	if (verb == NVMEVF_VERB_TRACK_READ)
		memcpy(buf, t->answer, min(len, DATA));
	else
		memcpy(t->data[i], buf, min(len, DATA));
	return t->ret[i];
}

static int nvmevf_track_kunit_max_transfer(struct nvmevf_ctrl *ctrl, u32 *bytes)
{
	*bytes = 8 + 12 * 10 + 5;
	return 0;
}

static int nvmevf_track_kunit_init(struct kunit *test)
{
	struct nvmevf_track_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->pdev.dev.init_name = "kunit";
	t->ctrl.vf = &t->pdev;
	t->ctrl.track = (struct nvmevf_track_limits) { .runs = 100, .max_shift = 12 };
	nvmevf_stats_init(&t->ctrl.stats);
	ratelimit_default_init(&t->ctrl.messages);
	test->priv = t;
	kunit_activate_static_stub(test, nvmevf_cmds_send, nvmevf_track_kunit_send);
	kunit_activate_static_stub(test, nvmevf_cmds_max_transfer,
				   nvmevf_track_kunit_max_transfer);
	return 0;
}

static void nvmevf_track_kunit_limits(struct kunit *test)
{
	static const struct {
		u8	bytes[7];	/* from 570 on */
		u16	runs;
		u8	min_shift, max_shift;
		bool	power_of_2;
	} cases[] = {
		{ { 0x34, 0x12, 0xff, 0xff, 0, 9, 0x01 }, 0x1234, 0, 9, false },
		{ { 1, 0, 1, 0, 3, 3, 0x07 }, 1, 3, 3, true },
		{ { 1, 0, 1, 0, 0, 255, 0x01 }, 1, 0, 51, false },
		{ { 1, 0, 1, 0, 0, 9, 0x06 } },			/* no THMCS */
		{ { 0, 0, 1, 0, 0, 9, 0x01 }, 0, 0, 9, false },
		{ { 1, 0, 1, 0, 4, 3, 0x01 } },
		{ { 1, 0, 1, 0, 52, 60, 0x01 } },
	};
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_track_limits limits;
	struct nvme_id_ctrl *id;
	unsigned int i;

	id = kunit_kzalloc(test, sizeof(*id), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, id);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy((u8 *)id + 570, cases[i].bytes, 7);
		nvmevf_track_limits(&t->ctrl, id, &limits);
		KUNIT_EXPECT_EQ_MSG(test, limits.runs, cases[i].runs, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, limits.min_shift, cases[i].min_shift,
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, limits.max_shift, cases[i].max_shift,
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, limits.power_of_2, cases[i].power_of_2,
				    "case %u", i);
	}
}

/* The controller ID and the number of dwords are left to the hook. */
static void nvmevf_track_kunit_bytes(struct kunit *test)
{
	static const u8 start[64] = { [0] = 0x3d, [40] = 1, [42] = 1 };
	static const u8 read[64] = { [0] = 0x3e };
	static const u8 stop[64] = { [0] = 0x3d, [40] = 1 };
	static const u8 data[32] = {
		0, 0, 0, 1, 2, 0, 0, 0,
		0, 0x20, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0,
		0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 8, 0,
	};
	struct nvmevf_run runs[] = { { 3, 5 }, { 0x10000000, 0x100fffff } };
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_track_answer answer;
	unsigned int count = 2;
	u8 shift = 1;

	KUNIT_EXPECT_EQ(test, nvmevf_track_start(&t->ctrl, runs, &count, &shift), 0);
	KUNIT_EXPECT_EQ(test, nvmevf_track_read(&t->ctrl, t->data[7], DATA, &answer), 0);
	KUNIT_EXPECT_EQ(test, nvmevf_track_stop(&t->ctrl), 0);
	KUNIT_ASSERT_EQ(test, t->sent, 3);
	KUNIT_EXPECT_EQ(test, t->verb[0], NVMEVF_VERB_TRACK_START);
	KUNIT_EXPECT_EQ(test, t->verb[1], NVMEVF_VERB_TRACK_READ);
	KUNIT_EXPECT_EQ(test, t->verb[2], NVMEVF_VERB_TRACK_STOP);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[0], start, 64);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[1], read, 64);
	KUNIT_EXPECT_MEMEQ(test, t->sqe[2], stop, 64);
	KUNIT_EXPECT_EQ(test, t->len[0], 32);
	KUNIT_EXPECT_MEMEQ(test, t->data[0], data, 32);
	KUNIT_EXPECT_EQ(test, t->len[1], DATA);
	KUNIT_EXPECT_EQ(test, t->len[2], 8);
	KUNIT_EXPECT_MEMEQ(test, t->data[2], t->ctrl.format.uuid, 8);	/* zeros */
	KUNIT_EXPECT_EQ(test, runs[0].first, 2);
	KUNIT_EXPECT_EQ(test, runs[0].last, 5);
}

#define RUNS	5

/* What becomes of runs that a controller cannot track as they are */
static void nvmevf_track_kunit_fit(struct kunit *test)
{
	static const struct {
		unsigned int		most, count;
		u8			shift;
		bool			power_of_2;
		struct nvmevf_run	runs[RUNS];
		int			ret;
		unsigned int		fit_count;
		u8			fit_shift;
		struct nvmevf_run	fit[RUNS];
	} cases[] = {
		{ 5, 3, 0, false, { { 0, 0 }, { 2, 2 }, { 3, 9 } },
		  0, 3, 0, { { 0, 0 }, { 2, 2 }, { 3, 9 } } },
		/* the smallest gap first, then the next */
		{ 2, 4, 0, false, { { 0, 9 }, { 20, 29 }, { 31, 39 }, { 99, 99 } },
		  0, 2, 0, { { 0, 39 }, { 99, 99 } } },
		{ 3, 4, 0, false, { { 0, 9 }, { 90, 99 }, { 200, 200 }, { 204, 209 } },
		  0, 3, 0, { { 0, 9 }, { 90, 99 }, { 200, 209 } } },
		{ 1, 5, 0, false, { { 1, 1 }, { 3, 3 }, { 5, 5 }, { 7, 7 }, { 9, 9 } },
		  0, 1, 0, { { 1, 9 } } },
		/* granules that two runs share */
		{ 5, 3, 2, false, { { 1, 1 }, { 3, 5 }, { 16, 16 } },
		  0, 2, 2, { { 0, 7 }, { 16, 19 } } },
		/* powers of two, which may reach into the next run */
		{ 5, 2, 0, true, { { 3, 7 }, { 12, 12 } },
		  0, 2, 0, { { 3, 10 }, { 12, 12 } } },
		{ 5, 3, 0, true, { { 3, 7 }, { 10, 10 }, { 40, 41 } },
		  0, 2, 0, { { 3, 10 }, { 40, 41 } } },
		{ 5, 3, 0, true, { { 0, 4 }, { 7, 8 }, { 14, 20 } },
		  0, 1, 0, { { 0, 31 } } },
		/* the end of all memory */
		{ 5, 2, 1, true, { { 8, 8 }, { NVMEVF_TRACK_LAST - 4, NVMEVF_TRACK_LAST } },
		  0, 2, 1, { { 8, 9 }, { NVMEVF_TRACK_LAST - 7, NVMEVF_TRACK_LAST } } },
		/* 2^32 granules are one too many for 32 bits */
		{ 5, 1, 0, false, { { 0, U32_MAX - 1 } }, 0, 1, 0, { { 0, U32_MAX - 1 } } },
		{ 5, 1, 0, false, { { 0, U32_MAX } }, 0, 1, 1, { { 0, U32_MAX } } },
		{ 5, 1, 0, true, { { 0, U32_MAX - 1 } }, 0, 1, 1, { { 0, U32_MAX } } },
		{ 5, 1, 3, false, { { 5, 1ULL << 34 } }, 0, 1, 3, { { 0, (1ULL << 34) | 7 } } },
		{ 5, 1, 0, false, { { 0, NVMEVF_TRACK_LAST } }, -ENOSPC },
	};
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_run runs[RUNS];
	unsigned int i, k, count;
	u8 shift;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(runs, cases[i].runs, sizeof(runs));
		count = cases[i].count;
		shift = cases[i].shift;
		t->ctrl.track.power_of_2 = cases[i].power_of_2;
		KUNIT_EXPECT_EQ_MSG(test, cases[i].ret,
				    nvmevf_track_fit(&t->ctrl.track, cases[i].most, runs,
						     &count, &shift), "case %u", i);
		if (cases[i].ret)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, count, cases[i].fit_count, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, shift, cases[i].fit_shift, "case %u", i);
		for (k = 0; k < cases[i].fit_count; k++) {
			KUNIT_EXPECT_EQ_MSG(test, runs[k].first, cases[i].fit[k].first,
					    "case %u, run %u", i, k);
			KUNIT_EXPECT_EQ_MSG(test, runs[k].last, cases[i].fit[k].last,
					    "case %u, run %u", i, k);
		}
	}
}

/* How often a start is repeated, and with what */
static void nvmevf_track_kunit_tries(struct kunit *test)
{
	static const struct {
		u16	status[4];
		u64	result[4];
		int	ret, error[4];
		unsigned int sent, count;
		u8	shift;
	} cases[] = {
		{ { 0x4138 }, { 2ULL << 32 | 0 }, 0, { -EIO }, 2, 2, 0 },
		{ { 0x138 }, { 3ULL << 32 | 4 }, 0, { -EIO }, 2, 3, 4 },
		{ { 0x138, 0x138 }, { 3ULL << 32 | 4, 1ULL << 32 | 4 }, 0,
		  { -EIO, -EIO }, 3, 1, 4 },
		/* nothing that is less, or too coarse */
		{ { 0x138 }, { 9ULL << 32 | 0 }, -ENOSPC, { -EIO }, 1 },
		{ { 0x138 }, { 9ULL << 32 | 13 }, -ENOSPC, { -EIO }, 1 },
		{ { 0x138 }, { 0 }, -ENOSPC, { -EIO }, 1 },
		{ { 0x138, 0x138, 0x138, 0x138 },
		  { 4ULL << 32, 3ULL << 32, 2ULL << 32, 1ULL << 32 }, -ENOSPC,
		  { -EIO, -EIO, -EIO, -EIO }, 4 },
		/* one run, and no more tries */
		{ { 0x4002 }, { 0 }, 0, { -EINVAL }, 2, 1, 0 },
		{ { 0x4002, 0x4002 }, { 0 }, -ENOSPC, { -EINVAL, -EINVAL }, 2 },
		/* tracked already: stop, start */
		{ { 0x411f }, { 0 }, 0, { -EIO }, 3, 5, 0 },
		{ { 0x411f, 0x4139 }, { 0 }, -EIO, { -EIO, -EIO }, 2 },
		{ { 0x4139 }, { 0 }, -EIO, { -EIO }, 1 },
		{ { 0 }, { 0 }, -ECANCELED, { -ECANCELED }, 1 },
	};
	struct nvmevf_run runs[5];
	struct nvmevf_track_kunit *t = test->priv;
	unsigned int i, k, count;
	u8 shift;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		for (k = 0; k < 5; k++)
			runs[k] = (struct nvmevf_run) { 100 * k, 100 * k + 15 };
		count = 5;
		shift = 0;
		t->sent = 0;
		memcpy(t->status, cases[i].status, sizeof(cases[i].status));
		memcpy(t->result, cases[i].result, sizeof(cases[i].result));
		memcpy(t->ret, cases[i].error, sizeof(cases[i].error));
		KUNIT_EXPECT_EQ_MSG(test, cases[i].ret,
				    nvmevf_track_start(&t->ctrl, runs, &count, &shift),
				    "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, t->sent, cases[i].sent, "case %u", i);
		if (cases[i].ret)
			continue;
		KUNIT_EXPECT_EQ_MSG(test, count, cases[i].count, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, shift, cases[i].shift, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, t->data[t->sent - 1][4], count, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, t->data[t->sent - 1][3], shift, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, runs[0].first, 0, "case %u", i);
		KUNIT_EXPECT_EQ_MSG(test, runs[count - 1].last, 415, "case %u", i);
	}
}

/* Expect that start number @start had these descriptors, in pages. */
static void nvmevf_track_kunit_expect(struct kunit *test, unsigned int start,
				      const struct nvmevf_run *runs, unsigned int count)
{
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_track_request *req = (void *)t->data[start];
	unsigned int i;

	KUNIT_ASSERT_EQ_MSG(test, le32_to_cpu(req->header.count), count, "start %u", start);
	KUNIT_EXPECT_EQ(test, t->len[start], struct_size(req, desc, count));
	for (i = 0; i < count; i++) {
		KUNIT_EXPECT_EQ_MSG(test, le64_to_cpu(req->desc[i].address),
				    runs[i].first << NVMEVF_TRACK_SHIFT,
				    "start %u, descriptor %u", start, i);
		KUNIT_EXPECT_EQ_MSG(test, le32_to_cpu(req->desc[i].granules)
				    << req->header.granularity,
				    runs[i].last - runs[i].first + 1,
				    "start %u, descriptor %u", start, i);
	}
}

/* Start to track @asked on a controller that refuses @refused starts. */
static int nvmevf_track_kunit_try(struct nvmevf_track_kunit *t, unsigned int refused,
				  const struct nvmevf_run asked[2], u8 shift,
				  struct nvmevf_run runs[2], unsigned int *count)
{
	unsigned int i;

	for (i = 0; i < MOST; i++) {
		t->status[i] = i < refused ? 0x4002 : 0;
		t->ret[i] = i < refused ? -EINVAL : 0;
	}
	t->sent = 0;
	*count = 2;
	memcpy(runs, asked, 2 * sizeof(*runs));
	return nvmevf_track_start(&t->ctrl, runs, count, &shift);
}

/*
 * A controller that takes powers of two refuses what a start has added. Then parts of runs
 * have exactly what was asked for, if there are enough descriptors.
 */
static void nvmevf_track_kunit_parts(struct kunit *test)
{
	static const struct nvmevf_run asked[] = { { 0, 2 }, { 8, 12 } };
	static const struct nvmevf_run enlarged[] = { { 0, 3 }, { 8, 15 } };
	static const struct nvmevf_run parts[] = {
		{ 0, 1 }, { 2, 2 }, { 8, 11 }, { 12, 12 },
	};
	static const struct nvmevf_run one[] = { { 0, 15 } };
	/* 11 parts, one more than a command carries */
	static const struct nvmevf_run many[] = { { 0, 0x3fe }, { 0x801, 0x801 } };
	static const struct nvmevf_run many_enlarged[] = { { 0, 0x3ff }, { 0x801, 0x801 } };
	static const struct nvmevf_run many_one[] = { { 0, 0xfff } };
	/* granules of two pages: 3 and 1 of them */
	static const struct nvmevf_run odd[] = { { 1, 4 }, { 8, 8 } };
	static const struct nvmevf_run odd_parts[] = { { 0, 3 }, { 4, 5 }, { 8, 9 } };
	static const struct nvmevf_run odd_tracked[] = { { 0, 5 }, { 8, 9 } };
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_run runs[2];
	unsigned int count;

	t->ctrl.track.power_of_2 = true;

	/* The parts are refused, too: one run, which is refused. */
	KUNIT_EXPECT_EQ(test, -ENOSPC,
			nvmevf_track_kunit_try(t, 3, asked, 0, runs, &count));
	KUNIT_ASSERT_EQ(test, t->sent, 3);
	nvmevf_track_kunit_expect(test, 0, enlarged, 2);
	nvmevf_track_kunit_expect(test, 1, parts, 4);
	nvmevf_track_kunit_expect(test, 2, one, 1);

	/* The parts are taken. What is tracked are the runs. */
	KUNIT_EXPECT_EQ(test, 0, nvmevf_track_kunit_try(t, 1, asked, 0, runs, &count));
	KUNIT_EXPECT_EQ(test, t->sent, 2);
	nvmevf_track_kunit_expect(test, 1, parts, 4);
	KUNIT_EXPECT_EQ(test, count, 2);
	KUNIT_EXPECT_MEMEQ(test, runs, asked, sizeof(asked));

	KUNIT_EXPECT_EQ(test, 0, nvmevf_track_kunit_try(t, 1, many, 0, runs, &count));
	KUNIT_EXPECT_EQ(test, t->sent, 2);
	nvmevf_track_kunit_expect(test, 0, many_enlarged, 2);
	nvmevf_track_kunit_expect(test, 1, many_one, 1);
	KUNIT_EXPECT_EQ(test, count, 1);

	KUNIT_EXPECT_EQ(test, 0, nvmevf_track_kunit_try(t, 1, odd, 1, runs, &count));
	nvmevf_track_kunit_expect(test, 1, odd_parts, 3);
	KUNIT_EXPECT_EQ(test, count, 2);
	KUNIT_EXPECT_MEMEQ(test, runs, odd_tracked, sizeof(odd_tracked));
}

/* No more runs than one command carries, or than the controller has. */
static void nvmevf_track_kunit_most(struct kunit *test)
{
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_run runs[20];
	unsigned int i, k, count;
	u8 shift = 0;

	for (i = 0; i < 2; i++) {
		for (k = 0; k < 20; k++)
			runs[k] = (struct nvmevf_run) { 100 * k, 100 * k + 15 };
		count = 20;
		KUNIT_EXPECT_EQ(test, 0,
				nvmevf_track_start(&t->ctrl, runs, &count, &shift));
		KUNIT_EXPECT_EQ(test, count, i ? 3 : 10);
		KUNIT_EXPECT_EQ(test, t->len[i], 8 + 12 * count);
		t->ctrl.track.runs = 3;
	}
}

static void nvmevf_track_kunit_stop(struct kunit *test)
{
	static const struct {
		u16	status;
		int	error, expected;
	} cases[] = {
		{ 0, 0, 0 }, { 0x411f, -EIO, 0 }, { 0x4139, -EIO, -EBUSY },
		{ 0x4006, -EIO, -EIO }, { 0, -ENODEV, -ENODEV },
	};
	struct nvmevf_track_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		t->sent = 0;
		t->status[0] = cases[i].status;
		t->ret[0] = cases[i].error;
		KUNIT_EXPECT_EQ(test, nvmevf_track_stop(&t->ctrl), cases[i].expected);
	}
}

static void nvmevf_track_kunit_answer(struct kunit *test)
{
	static const u8 answer[] = {
		0, 3, 0x77, 0x66, 2, 0, 0, 0, 1, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0, 0x20, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
		0, 0xe0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0, 0, 0, 0, 0,
	};
	/* A byte of the answer, and what it becomes; then the answer makes no sense. */
	static const struct { u8 at, value; } bad[] = {
		{ 0, 1 },		/* version */
		{ 4, 5 }, { 7, 0x80 },	/* more than there is room for */
		{ 8, 52 }, { 9, 1 },	/* granules of more than all memory */
		{ 4, 0 },		/* nothing, and more of it */
		{ 17, 0x28 },		/* within a page */
		{ 24, 0 },		/* an empty run */
		{ 40, 2 }, { 33, 0xf0 },	/* beyond all memory */
	};
	struct nvmevf_track_kunit *t = test->priv;
	struct nvmevf_track_answer a;
	unsigned int i;
	u8 *buf;

	buf = kunit_kzalloc(test, 64 + 16, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, buf);
	memset(t->answer, 0xee, DATA);
	memcpy(t->answer, answer, sizeof(answer));
	KUNIT_EXPECT_EQ(test, nvmevf_track_read(&t->ctrl, buf, 16 + 16 * 4, &a), 0);
	KUNIT_ASSERT_EQ(test, a.count, 2);
	KUNIT_EXPECT_TRUE(test, a.more);
	KUNIT_EXPECT_TRUE(test, a.suspended);
	KUNIT_EXPECT_EQ(test, a.run[0].first, 2);
	KUNIT_EXPECT_EQ(test, a.run[0].last, 7);
	KUNIT_EXPECT_EQ(test, a.run[1].first, NVMEVF_TRACK_LAST - 1);
	KUNIT_EXPECT_EQ(test, a.run[1].last, NVMEVF_TRACK_LAST);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		memcpy(t->answer, answer, sizeof(answer));
		t->answer[bad[i].at] = bad[i].value;
		t->sent = 0;
		KUNIT_EXPECT_EQ_MSG(test, -EIO,
				    nvmevf_track_read(&t->ctrl, buf, 16 + 16 * 4, &a),
				    "case %u", i);
	}

	memset(t->answer, 0, 16);
	t->sent = 0;
	KUNIT_EXPECT_EQ(test, nvmevf_track_read(&t->ctrl, buf, 32, &a), 0);
	KUNIT_EXPECT_EQ(test, a.count, 0);
	KUNIT_EXPECT_FALSE(test, a.more);
	KUNIT_EXPECT_FALSE(test, a.suspended);

	t->sent = 0;
	t->ret[0] = -ECANCELED;
	KUNIT_EXPECT_EQ(test, nvmevf_track_read(&t->ctrl, buf, 32, &a), -ECANCELED);
}

static struct kunit_case nvmevf_track_kunit_cases[] = {
	KUNIT_CASE(nvmevf_track_kunit_limits),
	KUNIT_CASE(nvmevf_track_kunit_bytes),
	KUNIT_CASE(nvmevf_track_kunit_fit),
	KUNIT_CASE(nvmevf_track_kunit_tries),
	KUNIT_CASE(nvmevf_track_kunit_parts),
	KUNIT_CASE(nvmevf_track_kunit_most),
	KUNIT_CASE(nvmevf_track_kunit_stop),
	KUNIT_CASE(nvmevf_track_kunit_answer),
	{ }
};

static struct kunit_suite nvmevf_track_kunit_suite = {
	.name = "nvme_vfio_pci_track",
	.init = nvmevf_track_kunit_init,
	.test_cases = nvmevf_track_kunit_cases,
};

kunit_test_suite(nvmevf_track_kunit_suite);
