// SPDX-License-Identifier: GPL-2.0-only
/*
 * The commands of NVMe Base 2.1 that track what a VF writes to memory: Track Send and
 * Track Receive. nvme.txt says which choices are made here.
 *
 * All VFs share the descriptors that a controller has. How many are left cannot be
 * asked, so a start that fails is repeated with fewer. Or it failed because a run was
 * enlarged, and has memory of the controller: then it is repeated with parts of runs.
 * All that was asked for is in each start.
 */

#include <linux/align.h>
#include <linux/build_bug.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/nvme-vf.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/unaligned.h>
#include <linux/wordpart.h>

#include "cmds.h"
#include "names.h"

/* Bytes of Identify Controller, and bits of TRATTR */
#define NVMEVF_TRACK_CMMRTD	570
#define NVMEVF_TRACK_MINMRTG	574
#define NVMEVF_TRACK_MAXMRTG	575
#define NVMEVF_TRACK_TRATTR	576
#define NVMEVF_TRACK_THMCS	BIT(0)
#define NVMEVF_TRACK_MRTLL	BIT(2)

/* A granule of all memory. Coarser ones make no difference. */
#define NVMEVF_TRACK_MAX_SHIFT	(63 - NVMEVF_TRACK_SHIFT)

/* Fields of the commands */
#define NVMEVF_TRACK_START	BIT(16)		/* TACT in CDW10 */
#define NVMEVF_TRACK_MTR	BIT(0)		/* in the attributes of an answer */
#define NVMEVF_TRACK_SUSP	BIT(1)

#define NVMEVF_TRACK_INVALID_CTRL	0x11f
#define NVMEVF_TRACK_NOT_ENOUGH		0x138
#define NVMEVF_TRACK_SUSPENDED		0x139

/* Starts, each with another request than the one before */
#define NVMEVF_TRACK_TRIES	4

/* Most powers of two of granules that the length of a run is the sum of */
#define NVMEVF_TRACK_PARTS	32

struct nvmevf_track_desc {
	__le64	address;
	__le32	granules;
} __packed;

struct nvmevf_track_request {
	struct nvme_vf_track		header;
	struct nvmevf_track_desc	desc[];
};

static_assert(sizeof(struct nvmevf_track_desc) == NVME_VF_TRACK_DESC_SIZE);

/*
 * How to ask for runs: with how many descriptors at most; and, if their lengths are to be
 * powers of two, with parts of runs instead of runs that are enlarged.
 */
struct nvmevf_track_ask {
	unsigned int	most;
	bool		parts;
};

/* An entry of an answer, and what becomes of it */
union nvmevf_track_entry {
	struct {
		__le64	address;
		__le32	granules;
		__le32	rsvd12;
	};
	struct nvmevf_run run;
};

struct nvmevf_track_changes {
	__u8	version;
	__u8	attributes;
	__le16	cntlid;
	__le32	count;
	__le16	granularity;
	__u8	rsvd10[6];
	union nvmevf_track_entry entry[];
};

static_assert(sizeof(struct nvmevf_track_changes) == 16);
static_assert(sizeof(union nvmevf_track_entry) == 16);

/**
 * nvmevf_track_limits() - Read how a controller tracks what its VFs write
 * @ctrl: the VF's controller
 * @id: Identify Controller of the PF
 * @limits: receives the limits
 */
void nvmevf_track_limits(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id,
			 struct nvmevf_track_limits *limits)
{
	const u8 *data = (const void *)id;
	u8 attributes = data[NVMEVF_TRACK_TRATTR];
	u8 min_shift = data[NVMEVF_TRACK_MINMRTG];
	u8 max_shift = min(data[NVMEVF_TRACK_MAXMRTG], NVMEVF_TRACK_MAX_SHIFT);

	*limits = (struct nvmevf_track_limits) { };
	if (!(attributes & NVMEVF_TRACK_THMCS) || min_shift > max_shift)
		return;

	*limits = (struct nvmevf_track_limits) {
		.runs = get_unaligned_le16(data + NVMEVF_TRACK_CMMRTD),
		.min_shift = min_shift,
		.max_shift = max_shift,
		.power_of_2 = attributes & NVMEVF_TRACK_MRTLL,
	};
}

/*
 * Combine the runs with the smallest gaps until no more than @most are left. This is
 * vfio_combine_iova_ranges(), which needs ranges of a call that may have ended.
 */
