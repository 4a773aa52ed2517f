// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migrate what guests seldom use: state of the controller that Linux does not touch, queues
 * of unusual kinds, and commands that consist of many steps. migration_test has the rest of
 * the state, and identity_test what a guest can read.
 *
 * Not seen with the device model: a shutdown in progress (CSTS.SHST 01b), because its shutdown
 * takes no time; the effect of the interrupt mask, because a VF has MSI-X only; and two queued
 * events of one type, because reading the log clears both.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <glob.h>
#include <unistd.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/vf.h"

FIXTURE(carried)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
	struct pf pf;
};

FIXTURE_SETUP(carried)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	pf_open(&self->pf, vf_bdf(0));
	guest_open(&self->n, self->vf, 2, VF_ANY);
}

FIXTURE_TEARDOWN(carried)
{
	fault_no_jitter(self->vf[0].bdf);
	fault_no_jitter(self->vf[1].bdf);
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
}

static struct vf *other_vf(struct nvme *n, struct vf *pair)
{
	return &pair[n->vf == pair];
}

/* Migrate to the other VF. */
static void move(struct nvme *n, struct vf *pair)
{
	guest_migrate(n, other_vf(n, pair));
}

/* Registers and features */

TEST_F(carried, interrupt_mask)
{
	struct nvme *n = &self->n;

	nvme_start(n, 1, 8, 8);
	nvme_write32(n, NVME_INTMS, 0xa5f00001);
	move(n, self->vf);
	EXPECT_EQ(0xa5f00001, nvme_read32(n, NVME_INTMS));
	EXPECT_EQ(0xa5f00001, nvme_read32(n, NVME_INTMC));
	nvme_write32(n, NVME_INTMC, 0x80000001);
	move(n, self->vf);
	EXPECT_EQ(0x25f00000U, nvme_read32(n, NVME_INTMS));
	EXPECT_EQ(0x25f00000U, nvme_read32(n, NVME_INTMC));
	io_check(n);
}

/* A controller that was shut down stays so until the guest resets it. */
TEST_F(carried, shutdown)
{
	struct nvme *n = &self->n;
	__u32 shn, cc;

	for (shn = 1; shn <= 2; shn++) {	/* normal, abrupt */
		time_t deadline = time(NULL) + PATIENCE;

		nvme_start(n, 2, 8, 8);
		io_check(n);
		cc = nvme_read32(n, NVME_CC) | shn << 14;
		nvme_write32(n, NVME_CC, cc);
		while ((nvme_read32(n, NVME_CSTS) & NVME_CSTS_SHST) != 2 << 2)
			pause_until(deadline, "shutdown");
		move(n, self->vf);
		EXPECT_EQ(cc, nvme_read32(n, NVME_CC));
		EXPECT_EQ(2U << 2, nvme_read32(n, NVME_CSTS) & NVME_CSTS_SHST);
		move(n, self->vf);
		EXPECT_EQ(2U << 2, nvme_read32(n, NVME_CSTS) & NVME_CSTS_SHST);
		nvme_disable(n, deadline);
		EXPECT_EQ(0U, nvme_read32(n, NVME_CSTS));
		move(n, self->vf);
		EXPECT_EQ(0U, nvme_read32(n, NVME_CSTS));
		nvme_start(n, 2, 8, 8);
		io_check(n);
	}
}

static int feature_data(struct nvme *n, __u8 opcode, int feature, void *data, size_t len)
{
	return nvme_admin(n, (struct nvme_sqe){
		.opcode = opcode,
		.cdw10 = feature,
	}, data, len, NULL);
}

