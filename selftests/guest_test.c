// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test guests that misbehave, mostly while SUSPEND is in progress. Other VFs must
 * not be affected, and a suspended VF must not write to the guest's memory.
 */
#include <pthread.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define NAMESPACE_EVENTS	0x100	/* in Async Event Configuration */

FIXTURE(guest)
{
	struct nvme n;		/* begins on the first VF */
	struct vf vf[2];
};

FIXTURE_SETUP(guest)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 16, 4);
	io_check(&self->n);
}

FIXTURE_TEARDOWN(guest)
{
	fault_clear_all(self->vf[0].bdf);
	fault_clear_all(self->vf[1].bdf);
	fault_no_jitter(self->vf[0].bdf);
	fault_no_jitter(self->vf[1].bdf);
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	trace_close();
}

static struct vf *other_vf(struct nvme *n, struct vf *pair)
{
	return &pair[n->vf == pair];
}

/* Complete a migration whose state was saved, or cancel the migration on odd turns. */
static void move_or_roll_back(struct nvme *n, struct vf *pair, unsigned int turn,
			      struct stream *s)
{
	struct vf *from = n->vf;

	if (turn % 2) {
		guest_roll_back(n);
	} else {
		guest_load(n, other_vf(n, pair), s);
		vf_reset(from);
	}
	free(s->data);
}

/* Return the time in ms from SUSPEND to the end of a migration. */
static long long timed_migration(struct nvme *n, struct vf *pair, unsigned int turn)
{
	long long begin = running_ms();
	struct stream s;

	guest_suspend(n);
	guest_save(n, &s);
	move_or_roll_back(n, pair, turn, &s);
	return running_ms() - begin;
}

static long long max_ms(long long a, long long b)
{
	return a > b ? a : b;
}

static int migration_command(struct nvme *n, struct nvme_queue *q, __u8 opcode,
			     __u32 cdw10, __u32 cdw11)
{
	struct nvme_req *req;

	req = nvme_submit(q, (struct nvme_sqe){
		.opcode = opcode,
		.nsid = q->id ? 1 : 0,
		.prp1 = VF_IOVA + GUEST_MEM - PAGE,
		.cdw10 = cdw10,
		.cdw11 = cdw11,
		.cdw15 = PAGE / 4 - 1,
	});
	nvme_ring(n, q);
	nvme_await(q, 1);
	nvme_reap(n, q);
	if (!req->done)
		die("opcode %#x on queue %d: another command completed instead",
		    opcode, q->id);
	req->busy = false;
	return req->status & 0x7ff;
}

/*
 * The controller must reject the migration commands on a VF's own queues. The
 * faults would leave these commands on the PF without an answer, so an answer
 * shows that a command did not act on a VF.
 */
TEST_F(guest, migration_commands)
{
	static const enum fault_command commands[] = {
		COMMAND_QUERY, COMMAND_SUSPEND, COMMAND_RESUME, COMMAND_SAVE, COMMAND_LOAD,
	};
	/* Of the standard's set: Get, Suspend, Resume; Get and Set of all formats */
	static const struct {
		__u8	opcode;
		__u32	cdw10;
	} standard[ARRAY_SIZE(commands)] = {
		{ 0x42, 0 }, { 0x41, 0 }, { 0x41, 1 }, { 0x42, 0x10000 }, { 0x41, 0x30002 },
	};
	/* With the standard's set, the last one is for Suspend, and has its STYPE. */
	static const __u32 index[] = { 0, 1, 2, 3, 0xffff, 0x10001 };
	struct vf *sibling = &self->vf[1];
	struct nvme *n = &self->n;
	unsigned char *page = n->mem + GUEST_MEM - PAGE;
	unsigned int i, k, count = 0;
	struct nvme_queue *q;
	char *events;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		for (k = 0; k < 2; k++)
			fault_set(self->vf[k].bdf, commands[i], FAULT_NEVER, 0);
	memset(page, 0x5a, PAGE);
	trace_clear();
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		for (k = 0; k < ARRAY_SIZE(index); k++) {
			for (q = n->queue; q; q = q->next, count++)
				EXPECT_EQ(NVME_INVALID_OPCODE, vf_standard() ?
					  migration_command(n, q, standard[i].opcode,
							    standard[i].cdw10, index[k]) :
					  migration_command(n, q, commands[i], index[k],
							    PAGE));
		}
		io_check(n);
	}
	for (i = 0; i < PAGE; i++)
		ASSERT_EQ(0x5a, page[i]);
	events = trace_steps(NULL);
	EXPECT_STREQ("", events);
	free(events);
	fault_clear_all(n->vf->bdf);
	fault_clear_all(sibling->bdf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	guest_migrate(n, sibling);
	io_check(n);
	TH_LOG("tested %u commands", count);
}

/* An access to the controller that races with SUSPEND. */
struct disturber {
	struct nvme	*n;
	void		(*act)(struct nvme *n);
	unsigned int	delay;		/* loops */
};

