// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the log of what a VF writes (VFIO's DMA logging): calls that make no sense, the order
 * of the calls of QEMU and of Cloud Hypervisor, what ends a log, and calls side by side.
 *
 * NVMEVF_TRACK=device says that the controller tracks. The tests need that, and a kernel with
 * CONFIG_IOMMUFD_DRIVER.
 */
#include <unistd.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/dirty.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/inject.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stall.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/truth.h"
#include "lib/vf.h"

#define PAGES	(GUEST_MEM / PAGE)

/* A VF has a log if, and only if, the controller tracks and VFIO can report. */
TEST(offered)
{
	struct vf vf;
	void *mem;
	int mark;

	if (!vf_bdf(0))
		SKIP(return, "no VF is bound to the driver");
	mem = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0));
	log_open();
	mark = log_mark();
	vf_rebind(vf_bdf(0), NULL);
	if (dirty_is_tracked() && !dirty_is_offered())
		log_await(mark, "*dirty page tracking off: kernel has no CONFIG_IOMMUFD_DRIVER*");
	vf_open(&vf, vf_bdf(0), VF_ANY, mem, PAGE);
	EXPECT_EQ(dirty_is_offered() ? 0 : -ENOTTY, dirty_probe(&vf));
	vf_close(&vf);
}

FIXTURE(dirty)
{
	struct nvme n;
	struct vf vf;
	struct nvme_queue *q;
	unsigned char *data;		/* two pages */
	__u64 map[TRUTH_WORDS];
	struct truth truth;
};

FIXTURE_VARIANT(dirty)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(dirty, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(dirty, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(dirty)
{
	if (!vf_bdf(0) || !dirty_is_offered() || !vf_api_present(variant->api))
		SKIP(return, "no VF, the controller does not track, or this kernel cannot report");
	fault_clear_all(vf_bdf(0));
	guest_open(&self->n, &self->vf, 1, variant->api);
	nvme_start(&self->n, 1, NVME_DEPTH, NVME_DEPTH);
	self->q = &self->n.queue[1];
	self->data = nvme_alloc(&self->n, 2 * PAGE);
	ASSERT_EQ(0, dirty_probe(&self->vf));
	truth_open(&self->truth, &self->vf);
}

FIXTURE_TEARDOWN(dirty)
{
	truth_forget(&self->truth);
	fault_clear_all(vf_bdf(0));
	fault_no_jitter(vf_bdf(0));
	vf_close(&self->vf);
}

static int start_ranges(FIXTURE_DATA(dirty) * self, const struct dirty_range *ranges,
			unsigned int count, __u64 *page_size)
{
	int ret = dirty_start(&self->vf, ranges, count, page_size);

	if (!ret)
		truth_forget(&self->truth);
	return ret;
}

static int start(FIXTURE_DATA(dirty) * self)
{
	return truth_start(&self->truth);
}

/* Report all memory; return the number of pages or -errno. */
static int report_only(FIXTURE_DATA(dirty) * self)
{
	int ret;

	memset(self->map, 0, sizeof(self->map));
	ret = dirty_report(&self->vf, VF_IOVA, GUEST_MEM, PAGE, self->map);
	return ret ?: (int)dirty_count(self->map, TRUTH_WORDS);
}

/* Likewise, and compare with the truth. */
static int report(FIXTURE_DATA(dirty) * self)
{
	int ret;

	memset(self->map, 0, sizeof(self->map));
	ret = truth_report(&self->truth, self->map);
	return ret ?: (int)dirty_count(self->map, TRUTH_WORDS);
}

static unsigned int page_of(FIXTURE_DATA(dirty) * self, const void *p)
{
	return ((unsigned char *)p - self->n.mem) / PAGE;
}

static void transfer(FIXTURE_DATA(dirty) * self, __u8 opcode)
{
	dirty_transfer(&self->n, opcode, 0, self->data);
}

/* Expect that the log has one read() since the last report. */
static void expect_read(struct __test_metadata *_metadata, FIXTURE_DATA(dirty) * self)
{
	EXPECT_EQ(3, report(self));
	EXPECT_TRUE(dirty_has(&self->n, self->map, self->data));
	EXPECT_TRUE(dirty_has(&self->n, self->map, self->data + PAGE));
	EXPECT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
	EXPECT_EQ(0, report(self));
}

/* Bring back a VF that was reset. */
static void restart(FIXTURE_DATA(dirty) * self)
{
	io_forget_unfinished(&self->n);
	nvme_start(&self->n, 1, NVME_DEPTH, NVME_DEPTH);
	self->data = nvme_alloc(&self->n, 2 * PAGE);
}

/* A start that makes no sense is refused, and changes nothing. */
TEST_F(dirty, bad_starts)
{
	static const struct {
		__u64	page_size;
		unsigned int count;
		struct dirty_range	ranges[2];
		int	error;
	} cases[] = {
		{ 4096, 0, { { 0, 4096 } }, -EINVAL },
		{ 4096, DIRTY_RANGES + 1, { { 0, 4096 } }, -E2BIG },
		{ 0, 1, { { 0, 4096 } }, -EINVAL },
		{ 0, 1, { { 0, 0 } }, -EINVAL },
		{ 1, 1, { { 0, 4096 } }, -EINVAL },
		{ 2048, 1, { { 0, 4096 } }, -EINVAL },
		{ 4095, 1, { { 0, 4096 } }, -EINVAL },
		{ 4097, 1, { { 0, 4097 } }, -EINVAL },
		{ 12288, 1, { { 0, 12288 } }, -EINVAL },
		{ 4096, 1, { { 1, 4096 } }, -EINVAL },
		{ 4096, 1, { { 0, 4095 } }, -EINVAL },
		/* empty */
		{ 4096, 1, { { 0, 0 } }, -EINVAL },
		{ 4096, 1, { { 8192, 0 } }, -EINVAL },
		{ 4096, 2, { { 8192, 8192 }, { 65536, 0 } }, -EINVAL },
		{ 1ULL << 63, 1, { { 0, 0 } }, -EINVAL },
		/* overlap, overflow */
		{ 4096, 2, { { 0, 8192 }, { 4096, 8192 } }, -EINVAL },
		{ 4096, 2, { { 0, 8192 }, { 0, 8192 } }, -EINVAL },
		{ 4096, 1, { { -4096ULL, 8192 } }, -EOVERFLOW },
	};
	struct dirty_range ranges[DIRTY_RANGES + 1] = {};
	__u64 page_size;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(ranges, cases[i].ranges, sizeof(cases[i].ranges));
		page_size = cases[i].page_size;
		EXPECT_EQ(cases[i].error, dirty_start(&self->vf, ranges, cases[i].count,
						      &page_size))
			TH_LOG("case %u", i);
		EXPECT_EQ(-EINVAL, report(self));
	}
	page_size = PAGE;
	EXPECT_EQ(-EFAULT, dirty_start(&self->vf, NULL, 1, &page_size));
	EXPECT_EQ(-EINVAL, report(self));

	/* A second start does not touch the first. */
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	EXPECT_EQ(-EINVAL, start(self));
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		memcpy(ranges, cases[i].ranges, sizeof(cases[i].ranges));
		page_size = cases[i].page_size;
		EXPECT_GT(0, dirty_start(&self->vf, ranges, cases[i].count, &page_size));
	}
	expect_read(_metadata, self);
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(-EINVAL, report(self));
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, report(self));
}

