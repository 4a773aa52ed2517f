// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migrate a guest between VFs while its NVMe controller works. Each command must
 * complete exactly once and with the right data.
 */
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/vf.h"

#define TEMP_OVER	0x000000	/* THSEL of the temperature threshold */
#define TEMP_UNDER	0x100000
#define EVENT_SMART	0x1f		/* all SMART events, in Async Config */

FIXTURE(migration)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
};

FIXTURE_VARIANT(migration)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(migration, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(migration, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(migration)
{
	const char *why = vf_skip_reason(2, variant->api, false);

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, variant->api);
}

FIXTURE_TEARDOWN(migration)
{
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
}

static struct vf *other_vf(struct nvme *n, struct vf *pair)
{
	return &pair[n->vf == pair];
}

/* The stream has what the PF tells about the VF: nothing without Virtualization Management. */
TEST_F(migration, what_the_pf_tells)
{
	const char *bdf = self->n.vf->bdf;
	const struct nvmevf_identity *id;
	unsigned char ctrl[PAGE];
	struct stream s;
	struct pf pf;
	bool tells;

	pf_find(&pf, bdf);
	ASSERT_EQ(0, pf_identify(&pf, 0x01, 0, 0, ctrl));
	tells = ctrl[256] & 0x80;	/* OACS bit 7 */

	nvme_start(&self->n, 1, 8, 8);
	guest_precopy(&self->n, &s);
	id = (void *)s.data + IDENTITY_AT;
	EXPECT_EQ(tells ? pf_vf_cntlid(bdf) : NVMEVF_CNTLID_UNKNOWN, id->cntlid);
	EXPECT_EQ(tells, id->queue_pairs > 0);
	EXPECT_EQ(tells, s.len > STATE_AT);
	guest_roll_back(&self->n);
	io_check(&self->n);
	free(s.data);
}

/* A disabled controller migrates as a disabled controller. */
TEST_F(migration, disabled_controller)
{
	guest_migrate(&self->n, other_vf(&self->n, self->vf));
	EXPECT_EQ(0U, nvme_read32(&self->n, NVME_CC));
	EXPECT_EQ(0U, nvme_read32(&self->n, NVME_CSTS));
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
}

TEST_F(migration, registers)
{
	static const int wide[] = { NVME_CAP, NVME_ASQ, NVME_ACQ };
	static const int narrow[] = { NVME_VS, NVME_CC, NVME_CSTS, NVME_AQA };
	struct nvme *n = &self->n;
	__u32 was[ARRAY_SIZE(narrow)];
	__u64 wide_was[ARRAY_SIZE(wide)];
	unsigned int i;

	nvme_start(n, 1, 8, 8);
	for (i = 0; i < ARRAY_SIZE(wide); i++)
		wide_was[i] = nvme_read64(n, wide[i]);
	for (i = 0; i < ARRAY_SIZE(narrow); i++)
		was[i] = nvme_read32(n, narrow[i]);
	guest_migrate(n, other_vf(n, self->vf));
	for (i = 0; i < ARRAY_SIZE(wide); i++)
		EXPECT_EQ(wide_was[i], nvme_read64(n, wide[i]))
			TH_LOG("register %#x", wide[i]);
	for (i = 0; i < ARRAY_SIZE(narrow); i++)
		EXPECT_EQ(was[i], nvme_read32(n, narrow[i]))
			TH_LOG("register %#x", narrow[i]);
	io_check(n);
}

/* Migrate an idle guest at each position of its queues, in both phases. */
TEST_F(migration, every_queue_position)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q = &n->queue[1];
	int i;

	nvme_start(n, 1, 4, 5);
	for (i = 0; i < 2 * 4 * 5; i++) {
		io_submit(n, q, 1);
		nvme_ring(n, q);
		io_wait(n);
		guest_migrate(n, other_vf(n, self->vf));
	}
	io_check(n);
}