static void nvmevf_track_combine(struct nvmevf_run *runs, unsigned int *count,
				 unsigned int most)
{
	unsigned int i, at;

	while (*count > most) {
		at = 1;
		for (i = 2; i < *count; i++)
			if (runs[i].first - runs[i - 1].last <
			    runs[at].first - runs[at - 1].last)
				at = i;
		runs[at - 1].last = runs[at].last;
		(*count)--;
		memmove(&runs[at], &runs[at + 1], (*count - at) * sizeof(*runs));
	}
}

/* Enlarge a run to whole granules, and to a power of two of these if @power_of_2. */
static void nvmevf_track_enlarge(struct nvmevf_run *run, u8 shift, bool power_of_2)
{
	u64 granule = BIT_ULL(shift), pages;

	run->first = ALIGN_DOWN(run->first, granule);
	run->last |= granule - 1;
	if (!power_of_2)
		return;

	pages = run->last - run->first + 1;
	pages = BIT_ULL(fls64(pages - 1));
	if (pages - 1 > NVMEVF_TRACK_LAST - run->first)
		run->first = NVMEVF_TRACK_LAST - (pages - 1);
	run->last = run->first + (pages - 1);
}

/* Enlarge all runs, and merge those that overlap then. */
static void nvmevf_track_enlarge_all(struct nvmevf_run *runs, unsigned int *count,
				     u8 shift, bool power_of_2)
{
	unsigned int i, n, before;

	do {
		before = *count;
		for (i = 0, n = 0; i < before; i++) {
			nvmevf_track_enlarge(&runs[i], shift, power_of_2);
			if (n && runs[i].first <= runs[n - 1].last) {
				runs[n - 1].first = min(runs[n - 1].first,
							runs[i].first);
				runs[n - 1].last = max(runs[n - 1].last,
						       runs[i].last);
			} else {
				runs[n++] = runs[i];
			}
		}
		*count = n;
	} while (n < before);
}

/*
 * Change runs and granularity until a controller with room for @most runs can track
 * them. The length of a run in granules has 32 bits.
 */
static int nvmevf_track_fit(const struct nvmevf_track_limits *limits,
			    unsigned int most, struct nvmevf_run *runs,
			    unsigned int *count, u8 *shift)
{
	u64 longest;
	unsigned int i;

	nvmevf_track_combine(runs, count, most);
	for (; *shift <= limits->max_shift; (*shift)++) {
		nvmevf_track_enlarge_all(runs, count, *shift, limits->power_of_2);
		longest = 0;
		for (i = 0; i < *count; i++)
			longest = max(longest, runs[i].last - runs[i].first);
		if (longest >> *shift < U32_MAX)
			return 0;
	}
	return -ENOSPC;
}

static u64 nvmevf_track_granules(const struct nvmevf_run *run, u8 shift)
{
	return (run->last - run->first + 1) >> shift;
}

/* Return the number of descriptors, each with a power of two of granules. */
static unsigned int nvmevf_track_parts(const struct nvmevf_run *runs,
				       unsigned int count, u8 shift)
{
	unsigned int i, parts = 0;

	for (i = 0; i < count; i++)
		parts += hweight64(nvmevf_track_granules(&runs[i], shift));
	return parts;
}

/* Make @runs of the @total runs in @asked, so that the controller can track them. */
static int nvmevf_track_plan(const struct nvmevf_track_limits *limits,
			     struct nvmevf_track_ask *ask,
			     const struct nvmevf_run *asked, unsigned int total,
			     struct nvmevf_run *runs, unsigned int *count, u8 *shift)
{
	struct nvmevf_track_limits fit = *limits;
	int ret;

	for (;;) {
		memcpy(runs, asked, total * sizeof(*runs));
		*count = total;
		fit.power_of_2 = limits->power_of_2 && !ask->parts;
		ret = nvmevf_track_fit(&fit, ask->most, runs, count, shift);
		if (ret || !ask->parts ||
		    nvmevf_track_parts(runs, *count, *shift) <= ask->most)
			return ret;
		*ask = (struct nvmevf_track_ask) { .most = 1 };
	}
}