static void *disturb(void *arg)
{
	struct disturber *t = arg;
	volatile unsigned int i;

	/* A random delay hits times before, during and after SUSPEND. */
	for (i = 0; i < t->delay; i++)
		;
	t->act(t->n);
	return NULL;
}

static void disable(struct nvme *n)
{
	nvme_write32(n, NVME_CC, 0);
}

static void disable_and_enable(struct nvme *n)
{
	nvme_write32(n, NVME_CC, 0);
	nvme_write32(n, NVME_CC, NVME_CC_ON);
}

static void disable_in_a_loop(struct nvme *n)
{
	int i;

	for (i = 0; i < 50; i++)
		disable_and_enable(n);
}

static void shut_down(struct nvme *n)
{
	nvme_write32(n, NVME_CC, NVME_CC_ON | 1 << 14);
}

static void shut_down_abruptly(struct nvme *n)
{
	nvme_write32(n, NVME_CC, NVME_CC_ON | 2 << 14);
	nvme_write32(n, NVME_CC, 0);
}

/* Ring the doorbell for the commands that prepare_delete() queued. */
static void delete_queues(struct nvme *n)
{
	nvme_ring(n, &n->queue[0]);
}

static void prepare_delete(struct nvme *n, __u8 opcode)
{
	struct nvme_queue *admin = &n->queue[0];
	int id;

	for (id = n->queues; id && admin->outstanding < admin->sq_size - 1; id--)
		nvme_submit(admin, (struct nvme_sqe){
			.opcode = opcode,
			.cdw10 = id,
		});
}

static void (*const disturbances[])(struct nvme *n) = {
	disable, disable_and_enable, disable_in_a_loop, shut_down,
	shut_down_abruptly, delete_queues,
};

/*
 * Save the VF of a guest that may have reset its controller. With the standard's set, that ends
 * the suspension: the migration fails, and the guest goes on. Return whether the VF is saved.
 */
static bool save_or_go_on(struct nvme *n, struct stream *s)
{
	int ret;

	guest_stop_copy(n, s);
	ret = stream_read_more(s, n->data_fd, n->chunk);
	close(n->data_fd);
	n->data_fd = -1;
	guest_check_frozen(n, "while it was saved");
	if (!ret)
		return true;
	if (!vf_standard() || ret != -EIO)
		die("%s: cannot save: %s", n->vf->bdf, strerror(-ret));
	free(s->data);
	vf_enter_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	return false;
}

TEST_F(guest, disable_during_suspend)
{
	struct nvme *n = &self->n;
	long long begin, longest = 0;
	struct disturber disturber = { n };
	unsigned int i, ended = 0;
	pthread_t thread;
	struct stream s;

	for (i = 0; i < 10 * ARRAY_SIZE(disturbances); i++) {
		/* Fill the completion queues, so that commands wait for room. */
		io_submit_all(n, 15);
		disturber.act = disturbances[i % ARRAY_SIZE(disturbances)];
		disturber.delay = random() % 200000;
		if (disturber.act == delete_queues)
			prepare_delete(n, i % 4 ? NVME_DELETE_SQ : NVME_DELETE_CQ);
		if (i % 3 == 0)
			ASSERT_EQ(0, vf_set_state(n->vf,
						  VFIO_DEVICE_STATE_PRE_COPY,
						  NULL));

		ASSERT_EQ(0, pthread_create(&thread, NULL, disturb,
					    &disturber));
		begin = running_ms();
		guest_suspend(n);
		longest = max_ms(longest, running_ms() - begin);
		/* Writes to registers and doorbells must not resume the VF. */
		guest_freeze(n);
		pthread_join(thread, NULL);
		guest_check_frozen(n, "after SUSPEND");

		if (save_or_go_on(n, &s))
			move_or_roll_back(n, self->vf, i, &s);
		else
			ended++;
		io_forget_unfinished(n);
		nvme_start(n, NVME_QUEUES, 16, 4);
		io_check(n);
	}
	TH_LOG("%u transitions with SUSPEND, longest %lld ms; the guest ended %u suspensions",
	       i, longest, ended);
	EXPECT_GT(1000 * at_once(), longest);
}

struct storm {
	struct nvme	*n;
	bool		stop;
	unsigned long	count;
};

/* Write random values to doorbells, including those of queues that do not exist. */
static void *storm_doorbells(void *arg)
{
	static const __u32 limits[] = { 4, 16, 0x10000, 0x80000000 };
	struct storm *s = arg;
	unsigned int seed = 1;
	struct vf *vf;
	__u32 *doorbells;

	while (!__atomic_load_n(&s->stop, __ATOMIC_RELAXED)) {
		vf = __atomic_load_n(&s->n->vf, __ATOMIC_RELAXED);
		doorbells = vf->bar + 0x1000;
		__atomic_store_n(&doorbells[rand_r(&seed) % 64],
				 rand_r(&seed) % limits[rand_r(&seed) % 4],
				 __ATOMIC_RELEASE);
		s->count++;
	}
	return NULL;
}

