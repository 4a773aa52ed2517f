// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest moves from VF to VF with its NVMe controller at work. Whatever it had
 * told the controller to do is done, once, and with the right data.
 */
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/vf.h"

#define TEMP_OVER	0x000000	/* THSEL of the temperature threshold */
#define TEMP_UNDER	0x100000
#define EVENT_SMART	0x1f		/* all SMART events, in Async Config */
#define SMART_LOG	2

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

static struct vf *other(struct nvme *n, struct vf *pair)
{
	return &pair[n->vf == pair];
}

/* Nothing happened yet: the controller is as after a reset, also there. */
TEST_F(migration, disabled_controller)
{
	guest_migrate(&self->n, other(&self->n, self->vf));
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
	guest_migrate(n, other(n, self->vf));
	for (i = 0; i < ARRAY_SIZE(wide); i++)
		EXPECT_EQ(wide_was[i], nvme_read64(n, wide[i]))
			TH_LOG("register %#x", wide[i]);
	for (i = 0; i < ARRAY_SIZE(narrow); i++)
		EXPECT_EQ(was[i], nvme_read32(n, narrow[i]))
			TH_LOG("register %#x", narrow[i]);
	io_check(n);
}

/* An idle guest moves from each position of its rings, in both phases. */
TEST_F(migration, every_position)
{
	struct nvme *n = &self->n;
	struct nvme_queue *q = &n->queue[1];
	int i;

	nvme_start(n, 1, 4, 5);
	for (i = 0; i < 2 * 4 * 5; i++) {
		io_submit(n, q, 1);
		nvme_ring(n, q);
		io_wait(n);
		guest_migrate(n, other(n, self->vf));
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
		guest_migrate(n, other(n, self->vf));
		nvme_ring_all(n);
		io_wait(n);
	}
	EXPECT_LT(16, n->queue[1].completed);
	io_check(n);
}

TEST_F(migration, busy_queues)
{
	struct nvme *n = &self->n;
	struct stream s;
	struct vf *from;
	int i;

	nvme_start(n, NVME_QUEUES, 16, 11);
	EXPECT_LE(2, n->queues);
	for (i = 0; i < 20; i++) {
		from = n->vf;
		io_leave_unfinished(n);
		guest_suspend(n);
		io_while_suspended(n);
		guest_save(n, &s);
		guest_load(n, other(n, self->vf), &s);
		free(s.data);
		vf_reset(from);
		/* Every other time the work piles up. */
		nvme_ring_all(n);
		if (i % 2)
			io_wait(n);
	}
	io_wait(n);
	io_check(n);
}

/* What is rung while the VF is suspended is found done on the other VF. */
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
	guest_load(n, other(n, self->vf), &s);
	/* No doorbell is rung here. */
	io_wait(n);
	vf_reset(from);
	io_check(n);
}

/* Completions that found no room move, too. */
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
			guest_migrate(n, other(n, self->vf));
		io_wait(n);
	}
	io_check(n);
}

/* Room is made while the VF is suspended. */
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
	guest_load(n, other(n, self->vf), &s);
	/* More completions come without a word of the guest. */
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

		/* rung before; rung while suspended; rung after */
		req[0] = nvme_submit(&n->queue[0], sqe);
		nvme_ring(n, &n->queue[0]);
		guest_suspend(n);
		req[1] = nvme_submit(&n->queue[0], sqe);
		req[2] = nvme_submit(&n->queue[0], sqe);
		nvme_ring(n, &n->queue[0]);
		req[3] = nvme_submit(&n->queue[0], sqe);
		guest_save(n, &s);
		guest_load(n, other(n, self->vf), &s);
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
		/* One that was told on the old VF is told again... */
		for (q = n->queue->next; q; q = q->next) {
			io_submit(n, q, 1);
			nvme_ring(n, q);
			nvme_await(q, 1);
		}
		guest_migrate(n, other(n, self->vf));
		for (q = n->queue->next; q; q = q->next)
			EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
		io_wait(n);

		/* ...and new ones come. */
		for (q = n->queue->next; q; q = q->next) {
			while (vf_irq_pending(n->vf, q->vector, 0))
				;
			io_submit(n, q, 1);
			nvme_ring(n, q);
			EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
			io_wait_queue(n, q);
		}
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

	guest_migrate(n, other(n, self->vf));
	EXPECT_EQ(0x1a5U, temp_threshold(n, TEMP_OVER));
	EXPECT_EQ(0x05aU, temp_threshold(n, TEMP_UNDER));
	EXPECT_EQ(0x113U, nvme_get_feature(n, NVME_FEAT_ASYNC_CONFIG, 0));
	EXPECT_EQ(queues, nvme_get_feature(n, NVME_FEAT_NUM_QUEUES, 0));
}