/* Ranges of all sizes and numbers, and page sizes */
TEST_F(dirty, good_starts)
{
	static const __u64 sizes[] = {
		4096, 8192, 65536, 2 << 20, 1 << 30,
	};
	/* around what a descriptor of the standard can have, and more than a device may have */
	static const __u64 lengths[] = {
		(1ULL << 32) - PAGE, 1ULL << 32, (1ULL << 44) - PAGE, 1ULL << 44,
		(1ULL << 44) + PAGE, 1ULL << 46,
	};
	struct dirty_range ranges[DIRTY_RANGES], wide = { };
	const struct dirty_range low = { 0, 2 * VF_IOVA };
	unsigned int i, page;
	__u64 page_size;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		page_size = sizes[i];
		ASSERT_EQ(0, start_ranges(self, &low, 1, &page_size));
		/* It may be less than what was asked for, but not less than a page. */
		EXPECT_LE(PAGE, page_size);
		EXPECT_EQ(0, page_size & (page_size - 1));
		transfer(self, NVME_READ);
		EXPECT_LE(3, report(self));
		EXPECT_TRUE(dirty_has(&self->n, self->map, self->data));
		EXPECT_TRUE(dirty_has(&self->n, self->map, self->data + PAGE));
		EXPECT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
		EXPECT_EQ(0, report(self));
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}

	/* Each has one page of two. What is between them may be tracked, too. */
	for (i = 0; i < DIRTY_RANGES; i++)
		ranges[i] = (struct dirty_range){ VF_IOVA + 2 * i * PAGE, PAGE };
	page_size = PAGE;
	ASSERT_EQ(0, start_ranges(self, ranges, DIRTY_RANGES, &page_size));
	transfer(self, NVME_READ);
	for (i = 0; i < DIRTY_RANGES; i++) {
		self->map[0] = 0;
		ASSERT_EQ(0, dirty_report(&self->vf, ranges[i].iova, PAGE, PAGE, self->map));
		page = page_of(self, self->data);
		if (2 * i == page || 2 * i == page + 1)
			EXPECT_EQ(1, self->map[0]);
	}
	EXPECT_EQ(0, dirty_stop(&self->vf));

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		wide.length = lengths[i];
		page_size = PAGE;
		ASSERT_EQ(0, start_ranges(self, &wide, 1, &page_size));
		transfer(self, NVME_READ);
		EXPECT_LE(3, report(self));
		EXPECT_TRUE(dirty_has(&self->n, self->map, self->data));
		EXPECT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}
}

/* The log has the first page of a range and the last one, and none beside them. */
TEST_F(dirty, edges_of_ranges)
{
	__u64 iova = nvme_iova(&self->n, self->data), page_size;
	const struct {
		struct dirty_range range;
		__u64		map;
	} cases[] = {
		{ { iova, 2 * PAGE }, 3 },
		{ { iova, PAGE }, 1 },
		{ { iova + PAGE, PAGE }, 1 },
		{ { iova, 3 * PAGE }, 3 },
		{ { iova + PAGE, 2 * PAGE }, 1 },
	};
	const struct dirty_range *range;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		range = &cases[i].range;
		page_size = PAGE;
		ASSERT_EQ(0, start_ranges(self, range, 1, &page_size));
		transfer(self, NVME_READ);
		self->map[0] = 0;
		EXPECT_EQ(-EINVAL, dirty_report(&self->vf, range->iova + range->length, PAGE,
						PAGE, self->map));
		EXPECT_EQ(-EINVAL, dirty_report(&self->vf, range->iova - PAGE, PAGE, PAGE,
						self->map));
		EXPECT_EQ(0, dirty_report(&self->vf, range->iova, range->length, PAGE,
					  self->map));
		EXPECT_EQ(cases[i].map, self->map[0])
			TH_LOG("case %u", i);
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}
}

/* A report that makes no sense is refused, and clears nothing. */
TEST_F(dirty, bad_reports)
{
	static const struct {
		__u64	iova, length, page_size;
		int	error;
	} cases[] = {
		{ VF_IOVA, 0, 4096, -EINVAL },
		{ VF_IOVA, GUEST_MEM, 0, -EINVAL },
		{ VF_IOVA, GUEST_MEM, 2048, -EINVAL },
		{ VF_IOVA, GUEST_MEM, 12288, -EINVAL },
		{ VF_IOVA, GUEST_MEM - 1, 4096, -EINVAL },
		{ VF_IOVA + 1, 4096, 4096, -EINVAL },
		{ VF_IOVA + 512, 4096, 4096, -EINVAL },
		/* not in the ranges, partly or completely */
		{ VF_IOVA, GUEST_MEM + 4096, 4096, -EINVAL },
		{ VF_IOVA - 4096, GUEST_MEM, 4096, -EINVAL },
		{ VF_IOVA + GUEST_MEM, 4096, 4096, -EINVAL },
		{ 0, 4096, 4096, -EINVAL },
		{ -8192ULL, 4096, 4096, -EINVAL },
		{ -4096ULL, 8192, 4096, -EOVERFLOW },
	};
	unsigned int i;

	EXPECT_EQ(-EINVAL, report(self));
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		EXPECT_EQ(cases[i].error, dirty_report(&self->vf, cases[i].iova,
						       cases[i].length, cases[i].page_size,
						       self->map))
			TH_LOG("case %u", i);
	EXPECT_EQ(0, dirty_count(self->map, TRUTH_WORDS));
	expect_read(_metadata, self);
}