/* Of Host Behavior Support, the guest set all that it may set. */
TEST_F(carried, host_behavior)
{
	unsigned char set[512] = {
		1,		/* ACRE: advanced command retry */
		0,		/* ETDAS: telemetry data area 4 */
		1,		/* LBAFEE: extended LBA formats */
		0,
		0x0c,		/* CDFE: copy descriptor formats 2 and 3 */
	}, got[512];
	struct nvme *n = &self->n;

	nvme_start(n, 1, 8, 8);
	ASSERT_EQ(0, feature_data(n, NVME_SET_FEATURES, NVME_FEAT_HOST_BEHAVIOR, set,
				  sizeof(set)));
	move(n, self->vf);
	ASSERT_EQ(0, feature_data(n, NVME_GET_FEATURES, NVME_FEAT_HOST_BEHAVIOR, got,
				  sizeof(got)));
	EXPECT_EQ(0, memcmp(set, got, sizeof(set)));

	/* It is not a property of the VF that the guest left. */
	nvme_start(n, 1, 8, 8);
	memset(set, 0, sizeof(set));
	ASSERT_EQ(0, feature_data(n, NVME_SET_FEATURES, NVME_FEAT_HOST_BEHAVIOR, set,
				  sizeof(set)));
	move(n, self->vf);
	ASSERT_EQ(0, feature_data(n, NVME_GET_FEATURES, NVME_FEAT_HOST_BEHAVIOR, got,
				  sizeof(got)));
	EXPECT_EQ(0, memcmp(set, got, sizeof(set)));
}

/* Each of these has one feature value per controller. */
TEST_F(carried, write_cache_and_atomicity)
{
	struct nvme *n = &self->n;
	__u32 i;

	nvme_start(n, 1, 8, 8);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_WRITE_CACHE, i & 1));
		EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_WRITE_ATOMICITY, i >> 1));
		move(n, self->vf);
		EXPECT_EQ(i & 1, nvme_get_feature(n, NVME_FEAT_WRITE_CACHE, 0));
		EXPECT_EQ(i >> 1, nvme_get_feature(n, NVME_FEAT_WRITE_ATOMICITY, 0));
	}
	io_check(n);
}

/* The number of queues cannot be set again after a queue was created. */
TEST_F(carried, number_of_queues_is_settled)
{
	struct nvme *n = &self->n;

	nvme_enable(n, 8, 8);
	move(n, self->vf);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_NUM_QUEUES, 0));
	nvme_start(n, 1, 8, 8);
	nvme_delete_queue(n);
	EXPECT_EQ(NVME_SEQUENCE_ERROR, nvme_set_feature(n, NVME_FEAT_NUM_QUEUES, 0));
	move(n, self->vf);
	EXPECT_EQ(NVME_SEQUENCE_ERROR, nvme_set_feature(n, NVME_FEAT_NUM_QUEUES, 0));
}

/* Return the first of the blocks that only this file writes. */
static __u64 own_lba(struct nvme *n)
{
	return (40U << 20) / n->lba_size;
}

/* Read or write blocks of the medium; return the status. */
static int transfer(struct nvme *n, struct nvme_queue *q, __u8 opcode, __u64 lba,
		    unsigned int blocks, void *data)
{
	struct nvme_req *req = q->req;
	struct nvme_sqe sqe = {
		.opcode = opcode,
		.nsid = 1,
		.cdw10 = lba,
		.cdw11 = lba >> 32,
		.cdw12 = blocks - 1,
	};

	if (blocks * n->lba_size > nvme_page(n))
		die("%u blocks are more than one page", blocks);
	while (req->busy)
		req++;
	if (opcode == NVME_WRITE)
		memcpy(req->data, data, blocks * n->lba_size);
	sqe.prp1 = nvme_iova(n, req->data);
	req = nvme_submit(q, sqe);
	nvme_ring(n, q);
	io_wait_queue(n, q);
	req->busy = false;
	if (opcode == NVME_READ)
		memcpy(data, req->data, blocks * n->lba_size);
	return req->status & 0x7ff;
}

static int set_error_recovery(struct nvme *n, __u32 value)
{
	return nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_SET_FEATURES,
		.nsid = 1,
		.cdw10 = NVME_FEAT_ERROR_RECOVERY,
		.cdw11 = value,
	}, NULL, 0, NULL);
}

static __u32 error_recovery(struct nvme *n)
{
	__u32 value;
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_GET_FEATURES,
		.nsid = 1,
		.cdw10 = NVME_FEAT_ERROR_RECOVERY,
	}, NULL, 0, &value);
	if (status)
		die("Get Features, Error Recovery: status %#x", status);
	return value;
}

#define DULBE		0x10000

