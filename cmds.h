/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands that concern a VF, sent to the controller through its PF.
 */
#ifndef NVMEVF_CMDS_H
#define NVMEVF_CMDS_H

#include <linux/dev_printk.h>
#include <linux/pci.h>
#include <linux/ratelimit.h>
#include <linux/types.h>

#include "stats.h"

struct nvme_command;
struct nvme_id_ctrl;
struct nvme_secondary_ctrl;
struct nvme_secondary_ctrl_list;
struct nvme_vf_result;
struct nvmevf_cmd_set;

/**
 * struct nvmevf_format - a format of controller states that a controller lists
 * @version: version of the NVMe Controller State
 * @uuid: of the vendor specific data
 * @version_index: by which commands name the version, from 1
 * @uuid_index: by which commands name the UUID, from 1
 *
 * Other controllers may have other indices.
 */
struct nvmevf_format {
	u16	version;
	u8	uuid[16];
	u8	version_index;
	u8	uuid_index;
};

/*
 * Memory is tracked in pages of this size, whatever PAGE_SIZE is. An address has
 * 64 bits.
 */
#define NVMEVF_TRACK_SHIFT	12
#define NVMEVF_TRACK_SIZE	BIT(NVMEVF_TRACK_SHIFT)
#define NVMEVF_TRACK_LAST	(U64_MAX >> NVMEVF_TRACK_SHIFT)

/**
 * struct nvmevf_run - a run of pages of memory, as a VF addresses them
 * @first: the first page, in units of NVMEVF_TRACK_SIZE
 * @last: the last page
 */
struct nvmevf_run {
	u64	first;
	u64	last;
};

/**
 * struct nvmevf_track_limits - how a controller tracks what a VF writes
 * @runs: for how many runs at a time, all VFs together; 0: it does not track
 * @min_shift: the finest granularity, as the binary logarithm of pages
 * @max_shift: the coarsest
 * @power_of_2: the length of a run is a power of 2
 */
struct nvmevf_track_limits {
	u16	runs;
	u8	min_shift;
	u8	max_shift;
	bool	power_of_2;
};

/**
 * struct nvmevf_track_answer - what a controller has tracked
 * @run: the runs that were written to, which need not be in order
 * @count: how many
 * @more: there are more
 * @suspended: the VF is suspended
 */
struct nvmevf_track_answer {
	const struct nvmevf_run	*run;
	u32			count;
	bool			more;
	bool			suspended;
};

/**
 * struct nvmevf_ctrl - controller of a VF, as its commands see it
 * @vf: the VF
 * @pf_cntlid: controller ID of the PF, from its Identify Controller. Those who read the
 *	Secondary Controller List set it.
 * @set: commands that migrate it, NULL if it cannot migrate
 * @format: of the states that are saved and loaded, if @set has formats. After
 *	nvmevf_ctrl_init(), only nvmevf_ctrl_identity() changes it, while no state is saved
 *	or loaded.
 * @track: how @set tracks what the VF writes
 * @stats: what its commands did
 * @messages: rate limit of nvmevf_ctrl_err(); its own, because the users of other
 *	VFs must not be able to suppress messages of this one
 */
struct nvmevf_ctrl {
	struct pci_dev			*vf;
	u16				pf_cntlid;
	const struct nvmevf_cmd_set	*set;
	struct nvmevf_format		format;
	struct nvmevf_track_limits	track;
	struct nvmevf_stats		stats;
	struct ratelimit_state		messages;
};