/* Windows of any length, and bitmaps at any place, of any page size */
TEST_F(dirty, windows_and_bitmaps)
{
	static const unsigned int lengths[] = { 1, 2, 4, 63, 64, 65, 127, PAGES };
	unsigned char *memory, *map;
	unsigned int i, at, page;
	__u64 *words;

	/* three pages, and nothing behind them */
	memory = must(mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	must(munmap(memory + 3 * PAGE, PAGE));
	ASSERT_EQ(0, start(self));

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		transfer(self, NVME_READ);
		for (page = 0; page < PAGES; page += lengths[i]) {
			unsigned int len = lengths[i], bytes;

			if (len > PAGES - page)
				len = PAGES - page;
			bytes = (len + 63) / 64 * 8;
			/* over the end of a page, or to the end of the memory */
			map = memory + (page % 2 ? PAGE - 8 : 3 * PAGE - bytes);
			memset(map, 0, bytes);
			ASSERT_EQ(0, dirty_report(&self->vf, VF_IOVA + page * PAGE,
						  len * PAGE, PAGE, map));
			for (at = 0; at < 8 * bytes; at++) {
				bool bit = map[at / 8] >> at % 8 & 1;
				unsigned int p = page + at, d = page_of(self, self->data);

				EXPECT_EQ(at < len && (p == d || p == d + 1 ||
						       p == page_of(self, self->q->cq)), bit)
					TH_LOG("page %u in windows of %u", p, lengths[i]);
			}
		}
		EXPECT_EQ(0, report_only(self));
	}

	/* Bits are set, and none is cleared. */
	transfer(self, NVME_READ);
	memset(self->map, 0xaa, sizeof(self->map));
	ASSERT_EQ(0, dirty_report(&self->vf, VF_IOVA, GUEST_MEM, PAGE, self->map));
	for (page = 0; page < PAGES; page += 2)
		EXPECT_TRUE(self->map[page / 64] >> (page + 1) % 64 & 1);
	EXPECT_TRUE(dirty_has(&self->n, self->map, self->data));

	/* Larger pages than those of the log */
	transfer(self, NVME_READ);
	words = (void *)memory;
	*words = 0;
	ASSERT_EQ(0, dirty_report(&self->vf, VF_IOVA, GUEST_MEM, 2 << 20, words));
	EXPECT_TRUE(*words >> page_of(self, self->data) / 512 & 1);
	EXPECT_EQ(0, *words >> PAGES / 512);
	transfer(self, NVME_READ);
	*words = 0;
	ASSERT_EQ(0, dirty_report(&self->vf, VF_IOVA, GUEST_MEM, 1ULL << 63, words));
	EXPECT_EQ(1, *words);
	EXPECT_EQ(0, report_only(self));

	/* VFIO does not tell of a bitmap that it cannot write. The kernel must survive. */
	must(mprotect(memory, PAGE, PROT_READ));
	transfer(self, NVME_READ);
	dirty_report(&self->vf, VF_IOVA, GUEST_MEM, PAGE, memory);
	transfer(self, NVME_READ);
	dirty_report(&self->vf, VF_IOVA, GUEST_MEM, PAGE, memory + 3 * PAGE - 8);
	transfer(self, NVME_READ);
	dirty_report(&self->vf, VF_IOVA, GUEST_MEM, PAGE, NULL);
	EXPECT_EQ(0, report_only(self));
	must(munmap(memory, 3 * PAGE));
}

/*
 * VFIO maps 2 MiB of a bitmap at once, which are 64 GiB of the VF's memory. All bits of a larger
 * bitmap are set, and nothing around them.
 */
