// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test a VF without migration, with firmware that supports migration and without.
 * The test also validates the NVMe driver of the selftests.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/sysfs.h"
#include "lib/vf.h"

FIXTURE(plain)
{
	struct nvme n;
	struct vf vf;
};

FIXTURE_VARIANT(plain)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(plain, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(plain, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(plain)
{
	if (!vf_bdf(0))
		SKIP(return, "no VF is bound to the driver");
	if (!vf_api_present(variant->api))
		SKIP(return, "the kernel does not support this VFIO API");
	guest_init(&self->n);
	vf_open(&self->vf, vf_bdf(0), variant->api, self->n.mem, GUEST_MEM);
	self->n.vf = &self->vf;
}

FIXTURE_TEARDOWN(plain)
{
	vf_close(&self->vf);
}

#define TRACING		"/sys/kernel/tracing/"
#define INSTANCE	TRACING "instances/plain_test/"
#define SETUP_CMD	"events/nvme/nvme_setup_cmd/"

/* Record vendor specific admin commands; return false if the kernel cannot. */
static bool vendor_commands_record(void)
{
	if (access(TRACING SETUP_CMD, F_OK))
		return false;
	must(mkdir(INSTANCE, 0700));
	if (sysfs_write(INSTANCE SETUP_CMD "filter", "qid == 0 && opcode >= 0xc0") ||
	    sysfs_write(INSTANCE SETUP_CMD "enable", "1"))
		die("enabling the event nvme_setup_cmd failed");
	return true;
}

/* Return how many commands were recorded. */
static unsigned int vendor_commands_count(void)
{
	unsigned int count = 0;
	char line[512];
	FILE *file;

	file = fopen(INSTANCE "trace", "r");
	if (!file)
		die("%strace: %s", INSTANCE, strerror(errno));
	while (fgets(line, sizeof(line), file))
		count += *line != '#';
	fclose(file);
	sysfs_write(INSTANCE SETUP_CMD "enable", "0");
	must(rmdir(INSTANCE));
	return count;
}

TEST_F(plain, migration_feature)
{
	__u32 flags = VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P;
	int ret = vf_mig_flags(&self->vf);

	if (getenv("NVMEVF_DRIVER"))
		SKIP(return, "NVMEVF_DRIVER selects a driver without migration");
	if (!vf_firmware_migrates(self->vf.bdf)) {
		bool recording = vendor_commands_record();

		EXPECT_EQ(-ENOTTY, ret);
		EXPECT_EQ(-ENOTTY, vf_get_state(&self->vf));
		EXPECT_EQ(-ENOTTY, vf_mig_data_size(&self->vf));
		EXPECT_EQ(-ENOTTY, vf_set_state(&self->vf,
						VFIO_DEVICE_STATE_RUNNING_P2P,
						NULL));
		/* The opcodes may mean anything to this PF. */
		if (recording)
			EXPECT_EQ(0, vendor_commands_count());
	} else {
		EXPECT_LE(0, ret);
		EXPECT_EQ(flags, ret & flags);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
	}
}

TEST_F(plain, io)
{
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	EXPECT_LE(2, self->n.queues);
	io_check(&self->n);
}

TEST_F(plain, small_rings)
{
	nvme_start(&self->n, 1, 2, 2);
	io_check(&self->n);
}

TEST_F(plain, completion_queue_full)
{
	struct nvme_queue *q = &self->n.queue[1];

	nvme_start(&self->n, 1, 16, 3);
	EXPECT_EQ(15, io_submit(&self->n, q, 15));
	nvme_ring(&self->n, q);
	io_wait(&self->n);
	io_check(&self->n);
}

TEST_F(plain, interrupts)
{
	nvme_start_vectors(&self->n);
	EXPECT_TRUE(io_interrupts(&self->n));
}

TEST_F(plain, reset)
{
	nvme_start(&self->n, 1, 8, 8);
	io_submit(&self->n, &self->n.queue[1], 7);
	nvme_ring(&self->n, &self->n.queue[1]);
	vf_reset(&self->vf);
	EXPECT_EQ(0, nvme_read32(&self->n, NVME_CC));
	EXPECT_EQ(0, nvme_read32(&self->n, NVME_CSTS));
	/* The reset may have interrupted writes: the blocks are unknown. */
	memset(self->n.seq, 0, sizeof(self->n.seq));
	nvme_start(&self->n, 1, 8, 8);
	io_check(&self->n);
}

/* A guest must not be able to control migration. */
TEST_F(plain, migration_commands_rejected)
{
	static const __u8 opcodes[] = { 0xc4, 0xc8, 0xcc, 0xd2, 0xd5 };
	unsigned int i;

	nvme_start(&self->n, 1, 8, 8);
	for (i = 0; i < ARRAY_SIZE(opcodes); i++)
		EXPECT_EQ(NVME_INVALID_OPCODE,
			  nvme_admin(&self->n, (struct nvme_sqe){
				.opcode = opcodes[i],
				.cdw10 = 1,
			  }, NULL, 0, NULL));
	io_check(&self->n);
}

TEST_HARNESS_MAIN