/* The clock goes on from where it was, it does not start again. */
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
	guest_migrate(n, other(n, self->vf));
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

	return nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_GET_LOG,
		.nsid = ~0U,
		.cdw10 = (sizeof(log) / 4 - 1) << 16 | SMART_LOG,
	}, log, sizeof(log), NULL);
}

static struct nvme_req *await_event(struct nvme *n)
{
	struct nvme_req *req;

	req = nvme_submit(&n->queue[0], (struct nvme_sqe){
		.opcode = NVME_ASYNC_EVENT,
	});
	nvme_ring(n, &n->queue[0]);
	return req;
}

/* It is warmer than 1 K everywhere. */
static int cause_event(struct nvme *n)
{
	return nvme_set_feature(n, NVME_FEAT_TEMP_THRESH, TEMP_OVER | 1);
}

/* The guest waits for an event here, and it comes there. */
TEST_F(migration, async_event_parked)
{
	struct nvme *n = &self->n;
	struct nvme_req *req[2];
	__u32 result;
	int first;

	nvme_start(n, 1, 8, 8);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	req[0] = await_event(n);
	req[1] = await_event(n);
	guest_migrate(n, other(n, self->vf));
	guest_migrate(n, other(n, self->vf));
	io_check(n);
	EXPECT_EQ(0, smart_log(n));
	EXPECT_FALSE(req[0]->done || req[1]->done);

	/* Which of them completes first is up to the controller. */
	EXPECT_EQ(0, cause_event(n));
	while (!req[0]->done && !req[1]->done) {
		nvme_await(&n->queue[0], 1);
		nvme_reap(n, &n->queue[0]);
	}
	first = !req[0]->done;
	EXPECT_TRUE(req[first]->done);
	EXPECT_FALSE(req[!first]->done);
	EXPECT_EQ(0, nvme_finish(n, req[first], &result));
	EXPECT_EQ(SMART_LOG << 16 | 1 << 8 | 1, result);

	/* No more of them until the guest has read the log. */
	guest_migrate(n, other(n, self->vf));
	EXPECT_EQ(0, cause_event(n));
	guest_migrate(n, other(n, self->vf));
	EXPECT_FALSE(req[!first]->done);
	EXPECT_EQ(0, smart_log(n));
	guest_migrate(n, other(n, self->vf));
	EXPECT_EQ(0, cause_event(n));
	EXPECT_EQ(0, nvme_finish(n, req[!first], &result));
	EXPECT_EQ(SMART_LOG << 16 | 1 << 8 | 1, result);
}

/* The event happens here, and the guest asks for it there. */
TEST_F(migration, async_event_pending)
{
	struct nvme *n = &self->n;
	struct nvme_req *req;
	__u32 result;

	nvme_start(n, 1, 8, 8);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	EXPECT_EQ(0, cause_event(n));
	guest_migrate(n, other(n, self->vf));
	req = await_event(n);
	EXPECT_EQ(0, nvme_finish(n, req, &result));
	EXPECT_EQ(SMART_LOG << 16 | 1 << 8 | 1, result);
}

/* Not only the queues move, but also what is known about them. */
TEST_F(migration, queues_come_and_go)
{
	struct nvme *n = &self->n;
	int queues;

	nvme_start(n, NVME_QUEUES, 8, 8);
	queues = n->queues;
	io_check(n);
	guest_migrate(n, other(n, self->vf));
	nvme_delete_queue(n);
	io_check(n);
	guest_migrate(n, other(n, self->vf));
	nvme_create_queue(n, 4, 16);
	EXPECT_EQ(queues, n->queues);
	io_check(n);
	guest_migrate(n, other(n, self->vf));
	while (n->queues)
		nvme_delete_queue(n);
	guest_migrate(n, other(n, self->vf));
	while (n->queues < queues)
		nvme_create_queue(n, 8, 8);
	io_check(n);
}