TEST_F(dirty, large_bitmap)
{
	static const struct dirty_range large = { 0, 200ULL << 30 };
	const unsigned int bytes = large.length / PAGE / 8, begin = PAGE / 2;
	const unsigned int page = VF_IOVA / PAGE;
	__u64 page_size = PAGE, *words;
	unsigned char *map;
	unsigned int i;

	map = must(mmap(NULL, bytes + PAGE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	words = (void *)(map + begin);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	ASSERT_EQ(0, start_ranges(self, &large, 1, &page_size));
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	ASSERT_EQ(0, dirty_report(&self->vf, 0, large.length, PAGE, words));
	for (i = 0; i < bytes + PAGE; i++)
		if (map[i] != (i >= begin && i < begin + bytes ? 0xff : 0))
			break;
	EXPECT_EQ(bytes + PAGE, i);

	memset(map, 0, bytes + PAGE);
	transfer(self, NVME_READ);
	ASSERT_EQ(0, dirty_report(&self->vf, 0, large.length, PAGE, words));
	EXPECT_EQ(3, dirty_count((__u64 *)map, (bytes + PAGE) / 8));
	EXPECT_TRUE(dirty_has(&self->n, words + page / 64, self->data));
	EXPECT_TRUE(dirty_has(&self->n, words + page / 64, self->data + PAGE));
	EXPECT_TRUE(dirty_has(&self->n, words + page / 64, self->q->cq));
	must(munmap(map, bytes + PAGE));
}

/* What the VF reads is not written. */
TEST_F(dirty, exactly_the_written_pages)
{
	int i;

	transfer(self, NVME_READ);
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, report(self));
	for (i = 0; i < 20; i++) {
		transfer(self, NVME_READ);
		expect_read(_metadata, self);
	}
	transfer(self, NVME_WRITE);
	EXPECT_EQ(1, report(self));
	EXPECT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
}

/* The log has what was written before the VF was suspended, in each state after that. */
TEST_F(dirty, each_state)
{
	static const unsigned int paths[][7] = {
		{ VFIO_DEVICE_STATE_RUNNING },
		{ VFIO_DEVICE_STATE_PRE_COPY },
		{ VFIO_DEVICE_STATE_RUNNING_P2P },
		{ VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_STOP },
		{ VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P },
		{ VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P,
		  VFIO_DEVICE_STATE_STOP_COPY },
		{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY },
		{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY,
		  VFIO_DEVICE_STATE_STOP },
		{ VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_RUNNING,
		  VFIO_DEVICE_STATE_RUNNING_P2P },
	};
	unsigned int i, k;

	ASSERT_EQ(0, start(self));
	for (i = 0; i < ARRAY_SIZE(paths); i++) {
		transfer(self, NVME_READ);
		for (k = 0; k < 7 && paths[i][k]; k++)
			vf_enter_state(&self->vf, paths[i][k], NULL);
		expect_read(_metadata, self);
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(0, report(self));
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("path %u", i);
	}
}

/* A report does not wait until the state was read. */
TEST_F(dirty, while_the_state_is_read)
{
	struct stream s;
	long long begin;

	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	guest_precopy(&self->n, &s);
	guest_suspend(&self->n);
	/* The size, and then the state in the background */
	ASSERT_TRUE(fault_set(self->vf.bdf, COMMAND_STD_GET, FAULT_DELAY, 2000));
	guest_stop_copy(&self->n, &s);
	begin = running_ms();
	expect_read(_metadata, self);
	EXPECT_GT(1500, running_ms() - begin);
	ASSERT_TRUE(fault_set(self->vf.bdf, COMMAND_STD_GET, FAULT_NONE, 0));
	guest_read_state(&self->n, &s);
	EXPECT_EQ(0, report(self));
	guest_roll_back(&self->n);
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
	free(s.data);
}

/* Copy what is dirty of the memory, as a migration does. Return the number of pages. */
static int copy_dirty(FIXTURE_DATA(dirty) * self)
{
	unsigned char *mem = self->n.mem;
	unsigned int i;
	int ret = report(self);

	for (i = 0; i < PAGES; i++)
		if (self->map[i / 64] >> i % 64 & 1)
			memcpy(self->n.frozen + i * PAGE, mem + i * PAGE, PAGE);
	return ret;
}

#define BATCH	(NVME_DEPTH - 1)

/* The I/O of a guest while it migrates */
struct load {
	unsigned char	*data;
	unsigned int	size;
	struct nvme_req	*req[BATCH];
	unsigned int	round;
};

/* Give the disk other contents at each place. */
static void load_init(FIXTURE_DATA(dirty) * self, struct load *load)
{
	unsigned int i, k;

	load->size = BATCH * 2 * PAGE;
	load->data = nvme_alloc(&self->n, load->size);
	load->round = 0;
	for (i = 0; i < 2 * BATCH; i++) {
		for (k = 0; k < 2 * PAGE; k += 4)
			*(__u32 *)(self->data + k) = i * 0x01010101 + k;
		dirty_transfer(&self->n, NVME_WRITE, i * 2 * PAGE / self->n.lba_size,
			       self->data);
	}
}

/* Read BATCH pieces, from another place in each round. */
static void load_submit(FIXTURE_DATA(dirty) * self, struct load *load)
{
	unsigned int i;

	load->round++;
	for (i = 0; i < BATCH; i++)
		load->req[i] = dirty_submit(&self->n, NVME_READ,
					    (load->round + i) % (2 * BATCH) * 2 * PAGE /
					    self->n.lba_size, load->data + i * 2 * PAGE);
	nvme_ring(&self->n, self->q);
}

static void load_finish(FIXTURE_DATA(dirty) * self, struct load *load)
{
	unsigned int i;

	while (self->q->outstanding)
		nvme_reap(&self->n, self->q);
	for (i = 0; i < BATCH; i++) {
		if (load->req[i]->status)
			die("read: status %#x", load->req[i]->status);
		load->req[i]->busy = false;
	}
}

/* Compare the memory that the VF writes with what a migration has copied. */
static void expect_copied(struct __test_metadata *_metadata, FIXTURE_DATA(dirty) * self,
			  struct load *load)
{
	unsigned char *copy = self->n.frozen + (load->data - self->n.mem);
	unsigned int i;

	for (i = 0; i < load->size; i += PAGE)
		ASSERT_EQ(0, memcmp(copy + i, load->data + i, PAGE))
			TH_LOG("page %u was missed in round %u", i / PAGE, load->round);
	copy = self->n.frozen + ((unsigned char *)self->q->cq - self->n.mem);
	ASSERT_EQ(0, memcmp(copy, self->q->cq, PAGE));
}

/* Return how often @verb is in the steps so far. */
static unsigned int count_steps(const char *bdf, const char *verb)
{
	char *steps = trace_steps(bdf), *at = steps;
	unsigned int count = 0;

	while ((at = strstr(at, verb))) {
		at += strlen(verb);
		count++;
	}
	free(steps);
	return count;
}

/*
 * The calls of QEMU: the last report comes in STOP_COPY, in parts, and the log is not stopped
 * at the source. That report takes no more than two commands.
 */
TEST_F(dirty, order_of_qemu)
{
	static const struct dirty_range ranges[] = {
		{ 0, VF_IOVA + GUEST_MEM },
		{ 0x100000000, 0x40000000 },
		{ 0x7000000000, 0x1000000000 },
	};
	static const struct dirty_range sections[] = {
		{ 0, 0xa0000 }, { 0xc0000, 0x4000 }, { 0xc4000, 0x1c000 },
		{ 0xe0000, 0x20000 }, { 0x100000, VF_IOVA - 0x100000 },
		{ 0x100000000, 0x40000000 }, { 0x7000000000, 0x1000 },
	};
	__u64 page_size = PAGE, *map;
	struct stream s;
	struct load load;
	unsigned int i, k;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	map = calloc(1, 1 << 20);
	load_init(self, &load);
	ASSERT_EQ(0, start_ranges(self, ranges, ARRAY_SIZE(ranges), &page_size));
	guest_freeze(&self->n);
	guest_precopy(&self->n, &s);
	for (i = 0; i < 20; i++) {
		load_submit(self, &load);
		for (k = 0; k < ARRAY_SIZE(sections); k++)
			ASSERT_EQ(0, dirty_report(&self->vf, sections[k].iova,
						  sections[k].length, PAGE, map));
		copy_dirty(self);
		load_finish(self, &load);
	}
	load_submit(self, &load);
	nvme_await(self->q, 1);
	guest_suspend(&self->n);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL);
	trace_clear();
	for (k = 0; k < ARRAY_SIZE(sections); k++)
		ASSERT_EQ(0, dirty_report(&self->vf, sections[k].iova,
					  sections[k].length, PAGE, map));
	EXPECT_LT(0, copy_dirty(self));
	EXPECT_GE(2, count_steps(self->vf.bdf, "track_read\n"));
	ASSERT_EQ(0, stream_read_more(&s, self->n.data_fd, self->n.chunk));
	expect_copied(_metadata, self, &load);
	EXPECT_EQ(0, dirty_count(map, (1 << 20) / 8));
	/* The migration fails after all, and the guest goes on. */
	guest_roll_back(&self->n);
	EXPECT_EQ(0, dirty_stop(&self->vf));
	load_finish(self, &load);
	free(s.data);
	free(map);
	trace_close();
}

