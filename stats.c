// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file nvme in VFIO's debugfs directory of a VF: the last migration, arc by
 * arc, and how the commands fared.
 */

#include <linux/debugfs.h>
#include <linux/kernel.h>
#include <linux/math64.h>
#include <linux/nvme-vf-lm.h>
#include <linux/seq_file.h>
#include <linux/vfio.h>

#include "stats.h"

static const char * const nvmevf_state_names[] = {
	[VFIO_DEVICE_STATE_ERROR]	= "ERROR",
	[VFIO_DEVICE_STATE_STOP]	= "STOP",
	[VFIO_DEVICE_STATE_RUNNING]	= "RUNNING",
	[VFIO_DEVICE_STATE_STOP_COPY]	= "STOP_COPY",
	[VFIO_DEVICE_STATE_RESUMING]	= "RESUMING",
	[VFIO_DEVICE_STATE_RUNNING_P2P]	= "RUNNING_P2P",
	[VFIO_DEVICE_STATE_PRE_COPY]	= "PRE_COPY",
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = "PRE_COPY_P2P",
};

static const struct {
	u8		opcode;
	const char	*name;
} nvmevf_commands[NVMEVF_STATS_COMMANDS] = {
	{ nvme_admin_identify,		"IDENTIFY" },
	{ nvme_vf_query_data_size,	"QUERY_DATA_SIZE" },
	{ nvme_vf_suspend,		"SUSPEND" },
	{ nvme_vf_resume,		"RESUME" },
	{ nvme_vf_save_data,		"SAVE_DATA" },
	{ nvme_vf_load_data,		"LOAD_DATA" },
};

static struct nvmevf_stats_trip *nvmevf_stats_trip(struct nvmevf_stats *stats)
{
	return &stats->trip[stats->now];
}

static struct nvmevf_stats_trip *
nvmevf_stats_last_migration(struct nvmevf_stats *stats)
{
	return nvmevf_stats_trip(stats)->migration ? nvmevf_stats_trip(stats) :
						     &stats->trip[!stats->now];
}

static bool nvmevf_stats_migrates(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_PRE_COPY ||
	       state == VFIO_DEVICE_STATE_PRE_COPY_P2P ||
	       state == VFIO_DEVICE_STATE_STOP_COPY ||
	       state == VFIO_DEVICE_STATE_RESUMING;
}

/**
 * nvmevf_stats_arc() - Note an arc that has ended
 * @pdev: the VF
 * @from: the state that it left, or did not
 * @to: the state that it led to
 * @error: 0 or a negative errno
 * @began: when it began
 * @duration_ns: how long it took
 */
void nvmevf_stats_arc(struct pci_dev *pdev, unsigned int from, unsigned int to,
		      int error, ktime_t began, u64 duration_ns)
{
	struct nvmevf_stats *stats = nvmevf_stats_of(pdev);
	struct nvmevf_stats_trip *trip;

	if (!stats)
		return;

	spin_lock(&stats->lock);
	if (from == VFIO_DEVICE_STATE_RUNNING) {
		/* A pause must not take the place of a migration. */
		if (nvmevf_stats_trip(stats)->migration)
			stats->now = !stats->now;
		memset(nvmevf_stats_trip(stats), 0, sizeof(*trip));
	}
	trip = nvmevf_stats_trip(stats);
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
	/* The arc to ERROR is but what became of the one that failed. */
	if (error && to != VFIO_DEVICE_STATE_ERROR)
		stats->failed_arcs++;
	spin_unlock(&stats->lock);
}

/**
 * nvmevf_stats_command() - Note a command that has ended
 * @pdev: the VF
 * @opcode: its opcode
 * @error: 0 or a negative errno
 * @status: NVMe status of one that the controller failed
 * @duration_ns: how long it took
 */
