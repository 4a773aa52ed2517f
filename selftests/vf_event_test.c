// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test events of the VF and its user at each point of a migration: resets, close,
 * kill, unbind, and calls that stall. The next user must get a working VF.
 */
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <linux/pci_regs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/point.h"
#include "lib/stall.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

FIXTURE(vf_event)
{
	const char *bdf;
	struct nvme n;
	struct vf vf;
	struct stream good;
};

FIXTURE_SETUP(vf_event)
{
	const char *why = vf_skip_reason(1, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	self->bdf = vf_bdf(0);
	fault_clear_all(self->bdf);
	guest_init(&self->n);
	vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
	self->n.vf = &self->vf;
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
	guest_suspend(&self->n);
	guest_save(&self->n, &self->good);
	guest_roll_back(&self->n);
}

FIXTURE_TEARDOWN(vf_event)
{
	fault_clear_all(self->bdf);
	vf_close(&self->vf);
	trace_close();
}

/* Restart the guest, check the acknowledged writes, and save and restore its state. */
static void restart_and_save(struct nvme *n)
{
	struct stream s;

	guest_restart(n);
	guest_suspend(n);
	guest_save(n, &s);
	guest_roll_back(n);
	free(s.data);
	io_check(n);
}

/* Resets by the VFIO user, by the host's administrator, and by the guest. */

static void reset_by_ioctl(struct vf *vf)
{
	must(ioctl(vf->fd, VFIO_DEVICE_RESET));
}

static void reset_by_sysfs(struct vf *vf)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset", vf->bdf);
	if (sysfs_write(path, "1"))
		die("reset by %s failed", path);
}

static void reset_by_config(struct vf *vf)
{
	__u8 at = PCI_CAPABILITY_LIST, id[2] = {};
	__u16 control;

	for (vf_config_read(vf, at, &at, 1); ; at = id[1]) {
		vf_config_read(vf, at, id, 2);
		if (id[0] == PCI_CAP_ID_EXP)
			break;
	}
	vf_config_read(vf, at + PCI_EXP_DEVCTL, &control, 2);
	control |= PCI_EXP_DEVCTL_BCR_FLR;
	vf_config_write(vf, at + PCI_EXP_DEVCTL, &control, 2);
}

static void (*const resets[])(struct vf *vf) = {
	reset_by_ioctl, reset_by_sysfs, reset_by_config,
};

/*
 * The guest restarts after a reset while the old command is still in progress. The
 * late answer must not affect the VF.
 */
TEST_F(vf_event, reset)
{
	long long begin, took, longest = 0;
	struct nvme *n = &self->n;
	unsigned int i;
	struct at at;
	int ret;

	for (i = 0; i < points_count(); i++) {
		const struct point *p = &points[i];

		io_submit_all(n, 3);
		point_reach(&at, p, &self->vf, &self->good);
		begin = running_ms();
		resets[i % ARRAY_SIZE(resets)](&self->vf);
		took = running_ms() - begin;
		if (took > longest)
			longest = took;
		vf_reset_done(&self->vf);
		if (at.fd >= 0 && p->command != COMMAND_LOAD)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		guest_restart(n);

		point_answer(&at);
		ret = point_finish(&at, at_once());
		if (p->command == COMMAND_SUSPEND)
			EXPECT_EQ(-EAGAIN, ret);
		/* The standard's driver has what it wants if the VF runs already. */
		if (p->command == COMMAND_RESUME)
			EXPECT_EQ(vf_standard() ? 0 : -EPROTO, ret);
		if (p->command == COMMAND_LOAD)
			EXPECT_EQ(vf_standard() ? -EIO : -EPROTO, ret);
		/* A data_fd whose transition was in progress at the reset fails, too. */
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		close(at.fd);
		EXPECT_EQ(0, vf_images());
		io_check(n);
		restart_and_save(n);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("at %s, reset method %zu", p->name,
			       i % ARRAY_SIZE(resets));
			return;
		}
	}
	TH_LOG("%u resets, longest %lld ms", i, longest);
	EXPECT_GT(1000 * at_once(), longest);
}

