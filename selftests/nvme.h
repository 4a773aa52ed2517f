/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest: its memory, and an NVMe driver that checks whatever it gets.
 *
 * The guest runs on one VF; after a migration it goes on, with the same memory
 * and the same queues, on another. Command identifiers are running numbers, so
 * a command that completes twice is noticed whenever that happens. Each block
 * that is written says where it belongs and when it was written, so lost,
 * stale, misplaced and corrupt data are told apart.
 */
#ifndef NVMEVF_TEST_NVME_H
#define NVMEVF_TEST_NVME_H

#include <pthread.h>

#include "vf.h"

#define GUEST_MEM	(4U << 20)
#define PAGE		4096U

#define NVME_QUEUES	9	/* with the admin queue */
#define NVME_DEPTH	32	/* most entries of a queue */

enum nvme_reg {
	NVME_CAP	= 0x00,
	NVME_VS		= 0x08,
	NVME_CC		= 0x14,
	NVME_CSTS	= 0x1c,
	NVME_AQA	= 0x24,
	NVME_ASQ	= 0x28,
	NVME_ACQ	= 0x30,
};

#define NVME_CC_ON	0x00460001	/* 64-byte SQEs, 16-byte CQEs, enable */
#define NVME_CSTS_RDY	0x1
#define NVME_CSTS_CFS	0x2

enum nvme_opcode {
	NVME_DELETE_SQ		= 0x00,
	NVME_CREATE_SQ		= 0x01,
	NVME_GET_LOG		= 0x02,
	NVME_DELETE_CQ		= 0x04,
	NVME_CREATE_CQ		= 0x05,
	NVME_IDENTIFY		= 0x06,
	NVME_SET_FEATURES	= 0x09,
	NVME_GET_FEATURES	= 0x0a,
	NVME_ASYNC_EVENT	= 0x0c,
	NVME_DOORBELL_BUFFER	= 0x7c,

	NVME_FLUSH		= 0x00,
	NVME_WRITE		= 0x01,
	NVME_READ		= 0x02,
	NVME_COMPARE		= 0x05,
};

enum nvme_feature {
	NVME_FEAT_TEMP_THRESH	= 0x04,
	NVME_FEAT_NUM_QUEUES	= 0x07,
	NVME_FEAT_ASYNC_CONFIG	= 0x0b,
	NVME_FEAT_TIMESTAMP	= 0x0e,
};

#define NVME_COMPARE_FAILED	0x285
#define NVME_INVALID_OPCODE	0x001

struct nvme_sqe {
	__u8	opcode;
	__u8	flags;
	__u16	cid;
	__u32	nsid;
	__u32	cdw2[2];
	__u64	metadata;
	__u64	prp1;
	__u64	prp2;
	__u32	cdw10;
	__u32	cdw11;
	__u32	cdw12;
	__u32	cdw13;
	__u32	cdw14;
	__u32	cdw15;
};

struct nvme_cqe {
	__u32	result;
	__u32	rsvd;
	__u16	sq_head;
	__u16	sq_id;
	__u16	cid;
	__u16	status;		/* bit 0 is the phase */
};

struct nvme_req {
	bool		busy;
	bool		done;
	__u16		cid;
	__u16		status;
	__u32		result;
	unsigned char	*data;		/* 3 pages, and one for the PRP list */
	/* Of reads, writes, compares and flushes: */
	bool		io;
	__u8		opcode;
	int		chunk;		/* -1: none */
	__u32		seq;		/* what the chunk holds, or will hold */
	__u16		expected;	/* status */
};

struct nvme_queue {
	struct nvme_queue	*next;
	int			id;
	int			vector;
	unsigned int		sq_size;
	unsigned int		cq_size;
	unsigned int		sq_tail;
	unsigned int		cq_head;
	__u16			phase;
	__u16			next_cid;
	unsigned int		outstanding;
	unsigned long		completed;
	struct nvme_sqe		*sq;
	struct nvme_cqe		*cq;
	struct nvme_req		req[NVME_DEPTH];
};

/* The part of the disk that a guest uses, in pieces of 1 to 3 pages. */
#define CHUNKS		64
#define CHUNK_ROOM	(3 * PAGE)
#define DISK_PART	(CHUNKS * CHUNK_ROOM)

struct nvme {
	struct vf		*vf;
	unsigned char		*mem;
	unsigned char		*frozen;	/* what mem was when it stopped */
	size_t			chunk;		/* of the stream, to read and write */
	int			data_fd;	/* of PRE_COPY, else -1 */
	size_t			used;
	/* The admin queue, and from queue->next on those for I/O. */
	struct nvme_queue	queue[NVME_QUEUES];
	int			queues;		/* for I/O */
	__u32			*shadow;	/* doorbells in memory, or NULL */
	__u32			*event_index;
	unsigned int		lba_size;
	__u64			disk;		/* byte where its part begins */
	__u32			next_seq;
	__u32			seq[CHUNKS];		/* 0: not known */
	bool			busy[CHUNKS];
};

