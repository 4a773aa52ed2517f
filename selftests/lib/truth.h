/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a VF has really written, as the device model knows apart from the log of Track Receive:
 * see testbed/qemu/lm-truth.c.inc.
 *
 * Each report of VFIO's DMA logging must have what was written since the one before. A page
 * that is missing ends the test.
 */
#ifndef NVMEVF_TEST_TRUTH_H
#define NVMEVF_TEST_TRUTH_H

#include "nvme.h"
#include "vf.h"

/* A bit for each page of the guest's memory */
#define TRUTH_WORDS	(GUEST_MEM / PAGE / 64)

struct truth {
	struct vf	*vf;
	__u64		written[TRUTH_WORDS];	/* what the next report must have */
	__u64		pages;			/* written until a report; each time counts */
	/* The model's count of pages written: now, and when pages was counted last. */
	__u64		count, counted;
	unsigned int	due;			/* pages that the last report had to have */
	/* Its count of pages that the answers to Track Receive lacked */
	__u64		missed;
};

/* Have the model note what the VF writes from now on. */
void truth_open(struct truth *t, struct vf *vf);
/* Start the log of all memory of the guest; return 0 or -errno. */
int truth_start(struct truth *t);
/* The next report need not have what was written until now. */
void truth_forget(struct truth *t);
/* Report all memory of the guest, and compare. Set bits of @map; return 0 or -errno. */
int truth_report(struct truth *t, __u64 *map);
/*
 * Print how many pages @count VFs have written that reports had to have, for testbed/host/soak.
 * A page that was missed has ended the test before.
 */
void truth_print(const struct truth *t, unsigned int count);

#endif /* NVMEVF_TEST_TRUTH_H */
