/* SPDX-License-Identifier: GPL-2.0-only */
/* Log which memory a VF writes, by VFIO's DMA logging. */
#ifndef NVMEVF_TEST_DIRTY_H
#define NVMEVF_TEST_DIRTY_H

#include "nvme.h"
#include "vf.h"

/* Memory as the VF addresses it, in bytes. VFIO has another name for the same. */
struct dirty_range {
	__u64	iova, length;
};

/* What VFIO takes at most */
#define DIRTY_RANGES	256

/* Does the controller track? $NVMEVF_TRACK says so. */
bool dirty_is_tracked(void);
/* Must VFs have a log? The kernel must have CONFIG_IOMMUFD_DRIVER, too. */
bool dirty_is_offered(void);
/* Return 0 if the VF has a log, or -ENOTTY. */
int dirty_probe(struct vf *vf);
/* Start the log of @count ranges. @page_size receives what is used. Return 0 or -errno. */
int dirty_start(struct vf *vf, const struct dirty_range *ranges,
		unsigned int count, __u64 *page_size);
/* Start the log of all memory of the guest, in pages; return 0 or -errno. */
int dirty_start_all(struct vf *vf);
/* Stop the log; return 0 or -errno. */
int dirty_stop(struct vf *vf);
/* Set a bit of @map for each page that was written, and forget it; return 0 or -errno. */
int dirty_report(struct vf *vf, __u64 iova, __u64 length, __u64 page_size, void *map);

/* Return how many bits are set in a map. */
unsigned int dirty_count(const __u64 *map, unsigned int words);
/* Return whether the bit of @p is set. @map is that of all memory of the guest. */
bool dirty_has(struct nvme *n, const __u64 *map, const void *p);
/* Submit a read or a write of two pages to the first I/O queue, with @data as the buffer. */
struct nvme_req *dirty_submit(struct nvme *n, __u8 opcode, __u32 lba, unsigned char *data);
/* Likewise, and wait. A read writes the data and the page of the completions. */
void dirty_transfer(struct nvme *n, __u8 opcode, __u32 lba, unsigned char *data);

#endif /* NVMEVF_TEST_DIRTY_H */
