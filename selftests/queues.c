// SPDX-License-Identifier: GPL-2.0-only
/*
 * queues: run I/O on a VF, and tell what a driver knows of the VF's queues
 *
 * This is no test: nvme-cli and track of testbed/node use this program as the guest of a
 * VF, while other programs control the PF. It opens the first two VFs of $NVMEVF_DRIVER,
 * reads one request from each line of stdin, and answers with lines of which the last is
 * "done":
 *
 *   start          enable the VF and create four I/O queues of different sizes
 *   shadow         the same, with doorbells in memory
 *   run            run I/O until the next request; done when each queue has been used up
 *                  to its end
 *   wrap           run I/O until the next completion goes to the begin of each queue
 *   check          wait for all I/O, and read back everything ever written
 *   tell           print a line for each I/O Submission Queue, then Completion Queue
 *   move N         continue on VF number N, 0 or 1, which has the same state
 *   empty N        enable VF number N, with an admin queue and no other
 *   disable N      disable VF number N (CC.EN)
 *   reset N        reset VF number N
 *   admin OP A B   send an admin command with CDW10 A and CDW11 B; print its status
 *   identify       print OACS, the controller ID, and the bits of all fields for tracking
 */
#include <poll.h>
#include <time.h>
#include <unistd.h>

#include "lib/guest.h"
#include "lib/io.h"
#include "lib/util.h"

static const struct {
	unsigned int sq, cq;
} sizes[] = { { 8, 8 }, { 5, 13 }, { 31, 32 }, { 16, 48 } };

/* The guest, and another one that has only an admin queue, in the second half of the memory */
static struct nvme guest, empty;
static struct vf vfs[2];

static void start(bool shadow)
{
	unsigned int i;

	nvme_start(&guest, 1, sizes[0].sq, sizes[0].cq);
	if (shadow) {
		/* They are only for queues that are created later. */
		nvme_delete_queue(&guest);
		if (!nvme_shadow_doorbells(&guest))
			die("the controller has no Doorbell Buffer Config");
		nvme_create_queue(&guest, sizes[0].sq, sizes[0].cq);
	}
	for (i = 1; i < ARRAY_SIZE(sizes); i++)
		nvme_create_queue(&guest, sizes[i].sq, sizes[i].cq);
}

static bool has_request(void)
{
	struct pollfd pfd = { .fd = STDIN_FILENO, .events = POLLIN };

	return must(poll(&pfd, 1, 0)) == 1;
}

static bool all_wrapped(void)
{
	struct nvme_queue *q;

	for (q = guest.queue->next; q; q = q->next)
		if (q->completed < q->cq_size)
			return false;
	return true;
}

/* The controller may stop meanwhile. Then this fills the queues. */
static void run(void)
{
	time_t deadline = time(NULL) + PATIENCE;
	bool told = false;
	struct nvme_queue *q;

	do {
		for (q = guest.queue->next; q; q = q->next) {
			nvme_reap(&guest, q);
			if (io_submit(&guest, q, 1 + random() % 3))
				nvme_ring(&guest, q);
		}
		if (!told && all_wrapped()) {
			puts("done");
			told = true;
		}
		if (!told && time(NULL) > deadline)
			die("the controller executes no commands");
	} while (!told || !has_request());
}

static void wrap(void)
{
	struct nvme_queue *q;

	for (q = guest.queue->next; q; q = q->next) {
		io_wait_queue(&guest, q);
		do {
			io_submit(&guest, q, 1);
			nvme_ring(&guest, q);
			io_wait_queue(&guest, q);
		} while (q->cq_head);
	}
}

/* Return the slot of the next completion. */
static unsigned int cq_tail(struct nvme_queue *q)
{
	return (q->cq_head + nvme_completed(q)) % q->cq_size;
}

