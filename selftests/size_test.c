// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the limit of the controller state: the bytes that one command carries, or 16 MiB with
 * the standard's set. The device model reports any size on request (fault_set()).
 */
#include <fcntl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "lib/vf.h"

FIXTURE(size)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
	int log;		/* /dev/kmsg */
};

FIXTURE_SETUP(size)
{
	const char *why = vf_skip_reason(2, VF_ANY, false);

	if (why)
		SKIP(return, "%s", why);
	/* The driver's rate limit of messages begins anew with each binding. */
	vf_rebind(vf_bdf(0), NULL);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	self->log = must(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
}

FIXTURE_TEARDOWN(size)
{
	int i;

	for (i = 0; i < 2; i++) {
		fault_set(vf_bdf(i), COMMAND_QUERY, FAULT_NONE, 0);
		vf_close(&self->vf[i]);
	}
	close(self->log);
}

/* The size of a stream without NAMESPACES. */
static size_t stream_size(__u32 state)
{
	return PAYLOAD_AT + (state + 7ULL) / 8 * 8 + END_SIZE;
}

/* Set the reported sizes. False if the controller has no such fault. */
static bool set_state_size(struct vf *vf, __u32 running, __u32 suspended)
{
	return fault_set(vf->bdf, COMMAND_QUERY, FAULT_NONE, 0) &&
	       fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE, running) &&
	       fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, suspended);
}

/* Return the limit that @text states, which is about a state, for @size bytes; or 0. */
static unsigned int stated_limit(const char *text, __u32 size)
{
	unsigned int queues, vendor, limit;

	if (vf_standard() &&
	    sscanf(text, "%u and %u dwords of controller state, limit %u bytes", &queues,
		   &vendor, &limit) == 3)
		return sizeof(struct standard_header) + 4 * (queues + vendor) == size ?
		       limit : 0;
	if (!vf_standard() &&
	    sscanf(text, "%u bytes of controller state, one command carries %u", &vendor,
		   &limit) == 2)
		return vendor == size ? limit : 0;
	return 0;
}

/* Return the limit that the kernel log states for @size bytes of state, or 0. */
static unsigned int logged_limit(int log, struct vf *vf, __u32 size)
{
	char line[8192], expected[128];
	unsigned int limit = 0;
	ssize_t len;
	char *found;

	snprintf(expected, sizeof(expected), "%s: cannot migrate: ", vf->bdf);
	while ((len = read(log, line, sizeof(line) - 1)) > 0 || errno == EPIPE) {
		line[len > 0 ? len : 0] = '\0';
		found = strstr(line, expected);
		if (found)
			limit = stated_limit(found + strlen(expected), size) ?: limit;
	}
	return limit;
}

/* The largest state that the device model reports. */
static __u32 largest(void)
{
	return vf_standard() ? 64U << 20 : ~0U;
}

static unsigned int find_limit(int log, struct vf *vf)
{
	unsigned int limit;

	must(lseek(log, 0, SEEK_END));
	if (!set_state_size(vf, largest(), largest()))
		return 0;
	if (vf_mig_data_size(vf) != -E2BIG)
		die("a state of %u bytes was not refused with -E2BIG", largest());
	limit = logged_limit(log, vf, largest());
	if (!limit)
		die("the kernel log does not state the limit");
	return limit;
}

/* States up to the limit migrate, including sizes that need padding. */
TEST_F(size, within_limit)
{
	struct nvme *n = &self->n;
	unsigned int limit = find_limit(self->log, n->vf), i;
	const __u32 sizes[] = { limit, limit - 1, limit - 7, limit - 4095 };

	if (!limit)
		SKIP(return, "the controller cannot report other sizes");
	if (vf_standard())
		SKIP(return, "standard_test has the sizes of this set");
	TH_LOG("one command carries %u bytes", limit);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vf *from = n->vf;
		struct stream s;
		int fd;

		ASSERT_TRUE(set_state_size(from, sizes[i], sizes[i]));
		EXPECT_EQ(stream_size(sizes[i]), vf_mig_data_size(from));
		io_submit(n, n->queue->next, 5);
		nvme_ring(n, n->queue->next);
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_PRE_COPY, &fd));
		ASSERT_EQ(0, vf_set_state(from, VFIO_DEVICE_STATE_STOP_COPY, NULL));
		ASSERT_EQ(0, stream_read(&s, fd, 65536));
		close(fd);
		EXPECT_EQ(stream_size(sizes[i]) + stream_state_at(&s) - STATE_AT,
			  s.len);
		memcpy(n->frozen, n->mem, GUEST_MEM);
		guest_load(n, &self->vf[from == self->vf], &s);
		free(s.data);
		vf_reset(from);
		io_wait(n);
		io_check(n);
	}
}

/* Larger states are refused before the guest stops, and the guest continues. */
TEST_F(size, above_limit)
{
	struct nvme *n = &self->n;
	unsigned int limit = find_limit(self->log, n->vf), i;
	/* The standard's set counts dwords. */
	const __u32 sizes[] = {
		limit + (vf_standard() ? 4 : 1), 2 * limit, largest() / 2 + 1, largest(),
	};
	struct vf *vf = n->vf;
	int fd;

	if (!limit)
		SKIP(return, "the controller cannot report other sizes");
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		ASSERT_TRUE(set_state_size(vf, sizes[i], sizes[i]));
		EXPECT_EQ(-E2BIG, vf_mig_data_size(vf));
		EXPECT_EQ(-E2BIG, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY,
					       NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		/* The driver's rate limit is 10 lines in 5 seconds. */
		if (i < 2)
			EXPECT_EQ(limit, logged_limit(self->log, vf, sizes[i]));
		io_check(n);

		/* Without PRE_COPY, the driver refuses in STOP_COPY. */
		io_submit(n, n->queue->next, 5);
		nvme_ring(n, n->queue->next);
		EXPECT_EQ(-E2BIG, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY,
					       NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_STOP, vf_get_state(vf));
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		io_wait(n);

		/* The state grows in PRE_COPY, as if the guest created queues. */
		ASSERT_TRUE(set_state_size(vf, limit, sizes[i]));
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
		EXPECT_EQ(-E2BIG, vf_set_state(vf, VFIO_DEVICE_STATE_STOP_COPY,
					       NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_PRE_COPY_P2P, vf_get_state(vf));
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		close(fd);
		io_check(n);
	}
	fault_set(vf->bdf, COMMAND_QUERY, FAULT_NONE, 0);
	guest_migrate(n, &self->vf[1]);
	io_check(n);
}

/* Each queue that the guest creates adds to the state. */
TEST_F(size, grows_with_queues)
{
	struct nvme *n = &self->n;
	long long size, before;
	struct stream s;
	int fd;

	while (n->queues)
		nvme_delete_queue(n);
	before = vf_mig_data_size(n->vf);
	EXPECT_LT(0, before);
	while (n->queues < 4) {
		nvme_create_queue(n, 8, 8);
		size = vf_mig_data_size(n->vf);
		EXPECT_LT(before, size);
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
		ASSERT_EQ(0, stream_read(&s, fd, 65536));
		EXPECT_EQ(size, s.len);
		free(s.data);
		close(fd);
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		before = size;
	}
	io_check(n);
}

TEST_HARNESS_MAIN