/* With DULBE, a read of a block that was never written fails. */
TEST_F(carried, error_recovery)
{
	struct nvme *n = &self->n;
	unsigned char data[PAGE];
	__u64 lba;

	nvme_start(n, 1, 8, 8);
	lba = own_lba(n) - PAGE / n->lba_size;
	EXPECT_EQ(0, transfer(n, &n->queue[1], NVME_READ, lba, 1, data));
	EXPECT_EQ(0, set_error_recovery(n, DULBE | 0x1234));
	EXPECT_EQ(NVME_DEALLOCATED, transfer(n, &n->queue[1], NVME_READ, lba, 1, data));
	move(n, self->vf);
	EXPECT_EQ(DULBE | 0x1234, error_recovery(n));
	EXPECT_EQ(NVME_DEALLOCATED, transfer(n, &n->queue[1], NVME_READ, lba, 1, data));
	EXPECT_EQ(0, set_error_recovery(n, 0x1234));
	move(n, self->vf);
	EXPECT_EQ(0x1234, error_recovery(n));
	EXPECT_EQ(0, transfer(n, &n->queue[1], NVME_READ, lba, 1, data));
	io_check(n);
}

/* Events */

#define SMART_EVENTS		0x1f		/* in Async Event Configuration */
#define NAMESPACE_EVENTS	0x100
/* log page, information and type */
#define DOORBELL_EVENT		(NVME_LOG_ERROR << 16 | 0 << 8 | 0)
#define TEMPERATURE_EVENT	(NVME_LOG_SMART << 16 | 1 << 8 | 1)
#define NAMESPACE_EVENT		(NVME_LOG_CHANGED_NAMESPACES << 16 | 0 << 8 | 2)

/*
 * Ring the doorbell of a queue that does not exist. The controller reports that only if it has
 * a request, so it must have fetched the commands before.
 */
static void ring_invalid_doorbell(struct nvme *n)
{
	nvme_get_feature(n, NVME_FEAT_NUM_QUEUES, 0);
	nvme_write32(n, 0x1000 + 2 * (NVME_QUEUES - 1) * 4, 1);
}

/* Lower the threshold to 1 K, which any temperature exceeds. */
static void exceed_temperature(struct nvme *n)
{
	if (nvme_set_feature(n, NVME_FEAT_TEMP_THRESH, 1))
		die("cannot set the temperature threshold");
}

/* Change the attachment of a namespace, and change it back. */
static void change_namespace(const struct pf *pf, struct nvme *n, __u32 nsid)
{
	pf_set_attached(pf, n->vf->bdf, nsid, nsid == SPARE_NSID);
	pf_set_attached(pf, n->vf->bdf, nsid, nsid != SPARE_NSID);
}

/* Read a log, which clears the events of its type. */
static void clear_events(struct nvme *n, enum nvme_log log)
{
	unsigned char data[512];

	if (nvme_get_log(n, log, data, log == NVME_LOG_ERROR ? 64 : sizeof(data)))
		die("cannot read log %d", log);
}

/* Read the log of changed namespaces, which clears it. */
static void read_changed_namespaces(struct nvme *n, __u32 *list)
{
	if (nvme_get_log(n, NVME_LOG_CHANGED_NAMESPACES, list, PAGE))
		die("cannot read the log of changed namespaces");
}

/* Return how many of the event requests are done. */
static unsigned int events_done(struct nvme *n, struct nvme_req **req, unsigned int count)
{
	unsigned int i, done = 0;

	nvme_reap(n, n->queue);
	for (i = 0; i < count; i++)
		done += req[i]->done;
	return done;
}

/* Wait for an event; return its result. The controller may take either of two requests. */
static __u32 await_event(struct nvme *n, struct nvme_req **req)
{
	time_t deadline = time(NULL) + PATIENCE;
	__u32 result;
	int first;

	while (!events_done(n, req, 2))
		pause_until(deadline, "no event");
	first = !req[0]->done;
	if (nvme_finish(n, req[first], &result))
		die("an event request failed");
	req[first] = nvme_request_event(n);
	return result;
}

/*
 * Events of all types wait, some of them because the guest has not cleared an earlier one of
 * the type. The controller reports one event of a type until it is cleared.
 */
