// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check the log of dirty pages with a controller that tells what the test wants: what the
 * store keeps and gives, when the log begins and ends, and when it is lost. Included by
 * dirty.c.
 */

#include <kunit/static_stub.h>
#include <kunit/test.h>
#include <linux/prandom.h>

#define RANGES		2
#define ANSWERS		4

/* The memory: 8 chunks from page 0 on, and one beyond a terabyte. In pages. */
#define LOW		(8ULL * NVMEVF_DIRTY_CHUNK)
#define HIGH		BIT_ULL(28)
#define PAGES		(LOW + NVMEVF_DIRTY_CHUNK)

struct nvmevf_dirty_kunit {
	struct nvmevf_ctrl	ctrl;
	struct pci_dev		pdev;
	struct nvmevf_dirty	dirty;
	struct interval_tree_node node[RANGES];
	struct rb_root_cached	root;

	/* What the controller does */
	u64			epoch;
	int			epoch_error, start_error, read_error, stop_error;
	struct nvmevf_run	run[64];
	struct nvmevf_track_answer answer[ANSWERS];
	bool			reset_while_reading;

	/* What it was asked for */
	unsigned int		starts, reads, stops;
	bool			tracks;
};

static struct nvmevf_dirty_kunit *nvmevf_dirty_kunit_priv(void)
{
	return kunit_get_current_test()->priv;
}

static int nvmevf_dirty_kunit_track_start(struct nvmevf_ctrl *ctrl,
					  struct nvmevf_run *runs,
					  unsigned int *count, u8 *shift)
{
	struct nvmevf_dirty_kunit *t = nvmevf_dirty_kunit_priv();

	t->starts++;
	if (t->tracks)
		return -EBUSY;
	t->tracks = !t->start_error;
	return t->start_error;
}

static int nvmevf_dirty_kunit_track_read(struct nvmevf_ctrl *ctrl, void *buf, u32 len,
					 struct nvmevf_track_answer *answer)
{
	struct nvmevf_dirty_kunit *t = nvmevf_dirty_kunit_priv();

	*answer = t->answer[t->reads % ANSWERS];
	t->reads++;
	if (t->reset_while_reading)
		t->epoch++;
	return t->read_error;
}

static int nvmevf_dirty_kunit_track_stop(struct nvmevf_ctrl *ctrl)
{
	struct nvmevf_dirty_kunit *t = nvmevf_dirty_kunit_priv();

	t->stops++;
	if (!t->stop_error)
		t->tracks = false;
	return t->stop_error;
}

static const struct nvmevf_cmd_set nvmevf_dirty_kunit_set = {
	.track_start = nvmevf_dirty_kunit_track_start,
	.track_read = nvmevf_dirty_kunit_track_read,
	.track_stop = nvmevf_dirty_kunit_track_stop,
};

/* These take the place of the functions of cmds.c. */
static int nvmevf_dirty_kunit_epoch(struct nvmevf_ctrl *ctrl, u64 *epoch)
{
	struct nvmevf_dirty_kunit *t = nvmevf_dirty_kunit_priv();

	*epoch = t->epoch;
	return t->epoch_error;
}

static int nvmevf_dirty_kunit_max_transfer(struct nvmevf_ctrl *ctrl, u32 *bytes)
{
	*bytes = SZ_1M;
	return 0;
}

static int nvmevf_dirty_kunit_init(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->pdev.dev.init_name = "kunit";
	t->ctrl.vf = &t->pdev;
	t->ctrl.set = &nvmevf_dirty_kunit_set;
	t->ctrl.track = (struct nvmevf_track_limits) {
		.runs = 100, .min_shift = 1, .max_shift = 9,
	};
	t->dirty.ctrl = &t->ctrl;
	t->epoch = 7;
	ratelimit_default_init(&t->ctrl.messages);
	test->priv = t;
	kunit_activate_static_stub(test, nvmevf_cmds_epoch, nvmevf_dirty_kunit_epoch);
	kunit_activate_static_stub(test, nvmevf_cmds_max_transfer,
				   nvmevf_dirty_kunit_max_transfer);
	return 0;
}

