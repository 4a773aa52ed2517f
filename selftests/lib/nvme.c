// SPDX-License-Identifier: GPL-2.0-only
/* Drive an NVMe controller: registers, queues, commands. */
#include <time.h>
#include <unistd.h>

#include "nvme.h"
#include "util.h"

__u64 nvme_iova(struct nvme *n, const void *p)
{
	return VF_IOVA + ((unsigned char *)p - n->mem);
}

unsigned int nvme_page(struct nvme *n)
{
	return PAGE << n->mps;
}

static size_t page_align(struct nvme *n, size_t size)
{
	return (size + nvme_page(n) - 1) & ~(size_t)(nvme_page(n) - 1);
}

void *nvme_alloc(struct nvme *n, size_t size)
{
	void *p;

	n->used = page_align(n, n->used);
	p = n->mem + n->used;
	n->used += page_align(n, size);
	if (n->used > GUEST_MEM)
		die("the guest needs %zu bytes, has %u", n->used, GUEST_MEM);
	memset(p, 0, size);
	return p;
}

__u32 nvme_read32(struct nvme *n, int reg)
{
	return __atomic_load_n((__u32 *)(n->vf->bar + reg), __ATOMIC_RELAXED);
}

__u64 nvme_read64(struct nvme *n, int reg)
{
	return nvme_read32(n, reg) | (__u64)nvme_read32(n, reg + 4) << 32;
}

void nvme_write32(struct nvme *n, int reg, __u32 value)
{
	/* Release: the device must see all earlier writes to memory. */
	__atomic_store_n((__u32 *)(n->vf->bar + reg), value, __ATOMIC_RELEASE);
}

static void doorbell(struct nvme *n, int index, __u32 value)
{
	int stride = 4 << (nvme_read32(n, NVME_CAP + 4) & 0xf);
	__u16 old, event;

	if (n->shadow && index > 1) {	/* not of the admin queue */
		old = n->shadow[index * stride / 4];
		__atomic_store_n(&n->shadow[index * stride / 4], value,
				 __ATOMIC_SEQ_CST);
		/* event: the device polls up to this value. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		event = __atomic_load_n(&n->event_index[index * stride / 4],
					__ATOMIC_SEQ_CST);
		if ((__u16)(value - event - 1) >= (__u16)(value - old))
			return;
	}
	nvme_write32(n, 0x1000 + index * stride, value);
}

/* @cq_size: 0 for a queue that shares a completion queue */
static void queue_init(struct nvme *n, int id, unsigned int sq_size,
		       unsigned int cq_size)
{
	struct nvme_queue *q = &n->queue[id];
	unsigned int i;

	if (sq_size > NVME_DEPTH)
		die("queue %d has %u entries, limit %d", id, sq_size, NVME_DEPTH);
	memset(q, 0, sizeof(*q));
	q->id = id;
	q->cq_of = q;
	q->vector = id % n->vf->vectors;
	q->sq_size = sq_size;
	q->cq_size = cq_size;
	q->phase = 1;
	q->sq = nvme_alloc(n, sq_size * sizeof(*q->sq));
	if (cq_size)
		q->cq = nvme_alloc(n, cq_size * sizeof(*q->cq));
	for (i = 0; i < sq_size; i++)
		q->req[i].data = nvme_alloc(n, 4 * nvme_page(n));
}

void nvme_disable(struct nvme *n, time_t deadline)
{
	nvme_write32(n, NVME_CC, 0);
	while (nvme_read32(n, NVME_CSTS) & NVME_CSTS_RDY)
		pause_until(deadline, "disable");
}

void nvme_enable(struct nvme *n, unsigned int sq_size, unsigned int cq_size)
{
	time_t deadline = time(NULL) + PATIENCE;
	struct nvme_queue *q = &n->queue[0];

	/* Forget the queues of the last enable. */
	n->used = n->first;
	n->queues = 0;
	n->shadow = NULL;
	memset(n->busy, 0, sizeof(n->busy));

	nvme_disable(n, deadline);
	queue_init(n, 0, sq_size, cq_size);
	nvme_write32(n, NVME_AQA, (cq_size - 1) << 16 | (sq_size - 1));
	nvme_write32(n, NVME_ASQ, nvme_iova(n, q->sq));
	nvme_write32(n, NVME_ASQ + 4, nvme_iova(n, q->sq) >> 32);
	nvme_write32(n, NVME_ACQ, nvme_iova(n, q->cq));
	nvme_write32(n, NVME_ACQ + 4, nvme_iova(n, q->cq) >> 32);
	nvme_write32(n, NVME_CC, NVME_CC_ON | n->mps << 7);
	while ((nvme_read32(n, NVME_CSTS) & 0x3) != NVME_CSTS_RDY)
		pause_until(deadline, "enable");
}

static void create_cq(struct nvme *n, struct nvme_queue *q, bool interrupts)
{
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_CREATE_CQ,
		.prp1 = nvme_iova(n, q->cq),
		.cdw10 = (q->cq_size - 1) << 16 | q->id,
		.cdw11 = q->vector << 16 | interrupts << 1 | 1,	/* contiguous */
	}, NULL, 0, NULL);
	if (status)
		die("Create I/O CQ %d: status %#x", q->id, status);
}

