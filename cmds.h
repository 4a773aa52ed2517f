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

struct nvme_id_ctrl;
struct nvme_secondary_ctrl_list;
struct nvmevf_cmd_set;

/**
 * struct nvmevf_ctrl - controller of a VF, as its commands see it
 * @vf: the VF
 * @set: commands that migrate it, NULL if it cannot migrate
 * @stats: what its commands did
 * @messages: rate limit of nvmevf_ctrl_err(); its own, because the users of other
 *	VFs must not be able to suppress messages of this one
 */
struct nvmevf_ctrl {
	struct pci_dev			*vf;
	const struct nvmevf_cmd_set	*set;
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
 * @check: Return 0 if the controller has the commands, -EOPNOTSUPP if not, or an
 *	errno of nvme_vf_check_migration(). @id is Identify Controller of the PF. No
 *	command is sent.
 * @query_size: Return the bytes of controller state of a VF, running or
 *	suspended: never 0, never more than @max_size.
 * @suspend: Stop the VF: it fetches no command, and those it had fetched have
 *	completed.
 * @resume: Let a suspended VF run.
 * @undo_suspend: Let a VF run, which may be suspended or not. The caller logs an
 *	error.
 * @save: Read the controller state of a suspended VF, which disables it. The
 *	buffer is page aligned and has room for whole dwords.
 * @load: Write a controller state to a suspended VF. The buffer is as for @save.
 * @max_size: Return the largest controller state that @save and @load can move
 *	on this host, in bytes.
 *
 * All return 0 or a negative errno. All but @undo_suspend write one line to the log
 * for each command that failed. Context: process context, no lock that a reset of
 * the VF takes; they sleep until the command has ended, see nvme_submit_vf_cmd().
 */
struct nvmevf_cmd_set {
	u16 id;
	int (*check)(struct nvmevf_ctrl *ctrl, const struct nvme_id_ctrl *id);
	int (*query_size)(struct nvmevf_ctrl *ctrl, u32 *size);
	int (*suspend)(struct nvmevf_ctrl *ctrl);
	int (*resume)(struct nvmevf_ctrl *ctrl);
	int (*undo_suspend)(struct nvmevf_ctrl *ctrl);
	int (*save)(struct nvmevf_ctrl *ctrl, void *buf, u32 size);
	int (*load)(struct nvmevf_ctrl *ctrl, void *buf, u32 size);
	int (*max_size)(struct nvmevf_ctrl *ctrl, u32 *size);
};

extern const struct nvmevf_cmd_set nvmevf_cmds_vendor;

int nvmevf_cmds_identify_ctrl(struct nvmevf_ctrl *ctrl,
			      struct nvme_id_ctrl *id);
int nvmevf_cmds_identify_ns(struct nvmevf_ctrl *ctrl, u8 cns, u32 nsid,
			    u16 cntid, void *data);
int nvmevf_cmds_identify_secondary(struct nvmevf_ctrl *ctrl, u16 cntid,
				   struct nvme_secondary_ctrl_list *list);

#endif /* NVMEVF_CMDS_H */
