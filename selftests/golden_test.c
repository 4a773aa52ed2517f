// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load golden streams: version 1 of the stream is final, so each driver must accept what
 * an earlier one wrote. The streams are from the first VF of the test bed, which no guest
 * had enabled, so they need no memory of a guest.
 *
 * Only a device model whose state has another format needs other streams. "make golden"
 * writes them: with NVMEVF_GOLDEN=make, this test saves and prints those of the command set
 * in use.
 */
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/util.h"
#include "lib/vf.h"

#define FIRMWARE_MISMATCH	\
	"/sys/module/nvme_vfio_pci/parameters/allow_firmware_mismatch"

static unsigned char vendor_with_namespaces[] = {
#include "golden/v1-namespaces.inc"
};

static unsigned char vendor_without_namespaces[] = {
#include "golden/v1.inc"
};

static unsigned char standard_with_namespaces[] = {
#include "golden/v1-standard-namespaces.inc"
};

static unsigned char standard_without_namespaces[] = {
#include "golden/v1-standard.inc"
};

FIXTURE(golden)
{
	struct nvme n;
	struct vf vf;
};

FIXTURE_SETUP(golden)
{
	const char *why = vf_skip_reason(1, VF_ANY, false);

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, &self->vf, 1, VF_ANY);
}

FIXTURE_TEARDOWN(golden)
{
	sysfs_set(FIRMWARE_MISMATCH, "N");
	vf_close(&self->vf);
}

static const struct nvmevf_identity *identity(const struct stream *s)
{
	return (void *)s->data + IDENTITY_AT;
}

/* Save the VF, on which no guest has run. */
static struct stream save(FIXTURE_DATA(golden) * self, bool precopy)
{
	struct stream s;

	vf_reset(&self->vf);
	if (precopy)
		guest_precopy(&self->n, &s);
	guest_suspend(&self->n);
	guest_save(&self->n, &s);
	vf_reset(&self->vf);
	return s;
}

static void print(const char *name, const struct stream *s)
{
	size_t i;

	for (i = 0; i < s->len; i++)
		printf("%s%s0x%02x,", i % 12 ? " " : i ? "\ngolden " : "golden ",
		       i % 12 ? "" : name, s->data[i]);
	printf("\n");
}

static bool is_same_device(const struct stream *a, const struct stream *b)
{
	const struct nvmevf_identity *one = identity(a), *other = identity(b);

	return one->vendor == other->vendor && one->device == other->device &&
	       one->subsystem_vendor == other->subsystem_vendor &&
	       one->subsystem_device == other->subsystem_device &&
	       one->msix_vectors == other->msix_vectors &&
	       !memcmp(one->model, other->model, sizeof(one->model));
}

static void load(struct __test_metadata *_metadata, FIXTURE_DATA(golden) * self,
		 unsigned char *data, size_t len, bool has_namespaces)
{
	struct stream golden = { data, len }, own = save(self, false);
	struct nvme *n = &self->n;

	ASSERT_LT(PAYLOAD_AT + END_SIZE, len);
	ASSERT_EQ(has_namespaces, stream_state_at(&golden) != STATE_AT);
	if (!is_same_device(&golden, &own))
		SKIP(return, "the golden streams are from another device");

	/* The test bed has the firmware of the QEMU version that Debian has today. */
	if (memcmp(identity(&golden)->firmware, identity(&own)->firmware, 8))
		sysfs_set(FIRMWARE_MISMATCH, "Y");
	guest_freeze(n);
	guest_load(n, &self->vf, &golden);

	EXPECT_EQ(0, nvme_read32(n, NVME_CC));
	nvme_start(n, 1, 8, 8);
	io_check(n);
	free(own.data);
}

TEST_F(golden, with_namespaces)
{
	if (vf_standard())
		load(_metadata, self, standard_with_namespaces,
		     sizeof(standard_with_namespaces), true);
	else
		load(_metadata, self, vendor_with_namespaces,
		     sizeof(vendor_with_namespaces), true);
}

TEST_F(golden, without_namespaces)
{
	if (vf_standard())
		load(_metadata, self, standard_without_namespaces,
		     sizeof(standard_without_namespaces), false);
	else
		load(_metadata, self, vendor_without_namespaces,
		     sizeof(vendor_without_namespaces), false);
}

/* Print the streams that this driver and this device model write. */
TEST_F(golden, make)
{
	const char *make = getenv("NVMEVF_GOLDEN");
	struct stream s;

	if (!make || strcmp(make, "make"))
		return;
	s = save(self, true);
	print(vf_standard() ? "v1-standard-namespaces " : "v1-namespaces ", &s);
	free(s.data);
	s = save(self, false);
	print(vf_standard() ? "v1-standard " : "v1 ", &s);
	free(s.data);
}

TEST_HARNESS_MAIN