TEST_F(migration, busy_queue)
{
	struct nvme *n = &self->n;
	int i;

	nvme_start(n, 1, 16, 16);
	for (i = 0; i < 20; i++) {
		io_leave_unfinished(n);
		guest_migrate(n, other_vf(n, self->vf));
		nvme_ring_all(n);
		io_wait(n);
	}
	EXPECT_LT(16, n->queue[1].completed);
	io_check(n);
}

/* Migrate many times with commands in all conditions. */
static void migrate_busy_guest(struct nvme *n, struct vf *pair)
{
	struct stream s;
	struct vf *from;
	int i;

	for (i = 0; i < 20; i++) {
		from = n->vf;
		io_leave_unfinished(n);
		guest_suspend(n);
		io_while_suspended(n);
		guest_save(n, &s);
		guest_load(n, other_vf(n, pair), &s);
		free(s.data);
		vf_reset(from);
		nvme_ring_all(n);
		/* Let commands accumulate on even turns. */
		if (i % 2)
			io_wait(n);
	}
	io_wait(n);
	io_check(n);
}

TEST_F(migration, busy_queues)
{
	nvme_start(&self->n, NVME_QUEUES, 16, 11);
	EXPECT_LE(2, self->n.queues);
	migrate_busy_guest(&self->n, self->vf);
}

/* The destination carries out commands whose doorbell was rung during SUSPEND. */
TEST_F(migration, doorbell_while_suspended)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct nvme_queue *q;
	struct stream s;

	nvme_start(n, NVME_QUEUES, 8, 8);
	guest_suspend(n);
	for (q = n->queue->next; q; q = q->next)
		EXPECT_EQ(7U, io_submit(n, q, 7));
	nvme_ring_all(n);
	guest_save(n, &s);
	guest_load(n, other_vf(n, self->vf), &s);
	/* The test rings no doorbell on the destination. */
	io_wait(n);
	vf_reset(from);
	io_check(n);
}

/* Completions without room in a completion queue migrate, too. */
TEST_F(migration, completion_queue_full)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	int i, moves;

	nvme_start(n, NVME_QUEUES, 16, 4);
	for (i = 0; i < 6; i++) {
		for (q = n->queue->next; q; q = q->next) {
			EXPECT_EQ(15U, io_submit(n, q, 15));
			nvme_ring(n, q);
			nvme_await(q, 3);
		}
		for (moves = 0; moves <= i % 3; moves++)
			guest_migrate(n, other_vf(n, self->vf));
		io_wait(n);
	}
	io_check(n);
}

/* The guest consumes completions while the VF is suspended. */
TEST_F(migration, consumed_while_suspended)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q = &n->queue[1];
	struct vf *from = n->vf;
	struct stream s;

	nvme_start(n, 1, 16, 4);
	io_submit(n, q, 15);
	nvme_ring(n, q);
	nvme_await(q, 3);
	guest_suspend(n);
	EXPECT_EQ(3U, nvme_reap(n, q));
	guest_save(n, &s);
	guest_load(n, other_vf(n, self->vf), &s);
	/* The destination posts the remaining completions without a doorbell. */
	nvme_await(q, 1);
	io_wait(n);
	vf_reset(from);
	io_check(n);
}

TEST_F(migration, admin_queue)
{
	struct nvme_sqe sqe = {
		.opcode = NVME_GET_FEATURES, .cdw10 = NVME_FEAT_NUM_QUEUES,
	};
	struct nvme *n = &self->n;
	struct nvme_req *req[4];
	int i, k;

	nvme_enable(n, 8, 8);
	for (i = 0; i < 10; i++) {
		struct vf *from = n->vf;
		struct stream s;

		/* Ring before SUSPEND, while suspended, and after LOAD. */
		req[0] = nvme_submit(&n->queue[0], sqe);
		nvme_ring(n, &n->queue[0]);
		guest_suspend(n);
		req[1] = nvme_submit(&n->queue[0], sqe);
		req[2] = nvme_submit(&n->queue[0], sqe);
		nvme_ring(n, &n->queue[0]);
		req[3] = nvme_submit(&n->queue[0], sqe);
		guest_save(n, &s);
		guest_load(n, other_vf(n, self->vf), &s);
		free(s.data);
		for (k = 0; k < 3; k++)
			EXPECT_EQ(0, nvme_finish(n, req[k], NULL));
		EXPECT_FALSE(req[3]->done);
		nvme_ring(n, &n->queue[0]);
		EXPECT_EQ(0, nvme_finish(n, req[3], NULL));
		vf_reset(from);
	}
	nvme_start(n, 2, 8, 8);
	io_check(n);
}

