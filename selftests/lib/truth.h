/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the device model has written to memory for a VF, which it knows apart from the
 * log that it offers. See testbed/qemu/lm-truth.c.inc.
 */
#ifndef NVMEVF_TEST_TRUTH_H
#define NVMEVF_TEST_TRUTH_H

#include <stdbool.h>
#include <linux/types.h>

/* Pages of 4 KiB. The counters count since the first call for the VF. */
struct truth {
	__u64	written;	/* each time that a page is written */
	__u64	dirtied;	/* in the tracked ranges, until they are reported again */
	__u64	reported;	/* by Track Receive */
	__u64	missed;		/* dirtied, and not in a complete report; must be 0 */
};

/*
 * Call @page, if not NULL, for each page that the VF has written since the last call; the
 * first call finds none. Read the counters into @truth, if not NULL. Return false if the
 * controller knows no truth: it is not the device model, or does not track memory.
 */
bool truth_read(const char *bdf, struct truth *truth,
		void (*page)(void *context, __u64 address), void *context);

#endif /* NVMEVF_TEST_TRUTH_H */