void guest_init(struct nvme *n);
/* The same, with the first @count VFs for it. It begins on the first. */
void guest_open(struct nvme *n, struct vf *vf, unsigned int count,
		enum vf_api api);

/*
 * A migration, step by step. The VF must leave the guest's memory alone while it
 * is suspended; guest_save() and guest_load() look after that.
 */
void guest_precopy(struct nvme *n, struct stream *s);	/* to PRE_COPY */
void guest_suspend(struct nvme *n);	/* to RUNNING_P2P or PRE_COPY_P2P */
void guest_save(struct nvme *n, struct stream *s);	/* to STOP_COPY */
/* The two halves of it. */
void guest_stop_copy(struct nvme *n, struct stream *s);
void guest_read_state(struct nvme *n, struct stream *s);
void guest_load(struct nvme *n, struct vf *vf, const struct stream *s);
/* The whole of it. The VF that was left is reset. */
void guest_move(struct nvme *n, struct vf *vf);
/* What they go by, where it is done by hand. */
void guest_freeze(struct nvme *n);
void guest_check_frozen(struct nvme *n, const char *when);
/* Back from STOP_COPY or PRE_COPY to RUNNING on the same VF. */
void guest_roll_back(struct nvme *n);

__u32 nvme_read32(struct nvme *n, int reg);
__u64 nvme_read64(struct nvme *n, int reg);
void nvme_write32(struct nvme *n, int reg, __u32 value);

/* Enables the controller, with an admin queue. */
void nvme_enable(struct nvme *n, unsigned int sq_size, unsigned int cq_size);
/* The same, and as many I/O queues as can be had but at most @queues, all alike. */
void nvme_start(struct nvme *n, int queues, unsigned int sq_size,
		unsigned int cq_size);
/*
 * What a guest knows when its controller was reset behind its back: whatever it
 * had told it to do may be done or not. nvme_start() is next.
 */
void nvme_lost(struct nvme *n);
/* All of that, and what the guest was told is written is there. */
void guest_restart(struct nvme *n);
/* Doorbells in memory for queues that come later; false if there are none. */
bool nvme_shadow_doorbells(struct nvme *n);
/* As many queues as have a vector of their own. */
void nvme_start_vectors(struct nvme *n);
void nvme_create_queue(struct nvme *n, unsigned int sq_size,
		       unsigned int cq_size);
void nvme_delete_queue(struct nvme *n);

/* Puts a command into the queue; the device does not know before the ring. */
struct nvme_req *nvme_submit(struct nvme_queue *q, struct nvme_sqe sqe);
void nvme_ring(struct nvme *n, struct nvme_queue *q);
void nvme_ring_all(struct nvme *n);
/* How many completions there are, which were not consumed yet. */
unsigned int nvme_completed(struct nvme_queue *q);
/* Waits until there are @count completions, and does not consume them. */
void nvme_await(struct nvme_queue *q, unsigned int count);
unsigned int nvme_reap(struct nvme *n, struct nvme_queue *q);
/* Waits for completions of I/O, on whichever queue, and consumes them. */
void nvme_reap_any(struct nvme *n);
/* Waits for a command that is not I/O and returns its status. */
int nvme_finish(struct nvme *n, struct nvme_req *req, __u32 *result);
int nvme_admin(struct nvme *n, struct nvme_sqe sqe, void *data, size_t len,
	       __u32 *result);
int nvme_set_feature(struct nvme *n, int feature, __u32 value);
__u32 nvme_get_feature(struct nvme *n, int feature, __u32 select);

/* Up to @count random reads, writes, compares and flushes. */
unsigned int io_submit(struct nvme *n, struct nvme_queue *q, unsigned int count);
/*
 * Leaves commands in all conditions behind: completed but not consumed; on their
 * way; in the queue without the doorbell having been rung.
 */
void io_leave(struct nvme *n);
/* What a vCPU may still do in RUNNING_P2P: consume, submit, ring. */
void io_while_suspended(struct nvme *n);
/* The same on each queue, and rings. */
void io_submit_all(struct nvme *n, unsigned int count);
/* Waits until all I/O is done, on one queue or on all. */
void io_wait_queue(struct nvme *n, struct nvme_queue *q);
void io_wait(struct nvme *n);
/* Runs I/O on all queues, then reads back everything ever written. */
void io_check(struct nvme *n);

/* Another guest on a VF of the same PF, busy. */
struct sibling {
	struct nvme	n;
	struct vf	vf;
	pthread_t	thread;
	bool		stop;
	bool		lost;		/* its controller was reset */
	long long	stall_ms;	/* the longest time without a completion */
	unsigned long	completed;
};

void sibling_open(struct sibling *s, const char *bdf, enum vf_api api);
void sibling_start(struct sibling *s);
/* Waits for @count more completions. */
void sibling_await(struct sibling *s, unsigned int count);
void sibling_stop(struct sibling *s);

#endif /* NVMEVF_TEST_NVME_H */
