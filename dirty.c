// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log of what a VF has written to memory, for VFIO's DMA logging.
 *
 * The controller tells once, and of all memory, what was written, but VFIO asks for one
 * range after the other. So all that the controller tells goes into a store, from which
 * the reports take. A page that was written is in the controller, in the store or in a
 * report. If that can't be guaranteed any more, the log is lost: each report fails,
 * until the log is stopped and started again.
 *
 * A VF that is suspended writes nothing, and the standard has no start for it. So a log
 * that is started then is armed, and the tracking begins after RESUME. What the VF wrote
 * in between is unknown, so all memory counts as written once.
 */

#include <linux/align.h>
#include <linux/bitmap.h>
#include <linux/interval_tree.h>
#include <linux/iova_bitmap.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "cmds.h"
#include "dirty.h"

/* Pages in one bitmap */
#define NVMEVF_DIRTY_CHUNK	(SZ_4K * BITS_PER_BYTE)

/* Chunks that are kept for a report of a suspended VF, which should not allocate */
#define NVMEVF_DIRTY_SPARE	16

/* The most that one command reads */
#define NVMEVF_DIRTY_READ	SZ_128K

/* A VF that runs may write faster than its log is read. The rest remains for later. */
#define NVMEVF_DIRTY_READ_MS	1000

/* Pages of one chunk, one bit each. It remains when all bits are 0. */
struct nvmevf_dirty_chunk {
	struct interval_tree_node node;
	unsigned long *bits;
};

/*
 * runs: what is tracked, in order
 * armed: the VF was suspended when the log was started, and the tracking is to begin
 * complete: the VF is suspended, and all that it wrote was read
 * many: pages of consecutive memory that were written, as nodes of their own, because the
 *	memory may be terabytes; the nodes do not overlap. chunks has the other pages,
 *	and may have some of these.
 */
struct nvmevf_dirty_log {
	u8			shift;
	bool			armed;
	bool			lost;
	bool			complete;
	void			*buf;
	u32			len;
	struct rb_root_cached	many;
	struct rb_root_cached	chunks;
	struct nvmevf_dirty_chunk *spare[NVMEVF_DIRTY_SPARE];
	unsigned int		spares;
	unsigned int		count;
	struct nvmevf_run	runs[];
};

static void nvmevf_dirty_free_chunk(struct nvmevf_dirty_chunk *chunk)
{
	kfree(chunk->bits);
	kfree(chunk);
}

static struct nvmevf_dirty_chunk *nvmevf_dirty_alloc_chunk(void)
{
	struct nvmevf_dirty_chunk *chunk;

	chunk = kzalloc_obj(*chunk, GFP_KERNEL_ACCOUNT);
	if (!chunk)
		return NULL;
	chunk->bits = kzalloc(SZ_4K, GFP_KERNEL_ACCOUNT);
	if (chunk->bits)
		return chunk;
	kfree(chunk);
	return NULL;
}

static struct interval_tree_node *nvmevf_dirty_first(struct rb_root_cached *root)
{
	return interval_tree_iter_first(root, 0, ULONG_MAX);
}

static void nvmevf_dirty_free(struct nvmevf_dirty_log *log)
{
	struct interval_tree_node *node;

	while ((node = nvmevf_dirty_first(&log->many))) {
		interval_tree_remove(node, &log->many);
		kfree(node);
	}
	while ((node = nvmevf_dirty_first(&log->chunks))) {
		interval_tree_remove(node, &log->chunks);
		nvmevf_dirty_free_chunk(container_of(node, struct nvmevf_dirty_chunk,
						     node));
	}
	while (log->spares)
		nvmevf_dirty_free_chunk(log->spare[--log->spares]);
	kvfree(log->buf);
	kvfree(log);
}

/* Have spare chunks. Too few are no error. */
static void nvmevf_dirty_refill(struct nvmevf_dirty_log *log)
{
	while (log->spares < NVMEVF_DIRTY_SPARE) {
		log->spare[log->spares] = nvmevf_dirty_alloc_chunk();
		if (!log->spare[log->spares])
			return;
		log->spares++;
	}
}

