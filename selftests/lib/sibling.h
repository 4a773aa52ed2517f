/* SPDX-License-Identifier: GPL-2.0-only */
/* Keep another VF of the same PF busy. */
#ifndef NVMEVF_TEST_SIBLING_H
#define NVMEVF_TEST_SIBLING_H

#include <pthread.h>

#include "nvme.h"
#include "vf.h"

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
/* Wait for @count more completions. */
void sibling_await(struct sibling *s, unsigned int count);
void sibling_stop(struct sibling *s);

#endif /* NVMEVF_TEST_SIBLING_H */