TEST_F(carried, several_events)
{
	struct nvme *n = &self->n;
	__u32 changed[PAGE / 4], result;
	struct nvme_req *req[2];

	nvme_start(n, 1, 16, 16);
	read_changed_namespaces(n, changed);
	ASSERT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG,
				      SMART_EVENTS | NAMESPACE_EVENTS));
	req[0] = nvme_request_event(n);
	ring_invalid_doorbell(n);
	EXPECT_EQ(0, nvme_finish(n, req[0], &result));
	EXPECT_EQ(DOORBELL_EVENT, result);
	exceed_temperature(n);
	exceed_temperature(n);
	change_namespace(&self->pf, n, SPARE_NSID);
	change_namespace(&self->pf, n, 1);
	move(n, self->vf);

	/* One of each type, in their order */
	req[0] = nvme_request_event(n);
	EXPECT_EQ(0, nvme_finish(n, req[0], &result));
	EXPECT_EQ(TEMPERATURE_EVENT, result);
	req[0] = nvme_request_event(n);
	EXPECT_EQ(0, nvme_finish(n, req[0], &result));
	EXPECT_EQ(NAMESPACE_EVENT, result);

	/* No event of a type that has been reported, before and after a move */
	req[0] = nvme_request_event(n);
	req[1] = nvme_request_event(n);
	ring_invalid_doorbell(n);
	move(n, self->vf);
	ring_invalid_doorbell(n);
	exceed_temperature(n);
	change_namespace(&self->pf, n, 1);
	EXPECT_EQ(0U, events_done(n, req, 2));
	move(n, self->vf);

	/* What is cleared is reported again, and the others are not. */
	clear_events(n, NVME_LOG_ERROR);
	EXPECT_EQ(0U, events_done(n, req, 2));
	move(n, self->vf);
	ring_invalid_doorbell(n);
	EXPECT_EQ(DOORBELL_EVENT, await_event(n, req));
	read_changed_namespaces(n, changed);
	EXPECT_EQ(1U, changed[0]);
	EXPECT_EQ(SPARE_NSID, changed[1]);
	EXPECT_EQ(0U, changed[2]);
	move(n, self->vf);
	change_namespace(&self->pf, n, 1);
	EXPECT_EQ(NAMESPACE_EVENT, await_event(n, req));
	clear_events(n, NVME_LOG_SMART);
	move(n, self->vf);
	exceed_temperature(n);
	EXPECT_EQ(TEMPERATURE_EVENT, await_event(n, req));
	EXPECT_EQ(0U, events_done(n, req, 2));
	io_check(n);
}

/* The guest has taken the event, and has not read the log. */
TEST_F(carried, changed_namespaces)
{
	struct nvme *n = &self->n;
	__u32 changed[PAGE / 4];
	struct nvme_req *req;
	__u32 result;

	nvme_start(n, 1, 8, 8);
	/* A reset of the VF does not clear what happened before. */
	read_changed_namespaces(n, changed);
	ASSERT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, NAMESPACE_EVENTS));
	req = nvme_request_event(n);
	change_namespace(&self->pf, n, SPARE_NSID);
	EXPECT_EQ(0, nvme_finish(n, req, &result));
	EXPECT_EQ(NAMESPACE_EVENT, result);
	move(n, self->vf);
	move(n, self->vf);
	read_changed_namespaces(n, changed);
	EXPECT_EQ(SPARE_NSID, changed[0]);
	EXPECT_EQ(0U, changed[1]);
	move(n, self->vf);
	read_changed_namespaces(n, changed);
	EXPECT_EQ(0U, changed[0]);

	/* Events go on. */
	req = nvme_request_event(n);
	change_namespace(&self->pf, n, SPARE_NSID);
	EXPECT_EQ(0, nvme_finish(n, req, &result));
	EXPECT_EQ(NAMESPACE_EVENT, result);
	io_check(n);
}

/* Queues */

static void delete_queues(struct nvme *n)
{
	while (n->queues)
		nvme_delete_queue(n);
}

/* Migrate with commands in all conditions. */
static void move_busy(struct nvme *n, struct vf *pair, unsigned int times)
{
	unsigned int i;

	for (i = 0; i < times; i++) {
		io_leave_unfinished(n);
		move(n, pair);
		nvme_ring_all(n);
		/* Let commands accumulate on even turns. */
		if (i % 2)
			io_wait(n);
	}
	io_wait(n);
	io_check(n);
}