TEST_F(migration, interrupts)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	int i;

	nvme_start_vectors(n);
	for (i = 0; i < 3; i++) {
		/* The destination signals pending completions again. */
		for (q = n->queue->next; q; q = q->next) {
			io_submit(n, q, 1);
			nvme_ring(n, q);
			nvme_await(q, 1);
		}
		guest_migrate(n, other_vf(n, self->vf));
		for (q = n->queue->next; q; q = q->next)
			EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
		io_wait(n);

		EXPECT_TRUE(io_interrupts(n));
	}
}

static __u32 temp_threshold(struct nvme *n, __u32 select)
{
	return nvme_get_feature(n, NVME_FEAT_TEMP_THRESH, select) & 0xffff;
}

TEST_F(migration, features)
{
	struct nvme *n = &self->n;
	__u32 queues;

	nvme_start(n, 2, 8, 8);
	queues = nvme_get_feature(n, NVME_FEAT_NUM_QUEUES, 0);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_TEMP_THRESH,
				      TEMP_OVER | 0x1a5));
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_TEMP_THRESH,
				      TEMP_UNDER | 0x05a));
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, 0x113));

	guest_migrate(n, other_vf(n, self->vf));
	EXPECT_EQ(0x1a5U, temp_threshold(n, TEMP_OVER));
	EXPECT_EQ(0x05aU, temp_threshold(n, TEMP_UNDER));
	EXPECT_EQ(0x113U, nvme_get_feature(n, NVME_FEAT_ASYNC_CONFIG, 0));
	EXPECT_EQ(queues, nvme_get_feature(n, NVME_FEAT_NUM_QUEUES, 0));
}

/* The timestamp continues on the destination and does not restart. */
TEST_F(migration, timestamp)
{
	const __u64 start = 0x123456789000;
	struct nvme *n = &self->n;
	__u64 stamp = start, now;

	nvme_start(n, 1, 8, 8);
	ASSERT_EQ(0, nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_SET_FEATURES,
		.cdw10 = NVME_FEAT_TIMESTAMP,
	}, &stamp, sizeof(stamp), NULL));
	usleep(100000);
	guest_migrate(n, other_vf(n, self->vf));
	ASSERT_EQ(0, nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_GET_FEATURES,
		.cdw10 = NVME_FEAT_TIMESTAMP,
	}, &now, sizeof(now), NULL));
	now &= (1ULL << 48) - 1;
	EXPECT_LE(start + 100, now);
	EXPECT_GE(start + 60000, now);
}

static int smart_log(struct nvme *n)
{
	unsigned char log[512];

	return nvme_get_log(n, NVME_LOG_SMART, log, sizeof(log));
}

/* Lower the threshold to 1 K, which any temperature exceeds. */
static int cause_event(struct nvme *n)
{
	return nvme_set_feature(n, NVME_FEAT_TEMP_THRESH, TEMP_OVER | 1);
}

