/* SPDX-License-Identifier: GPL-2.0-only */
/* Wait, tell the time, compute a checksum; and end the test when something fails. */
#ifndef NVMEVF_TEST_UTIL_H
#define NVMEVF_TEST_UTIL_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/types.h>
#include <sys/types.h>

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(array)	(sizeof(array) / sizeof((array)[0]))
#endif

/* End the test with a message. */
#define die(fmt, ...) do {						\
	fprintf(stderr, "# %s:%d: " fmt "\n", __FILE__, __LINE__,	\
		##__VA_ARGS__);						\
	exit(1);							\
} while (0)

/* Make a call that returns -1 and sets errno when it fails; end the test if it does. */
#define must(call) ({							\
	__typeof__(call) __ret = (call);				\
									\
	if ((long)__ret == -1)						\
		die("%s: %s", #call, strerror(errno));			\
	__ret;								\
})

/*
 * Seconds that a test waits for an event that must come. Far longer than any event takes,
 * because a virtual machine may stand still for a while.
 */
#define PATIENCE	60

/*
 * Return the seconds in which what happens "immediately" must have happened. They are more
 * on the kernels of the test bed that look for faults, because these are slow.
 */
int at_once(void);

/* The harness must wait longer than the longest test. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	(10 * PATIENCE)

/* Join @thread; end the test if @thread runs for more than @seconds. */
void await_thread(pthread_t thread, const char *what, int seconds);
/*
 * Return whether a thread sleeps in the system call @number whose first argument
 * is @fd, or whatever if @fd is -1.
 */
bool sleeps_in(pid_t tid, long number, int fd);
/* Wait until a thread does. */
void await_sleep(pid_t tid, long number, int fd);
/* Sleep a little; end the test if @deadline has passed. */
void pause_until(time_t deadline, const char *what);

__u32 crc32c(const void *data, size_t len);

long long now_ns(void);
long long now_ms(void);
/*
 * Return the time without intervals in which the whole machine stood still: for
 * upper bounds of durations.
 */
long long running_ms(void);

#endif /* NVMEVF_TEST_UTIL_H */
