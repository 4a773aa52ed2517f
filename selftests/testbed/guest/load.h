/* SPDX-License-Identifier: GPL-2.0-only */
/* What the programs share that load a disk of the guest and report each 200 ms. */
#ifndef TESTBED_LOAD_H
#define TESTBED_LOAD_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define REPORT_MS	200
/* Must be less than the time limits of the test bed and of the NVMe driver (init.c). */
#define STALL_MS	100000

/* Report a failure, and exit. */
static inline void die(const char *fmt, ...)
{
	va_list args;

	printf("fail ");
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
	exit(1);
}

static inline unsigned long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

#endif /* TESTBED_LOAD_H */