/* Create the submission queue, and make the queue the last one of the guest. */
static void create_sq(struct nvme *n, struct nvme_queue *q)
{
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_CREATE_SQ,
		.prp1 = nvme_iova(n, q->sq),
		.cdw10 = (q->sq_size - 1) << 16 | q->id,
		.cdw11 = q->cq_of->id << 16 | 1,
	}, NULL, 0, NULL);
	if (status)
		die("Create I/O SQ %d: status %#x", q->id, status);
	n->queue[q->id - 1].next = q;
	n->queues = q->id;
}

/* Set up the next queue, which the controller does not know yet. */
static struct nvme_queue *next_queue(struct nvme *n, unsigned int sq_size,
				     unsigned int cq_size)
{
	int id = n->queues + 1;

	if (id == NVME_QUEUES)
		die("the guest has %d queues already", n->queues);
	queue_init(n, id, sq_size, cq_size);
	return &n->queue[id];
}

void nvme_create_queue(struct nvme *n, unsigned int sq_size,
		       unsigned int cq_size)
{
	struct nvme_queue *q = next_queue(n, sq_size, cq_size);

	create_cq(n, q, true);
	create_sq(n, q);
}

void nvme_create_polled_queue(struct nvme *n, unsigned int sq_size,
			      unsigned int cq_size)
{
	struct nvme_queue *q = next_queue(n, sq_size, cq_size);

	create_cq(n, q, false);
	create_sq(n, q);
}

void nvme_create_sharing_queue(struct nvme *n, unsigned int sq_size,
			       struct nvme_queue *with)
{
	struct nvme_queue *q = next_queue(n, sq_size, 0);

	q->cq_of = with->cq_of;
	q->vector = with->vector;
	create_sq(n, q);
}

void nvme_delete_queue(struct nvme *n)
{
	int id = n->queues--;
	int status;

	n->queue[id - 1].next = NULL;
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_DELETE_SQ,
		.cdw10 = id,
	}, NULL, 0, NULL);
	if (status)
		die("Delete I/O SQ %d: status %#x", id, status);
	if (n->queue[id].cq_of != &n->queue[id])
		return;
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_DELETE_CQ,
		.cdw10 = id,
	}, NULL, 0, NULL);
	if (status)
		die("Delete I/O CQ %d: status %#x", id, status);
}

void nvme_start(struct nvme *n, int queues, unsigned int sq_size,
		unsigned int cq_size)
{
	unsigned char ns[PAGE];
	__u32 granted;
	int status;

	nvme_enable(n, sq_size, cq_size);
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_IDENTIFY,
		.nsid = n->nsid,
	}, ns, sizeof(ns), NULL);
	if (status)
		die("Identify Namespace: status %#x", status);
	/* LBADS of the LBA format that FLBAS names */
	n->lba_size = 1U << ns[128 + 4 * (ns[26] & 0xf) + 2];

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_SET_FEATURES,
		.cdw10 = NVME_FEAT_NUM_QUEUES,
		.cdw11 = (queues - 1) << 16 | (queues - 1),
	}, NULL, 0, &granted);
	if (status)
		die("Set Features, Number of Queues: status %#x", status);
	if ((granted & 0xffff) + 1 < (__u32)queues)
		queues = (granted & 0xffff) + 1;
	if (queues >= NVME_QUEUES)
		queues = NVME_QUEUES - 1;
	while (n->queues < queues)
		nvme_create_queue(n, sq_size, cq_size);
}

bool nvme_shadow_doorbells(struct nvme *n)
{
	__u32 *shadow = nvme_alloc(n, PAGE);
	__u32 *event_index = nvme_alloc(n, PAGE);
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_DOORBELL_BUFFER,
		.prp1 = nvme_iova(n, shadow),
		.prp2 = nvme_iova(n, event_index),
	}, NULL, 0, NULL);
	if (status)
		return false;
	n->shadow = shadow;
	n->event_index = event_index;
	return true;
}

void nvme_start_vectors(struct nvme *n)
{
	nvme_start(n, n->vf->vectors > 1 ? n->vf->vectors - 1 : 1, 8, 8);
}

struct nvme_req *nvme_submit(struct nvme_queue *q, struct nvme_sqe sqe)
{
	struct nvme_req *req = q->req;

	if (q->outstanding == q->sq_size - 1)
		die("queue %d is full", q->id);
	while (req->busy)
		req++;
	req->busy = true;
	req->done = false;
	req->finish = NULL;
	req->cid = q->next_cid++;

	sqe.cid = req->cid;
	q->sq[q->sq_tail] = sqe;
	q->sq_tail = (q->sq_tail + 1) % q->sq_size;
	q->outstanding++;
	return req;
}

