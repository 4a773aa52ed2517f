// SPDX-License-Identifier: GPL-2.0-only
/* Keep another VF of the same PF busy. */
#include <unistd.h>

#include "guest.h"
#include "io.h"
#include "sibling.h"
#include "util.h"

void sibling_open(struct sibling *s, const char *bdf, enum vf_api api)
{
	memset(s, 0, sizeof(*s));
	guest_init(&s->n);
	vf_open(&s->vf, bdf, api, s->n.mem, GUEST_MEM);
	s->n.vf = &s->vf;
	s->n.disk = DISK_PART;
	nvme_start(&s->n, NVME_QUEUES, 8, 8);
	io_check(&s->n);
}

static void *sibling_work(void *arg)
{
	struct sibling *s = arg;
	long long last = running_ms(), now;
	struct nvme_queue *q;
	unsigned int count;
	bool stop;

	do {
		/* Read stop first: the loop must notice what happened before. */
		stop = __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
		for (count = 0, q = s->n.queue->next; q; q = q->next) {
			io_submit(&s->n, q, 3);
			nvme_ring(&s->n, q);
			count += nvme_reap(&s->n, q);
		}
		now = running_ms();
		if (now - last > s->stall_ms)
			s->stall_ms = now - last;
		if (count)
			last = now;
		__atomic_add_fetch(&s->completed, count, __ATOMIC_RELAXED);
		if (nvme_read32(&s->n, NVME_CSTS) != NVME_CSTS_RDY) {
			s->lost = true;
			break;
		}
		/* Leave processor time to the test. */
		usleep(500);
	} while (!stop);
	return NULL;
}

void sibling_start(struct sibling *s)
{
	s->stop = false;
	s->lost = false;
	s->stall_ms = 0;
	s->completed = 0;
	if (pthread_create(&s->thread, NULL, sibling_work, s))
		die("pthread_create() failed");
}

void sibling_await(struct sibling *s, unsigned int count)
{
	unsigned long want = __atomic_load_n(&s->completed, __ATOMIC_RELAXED) + count;
	long long deadline = now_ms() + 1000 * PATIENCE;

	while (__atomic_load_n(&s->completed, __ATOMIC_RELAXED) < want) {
		if (now_ms() > deadline)
			die("the sibling completes no commands");
		usleep(1000);
	}
}

void sibling_stop(struct sibling *s)
{
	__atomic_store_n(&s->stop, true, __ATOMIC_RELEASE);
	pthread_join(s->thread, NULL);
	if (!s->lost)
		io_wait(&s->n);
}