/*
 * The calls of Cloud Hypervisor: no PRE_COPY, pages of the size that START returned, and the
 * last report in STOP, when the state has been read.
 */
TEST_F(dirty, order_of_cloud_hypervisor)
{
	const struct dirty_range all = { VF_IOVA, GUEST_MEM };
	__u64 page_size = PAGE;
	struct stream s;
	struct load load;
	unsigned int i;

	load_init(self, &load);
	ASSERT_EQ(0, start_ranges(self, &all, 1, &page_size));
	ASSERT_EQ(PAGE, page_size);
	guest_freeze(&self->n);
	for (i = 0; i < 20; i++) {
		load_submit(self, &load);
		copy_dirty(self);
		load_finish(self, &load);
	}
	load_submit(self, &load);
	nvme_await(self->q, 1);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY, &self->n.data_fd);
	ASSERT_EQ(0, stream_read(&s, self->n.data_fd, self->n.chunk));
	close(self->n.data_fd);
	self->n.data_fd = -1;
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	EXPECT_LT(0, copy_dirty(self));
	expect_copied(_metadata, self, &load);
	EXPECT_EQ(0, dirty_stop(&self->vf));
	/* The target failed: the source goes on. */
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	load_finish(self, &load);
	ASSERT_EQ(0, start(self));
	free(s.data);
}

/* A guest that is paused migrates, and runs again meanwhile. */
TEST_F(dirty, started_while_suspended)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_STOP,
		VFIO_DEVICE_STATE_STOP_COPY,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		vf_enter_state(&self->vf, states[i], NULL);
		ASSERT_EQ(0, start(self));
		EXPECT_EQ(0, report(self));
		EXPECT_EQ(-EINVAL, start(self));
		/* All memory once, since nobody knows what was written at the begin */
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(PAGES, report(self));
		EXPECT_EQ(0, report(self));
		transfer(self, NVME_READ);
		expect_read(_metadata, self);

		/* Not again when the VF is suspended and resumed again */
		transfer(self, NVME_READ);
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
		expect_read(_metadata, self);
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(0, report(self));
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}

	/* never resumed */
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(-EINVAL, report(self));
	/* resumed by a reset */
	ASSERT_EQ(0, start(self));
	vf_reset(&self->vf);
	EXPECT_EQ(PAGES, report(self));
	EXPECT_EQ(0, report(self));
	restart(self);
	ASSERT_LT(0, report(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* The controller does not end the tracking of a VF that is suspended. */
TEST_F(dirty, stopped_while_suspended)
{
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(-EINVAL, report(self));
	/* started again before it was ended */
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, report(self));
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	EXPECT_EQ(PAGES, report(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);

	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	EXPECT_EQ(0, dirty_stop(&self->vf));
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	EXPECT_EQ(-EINVAL, report(self));
	ASSERT_EQ(0, start(self));
	EXPECT_EQ(0, report(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* A reset of the VF loses nothing of the log. */
TEST_F(dirty, reset_of_the_vf)
{
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	vf_reset(&self->vf);
	expect_read(_metadata, self);

	restart(self);
	report(self);
	transfer(self, NVME_READ);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	vf_reset(&self->vf);
	expect_read(_metadata, self);
	restart(self);
	report(self);
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* Expect a log that fails until it is stopped and started. */
static void expect_lost(struct __test_metadata *_metadata, FIXTURE_DATA(dirty) * self)
{
	EXPECT_EQ(-EIO, report(self));
	EXPECT_EQ(-EIO, report(self));
	EXPECT_GT(0, start(self));
	EXPECT_EQ(0, dirty_stop(&self->vf));
	EXPECT_EQ(-EINVAL, report(self));
}

TEST_F(dirty, reset_of_the_pf)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_STOP,
	};
	unsigned int i, armed;
	struct pf pf;

	pf_open(&pf, self->vf.bdf);
	for (i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		armed = i % 2;
		if (armed)
			vf_enter_state(&self->vf, states[i / 2], NULL);
		ASSERT_EQ(0, start(self));
		if (!armed)
			vf_enter_state(&self->vf, states[i / 2], NULL);
		EXPECT_EQ(0, report(self));
		if (i / 2) {
			pf_unbind(&pf);
			EXPECT_EQ(-EIO, report_only(self));
			pf_bind(&pf);
		} else {
			pf_reset(&pf);
		}
		pf_await_live(&pf);
		pf_restore_vfs(&pf);
		expect_lost(_metadata, self);
		vf_reset(&self->vf);
		restart(self);
		ASSERT_EQ(0, start(self));
		transfer(self, NVME_READ);
		expect_read(_metadata, self);
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}
}

/* An answer that was lost, or makes no sense, may have had all pages that were written. */
TEST_F(dirty, lost_answers)
{
	static const struct {
		enum fault_kind	kind;
		__u32		value;
	} faults[] = {
		{ FAULT_STATUS, 0x0006 }, { FAULT_STATUS, 0x0002 },
		{ FAULT_STATUS_AFTER, 0x0006 },
		{ FAULT_DAMAGE, 0 }, { FAULT_DAMAGE, 6 }, { FAULT_DAMAGE, 9 },
	};
	unsigned int i;
	struct pf pf;

	pf_open(&pf, self->vf.bdf);
	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		ASSERT_EQ(0, start(self));
		transfer(self, NVME_READ);
		ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_TRACK_READ, faults[i].kind,
					   faults[i].value));
		expect_lost(_metadata, self);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("fault %u", i);
	}

	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	pf_set_timeout(&pf, 1);
	ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_TRACK_READ, FAULT_LOST, 0));
	EXPECT_EQ(-EIO, report(self));
	pf_await_live(&pf);
	pf_set_timeout(&pf, 60);
	pf_restore_vfs(&pf);
	expect_lost(_metadata, self);
	vf_reset(&self->vf);
	restart(self);
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* A start that fails leaves no log behind, and a stop does not fail. */
TEST_F(dirty, failed_starts_and_stops)
{
	static const struct {
		enum fault_kind	kind;
		__u32		value;
		int		error;
	} faults[] = {
		{ FAULT_STATUS, 0x0138, -ENOSPC }, { FAULT_STATUS, 0x0002, -ENOSPC },
		{ FAULT_STATUS, 0x0006, -EIO }, { FAULT_STATUS_AFTER, 0x0006, -EIO },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_TRACK_START, faults[i].kind,
					   faults[i].value));
		EXPECT_EQ(faults[i].error, start(self));
		EXPECT_EQ(-EINVAL, report(self));
		EXPECT_EQ(0, dirty_stop(&self->vf));
		ASSERT_EQ(0, start(self));
		transfer(self, NVME_READ);
		expect_read(_metadata, self);
		ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_TRACK_STOP, faults[i].kind,
					   faults[i].value));
		EXPECT_EQ(0, dirty_stop(&self->vf));
		EXPECT_EQ(-EINVAL, report(self));
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("fault %u", i);
	}

	/* The guest goes on, and the migration fails. */
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	ASSERT_EQ(0, start(self));
	ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_TRACK_START, FAULT_STATUS, 0x0138));
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	transfer(self, NVME_READ);
	expect_lost(_metadata, self);
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* RESUME fails: the VF may have run, or not. */
TEST_F(dirty, failed_resume)
{
	/* before the effect, and after */
	static const enum fault_kind kinds[] = { FAULT_STATUS, FAULT_STATUS_AFTER };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
		ASSERT_EQ(0, start(self));
		ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_STD_RESUME, kinds[i], 0x0006));
		EXPECT_EQ(-EIO, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		EXPECT_EQ(PAGES, report(self));
		EXPECT_EQ(0, report(self));
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		EXPECT_EQ(PAGES, report(self));
		transfer(self, NVME_READ);
		expect_read(_metadata, self);
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}

	/* The VF cannot be suspended again. */
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	ASSERT_EQ(0, start(self));
	ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_STD_RESUME, FAULT_STATUS_AFTER, 0x0006));
	ASSERT_TRUE(fault_set_once(self->vf.bdf, COMMAND_STD_SUSPEND, FAULT_STATUS, 0x0006));
	EXPECT_EQ(-EIO, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	expect_lost(_metadata, self);
}