/* Add pages that were written, as one run with all that it overlaps. */
static int nvmevf_dirty_add_many(struct nvmevf_dirty_log *log, u64 first, u64 last)
{
	struct interval_tree_node *node, *other;

	node = kmalloc_obj(*node, GFP_KERNEL_ACCOUNT);
	if (!node)
		return -ENOMEM;

	while ((other = interval_tree_iter_first(&log->many, first, last))) {
		interval_tree_remove(other, &log->many);
		first = min_t(u64, first, other->start);
		last = max_t(u64, last, other->last);
		kfree(other);
	}
	node->start = first;
	node->last = last;
	interval_tree_insert(node, &log->many);
	return 0;
}

static struct nvmevf_dirty_chunk *nvmevf_dirty_get_chunk(struct nvmevf_dirty_log *log,
							 u64 page)
{
	struct nvmevf_dirty_chunk *chunk;
	struct interval_tree_node *node;

	node = interval_tree_iter_first(&log->chunks, page, page);
	if (node)
		return container_of(node, struct nvmevf_dirty_chunk, node);

	chunk = log->spares ? log->spare[--log->spares] : nvmevf_dirty_alloc_chunk();
	if (!chunk)
		return NULL;
	chunk->node.start = ALIGN_DOWN(page, NVMEVF_DIRTY_CHUNK);
	chunk->node.last = chunk->node.start + NVMEVF_DIRTY_CHUNK - 1;
	interval_tree_insert(&chunk->node, &log->chunks);
	return chunk;
}

/* Add pages that were written. */
static int nvmevf_dirty_add(struct nvmevf_dirty_log *log, u64 first, u64 last)
{
	struct nvmevf_dirty_chunk *chunk;
	u64 end;

	if (last - first >= NVMEVF_DIRTY_CHUNK)
		return nvmevf_dirty_add_many(log, first, last);

	for (; first <= last; first = end + 1) {
		chunk = nvmevf_dirty_get_chunk(log, first);
		if (!chunk)
			return -ENOMEM;
		end = min_t(u64, last, chunk->node.last);
		bitmap_set(chunk->bits, first - chunk->node.start, end - first + 1);
	}
	return 0;
}

/* Add what of a run is tracked. The controller may tell of more, and nobody asks for it. */
static int nvmevf_dirty_add_tracked(struct nvmevf_dirty_log *log,
				    const struct nvmevf_run *run)
{
	const struct nvmevf_run *tracked = log->runs;
	u64 first, last;
	unsigned int i;
	int ret;

	for (i = 0; i < log->count; i++, tracked++) {
		first = max(run->first, tracked->first);
		last = min(run->last, tracked->last);
		ret = first <= last ? nvmevf_dirty_add(log, first, last) : 0;
		if (ret)
			return ret;
	}
	return 0;
}

/* Count all memory as written. */
static int nvmevf_dirty_add_all(struct nvmevf_dirty_log *log)
{
	unsigned int i;
	int ret;

	for (i = 0; i < log->count; i++) {
		ret = nvmevf_dirty_add(log, log->runs[i].first, log->runs[i].last);
		if (ret)
			return ret;
	}
	return 0;
}

static bool nvmevf_dirty_is_tracked(const struct nvmevf_dirty_log *log,
				    struct nvmevf_run run)
{
	unsigned int i;

	for (i = 0; i < log->count; i++) {
		if (run.first < log->runs[i].first)
			return false;
		if (run.first > log->runs[i].last)
			continue;
		if (run.last <= log->runs[i].last)
			return true;
		run.first = log->runs[i].last + 1;
	}
	return false;
}

/**
 * nvmevf_dirty_lose() - Have all reports fail until the log is started again
 * @dirty: of the VF, with a log or without
 * @reason: one line for the log of the kernel; NULL: there is one already
 */