/* Two submission queues use one completion queue, with room for all, and for few. */
TEST_F(carried, shared_completion_queues)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	unsigned int room;

	nvme_start(n, 4, 8, 8);
	if (n->queues < 4)
		SKIP(return, "the VF has less than 4 I/O queues");
	for (room = 20; room; room = room == 20 ? 3 : 0) {
		delete_queues(n);
		nvme_create_queue(n, 11, room);
		nvme_create_sharing_queue(n, 8, &n->queue[1]);
		nvme_create_queue(n, 8, room);
		nvme_create_sharing_queue(n, 11, &n->queue[3]);
		io_check(n);
		move_busy(n, self->vf, 10);

		/* Completions of both queues wait for room. */
		io_submit_all(n, 7);
		for (q = n->queue->next; q; q = q->next)
			nvme_await(q, room == 3 ? 2 : 7);
		move(n, self->vf);
		io_wait(n);
		EXPECT_TRUE(io_interrupts(n));

		/* Delete one of two, and create it again. */
		nvme_delete_queue(n);
		move(n, self->vf);
		io_check(n);
		nvme_create_sharing_queue(n, 8, &n->queue[1]);
		move(n, self->vf);
		io_check(n);
	}
}

/* A completion queue without interrupts stays without, beside one that has them. */
TEST_F(carried, polled_queues)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	int i;

	nvme_start(n, 3, 8, 8);
	if (n->queues < 3 || n->vf->vectors < 4)
		SKIP(return, "the VF has less than 3 I/O queues with vectors of their own");
	delete_queues(n);
	nvme_create_polled_queue(n, 8, 8);
	nvme_create_queue(n, 8, 8);
	nvme_create_polled_queue(n, 16, 3);
	for (i = 0; i < 4; i++) {
		for (q = n->queue->next; q; q = q->next)
			while (vf_irq_pending(n->vf, q->vector, 0))
				;
		/* Completions that wait at the move, and new ones */
		io_submit_all(n, 7);
		for (q = n->queue->next; q; q = q->next)
			nvme_await(q, q->cq_size > 7 ? 7 : q->cq_size - 1);
		move(n, self->vf);
		io_submit_all(n, 1);
		io_wait(n);
		/* An interrupt of this queue comes after those of the others. */
		q = &n->queue[2];
		while (vf_irq_pending(n->vf, q->vector, 0))
			;
		io_submit(n, q, 1);
		nvme_ring(n, q);
		EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
		io_wait(n);
		EXPECT_FALSE(vf_irq_pending(n->vf, n->queue[1].vector, 0));
		EXPECT_FALSE(vf_irq_pending(n->vf, n->queue[3].vector, 0));
	}
	move_busy(n, self->vf, 10);
}

/* Try to create a completion queue that is aligned to 4 KiB only; return the status. */
static int create_unaligned_cq(struct nvme *n)
{
	struct nvme_queue *q = &n->queue[1];
	int id = n->queues + 1;

	return nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_CREATE_CQ,
		.prp1 = nvme_iova(n, q->req[0].data) + PAGE,
		.cdw10 = 7 << 16 | id,
		.cdw11 = q->vector << 16 | 3,
	}, NULL, 0, NULL);
}

/*
 * A guest with pages of 8 KiB. The target VF had a guest with pages of 4 KiB before, and the
 * other way around.
 */
TEST_F(carried, large_pages)
{
	struct nvme *n = &self->n;
	struct nvme other;
	int i;

	guest_init(&other);
	munmap(other.mem, GUEST_MEM);
	other.mem = n->mem;
	for (i = 0; i < 4; i++) {
		other.vf = other_vf(n, self->vf);
		other.mps = i % 2;
		memset(other.seq, 0, sizeof(other.seq));
		nvme_start(&other, 2, 8, 8);
		io_check(&other);

		n->mps = !other.mps;
		/* Chunks of another size are elsewhere in the pages. */
		memset(n->seq, 0, sizeof(n->seq));
		nvme_start(n, 3, 8, 8);
		io_check(n);
		move_busy(n, self->vf, 5);
		EXPECT_EQ((__u32)n->mps, nvme_read32(n, NVME_CC) >> 7 & 0xf);

		/* Queues that are created at the target must be aligned to its pages. */
		nvme_delete_queue(n);
		EXPECT_EQ(n->mps ? NVME_INVALID_PRP_OFFSET : 0, create_unaligned_cq(n));
		nvme_start(n, 3, 8, 8);
		io_check(n);
	}
}

/* Results */

