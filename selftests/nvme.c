// SPDX-License-Identifier: GPL-2.0-only
/* The guest: its memory, and an NVMe driver that checks whatever it gets. */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "nvme.h"

static void pause_until(time_t deadline, const char *what)
{
	if (time(NULL) > deadline)
		die("timeout: %s", what);
	usleep(50);
}

static __u64 iova(struct nvme *n, const void *p)
{
	return VF_IOVA + ((unsigned char *)p - n->mem);
}

static void *guest_alloc(struct nvme *n, size_t size)
{
	void *p = n->mem + n->used;

	n->used += (size + PAGE - 1) / PAGE * PAGE;
	if (n->used > GUEST_MEM)
		die("guest memory is too small");
	memset(p, 0, size);
	return p;
}

void guest_init(struct nvme *n)
{
	memset(n, 0, sizeof(*n));
	n->mem = must(mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	n->frozen = must(mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	n->chunk = 65536;
	n->data_fd = -1;
	/* What an earlier process left on the disk has other numbers. */
	n->next_seq = (getpid() << 16) + 1;
}

void guest_open(struct nvme *n, struct vf *vf, unsigned int count,
		enum vf_api api)
{
	unsigned int i;

	guest_init(n);
	for (i = 0; i < count; i++)
		vf_open(&vf[i], vf_bdf(i), api, n->mem, GUEST_MEM);
	n->vf = vf;
}

static void set_state(struct vf *vf, unsigned int state, int *data_fd)
{
	vf_go(vf, state, data_fd);
	if (vf_get_state(vf) != (int)state)
		die("%s is not in state %u", vf->bdf, state);
}

void guest_freeze(struct nvme *n)
{
	memcpy(n->frozen, n->mem, GUEST_MEM);
}

void guest_check_frozen(struct nvme *n, const char *when)
{
	if (memcmp(n->frozen, n->mem, GUEST_MEM))
		die("%s: the guest's memory changed %s", n->vf->bdf, when);
}

void guest_precopy(struct nvme *n, struct stream *s)
{
	int ret;

	set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, &n->data_fd);
	s->data = NULL;
	s->len = 0;
	ret = stream_read_on(s, n->data_fd, n->chunk);
	if (ret != -ENOMSG)
		die("%s: PRE_COPY ends with %d", n->vf->bdf, ret);
}

void guest_suspend(struct nvme *n)
{
	set_state(n->vf, n->data_fd < 0 ? VFIO_DEVICE_STATE_RUNNING_P2P :
		  VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL);
}

void guest_stop_copy(struct nvme *n, struct stream *s)
{
	guest_freeze(n);
	if (n->data_fd < 0) {
		s->data = NULL;
		s->len = 0;
		set_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
		set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &n->data_fd);
	} else {
		set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL);
	}
}

void guest_read_state(struct nvme *n, struct stream *s)
{
	int ret;

	ret = stream_read_on(s, n->data_fd, n->chunk);
	if (ret)
		die("%s: cannot save: %s", n->vf->bdf, strerror(-ret));
	close(n->data_fd);
	n->data_fd = -1;
	guest_check_frozen(n, "while it was saved");
}

void guest_save(struct nvme *n, struct stream *s)
{
	guest_stop_copy(n, s);
	guest_read_state(n, s);
}

void guest_load(struct nvme *n, struct vf *vf, const struct stream *s)
{
	int fd, ret;

	set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, n->chunk);
	if (ret)
		die("%s: cannot load: %s", vf->bdf, strerror(-ret));
	set_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
	close(fd);
	set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	guest_check_frozen(n, "while it was loaded");
	n->vf = vf;
	set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

void guest_move(struct nvme *n, struct vf *vf)
{
	struct vf *from = n->vf;
	struct stream s;

	guest_suspend(n);
	guest_save(n, &s);
	guest_load(n, vf, &s);
	free(s.data);
	vf_reset(from);
}

void guest_roll_back(struct nvme *n)
{
	if (n->data_fd >= 0) {
		set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		close(n->data_fd);
		n->data_fd = -1;
		return;
	}
	set_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
	set_state(n->vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	guest_check_frozen(n, "before it was resumed");
	set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
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
	/* Release: the device is to find what was written to memory before. */
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
		/* The device says up to where it looks by itself. */
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		event = __atomic_load_n(&n->event_index[index * stride / 4],
					__ATOMIC_SEQ_CST);
		if ((__u16)(value - event - 1) >= (__u16)(value - old))
			return;
	}
	nvme_write32(n, 0x1000 + index * stride, value);
}