void nvmevf_dirty_lose(struct nvmevf_dirty *dirty, const char *reason)
{
	if (!dirty->log || dirty->log->lost)
		return;

	dirty->log->lost = true;
	if (reason)
		nvmevf_ctrl_err(dirty->ctrl, "dirty page log lost: %s\n", reason);
}

/* Is the epoch still that in which the tracking was started? */
static bool nvmevf_dirty_is_epoch(struct nvmevf_dirty *dirty)
{
	return !nvmevf_cmds_check_epoch(dirty->ctrl, dirty->epoch);
}

/*
 * End the tracking. If that fails, then the next call tries again: when the VF runs, when
 * the log is started, or when the VF is closed.
 */
static void nvmevf_dirty_untrack(struct nvmevf_dirty *dirty)
{
	int ret = 0;

	if (!dirty->tracked)
		return;

	/* A reset of the PF has ended it. */
	if (nvmevf_dirty_is_epoch(dirty))
		ret = dirty->ctrl->set->track_stop(dirty->ctrl);
	dirty->tracked = ret != 0;
}

/* Begin the tracking. The VF runs. */
static int nvmevf_dirty_track(struct nvmevf_dirty *dirty)
{
	struct nvmevf_dirty_log *log = dirty->log;
	struct nvmevf_ctrl *ctrl = dirty->ctrl;
	int ret;

	nvmevf_dirty_untrack(dirty);
	ret = nvmevf_cmds_epoch(ctrl, &dirty->epoch);
	if (ret) {
		nvmevf_ctrl_err(ctrl, "Track Send failed: PF is not bound to nvme (%pe)\n",
				ERR_PTR(ret));
		return ret;
	}

	ret = ctrl->set->track_start(ctrl, log->runs, &log->count, &log->shift);
	dirty->tracked = true;
	/* A command that failed may have had its effect, and others need the room. */
	if (ret)
		nvmevf_dirty_untrack(dirty);
	return ret;
}

/* Return a log for the ranges, which must not be empty, or an error. */
static struct nvmevf_dirty_log *nvmevf_dirty_alloc(struct nvmevf_ctrl *ctrl,
						   struct rb_root_cached *ranges,
						   unsigned int count, u64 page_size)
{
	struct interval_tree_node *node = nvmevf_dirty_first(ranges);
	struct nvmevf_dirty_log *log;
	unsigned int shift;
	u32 max;
	int ret;

	if (page_size < NVMEVF_TRACK_SIZE || !is_power_of_2(page_size))
		return ERR_PTR(-EINVAL);

	ret = nvmevf_cmds_max_transfer(ctrl, &max);
	if (ret)
		return ERR_PTR(ret);

	log = kvzalloc(struct_size(log, runs, count), GFP_KERNEL_ACCOUNT);
	if (!log)
		return ERR_PTR(-ENOMEM);

	ret = -ENOMEM;
	log->many = RB_ROOT_CACHED;
	log->chunks = RB_ROOT_CACHED;
	/* Whole pages, because the data of a command is copied if it is not page aligned. */
	log->len = min(round_down(max, NVMEVF_TRACK_SIZE), NVMEVF_DIRTY_READ);
	log->buf = kvmalloc(log->len, GFP_KERNEL_ACCOUNT);
	if (!log->buf)
		goto out_free;

	ret = -EINVAL;
	for (; node && log->count < count;
	     node = interval_tree_iter_next(node, 0, ULONG_MAX)) {
		/* The last byte of an empty range is before the first, if need be -1. */
		if (node->last < node->start || node->last == ULONG_MAX)
			goto out_free;
		log->runs[log->count++] = (struct nvmevf_run) {
			.first = node->start >> NVMEVF_TRACK_SHIFT,
			.last = node->last >> NVMEVF_TRACK_SHIFT,
		};
	}

	shift = ilog2(page_size) - NVMEVF_TRACK_SHIFT;
	log->shift = clamp(shift, ctrl->track.min_shift, ctrl->track.max_shift);
	return log;

out_free:
	nvmevf_dirty_free(log);
	return ERR_PTR(ret);
}