void nvmevf_stats_command(struct pci_dev *pdev, u8 opcode, int error,
			  unsigned int status, u64 duration_ns)
{
	struct nvmevf_stats *stats = nvmevf_stats_of(pdev);
	struct nvmevf_stats_command *command;
	unsigned int i = 0;

	if (!stats)
		return;

	while (nvmevf_commands[i].opcode != opcode)
		if (++i == NVMEVF_STATS_COMMANDS)
			return;
	command = &stats->command[i];

	spin_lock(&stats->lock);
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
 * nvmevf_stats_data() - Note a call on a data_fd
 * @pdev: the VF
 * @rw: READ or WRITE
 * @bytes: what was read or taken
 * @error: 0 or a negative errno
 */
void nvmevf_stats_data(struct pci_dev *pdev, int rw, u64 bytes, int error)
{
	struct nvmevf_stats *stats = nvmevf_stats_of(pdev);
	struct nvmevf_stats_data *data;

	if (!stats)
		return;

	spin_lock(&stats->lock);
	data = &nvmevf_stats_trip(stats)->data[rw];
	data->last = ktime_get();
	if (!data->calls++)
		data->first = data->last;
	data->bytes += bytes;
	if (error)
		data->error = error;
	spin_unlock(&stats->lock);
}

/**
 * nvmevf_stats_reset() - Note a reset
 * @pdev: the VF
 */
void nvmevf_stats_reset(struct pci_dev *pdev)
{
	struct nvmevf_stats *stats = nvmevf_stats_of(pdev);

	if (!stats)
		return;

	spin_lock(&stats->lock);
	stats->resets++;
	spin_unlock(&stats->lock);
}

static u64 nvmevf_us(u64 ns)
{
	return div_u64(ns, NSEC_PER_USEC);
}

static void nvmevf_show_data(struct seq_file *m, const char *name,
			     const struct nvmevf_stats_data *data, ktime_t start)
{
	if (!data->calls)
		return;
	seq_printf(m, "%-30s %10lld %10lld %10llu %6llu %6d\n", name,
		   ktime_us_delta(data->first, start),
		   ktime_us_delta(data->last, start), data->bytes, data->calls,
		   data->error);
}

static int nvmevf_stats_file_show(struct seq_file *m, void *unused)
{
	struct nvmevf_stats *stats = m->private;
	const struct nvmevf_stats_command *command;
	const struct nvmevf_stats_trip *trip;
	const struct nvmevf_stats_arc *arc;
	ktime_t start;
	char name[32];
	u64 i;

	spin_lock(&stats->lock);

	seq_printf(m, "migrations %llu, failed arcs %llu, resets %llu\n",
		   stats->migrations, stats->failed_arcs, stats->resets);

	/* Those that are no longer there are missing at the beginning. */
	trip = nvmevf_stats_last_migration(stats);
	i = trip->arcs - min_t(u64, trip->arcs, NVMEVF_STATS_ARCS);
	start = trip->arc[i % NVMEVF_STATS_ARCS].began;
	seq_printf(m, "\n%-30s %10s %10s %6s\n", "arc", "at us", "took us",
		   "error");
	for (; i < trip->arcs; i++) {
		arc = &trip->arc[i % NVMEVF_STATS_ARCS];
		snprintf(name, sizeof(name), "%s -> %s",
			 nvmevf_state_names[arc->from],
			 nvmevf_state_names[arc->to]);
		seq_printf(m, "%-30s %10lld %10llu %6d\n", name,
			   ktime_us_delta(arc->began, start),
			   nvmevf_us(arc->duration_ns), arc->error);
	}

	seq_printf(m, "\n%-30s %10s %10s %10s %6s %6s\n", "data_fd", "first us",
		   "last us", "bytes", "calls", "error");
	nvmevf_show_data(m, "read", &trip->data[READ], start);
	nvmevf_show_data(m, "written", &trip->data[WRITE], start);

	seq_printf(m, "\n%-30s %10s %10s %10s %6s %6s %6s\n", "command",
		   "last us", "longest us", "sent", "failed", "error", "status");
	for (i = 0; i < NVMEVF_STATS_COMMANDS; i++) {
		command = &stats->command[i];
		seq_printf(m, "%-30s %10llu %10llu %10llu %6llu %6d %#6x\n",
			   nvmevf_commands[i].name, nvmevf_us(command->last_ns),
			   nvmevf_us(command->longest_ns), command->sent,
			   command->failed, command->error, command->status);
	}

	spin_unlock(&stats->lock);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(nvmevf_stats_file);

/**
 * nvmevf_stats_init() - Prepare for the first thing that is noted
 * @stats: zeroed
 */
void nvmevf_stats_init(struct nvmevf_stats *stats)
{
	spin_lock_init(&stats->lock);
}

/**
 * nvmevf_stats_show() - Add the file to the directory that VFIO made for a VF
 * @core_vdev: the VF, registered; VFIO removes the directory when that ends
 * @stats: what to show
 */
void nvmevf_stats_show(struct vfio_device *core_vdev, struct nvmevf_stats *stats)
{
	struct dentry *dir;

	/* There is none for a VF that can't migrate. */
	dir = debugfs_lookup("migration", core_vdev->debug_root);
	if (IS_ERR_OR_NULL(dir))
		return;

	debugfs_create_file("nvme", 0444, dir, stats, &nvmevf_stats_file_fops);
	dput(dir);
}
