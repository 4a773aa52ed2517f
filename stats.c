// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file "nvme" in VFIO's debugfs directory of a VF: the last migration, arc by
 * arc, and what became of the commands.
 */

#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/seq_file.h>
#include <linux/vfio.h>

#include "names.h"
#include "stats.h"

static bool nvmevf_stats_migrates(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_PRE_COPY ||
	       state == VFIO_DEVICE_STATE_PRE_COPY_P2P ||
	       state == VFIO_DEVICE_STATE_STOP_COPY ||
	       state == VFIO_DEVICE_STATE_RESUMING;
}

/**
 * nvmevf_stats_init() - Prepare statistics
 * @stats: zeroed
 */
void nvmevf_stats_init(struct nvmevf_stats *stats)
{
	spin_lock_init(&stats->lock);
}

/**
 * nvmevf_stats_arc() - Count an arc that has ended
 * @stats: statistics of the VF
 * @from: the state in which it began
 * @to: the state that it leads to
 * @error: 0 or a negative errno
 * @began: when it began
 * @duration_ns: how long it took
 */
void nvmevf_stats_arc(struct nvmevf_stats *stats, unsigned int from,
		      unsigned int to, int error, ktime_t began,
		      u64 duration_ns)
{
	struct nvmevf_stats_trip *trip = &stats->trip;

	spin_lock(&stats->lock);
	if (from == VFIO_DEVICE_STATE_RUNNING) {
		if (trip->migration)
			stats->migration = *trip;
		memset(trip, 0, sizeof(*trip));
	}
	if (!trip->migration && nvmevf_stats_migrates(to)) {
		trip->migration = true;
		stats->migrations++;
	}
	trip->arc[trip->arcs++ % NVMEVF_STATS_ARCS] = (struct nvmevf_stats_arc) {
		.from = from,
		.to = to,
		.error = error,
		.began = began,
		.duration_ns = duration_ns,
	};
	/* The arc to ERROR follows one that has failed and is counted. */
	if (error && to != VFIO_DEVICE_STATE_ERROR)
		stats->failed_arcs++;
	spin_unlock(&stats->lock);
}

/**
 * nvmevf_stats_command() - Count a command that has ended
 * @stats: statistics of the VF
 * @verb: what the command is for
 * @opcode: its opcode
 * @error: 0 or a negative errno
 * @status: NVMe status with which the controller failed it, or 0
 * @duration_ns: how long it took
 */
void nvmevf_stats_command(struct nvmevf_stats *stats, enum nvmevf_verb verb,
			  u8 opcode, int error, unsigned int status,
			  u64 duration_ns)
{
	struct nvmevf_stats_command *command = &stats->command[verb];

	spin_lock(&stats->lock);
	command->opcode = opcode;
	command->sent++;
	command->last_ns = duration_ns;
	command->longest_ns = max(command->longest_ns, duration_ns);
	if (error) {
		command->failed++;
		command->error = error;
		command->status = status;
	}
	spin_unlock(&stats->lock);
}

/**
 * nvmevf_stats_data() - Count a call on a data_fd
 * @stats: statistics of the VF
 * @rw: READ or WRITE
 * @bytes: bytes that it moved
 * @error: 0 or a negative errno
 */
void nvmevf_stats_data(struct nvmevf_stats *stats, int rw, u64 bytes, int error)
{
	struct nvmevf_stats_data *data = &stats->trip.data[rw];

	spin_lock(&stats->lock);
	data->last = ktime_get();
	if (!data->calls++)
		data->first = data->last;
	data->bytes += bytes;
	if (error)
		data->error = error;
	spin_unlock(&stats->lock);
}

/**
 * nvmevf_stats_reset() - Count a function-level reset
 * @stats: statistics of the VF
 */
void nvmevf_stats_reset(struct nvmevf_stats *stats)
{
	spin_lock(&stats->lock);
	stats->resets++;
	spin_unlock(&stats->lock);
}

static u64 nvmevf_stats_us(u64 ns)
{
	return div_u64(ns, NSEC_PER_USEC);
}

