/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics of the last migration and of the commands of a VF, for VFIO's debugfs
 * directory.
 */
#ifndef NVMEVF_STATS_H
#define NVMEVF_STATS_H

#include <linux/ktime.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "names.h"

struct vfio_device;

#ifdef CONFIG_VFIO_DEBUGFS

/* Arcs that are kept. A migration that is cancelled after SAVE_DATA has 6. */
#define NVMEVF_STATS_ARCS	16

struct nvmevf_stats_arc {
	u8		from;		/* enum vfio_device_mig_state */
	u8		to;
	int		error;
	ktime_t		began;
	u64		duration_ns;
};

struct nvmevf_stats_command {
	u8		opcode;		/* of the last one */
	u64		sent;
	u64		failed;
	u64		last_ns;
	u64		longest_ns;
	int		error;		/* of the last that failed */
	unsigned int	status;
};

struct nvmevf_stats_data {
	u64		calls;
	u64		bytes;
	ktime_t		first;
	ktime_t		last;
	int		error;		/* of the last that failed */
};

/* All arcs from RUNNING until RUNNING is left again. */
struct nvmevf_stats_trip {
	bool				migration;	/* else a pause */
	u64				arcs;
	struct nvmevf_stats_arc		arc[NVMEVF_STATS_ARCS];
	struct nvmevf_stats_data	data[2];	/* READ, WRITE */
};

struct nvmevf_stats {
	spinlock_t			lock;	/* innermost */

	/* Since the driver was bound: */
	u64				migrations;
	u64				failed_arcs;
	u64				resets;
	struct nvmevf_stats_command	command[NVMEVF_VERB_COUNT];

	/* The last trip, and the last migration that began before it. */
	struct nvmevf_stats_trip	trip;
	struct nvmevf_stats_trip	migration;
};

void nvmevf_stats_init(struct nvmevf_stats *stats);
void nvmevf_stats_add_file(struct nvmevf_stats *stats,
			   struct vfio_device *core_vdev);
void nvmevf_stats_arc(struct nvmevf_stats *stats, unsigned int from,
		      unsigned int to, int error, ktime_t began,
		      u64 duration_ns);
void nvmevf_stats_command(struct nvmevf_stats *stats, enum nvmevf_verb verb,
			  u8 opcode, int error, unsigned int status,
			  u64 duration_ns);
void nvmevf_stats_data(struct nvmevf_stats *stats, int rw, u64 bytes,
		       int error);
void nvmevf_stats_reset(struct nvmevf_stats *stats);

#else /* VFIO has no debugfs directory */

struct nvmevf_stats {
};

static inline void nvmevf_stats_init(struct nvmevf_stats *stats)
{
}

static inline void nvmevf_stats_add_file(struct nvmevf_stats *stats,
					 struct vfio_device *core_vdev)
{
}

static inline void nvmevf_stats_arc(struct nvmevf_stats *stats,
				    unsigned int from, unsigned int to,
				    int error, ktime_t began, u64 duration_ns)
{
}

static inline void nvmevf_stats_command(struct nvmevf_stats *stats,
					enum nvmevf_verb verb, u8 opcode,
					int error, unsigned int status,
					u64 duration_ns)
{
}

static inline void nvmevf_stats_data(struct nvmevf_stats *stats, int rw,
				     u64 bytes, int error)
{
}

static inline void nvmevf_stats_reset(struct nvmevf_stats *stats)
{
}

#endif /* CONFIG_VFIO_DEBUGFS */

#endif /* NVMEVF_STATS_H */
