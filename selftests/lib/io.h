/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Read and write the disk, and check what comes back. Each block contains its
 * address and the number of its write, so lost, stale, misplaced and corrupt data
 * can be told apart.
 *
 * A guest with nvme.content does not write: what the first read of a chunk returns, the
 * others must return, too.
 */
#ifndef NVMEVF_TEST_IO_H
#define NVMEVF_TEST_IO_H

#include "nvme.h"

/* Submit up to @count random reads, writes, compares and flushes; return how many. */
unsigned int io_submit(struct nvme *n, struct nvme_queue *q, unsigned int count);
/*
 * Leave commands in all conditions: completed but not consumed; executing; in the
 * queue without a ring of the doorbell.
 */
void io_leave_unfinished(struct nvme *n);
/* Do what a vCPU may still do in RUNNING_P2P: consume, submit, ring. */
void io_while_suspended(struct nvme *n);
/* Submit on each queue, and ring. */
void io_submit_all(struct nvme *n, unsigned int count);
/* Wait until all I/O is done, on one queue or on all. */
void io_wait_queue(struct nvme *n, struct nvme_queue *q);
void io_wait(struct nvme *n);
/* Submit a command on each queue; return whether each completion interrupts in time. */
bool io_interrupts(struct nvme *n);
/* Run I/O on all queues, then read back everything ever written. */
void io_check(struct nvme *n);
/*
 * Forget what writes in progress have written, because the controller was reset. nvme_start()
 * is next.
 */
void io_forget_unfinished(struct nvme *n);

#endif /* NVMEVF_TEST_IO_H */
