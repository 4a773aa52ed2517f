// SPDX-License-Identifier: GPL-2.0-only
/*
 * Migrate a guest between VFs $NVMEVF_SOAK_MIGRATIONS times. Each migration begins
 * with I/O in progress; some are canceled. The test checks every completion, and at
 * the end every block that was written. If VFs have a log of what they write, each report
 * is compared with the truth.
 *
 * Set $NVMEVF_SEED to repeat a run. testbed/host/soak parses the line of figures at
 * the end.
 */
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/dirty.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/truth.h"
#include "lib/util.h"
#include "lib/vf.h"

#define MAX_VFS		8
#define PASSES		10

enum end { SUCCEEDS, CANCELLED, ROLLED_BACK, TARGET_FAILS, ENDS };

FIXTURE(soak)
{
	struct nvme n;
	struct vf vf[MAX_VFS];	/* the guest begins on the first */
	struct truth truth[MAX_VFS];
	unsigned int vfs;
	bool tracked;
	unsigned long attempts[ENDS];
	unsigned long in_flight;
	long long longest_ms;
};

static long env(const char *name, long value)
{
	const char *text = getenv(name);

	return text ? strtol(text, NULL, 0) : value;
}

FIXTURE_SETUP(soak)
{
	const char *why = vf_skip_reason(2, VF_ANY, false);
	long seed = env("NVMEVF_SEED", time(NULL));
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);
	guest_init(&self->n);
	for (; self->vfs < MAX_VFS && vf_bdf(self->vfs); self->vfs++)
		vf_open(&self->vf[self->vfs], vf_bdf(self->vfs), VF_ANY,
			self->n.mem, GUEST_MEM);
	self->n.vf = self->vf;
	self->tracked = dirty_is_offered();
	for (i = 0; i < self->vfs && self->tracked; i++)
		truth_open(&self->truth[i], &self->vf[i]);
	srandom(seed);
	TH_LOG("NVMEVF_SEED=%ld", seed);
}

FIXTURE_TEARDOWN(soak)
{
	while (self->vfs)
		vf_close(&self->vf[--self->vfs]);
}

/* Fill all I/O queues and ring. Return the number of commands in progress. */
static unsigned int fill_queues(struct nvme *n)
{
	unsigned int in_progress = 0;
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next) {
		nvme_reap(n, q);
		io_submit(n, q, q->sq_size);
		nvme_ring(n, q);
	}
	for (q = n->queue->next; q; q = q->next)
		in_progress += q->outstanding - nvme_completed(q);
	return in_progress;
}

/* Write half of the stream to the destination, which then fails. */
static void load_half(struct vf *to, struct stream s, size_t chunk)
{
	int fd, ret;

	s.len /= 2;
	ret = vf_set_state(to, VFIO_DEVICE_STATE_RESUMING, &fd) ?:
	      stream_write(&s, fd, chunk);
	if (ret)
		die("%s: writing half of a stream failed: %s", to->bdf,
		    strerror(-ret));
	vf_reset(to);
	close(fd);
}

static void report(FIXTURE_DATA(soak) * self, struct vf *vf)
{
	__u64 map[TRUTH_WORDS] = {};

	if (self->tracked && truth_report(&self->truth[vf - self->vf], map))
		die("%s: the log cannot be read", vf->bdf);
}

/* Start the log of @vf, and read it while the VF writes, as in the passes of a precopy. */
static void start_log(FIXTURE_DATA(soak) * self, struct vf *vf)
{
	unsigned int i;

	if (!self->tracked)
		return;
	if (truth_start(&self->truth[vf - self->vf]))
		die("%s: the log cannot be started", vf->bdf);
	for (i = 0; i < PASSES; i++) {
		fill_queues(&self->n);
		report(self, vf);
	}
}

/* Compare once more, and stop the log of @vf. */
static void stop_log(FIXTURE_DATA(soak) * self, struct vf *vf)
{
	report(self, vf);
	if (self->tracked && dirty_stop(vf))
		die("%s: the log cannot be stopped", vf->bdf);
}