static void nvmevf_stats_show_arcs(struct seq_file *m,
				   const struct nvmevf_stats_trip *trip,
				   u64 first, ktime_t start)
{
	const struct nvmevf_stats_arc *arc;
	char name[32];
	u64 i;

	seq_printf(m, "\n%-30s %10s %10s %6s\n", "arc", "at us", "took us",
		   "error");
	for (i = first; i < trip->arcs; i++) {
		arc = &trip->arc[i % NVMEVF_STATS_ARCS];
		snprintf(name, sizeof(name), "%s -> %s",
			 nvmevf_state_name(arc->from),
			 nvmevf_state_name(arc->to));
		seq_printf(m, "%-30s %10lld %10llu %6d\n", name,
			   ktime_us_delta(arc->began, start),
			   nvmevf_stats_us(arc->duration_ns), arc->error);
	}
}

static void nvmevf_stats_show_data(struct seq_file *m, const char *name,
				   const struct nvmevf_stats_data *data,
				   ktime_t start)
{
	if (!data->calls)
		return;
	seq_printf(m, "%-30s %10lld %10lld %10llu %6llu %6d\n", name,
		   ktime_us_delta(data->first, start),
		   ktime_us_delta(data->last, start), data->bytes, data->calls,
		   data->error);
}

static void nvmevf_stats_show_commands(struct seq_file *m,
				       const struct nvmevf_stats *stats)
{
	const struct nvmevf_stats_command *command;
	unsigned int i;

	seq_printf(m, "\n%-23s %6s %10s %10s %10s %6s %6s %6s\n", "command",
		   "opcode", "last us", "longest us", "sent", "failed", "error",
		   "status");
	for (i = 0; i < NVMEVF_VERB_COUNT; i++) {
		command = &stats->command[i];
		seq_printf(m, "%-23s %#6x %10llu %10llu %10llu %6llu %6d %#6x\n",
			   nvmevf_verb_name(i), command->opcode,
			   nvmevf_stats_us(command->last_ns),
			   nvmevf_stats_us(command->longest_ns), command->sent,
			   command->failed, command->error, command->status);
	}
}

static int nvmevf_stats_show(struct seq_file *m, void *unused)
{
	struct nvmevf_stats *stats = m->private;
	const struct nvmevf_stats_trip *trip;
	ktime_t start;
	u64 first;

	spin_lock(&stats->lock);
	seq_printf(m, "migrations %llu, failed arcs %llu, resets %llu\n",
		   stats->migrations, stats->failed_arcs, stats->resets);

	trip = stats->trip.migration ? &stats->trip : &stats->migration;
	/* Only the last arcs are kept. */
	first = trip->arcs - min_t(u64, trip->arcs, NVMEVF_STATS_ARCS);
	start = trip->arc[first % NVMEVF_STATS_ARCS].began;
	nvmevf_stats_show_arcs(m, trip, first, start);

	seq_printf(m, "\n%-30s %10s %10s %10s %6s %6s\n", "data_fd", "first us",
		   "last us", "bytes", "calls", "error");
	nvmevf_stats_show_data(m, "read", &trip->data[READ], start);
	nvmevf_stats_show_data(m, "written", &trip->data[WRITE], start);

	nvmevf_stats_show_commands(m, stats);
	spin_unlock(&stats->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nvmevf_stats);

/**
 * nvmevf_stats_add_file() - Add the file to VFIO's debugfs directory of a VF
 * @stats: what to show
 * @core_vdev: the VF, registered; VFIO removes the directory when it unregisters
 */
void nvmevf_stats_add_file(struct nvmevf_stats *stats,
			   struct vfio_device *core_vdev)
{
	struct dentry *dir;

	/* VFIO makes the directory only for devices that can migrate. */
	dir = debugfs_lookup("migration", core_vdev->debug_root);
	if (IS_ERR_OR_NULL(dir))
		return;

	debugfs_create_file("nvme", 0444, dir, stats, &nvmevf_stats_fops);
	dput(dir);
}
