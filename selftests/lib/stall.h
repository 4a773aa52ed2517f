/* SPDX-License-Identifier: GPL-2.0-only */
/* Stall a call in the middle: at a page that is not there until the test provides it. */
#ifndef NVMEVF_TEST_STALL_H
#define NVMEVF_TEST_STALL_H

#include <pthread.h>
#include <stddef.h>

struct stall {
	void		*page;		/* of 4 KiB */
	int		uffd;
	int		(*call)(void *page, void *arg);
	void		*arg;
	pthread_t	thread;
	int		ret;
};

/*
 * Make @call in a thread, and return when it waits for the page. @call gets the page and @arg,
 * and returns 0 or more, or -errno.
 */
void stall_begin(struct stall *s, int (*call)(void *page, void *arg), void *arg);
/*
 * Provide the page: @len bytes of @data, and then zeros. Return what the call returns; end the
 * test if that takes more than @seconds.
 */
int stall_end(struct stall *s, const void *data, size_t len, int seconds);

#endif /* NVMEVF_TEST_STALL_H */