/* All but the head of an SQ is known from what the queue's memory and doorbells have. */
static void tell(void)
{
	struct nvme_queue *q;
	unsigned int last;

	for (q = guest.queue->next; q; q = q->next) {
		last = (cq_tail(q) + q->cq_size - 1) % q->cq_size;
		printf("sq prp1=%#llx qsize=%u qid=%d cqid=%d attr=1 head=%u tail=%u\n",
		       (unsigned long long)nvme_iova(&guest, q->sq), q->sq_size - 1, q->id,
		       q->id, q->cq[last].sq_head, q->sq_tail);
	}
	for (q = guest.queue->next; q; q = q->next)
		printf("cq prp1=%#llx qsize=%u qid=%d head=%u tail=%u attr=%u vector=%d\n",
		       (unsigned long long)nvme_iova(&guest, q->cq), q->cq_size - 1, q->id,
		       q->cq_head, cq_tail(q), 3 | (q->cq[0].status & 1) << 2, q->vector);
}

static void identify(void)
{
	unsigned int i, tracking = 0;
	unsigned char id[PAGE];
	int status;

	status = nvme_admin(&guest, (struct nvme_sqe){
		.opcode = NVME_IDENTIFY,
		.cdw10 = 1,
	}, id, sizeof(id), NULL);
	if (status)
		die("Identify Controller: status %#x", status);
	/* CMMRTD to TRATTR */
	for (i = 570; i <= 576; i++)
		tracking |= id[i];
	printf("oacs=%u cntlid=%u tracking=%u\n", id[256] | id[257] << 8,
	       id[78] | id[79] << 8, tracking);
}

static void admin(unsigned int opcode, unsigned int cdw10, unsigned int cdw11)
{
	unsigned char data[PAGE] = {};
	int status;

	status = nvme_admin(&guest, (struct nvme_sqe){
		.opcode = opcode,
		.cdw10 = cdw10,
		.cdw11 = cdw11,
	}, data, sizeof(data), NULL);
	printf("status=%u\n", status);
}

static void answer(const char *request)
{
	unsigned int a, b, c;

	if (!strcmp(request, "run\n")) {
		run();
		return;
	}
	if (!strcmp(request, "start\n")) {
		start(false);
	} else if (!strcmp(request, "shadow\n")) {
		start(true);
	} else if (!strcmp(request, "wrap\n")) {
		wrap();
	} else if (!strcmp(request, "check\n")) {
		io_wait(&guest);
		io_check(&guest);
	} else if (!strcmp(request, "tell\n")) {
		tell();
	} else if (!strcmp(request, "identify\n")) {
		identify();
	} else if (sscanf(request, "move %u", &a) == 1 && a < 2) {
		guest.vf = &vfs[a];
	} else if (sscanf(request, "empty %u", &a) == 1 && a < 2) {
		empty.vf = &vfs[a];
		nvme_enable(&empty, 4, 4);
	} else if (sscanf(request, "disable %u", &a) == 1 && a < 2) {
		nvme_disable(&(struct nvme){ .vf = &vfs[a] }, time(NULL) + PATIENCE);
		io_forget_unfinished(&guest);
	} else if (sscanf(request, "reset %u", &a) == 1 && a < 2) {
		vf_reset(&vfs[a]);
		io_forget_unfinished(&guest);
	} else if (sscanf(request, "admin %i %i %i", &a, &b, &c) == 3) {
		admin(a, b, c);
	} else {
		die("unknown request: %s", request);
	}
	puts("done");
}

int main(void)
{
	char request[80];

	/* poll() must see each request that fgets() has not returned */
	setvbuf(stdin, NULL, _IONBF, 0);
	setvbuf(stdout, NULL, _IOLBF, 0);
	guest_open(&guest, vfs, ARRAY_SIZE(vfs), VF_ANY);
	empty = guest;
	empty.first = GUEST_MEM / 2;
	puts("done");
	while (fgets(request, sizeof(request), stdin))
		answer(request);
	return 0;
}