/* Return the number of ranges that the controller tracks for all VFs, CMMRTD. */
static unsigned int most_ranges(const char *bdf)
{
	unsigned char id[4096];
	struct pf pf;

	pf_find(&pf, bdf);
	if (pf_identify(&pf, 1, 0, 0, id))
		die("Identify Controller failed");
	return id[570] | id[571] << 8;
}

/* Start a log that takes all ranges of the controller. */
static int start_all_ranges(struct vf *vf)
{
	unsigned int i, count = most_ranges(vf->bdf);
	struct dirty_range ranges[DIRTY_RANGES];
	__u64 page_size = PAGE;

	if (count > DIRTY_RANGES)
		die("the controller tracks %u ranges, more than VFIO takes", count);
	for (i = 0; i < count; i++)
		ranges[i] = (struct dirty_range){ VF_IOVA + 2 * i * PAGE, PAGE };
	return dirty_start(vf, ranges, count, &page_size);
}

/* Have a page count as memory of the VF, until the next call. 0: none of the pages of a test. */
static void set_own_page(FIXTURE_DATA(dirty) * self, __u64 iova)
{
	if (!fault_set(self->vf.bdf, COMMAND_TRACK_START, FAULT_OWN, iova / PAGE))
		die("%s: the fault cannot be set", self->vf.bdf);
}

/*
 * The controller refuses ranges that have memory of its own. No such memory comes in by ranges
 * that are combined or enlarged if there is another way, and what was asked for is never left
 * out: then there is no log.
 */
TEST_F(dirty, memory_of_the_controller)
{
	const struct dirty_range three = { nvme_iova(&self->n, self->data), 3 * PAGE };
	unsigned int i, count = most_ranges(self->vf.bdf) + 1;
	struct dirty_range ranges[DIRTY_RANGES];
	__u64 page_size = PAGE;

	/* Some controllers take powers of two. */
	set_own_page(self, three.iova + three.length);
	ASSERT_EQ(0, start_ranges(self, &three, 1, &page_size));
	transfer(self, NVME_READ);
	EXPECT_EQ(0, dirty_report(&self->vf, three.iova, three.length, PAGE, self->map));
	EXPECT_EQ(3, self->map[0]);
	EXPECT_EQ(0, dirty_stop(&self->vf));

	/* One range too many. The first gap is larger than the others. */
	ASSERT_GE(DIRTY_RANGES, count);
	for (i = 0; i < count; i++)
		ranges[i] = (struct dirty_range){ VF_IOVA + (2 * i + !!i) * PAGE, PAGE };
	set_own_page(self, VF_IOVA + PAGE);
	ASSERT_EQ(0, start_ranges(self, ranges, count, &page_size));
	EXPECT_EQ(0, dirty_stop(&self->vf));

	/* in what was asked for */
	set_own_page(self, ranges[count - 1].iova);
	EXPECT_EQ(-ENOSPC, start_ranges(self, ranges, count, &page_size));
	EXPECT_EQ(-EINVAL, report(self));
	set_own_page(self, three.iova + PAGE);
	EXPECT_EQ(-ENOSPC, start_ranges(self, &three, 1, &page_size));
	EXPECT_EQ(-EINVAL, report(self));

	/* Nothing is tracked, and all ranges are free. */
	set_own_page(self, 0);
	ASSERT_EQ(0, start_all_ranges(&self->vf));
	EXPECT_EQ(0, dirty_stop(&self->vf));
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* Close and unbind end the tracking, in whichever state; a sibling has the room then. */
TEST_F(dirty, closed_without_stop)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_PRE_COPY,
		VFIO_DEVICE_STATE_STOP, VFIO_DEVICE_STATE_STOP_COPY,
	};
	struct vf sibling;
	unsigned int i;

	if (!vf_bdf(1))
		SKIP(return, "there is one VF only");
	vf_open(&sibling, vf_bdf(1), variant->api, self->n.mem, GUEST_MEM);
	for (i = 0; i < 2 * ARRAY_SIZE(states); i++) {
		ASSERT_EQ(0, start_all_ranges(&self->vf));
		EXPECT_EQ(-ENOSPC, start_all_ranges(&sibling));
		vf_enter_state(&self->vf, states[i / 2], NULL);
		vf_close(&self->vf);
		if (i % 2)
			vf_rebind(self->vf.bdf, NULL);
		EXPECT_EQ(0, start_all_ranges(&sibling))
			TH_LOG("closed in state %u", states[i / 2]);
		EXPECT_EQ(0, dirty_stop(&sibling));
		vf_open(&self->vf, vf_bdf(0), variant->api, self->n.mem, GUEST_MEM);
		EXPECT_EQ(-EINVAL, report(self));
	}
	vf_close(&sibling);
}

