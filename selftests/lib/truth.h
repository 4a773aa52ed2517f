/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a VF has really written, as the device model knows apart from the log of Track Receive:
 * see testbed/qemu/lm-truth.c.inc.
 */
#ifndef NVMEVF_TEST_TRUTH_H
#define NVMEVF_TEST_TRUTH_H

#include <linux/types.h>

/*
 * Set a bit of @map, of the guest's memory, for each page that the VF has written since the
 * last call. Return how many pages the answers to Track Receive lacked until now.
 */
__u64 truth_take(const char *bdf, __u64 *map);

#endif /* NVMEVF_TEST_TRUTH_H */