/*
 * The controller carries a command out, and a reset comes before the answer, which is that of a
 * success. reset_after_suspend has that of SUSPEND.
 */
TEST_F(vf_event, reset_before_answer)
{
	struct nvme *n = &self->n;
	unsigned int i, count = 0;
	struct at at;

	for (i = 0; i < points_count(); i++) {
		const struct point *p = &points[i];

		if (!p->command || p->command == COMMAND_SUSPEND)
			continue;
		io_submit_all(n, 3);
		point_reach_late(&at, p, &self->vf, &self->good);
		resets[count++ % ARRAY_SIZE(resets)](&self->vf);
		vf_reset_done(&self->vf);
		point_answer(&at);
		/* RESUME, which comes after LOAD_DATA, finds that the VF runs. */
		EXPECT_EQ(p->command == COMMAND_LOAD && p->next ? -EPROTO : 0,
			  point_finish(&at, at_once()));
		EXPECT_EQ(0U, nvme_read32(n, NVME_CC));
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_EQ(0, vf_images());
		close(at.fd);
		restart_and_save(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("at %s", p->name);
	}
	TH_LOG("%u commands", count);
}

struct transition {
	struct vf	*vf;
	unsigned int	next;
	int		ret;
};

static void *run_transition(void *arg)
{
	struct transition *t = arg;

	t->ret = vf_set_state(t->vf, t->next, NULL);
	return NULL;
}

/*
 * The controller carries out SUSPEND, and a reset ends the suspension before the
 * command completes. The controller must refuse the RESUME that undoes SUSPEND,
 * because the VF runs. That is no failure.
 */
TEST_F(vf_event, reset_after_suspend)
{
	static const unsigned int arcs[][2] = {
		{ VFIO_DEVICE_STATE_RUNNING, VFIO_DEVICE_STATE_RUNNING_P2P },
		{ VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P },
	};
	struct transition t = { &self->vf };
	pthread_t thread;
	unsigned int i;
	char *events;
	int fd;

	for (i = 0; i < ARRAY_SIZE(arcs) * ARRAY_SIZE(resets); i++) {
		io_submit_all(&self->n, 3);
		ASSERT_EQ(0, vf_set_state(&self->vf, arcs[i / ARRAY_SIZE(resets)][0],
					  &fd));
		t.next = arcs[i / ARRAY_SIZE(resets)][1];
		ASSERT_TRUE(fault_set(self->bdf, COMMAND_SUSPEND, FAULT_LATE,
				      1000 * PATIENCE));
		trace_clear();
		log_open();
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_transition, &t));
		point_await_commands(COMMAND_SUSPEND, 1);
		resets[i % ARRAY_SIZE(resets)](&self->vf);
		vf_reset_done(&self->vf);
		ASSERT_TRUE(fault_set(self->bdf, COMMAND_SUSPEND, FAULT_NONE, 0));
		await_thread(thread, "SUSPEND", at_once());

		EXPECT_EQ(-EAGAIN, t.ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_FALSE(log_has("RESUME"));
		/*
		 * Controller Not Suspended, or the vendor's Command Sequence Error: SUSPEND
		 * was carried out before the reset.
		 */
		events = trace_read();
		EXPECT_NE(NULL, strstr(events, vf_standard() ? "error=-5 status=0x413a" :
							       "error=-71 status=0x400c"));
		free(events);
		close(fd);
		restart_and_save(&self->n);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("from state %u, reset method %zu",
			       arcs[i / ARRAY_SIZE(resets)][0],
			       i % ARRAY_SIZE(resets));
			return;
		}
	}
}

/*
 * SUSPEND waits for I/O that hangs. A reset of the VF calls SUSPEND off, so the PF, with
 * the VFs of others, need not be reset.
 */