static int call_start(FIXTURE_DATA(dirty) * self)
{
	return dirty_start_all(&self->vf);
}

static int call_resume(FIXTURE_DATA(dirty) * self)
{
	return vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

static int call_stop(FIXTURE_DATA(dirty) * self)
{
	return dirty_stop(&self->vf);
}

/*
 * Each allocation of each call fails once. Then the call fails and leaves no log, or the log is
 * lost, or it has all pages that it must have.
 */
TEST_F(dirty, no_memory)
{
	static const struct {
		const char	*name;
		bool		suspended, started, written;
		int		(*call)(FIXTURE_DATA(dirty) * self);
	} calls[] = {
		{ "start", false, false, false, call_start },
		{ "start, suspended", true, false, false, call_start },
		{ "resume", true, true, false, call_resume },
		{ "report", false, true, true, report_only },
		{ "report, suspended", true, true, true, report_only },
		{ "stop", false, true, false, call_stop },
	};
	int n, ret, left, pages, failed;
	unsigned int i;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		failed = 0;
		for (n = 1, left = 0; !left; n++) {
			bool begun = calls[i].started, armed = begun && !calls[i].written;

			if (calls[i].written) {
				ASSERT_EQ(0, start(self));
				transfer(self, NVME_READ);
			}
			if (calls[i].suspended)
				vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
			if (armed)
				ASSERT_EQ(0, start(self));

			inject_nth("self", n);
			ret = calls[i].call(self);
			left = inject_left("self");
			inject_nth("self", 0);
			truth_forget(&self->truth);
			if (left)
				EXPECT_LE(0, ret);
			failed += ret < 0;

			if (calls[i].call == report_only) {
				EXPECT_EQ(left ? 3 : ret < 0 ? -EIO : 3, ret);
				EXPECT_EQ(ret < 0 ? -EIO : 0, report(self));
			} else if (calls[i].call == call_resume) {
				EXPECT_TRUE(!ret || ret == -ENOMEM);
				pages = report(self);
				EXPECT_TRUE(pages == PAGES || pages == -EIO);
			} else if (calls[i].call == call_stop) {
				EXPECT_EQ(0, ret);
				EXPECT_EQ(-EINVAL, report(self));
			} else {
				EXPECT_TRUE(!ret || ret == -ENOMEM);
				EXPECT_EQ(ret ? -EINVAL : 0, report(self));
			}
			ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
				TH_LOG("%s, allocation %d", calls[i].name, n);
			EXPECT_EQ(0, dirty_stop(&self->vf));
			vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		}
		printf("# %-18s %2d allocations, %2d needed\n", calls[i].name, n - 2, failed);
	}
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/*
 * Likewise, when all of much memory counts as written, and is reported in part. What was not
 * reported remains in the log.
 */
TEST_F(dirty, no_memory_for_much_memory)
{
	static const struct dirty_range large = { 0, 200ULL << 30 };
	static const char * const names[] = { "resume", "report" };
	__u64 page_size = PAGE;
	int n, ret, left, pages, failed, i;
	bool good;

	if (!inject_open())
		SKIP(return, "this kernel injects no faults");
	for (i = 0; i < 2; i++) {
		failed = 0;
		for (n = 1, left = 0; !left; n++) {
			vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
			ASSERT_EQ(0, start_ranges(self, &large, 1, &page_size));
			if (i)
				ASSERT_EQ(0, call_resume(self));
			inject_nth("self", n);
			ret = i ? report_only(self) : call_resume(self);
			left = inject_left("self");
			inject_nth("self", 0);
			truth_forget(&self->truth);
			pages = ret < 0 || !i ? report(self) : ret;
			good = left ? ret == (i ? (int)PAGES : 0) :
				      ret >= 0 || ret == -ENOMEM || (i && ret == -EIO);
			EXPECT_TRUE(good);
			/* The log is lost, or it has all pages. */
			EXPECT_TRUE(pages == (int)PAGES || (pages == -EIO && (!i || ret == -EIO)));
			failed += ret < 0 || pages < 0;
			ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
				TH_LOG("%s, allocation %d: %d, %d", names[i], n, ret, pages);
			EXPECT_EQ(0, dirty_stop(&self->vf));
			vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		}
		printf("# %s %2d allocations, %2d needed\n", names[i], n - 2, failed);
		EXPECT_LT(0, failed);
	}
}

static int report_into(void *map, void *vf)
{
	return dirty_report(vf, VF_IOVA, GUEST_MEM, PAGE, map);
}

enum action { NEXT_STATE, REPORT, STOP_LOG, RESTART_LOG, RESET, ACTIONS };

static void *act(void *arg)
{
	FIXTURE_DATA(dirty) * self = ((void **)arg)[0];
	enum action action = *(enum action *)((void **)arg)[1];

	switch (action) {
	case NEXT_STATE:
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		break;
	case REPORT:
		if (report_only(self) < 0)
			die("a report beside another one failed");
		break;
	case RESTART_LOG:
	case STOP_LOG:
		if (dirty_stop(&self->vf))
			die("the log cannot be stopped");
		if (action == RESTART_LOG && start(self))
			die("the log cannot be started");
		break;
	default:
		vf_reset(&self->vf);
	}
	return NULL;
}

/* A bitmap that stalls holds up its report and nothing else. */
TEST_F(dirty, stalled_report)
{
	enum action action;
	void *args[] = { self, &action };
	struct stall s;
	pthread_t thread;

	for (action = 0; action < ACTIONS; action++) {
		bool stops = action == STOP_LOG || action == RESTART_LOG;

		ASSERT_EQ(0, start(self));
		transfer(self, NVME_READ);
		stall_begin(&s, report_into, &self->vf);
		ASSERT_EQ(0, pthread_create(&thread, NULL, act, args));
		await_thread(thread, "a call beside a report that stalls", at_once());
		/* What it was to report next is gone with the log. */
		EXPECT_EQ(stops ? -EINVAL : 0, stall_end(&s, NULL, 0, at_once()))
			TH_LOG("action %u", action);
		EXPECT_EQ(0, dirty_stop(&self->vf));
	}
}

/* What a thread does beside the arcs of race() */
struct reporter {
	FIXTURE_DATA(dirty) * self;
	bool		stop;
	unsigned long	reports, failed;
	__u64		map[TRUTH_WORDS];	/* all that was ever reported */
};

static void *report_always(void *arg)
{
	struct reporter *r = arg;
	int ret;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		ret = dirty_report(&r->self->vf, VF_IOVA, GUEST_MEM, PAGE, r->map);
		r->reports++;
		r->failed += ret != 0;
		if (ret && ret != -EINVAL && ret != -EIO)
			die("a report failed: %s", strerror(-ret));
	}
	return NULL;
}