static void queue_init(struct nvme *n, int id, unsigned int sq_size,
		       unsigned int cq_size)
{
	struct nvme_queue *q = &n->queue[id];
	unsigned int i;

	if (sq_size > NVME_DEPTH)
		die("queue %d is too deep", id);
	memset(q, 0, sizeof(*q));
	q->id = id;
	q->vector = id % n->vf->vectors;
	q->sq_size = sq_size;
	q->cq_size = cq_size;
	q->phase = 1;
	q->sq = guest_alloc(n, sq_size * sizeof(*q->sq));
	q->cq = guest_alloc(n, cq_size * sizeof(*q->cq));
	for (i = 0; i < sq_size; i++)
		q->req[i].data = guest_alloc(n, 4 * PAGE);
}

void nvme_enable(struct nvme *n, unsigned int sq_size, unsigned int cq_size)
{
	time_t deadline = time(NULL) + PATIENCE;
	struct nvme_queue *q = &n->queue[0];

	/* Nothing of an earlier life remains. */
	n->used = 0;
	n->queues = 0;
	n->shadow = NULL;
	memset(n->busy, 0, sizeof(n->busy));

	nvme_write32(n, NVME_CC, 0);
	while (nvme_read32(n, NVME_CSTS) & NVME_CSTS_RDY)
		pause_until(deadline, "disable");
	queue_init(n, 0, sq_size, cq_size);
	nvme_write32(n, NVME_AQA, (cq_size - 1) << 16 | (sq_size - 1));
	nvme_write32(n, NVME_ASQ, iova(n, q->sq));
	nvme_write32(n, NVME_ASQ + 4, iova(n, q->sq) >> 32);
	nvme_write32(n, NVME_ACQ, iova(n, q->cq));
	nvme_write32(n, NVME_ACQ + 4, iova(n, q->cq) >> 32);
	nvme_write32(n, NVME_CC, NVME_CC_ON);
	while ((nvme_read32(n, NVME_CSTS) & 0x3) != NVME_CSTS_RDY)
		pause_until(deadline, "enable");
}

void nvme_create_queue(struct nvme *n, unsigned int sq_size,
		       unsigned int cq_size)
{
	int id = n->queues + 1;
	struct nvme_queue *q = &n->queue[id];
	int status;

	queue_init(n, id, sq_size, cq_size);
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_CREATE_CQ,
		.prp1 = iova(n, q->cq),
		.cdw10 = (cq_size - 1) << 16 | id,
		.cdw11 = q->vector << 16 | 3,	/* interrupts, contiguous */
	}, NULL, 0, NULL);
	if (status)
		die("Create I/O CQ %d: status %#x", id, status);
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_CREATE_SQ,
		.prp1 = iova(n, q->sq),
		.cdw10 = (sq_size - 1) << 16 | id,
		.cdw11 = id << 16 | 1,
	}, NULL, 0, NULL);
	if (status)
		die("Create I/O SQ %d: status %#x", id, status);
	n->queue[id - 1].next = q;
	n->queues = id;
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
		.nsid = 1,
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

void nvme_lost(struct nvme *n)
{
	struct nvme_queue *q;
	struct nvme_req *req;

	for (q = n->queue->next; q; q = q->next)
		for (req = q->req; req < q->req + q->sq_size; req++)
			if (req->busy && req->io && req->opcode == NVME_WRITE)
				n->seq[req->chunk] = 0;
}

bool nvme_shadow_doorbells(struct nvme *n)
{
	__u32 *shadow = guest_alloc(n, PAGE);
	__u32 *event_index = guest_alloc(n, PAGE);
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_DOORBELL_BUFFER,
		.prp1 = iova(n, shadow),
		.prp2 = iova(n, event_index),
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
	req->io = false;
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

/* Are there @count completions that were not consumed yet? */
static bool completed(struct nvme_queue *q, unsigned int count)
{
	unsigned int last = q->cq_head + count - 1;
	__u16 phase = q->phase ^ (last >= q->cq_size);

	/* Acquire: with the phase comes the rest of the completion. */
	return (__atomic_load_n(&q->cq[last % q->cq_size].status,
				__ATOMIC_ACQUIRE) & 1) == phase;
}

unsigned int nvme_completed(struct nvme_queue *q)
{
	unsigned int count = 0;

	while (completed(q, count + 1))
		count++;
	return count;
}

void nvme_await(struct nvme_queue *q, unsigned int count)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (!completed(q, count))
		pause_until(deadline, "no completion");
}