TEST_F(guest, doorbell_storm)
{
	struct storm storm = { &self->n };
	struct nvme *n = &self->n;
	long long longest = 0;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < 20; i++) {
		storm.stop = false;
		ASSERT_EQ(0, pthread_create(&thread, NULL, storm_doorbells,
					    &storm));
		usleep(random() % 20000);
		longest = max_ms(longest, timed_migration(n, self->vf, i));
		__atomic_store_n(&storm.stop, true, __ATOMIC_RELAXED);
		pthread_join(thread, NULL);

		/* Old queue entries ran again in any order: data are unknown. */
		memset(n->seq, 0, sizeof(n->seq));
		nvme_start(n, NVME_QUEUES, 16, 4);
		io_check(n);
	}
	TH_LOG("%lu doorbell writes, %u migrations, longest %lld ms", storm.count,
	       i, longest);
	EXPECT_GT(1000 * at_once(), longest);
}

/* During the migrations the guest consumes no completions, also of the admin queue. */
TEST_F(guest, completion_queues_full)
{
	struct nvme *n = &self->n;
	long long longest = 0;
	struct nvme_req *admin[15];
	struct nvme_queue *q;
	unsigned int i;

	for (q = n->queue->next; q; q = q->next)
		EXPECT_EQ(15U, io_submit(n, q, 15));
	for (i = 0; i < ARRAY_SIZE(admin); i++)
		admin[i] = nvme_submit(n->queue, (struct nvme_sqe){
			.opcode = NVME_GET_FEATURES,
			.cdw10 = NVME_FEAT_NUM_QUEUES,
		});
	for (q = n->queue; q; q = q->next) {
		nvme_ring(n, q);
		nvme_await(q, 3);
	}
	for (i = 0; i < 30; i++)
		longest = max_ms(longest, timed_migration(n, self->vf, i));
	TH_LOG("%u migrations, longest %lld ms", i, longest);
	for (i = 0; i < ARRAY_SIZE(admin); i++)
		EXPECT_EQ(0, nvme_finish(n, admin[i], NULL));
	io_wait(n);
	io_check(n);
	EXPECT_GT(1000 * at_once(), longest);
}

/* Check that the guest's memory has not changed since guest_freeze(), nor does in a second. */
static void stay_frozen(struct nvme *n, const char *when)
{
	sleep(1);
	guest_check_frozen(n, when);
}

/*
 * From SUSPEND to RESUME the guest's memory does not change: not by commands that were under
 * way, nor when the guest makes room in its completion queues, rings doorbells, or an event
 * occurs.
 */
TEST_F(guest, memory_frozen)
{
	struct nvme *n = &self->n;
	unsigned char log[PAGE];
	struct nvme_req *event;
	struct nvme_queue *q;
	unsigned int turn;
	struct stream s;
	struct vf *from;
	struct pf pf;

	pf_open(&pf, n->vf->bdf);
	ASSERT_EQ(0, nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, NAMESPACE_EVENTS));
	event = nvme_request_event(n);
	/* The VF carries out commands some milliseconds after their doorbells. */
	fault_jitter(self->vf[0].bdf, 1);
	fault_jitter(self->vf[1].bdf, 2);
	for (turn = 0; turn < 3; turn++) {
		from = n->vf;
		if (turn == 1)
			guest_precopy(n, &s);
		for (q = n->queue->next; q; q = q->next)
			io_submit(n, q, 15);
		nvme_ring_all(n);
		guest_suspend(n);
		for (q = n->queue; q; q = q->next)
			nvme_reap(n, q);
		for (q = n->queue->next; q; q = q->next)
			io_submit(n, q, 2);
		nvme_ring_all(n);
		guest_freeze(n);
		pf_set_attached(&pf, n->vf->bdf, SPARE_NSID, true);
		pf_set_attached(&pf, n->vf->bdf, SPARE_NSID, false);
		stay_frozen(n, "in the second after SUSPEND");
		guest_stop_copy(n, &s);
		stay_frozen(n, "in the second after STOP_COPY");
		guest_read_state(n, &s);
		stay_frozen(n, "in the second after it was saved");
		if (turn == 1) {
			guest_roll_back(n);
		} else {
			guest_load(n, other_vf(n, self->vf), &s);
			vf_reset(from);
		}
		free(s.data);
		EXPECT_EQ(0, nvme_finish(n, event, NULL));
		EXPECT_EQ(0, nvme_get_log(n, NVME_LOG_CHANGED_NAMESPACES, log, sizeof(log)));
		event = nvme_request_event(n);
		io_wait(n);
		io_check(n);
	}
}

TEST_HARNESS_MAIN
