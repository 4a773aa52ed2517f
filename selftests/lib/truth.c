// SPDX-License-Identifier: GPL-2.0-only
/* What a VF has really written. */
#include <stdint.h>

#include "nvme.h"
#include "pf.h"
#include "truth.h"
#include "util.h"
#include "vf.h"

#define PAGES		(GUEST_MEM / PAGE)
#define TRUTH_PAGE	0xc1

struct truth {
	__u64	count, left, written, dirtied, reported, missed, rsvd[2];
	__u64	address[PAGES];
};

__u64 truth_take(const char *bdf, __u64 *map)
{
	struct truth truth = {};
	struct nvme_admin_cmd cmd = {
		.opcode = 0x02,		/* Get Log Page */
		.cdw10 = (sizeof(truth) / 4 - 1) << 16 | TRUTH_PAGE,
		.cdw11 = pf_vf_index(bdf) << 16,
		.addr = (uintptr_t)&truth,
		.data_len = sizeof(truth),
	};
	struct pf pf;
	__u64 page;
	unsigned int i;

	pf_find(&pf, bdf);
	if (pf_admin(&pf, &cmd) || truth.left)
		die("%s: the device model does not tell the truth", bdf);
	for (i = 0; i < truth.count; i++) {
		page = (truth.address[i] - VF_IOVA) / PAGE;
		if (page < PAGES)
			map[page / 64] |= 1ULL << page % 64;
	}
	return truth.missed;
}