static void nvmevf_dirty_kunit_exit(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;

	if (t)
		nvmevf_dirty_stop(&t->dirty);
}

/* Start the log of one range in bytes, or of two. */
static int nvmevf_dirty_kunit_start(struct nvmevf_dirty_kunit *t, u64 first, u64 last,
				    u64 page_size, bool suspended)
{
	t->root = RB_ROOT_CACHED;
	t->node[0] = (struct interval_tree_node) { .start = first, .last = last };
	interval_tree_insert(&t->node[0], &t->root);
	return nvmevf_dirty_start(&t->dirty, &t->root, 1, &page_size, suspended);
}

static int nvmevf_dirty_kunit_start_all(struct nvmevf_dirty_kunit *t, bool suspended)
{
	u64 page_size = SZ_4K;

	t->root = RB_ROOT_CACHED;
	t->node[0] = (struct interval_tree_node) { .last = LOW * SZ_4K - 1 };
	t->node[1] = (struct interval_tree_node) {
		.start = HIGH * SZ_4K,
		.last = (HIGH + NVMEVF_DIRTY_CHUNK) * SZ_4K - 1,
	};
	interval_tree_insert(&t->node[0], &t->root);
	interval_tree_insert(&t->node[1], &t->root);
	return nvmevf_dirty_start(&t->dirty, &t->root, 2, &page_size, suspended);
}

/* Report; return the number of pages or an error. @map receives a bit for each page. */
static long nvmevf_dirty_kunit_report(struct nvmevf_dirty_kunit *t, u64 first, u64 last,
				      bool suspended, unsigned long *map)
{
	struct nvmevf_dirty_report report = { .suspended = suspended };
	const struct nvmevf_run *run;
	long ret, pages = 0;
	unsigned int i;
	u64 at;

	ret = nvmevf_dirty_collect(&t->dirty, first * SZ_4K, (last - first + 1) * SZ_4K,
				   &report);
	while (!ret) {
		ret = nvmevf_dirty_take(&t->dirty, &report);
		if (ret <= 0)
			break;
		for (i = 0; i < report.count; i++) {
			run = &report.run[i];
			if (run->first < first || run->last > last ||
			    run->first > run->last)
				return -ERANGE;
			pages += run->last - run->first + 1;
			at = run->first < LOW ? run->first : run->first - HIGH + LOW;
			if (map)
				bitmap_set(map, at, run->last - run->first + 1);
		}
		ret = 0;
	}
	return ret ?: pages;
}

/* Let the next answer have @count runs of @t->run, and all after it none. */
static void nvmevf_dirty_kunit_answer(struct nvmevf_dirty_kunit *t, unsigned int count,
				      bool suspended)
{
	unsigned int i;

	t->reads = 0;
	for (i = 0; i < ANSWERS; i++)
		t->answer[i] = (struct nvmevf_track_answer) {
			.run = t->run,
			.count = i ? 0 : count,
			.suspended = suspended,
		};
}

/* A call that makes no sense is refused, and changes nothing. */
static void nvmevf_dirty_kunit_refused(struct kunit *test)
{
	static const u64 sizes[] = { 0, 1, 2048, 4095, 4097, 3 * 4096, ~0ULL };
	struct nvmevf_dirty_kunit *t = test->priv;
	struct nvmevf_dirty_report report = { };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		KUNIT_EXPECT_EQ(test, -EINVAL,
				nvmevf_dirty_kunit_start(t, 0, SZ_1M - 1, sizes[i], false));
	/* empty: at 0, and elsewhere */
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nvmevf_dirty_kunit_start(t, 0, ULONG_MAX, SZ_4K, false));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nvmevf_dirty_kunit_start(t, SZ_1M, SZ_1M - 1, SZ_4K, false));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 0, 1, false, NULL));
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->starts + t->stops + t->reads, 0);

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_start_all(t, false));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_start_all(t, true));
	KUNIT_EXPECT_EQ(test, t->starts, 1);
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_collect(&t->dirty, 0, 0, &report));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_collect(&t->dirty, 1, SZ_4K, &report));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_collect(&t->dirty, 0, 4095, &report));
	/* partly or completely what is not logged */
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 0, LOW, false, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, LOW, LOW, false, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nvmevf_dirty_kunit_report(t, LOW - 1, HIGH, false, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL,
			nvmevf_dirty_kunit_report(t, HIGH - 1, HIGH, false, NULL));
	KUNIT_EXPECT_EQ(test, t->reads, 0);
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, HIGH, HIGH, false, NULL));

	nvmevf_dirty_stop(&t->dirty);
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->stops, 1);
	KUNIT_EXPECT_FALSE(test, t->tracks);
}

