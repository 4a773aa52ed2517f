/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Drive an NVMe controller: registers, queues, commands.
 *
 * A guest runs on one VF; after a migration it continues, with the same memory and
 * the same queues, on another. Command identifiers are consecutive numbers, so a
 * command that completes twice is always noticed.
 */
#ifndef NVMEVF_TEST_NVME_H
#define NVMEVF_TEST_NVME_H

#include <time.h>

#include "vf.h"

#define GUEST_MEM	(4U << 20)
#define PAGE		4096U

struct nvme;

#define NVME_QUEUES	9	/* with the admin queue */
#define NVME_DEPTH	32	/* largest queue */
#define NVME_MPS_MAX	1	/* largest CC.MPS */

enum nvme_reg {
	NVME_CAP	= 0x00,
	NVME_VS		= 0x08,
	NVME_INTMS	= 0x0c,
	NVME_INTMC	= 0x10,
	NVME_CC		= 0x14,
	NVME_CSTS	= 0x1c,
	NVME_AQA	= 0x24,
	NVME_ASQ	= 0x28,
	NVME_ACQ	= 0x30,
};

#define NVME_CC_ON	0x00460001	/* 64-byte SQEs, 16-byte CQEs, enable */
#define NVME_CSTS_RDY	0x1
#define NVME_CSTS_CFS	0x2
#define NVME_CSTS_SHST	0xc

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
	NVME_DATASET_MGMT	= 0x09,
	NVME_COPY		= 0x19,
};

enum nvme_feature {
	NVME_FEAT_TEMP_THRESH		= 0x04,
	NVME_FEAT_ERROR_RECOVERY	= 0x05,
	NVME_FEAT_WRITE_CACHE		= 0x06,
	NVME_FEAT_NUM_QUEUES		= 0x07,
	NVME_FEAT_WRITE_ATOMICITY	= 0x0a,
	NVME_FEAT_ASYNC_CONFIG		= 0x0b,
	NVME_FEAT_TIMESTAMP		= 0x0e,
	NVME_FEAT_HOST_BEHAVIOR		= 0x16,
};

enum nvme_log {
	NVME_LOG_ERROR			= 1,
	NVME_LOG_SMART			= 2,
	NVME_LOG_CHANGED_NAMESPACES	= 4,
};

#define NVME_INVALID_OPCODE	0x001
#define NVME_SEQUENCE_ERROR	0x00c
#define NVME_INVALID_PRP_OFFSET	0x013
#define NVME_OUT_OF_RANGE	0x080
#define NVME_COMPARE_FAILED	0x285
#define NVME_DEALLOCATED	0x287

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
	unsigned char	*data;		/* 3 pages of the guest, and one for the PRP list */
	/* Called on completion, may be NULL. */
	void		(*finish)(struct nvme *n, struct nvme_req *req);
	/* Of reads, writes, compares and flushes: */
	__u8		opcode;
	int		chunk;		/* -1: none */
	__u32		seq;		/* number of the chunk's last write */
	__u16		expected;	/* status */
};