TEST_F(vf_event, reset_calls_suspend_off)
{
	struct transition t = { &self->vf, VFIO_DEVICE_STATE_RUNNING_P2P };
	struct nvme *n = &self->n;
	pthread_t thread;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(resets); i++) {
		ASSERT_TRUE(fault_set(self->bdf, COMMAND_SUSPEND, FAULT_HANG, 0));
		io_submit_all(n, 3);
		trace_clear();
		ASSERT_EQ(0, pthread_create(&thread, NULL, run_transition, &t));
		point_await_commands(COMMAND_SUSPEND, 1);
		resets[i](&self->vf);
		await_thread(thread, "SUSPEND", at_once());
		vf_reset_done(&self->vf);

		EXPECT_EQ(-EAGAIN, t.ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		/* A reset of the PF would have taken the VF offline. */
		EXPECT_LT(0, vf_mig_data_size(&self->vf));
		ASSERT_TRUE(fault_set(self->bdf, COMMAND_SUSPEND, FAULT_NONE, 0));
		restart_and_save(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("reset method %u", i);
	}
}

/* SUSPEND ends after a reset, and the RESUME that undoes it fails: ERROR. */
TEST_F(vf_event, undo_of_suspend_fails)
{
	const struct point *p = points;
	struct at at;

	while (p->command != COMMAND_SUSPEND)
		p++;
	point_reach(&at, p, &self->vf, &self->good);
	vf_reset(&self->vf);
	ASSERT_TRUE(fault_set_once(self->bdf, COMMAND_RESUME, FAULT_STATUS, 0x6));
	point_answer(&at);
	EXPECT_EQ(-EAGAIN, point_finish(&at, at_once()));
	EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(&self->vf));

	vf_reset(&self->vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
	restart_and_save(&self->n);
}

/* A VF may still be suspended if it does not answer after a reset: ERROR. */
TEST_F(vf_event, no_answer_after_reset)
{
	struct vf *vf = &self->vf;
	struct utsname kernel;
	unsigned int i;
	struct pf pf;

	/* Such a kernel resets the PF, too, if the VF does not answer before the reset. */
	must(uname(&kernel));
	if (atoi(kernel.release) >= 7)
		SKIP(return, "this kernel resets the whole bus");
	pf_open(&pf, self->bdf);
	/* The last way needs a configuration space that answers. */
	for (i = 0; resets[i] != reset_by_config; i++) {
		ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		log_open();
		pf_set_vf_enable(&pf, false);
		/* VFIO and sysfs report that the reset failed if the VF needs time. */
		resets[i](vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
		EXPECT_TRUE(log_has("VF does not answer after a reset"));
		EXPECT_EQ(-EINVAL, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));

		pf_set_vf_enable(&pf, true);
		pf_restore_vfs(&pf);
		vf_reset(vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		restart_and_save(&self->n);
	}
}

static const enum file {
	DEVICE, GROUP, IOMMU, BAR, DATA, FILES
} orders[][FILES] = {
	{ DATA, BAR, DEVICE, GROUP, IOMMU },
	{ IOMMU, GROUP, DEVICE, BAR, DATA },
	{ GROUP, DATA, IOMMU, BAR, DEVICE },
	{ DEVICE, IOMMU, DATA, GROUP, BAR },
};

/* Enough to close all files */
#define CLOSE_US	50000

struct closer {
	struct vf		*vf;
	struct at		*at;
	const enum file		*order;
	pthread_t		thread;
	bool			done;
};

static void *close_all(void *arg)
{
	struct closer *c = arg;
	int i;

	for (i = 0; i < FILES; i++) {
		switch (c->order[i]) {
		case DEVICE:
			close(c->vf->fd);
			break;
		case GROUP:
			close(c->vf->group);
			break;
		case IOMMU:
			close(c->vf->iommu);
			break;
		case BAR:
			munmap(c->vf->bar, c->vf->bar_size);
			break;
		default:
			close(c->at->fd);
		}
	}
	__atomic_store_n(&c->done, true, __ATOMIC_RELEASE);
	return NULL;
}

/* Close waits for a command that reads or writes the driver's memory. */
TEST_F(vf_event, close)
{
	struct closer closer = { &self->vf };
	struct at at;
	unsigned int i;
	int irq;

	for (i = 0; i < points_count(); i = point_next(i, 3)) {
		io_submit_all(&self->n, 3);
		point_reach(&at, &points[i], &self->vf, &self->good);
		closer.at = &at;
		closer.order = orders[i % ARRAY_SIZE(orders)];
		closer.done = false;
		ASSERT_EQ(0, pthread_create(&closer.thread, NULL, close_all,
					    &closer));
		/* A call on the device would still have it open. */
		if (points[i].command && !points[i].next) {
			usleep(CLOSE_US);
			EXPECT_FALSE(__atomic_load_n(&closer.done, __ATOMIC_ACQUIRE))
				TH_LOG("at %s", points[i].name);
		}
		point_answer(&at);
		await_thread(closer.thread, "close", at_once());
		/* The command may succeed or fail; close the data_fd of a success. */
		at.fd = -1;
		point_finish(&at, at_once());
		close(at.fd);
		for (irq = 0; irq < self->vf.vectors; irq++)
			close(self->vf.irq[irq]);

		vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_EQ(0, vf_images());
		restart_and_save(&self->n);
	}
}

/* Start a process that brings the VF to @point and then pauses. */
static pid_t start_user_at(FIXTURE_DATA(vf_event) * self, const struct point *point)
{
	int ready[2];
	pid_t pid;
	char byte;

	must(pipe(ready));
	pid = must(fork());
	if (!pid) {
		struct at at;

		vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		guest_restart(&self->n);
		io_submit_all(&self->n, 3);
		point_reach(&at, point, &self->vf, &self->good);
		must(write(ready[1], "", 1));
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1)
		die("the process did not reach the point \"%s\"", point->name);
	close(ready[0]);
	return pid;
}

/* Wait until the killed process ended; exit if the process does not end in time. */
static void await_killed(pid_t pid, const char *where)
{
	int status, ms_left = 1000 * at_once();

	while (!must(waitpid(pid, &status, WNOHANG))) {
		if (!--ms_left)
			die("process killed at %s did not end in %d s", where, at_once());
		usleep(1000);
	}
	if (!WIFSIGNALED(status))
		die("process at %s ended with status %#x, expected a signal", where,
		    status);
}

TEST_F(vf_event, kill)
{
	struct at at = { .vf = &self->vf };
	unsigned int i;
	pid_t pid;

	for (i = 0; i < points_count(); i = point_next(i, 4)) {
		vf_close(&self->vf);
		pid = start_user_at(self, &points[i]);
		kill(pid, SIGKILL);
		at.point = &points[i];
		point_answer(&at);
		await_killed(pid, points[i].name);

		/* The test does not know what the process wrote. */
		memset(self->n.seq, 0, sizeof(self->n.seq));
		vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_EQ(0, vf_images());
		restart_and_save(&self->n);
	}
}

static void call_get_state(struct vf *vf)
{
	vf_get_state(vf);
}

static void call_set_state(struct vf *vf)
{
	vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
}

static void call_data_size(struct vf *vf)
{
	vf_mig_data_size(vf);
}

/* A process can be killed while it waits for the command of another thread. */
TEST_F(vf_event, kill_while_waiting)
{
	static void (*const calls[])(struct vf *vf) = {
		call_get_state, call_set_state, call_data_size,
	};
	const struct point *p = points;
	unsigned int i;
	struct at at;
	pid_t pid;

	while (p->command != COMMAND_SUSPEND)
		p++;
	point_reach(&at, p, &self->vf, &self->good);
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		pid = must(fork());
		if (!pid) {
			calls[i](&self->vf);
			_exit(0);
		}
		await_sleep(pid, SYS_ioctl, self->vf.fd);
		kill(pid, SIGKILL);
		await_killed(pid, "a wait for SUSPEND");
	}
	point_answer(&at);
	EXPECT_EQ(0, point_finish(&at, at_once()));
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(&self->vf));
	EXPECT_EQ(0, vf_set_state(&self->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	io_check(&self->n);
}

#define DRIVER		"/sys/bus/pci/drivers/nvme-vfio-pci/"

static void *unbind_driver(void *arg)
{
	const char *bdf = arg;

	if (sysfs_write(DRIVER "unbind", bdf))
		die("unbinding %s from its driver failed", bdf);
	return NULL;
}

/* Unbind notifies the user and waits for close. Until then migration works. */
TEST_F(vf_event, unbind)
{
	struct pollfd request;
	pthread_t thread;
	unsigned int i;
	char path[64];
	struct at at;

	snprintf(path, sizeof(path), DRIVER "%s", self->bdf);
	for (i = 0; i < points_count(); i = point_next(i, 5)) {
		io_submit_all(&self->n, 3);
		request.fd = vf_request_fd(&self->vf);
		request.events = POLLIN;
		point_reach(&at, &points[i], &self->vf, &self->good);
		ASSERT_EQ(0, pthread_create(&thread, NULL, unbind_driver,
					    (void *)self->bdf));
		EXPECT_EQ(1, poll(&request, 1, 1000 * PATIENCE));
		point_answer(&at);
		EXPECT_EQ(0, point_finish(&at, at_once()));
		if (points[i].state == VFIO_DEVICE_STATE_STOP_COPY)
			EXPECT_EQ(0, stream_transfer_byte(at.fd));

		close(request.fd);
		vf_close(&self->vf);
		await_thread(thread, "unbind", at_once());
		EXPECT_NE(0, access(path, F_OK));
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		vf_bind(self->bdf);
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		close(at.fd);
		vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		restart_and_save(&self->n);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("at %s", points[i].name);
			return;
		}
	}
}

static bool nvme_is_live(const char *bdf)
{
	char pattern[64], state[16] = "";
	glob_t found;
	FILE *file;

	snprintf(pattern, sizeof(pattern),
		 "/sys/bus/pci/devices/%s/nvme/nvme*/state", bdf);
	if (glob(pattern, 0, NULL, &found))
		return false;
	file = fopen(found.gl_pathv[0], "r");
	globfree(&found);
	if (!file)
		return false;
	if (!fgets(state, sizeof(state), file))
		*state = '\0';
	fclose(file);
	return !strcmp(state, "live\n");
}

/* The host's nvme driver gets a working VF after unbind in a suspended state. */
TEST_F(vf_event, bind_to_nvme)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_RUNNING_P2P, VFIO_DEVICE_STATE_STOP_COPY,
	};
	int fd, tries, request;
	pthread_t thread;
	struct pollfd pfd;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ASSERT_EQ(0, vf_set_state(&self->vf, states[i], &fd));
		request = vf_request_fd(&self->vf);
		ASSERT_EQ(0, pthread_create(&thread, NULL, unbind_driver,
					    (void *)self->bdf));
		pfd = (struct pollfd){ request, POLLIN };
		EXPECT_EQ(1, poll(&pfd, 1, 1000 * PATIENCE));
		close(fd);
		close(request);
		vf_close(&self->vf);
		await_thread(thread, "unbind", at_once());

		vf_rebind(self->bdf, "nvme");
		for (tries = 10 * PATIENCE; tries; tries--) {
			if (nvme_is_live(self->bdf))
				break;
			usleep(100000);
		}
		EXPECT_NE(0, tries);
		vf_rebind(self->bdf, NULL);
		vf_open(&self->vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		restart_and_save(&self->n);
	}
}