/* The granularity that the user gets */
static void nvmevf_dirty_kunit_granularity(struct kunit *test)
{
	static const struct { u64 wanted, used; } cases[] = {
		{ SZ_4K, SZ_8K }, { SZ_8K, SZ_8K }, { SZ_16K, SZ_16K }, { SZ_2M, SZ_2M },
		{ SZ_4M, SZ_2M }, { 1ULL << 63, SZ_2M },
	};
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned int i;
	u64 size;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		t->root = RB_ROOT_CACHED;
		t->node[0] = (struct interval_tree_node) { .last = SZ_4M - 1 };
		interval_tree_insert(&t->node[0], &t->root);
		size = cases[i].wanted;
		KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_start(&t->dirty, &t->root, 1, &size,
							    i % 2));
		KUNIT_EXPECT_EQ(test, size, cases[i].used);
		nvmevf_dirty_stop(&t->dirty);
	}
}

/* Ranges that touch are one for a report. */
static void nvmevf_dirty_kunit_touch(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;
	u64 size = SZ_4K;

	t->root = RB_ROOT_CACHED;
	t->node[0] = (struct interval_tree_node) { .start = SZ_4K, .last = SZ_1M - 1 };
	t->node[1] = (struct interval_tree_node) { .start = SZ_1M, .last = SZ_2M - 1 };
	interval_tree_insert(&t->node[0], &t->root);
	interval_tree_insert(&t->node[1], &t->root);
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_start(&t->dirty, &t->root, 2, &size, false));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 1, 511, false, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 0, 511, false, NULL));
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 1, 512, false, NULL));
}

/* Make a run: a page or more, or more than a chunk, in tracked memory or around it. */
static struct nvmevf_run nvmevf_dirty_kunit_run(struct rnd_state *rnd)
{
	u32 kind = prandom_u32_state(rnd) % 16;
	struct nvmevf_run run;
	u32 length = 1;

	if (kind > 8)
		length = 1 + prandom_u32_state(rnd) % 1000;
	if (kind > 13)
		length = 1 + prandom_u32_state(rnd) % (3 * (u32)NVMEVF_DIRTY_CHUNK);
	run.first = prandom_u32_state(rnd) % (u32)PAGES;
	if (run.first >= LOW)
		run.first += HIGH - LOW;
	run.last = run.first + length - 1;
	return run;
}

/* Set the bits of what is tracked of a run. */
static void nvmevf_dirty_kunit_set_map(unsigned long *map, struct nvmevf_run run)
{
	u64 last;

	if (run.first < LOW) {
		bitmap_set(map, run.first, min(run.last, LOW - 1) - run.first + 1);
		return;
	}
	last = min(run.last, HIGH + NVMEVF_DIRTY_CHUNK - 1);
	if (last >= run.first)
		bitmap_set(map, run.first - HIGH + LOW, last - run.first + 1);
}

/*
 * Each page that the controller told of is reported once, by the first report that asks for
 * it; compare with a plain bitmap of all pages.
 */
