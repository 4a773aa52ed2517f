// SPDX-License-Identifier: GPL-2.0-only
/* Log which memory a VF writes, by VFIO's DMA logging. */
#include <assert.h>
#include <stdint.h>

#include "dirty.h"

static_assert(sizeof(struct dirty_range) ==
	       sizeof(struct vfio_device_feature_dma_logging_range), "another layout");

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
