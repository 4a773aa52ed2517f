// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test surprise removal of the PF. Each VF is at another point of a migration, as
 * far as there are enough VFs, and one more VF does I/O. The PF does not return, so
 * the test runs only if $NVMEVF_SURPRISE is set.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <linux/pci_regs.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/point.h"
#include "lib/sibling.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

/*
 * Seconds. TIMEOUT is the nvme driver's limit for a command: all VFs must reach their
 * points in that time. BOUND limits the driver's reaction to the removal.
 */
#define TIMEOUT	20
#define BOUND	(2 * TIMEOUT + PATIENCE)

#define MAX_VFS	32

struct guest {
	struct nvme	n;
	struct vf	vf;
	struct at	at;
	int		request;	/* eventfd of vf_request_fd() */
	pthread_t	thread;
	struct stream	good;		/* an earlier state */
};

FIXTURE(surprise)
{
	struct guest *guest;
	unsigned int count;
	struct sibling sibling;
	struct pf pf;
};

FIXTURE_SETUP(surprise)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);
	const char *bdf[MAX_VFS];
	unsigned int i;

	if (!getenv("NVMEVF_SURPRISE"))
		SKIP(return, "NVMEVF_SURPRISE is not set");
	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	while (self->count < points_count() && vf_bdf(self->count + 1)) {
		bdf[self->count] = vf_bdf(self->count);
		self->count++;
	}
	pf_open(&self->pf, bdf[0]);
	sibling_open(&self->sibling, vf_bdf(self->count), VF_ANY);
	self->guest = calloc(self->count, sizeof(*self->guest));
	for (i = 0; i < self->count; i++) {
		struct guest *g = &self->guest[i];

		guest_init(&g->n);
		vf_open(&g->vf, bdf[i], VF_ANY, g->n.mem, GUEST_MEM);
		g->n.vf = &g->vf;
		g->n.disk = (i + 2) * DISK_PART;
		g->request = vf_request_fd(&g->vf);
		nvme_start(&g->n, 1, 8, 8);
		io_check(&g->n);
		/* The state of a VF on which a guest runs is refused by other VFs. */
		guest_suspend(&g->n);
		guest_save(&g->n, &g->good);
		guest_roll_back(&g->n);
	}
}

FIXTURE_TEARDOWN(surprise)
{
	trace_close();
}

/*
 * Turn off the slot's power and power indicator, which makes QEMU remove the device.
 * Then restore the register, so that the hotplug driver sees a removal from a powered
 * slot.
 */
static void remove_by_surprise(const struct pf *pf)
{
	char path[64], device[PATH_MAX], config[PATH_MAX + 8];
	__u8 at = 0, id[2] = {};
	__u16 control, off;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", pf->bdf);
	if (!realpath(path, device))
		die("%s: %s", path, strerror(errno));
	*strrchr(device, '/') = '\0';
	snprintf(config, sizeof(config), "%s/config", device);

	fd = must(open(config, O_RDWR));
	must(pread(fd, &id[1], 1, PCI_CAPABILITY_LIST));
	while (id[0] != PCI_CAP_ID_EXP) {
		at = id[1];
		must(pread(fd, id, 2, at));
	}
	must(pread(fd, &control, 2, at + PCI_EXP_SLTCTL));
	off = control & ~PCI_EXP_SLTCTL_HPIE;
	off |= PCI_EXP_SLTCTL_PCC | PCI_EXP_SLTCTL_PIC;
	must(pwrite(fd, &off, 2, at + PCI_EXP_SLTCTL));
	must(pwrite(fd, &control, 2, at + PCI_EXP_SLTCTL));
	close(fd);
}

/* Wait for requests to release VFs; return the number of such VFs. */
static unsigned int await_requests(struct guest *guest, unsigned int count)
{
	struct pollfd pfd[MAX_VFS];
	unsigned int i;

	for (i = 0; i < count; i++)
		pfd[i] = (struct pollfd){ guest[i].request, POLLIN };
	return must(poll(pfd, count, 1000 * PATIENCE));
}

static void *close_vf(void *arg)
{
	struct guest *g = arg;

	close(g->request);
	vf_close(&g->vf);
	return NULL;
}

TEST_F(surprise, removal)
{
	struct guest *g, *end = self->guest + self->count;
	struct sibling *sibling = &self->sibling;
	unsigned int i;
	time_t began;
	int ms_left;

	pf_set_timeout(&self->pf, TIMEOUT);
	for (g = self->guest; g < end; g++) {
		i = (g - self->guest) * points_count() / self->count;
		point_reach(&g->at, &points[i], &g->vf, &g->good);
		guest_freeze(&g->n);
	}
	sibling_start(sibling);
	sibling_await(sibling, 1);

	began = time(NULL);
	remove_by_surprise(&self->pf);
	await_thread(sibling->thread, "the sibling's I/O", BOUND);
	EXPECT_TRUE(sibling->lost);
	for (g = self->guest; g < end; g++)
		if (g->at.thread)
			EXPECT_GT(0, point_finish(&g->at, BOUND))
				TH_LOG("at %s", g->at.point->name);
	TH_LOG("commands ended %ld s after the removal", time(NULL) - began);

	for (g = self->guest; g < end; g++) {
		EXPECT_LE(0, vf_get_state(&g->vf));
		if (point_is_running(g->at.point))
			continue;
		guest_check_frozen(&g->n, "after the removal of the PF");
		EXPECT_GT(0, vf_set_state(&g->vf, VFIO_DEVICE_STATE_RUNNING, NULL))
			TH_LOG("at %s", g->at.point->name);
	}

	/* The kernel requests the VFs one by one, and waits for each. */
	vf_close(&sibling->vf);
	EXPECT_EQ(1, await_requests(self->guest, self->count));
	for (g = self->guest; g < end; g++)
		ASSERT_EQ(0, pthread_create(&g->thread, NULL, close_vf, g));
	for (g = self->guest; g < end; g++)
		await_thread(g->thread, "close", BOUND);
	for (ms_left = 1000 * BOUND; ms_left; ms_left--) {
		if (!sysfs_device_exists(self->pf.bdf))
			break;
		usleep(1000);
	}
	EXPECT_FALSE(sysfs_device_exists(self->pf.bdf));
	for (g = self->guest; g < end; g++) {
		EXPECT_FALSE(sysfs_device_exists(g->vf.bdf));
		if (g->at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(g->at.fd));
	}
	TH_LOG("%u VFs removed after %ld s", self->count + 1, time(NULL) - began);
}

TEST_HARNESS_MAIN