static void nvmevf_dirty_kunit_store(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned long *expected, *map, *window;
	unsigned int round, i, count;
	struct rnd_state rnd;
	u64 first, last, at;
	u64 told = 0;

	prandom_seed_state(&rnd, 20261129);
	expected = kunit_kzalloc(test, PAGES / 8, GFP_KERNEL);
	map = kunit_kzalloc(test, PAGES / 8, GFP_KERNEL);
	window = kunit_kzalloc(test, PAGES / 8, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, expected && map && window);
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));

	for (round = 0; round < 300; round++) {
		count = prandom_u32_state(&rnd) % ARRAY_SIZE(t->run);
		for (i = 0; i < count; i++) {
			t->run[i] = nvmevf_dirty_kunit_run(&rnd);
			nvmevf_dirty_kunit_set_map(expected, t->run[i]);
		}
		nvmevf_dirty_kunit_answer(t, count, false);

		/* a window of any size that is tracked */
		do {
			struct nvmevf_run w = nvmevf_dirty_kunit_run(&rnd);

			first = w.first;
			last = w.last;
			if (first < LOW)
				last = min(last, LOW - 1);
		} while (last > HIGH + NVMEVF_DIRTY_CHUNK - 1);
		if (round % 64 == 0) {
			first = 0;
			last = LOW - 1;
		}

		bitmap_zero(map, PAGES);
		told = nvmevf_dirty_kunit_report(t, first, last, false, map);
		KUNIT_ASSERT_GE(test, (s64)told, 0);

		at = first < LOW ? first : first - HIGH + LOW;
		bitmap_zero(window, PAGES);
		bitmap_set(window, at, last - first + 1);
		bitmap_and(window, window, expected, PAGES);
		KUNIT_ASSERT_TRUE_MSG(test, bitmap_equal(map, window, PAGES), "round %u",
				      round);
		bitmap_andnot(expected, expected, window, PAGES);
	}
	nvmevf_dirty_kunit_answer(t, 0, false);
	bitmap_zero(map, PAGES);
	nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, map);
	nvmevf_dirty_kunit_report(t, HIGH, HIGH + NVMEVF_DIRTY_CHUNK - 1, false, map);
	KUNIT_EXPECT_TRUE(test, bitmap_equal(map, expected, PAGES));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
}

/* More long runs than are taken at a time, below pages of a chunk or of an empty one */
static void nvmevf_dirty_kunit_many(struct kunit *test)
{
	const u64 chunk = NVMEVF_DIRTY_CHUNK, last = 80 * chunk - 1;
	const unsigned int many = NVMEVF_DIRTY_RUNS + 2;
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned int round, i;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start(t, 0, (last + 1) * SZ_4K - 1,
							  SZ_4K, false));
	for (round = 0; round < 2; round++) {
		for (i = 0; i < many; i++)
			t->run[i] = (struct nvmevf_run) { 2 * i * chunk, (2 * i + 1) * chunk };
		t->run[i++] = (struct nvmevf_run) { 70 * chunk + 2, 70 * chunk + 3 };
		nvmevf_dirty_kunit_answer(t, i, false);
		if (!round) {
			KUNIT_EXPECT_EQ(test, many * (chunk + 1) + 2,
					nvmevf_dirty_kunit_report(t, 0, last, false, NULL));
			continue;
		}

		/* The chunk is empty, and the report ends in it and in a long run. */
		KUNIT_EXPECT_EQ(test, 2,
				nvmevf_dirty_kunit_report(t, 70 * chunk, 71 * chunk - 1,
							  false, NULL));
		t->run[0] = (struct nvmevf_run) { 70 * chunk + 10, 73 * chunk };
		nvmevf_dirty_kunit_answer(t, 1, false);
		KUNIT_EXPECT_EQ(test, many * (chunk + 1) + 11,
				nvmevf_dirty_kunit_report(t, 0, 70 * chunk + 20, false,
							  NULL));
		KUNIT_EXPECT_EQ(test, 3 * chunk - 20,
				nvmevf_dirty_kunit_report(t, 0, last, false, NULL));
	}
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, last, false, NULL));
}

