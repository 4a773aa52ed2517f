// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that the dirty bits of the IOMMU tell what a VF writes. NVMEVF_TRACK=iommu says that
 * the IOMMU has them; otherwise the tests are skipped if it has none. They need an IOMMU
 * with small pages (intel_iommu=sp_off).
 */
#include <linux/iommufd.h>
#include <sys/ioctl.h>

#include "kselftest_harness.h"
#include "lib/dirty.h"
#include "lib/guest.h"
#include "lib/nvme.h"
#include "lib/vf.h"

#define PAGES	(GUEST_MEM / PAGE)

FIXTURE(dirty)
{
	struct nvme n;
	struct vf vf;
	struct nvme_queue *q;
	__u32 hwpt;
	__u64 map[PAGES / 64];
};

static void attach(FIXTURE_DATA(dirty) * self)
{
	struct vfio_device_attach_iommufd_pt attach = {
		.argsz = sizeof(attach),
		.pt_id = self->hwpt,
	};

	must(ioctl(self->vf.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, &attach));
}

FIXTURE_SETUP(dirty)
{
	struct iommu_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_HWPT_ALLOC_DIRTY_TRACKING,
	};
	const char *track = getenv("NVMEVF_TRACK");
	bool needed = track && !strcmp(track, "iommu");

	if (!vf_bdf(0) || !vf_api_present(VF_CDEV)) {
		ASSERT_FALSE(needed);
		SKIP(return, "no VF is bound, or the kernel has no iommufd");
	}
	guest_init(&self->n);
	vf_open(&self->vf, vf_bdf(0), VF_CDEV, self->n.mem, GUEST_MEM);
	self->n.vf = &self->vf;
	alloc.dev_id = self->vf.dev_id;
	alloc.pt_id = self->vf.ioas_id;
	if (ioctl(self->vf.iommu, IOMMU_HWPT_ALLOC, &alloc)) {
		ASSERT_EQ(EOPNOTSUPP, errno);
		ASSERT_FALSE(needed);
		SKIP(return, "the IOMMU has no dirty bits");
	}
	self->hwpt = alloc.out_hwpt_id;
	attach(self);
	nvme_start(&self->n, 1, NVME_DEPTH, NVME_DEPTH);
	self->q = &self->n.queue[1];
}

FIXTURE_TEARDOWN(dirty)
{
	vf_close(&self->vf);
}

static void track(FIXTURE_DATA(dirty) * self, bool on)
{
	struct iommu_hwpt_set_dirty_tracking set = {
		.size = sizeof(set),
		.flags = on ? IOMMU_HWPT_DIRTY_TRACKING_ENABLE : 0,
		.hwpt_id = self->hwpt,
	};

	must(ioctl(self->vf.iommu, IOMMU_HWPT_SET_DIRTY_TRACKING, &set));
}

/* Read the dirty bits, and clear them. Return how many there are. */
static unsigned int report(FIXTURE_DATA(dirty) * self)
{
	struct iommu_hwpt_get_dirty_bitmap get = {
		.size = sizeof(get),
		.hwpt_id = self->hwpt,
		.iova = VF_IOVA,
		.length = GUEST_MEM,
		.page_size = PAGE,
		.data = (uintptr_t)self->map,
	};

	memset(self->map, 0, sizeof(self->map));
	must(ioctl(self->vf.iommu, IOMMU_HWPT_GET_DIRTY_BITMAP, &get));
	return dirty_count(self->map, ARRAY_SIZE(self->map));
}

TEST_F(dirty, exactly_the_written_pages)
{
	unsigned char *data = nvme_alloc(&self->n, 2 * PAGE);
	int i;

	/* The translations are cached before the bits are used. */
	dirty_transfer(&self->n, NVME_READ, 0, data);
	track(self, true);
	ASSERT_EQ(0, report(self));
	/* A report clears the bits, and a later write must set them again. */
	for (i = 0; i < 20; i++) {
		dirty_transfer(&self->n, NVME_READ, 0, data);
		ASSERT_EQ(3, report(self));
		ASSERT_TRUE(dirty_has(&self->n, self->map, data));
		ASSERT_TRUE(dirty_has(&self->n, self->map, data + PAGE));
		ASSERT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
		ASSERT_EQ(0, report(self));
	}
	track(self, false);
}

TEST_F(dirty, reads_of_memory_do_not_count)
{
	unsigned char *data = nvme_alloc(&self->n, 2 * PAGE);

	track(self, true);
	dirty_transfer(&self->n, NVME_WRITE, 0, data);
	ASSERT_EQ(1, report(self));
	ASSERT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
	/* The read of memory has cached the translation without the bit. */
	dirty_transfer(&self->n, NVME_READ, 0, data);
	ASSERT_EQ(3, report(self));
	track(self, false);
}

/* What a VF writes counts also if the tracking began before the VF was attached. */
TEST_F(dirty, attached_while_tracking)
{
	struct vfio_device_detach_iommufd_pt detach = {
		.argsz = sizeof(detach),
	};
	unsigned char *data = nvme_alloc(&self->n, 2 * PAGE);

	must(ioctl(self->vf.fd, VFIO_DEVICE_DETACH_IOMMUFD_PT, &detach));
	track(self, true);
	attach(self);
	dirty_transfer(&self->n, NVME_READ, 0, data);
	ASSERT_EQ(3, report(self));
	ASSERT_TRUE(dirty_has(&self->n, self->map, data));
	ASSERT_TRUE(dirty_has(&self->n, self->map, data + PAGE));
	ASSERT_TRUE(dirty_has(&self->n, self->map, self->q->cq));
	track(self, false);
}

/* Copy what is dirty of the @size bytes at @data, as a migration does. */
static void copy_dirty(FIXTURE_DATA(dirty) * self, unsigned char *copy,
		       const unsigned char *data, unsigned int size)
{
	unsigned int i;

	report(self);
	for (i = 0; i < size; i += PAGE)
		if (dirty_has(&self->n, self->map, data + i))
			memcpy(copy + i, data + i, PAGE);
}

/* Copy what is dirty while data lands. Nothing may be missed. */
TEST_F(dirty, data_that_lands_after_a_report)
{
	unsigned int count = NVME_DEPTH - 1, size = count * 2 * PAGE, i, round;
	unsigned char *data = nvme_alloc(&self->n, size);
	unsigned char *copy = self->n.frozen + (data - self->n.mem);
	unsigned int reports = 0;
	struct nvme_req *req[NVME_DEPTH];

	memset(data, 0x5a, 2 * PAGE);
	dirty_transfer(&self->n, NVME_WRITE, 0, data);
	track(self, true);
	for (round = 0; round < 5; round++) {
		memset(data, round, size);
		memcpy(copy, data, size);
		for (i = 0; i < count; i++)
			req[i] = dirty_submit(&self->n, NVME_READ, 0, data + i * 2 * PAGE);
		nvme_ring(&self->n, self->q);
		while (self->q->outstanding) {
			copy_dirty(self, copy, data, size);
			reports++;
			nvme_reap(&self->n, self->q);
		}
		copy_dirty(self, copy, data, size);
		for (i = 0; i < size; i += PAGE)
			ASSERT_EQ(0, memcmp(copy + i, data + i, PAGE))
				TH_LOG("page %u was missed in round %u", i / PAGE, round);
		for (i = 0; i < count; i++) {
			ASSERT_EQ(0, req[i]->status);
			req[i]->busy = false;
		}
	}
	/* Else there was no report between a translation and its data. */
	ASSERT_GT(reports, 5);
	track(self, false);
}

TEST_HARNESS_MAIN