void nvme_ring(struct nvme *n, struct nvme_queue *q)
{
	doorbell(n, 2 * q->id, q->sq_tail);
}

void nvme_ring_all(struct nvme *n)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next)
		nvme_ring(n, q);
}

/* Are there @count completions in the completion queue of @q that were not consumed yet? */
static bool completed(struct nvme_queue *q, unsigned int count)
{
	unsigned int last = q->cq_head + count - 1;
	__u16 phase = q->phase ^ (last >= q->cq_size);

	/* Acquire: read the rest of the completion after the phase. */
	return (__atomic_load_n(&q->cq[last % q->cq_size].status,
				__ATOMIC_ACQUIRE) & 1) == phase;
}

unsigned int nvme_completed(struct nvme_queue *q)
{
	unsigned int count = 0;

	while (completed(q->cq_of, count + 1))
		count++;
	return count;
}

void nvme_await(struct nvme_queue *q, unsigned int count)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (!completed(q->cq_of, count))
		pause_until(deadline, "no completion");
}

/* Take the completion @cqe, which was in the completion queue of @owner. */
static void complete(struct nvme *n, struct nvme_queue *owner, struct nvme_cqe cqe)
{
	struct nvme_queue *q;
	struct nvme_req *req;

	if (cqe.sq_id > n->queues)
		die("completion queue %d: completion has queue %u of %d", owner->id,
		    cqe.sq_id, n->queues);
	q = &n->queue[cqe.sq_id];
	if (q->cq_of != owner || cqe.sq_head >= q->sq_size)
		die("completion queue %d: completion has queue %u, head %u, expected below %u",
		    owner->id, cqe.sq_id, cqe.sq_head, q->sq_size);
	for (req = q->req; req < q->req + q->sq_size; req++)
		if (req->busy && !req->done && req->cid == cqe.cid)
			break;
	if (req == q->req + q->sq_size)
		die("queue %d: command %u of %u completed, but is not outstanding",
		    q->id, cqe.cid, q->next_cid);
	req->done = true;
	req->status = cqe.status >> 1;
	req->result = cqe.result;
	q->outstanding--;
	q->completed++;
	if (req->finish)
		req->finish(n, req);
}

unsigned int nvme_reap(struct nvme *n, struct nvme_queue *q)
{
	unsigned int count = 0;
	struct nvme_cqe cqe;

	for (q = q->cq_of; completed(q, 1); count++) {
		cqe = q->cq[q->cq_head];
		if (++q->cq_head == q->cq_size) {
			q->cq_head = 0;
			q->phase ^= 1;
		}
		complete(n, q, cqe);
	}
	if (count)
		doorbell(n, 2 * q->id + 1, q->cq_head);
	return count;
}

void nvme_reap_any(struct nvme *n)
{
	time_t deadline = time(NULL) + PATIENCE;
	unsigned int count = 0;
	struct nvme_queue *q;

	for (;;) {
		for (q = n->queue->next; q; q = q->next)
			count += nvme_reap(n, q);
		if (count)
			return;
		pause_until(deadline, "I/O on any queue");
	}
}

int nvme_finish(struct nvme *n, struct nvme_req *req, __u32 *result)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (!req->done) {
		if (!nvme_reap(n, &n->queue[0]))
			pause_until(deadline, "admin command");
	}
	req->busy = false;
	if (result)
		*result = req->result;
	return req->status & 0x7ff;
}

int nvme_admin(struct nvme *n, struct nvme_sqe sqe, void *data, size_t len,
	       __u32 *result)
{
	struct nvme_queue *q = n->queue;
	struct nvme_req *req = q->req;
	int status;

	while (req->busy)
		req++;
	if (data) {
		memcpy(req->data, data, len);
		sqe.prp1 = nvme_iova(n, req->data);
	}
	req = nvme_submit(q, sqe);
	nvme_ring(n, q);
	status = nvme_finish(n, req, result);
	if (data)
		memcpy(data, req->data, len);
	return status;
}

int nvme_set_feature(struct nvme *n, int feature, __u32 value)
{
	return nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_SET_FEATURES,
		.cdw10 = feature,
		.cdw11 = value,
	}, NULL, 0, NULL);
}

__u32 nvme_get_feature(struct nvme *n, int feature, __u32 select)
{
	__u32 value;
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_GET_FEATURES,
		.cdw10 = feature,
		.cdw11 = select,
	}, NULL, 0, &value);
	if (status)
		die("Get Features %#x: status %#x", feature, status);
	return value;
}

int nvme_get_log(struct nvme *n, enum nvme_log log, void *data, size_t len)
{
	return nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_GET_LOG,
		.nsid = ~0U,
		.cdw10 = (len / 4 - 1) << 16 | log,
	}, data, len, NULL);
}

struct nvme_req *nvme_request_event(struct nvme *n)
{
	struct nvme_req *req;

	req = nvme_submit(&n->queue[0], (struct nvme_sqe){
		.opcode = NVME_ASYNC_EVENT,
	});
	nvme_ring(n, &n->queue[0]);
	return req;
}
