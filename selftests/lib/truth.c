// SPDX-License-Identifier: GPL-2.0-only
/* What a VF has really written. */
#include <stdint.h>

#include "dirty.h"
#include "pf.h"
#include "truth.h"
#include "util.h"

#define PAGES		(GUEST_MEM / PAGE)
#define TRUTH_PAGE	0xc1

struct truth_log {
	__u64	count, left, written, dirtied, reported, missed, rsvd[2];
	__u64	address[PAGES];
};

/*
 * Set a bit of @map for each page that the VF has written since the last call. Return how many
 * pages the answers to Track Receive lacked until now.
 */
static __u64 read_log(struct truth *t, __u64 *map)
{
	const char *bdf = t->vf->bdf;
	struct truth_log log = {};
	struct nvme_admin_cmd cmd = {
		.opcode = 0x02,		/* Get Log Page */
		.cdw10 = (sizeof(log) / 4 - 1) << 16 | TRUTH_PAGE,
		.cdw11 = pf_vf_index(bdf) << 16,
		.addr = (uintptr_t)&log,
		.data_len = sizeof(log),
	};
	struct pf pf;
	__u64 page;
	unsigned int i;

	pf_find(&pf, bdf);
	if (pf_admin(&pf, &cmd) || log.left)
		die("%s: the device model does not tell the truth", bdf);
	for (i = 0; i < log.count; i++) {
		page = (log.address[i] - VF_IOVA) / PAGE;
		if (page < PAGES)
			map[page / 64] |= 1ULL << page % 64;
	}
	t->count = log.written;
	return log.missed;
}

static void take(struct truth *t, __u64 *map)
{
	__u64 missed = read_log(t, map);

	if (missed != t->missed)
		die("%s: the answers to Track Receive lacked %llu pages", t->vf->bdf,
		    missed - t->missed);
}

void truth_open(struct truth *t, struct vf *vf)
{
	*t = (struct truth){ .vf = vf };
	t->missed = read_log(t, t->written);
}

void truth_forget(struct truth *t)
{
	take(t, t->written);
	memset(t->written, 0, sizeof(t->written));
	t->counted = t->count;
}

int truth_start(struct truth *t)
{
	int ret = dirty_start_all(t->vf);

	if (!ret)
		truth_forget(t);
	return ret;
}

int truth_report(struct truth *t, __u64 *map)
{
	__u64 missed, late[TRUTH_WORDS] = {};
	unsigned int i;
	int ret;

	take(t, t->written);
	ret = dirty_report(t->vf, VF_IOVA, GUEST_MEM, PAGE, map);
	if (ret)
		return ret;
	t->pages += t->count - t->counted;
	t->counted = t->count;
	t->due = dirty_count(t->written, TRUTH_WORDS);
	take(t, late);
	for (i = 0; i < TRUTH_WORDS; i++) {
		missed = t->written[i] & ~map[i];
		if (missed)
			die("%s: page %u was written, but not reported", t->vf->bdf,
			    i * 64 + __builtin_ctzll(missed));
		/* A page that was written meanwhile is in this report or in the next. */
		t->written[i] = late[i] & ~map[i];
	}
	return 0;
}

void truth_print(const struct truth *t, unsigned int count)
{
	__u64 pages = 0;

	while (count--)
		pages += t[count].pages;
	printf("# soak: pages=%llu missed=0\n", pages);
}
