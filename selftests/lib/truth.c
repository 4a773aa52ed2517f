// SPDX-License-Identifier: GPL-2.0-only
/* What the device model has written to memory for a VF. */
#include <stdint.h>

#include "pf.h"
#include "truth.h"
#include "util.h"

/* Log page C1h of the model, see struct NvmeLmTruthLog there */
struct truth_log {
	__u64		count;
	__u64		left;
	struct truth	truth;
	__u64		rsvd[2];
	__u64		address[504];
};

bool truth_read(const char *bdf, struct truth *truth,
		void (*page)(void *context, __u64 address), void *context)
{
	static struct truth_log log;
	struct nvme_admin_cmd cmd = {
		.opcode = 0x02,		/* Get Log Page */
		.cdw10 = 0xc1 | (sizeof(log) / 4 - 1) << 16,
		.cdw11 = pf_vf_index(bdf) << 16,
		.addr = (uintptr_t)&log,
		.data_len = sizeof(log),
	};
	struct pf pf;
	__u64 i;

	pf_find(&pf, bdf);
	do {
		if (pf_admin(&pf, &cmd))
			return false;
		for (i = 0; page && i < log.count; i++)
			page(context, log.address[i]);
	} while (log.left);
	if (truth)
		*truth = log.truth;
	return true;
}