/* Commands with different results wait in a full completion queue. */
TEST_F(carried, results_that_wait)
{
	static const struct {
		__u32	feature, select, value;
	} ask[] = {
		{ NVME_FEAT_TEMP_THRESH, 0x000000, 0x1a5 },
		{ NVME_FEAT_TEMP_THRESH, 0x100000, 0x05a },
		{ NVME_FEAT_ASYNC_CONFIG, 0, 0x113 },
		{ NVME_FEAT_WRITE_CACHE, 0, 1 },
		{ NVME_FEAT_WRITE_ATOMICITY, 0, 1 },
	};
	struct nvme *n = &self->n;
	struct nvme_req *req[15];
	__u32 result;
	unsigned int i, moves, a;

	nvme_enable(n, 16, 4);
	for (i = 0; i < ARRAY_SIZE(ask); i++)
		ASSERT_EQ(0, nvme_set_feature(n, ask[i].feature, ask[i].select | ask[i].value));
	for (moves = 1; moves <= 3; moves++) {
		for (i = 0; i < ARRAY_SIZE(req); i++) {
			a = i % ARRAY_SIZE(ask);
			req[i] = nvme_submit(n->queue, (struct nvme_sqe){
				.opcode = NVME_GET_FEATURES,
				.cdw10 = ask[a].feature,
				.cdw11 = ask[a].select,
			});
		}
		nvme_ring(n, n->queue);
		nvme_await(n->queue, 3);
		for (i = 0; i < moves; i++)
			move(n, self->vf);
		for (i = 0; i < ARRAY_SIZE(req); i++) {
			a = i % ARRAY_SIZE(ask);
			EXPECT_EQ(0, nvme_finish(n, req[i], &result));
			EXPECT_EQ(ask[a].value, result)
				TH_LOG("command %u, feature %#x", i, ask[a].feature);
		}
	}
}

/* Commands of many steps */

#define STEPS		64	/* of a command: source ranges, or ranges to deallocate */
#define AREAS		32	/* of STEPS blocks; the first one is the source of copies */
#define AREA_BYTES	(STEPS * PAGE)	/* room for the largest block */

struct copy_range {
	__u64	rsvd;
	__u64	lba;
	__u16	blocks;		/* minus 1 */
	__u8	rsvd2[14];
};

struct deallocate_range {
	__u32	attributes;
	__u32	blocks;
	__u64	lba;
};

static __u64 area_lba(struct nvme *n, unsigned int area)
{
	return own_lba(n) + area * STEPS;
}

/* Submit a command with ranges; return it. */
static struct nvme_req *submit_ranges(struct nvme *n, struct nvme_queue *q, struct nvme_sqe sqe,
				      const void *ranges, size_t size)
{
	struct nvme_req *req = q->req;

	while (req->busy)
		req++;
	memcpy(req->data, ranges, size);
	sqe.nsid = 1;
	sqe.prp1 = nvme_iova(n, req->data);
	return nvme_submit(q, sqe);
}

/* Copy the blocks of area 0 to another one, in reverse order. */
static struct nvme_req *submit_copy(struct nvme *n, struct nvme_queue *q, unsigned int area)
{
	struct copy_range range[STEPS] = {};
	unsigned int i;

	for (i = 0; i < STEPS; i++)
		range[i].lba = area_lba(n, 0) + STEPS - 1 - i;
	return submit_ranges(n, q, (struct nvme_sqe){
		.opcode = NVME_COPY,
		.cdw10 = area_lba(n, area),
		.cdw11 = area_lba(n, area) >> 32,
		.cdw12 = STEPS - 1,
	}, range, sizeof(range));
}

/* Deallocate each second block of an area. */
static struct nvme_req *submit_deallocate(struct nvme *n, struct nvme_queue *q,
					  unsigned int area)
{
	struct deallocate_range range[STEPS / 2] = {};
	unsigned int i;

	for (i = 0; i < STEPS / 2; i++) {
		range[i].lba = area_lba(n, area) + 2 * i;
		range[i].blocks = 1;
	}
	return submit_ranges(n, q, (struct nvme_sqe){
		.opcode = NVME_DATASET_MGMT,
		.cdw10 = STEPS / 2 - 1,
		.cdw11 = 1 << 2,
	}, range, sizeof(range));
}

/* Block @i of the source in a round. */
static void fill_block(struct nvme *n, unsigned char *data, unsigned int round, unsigned int i)
{
	__u64 *word = (__u64 *)data;
	unsigned int k;

	for (k = 0; k < n->lba_size / 8; k++)
		word[k] = (__u64)round << 32 | i << 16 | k;
}