/* Fill in the descriptors, and return their number. */
static unsigned int nvmevf_track_fill(struct nvmevf_track_request *req,
				      const struct nvmevf_run *runs,
				      unsigned int count, u8 shift, bool power_of_2)
{
	unsigned int i, n = 0;
	u64 first, left, part;

	for (i = 0; i < count; i++) {
		first = runs[i].first;
		for (left = nvmevf_track_granules(&runs[i], shift); left; left -= part) {
			part = power_of_2 ? BIT_ULL(fls64(left) - 1) : left;
			req->desc[n++] = (struct nvmevf_track_desc) {
				.address = cpu_to_le64(first << NVMEVF_TRACK_SHIFT),
				.granules = cpu_to_le32(part),
			};
			first += part << shift;
		}
	}
	req->header = (struct nvme_vf_track) {
		.granularity = shift,
		.count = cpu_to_le32(n),
	};
	return n;
}

static int nvmevf_track_send(struct nvmevf_ctrl *ctrl, struct nvmevf_track_request *req,
			     unsigned int count, struct nvme_vf_result *res)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_track_send,
		.common.cdw10 = cpu_to_le32(NVME_VF_TRACK_MEMORY |
					    NVMEVF_TRACK_START),
	};

	return nvmevf_cmds_resend(ctrl, NVMEVF_VERB_TRACK_START, &cmd, req,
				  struct_size(req, desc, count), res);
}

/*
 * Find out from a failed start with @count descriptors if another one may succeed: with
 * fewer, with larger granules, with parts of runs, or after the end of tracking that
 * someone has left behind.
 */
static bool nvmevf_track_reduce(struct nvmevf_ctrl *ctrl, struct nvme_vf_result *res,
				unsigned int count, struct nvmevf_track_ask *ask,
				u8 *shift)
{
	u16 lowest = res->result;
	u32 possible = upper_32_bits(res->result);
	bool reduced = false;

	switch (res->status & NVME_SCT_SC_MASK) {
	case NVMEVF_TRACK_NOT_ENOUGH:
		if (possible && possible < count) {
			ask->most = possible;
			reduced = true;
		}
		if (lowest > *shift && lowest <= ctrl->track.max_shift) {
			*shift = lowest;
			reduced = true;
		}
		return reduced;
	case NVME_SC_INVALID_FIELD:
		/* What a power of two has added may be memory of the controller. */
		if (ctrl->track.power_of_2 && !ask->parts && ask->most > 1) {
			ask->parts = true;
			return true;
		}
		/* Other VFs have the other runs, or the limit of the subsystem is less. */
		*ask = (struct nvmevf_track_ask) { .most = 1 };
		return count > 1;
	case NVMEVF_TRACK_INVALID_CTRL:
		return !nvmevf_track_stop(ctrl);
	default:
		return false;
	}
}

/**
 * nvmevf_track_start() - Have the controller track what a VF writes
 * @ctrl: the VF's controller, which tracks
 * @runs: see struct nvmevf_cmd_set
 * @count: how many runs there are, at least 1
 * @shift: not below the limit
 *
 * Context: Process context, sleeps until the commands have ended.
 *
 * Return: 0; -ENOSPC if the controller has no room; -ENOMEM; a negative errno of
 * nvme_submit_vf_cmd().
 */
int nvmevf_track_start(struct nvmevf_ctrl *ctrl, struct nvmevf_run *runs,
		       unsigned int *count, u8 *shift)
{
	const struct nvmevf_track_limits *limits = &ctrl->track;
	unsigned int total = *count, descs, most, try;
	struct nvmevf_track_request *req;
	struct nvme_vf_result res = { };
	struct nvmevf_track_ask ask;
	struct nvmevf_run *asked;
	u32 max;
	int ret;

	ret = nvmevf_cmds_max_transfer(ctrl, &max);
	if (ret)
		return ret;

	most = min(limits->runs, (max - sizeof(*req)) / sizeof(req->desc[0]));
	descs = min(limits->power_of_2 ? total * NVMEVF_TRACK_PARTS : total, most);
	req = kvzalloc(struct_size(req, desc, descs), GFP_KERNEL_ACCOUNT);
	if (!req)
		return -ENOMEM;
	asked = kvmemdup(runs, total * sizeof(*runs), GFP_KERNEL_ACCOUNT);
	if (!asked) {
		kvfree(req);
		return -ENOMEM;
	}

	ask = (struct nvmevf_track_ask) { .most = most };
	for (try = 0; try < NVMEVF_TRACK_TRIES; try++) {
		ret = nvmevf_track_plan(limits, &ask, asked, total, runs, count, shift);
		if (ret)
			break;
		descs = nvmevf_track_fill(req, runs, *count, *shift, limits->power_of_2);
		ret = nvmevf_track_send(ctrl, req, descs, &res);
		if (!ret || !nvmevf_track_reduce(ctrl, &res, descs, &ask, shift))
			break;
	}
	kvfree(asked);
	kvfree(req);

	switch (res.status & NVME_SCT_SC_MASK) {
	case NVMEVF_TRACK_NOT_ENOUGH:
	case NVME_SC_INVALID_FIELD:
		ret = -ENOSPC;
	}
	if (ret)
		nvmevf_cmds_log(ctrl, "Track Send", ret, res.status);
	return ret;
}