struct nvme_queue {
	struct nvme_queue	*next;
	/* The queue whose completion queue it has: itself, or another one that shares its. */
	struct nvme_queue	*cq_of;
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

/* The part of the disk that a guest uses, in pieces of 1 to 3 pages of the largest size. */
#define CHUNKS		64
#define CHUNK_PAGES	3
#define CHUNK_ROOM	(CHUNK_PAGES * (PAGE << NVME_MPS_MAX))
#define DISK_PART	(CHUNKS * CHUNK_ROOM)

struct nvme {
	struct vf		*vf;
	unsigned char		*mem;
	unsigned char		*frozen;	/* copy of mem from guest_freeze() */
	size_t			chunk;		/* bytes per read() and write() of a stream */
	int			data_fd;	/* of PRE_COPY and STOP_COPY, else -1 */
	size_t			first;		/* byte of mem that nvme_enable() may use */
	size_t			used;
	unsigned int		mps;		/* CC.MPS at the next nvme_enable() */
	/* The admin queue; queue->next and on are for I/O. */
	struct nvme_queue	queue[NVME_QUEUES];
	int			queues;		/* for I/O */
	__u32			*shadow;	/* shadow doorbells, or NULL */
	__u32			*event_index;
	__u32			nsid;
	unsigned int		lba_size;
	__u64			disk;		/* offset of its part */
	unsigned int		max_pages;	/* of a command */
	bool			no_compare;	/* the controller has no Compare */
	/* What the disk has, for a guest that does not write; else NULL. */
	unsigned char		*content;
	__u32			next_seq;
	__u32			seq[CHUNKS];		/* 0: unknown */
	bool			busy[CHUNKS];
};

/* Return the size of a page of the guest, as the controller knows it. */
unsigned int nvme_page(struct nvme *n);
/* Allocate pages of the guest's memory. */
void *nvme_alloc(struct nvme *n, size_t size);
/* Return the address at which the VF sees @p. */
__u64 nvme_iova(struct nvme *n, const void *p);

__u32 nvme_read32(struct nvme *n, int reg);
__u64 nvme_read64(struct nvme *n, int reg);
void nvme_write32(struct nvme *n, int reg, __u32 value);

/* Disable the controller. Fail if it is not disabled at @deadline. */
void nvme_disable(struct nvme *n, time_t deadline);
/* Enable the controller, with an admin queue. */
void nvme_enable(struct nvme *n, unsigned int sq_size, unsigned int cq_size);
/*
 * Enable the controller and create up to @queues I/O queues of equal size, as
 * the controller grants.
 */
void nvme_start(struct nvme *n, int queues, unsigned int sq_size,
		unsigned int cq_size);
/* Create as many queues as have an interrupt vector of their own. */
void nvme_start_vectors(struct nvme *n);
/* Set up doorbells in memory for queues that are created later; return false if unsupported. */
bool nvme_shadow_doorbells(struct nvme *n);
void nvme_create_queue(struct nvme *n, unsigned int sq_size,
		       unsigned int cq_size);
/* Create a queue whose completion queue does not interrupt. */
void nvme_create_polled_queue(struct nvme *n, unsigned int sq_size,
			      unsigned int cq_size);
/* Create a submission queue that uses the completion queue of @with, too. */
void nvme_create_sharing_queue(struct nvme *n, unsigned int sq_size,
			       struct nvme_queue *with);
/* Delete the last queue. A completion queue is deleted with the queue that it belongs to. */
void nvme_delete_queue(struct nvme *n);

/* Write a command into the queue; the device learns of it by nvme_ring(). */
struct nvme_req *nvme_submit(struct nvme_queue *q, struct nvme_sqe sqe);
void nvme_ring(struct nvme *n, struct nvme_queue *q);
void nvme_ring_all(struct nvme *n);
/* Return how many completions were not consumed yet, with those of queues that share. */
unsigned int nvme_completed(struct nvme_queue *q);
/* Wait until there are @count completions, without consuming them. */
void nvme_await(struct nvme_queue *q, unsigned int count);
/* Consume completions, also of queues that share the completion queue; return how many. */
unsigned int nvme_reap(struct nvme *n, struct nvme_queue *q);
/* Wait for completions of I/O on any queue, and consume them. */
void nvme_reap_any(struct nvme *n);
/* Wait for an admin command and return its status. */
int nvme_finish(struct nvme *n, struct nvme_req *req, __u32 *result);
int nvme_admin(struct nvme *n, struct nvme_sqe sqe, void *data, size_t len,
	       __u32 *result);
int nvme_set_feature(struct nvme *n, int feature, __u32 value);
__u32 nvme_get_feature(struct nvme *n, int feature, __u32 select);
int nvme_get_log(struct nvme *n, enum nvme_log log, void *data, size_t len);
/* Submit an Asynchronous Event Request. */
struct nvme_req *nvme_request_event(struct nvme *n);

#endif /* NVMEVF_TEST_NVME_H */
