/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The log of what a VF has written to memory.
 *
 * The caller serializes all calls but those of nvmevf_dirty_tell().
 */
#ifndef NVMEVF_DIRTY_H
#define NVMEVF_DIRTY_H

#include <linux/rbtree.h>
#include <linux/types.h>

#include "cmds.h"

struct iova_bitmap;
struct nvmevf_dirty_log;

/**
 * struct nvmevf_dirty - whether a VF has a log
 * @ctrl: the VF's controller
 * @log: the log, or NULL
 * @starts: how often a log was started
 * @tracked: the controller may be tracking the VF, with or without @log
 * @epoch: epoch of the PF in which the tracking was started
 */
struct nvmevf_dirty {
	struct nvmevf_ctrl	*ctrl;
	struct nvmevf_dirty_log	*log;
	u64			starts;
	bool			tracked;
	u64			epoch;
};

/* As many runs as nvmevf_dirty_take() returns at a time. They are on the stack. */
#define NVMEVF_DIRTY_RUNS	32

/**
 * struct nvmevf_dirty_report - a report that is under way
 * @left: what has not been taken from the log yet
 * @start: which log the report is of
 * @suspended: the VF is suspended
 * @run: what was taken and not told yet
 * @count: how many runs
 */
struct nvmevf_dirty_report {
	struct nvmevf_run	left;
	u64			start;
	bool			suspended;
	struct nvmevf_run	run[NVMEVF_DIRTY_RUNS];
	unsigned int		count;
};

int nvmevf_dirty_start(struct nvmevf_dirty *dirty, struct rb_root_cached *ranges,
		       unsigned int count, u64 *page_size, bool suspended);
void nvmevf_dirty_stop(struct nvmevf_dirty *dirty);
void nvmevf_dirty_lose(struct nvmevf_dirty *dirty, const char *reason);
void nvmevf_dirty_resuming(struct nvmevf_dirty *dirty);
void nvmevf_dirty_running(struct nvmevf_dirty *dirty);
bool nvmevf_dirty_armed(const struct nvmevf_dirty *dirty);

int nvmevf_dirty_collect(struct nvmevf_dirty *dirty, unsigned long iova,
			 unsigned long length, struct nvmevf_dirty_report *report);
int nvmevf_dirty_take(struct nvmevf_dirty *dirty,
		      struct nvmevf_dirty_report *report);
void nvmevf_dirty_tell(const struct nvmevf_dirty_report *report,
		       struct iova_bitmap *bitmap);

#endif /* NVMEVF_DIRTY_H */