static void *start_and_stop(void *arg)
{
	struct reporter *r = arg;
	int ret;

	while (!__atomic_load_n(&r->stop, __ATOMIC_RELAXED)) {
		ret = dirty_start_all(&r->self->vf);
		if (ret && ret != -EINVAL)
			die("a start failed: %s", strerror(-ret));
		if (dirty_stop(&r->self->vf))
			die("a stop failed");
	}
	return NULL;
}

/* Move the VF through all arcs while it does I/O, and reset it sometimes. */
static void go_around(FIXTURE_DATA(dirty) * self, struct load *load, bool resets)
{
	struct stream s;
	int i;

	for (i = 0; i < 10; i++) {
		load_submit(self, load);
		guest_precopy(&self->n, &s);
		guest_suspend(&self->n);
		vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL);
		if (i % 2 && stream_read_more(&s, self->n.data_fd, self->n.chunk))
			die("the state cannot be read");
		free(s.data);
		guest_roll_back(&self->n);
		load_finish(self, load);
		if (resets && i % 3 == 0) {
			vf_reset(&self->vf);
			io_forget_unfinished(&self->n);
			nvme_start(&self->n, 1, NVME_DEPTH, NVME_DEPTH);
			load->data = nvme_alloc(&self->n, load->size);
		}
	}
}

/* Reports from two threads while the VF moves, works and is reset: together, they miss nothing. */
TEST_F(dirty, reports_beside_all_else)
{
	struct reporter r[2] = { { .self = self }, { .self = self } };
	pthread_t thread[2];
	struct load load;
	unsigned int i;
	__u64 both;

	load_init(self, &load);
	ASSERT_EQ(0, start(self));
	fault_jitter(self->vf.bdf, 2);
	for (i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, report_always, &r[i]));
	go_around(self, &load, true);
	vf_enter_state(&self->vf, VFIO_DEVICE_STATE_STOP, NULL);
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&r[i].stop, true, __ATOMIC_RELAXED);
		await_thread(thread[i], "the thread that reports", PATIENCE);
		EXPECT_LT(0, r[i].reports);
		EXPECT_EQ(0, r[i].failed);
	}
	ASSERT_LE(0, report_only(self));
	for (i = 0; i < load.size; i += PAGE) {
		unsigned int page = page_of(self, load.data + i);

		both = self->map[page / 64] | r[0].map[page / 64] | r[1].map[page / 64];
		EXPECT_TRUE(both >> page % 64 & 1)
			TH_LOG("page %u was missed", page);
	}
}

/* Starts and stops beside reports, arcs, and the close of the device */
TEST_F(dirty, starts_and_stops_beside_all_else)
{
	struct reporter r[2] = { { .self = self }, { .self = self } };
	pthread_t thread[2];
	struct load load;
	unsigned int i;

	load_init(self, &load);
	ASSERT_EQ(0, pthread_create(&thread[0], NULL, start_and_stop, &r[0]));
	ASSERT_EQ(0, pthread_create(&thread[1], NULL, report_always, &r[1]));
	go_around(self, &load, true);
	for (i = 0; i < 2; i++) {
		__atomic_store_n(&r[i].stop, true, __ATOMIC_RELAXED);
		await_thread(thread[i], "a thread", PATIENCE);
	}
	ASSERT_EQ(0, start(self));
	transfer(self, NVME_READ);
	expect_read(_metadata, self);
}

/* Half of the data lands after a report: the next one has it, and none is missed. */
TEST_F(dirty, data_that_lands_after_a_report)
{
	unsigned int round;
	struct load load;

	load_init(self, &load);
	ASSERT_EQ(0, start(self));
	guest_freeze(&self->n);
	for (round = 0; round < 10; round++) {
		ASSERT_TRUE(fault_set_times(self->vf.bdf, COMMAND_SUSPEND, FAULT_HANG, 0,
					    BATCH / 2));
		load_submit(self, &load);
		while (self->q->outstanding > BATCH / 2)
			nvme_reap(&self->n, self->q);
		copy_dirty(self);
		EXPECT_EQ(BATCH / 2, self->q->outstanding);
		fault_clear_all(self->vf.bdf);
		load_finish(self, &load);
		copy_dirty(self);
		expect_copied(_metadata, self, &load);
	}
}

TEST_HARNESS_MAIN
