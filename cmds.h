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

/**
 * struct nvmevf_ctrl - controller of a VF, as its commands see it
 * @vf: the VF
 * @set: commands that migrate it, NULL if it cannot migrate
 * @format: of the states that are saved and loaded, if @set has formats. Only
 *	nvmevf_ctrl_identity() changes it, while no state is saved or loaded.
 * @stats: what its commands did
 * @messages: rate limit of nvmevf_ctrl_err(); its own, because the users of other
 *	VFs must not be able to suppress messages of this one
 */
struct nvmevf_ctrl {
	struct pci_dev			*vf;
	const struct nvmevf_cmd_set	*set;
	struct nvmevf_format		format;
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
 *
 * All return 0 or a negative errno. All but @undo_suspend write one line to the log
 * for each command that failed. Context: process context, no lock that a reset of
 * the VF takes; they sleep until the command has ended, see nvme_submit_vf_cmd().
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
};

extern const struct nvmevf_cmd_set nvmevf_cmds_std;
extern const struct nvmevf_cmd_set nvmevf_cmds_vendor;

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
int nvmevf_cmds_identify_ctrl(struct nvmevf_ctrl *ctrl,
			      struct nvme_id_ctrl *id);
int nvmevf_cmds_identify_ns(struct nvmevf_ctrl *ctrl, u8 cns, u32 nsid,
			    u16 cntid, void *data);
int nvmevf_cmds_identify_secondary(struct nvmevf_ctrl *ctrl, u16 cntid,
				   struct nvme_secondary_ctrl_list *list);

#endif /* NVMEVF_CMDS_H */
