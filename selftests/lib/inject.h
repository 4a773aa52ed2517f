/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Let allocations of the driver fail: the kernel counts those below functions of the driver,
 * and the N-th one fails.
 */
#ifndef NVMEVF_TEST_INJECT_H
#define NVMEVF_TEST_INJECT_H

#include <stdbool.h>

/* Return false if the kernel has no fault injection. */
bool inject_open(void);
/* Let the @n-th allocation of thread @id fail, 0: none. */
void inject_nth(const char *id, int n);
/* Return how many allocations were left, 0: one has failed. */
int inject_left(const char *id);

#endif /* NVMEVF_TEST_INJECT_H */