static void migrate(FIXTURE_DATA(soak) * self, enum end end, bool precopy)
{
	static const size_t chunks[] = { 1, 13, 512, 4096, 65536, 1 << 20 };
	struct nvme *n = &self->n;
	struct vf *from = n->vf;
	struct vf *to = &self->vf[(from - self->vf + 1 +
				   random() % (self->vfs - 1)) % self->vfs];
	unsigned int in_flight;
	struct stream s = {};
	long long began, took;

	self->attempts[end]++;
	n->chunk = chunks[random() % ARRAY_SIZE(chunks)];
	start_log(self, from);
	io_leave_unfinished(n);
	report(self, from);
	if (precopy) {
		guest_precopy(n, &s);
		/* The VF runs in PRE_COPY. */
		fill_queues(n);
		report(self, from);
		nvme_reap_any(n);
	}
	if (end == CANCELLED) {
		guest_roll_back(n);
		stop_log(self, from);
		free(s.data);
		return;
	}

	do {
		in_flight = fill_queues(n);
	} while (!in_flight);
	self->in_flight += in_flight;
	began = now_ms();
	guest_suspend(n);
	io_while_suspended(n);
	guest_save(n, &s);
	report(self, from);
	if (end == TARGET_FAILS)
		load_half(to, s, n->chunk);
	if (end == SUCCEEDS)
		guest_load(n, to, &s);
	else
		guest_roll_back(n);
	/* Measure until a completion that came after the transition. */
	fill_queues(n);
	nvme_reap_any(n);
	took = now_ms() - began;
	if (took > self->longest_ms)
		self->longest_ms = took;

	free(s.data);
	stop_log(self, from);
	if (end == SUCCEEDS)
		vf_reset(from);
}

/* Start the controller, half of the time with Doorbell Buffer Config as in Linux. */
static void start(struct nvme *n)
{
	int queues;

	nvme_start(n, NVME_QUEUES, 16, 11);
	if (random() % 2)
		return;
	queues = n->queues;
	while (n->queues)
		nvme_delete_queue(n);
	nvme_shadow_doorbells(n);
	while (n->queues < queues)
		nvme_create_queue(n, 16, 11);
}

TEST_F_TIMEOUT(soak, migrations, 3600)
{
	static const enum end ends[] = {
		SUCCEEDS, SUCCEEDS, CANCELLED, SUCCEEDS, SUCCEEDS, ROLLED_BACK,
		SUCCEEDS, SUCCEEDS, TARGET_FAILS,
	};
	unsigned long migrations = env("NVMEVF_SOAK_MIGRATIONS", 30);
	unsigned long ios = 0, lost = 0;
	struct nvme *n = &self->n;
	struct nvme_queue *q;
	unsigned int i, end;

	start(n);
	for (i = 0; self->attempts[SUCCEEDS] < migrations; i++) {
		end = ends[i % ARRAY_SIZE(ends)];
		migrate(self, end, end == CANCELLED || random() % 2);
		if (random() % 2)
			io_wait(n);
	}
	io_wait(n);
	io_check(n);

	for (q = n->queue->next; q; q = q->next) {
		ios += q->completed;
		lost += q->outstanding;
	}
	EXPECT_EQ(0, lost);
	printf("# soak: migrations=%lu cancelled=%lu rolled_back=%lu target_failed=%lu ",
	       self->attempts[SUCCEEDS], self->attempts[CANCELLED],
	       self->attempts[ROLLED_BACK], self->attempts[TARGET_FAILS]);
	/* Corrupt data would have ended the test before this line. */
	printf("ios=%lu in_flight=%lu lost=%lu longest_stall_ms=%lld\n",
	       ios, self->in_flight, lost, self->longest_ms);
	if (self->tracked)
		truth_print(self->truth, self->vfs);
}

TEST_HARNESS_MAIN