/* Make runs of the entries of an answer. */
static int nvmevf_track_convert(struct nvmevf_track_changes *changes, u32 count,
				u8 shift)
{
	union nvmevf_track_entry *entry = changes->entry;
	u64 address, granules, first;
	u32 i;

	for (i = 0; i < count; i++, entry++) {
		address = le64_to_cpu(entry->address);
		granules = le32_to_cpu(entry->granules);
		first = address >> NVMEVF_TRACK_SHIFT;
		if (!IS_ALIGNED(address, NVMEVF_TRACK_SIZE) || !granules ||
		    granules > (NVMEVF_TRACK_LAST - first + 1) >> shift)
			return -EIO;
		entry->run = (struct nvmevf_run) {
			.first = first,
			.last = first + (granules << shift) - 1,
		};
	}
	return 0;
}

/**
 * nvmevf_track_read() - Read a part of what the controller has tracked
 * @ctrl: the VF's controller, which tracks
 * @buf: memory for the answer
 * @len: its bytes, a multiple of 4, enough for one run
 * @answer: see struct nvmevf_cmd_set
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0; -EIO if the answer makes no sense; a negative errno of
 * nvme_submit_vf_cmd().
 */
int nvmevf_track_read(struct nvmevf_ctrl *ctrl, void *buf, u32 len,
		      struct nvmevf_track_answer *answer)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_track_recv,
		.common.cdw10 = cpu_to_le32(NVME_VF_TRACKED_MEMORY),
	};
	struct nvmevf_track_changes *changes = buf;
	u32 count, shift;
	int ret;

	ret = nvmevf_cmds_submit(ctrl, NVMEVF_VERB_TRACK_READ, "Track Receive", &cmd,
				 buf, len, NULL);
	if (ret)
		return ret;

	count = le32_to_cpu(changes->count);
	shift = le16_to_cpu(changes->granularity);
	*answer = (struct nvmevf_track_answer) {
		.run = &changes->entry[0].run,
		.count = count,
		.more = changes->attributes & NVMEVF_TRACK_MTR,
		.suspended = changes->attributes & NVMEVF_TRACK_SUSP,
	};
	if (changes->version || shift > NVMEVF_TRACK_MAX_SHIFT ||
	    count > (len - sizeof(*changes)) / sizeof(changes->entry[0]) ||
	    (answer->more && !count) ||
	    nvmevf_track_convert(changes, count, shift)) {
		nvmevf_ctrl_err(ctrl,
				"Track Receive failed: malformed answer, version %u, %u entries, granularity %u\n",
				changes->version, count, shift);
		return -EIO;
	}
	return 0;
}

/**
 * nvmevf_track_stop() - Have the controller track a VF no more
 * @ctrl: the VF's controller, which tracks
 *
 * There is no line in the log.
 *
 * Context: Process context, sleeps until the command has ended.
 *
 * Return: 0, also if the VF was not tracked; -EBUSY if the VF is suspended and the
 * controller cannot stop then; -ENOMEM; a negative errno of nvme_submit_vf_cmd().
 */
int nvmevf_track_stop(struct nvmevf_ctrl *ctrl)
{
	const struct nvme_command cmd = {
		.common.opcode = nvme_vf_track_send,
		.common.cdw10 = cpu_to_le32(NVME_VF_TRACK_MEMORY),
	};
	struct nvme_vf_result res;
	struct nvme_vf_track *req;
	int ret;

	/* The controller ignores the data. The hook reads that there is no descriptor. */
	req = kzalloc_obj(*req, GFP_KERNEL);
	if (!req)
		return -ENOMEM;

	ret = nvmevf_cmds_resend(ctrl, NVMEVF_VERB_TRACK_STOP, &cmd, req, sizeof(*req),
				 &res);
	kfree(req);
	switch (res.status & NVME_SCT_SC_MASK) {
	case NVMEVF_TRACK_SUSPENDED:
		return -EBUSY;
	case NVMEVF_TRACK_INVALID_CTRL:
		return 0;
	default:
		return ret;
	}
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/track_kunit.c"
#endif