/* A controller that tells of memory that is not tracked does not fill the store. */
static void nvmevf_dirty_kunit_not_tracked(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->run[0] = (struct nvmevf_run) { LOW, LOW };
	t->run[1] = (struct nvmevf_run) { LOW, HIGH - 1 };
	t->run[2] = (struct nvmevf_run) { 2 * HIGH, NVMEVF_TRACK_LAST };
	nvmevf_dirty_kunit_answer(t, 3, false);
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	KUNIT_EXPECT_NULL(test, nvmevf_dirty_first(&t->dirty.log->many));
	KUNIT_EXPECT_NULL(test, nvmevf_dirty_first(&t->dirty.log->chunks));
}

/* A report of 64 PiB takes neither memory nor time. */
static void nvmevf_dirty_kunit_sparse(struct kunit *test)
{
	const u64 last = (1ULL << 44) - 1;
	struct nvmevf_dirty_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start(t, 0, (last + 1) * SZ_4K - 1,
							  SZ_4K, true));
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_EQ(test, 3, nvmevf_dirty_kunit_report(t, 5, 7, false, NULL));
	KUNIT_EXPECT_EQ(test, 2, nvmevf_dirty_kunit_report(t, last - 1, last, false, NULL));
	KUNIT_EXPECT_EQ(test, last + 1 - 5,
			nvmevf_dirty_kunit_report(t, 0, last, false, NULL));
	t->run[0] = (struct nvmevf_run) { last, last };
	nvmevf_dirty_kunit_answer(t, 1, false);
	KUNIT_EXPECT_EQ(test, 1, nvmevf_dirty_kunit_report(t, 0, last, false, NULL));
}