/* What Linux guests do, too: doorbells that are mostly in memory. */
TEST_F(migration, shadow_doorbells)
{
	struct nvme *n = &self->n;
	struct stream s;
	struct vf *from;
	int i, queues;

	nvme_start(n, NVME_QUEUES, 8, 8);
	queues = n->queues;
	while (n->queues)
		nvme_delete_queue(n);
	if (!nvme_shadow_doorbells(n))
		SKIP(return, "the controller has no shadow doorbells");
	while (n->queues < queues)
		nvme_create_queue(n, 16, 11);
	io_check(n);
	for (i = 0; i < 20; i++) {
		from = n->vf;
		io_leave_unfinished(n);
		guest_suspend(n);
		io_while_suspended(n);
		guest_save(n, &s);
		guest_load(n, other(n, self->vf), &s);
		free(s.data);
		vf_reset(from);
		nvme_ring_all(n);
		if (i % 2)
			io_wait(n);
	}
	io_wait(n);
	io_check(n);
}

/* The guest resets its controller just then. */
TEST_F(migration, controller_reset_while_suspended)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct stream s;

	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
	guest_suspend(n);
	nvme_write32(n, NVME_CC, 0);
	guest_save(n, &s);
	guest_load(n, other(n, self->vf), &s);
	EXPECT_EQ(0U, nvme_read32(n, NVME_CC));
	EXPECT_EQ(0U, nvme_read32(n, NVME_CSTS));
	vf_reset(from);
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
}

/* The target ran another guest before. Nothing of it is left. */
TEST_F(migration, target_was_in_use)
{
	struct nvme *n = &self->n;
	struct nvme stranger;

	guest_init(&stranger);
	munmap(stranger.mem, GUEST_MEM);
	stranger.mem = n->mem;
	stranger.vf = other(n, self->vf);
	nvme_start(&stranger, NVME_QUEUES, 16, 16);
	io_check(&stranger);

	nvme_start(n, 1, 4, 4);
	io_leave_unfinished(n);
	guest_migrate(n, other(n, self->vf));
	nvme_ring_all(n);
	io_wait(n);
	while (n->queues < stranger.queues)
		nvme_create_queue(n, 8, 8);
	io_check(n);
}

/* The migration is called off when the state was saved already. */
TEST_F(migration, roll_back)
{
	struct nvme *n = &self->n;
	struct nvme_req *event;
	struct nvme_queue *q;
	struct stream s;
	int i;

	nvme_start(n, NVME_QUEUES, 16, 11);
	EXPECT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, EVENT_SMART));
	event = await_event(n);
	for (i = 0; i < 10; i++) {
		io_leave_unfinished(n);
		guest_suspend(n);
		io_while_suspended(n);
		guest_save(n, &s);
		guest_roll_back(n);
		free(s.data);
		nvme_ring_all(n);
		io_wait(n);
		for (q = n->queue->next; q; q = q->next) {
			while (vf_irq_pending(n->vf, q->vector, 0))
				;
			io_submit(n, q, 1);
			nvme_ring(n, q);
			EXPECT_TRUE(vf_irq_pending(n->vf, q->vector, 5000));
			io_wait_queue(n, q);
		}
	}
	io_check(n);

	/* The next attempt goes well. */
	io_leave_unfinished(n);
	guest_migrate(n, other(n, self->vf));
	nvme_ring_all(n);
	io_wait(n);
	EXPECT_EQ(0, cause_event(n));
	EXPECT_EQ(0, nvme_finish(n, event, NULL));
	io_check(n);
}

/* ... when it was not read, or not all of it. */
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

/* ... and tried once more before the guest ran. */
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
		/* A guest that is not let go may still be looked at. */
		if (i == 1)
			ASSERT_EQ(0, vf_set_state(from,
						  VFIO_DEVICE_STATE_RUNNING_P2P,
						  NULL));
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_STOP_COPY,
					  &fd));
		ASSERT_EQ(0, stream_read(&s, fd, 65536));
		close(fd);
	}
	guest_load(n, other(n, self->vf), &s);
	vf_reset(from);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);
}

/* The target fails, so the source goes on; later another target takes over. */
TEST_F(migration, target_fails)
{
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct stream s;
	int fd;

	nvme_start(n, NVME_QUEUES, 8, 8);
	io_leave_unfinished(n);
	guest_suspend(n);
	guest_save(n, &s);
	ASSERT_EQ(0, vf_set_state(other(n, self->vf), VFIO_DEVICE_STATE_RESUMING,
				  &fd));
	s.len /= 2;
	ASSERT_EQ(0, stream_write(&s, fd, 65536));
	vf_reset(other(n, self->vf));
	guest_roll_back(n);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);

	io_leave_unfinished(n);
	guest_migrate(n, other(n, self->vf));
	ASSERT_NE(from, n->vf);
	nvme_ring_all(n);
	io_wait(n);
	io_check(n);
}

/* A VF can take its own state back, as any other can. */
TEST_F(migration, to_itself)
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