static unsigned int chunk_size(int chunk)
{
	return (1 + chunk % 3) * PAGE;
}

static __u64 chunk_lba(struct nvme *n, int chunk)
{
	return (n->disk + (__u64)chunk * CHUNK_ROOM) / n->lba_size;
}

/* Each block begins with its LBA and number, and all of it depends on them. */
static void fill(struct nvme *n, void *data, int chunk, __u32 seq)
{
	__u64 lba = chunk_lba(n, chunk);
	unsigned int words = n->lba_size / 8;
	__u64 *word = data;
	__u64 *end = data + chunk_size(chunk);
	unsigned int i;
	__u64 x;

	for (; word < end; word += words, lba++) {
		x = lba << 32 ^ seq ^ 0x9e3779b97f4a7c15ULL;
		word[0] = lba;
		word[1] = seq;
		for (i = 2; i < words; i++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			word[i] = x;
		}
	}
}

static void io_done(struct nvme *n, struct nvme_req *req)
{
	unsigned char want[CHUNK_ROOM];
	const __u64 *got = (void *)req->data;

	if ((req->status & 0x7ff) != req->expected)
		die("opcode %#x, chunk %d: status %#x instead of %#x",
		    req->opcode, req->chunk, req->status, req->expected);
	if (req->opcode == NVME_READ) {
		fill(n, want, req->chunk, req->seq);
		if (memcmp(req->data, want, chunk_size(req->chunk)))
			die("chunk %d: read block %llu, number %#llx; want %llu, %#x",
			    req->chunk, got[0], got[1], *(__u64 *)want,
			    req->seq);
	}
	if (req->opcode == NVME_WRITE)
		n->seq[req->chunk] = req->seq;
	if (req->chunk >= 0)
		n->busy[req->chunk] = false;
	req->busy = false;
}

unsigned int nvme_reap(struct nvme *n, struct nvme_queue *q)
{
	unsigned int count = 0;
	struct nvme_req *req;
	struct nvme_cqe cqe;

	for (; completed(q, 1); count++) {
		cqe = q->cq[q->cq_head];
		if (++q->cq_head == q->cq_size) {
			q->cq_head = 0;
			q->phase ^= 1;
		}

		for (req = q->req; req < q->req + q->sq_size; req++)
			if (req->busy && !req->done && req->cid == cqe.cid)
				break;
		if (req == q->req + q->sq_size)
			die("queue %d: command %u of %u completed, but is not outstanding",
			    q->id, cqe.cid, q->next_cid);
		if (cqe.sq_id != q->id || cqe.sq_head >= q->sq_size)
			die("queue %d: completion of queue %u, head %u",
			    q->id, cqe.sq_id, cqe.sq_head);
		req->done = true;
		req->status = cqe.status >> 1;
		req->result = cqe.result;
		q->outstanding--;
		q->completed++;
		if (req->io)
			io_done(n, req);
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
		sqe.prp1 = iova(n, req->data);
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

static void io_one(struct nvme *n, struct nvme_queue *q, __u8 opcode, int chunk)
{
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = 1 };
	struct nvme_req *req = q->req;
	__u32 seq = 0;
	__u16 expected = 0;
	__u64 *list;

	while (req->busy)
		req++;
	if (opcode != NVME_FLUSH) {
		seq = opcode == NVME_WRITE ? n->next_seq++ : n->seq[chunk];
		if (opcode == NVME_READ)
			memset(req->data, 0xa5, chunk_size(chunk));
		else
			fill(n, req->data, chunk, seq);
		if (opcode == NVME_COMPARE && random() % 2) {
			req->data[random() % chunk_size(chunk)] ^= 1;
			expected = NVME_COMPARE_FAILED;
		}
		sqe.cdw10 = chunk_lba(n, chunk);
		sqe.cdw12 = chunk_size(chunk) / n->lba_size - 1;
		sqe.prp1 = iova(n, req->data);
		sqe.prp2 = sqe.prp1 + PAGE;
		if (chunk_size(chunk) > 2 * PAGE) {
			list = (void *)req->data + 3 * PAGE;
			list[0] = sqe.prp1 + PAGE;
			list[1] = sqe.prp1 + 2 * PAGE;
			sqe.prp2 = iova(n, list);
		}
		n->busy[chunk] = true;
	}

	req = nvme_submit(q, sqe);
	req->io = true;
	req->opcode = opcode;
	req->chunk = chunk;
	req->seq = seq;
	req->expected = expected;
}

/* Commands run in any order, so there may be one per chunk at a time. */
static int idle_chunk(struct nvme *n)
{
	int start = random() % CHUNKS;
	int chunk = start;

	do {
		if (!n->busy[chunk])
			return chunk;
		chunk = (chunk + 1) % CHUNKS;
	} while (chunk != start);
	return -1;
}

unsigned int io_submit(struct nvme *n, struct nvme_queue *q, unsigned int count)
{
	static const __u8 mix[] = {
		NVME_WRITE, NVME_WRITE, NVME_WRITE, NVME_WRITE,
		NVME_READ, NVME_READ, NVME_READ,
		NVME_COMPARE, NVME_FLUSH,
	};
	unsigned int i;
	__u8 opcode;
	int chunk;

	for (i = 0; i < count && q->outstanding < q->sq_size - 1; i++) {
		opcode = mix[random() % sizeof(mix)];
		if (opcode == NVME_FLUSH) {
			chunk = -1;
		} else {
			chunk = idle_chunk(n);
			if (chunk < 0)
				break;
			if (!n->seq[chunk])
				opcode = NVME_WRITE;
		}
		io_one(n, q, opcode, chunk);
	}
	return i;
}

void io_leave(struct nvme *n)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next) {
		if (!io_submit(n, q, random() % 4))
			continue;
		nvme_ring(n, q);
		nvme_await(q, 1);
	}
	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, random() % 4);
		nvme_ring(n, q);
	}
	for (q = n->queue->next; q; q = q->next)
		io_submit(n, q, random() % 4);
}