/**
 * nvmevf_dirty_start() - Start the log
 * @dirty: of the VF
 * @ranges: interval tree of the memory, in bytes; overlaps were checked
 * @count: number of ranges, at least 1
 * @page_size: the granularity that is wanted; receives the one that is used
 * @suspended: the VF is suspended
 *
 * Context: Process context, sleeps until commands have ended.
 *
 * Return: 0; -EINVAL if there is a log, a range is empty or @page_size not allowed;
 * -ENOSPC if the controller cannot track so much; -ENOMEM; a negative errno of
 * nvme_submit_vf_cmd().
 */
int nvmevf_dirty_start(struct nvmevf_dirty *dirty, struct rb_root_cached *ranges,
		       unsigned int count, u64 *page_size, bool suspended)
{
	struct nvmevf_dirty_log *log;
	int ret;

	if (dirty->log)
		return -EINVAL;

	log = nvmevf_dirty_alloc(dirty->ctrl, ranges, count, *page_size);
	if (IS_ERR(log))
		return PTR_ERR(log);

	dirty->log = log;
	if (suspended) {
		log->armed = true;
		ret = nvmevf_cmds_epoch(dirty->ctrl, &dirty->epoch);
	} else {
		ret = nvmevf_dirty_track(dirty);
	}
	if (ret) {
		dirty->log = NULL;
		nvmevf_dirty_free(log);
		return ret;
	}

	nvmevf_dirty_refill(log);
	dirty->starts++;
	*page_size = (u64)NVMEVF_TRACK_SIZE << log->shift;
	return 0;
}

/**
 * nvmevf_dirty_stop() - Stop the log
 * @dirty: of the VF, with a log or without
 *
 * Context: Process context, sleeps until its command has ended.
 */
void nvmevf_dirty_stop(struct nvmevf_dirty *dirty)
{
	if (dirty->log)
		nvmevf_dirty_free(dirty->log);
	dirty->log = NULL;
	nvmevf_dirty_untrack(dirty);
}

/**
 * nvmevf_dirty_armed() - Return true if the VF will be tracked when it runs
 * @dirty: of the VF, with a log or without
 */
bool nvmevf_dirty_armed(const struct nvmevf_dirty *dirty)
{
	return dirty->log && dirty->log->armed;
}

/**
 * nvmevf_dirty_resuming() - Note that the VF may run soon, or has been reset
 * @dirty: of the VF, with a log or without
 *
 * Context: Process context, may sleep, sends no command.
 */
void nvmevf_dirty_resuming(struct nvmevf_dirty *dirty)
{
	struct nvmevf_dirty_log *log = dirty->log;

	if (!log)
		return;
	log->complete = false;
	if (log->armed && nvmevf_dirty_add_all(log))
		nvmevf_dirty_lose(dirty, "out of memory");
}

/**
 * nvmevf_dirty_running() - Do what had to wait until the VF runs
 * @dirty: of the VF, with a log or without
 *
 * nvmevf_dirty_resuming() was called before. If the tracking fails, the log is lost.
 *
 * Context: Process context, sleeps until its commands have ended.
 */
void nvmevf_dirty_running(struct nvmevf_dirty *dirty)
{
	struct nvmevf_dirty_log *log = dirty->log;

	if (!log) {
		nvmevf_dirty_untrack(dirty);
		return;
	}
	if (!log->armed || log->lost)
		return;

	log->armed = false;
	if (nvmevf_dirty_track(dirty))
		nvmevf_dirty_lose(dirty, NULL);
}