/* Bind a function to the driver, and expect a reason why it cannot migrate. */
static void bind_without_migration(struct __test_metadata *_metadata, const char *bdf,
				   const char *reason)
{
	char text[80];

	log_open();
	vf_rebind(bdf, NULL);
	snprintf(text, sizeof(text), "%s: migration off: %s", bdf, reason);
	EXPECT_TRUE(log_has(text));
}

/* The PF has no driver, or ours, which does not take it while it has VFs. */
TEST_F(vf_event, bind_without_pf)
{
	struct vf *vf = &self->vf;
	char path[64];
	struct pf pf;

	pf_open(&pf, self->bdf);
	vf_close(vf);
	pf_unbind(&pf);
	bind_without_migration(_metadata, self->bdf, "PF is not bound to nvme");
	vf_open(vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
	EXPECT_EQ(-ENOTTY, vf_mig_flags(vf));
	vf_close(vf);
	bind_without_migration(_metadata, pf.bdf, "not a virtual function");

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", pf.bdf);
	sysfs_set(path, "\n");
	pf_bind(&pf);
	pf_await_live(&pf);
	pf_restore_vfs(&pf);
	vf_rebind(self->bdf, NULL);
	vf_open(vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
	restart_and_save(&self->n);
}

#define STALL_LEN	24

static int read_part(void *buf, void *fd)
{
	int ret = read(*(int *)fd, buf, STALL_LEN);

	return ret < 0 ? -errno : ret;
}

static int write_part(void *buf, void *fd)
{
	int ret = write(*(int *)fd, buf, STALL_LEN);

	return ret < 0 ? -errno : ret;
}

struct transfer {
	int	fd;
	int	ret;
};

static void *transfer_byte(void *arg)
{
	struct transfer *t = arg;

	t->ret = stream_transfer_byte(t->fd);
	return NULL;
}

/*
 * Return the result of a non-blocking read() or write() of one byte, which must not wait
 * for a call that stalls.
 */
static int transfer_byte_nonblocking(int fd)
{
	int flags = must(fcntl(fd, F_GETFL));
	struct transfer t = { fd };
	pthread_t thread;

	must(fcntl(fd, F_SETFL, flags | O_NONBLOCK));
	if (pthread_create(&thread, NULL, transfer_byte, &t))
		die("pthread_create failed");
	await_thread(thread, "a non-blocking call", at_once());
	must(fcntl(fd, F_SETFL, flags));
	return t.ret;
}

/* Where a call stalls: the state, and the offset in the stream. */
static const struct place {
	unsigned int	state;
	size_t		at;
} places[] = {
	{ VFIO_DEVICE_STATE_PRE_COPY },
	{ VFIO_DEVICE_STATE_STOP_COPY },
	{ VFIO_DEVICE_STATE_STOP_COPY, 300 },
	{ VFIO_DEVICE_STATE_RESUMING },
	{ VFIO_DEVICE_STATE_RESUMING, 20 },
	{ VFIO_DEVICE_STATE_RESUMING, 300 },
	/* The END record; the driver loads the state when END is complete. */
	{ VFIO_DEVICE_STATE_RESUMING, -STALL_LEN },
};

enum action { NEXT_STATE, RESET, RESET_BY_SYSFS, RESET_PF, CLOSE, ACTIONS };

/*
 * A call that stalls in copy_{to,from}_user must not block other calls. After a
 * reset, its data must not reach the VF.
 */
TEST_F(vf_event, stalled_call)
{
	struct stream *good = &self->good, part;
	struct vf *vf = &self->vf;
	unsigned char buf[400];
	struct stall stall;
	long long size;
	struct pollfd pfd;
	struct pf pf;
	unsigned int i;
	int fd, ret;

	pf_open(&pf, self->bdf);
	for (i = 0; i < ARRAY_SIZE(places) * ACTIONS; i++) {
		const struct place *place = &places[i / ACTIONS];
		size_t before = place->at < good->len ? place->at :
				good->len + place->at;
		bool writing = place->state == VFIO_DEVICE_STATE_RESUMING;
		enum action action = i % ACTIONS;

		ASSERT_EQ(0, vf_set_state(vf, place->state, &fd));
		part = (struct stream){ good->data, before };
		ASSERT_EQ(writing ? 0 : before, writing ?
			  stream_write(&part, fd, 4096) : read(fd, buf, before));
		stall_begin(&stall, writing ? write_part : read_part, &fd);

		/* Queries must not block. */
		pfd = (struct pollfd){ fd, writing ? POLLOUT : POLLIN };
		EXPECT_EQ(1, poll(&pfd, 1, 0));
		EXPECT_EQ(place->state, vf_get_state(vf));
		size = vf_mig_data_size(vf);
		EXPECT_LT(0, size);
		if (place->state == VFIO_DEVICE_STATE_STOP_COPY)
			EXPECT_EQ((long long)good->len, size);
		EXPECT_EQ(-EAGAIN, transfer_byte_nonblocking(fd));

		switch (action) {
		case NEXT_STATE:
			ret = vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
			EXPECT_EQ(writing ? -EINVAL : 0, ret);
			break;
		case RESET:
			reset_by_ioctl(vf);
			break;
		case RESET_BY_SYSFS:
			reset_by_sysfs(vf);
			break;
		case RESET_PF:
			pf_reset(&pf);
			pf_restore_vfs(&pf);
			vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
			vf_reset(vf);
			break;
		default:
			vf_close(vf);
			vf_open(vf, self->bdf, VF_ANY, self->n.mem, GUEST_MEM);
		}
		if (!writing || action != NEXT_STATE)
			EXPECT_EQ(-ENODEV, transfer_byte_nonblocking(fd));
		if (action != NEXT_STATE) {
			vf_reset_done(vf);
			restart_and_save(&self->n);
		}

		ret = stall_end(&stall, good->data + before, STALL_LEN, at_once());
		if (writing && action == NEXT_STATE) {
			EXPECT_EQ(STALL_LEN, ret);
			part.data = good->data + before + STALL_LEN;
			part.len = good->len - before - STALL_LEN;
			EXPECT_EQ(0, stream_write(&part, fd, 4096));
			EXPECT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP,
						  NULL));
			vf_reset(vf);
			restart_and_save(&self->n);
		} else {
			EXPECT_EQ(-ENODEV, ret);
			EXPECT_EQ(-ENODEV, stream_transfer_byte(fd));
			EXPECT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING,
						  NULL));
		}
		close(fd);
		io_check(&self->n);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("state %u after %zu bytes, action %u",
			       place->state, before, action);
			return;
		}
	}
}

