// SPDX-License-Identifier: GPL-2.0-only
/* Read and write the disk, and check what comes back. */
#include <time.h>

#include "io.h"
#include "util.h"

static unsigned int chunk_size(struct nvme *n, int chunk)
{
	return (1 + chunk % n->max_pages) * nvme_page(n);
}

static __u64 chunk_lba(struct nvme *n, int chunk)
{
	return (n->disk + (__u64)chunk * CHUNK_ROOM) / n->lba_size;
}

/* Each block begins with its LBA and number; the rest is derived from them. */
static void fill(struct nvme *n, void *data, int chunk, __u32 seq)
{
	__u64 lba = chunk_lba(n, chunk);
	unsigned int words = n->lba_size / 8;
	__u64 *word = data;
	__u64 *end = data + chunk_size(n, chunk);
	unsigned int i;
	__u64 x;

	if (n->content) {
		memcpy(data, n->content + chunk * CHUNK_ROOM, chunk_size(n, chunk));
		return;
	}
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

static void finish_io(struct nvme *n, struct nvme_req *req)
{
	unsigned char want[CHUNK_ROOM];
	const __u64 *got = (void *)req->data;

	if ((req->status & 0x7ff) != req->expected)
		die("opcode %#x, chunk %d: status %#x, expected %#x",
		    req->opcode, req->chunk, req->status, req->expected);
	if (req->opcode == NVME_READ && !n->seq[req->chunk]) {
		memcpy(n->content + req->chunk * CHUNK_ROOM, req->data,
		       chunk_size(n, req->chunk));
		n->seq[req->chunk] = 1;
	} else if (req->opcode == NVME_READ) {
		fill(n, want, req->chunk, req->seq);
		if (memcmp(req->data, want, chunk_size(n, req->chunk)))
			die("chunk %d: read block %llu, number %#llx, expected %llu, %#x",
			    req->chunk, got[0], got[1], *(__u64 *)want,
			    req->seq);
	}
	if (req->opcode == NVME_WRITE)
		n->seq[req->chunk] = req->seq;
	if (req->chunk >= 0)
		n->busy[req->chunk] = false;
	req->busy = false;
}

static void io_one(struct nvme *n, struct nvme_queue *q, __u8 opcode, int chunk)
{
	struct nvme_sqe sqe = { .opcode = opcode, .nsid = n->nsid };
	struct nvme_req *req = q->req;
	unsigned int page = nvme_page(n);
	__u32 seq = 0;
	__u16 expected = 0;
	__u64 *list;

	while (req->busy)
		req++;
	if (opcode != NVME_FLUSH) {
		seq = opcode == NVME_WRITE ? n->next_seq++ : n->seq[chunk];
		if (opcode == NVME_READ)
			memset(req->data, 0xa5, chunk_size(n, chunk));
		else
			fill(n, req->data, chunk, seq);
		if (opcode == NVME_COMPARE && random() % 2) {
			req->data[random() % chunk_size(n, chunk)] ^= 1;
			expected = NVME_COMPARE_FAILED;
		}
		sqe.cdw10 = chunk_lba(n, chunk);
		sqe.cdw12 = chunk_size(n, chunk) / n->lba_size - 1;
		sqe.prp1 = nvme_iova(n, req->data);
		sqe.prp2 = sqe.prp1 + page;
		if (chunk_size(n, chunk) > 2 * page) {
			list = (void *)req->data + 3 * page;
			list[0] = sqe.prp1 + page;
			list[1] = sqe.prp1 + 2 * page;
			sqe.prp2 = nvme_iova(n, list);
		}
		n->busy[chunk] = true;
	}

	req = nvme_submit(q, sqe);
	req->finish = finish_io;
	req->opcode = opcode;
	req->chunk = chunk;
	req->seq = seq;
	req->expected = expected;
}

/* Commands run in any order, so each chunk has at most one at a time. */
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
		if (n->content || (opcode == NVME_COMPARE && n->no_compare))
			opcode = NVME_READ;
		if (opcode == NVME_FLUSH) {
			chunk = -1;
		} else {
			chunk = idle_chunk(n);
			if (chunk < 0)
				break;
			if (!n->seq[chunk] && !n->content)
				opcode = NVME_WRITE;
		}
		io_one(n, q, opcode, chunk);
	}
	return i;
}

void io_leave_unfinished(struct nvme *n)
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

bool io_interrupts(struct nvme *n)
{
	struct nvme_queue *q;
	bool all = true;

	for (q = n->queue->next; q; q = q->next) {
		while (vf_irq_pending(n->vf, q->vector, 0))
			;
		io_submit(n, q, 1);
		nvme_ring(n, q);
		all &= vf_irq_pending(n->vf, q->vector, 5000);
		io_wait_queue(n, q);
	}
	return all;
}

void io_check(struct nvme *n)
{
	struct nvme_queue *q;
	int i;

	/* Use all positions of all rings, in both phases. */
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

void io_forget_unfinished(struct nvme *n)
{
	struct nvme_queue *q;
	struct nvme_req *req;

	for (q = n->queue->next; q; q = q->next)
		for (req = q->req; req < q->req + q->sq_size; req++)
			if (req->busy && req->finish && req->opcode == NVME_WRITE)
				n->seq[req->chunk] = 0;
}