/* Event requests from before the migration complete on the destination. */
TEST_F(migration, async_event_outstanding)
{
	struct nvme *n = &self->n;
	struct nvme_req *req[2];
	__u32 result;
	int first;

	nvme_start(n, 1, 8, 8);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	req[0] = nvme_request_event(n);
	req[1] = nvme_request_event(n);
	guest_migrate(n, other_vf(n, self->vf));
	guest_migrate(n, other_vf(n, self->vf));
	io_check(n);
	EXPECT_EQ(0, smart_log(n));
	EXPECT_FALSE(req[0]->done || req[1]->done);

	/* The controller may complete either request first. */
	EXPECT_EQ(0, cause_event(n));
	while (!req[0]->done && !req[1]->done) {
		nvme_await(&n->queue[0], 1);
		nvme_reap(n, &n->queue[0]);
	}
	first = !req[0]->done;
	EXPECT_TRUE(req[first]->done);
	EXPECT_FALSE(req[!first]->done);
	EXPECT_EQ(0, nvme_finish(n, req[first], &result));
	EXPECT_EQ(NVME_LOG_SMART << 16 | 1 << 8 | 1, result);

	/* The controller reports no further event before the guest reads the log. */
	guest_migrate(n, other_vf(n, self->vf));
	EXPECT_EQ(0, cause_event(n));
	guest_migrate(n, other_vf(n, self->vf));
	EXPECT_FALSE(req[!first]->done);
	EXPECT_EQ(0, smart_log(n));
	guest_migrate(n, other_vf(n, self->vf));
	EXPECT_EQ(0, cause_event(n));
	EXPECT_EQ(0, nvme_finish(n, req[!first], &result));
	EXPECT_EQ(NVME_LOG_SMART << 16 | 1 << 8 | 1, result);
}

/* An event from before the migration completes a request on the destination. */
TEST_F(migration, async_event_pending)
{
	struct nvme *n = &self->n;
	struct nvme_req *req;
	__u32 result;

	nvme_start(n, 1, 8, 8);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	EXPECT_EQ(0, cause_event(n));
	guest_migrate(n, other_vf(n, self->vf));
	req = nvme_request_event(n);
	EXPECT_EQ(0, nvme_finish(n, req, &result));
	EXPECT_EQ(NVME_LOG_SMART << 16 | 1 << 8 | 1, result);
}

/* The set of queues migrates: queues can be created and deleted afterward. */
TEST_F(migration, create_and_delete_queues)
{
	struct nvme *n = &self->n;
	int queues;

	nvme_start(n, NVME_QUEUES, 8, 8);
	queues = n->queues;
	io_check(n);
	guest_migrate(n, other_vf(n, self->vf));
	nvme_delete_queue(n);
	io_check(n);
	guest_migrate(n, other_vf(n, self->vf));
	nvme_create_queue(n, 4, 16);
	EXPECT_EQ(queues, n->queues);
	io_check(n);
	guest_migrate(n, other_vf(n, self->vf));
	while (n->queues)
		nvme_delete_queue(n);
	guest_migrate(n, other_vf(n, self->vf));
	while (n->queues < queues)
		nvme_create_queue(n, 8, 8);
	io_check(n);
}

/* Use the Doorbell Buffer Config feature, as Linux guests do. */
TEST_F(migration, shadow_doorbells)
{
	struct nvme *n = &self->n;
	int queues;

	nvme_start(n, NVME_QUEUES, 8, 8);
	queues = n->queues;
	while (n->queues)
		nvme_delete_queue(n);
	if (!nvme_shadow_doorbells(n))
		SKIP(return, "the controller does not support Doorbell Buffer Config");
	while (n->queues < queues)
		nvme_create_queue(n, 16, 11);
	io_check(n);
	migrate_busy_guest(n, self->vf);
}

/* The guest resets its controller while the VF is suspended. */
TEST_F(migration, controller_reset_while_suspended)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct stream s;

	/* standard_test has that case. */
	if (vf_standard())
		SKIP(return, "a reset ends the suspension");
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
	guest_suspend(n);
	nvme_write32(n, NVME_CC, 0);
	guest_save(n, &s);
	guest_load(n, other_vf(n, self->vf), &s);
	EXPECT_EQ(0U, nvme_read32(n, NVME_CC));
	EXPECT_EQ(0U, nvme_read32(n, NVME_CSTS));
	vf_reset(from);
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
}

/* The destination VF ran another guest before; LOAD replaces that guest's state. */
TEST_F(migration, destination_was_in_use)
{
	struct nvme *n = &self->n;
	struct nvme other_guest;

	guest_init(&other_guest);
	munmap(other_guest.mem, GUEST_MEM);
	other_guest.mem = n->mem;
	other_guest.vf = other_vf(n, self->vf);
	nvme_start(&other_guest, NVME_QUEUES, 16, 16);
	io_check(&other_guest);

	nvme_start(n, 1, 4, 4);
	io_leave_unfinished(n);
	guest_migrate(n, other_vf(n, self->vf));
	nvme_ring_all(n);
	io_wait(n);
	while (n->queues < other_guest.queues)
		nvme_create_queue(n, 8, 8);
	io_check(n);
}