/* Read all that the controller has tracked. */
static int nvmevf_dirty_drain(struct nvmevf_dirty *dirty, bool suspended)
{
	unsigned long end = jiffies + msecs_to_jiffies(NVMEVF_DIRTY_READ_MS);
	struct nvmevf_dirty_log *log = dirty->log;
	struct nvmevf_track_answer answer;
	u64 most = 0, pages = 0;
	u32 i;

	/* A controller may tell of a whole range, and of parts of it in other answers. */
	for (i = 0; i < log->count; i++)
		most += 2 * (log->runs[i].last - log->runs[i].first + 1);

	do {
		if (dirty->ctrl->set->track_read(dirty->ctrl, log->buf, log->len,
						 &answer)) {
			nvmevf_dirty_lose(dirty, NULL);
			return -EIO;
		}
		for (i = 0; i < answer.count; i++) {
			if (nvmevf_dirty_add_tracked(log, &answer.run[i])) {
				nvmevf_dirty_lose(dirty, "out of memory");
				return -EIO;
			}
			if (check_add_overflow(pages, answer.run[i].last -
					       answer.run[i].first + 1, &pages))
				pages = U64_MAX;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		if (!answer.more)
			break;
		if (suspended && answer.suspended && pages > most) {
			nvmevf_dirty_lose(dirty,
					  "controller has more to tell than a suspended VF can have written");
			return -EIO;
		}
	} while ((suspended && answer.suspended) || time_before(jiffies, end));

	/* There may be no later report. */
	if (suspended && answer.more) {
		nvmevf_dirty_lose(dirty,
				  "VF is not suspended, and controller has more to tell");
		return -EIO;
	}

	log->complete = suspended && answer.suspended;
	return 0;
}

/* Return -EIO if the log is lost. */
static int nvmevf_dirty_check(struct nvmevf_dirty *dirty)
{
	if (!nvmevf_dirty_is_epoch(dirty))
		nvmevf_dirty_lose(dirty, "PF was reset or lost its driver");
	return dirty->log->lost ? -EIO : 0;
}

/**
 * nvmevf_dirty_collect() - Begin a report
 * @dirty: of the VF, with a log or without
 * @iova: begin of the memory in bytes
 * @length: its length
 * @report: with @suspended; the rest is set
 *
 * nvmevf_dirty_take() and nvmevf_dirty_tell() follow.
 *
 * Context: Process context, sleeps until commands have ended.
 *
 * Return: 0; -EINVAL if there is no log, or not of all of this memory, or the memory is
 * not in whole pages; -EIO if the log is lost; -EINTR if the caller was killed.
 */
int nvmevf_dirty_collect(struct nvmevf_dirty *dirty, unsigned long iova,
			 unsigned long length, struct nvmevf_dirty_report *report)
{
	struct nvmevf_dirty_log *log = dirty->log;
	int ret;

	if (!log || !length || !IS_ALIGNED(iova | length, NVMEVF_TRACK_SIZE))
		return -EINVAL;

	report->left = (struct nvmevf_run) {
		.first = iova >> NVMEVF_TRACK_SHIFT,
		.last = (iova + length - 1) >> NVMEVF_TRACK_SHIFT,
	};
	report->start = dirty->starts;
	if (!nvmevf_dirty_is_tracked(log, report->left))
		return -EINVAL;

	ret = nvmevf_dirty_check(dirty);
	if (ret)
		return ret;

	/* A VF that is not tracked yet was suspended all the time. */
	if (log->armed || (report->suspended && log->complete))
		return 0;

	ret = nvmevf_dirty_drain(dirty, report->suspended);
	if (!report->suspended)
		nvmevf_dirty_refill(log);
	/* What was read after a reset of the PF may lack what was written before. */
	return ret ?: nvmevf_dirty_check(dirty);
}

/* Cut a part out of a run of many pages. */
static int nvmevf_dirty_cut(struct nvmevf_dirty_log *log,
			    struct interval_tree_node *node, u64 first, u64 last)
{
	struct interval_tree_node *after = node;
	u64 end = node->last;

	if (node->start < first && last < end) {
		after = kmalloc_obj(*after, GFP_KERNEL_ACCOUNT);
		if (!after)
			return -ENOMEM;
	}

	interval_tree_remove(node, &log->many);
	if (node->start < first) {
		node->last = first - 1;
		interval_tree_insert(node, &log->many);
	}
	if (last < end) {
		after->start = last + 1;
		after->last = end;
		interval_tree_insert(after, &log->many);
	} else if (node->start >= first) {
		kfree(node);
	}
	return 0;
}

/* Take what is written in a chunk from @left->first on. Return true if that is all. */
static bool nvmevf_dirty_take_chunk(struct nvmevf_dirty_chunk *chunk,
				    struct nvmevf_dirty_report *report)
{
	struct nvmevf_run *left = &report->left;
	unsigned long at, end, size;

	size = min_t(u64, left->last, chunk->node.last) - chunk->node.start + 1;
	at = left->first > chunk->node.start ? left->first - chunk->node.start : 0;
	while ((at = find_next_bit(chunk->bits, size, at)) < size) {
		if (report->count == NVMEVF_DIRTY_RUNS) {
			left->first = chunk->node.start + at;
			return false;
		}
		end = find_next_zero_bit(chunk->bits, size, at);
		bitmap_clear(chunk->bits, at, end - at);
		report->run[report->count++] = (struct nvmevf_run) {
			.first = chunk->node.start + at,
			.last = chunk->node.start + end - 1,
		};
		at = end;
	}
	return true;
}

/**
 * nvmevf_dirty_take() - Take the next runs from the log
 * @dirty: of the VF
 * @report: receives the runs
 *
 * The caller calls nvmevf_dirty_tell() next, and then this function again.
 *
 * Context: Process context.
 *
 * Return: the number of runs, 0 after the last; -EINVAL if the log was stopped;
 * -ENOMEM.
 */
int nvmevf_dirty_take(struct nvmevf_dirty *dirty, struct nvmevf_dirty_report *report)
{
	struct nvmevf_dirty_log *log = dirty->log;
	struct nvmevf_run *left = &report->left;
	struct interval_tree_node *node;
	u64 first, last;
	int ret;

	if (!log || report->start != dirty->starts)
		return -EINVAL;

	report->count = 0;
	/* All of what was asked for may be taken. Then another thread may have added to it. */
	while (left->first <= left->last && report->count < NVMEVF_DIRTY_RUNS &&
	       (node = interval_tree_iter_first(&log->many, left->first, left->last))) {
		first = max_t(u64, node->start, left->first);
		last = min_t(u64, node->last, left->last);
		/* What could not be taken remains in the log. */
		ret = nvmevf_dirty_cut(log, node, first, last);
		if (ret)
			return report->count ?: ret;
		report->run[report->count++] = (struct nvmevf_run) { first, last };
	}
	/* Chunks move @left->first, below which more such runs may be. */
	if (report->count == NVMEVF_DIRTY_RUNS)
		return report->count;

	while (left->first <= left->last &&
	       (node = interval_tree_iter_first(&log->chunks, left->first, left->last))) {
		if (!nvmevf_dirty_take_chunk(container_of(node, struct nvmevf_dirty_chunk,
							  node), report))
			break;
		left->first = node->last + 1;
	}
	return report->count;
}

/**
 * nvmevf_dirty_tell() - Tell the user of runs that were taken from the log
 * @report: with the runs
 * @bitmap: the user's
 *
 * This may wait for memory of the user, so the caller must hold no lock that others need.
 *
 * Context: Process context, may sleep.
 */
void nvmevf_dirty_tell(const struct nvmevf_dirty_report *report,
		       struct iova_bitmap *bitmap)
{
	const struct nvmevf_run *run = report->run;
	unsigned int i;

	for (i = 0; i < report->count; i++, run++)
		iova_bitmap_set(bitmap, run->first << NVMEVF_TRACK_SHIFT,
				(run->last - run->first + 1) << NVMEVF_TRACK_SHIFT);
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/dirty_kunit.c"
#endif