/* All parts of an answer are read; a VF that is suspended is asked until nothing is left. */
static void nvmevf_dirty_kunit_drain(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned int i;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	for (i = 0; i < ANSWERS; i++) {
		t->run[i] = (struct nvmevf_run) { 10 * i, 10 * i };
		t->answer[i] = (struct nvmevf_track_answer) {
			.run = &t->run[i], .count = 1, .more = i < ANSWERS - 1,
		};
	}
	KUNIT_EXPECT_EQ(test, ANSWERS,
			nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	KUNIT_EXPECT_EQ(test, t->reads, ANSWERS);

	/* Once all was read of a suspended VF, no report asks again, until it may run. */
	nvmevf_dirty_kunit_answer(t, 2, true);
	KUNIT_EXPECT_EQ(test, 1, nvmevf_dirty_kunit_report(t, 0, 5, true, NULL));
	KUNIT_EXPECT_EQ(test, 1, nvmevf_dirty_kunit_report(t, 6, 99, true, NULL));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 99, true, NULL));
	KUNIT_EXPECT_EQ(test, t->reads, 1);
	nvmevf_dirty_resuming(&t->dirty);
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 99, true, NULL));
	KUNIT_EXPECT_EQ(test, t->reads, 2);

	/* The owner has reset the controller of a suspended VF: it runs. */
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_kunit_answer(t, 1, false);
	KUNIT_EXPECT_EQ(test, 1, nvmevf_dirty_kunit_report(t, 0, 99, true, NULL));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 99, true, NULL));
	KUNIT_EXPECT_EQ(test, t->reads, 2);

	/* A controller that never ends, of a suspended VF or of one that runs */
	nvmevf_dirty_kunit_answer(t, 1, false);
	t->run[0] = (struct nvmevf_run) { 0, LOW - 1 };
	for (i = 0; i < ANSWERS; i++)
		t->answer[i] = (struct nvmevf_track_answer) {
			.run = t->run, .count = 1, .more = true, .suspended = true,
		};
	KUNIT_EXPECT_EQ(test, LOW, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	KUNIT_EXPECT_EQ(test, -EIO, nvmevf_dirty_kunit_report(t, 0, LOW - 1, true, NULL));
	nvmevf_dirty_kunit_answer(t, 1, false);
	KUNIT_EXPECT_EQ(test, -EIO, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	nvmevf_dirty_stop(&t->dirty);

	/* The same, with a sum of pages that does not fit 64 bits */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->run[0] = (struct nvmevf_run) { 0, BIT_ULL(63) - 1 };
	t->run[1] = t->run[0];
	for (i = 0; i < ANSWERS; i++)
		t->answer[i] = (struct nvmevf_track_answer) {
			.run = t->run, .count = 2, .more = true, .suspended = true,
		};
	KUNIT_EXPECT_EQ(test, -EIO, nvmevf_dirty_kunit_report(t, 0, LOW - 1, true, NULL));
	nvmevf_dirty_stop(&t->dirty);

	/* The same, and it says that the suspended VF runs: the rest may never be asked for. */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	for (i = 0; i < ANSWERS; i++)
		t->answer[i] = (struct nvmevf_track_answer) {
			.run = t->run, .count = 1, .more = true,
		};
	KUNIT_EXPECT_EQ(test, -EIO, nvmevf_dirty_kunit_report(t, 0, LOW - 1, true, NULL));
}

/* A log that may lack a page fails until it is started again. */
static void nvmevf_dirty_kunit_lost(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < 5; i++) {
		KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
		KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 9, false, NULL));
		switch (i) {
		case 0:
			t->read_error = -ECANCELED;
			break;
		case 1:
			t->epoch++;
			break;
		case 2:
			t->epoch_error = -ENODEV;
			break;
		case 3:
			t->reset_while_reading = true;
			break;
		case 4:
			nvmevf_dirty_lose(&t->dirty, "test");
		}
		KUNIT_EXPECT_EQ_MSG(test, -EIO,
				    nvmevf_dirty_kunit_report(t, 0, 9, false, NULL),
				    "case %u", i);
		t->read_error = 0;
		t->epoch_error = 0;
		t->reset_while_reading = false;
		KUNIT_EXPECT_EQ_MSG(test, -EIO,
				    nvmevf_dirty_kunit_report(t, 0, 9, true, NULL),
				    "case %u", i);
		KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_start_all(t, false));
		/* A reset of the PF has ended the tracking. */
		if (t->dirty.epoch != t->epoch)
			t->tracks = false;
		nvmevf_dirty_stop(&t->dirty);
		KUNIT_EXPECT_FALSE(test, t->tracks);
	}
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 9, false, NULL));
}

/* The log of a suspended VF has all memory once, after the VF was resumed. */
static void nvmevf_dirty_kunit_armed(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, true));
	KUNIT_EXPECT_TRUE(test, nvmevf_dirty_armed(&t->dirty));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, true, NULL));
	KUNIT_EXPECT_EQ(test, t->starts + t->reads, 0);
	/* It ends as it began. */
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->stops, 0);

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, true));
	nvmevf_dirty_resuming(&t->dirty);
	/* RESUME failed, or it did not. */
	KUNIT_EXPECT_EQ(test, 9, nvmevf_dirty_kunit_report(t, 0, 8, true, NULL));
	KUNIT_EXPECT_EQ(test, t->starts + t->reads, 0);
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->starts, 1);
	KUNIT_EXPECT_FALSE(test, nvmevf_dirty_armed(&t->dirty));
	KUNIT_EXPECT_EQ(test, LOW, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	KUNIT_EXPECT_EQ(test, NVMEVF_DIRTY_CHUNK,
			nvmevf_dirty_kunit_report(t, HIGH, HIGH + NVMEVF_DIRTY_CHUNK - 1,
						  false, NULL));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	/* not again when it is suspended and resumed again */
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->starts, 1);
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, LOW - 1, false, NULL));
	nvmevf_dirty_stop(&t->dirty);

	/* The tracking fails when it is due. */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, true));
	t->start_error = -ENOSPC;
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_EQ(test, -EIO, nvmevf_dirty_kunit_report(t, 0, 9, false, NULL));
	nvmevf_dirty_stop(&t->dirty);
	/* A start that failed may have had its effect. */
	t->stops = 0;
	KUNIT_EXPECT_EQ(test, -ENOSPC, nvmevf_dirty_kunit_start_all(t, false));
	KUNIT_EXPECT_EQ(test, t->stops, 1);
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 0, 9, false, NULL));
}