/* Cancel the migration after the stream was read. */
TEST_F(migration, roll_back)
{
	struct nvme *n = &self->n;
	struct nvme_req *event;
	struct stream s;
	int i;

	nvme_start(n, NVME_QUEUES, 16, 11);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	event = nvme_request_event(n);
	for (i = 0; i < 10; i++) {
		io_leave_unfinished(n);
		guest_suspend(n);
		io_while_suspended(n);
		guest_save(n, &s);
		guest_roll_back(n);
		free(s.data);
		nvme_ring_all(n);
		io_wait(n);
		EXPECT_TRUE(io_interrupts(n));
	}
	io_check(n);

	/* The next attempt must succeed. */
	io_leave_unfinished(n);
	guest_migrate(n, other_vf(n, self->vf));
	nvme_ring_all(n);
	io_wait(n);
	EXPECT_EQ(0, cause_event(n));
	EXPECT_EQ(0, nvme_finish(n, event, NULL));
	io_check(n);
}

/* Cancel the migration before the stream was read, or after a part of the stream. */
TEST_F(migration, roll_back_unread)
{
	struct nvme *n = &self->n;
	char some[100];
	int fd, i;

	nvme_start(n, NVME_QUEUES, 8, 8);
	for (i = 0; i < 6; i++) {
		io_leave_unfinished(n);
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY,
					  &fd));
		if (i % 3 == 1)
			EXPECT_EQ(100, read(fd, some, sizeof(some)));
		if (i % 3 == 2)
			close(fd);
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		if (i % 3 != 2)
			close(fd);
		nvme_ring_all(n);
		io_wait(n);
	}
	io_check(n);
}

/* Save again before the guest ran: the driver returns the kept state. */
TEST_F(migration, save_again)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct stream s;
	int i, fd;

	nvme_start(n, NVME_QUEUES, 8, 8);
	io_leave_unfinished(n);
	guest_suspend(n);
	guest_save(n, &s);
	for (i = 0; i < 3; i++) {
		free(s.data);
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_STOP, NULL));
		/* RUNNING_P2P keeps the saved state, too. */
		if (i == 1)
			ASSERT_EQ(0, vf_set_state(from,
						  VFIO_DEVICE_STATE_RUNNING_P2P,
						  NULL));
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_STOP_COPY,
					  &fd));
		ASSERT_EQ(0, stream_read(&s, fd, 65536));
		close(fd);
	}
	guest_load(n, other_vf(n, self->vf), &s);
	vf_reset(from);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);
}

/* The destination fails, so the source continues; a second migration succeeds. */
TEST_F(migration, destination_fails)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct stream s;
	int fd;

	nvme_start(n, NVME_QUEUES, 8, 8);
	io_leave_unfinished(n);
	guest_suspend(n);
	guest_save(n, &s);
	ASSERT_EQ(0, vf_set_state(other_vf(n, self->vf), VFIO_DEVICE_STATE_RESUMING,
				  &fd));
	s.len /= 2;
	ASSERT_EQ(0, stream_write(&s, fd, 65536));
	vf_reset(other_vf(n, self->vf));
	guest_roll_back(n);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);

	io_leave_unfinished(n);
	guest_migrate(n, other_vf(n, self->vf));
	ASSERT_NE(from, n->vf);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);
}

/* A VF can load its own saved state. */
TEST_F(migration, to_same_vf)
{
	struct nvme *n = &self->n;
	struct stream s;

	nvme_start(n, NVME_QUEUES, 8, 8);
	io_leave_unfinished(n);
	guest_suspend(n);
	guest_save(n, &s);
	vf_reset(n->vf);
	guest_load(n, n->vf, &s);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);
}

TEST_HARNESS_MAIN