static void write_source(struct nvme *n, unsigned int round)
{
	unsigned int per_page = PAGE / n->lba_size, i, k;
	unsigned char data[PAGE];

	for (i = 0; i < STEPS; i += per_page) {
		for (k = 0; k < per_page; k++)
			fill_block(n, data + k * n->lba_size, round, i + k);
		if (transfer(n, &n->queue[1], NVME_WRITE, area_lba(n, 0) + i, per_page, data))
			die("cannot write block %u of the source", i);
	}
}

/* The medium, as the host has it: the PF has the namespace, too. */
static int open_medium(void)
{
	glob_t found;
	int fd;

	if (glob("/dev/nvme*n1", 0, NULL, &found))
		die("the host has no block device of the namespace");
	fd = must(open(found.gl_pathv[0], O_RDONLY | O_DIRECT));
	globfree(&found);
	return fd;
}

static unsigned char *alloc_areas(void)
{
	return must(mmap(NULL, AREAS * AREA_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

static size_t areas_size(struct nvme *n)
{
	return (size_t)AREAS * STEPS * n->lba_size;
}

static void read_areas(struct nvme *n, int medium, void *data)
{
	ssize_t len = must(pread(medium, data, areas_size(n), own_lba(n) * n->lba_size));

	if (len != (ssize_t)areas_size(n))
		die("read %zd bytes of the medium, expected %zu", len, areas_size(n));
}

/* Does @data have the block @i of a copy? */
static bool is_copied(struct nvme *n, const unsigned char *data, unsigned int round,
		      unsigned int i)
{
	unsigned char want[PAGE];

	fill_block(n, want, round, STEPS - 1 - i);
	return !memcmp(want, data, n->lba_size);
}

static bool is_zero(struct nvme *n, const unsigned char *data)
{
	unsigned int i;

	for (i = 0; i < n->lba_size; i++)
		if (data[i])
			return false;
	return true;
}

/* Count the blocks of an area that a finished command must not have left so. */
static unsigned int wrong_blocks(struct nvme *n, __u8 opcode, unsigned int round,
				 const unsigned char *area, unsigned int *deallocated)
{
	unsigned int i, wrong = 0;

	for (i = 0; i < STEPS; i++, area += n->lba_size) {
		if (is_copied(n, area, round, i))
			continue;
		/* The controller need not deallocate, and may return zeroes if it does. */
		if (opcode == NVME_DATASET_MGMT && i % 2 == 0 && is_zero(n, area))
			(*deallocated)++;
		else
			wrong++;
	}
	return wrong;
}

/* A command with many steps, for one area. */
struct long_command {
	struct nvme_req	*req;
	unsigned int	area;
};

/* Submit up to @count commands on each queue, for the areas from *@area on. */
static void submit_long(struct nvme *n, __u8 opcode, unsigned int count,
			struct long_command *command, unsigned int *area)
{
	struct nvme_queue *q;
	unsigned int i;

	for (q = n->queue->next; q; q = q->next) {
		for (i = 0; i < count && *area < AREAS; i++, (*area)++) {
			command[*area].area = *area;
			command[*area].req = opcode == NVME_COPY ? submit_copy(n, q, *area) :
					     submit_deallocate(n, q, *area);
		}
		nvme_ring(n, q);
	}
}

/* Return how many I/O commands have no completion yet, whether consumed or not. */
static unsigned int unfinished(struct nvme *n)
{
	unsigned int count = 0;
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next)
		count += q->outstanding - nvme_completed(q);
	return count;
}

static void finish_long(struct __test_metadata *_metadata, struct nvme *n,
			struct long_command *command, unsigned int end)
{
	unsigned int i;

	io_wait(n);
	for (i = 1; i < end; i++) {
		EXPECT_EQ(0, command[i].req->status)
			TH_LOG("command for area %u", i);
		command[i].req->busy = false;
	}
}

/*
 * Suspend while commands with many steps are under way. Each of them is then either complete
 * or not begun, and the medium and the guest's memory do not change any more until the target
 * runs and carries out the rest.
 */
static void move_between_steps(struct __test_metadata *_metadata, FIXTURE_DATA(carried) * self,
			       __u8 opcode)
{
	unsigned char *was = alloc_areas(), *now = alloc_areas(), *later = alloc_areas();
	unsigned int round, area, end, running, zeroes = 0, hits = 0;
	struct long_command command[AREAS];
	struct nvme *n = &self->n;
	int medium = open_medium();
	struct nvme_queue *q;
	struct stream s;
	struct vf *from;
	size_t at;

	fault_jitter(self->vf[0].bdf, 1);
	fault_jitter(self->vf[1].bdf, 2);
	nvme_start(n, 2, 16, 16);
	for (round = 1; round <= 8; round++) {
		from = n->vf;
		write_source(n, round);
		if (opcode == NVME_DATASET_MGMT) {
			end = 1;
			submit_long(n, NVME_COPY, 15, command, &end);
			finish_long(_metadata, n, command, end);
		}
		read_areas(n, medium, was);

		end = 1;
		submit_long(n, opcode, 10, command, &end);
		/* Before SUSPEND, at the begin or in the middle of the commands */
		usleep(random() % 4000);
		running = unfinished(n);
		guest_suspend(n);
		hits += unfinished(n) < running;
		submit_long(n, opcode, 5, command, &end);
		for (q = n->queue->next; q; q = q->next)
			nvme_reap(n, q);

		guest_freeze(n);
		read_areas(n, medium, now);
		for (area = 1; area < end; area++) {
			at = area * STEPS * n->lba_size;
			if (command[area].req->done) {
				EXPECT_EQ(0U, wrong_blocks(n, opcode, round, now + at, &zeroes))
					TH_LOG("round %u, area %u", round, area);
			} else {
				EXPECT_EQ(0, memcmp(was + at, now + at, STEPS * n->lba_size))
					TH_LOG("round %u, area %u", round, area);
			}
		}
		sleep(1);
		read_areas(n, medium, later);
		EXPECT_EQ(0, memcmp(now, later, areas_size(n)))
			TH_LOG("round %u: the medium changed after SUSPEND", round);
		guest_check_frozen(n, "after SUSPEND");

		guest_save(n, &s);
		guest_load(n, other_vf(n, self->vf), &s);
		free(s.data);
		vf_reset(from);
		finish_long(_metadata, n, command, end);
		read_areas(n, medium, now);
		for (area = 1; area < end; area++)
			EXPECT_EQ(0U, wrong_blocks(n, opcode, round,
						   now + area * STEPS * n->lba_size, &zeroes))
				TH_LOG("round %u, area %u, at the target", round, area);
	}
	TH_LOG("%u of %u SUSPENDs had to wait, %u blocks deallocated", hits, round - 1, zeroes);
	EXPECT_LT(0U, hits);
	close(medium);
}

TEST_F(carried, copies_under_way)
{
	move_between_steps(_metadata, self, NVME_COPY);
}

TEST_F(carried, deallocations_under_way)
{
	move_between_steps(_metadata, self, NVME_DATASET_MGMT);
}

/* Copies that fail wait in a full completion queue. Each has its own result. */
TEST_F(carried, results_of_copies_that_wait)
{
	struct copy_range range[STEPS] = {};
	struct nvme *n = &self->n;
	struct nvme_req *req[7];
	unsigned int i, k;

	nvme_start(n, 1, 8, 3);
	write_source(n, 1);
	for (k = 0; k < ARRAY_SIZE(req); k++) {
		for (i = 0; i < STEPS; i++)
			range[i].lba = area_lba(n, 0) + i;
		range[5 * k + 1].lba = 1ULL << 40;
		req[k] = submit_ranges(n, &n->queue[1], (struct nvme_sqe){
			.opcode = NVME_COPY,
			.cdw10 = area_lba(n, 1 + k),
			.cdw12 = STEPS - 1,
		}, range, sizeof(range));
	}
	nvme_ring(n, &n->queue[1]);
	nvme_await(&n->queue[1], 2);
	move(n, self->vf);
	move(n, self->vf);
	io_wait(n);
	for (k = 0; k < ARRAY_SIZE(req); k++) {
		EXPECT_EQ(NVME_OUT_OF_RANGE, req[k]->status & 0x7ff);
		/* The number of the range that failed */
		EXPECT_EQ(5 * k + 1, req[k]->result);
	}
}

TEST_HARNESS_MAIN