/*
 * A process that waits for a stalled call of another can be killed. After a process is killed
 * in a stalled call, other processes can use the data_fd.
 */
TEST_F(vf_event, kill_in_stalled_call)
{
	static const unsigned int states[] = {
		VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_RESUMING,
	};
	struct vf *vf = &self->vf;
	pid_t pid, waiting;
	struct stall stall;
	int fd, ready[2];
	unsigned int i;
	char byte;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		ASSERT_EQ(0, vf_set_state(vf, states[i], &fd));
		must(pipe(ready));
		pid = must(fork());
		if (!pid) {
			stall_begin(&stall, states[i] == VFIO_DEVICE_STATE_RESUMING ?
				    write_part : read_part, &fd);
			must(write(ready[1], "", 1));
			for (;;)
				pause();
		}
		ASSERT_EQ(1, read(ready[0], &byte, 1));
		waiting = must(fork());
		if (!waiting) {
			stream_transfer_byte(fd);
			_exit(0);
		}
		await_sleep(waiting, states[i] == VFIO_DEVICE_STATE_RESUMING ? SYS_write :
			    SYS_read, fd);
		kill(waiting, SIGKILL);
		await_killed(waiting, "a wait for a stalled call");
		kill(pid, SIGKILL);
		await_killed(pid, "a stalled call");
		EXPECT_EQ(0, stream_transfer_byte(fd));
		close(ready[0]);
		close(ready[1]);
		close(fd);
		vf_reset(vf);
		restart_and_save(&self->n);
	}
}

TEST_HARNESS_MAIN