void io_while_suspended(struct nvme *n)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next) {
		if (random() % 2)
			nvme_reap(n, q);
		io_submit(n, q, random() % 4);
		if (random() % 2)
			nvme_ring(n, q);
	}
}

void io_submit_all(struct nvme *n, unsigned int count)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, count);
		nvme_ring(n, q);
	}
}

void io_wait_queue(struct nvme *n, struct nvme_queue *q)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (q->outstanding) {
		if (!nvme_reap(n, q))
			pause_until(deadline, "I/O");
	}
}

void io_wait(struct nvme *n)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next)
		io_wait_queue(n, q);
}

void io_check(struct nvme *n)
{
	struct nvme_queue *q;
	int i;

	/* All positions of all rings, both phases. */
	for (q = n->queue->next; q; q = q->next) {
		for (i = q->sq_size + q->cq_size; i > 0;) {
			i -= io_submit(n, q, 3);
			nvme_ring(n, q);
			io_wait_queue(n, q);
		}
	}
	for (i = 0; i < CHUNKS; i++) {
		if (!n->seq[i])
			continue;
		q = &n->queue[1 + i % n->queues];
		io_one(n, q, NVME_READ, i);
		nvme_ring(n, q);
		io_wait_queue(n, q);
	}
}

void guest_restart(struct nvme *n)
{
	nvme_lost(n);
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
}

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
	long long last = ran_ms(), now;
	struct nvme_queue *q;
	unsigned int count;
	bool stop;

	do {
		/* What was done to the VF before it shall be noticed. */
		stop = __atomic_load_n(&s->stop, __ATOMIC_ACQUIRE);
		for (count = 0, q = s->n.queue->next; q; q = q->next) {
			io_submit(&s->n, q, 3);
			nvme_ring(&s->n, q);
			count += nvme_reap(&s->n, q);
		}
		now = ran_ms();
		if (now - last > s->stall_ms)
			s->stall_ms = now - last;
		if (count)
			last = now;
		__atomic_add_fetch(&s->completed, count, __ATOMIC_RELAXED);
		if (nvme_read32(&s->n, NVME_CSTS) != NVME_CSTS_RDY) {
			s->lost = true;
			break;
		}
		/* Leave something of the CPU to what is tested. */
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
		die("no thread");
}

void sibling_await(struct sibling *s, unsigned int count)
{
	unsigned long want = __atomic_load_n(&s->completed, __ATOMIC_RELAXED) + count;
	long long deadline = now_ms() + 1000 * PATIENCE;

	while (__atomic_load_n(&s->completed, __ATOMIC_RELAXED) < want) {
		if (now_ms() > deadline)
			die("the sibling gets nothing done");
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
