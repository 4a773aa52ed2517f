/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a VF's last migration did, for VFIO's debugfs directory. The tracepoints
 * tell more, but only to those who listened at that time.
 */
#ifndef NVMEVF_STATS_H
#define NVMEVF_STATS_H

#include <linux/ktime.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct pci_dev;
struct vfio_device;

#ifdef CONFIG_VFIO_DEBUGFS

/* As many as are shown; a migration that is called off late has 6. */
#define NVMEVF_STATS_ARCS	16

/* The five, and Identify. */
#define NVMEVF_STATS_COMMANDS	6

struct nvmevf_stats_arc {
	u8		from;		/* enum vfio_device_mig_state */
	u8		to;
	int		error;
	ktime_t		began;
	u64		duration_ns;
};

struct nvmevf_stats_command {
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

/* From RUNNING to RUNNING. */
struct nvmevf_stats_trip {
	bool				migration;	/* or but a pause */
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
	struct nvmevf_stats_command	command[NVMEVF_STATS_COMMANDS];

	/* The last one, and the last migration, which may be the same. */
	struct nvmevf_stats_trip	trip[2];
	unsigned int			now;
};

/* NULL before the VF is registered. */
struct nvmevf_stats *nvmevf_stats_of(struct pci_dev *pdev);

void nvmevf_stats_init(struct nvmevf_stats *stats);
void nvmevf_stats_show(struct vfio_device *core_vdev,
		       struct nvmevf_stats *stats);
void nvmevf_stats_arc(struct pci_dev *pdev, unsigned int from, unsigned int to,
		      int error, ktime_t began, u64 duration_ns);
void nvmevf_stats_command(struct pci_dev *pdev, u8 opcode, int error,
			  unsigned int status, u64 duration_ns);
void nvmevf_stats_data(struct pci_dev *pdev, int rw, u64 bytes, int error);
void nvmevf_stats_reset(struct pci_dev *pdev);

#else /* the kernel's VFIO has no directory */

struct nvmevf_stats {
};

static inline void nvmevf_stats_init(struct nvmevf_stats *stats)
{
}

static inline void nvmevf_stats_show(struct vfio_device *core_vdev,
				     struct nvmevf_stats *stats)
{
}

static inline void nvmevf_stats_arc(struct pci_dev *pdev, unsigned int from,
				    unsigned int to, int error, ktime_t began,
				    u64 duration_ns)
{
}

static inline void nvmevf_stats_command(struct pci_dev *pdev, u8 opcode,
					int error, unsigned int status,
					u64 duration_ns)
{
}

static inline void nvmevf_stats_data(struct pci_dev *pdev, int rw, u64 bytes,
				     int error)
{
}

static inline void nvmevf_stats_reset(struct pci_dev *pdev)
{
}

#endif /* CONFIG_VFIO_DEBUGFS */

#endif /* NVMEVF_STATS_H */