/* A tracking that could not be ended is ended later. */
static void nvmevf_dirty_kunit_stop_later(struct kunit *test)
{
	struct nvmevf_dirty_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->stop_error = -EBUSY;
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_kunit_report(t, 0, 9, true, NULL));
	t->stop_error = 0;
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_FALSE(test, t->tracks);

	/* The caller is killed before the command was sent, and then closes the VF. */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->stop_error = -EAGAIN;
	nvmevf_dirty_stop(&t->dirty);
	t->stop_error = 0;
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_FALSE(test, t->tracks);

	/* The log is started again meanwhile. */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->stop_error = -EBUSY;
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, true));
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_report(t, 0, 9, true, NULL));
	t->stop_error = 0;
	nvmevf_dirty_resuming(&t->dirty);
	nvmevf_dirty_running(&t->dirty);
	KUNIT_EXPECT_TRUE(test, t->tracks);
	KUNIT_EXPECT_EQ(test, 10, nvmevf_dirty_kunit_report(t, 0, 9, false, NULL));
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_FALSE(test, t->tracks);

	/* A reset of the PF ends it, and no command is needed. */
	KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
	t->stops = 0;
	t->epoch++;
	nvmevf_dirty_stop(&t->dirty);
	KUNIT_EXPECT_EQ(test, t->stops, 0);
	t->tracks = false;
	KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
}

/* A report that is under way ends if the log is stopped, even if it is started again. */
static void nvmevf_dirty_kunit_stopped_report(struct kunit *test)
{
	struct nvmevf_dirty_report report = { };
	struct nvmevf_dirty_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
		t->run[0] = (struct nvmevf_run) { 1, 2 };
		nvmevf_dirty_kunit_answer(t, 1, false);
		KUNIT_EXPECT_EQ(test, 0, nvmevf_dirty_collect(&t->dirty, 0, SZ_1M, &report));
		KUNIT_EXPECT_EQ(test, 1, nvmevf_dirty_take(&t->dirty, &report));
		nvmevf_dirty_stop(&t->dirty);
		if (i)
			KUNIT_ASSERT_EQ(test, 0, nvmevf_dirty_kunit_start_all(t, false));
		KUNIT_EXPECT_EQ(test, -EINVAL, nvmevf_dirty_take(&t->dirty, &report));
	}
}

static struct kunit_case nvmevf_dirty_kunit_cases[] = {
	KUNIT_CASE(nvmevf_dirty_kunit_refused),
	KUNIT_CASE(nvmevf_dirty_kunit_granularity),
	KUNIT_CASE(nvmevf_dirty_kunit_touch),
	KUNIT_CASE(nvmevf_dirty_kunit_store),
	KUNIT_CASE(nvmevf_dirty_kunit_many),
	KUNIT_CASE(nvmevf_dirty_kunit_not_tracked),
	KUNIT_CASE(nvmevf_dirty_kunit_sparse),
	KUNIT_CASE(nvmevf_dirty_kunit_drain),
	KUNIT_CASE(nvmevf_dirty_kunit_lost),
	KUNIT_CASE(nvmevf_dirty_kunit_armed),
	KUNIT_CASE(nvmevf_dirty_kunit_stop_later),
	KUNIT_CASE(nvmevf_dirty_kunit_stopped_report),
	{ }
};

static struct kunit_suite nvmevf_dirty_kunit_suite = {
	.name = "nvme_vfio_pci_dirty",
	.init = nvmevf_dirty_kunit_init,
	.exit = nvmevf_dirty_kunit_exit,
	.test_cases = nvmevf_dirty_kunit_cases,
};

kunit_test_suite(nvmevf_dirty_kunit_suite);
