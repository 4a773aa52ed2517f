/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Make random choices that can be repeated, and count them.
 *
 * The environment variables NVMEVF_SEED and NVMEVF_STEPS set the choices and their number.
 * A seed means the same choices on each machine.
 */
#ifndef NVMEVF_TEST_FUZZ_H
#define NVMEVF_TEST_FUZZ_H

#include <time.h>

#include "util.h"

struct fuzz_random {
	__u64 state;
};

static inline __u64 fuzz_next(struct fuzz_random *r)
{
	__u64 x = r->state += 0x9e3779b97f4a7c15ULL;

	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	x = (x ^ x >> 32) * 0xd6e8feb86659fd93ULL;
	return x ^ x >> 32;
}

/* Return a number below @bound. */
static inline unsigned int fuzz_below(struct fuzz_random *r, unsigned int bound)
{
	return (fuzz_next(r) >> 32) % bound;
}

static inline unsigned long fuzz_setting(const char *name, unsigned long normal)
{
	const char *value = getenv(name);

	return value && *value ? strtoul(value, NULL, 0) : normal;
}

static inline long long fuzz_now_us(void)
{
	return now_ns() / 1000;
}

/* A kind of step, the weight of its choice, and its results. */
struct fuzz_kind {
	const char	*name;
	unsigned int	weight;
	unsigned long	count, failed;
	long long	us, longest_us;
};

static inline unsigned int fuzz_choose(struct fuzz_random *r,
				       const struct fuzz_kind *kinds)
{
	unsigned int sum = 0, i, at;

	for (i = 0; kinds[i].name; i++)
		sum += kinds[i].weight;
	at = fuzz_below(r, sum);
	for (i = 0; at >= kinds[i].weight; i++)
		at -= kinds[i].weight;
	return i;
}

static inline void fuzz_count(struct fuzz_kind *kind, long long began, bool failed)
{
	long long us = fuzz_now_us() - began;

	kind->count++;
	kind->failed += failed;
	kind->us += us;
	if (us > kind->longest_us)
		kind->longest_us = us;
}

static inline long long fuzz_longest_us(const struct fuzz_kind *kind)
{
	long long us = 0;

	for (; kind->name; kind++)
		if (kind->longest_us > us)
			us = kind->longest_us;
	return us;
}

static inline void fuzz_add(struct fuzz_kind *sum, const struct fuzz_kind *kind)
{
	for (; kind->name; sum++, kind++) {
		sum->count += kind->count;
		sum->failed += kind->failed;
		sum->us += kind->us;
		if (kind->longest_us > sum->longest_us)
			sum->longest_us = kind->longest_us;
	}
}

static inline void fuzz_report(const struct fuzz_kind *kind)
{
	for (; kind->name; kind++)
		printf("# %-12s %7lu, of these failed %6lu, mean %8.2f ms, longest %7.1f ms\n",
		       kind->name, kind->count, kind->failed,
		       kind->count ? kind->us / 1e3 / kind->count : 0,
		       kind->longest_us / 1e3);
}

#endif /* NVMEVF_TEST_FUZZ_H */
