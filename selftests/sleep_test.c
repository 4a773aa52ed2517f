// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test a host that sleeps while a VF is in use. Only the first steps of a sleep are made,
 * by pm_test, so the host wakes immediately: devices have been suspended and resumed.
 */
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/point.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define PM_TEST		"/sys/power/pm_test"

FIXTURE(sleep)
{
	struct nvme n;
	struct vf vf;
	struct pf pf;
	struct stream good;
};

FIXTURE_VARIANT(sleep)
{
	const char *state;
	const char *pm_test;
};

FIXTURE_VARIANT_ADD(sleep, memory) { .state = "mem", .pm_test = "platform" };
FIXTURE_VARIANT_ADD(sleep, idle) { .state = "freeze", .pm_test = "devices" };

FIXTURE_SETUP(sleep)
{
	const char *why = vf_skip_reason(1, VF_ANY, false);

	if (why)
		SKIP(return, "%s", why);
	if (access(PM_TEST, W_OK))
		SKIP(return, "the kernel has no pm_test");
	pf_open(&self->pf, vf_bdf(0));
	guest_open(&self->n, &self->vf, 1, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
	guest_suspend(&self->n);
	guest_save(&self->n, &self->good);
	guest_roll_back(&self->n);
}

FIXTURE_TEARDOWN(sleep)
{
	vf_close(&self->vf);
}

/* nvme resets the PF when the host wakes. The VF must be lost as by any such reset. */
TEST_F(sleep, each_state)
{
	struct nvme *n = &self->n;
	unsigned int i, state;
	struct at at;
	bool lost;

	sysfs_set("/sys/module/suspend/parameters/pm_test_delay", "0");
	for (i = 0; i < points_count(); i++) {
		/* The host cannot sleep while a process waits for a command. */
		if (points[i].command)
			continue;
		point_reach(&at, &points[i], &self->vf, &self->good);
		lost = !point_is_running(&points[i]);

		log_open();
		sysfs_set(PM_TEST, variant->pm_test);
		sysfs_set("/sys/power/state", variant->state);
		sysfs_set(PM_TEST, "none");
		pf_await_live(&self->pf);

		EXPECT_EQ(points[i].state, vf_get_state(&self->vf));
		EXPECT_EQ(lost ? -ENODEV : 0,
			  vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		state = lost ? VFIO_DEVICE_STATE_ERROR : VFIO_DEVICE_STATE_RUNNING;
		EXPECT_EQ(state, vf_get_state(&self->vf));
		EXPECT_EQ(lost, log_has("state of the VF is unknown"));

		pf_restore_vfs(&self->pf);
		vf_reset(&self->vf);
		close(at.fd);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		guest_restart(n);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("at %s", points[i].name);
			return;
		}
	}
}

/*
 * In suspend to idle, nvme may leave the PF on, while the VF goes to D3hot and may return
 * reset. Here the PF resets the VF, because nvme turns the PF of the device model off. With
 * the standard's set, the driver takes that for a controller reset by the owner.
 */
TEST_F(sleep, vf_was_reset)
{
	guest_suspend(&self->n);
	pf_take_vf_offline(&self->pf, self->vf.bdf);
	pf_restore_vfs(&self->pf);

	EXPECT_EQ(vf_standard() ? 0 : -EPROTO,
		  vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_EQ(vf_standard() ? VFIO_DEVICE_STATE_RUNNING : VFIO_DEVICE_STATE_RUNNING_P2P,
		  vf_get_state(&self->vf));
	vf_reset(&self->vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
	guest_restart(&self->n);
}

TEST_HARNESS_MAIN
