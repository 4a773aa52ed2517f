// SPDX-License-Identifier: GPL-2.0-only
/* Log which memory a VF writes, by VFIO's DMA logging. */
#include <assert.h>
#include <stdint.h>

#include "dirty.h"
#include "util.h"

static_assert(sizeof(struct dirty_range) ==
	       sizeof(struct vfio_device_feature_dma_logging_range), "another layout");

bool dirty_is_tracked(void)
{
	const char *track = getenv("NVMEVF_TRACK");

	return track && !strcmp(track, "device");
}

/* Has the kernel what VFIO needs to report? */
static bool has_reports(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	char line[300];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = !!strstr(line, " iova_bitmap_set");
	if (f)
		fclose(f);
	return found;
}

static bool reports;

/* Before main(), because each test is a process of its own, and the file is long. */
__attribute__((constructor)) static void look_for_reports(void)
{
	reports = dirty_is_tracked() && has_reports();
}

bool dirty_is_offered(void)
{
	return reports;
}

int dirty_probe(struct vf *vf)
{
	return vf_feature(vf, VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_SET |
			  VFIO_DEVICE_FEATURE_DMA_LOGGING_START, NULL, 0);
}

int dirty_start(struct vf *vf, const struct dirty_range *ranges,
		unsigned int count, __u64 *page_size)
{
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = *page_size,
		.num_ranges = count,
		.ranges = (uintptr_t)ranges,
	};
	int ret;

	ret = vf_feature(vf, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START,
			 &control, sizeof(control));
	*page_size = control.page_size;
	return ret;
}

int dirty_start_all(struct vf *vf)
{
	static const struct dirty_range all = { VF_IOVA, GUEST_MEM };
	__u64 page_size = PAGE;

	return dirty_start(vf, &all, 1, &page_size);
}

int dirty_stop(struct vf *vf)
{
	return vf_feature(vf, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP,
			  NULL, 0);
}

int dirty_report(struct vf *vf, __u64 iova, __u64 length, __u64 page_size, void *map)
{
	struct vfio_device_feature_dma_logging_report report = {
		.iova = iova,
		.length = length,
		.page_size = page_size,
		.bitmap = (uintptr_t)map,
	};

	return vf_feature(vf, VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT,
			  &report, sizeof(report));
}

unsigned int dirty_count(const __u64 *map, unsigned int words)
{
	unsigned int i, count = 0;

	for (i = 0; i < words; i++)
		count += __builtin_popcountll(map[i]);
	return count;
}

bool dirty_has(struct nvme *n, const __u64 *map, const void *p)
{
	unsigned int page = ((unsigned char *)p - n->mem) / PAGE;

	return map[page / 64] >> page % 64 & 1;
}

struct nvme_req *dirty_submit(struct nvme *n, __u8 opcode, __u32 lba, unsigned char *data)
{
	return nvme_submit(n->queue->next, (struct nvme_sqe){
		.opcode = opcode,
		.nsid = n->nsid,
		.prp1 = nvme_iova(n, data),
		.prp2 = nvme_iova(n, data + PAGE),
		.cdw10 = lba,
		.cdw12 = 2 * PAGE / n->lba_size - 1,
	});
}

void dirty_transfer(struct nvme *n, __u8 opcode, __u32 lba, unsigned char *data)
{
	struct nvme_req *req = dirty_submit(n, opcode, lba, data);
	struct nvme_queue *q = n->queue->next;

	nvme_ring(n, q);
	nvme_await(q, 1);
	nvme_reap(n, q);
	if (req->status)
		die("opcode %#x: status %#x", opcode, req->status);
	req->busy = false;
}