/* Log an error of a VF, unless the VF has exceeded its rate limit. */
#define nvmevf_ctrl_err(ctrl, fmt, ...)					\
do {									\
	struct nvmevf_ctrl *__ctrl = (ctrl);				\
									\
	if (__ratelimit(&__ctrl->messages))				\
		dev_err(&__ctrl->vf->dev, fmt, ##__VA_ARGS__);		\
} while (0)

/**
 * struct nvmevf_cmd_set - commands that migrate a VF
 * @id: value of the command set in IDENTITY
 * @name: value of the module parameter command_set
 * @save_disables: @save disables the VF, until @load
 * @check: Return 0 if the controller has the commands, -EOPNOTSUPP if not, or an
 *	errno of nvme_vf_check_migration(). @id is Identify Controller of the PF. No
 *	command is sent.
 * @find_format: Find a format that saves all state. If there is none, return
 *	-EOPNOTSUPP, and what is missing in @missing. NULL: the set has no formats,
 *	and needs no controller ID.
 * @has_queues: Return in @has_queues if @load may fail because a suspended VF has
 *	I/O queues. NULL: it never does.
 * @query_size: Return the bytes of controller state of a VF, running or
 *	suspended: never 0, never more than @max_size.
 * @suspend: Stop the VF: it fetches no command, and those it had fetched have
 *	completed.
 * @resume: Let a suspended VF run.
 * @undo_suspend: Let a VF run, which may be suspended or not. The caller logs an
 *	error.
 * @save: Read the controller state of a suspended VF. The buffer is page aligned and
 *	has room for whole dwords.
 * @load: Write a controller state to a suspended VF. The buffer is as for @save.
 * @max_size: Return the largest controller state that @save and @load can move
 *	on this host, in bytes.
 * @track_limits: Return in @limits how the controller tracks what a VF writes. @id is
 *	Identify Controller of the PF. No command is sent. NULL: the set has no
 *	commands that track; then the next three are NULL, too.
 * @track_start: Have the writes to the @count runs tracked with a granularity of
 *	2^@shift pages. The runs are in order and do not overlap. If the controller
 *	cannot track these, it may track more: the function combines and enlarges
 *	runs, and raises @shift. It returns in its arguments what is tracked. Return
 *	-ENOSPC if the controller has no room, or if what would be tracked has memory
 *	of the controller.
 * @track_read: Read a part of what was tracked and not read yet, into @buf. @len is a
 *	multiple of 4. @answer is valid as long as @buf is not changed.
 *	After an error, something may have been read and lost.
 * @track_stop: End the tracking. Return 0 also if there is none; -EBUSY if the
 *	controller cannot do so while the VF is suspended.
 *
 * All but @track_limits return 0 or a negative errno. All but @undo_suspend and @track_stop
 * write one line to the log when they fail because of a command. Context: process
 * context, no lock that a reset of the VF takes; they sleep until the command has
 * ended, see nvme_submit_vf_cmd().
 */
struct nvmevf_cmd_set {
	u16 id;
	const char *name;
	bool save_disables;
	int (*check)(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id);
	int (*find_format)(struct nvmevf_ctrl *ctrl, struct nvmevf_format *format,
			   const char **missing);
	int (*has_queues)(struct nvmevf_ctrl *ctrl, bool *has_queues);
	int (*query_size)(struct nvmevf_ctrl *ctrl, u32 *size);
	int (*suspend)(struct nvmevf_ctrl *ctrl);
	int (*resume)(struct nvmevf_ctrl *ctrl);
	int (*undo_suspend)(struct nvmevf_ctrl *ctrl);
	int (*save)(struct nvmevf_ctrl *ctrl, void *buf, u32 size);
	int (*load)(struct nvmevf_ctrl *ctrl, void *buf, u32 size);
	int (*max_size)(struct nvmevf_ctrl *ctrl, u32 *size);
	void (*track_limits)(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id,
			     struct nvmevf_track_limits *limits);
	int (*track_start)(struct nvmevf_ctrl *ctrl, struct nvmevf_run *runs,
			   unsigned int *count, u8 *shift);
	int (*track_read)(struct nvmevf_ctrl *ctrl, void *buf, u32 len,
			  struct nvmevf_track_answer *answer);
	int (*track_stop)(struct nvmevf_ctrl *ctrl);
};

extern const struct nvmevf_cmd_set nvmevf_cmds_std;
extern const struct nvmevf_cmd_set nvmevf_cmds_vendor;

void nvmevf_track_limits(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id,
			 struct nvmevf_track_limits *limits);
int nvmevf_track_start(struct nvmevf_ctrl *ctrl, struct nvmevf_run *runs,
		       unsigned int *count, u8 *shift);
int nvmevf_track_read(struct nvmevf_ctrl *ctrl, void *buf, u32 len,
		      struct nvmevf_track_answer *answer);
int nvmevf_track_stop(struct nvmevf_ctrl *ctrl);

int nvmevf_cmds_send(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		     const struct nvme_command *cmd, void *buf,
		     unsigned int len, struct nvme_vf_result *res);
int nvmevf_cmds_resend(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		       const struct nvme_command *cmd, void *buf,
		       unsigned int len, struct nvme_vf_result *res);
void nvmevf_cmds_log(struct nvmevf_ctrl *ctrl, const char *name, int error,
		     u16 status);
int nvmevf_cmds_submit(struct nvmevf_ctrl *ctrl, enum nvmevf_verb verb,
		       const char *name, const struct nvme_command *cmd,
		       void *buf, unsigned int len, u64 *result);
int nvmevf_cmds_max_transfer(struct nvmevf_ctrl *ctrl, u32 *bytes);
int nvmevf_cmds_epoch(struct nvmevf_ctrl *ctrl, u64 *epoch);
int nvmevf_cmds_check_epoch(struct nvmevf_ctrl *ctrl, u64 epoch);
int nvmevf_cmds_identify_ctrl(struct nvmevf_ctrl *ctrl,
			      struct nvme_id_ctrl *id);
int nvmevf_cmds_identify_ns(struct nvmevf_ctrl *ctrl, u8 cns, u32 nsid,
			    u16 cntid, void *data);
int nvmevf_cmds_identify_secondary(struct nvmevf_ctrl *ctrl, u16 cntid,
				   struct nvme_secondary_ctrl_list *list);
int nvmevf_cmds_find_secondary(struct nvmevf_ctrl *ctrl, int vfn,
			       struct nvme_secondary_ctrl *entry);

#endif /* NVMEVF_CMDS_H */
