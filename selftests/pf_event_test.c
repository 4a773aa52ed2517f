// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test events of the PF at each point of a migration: controller reset, driver
 * unbind and bind, command timeout, VF taken offline, and removal of the VFs.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
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

FIXTURE(pf_event)
{
	const char *bdf[2];
	struct nvme n;
	struct vf vf;
	struct pf pf;
	struct sibling sibling;
	struct stream good;
};

FIXTURE_SETUP(pf_event)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	self->bdf[0] = vf_bdf(0);
	self->bdf[1] = vf_bdf(1);
	fault_clear_all(self->bdf[0]);
	pf_open(&self->pf, self->bdf[0]);

	guest_init(&self->n);
	vf_open(&self->vf, self->bdf[0], VF_ANY, self->n.mem, GUEST_MEM);
	self->n.vf = &self->vf;
	sibling_open(&self->sibling, self->bdf[1], VF_ANY);

	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
	guest_suspend(&self->n);
	guest_save(&self->n, &self->good);
	guest_roll_back(&self->n);
}

FIXTURE_TEARDOWN(pf_event)
{
	pf_set_timeout(&self->pf, 60);
	fault_clear_all(self->bdf[0]);
	vf_close(&self->vf);
	vf_close(&self->sibling.vf);
	trace_close();
}

/* A saved state stays readable; without a saved state, read() fails with @error. */
static void expect_stream(struct __test_metadata *_metadata, struct at *at,
			  int error)
{
	struct stream s;
	int ret;

	if (at->point->state != VFIO_DEVICE_STATE_STOP_COPY)
		return;
	ret = stream_read(&s, at->fd, 4096);
	if (at->point->command) {
		EXPECT_EQ(error, ret);
	} else {
		EXPECT_EQ(0, ret);
		free(s.data);
	}
}

/* The VF is not suspended any more, so it gets no state: it would run. */
static void expect_no_load(struct __test_metadata *_metadata, struct at *at)
{
	size_t written = at->point->written;
	struct stream rest;

	if (at->point->state != VFIO_DEVICE_STATE_RESUMING || at->point->command ||
	    written == WHOLE_STREAM)
		return;
	rest = (struct stream){ at->stream->data + written, at->stream->len - written };
	EXPECT_EQ(-ENODEV, stream_write(&rest, at->fd, PAGE));
}

/* The PF lost the state of suspended VFs, so their migration state becomes ERROR. */
static void expect_lost(struct __test_metadata *_metadata, struct at *at)
{
	bool lost = !point_is_running(at->point) ||
		    at->point->command == COMMAND_SUSPEND;
	unsigned int state = at->point->state;
	struct vf *vf = at->vf;
	int ret;

	ret = point_finish(at, at_once());
	EXPECT_EQ(at->point->command && at->point->command != COMMAND_SAVE ?
		  -ECANCELED : 0, ret);
	expect_stream(_metadata, at, -ECANCELED);
	expect_no_load(_metadata, at);

	if (lost && at->point->next)
		state = VFIO_DEVICE_STATE_ERROR;
	EXPECT_EQ(state, vf_get_state(vf));
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	if (lost) {
		EXPECT_EQ(state == VFIO_DEVICE_STATE_ERROR ? -EINVAL : -ENODEV,
			  ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
	} else {
		EXPECT_EQ(0, ret);
	}
	EXPECT_EQ(lost, log_has("state of the VF is unknown"));
}

struct event {
	const char	*name;
	void		(*happen)(const struct pf *pf, const struct vf *vf);
	void		(*expect)(struct __test_metadata *_metadata,
				  struct at *at);
	/* Restore the PF or the VF; may be NULL. */
	void		(*undo)(const struct pf *pf, const struct vf *vf);
	/* What resets the sibling's controller, if anything. */
	enum { LOST_BY_EVENT, LOST_BY_UNDO, NOT_LOST } sibling;
	unsigned int	first;		/* index of the first point to test */
	unsigned int	step;		/* between points; on slow kernels twice that */
	bool		always;		/* take these steps on all kernels */
	int		extra;		/* seconds that it may take, besides at_once() */
};

/* Cause the event at each point. After a reset, the VF must work again. */
static void test_each_point(struct __test_metadata *_metadata,
			    FIXTURE_DATA(pf_event) * self,
			    const struct event *event)
{
	struct sibling *sibling = &self->sibling;
	long long begin, took, longest = 0, stall = 0;
	unsigned int i, count = 0;
	struct nvme *n = &self->n;
	unsigned long done = 0;
	struct at at;

	for (i = event->first; i < points_count();
	     i = event->always ? i + event->step : point_next(i, 2 * event->step), count++) {
		io_submit_all(n, 3);
		sibling_start(sibling);
		point_reach(&at, &points[i], &self->vf, &self->good);
		sibling_await(sibling, 1);
		guest_freeze(n);

		log_open();
		begin = running_ms();
		event->happen(&self->pf, &self->vf);
		event->expect(_metadata, &at);
		took = running_ms() - begin;
		if (took > longest)
			longest = took;
		if (!point_is_running(&points[i]))
			guest_check_frozen(n, event->name);

		if (event->sibling != LOST_BY_EVENT) {
			sibling_await(sibling, 20);
			EXPECT_FALSE(sibling->lost);
		}
		if (event->undo)
			event->undo(&self->pf, &self->vf);
		sibling_stop(sibling);
		EXPECT_EQ(event->sibling != NOT_LOST, sibling->lost);
		done += sibling->completed;
		if (sibling->stall_ms > stall)
			stall = sibling->stall_ms;

		fault_clear_all(self->vf.bdf);
		pf_restore_vfs(&self->pf);
		vf_reset(&self->vf);
		close(at.fd);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
		EXPECT_EQ(0, vf_images());
		guest_restart(n);
		if (sibling->lost) {
			vf_reset(&sibling->vf);
			guest_restart(&sibling->n);
		} else {
			io_check(&sibling->n);
		}
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("at %s", points[i].name);
			return;
		}
	}
	TH_LOG("%s at %u points: longest %lld ms; sibling: %lu I/Os, longest stall %lld ms",
	       event->name, count, longest, done, stall);
	EXPECT_GT(1000 * (at_once() + event->extra), longest);
}

static void reset(const struct pf *pf, const struct vf *vf)
{
	pf_reset(pf);
}

TEST_F(pf_event, reset)
{
	static const struct event event = {
		"reset", reset, expect_lost, NULL, LOST_BY_EVENT, 0, 3
	};

	test_each_point(_metadata, self, &event);
}

static void reset_function(const struct pf *pf, const struct vf *vf)
{
	pf_reset_function(pf);
}

/* A function-level reset of the PF also removes the VFs until the kernel restores them. */
TEST_F(pf_event, reset_function)
{
	static const struct event event = {
		"function-level reset", reset_function, expect_lost, NULL,
		LOST_BY_EVENT, 0, 4
	};

	test_each_point(_metadata, self, &event);
}

static void fatal_error(const struct pf *pf, const struct vf *vf)
{
	pf_fatal_error(pf);
	pf_await_live(pf);
}

/* The kernel's recovery from a PCI error resets the bus, without telling the VFs' driver. */
TEST_F(pf_event, fatal_error)
{
	static const struct event event = {
		"fatal PCI error", fatal_error, expect_lost, NULL, LOST_BY_EVENT,
		0, 2
	};

	if (!pf_can_inject_errors())
		SKIP(return, "this kernel injects no PCI errors");
	test_each_point(_metadata, self, &event);
}

static void reset_subsystem(const struct pf *pf, const struct vf *vf)
{
	struct nvme_admin_cmd keep_alive = { .opcode = 0x18, .timeout_ms = 1000 };

	if (pf_reset_subsystem(pf))
		die("%s: resetting the subsystem failed", pf->bdf);
	/* A command that is not answered makes the nvme driver reset the PF. */
	pf_admin(pf, &keep_alive);
	pf_await_live(pf);
}

/* For the driver, this is a timeout. Each point takes seconds. */
TEST_F(pf_event, reset_subsystem)
{
	static const struct event event = {
		"reset of the subsystem", reset_subsystem, expect_lost, NULL,
		LOST_BY_EVENT, 0, 4, true, 2
	};

	pf_set_timeout(&self->pf, 1);
	test_each_point(_metadata, self, &event);
}

static void unbind(const struct pf *pf, const struct vf *vf)
{
	pf_unbind(pf);
}

static void bind(const struct pf *pf, const struct vf *vf)
{
	pf_bind(pf);
}

/* Without the PF's driver, VFs do I/O but cannot migrate. */
TEST_F(pf_event, unbind)
{
	static const struct event event = {
		"unbind", unbind, expect_lost, bind, LOST_BY_UNDO, 0, 4
	};

	test_each_point(_metadata, self, &event);
}

static void rebind(const struct pf *pf, const struct vf *vf)
{
	pf_unbind(pf);
	pf_bind(pf);
}

TEST_F(pf_event, rebind)
{
	static const struct event event = {
		"rebind", rebind, expect_lost, NULL, LOST_BY_EVENT, 0, 5
	};

	test_each_point(_metadata, self, &event);
}

static void do_nothing(const struct pf *pf, const struct vf *vf)
{
}

static void await_live(const struct pf *pf, const struct vf *vf)
{
	pf_await_live(pf);
}

/* A command times out, so the nvme driver resets the PF. */
TEST_F(pf_event, timeout)
{
	static const struct event event = {
		/* Points from 10 on are in the middle of a command. */
		"timeout", do_nothing, expect_lost, await_live, LOST_BY_EVENT,
		10, 3, false, 2
	};

	pf_set_timeout(&self->pf, 1);
	test_each_point(_metadata, self, &event);
}

static void offline(const struct pf *pf, const struct vf *vf)
{
	pf_take_vf_offline(pf, vf->bdf);
}

static void online(const struct pf *pf, const struct vf *vf)
{
	pf_restore_vfs(pf);
}

/* Commands fail for a VF that is offline. The migration state must not change. */
static void expect_refusal(struct __test_metadata *_metadata, struct at *at)
{
	const enum fault_command command = at->point->command;
	struct vf *vf = at->vf;
	int ret;

	point_answer(at);
	ret = point_finish(at, at_once());
	EXPECT_EQ(command && command != COMMAND_SAVE ? fault_offline_result(command) : 0, ret);
	expect_stream(_metadata, at, -EIO);

	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	if (point_is_running(at->point)) {
		EXPECT_EQ(0, ret);
		EXPECT_EQ(-EIO, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	} else if (at->point->state == VFIO_DEVICE_STATE_RESUMING &&
		   at->point->written != WHOLE_STREAM) {
		EXPECT_GT(0, ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(vf));
	} else {
		EXPECT_EQ(-EIO, ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(vf));
	}
}

TEST_F(pf_event, offline)
{
	static const struct event event = {
		"offline", offline, expect_refusal, online, NOT_LOST, 0, 3
	};

	test_each_point(_metadata, self, &event);
}

/* Wait until the thread, which stores its ID in *@tid, sleeps in the system call. */
static void await_call(const pid_t *tid, long call, int fd)
{
	while (!__atomic_load_n(tid, __ATOMIC_ACQUIRE))
		usleep(1000);
	await_sleep(*tid, call, fd);
}

/* A thread that waits for a stream. */
struct waiter {
	int		fd;		/* data_fd, or one of epoll that has it */
	long		call;		/* SYS_read, SYS_poll or SYS_epoll_wait */
	pid_t		tid;
	pthread_t	thread;
	int		ret;		/* of the call, or -errno */
	__u32		events;
};

static void *wait_for_stream(void *arg)
{
	struct waiter *w = arg;
	struct pollfd pfd = { w->fd, POLLIN };
	struct epoll_event event = {};
	char byte;

	__atomic_store_n(&w->tid, gettid(), __ATOMIC_RELEASE);
	if (w->call == SYS_read)
		w->ret = read(w->fd, &byte, 1);
	else if (w->call == SYS_poll)
		w->ret = poll(&pfd, 1, 1000 * PATIENCE);
	else
		w->ret = syscall(SYS_epoll_wait, w->fd, &event, 1, 1000 * PATIENCE);
	if (w->ret < 0)
		w->ret = -errno;
	w->events = w->call == SYS_poll ? pfd.revents : event.events;
	return NULL;
}

static void start_waiter(struct waiter *w)
{
	if (pthread_create(&w->thread, NULL, wait_for_stream, w))
		die("pthread_create() failed");
	await_call(&w->tid, w->call, w->call == SYS_poll ? -1 : w->fd);
}

/* Events that end SAVE_DATA. */
static const struct {
	const char	*name;
	void		(*happen)(const struct pf *pf, const struct vf *vf);
	void		(*undo)(const struct pf *pf, const struct vf *vf);
} save_ends[] = {
	{ "reset", reset, await_live },
	{ "function-level reset", reset_function, await_live },
	{ "reset of the subsystem", reset_subsystem, await_live },
	{ "unbind", unbind, bind },
};

/* Bring the VF to the middle of SAVE_DATA. */
static void reach_save(FIXTURE_DATA(pf_event) * self, struct at *at)
{
	const struct point *p = points;

	while (p->command != COMMAND_SAVE)
		p++;
	point_reach(at, p, &self->vf, &self->good);
}

static void end_save(FIXTURE_DATA(pf_event) * self, unsigned int event)
{
	/* This one is noticed when a command is not answered. */
	pf_set_timeout(&self->pf, save_ends[event].happen == reset_subsystem ? 1 : 60);
	save_ends[event].happen(&self->pf, &self->vf);
}

/* Nothing is left of SAVE_DATA, and both guests can work again. */
static void recover_from_save(struct __test_metadata *_metadata, FIXTURE_DATA(pf_event) * self,
			      unsigned int event, struct at *at)
{
	save_ends[event].undo(&self->pf, &self->vf);
	fault_clear_all(self->vf.bdf);
	pf_restore_vfs(&self->pf);
	vf_reset(&self->vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(&self->vf));
	close(at->fd);
	EXPECT_EQ(0, vf_images());
	guest_restart(&self->n);
	vf_reset(&self->sibling.vf);
	guest_restart(&self->sibling.n);
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("%s", save_ends[event].name);
}

/* Threads are in read(), poll() and epoll_wait() when the event comes. All of them wake up. */
TEST_F(pf_event, while_threads_wait)
{
	struct epoll_event in = { .events = EPOLLIN };
	struct waiter waiter[3];
	unsigned int i, k;
	struct at at;

	for (i = 0; i < ARRAY_SIZE(save_ends); i++) {
		reach_save(self, &at);
		EXPECT_EQ(1, vf_images());
		waiter[0] = (struct waiter){ at.fd, SYS_read };
		waiter[1] = (struct waiter){ at.fd, SYS_poll };
		waiter[2] = (struct waiter){ must(epoll_create1(0)), SYS_epoll_wait };
		must(epoll_ctl(waiter[2].fd, EPOLL_CTL_ADD, at.fd, &in));
		for (k = 0; k < ARRAY_SIZE(waiter); k++)
			start_waiter(&waiter[k]);

		end_save(self, i);
		for (k = 0; k < ARRAY_SIZE(waiter); k++)
			await_thread(waiter[k].thread, "a thread that waits", at_once());
		EXPECT_EQ(-ECANCELED, waiter[0].ret);
		EXPECT_EQ(1, waiter[1].ret);
		EXPECT_NE(0U, waiter[1].events & POLLIN);
		EXPECT_EQ(1, waiter[2].ret);
		EXPECT_NE(0U, waiter[2].events & EPOLLIN);

		close(waiter[2].fd);
		recover_from_save(_metadata, self, i, &at);
	}
}

struct stopper {
	struct vf	*vf;
	pid_t		tid;
	int		ret;
};

static void *enter_stop(void *arg)
{
	struct stopper *s = arg;

	__atomic_store_n(&s->tid, gettid(), __ATOMIC_RELEASE);
	s->ret = vf_set_state(s->vf, VFIO_DEVICE_STATE_STOP, NULL);
	return NULL;
}

/* STOP_COPY -> STOP waits for SAVE_DATA when the event comes. */
TEST_F(pf_event, while_stop_waits_for_save)
{
	struct stopper stopper;
	pthread_t thread;
	unsigned int i;
	struct at at;

	for (i = 0; i < ARRAY_SIZE(save_ends); i++) {
		reach_save(self, &at);
		stopper = (struct stopper){ &self->vf };
		ASSERT_EQ(0, pthread_create(&thread, NULL, enter_stop, &stopper));
		await_call(&stopper.tid, SYS_ioctl, self->vf.fd);

		end_save(self, i);
		await_thread(thread, "STOP", at_once());
		EXPECT_EQ(-ECANCELED, stopper.ret);
		EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(&self->vf));
		EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		recover_from_save(_metadata, self, i, &at);
	}
}

static void close_vfs(FIXTURE_DATA(pf_event) * self)
{
	vf_close(&self->vf);
	vf_close(&self->sibling.vf);
}

/* Bind and open the VFs that were created again, and restart both guests. */
static void reopen_vfs(FIXTURE_DATA(pf_event) * self)
{
	vf_bind(self->bdf[0]);
	vf_bind(self->bdf[1]);
	vf_open(&self->vf, self->bdf[0], VF_ANY, self->n.mem, GUEST_MEM);
	vf_open(&self->sibling.vf, self->bdf[1], VF_ANY,
		self->sibling.n.mem, GUEST_MEM);
	guest_restart(&self->n);
	guest_restart(&self->sibling.n);
}

/* More than the admin queue has tags */
#define HOLDERS		40

struct holder {
	struct nvme_admin_cmd	cmd;
	int			fd;
	pid_t			tid;
	pthread_t		thread;
};

static struct nvme_admin_cmd resume_command(const char *bdf)
{
	if (vf_standard())
		return (struct nvme_admin_cmd){
			.opcode = 0x41,		/* Migration Send */
			.cdw10 = 1,		/* Resume */
			.cdw11 = pf_vf_cntlid(bdf),
		};
	return (struct nvme_admin_cmd){
		.opcode = COMMAND_RESUME,
		.cdw10 = pf_vf_index(bdf),
	};
}

/* Occupy a tag of the PF's admin queue, or wait for one, until a reset of the PF. */
static void *hold_tag(void *arg)
{
	struct holder *h = arg;

	__atomic_store_n(&h->tid, gettid(), __ATOMIC_RELEASE);
	ioctl(h->fd, NVME_IOCTL_ADMIN_CMD, &h->cmd);
	return NULL;
}

struct asker {
	struct vf	*vf;
	pid_t		tid;
	long long	ret;
};

static void *ask_size(void *arg)
{
	struct asker *a = arg;

	__atomic_store_n(&a->tid, gettid(), __ATOMIC_RELEASE);
	a->ret = vf_mig_data_size(a->vf);
	return NULL;
}

/* A command that waits for a tag when the event comes is not sent. It must say so. */
TEST_F(pf_event, command_not_sent)
{
	static const struct {
		void	(*happen)(const struct pf *pf);
		void	(*undo)(const struct pf *pf);
		int	error;
	} events[] = {
		{ pf_reset, pf_await_live, -EAGAIN },
		{ pf_unbind, pf_bind, -ENODEV },
	};
	const struct nvme_admin_cmd cmd = resume_command(self->bdf[1]);
	struct holder holders[HOLDERS];
	struct asker asker;
	pthread_t thread;
	unsigned int i, j;
	int fd;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		/* Whether a VF is suspended does not matter: the PF does not answer. */
		ASSERT_TRUE(fault_set(self->bdf[1], COMMAND_RESUME, FAULT_NEVER, 0));
		fd = pf_open_device(&self->pf);
		for (j = 0; j < HOLDERS; j++) {
			holders[j] = (struct holder){ cmd, fd };
			ASSERT_EQ(0, pthread_create(&holders[j].thread, NULL, hold_tag,
						    &holders[j]));
			await_call(&holders[j].tid, SYS_ioctl, fd);
		}
		asker = (struct asker){ &self->vf };
		ASSERT_EQ(0, pthread_create(&thread, NULL, ask_size, &asker));
		await_call(&asker.tid, SYS_ioctl, self->vf.fd);

		events[i].happen(&self->pf);
		await_thread(thread, "a command that was not sent", at_once());
		EXPECT_EQ(events[i].error, asker.ret);
		for (j = 0; j < HOLDERS; j++)
			await_thread(holders[j].thread, "a command of the PF", at_once());
		close(fd);
		events[i].undo(&self->pf);
		fault_clear_all(self->bdf[1]);
		pf_restore_vfs(&self->pf);
		vf_reset(&self->vf);
		vf_reset(&self->sibling.vf);
		guest_restart(&self->n);
		guest_restart(&self->sibling.n);
	}
}

struct remover {
	const struct pf	*pf;
	pthread_t	thread;
	int		ret;
};

static void *remove_vfs(void *arg)
{
	struct remover *r = arg;

	r->ret = pf_remove_vfs(r->pf);
	return NULL;
}

/*
 * Writing 0 to sriov_numvfs notifies the users of the VFs and waits until the VFs
 * are closed. Until then I/O and migration work.
 */
TEST_F(pf_event, remove_vfs)
{
	struct sibling *sibling = &self->sibling;
	struct remover remover = { &self->pf };
	struct nvme *n = &self->n;
	long long begin, took, longest = 0;
	struct pollfd request;
	unsigned int i, count = 0;
	struct at at;

	for (i = 0; i < points_count(); i = point_next(i, 5), count++) {
		sibling_start(sibling);
		request.fd = vf_request_fd(&self->vf);
		request.events = POLLIN;
		point_reach(&at, &points[i], &self->vf, &self->good);
		guest_freeze(n);
		ASSERT_EQ(0, pthread_create(&remover.thread, NULL, remove_vfs,
					    &remover));
		EXPECT_EQ(1, poll(&request, 1, 1000 * PATIENCE));

		point_answer(&at);
		EXPECT_EQ(0, point_finish(&at, at_once()));
		if (points[i].state == VFIO_DEVICE_STATE_STOP_COPY)
			EXPECT_EQ(0, stream_transfer_byte(at.fd));
		if (!point_is_running(&points[i]) &&
		    points[i].next != VFIO_DEVICE_STATE_RUNNING)
			guest_check_frozen(n, "while VFs were being removed");
		sibling_await(sibling, 20);
		sibling_stop(sibling);
		EXPECT_TRUE(sysfs_device_exists(self->bdf[0]));
		EXPECT_TRUE(sysfs_device_exists(self->bdf[1]));

		begin = running_ms();
		close(request.fd);
		close_vfs(self);
		await_thread(remover.thread, "sriov_numvfs = 0", at_once());
		took = running_ms() - begin;
		if (took > longest)
			longest = took;
		EXPECT_EQ(0, remover.ret);
		EXPECT_FALSE(sysfs_device_exists(self->bdf[0]));
		EXPECT_FALSE(sysfs_device_exists(self->bdf[1]));
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));

		ASSERT_EQ(0, pf_add_vfs(&self->pf));
		pf_restore_vfs(&self->pf);
		reopen_vfs(self);
		if (at.fd >= 0)
			EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		close(at.fd);
		if (_metadata->exit_code == KSFT_FAIL) {
			TH_LOG("at %s", points[i].name);
			return;
		}
	}
	TH_LOG("VFs removed at %u points, longest %lld ms after close", count,
	       longest);
}

static int remove_module(const char *name)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

/* An open VF, and an open data_fd alone, prevent removal of the modules. */
TEST_F(pf_event, remove_modules)
{
	unsigned int i, count = 0;
	struct at at;

	sibling_start(&self->sibling);
	for (i = 0; i < points_count(); i = point_next(i, 4)) {
		point_reach(&at, &points[i], &self->vf, &self->good);
		EXPECT_EQ(-EWOULDBLOCK, remove_module("nvme_vfio_pci"));
		EXPECT_EQ(-EWOULDBLOCK, remove_module("nvme"));
		point_answer(&at);
		EXPECT_EQ(0, point_finish(&at, at_once()));
		vf_reset(&self->vf);
		close(at.fd);
		guest_restart(&self->n);
	}
	sibling_stop(&self->sibling);
	EXPECT_FALSE(self->sibling.lost);

	for (i = 0; i < points_count(); i++) {
		if (points[i].command && points[i].command != COMMAND_SAVE)
			continue;
		point_reach(&at, &points[i], &self->vf, &self->good);
		point_answer(&at);
		if (at.fd < 0) {
			vf_reset(&self->vf);
			continue;
		}
		close_vfs(self);
		EXPECT_EQ(-EWOULDBLOCK, remove_module("nvme_vfio_pci"));
		EXPECT_EQ(-ENODEV, stream_transfer_byte(at.fd));
		close(at.fd);
		EXPECT_EQ(-EWOULDBLOCK, remove_module("nvme"));
		EXPECT_EQ(0, remove_module("nvme_vfio_pci"));
		if (i % 3 == 0) {
			EXPECT_EQ(0, remove_module("nvme"));
			ASSERT_EQ(0, system("modprobe nvme"));
			pf_await_live(&self->pf);
			pf_restore_vfs(&self->pf);
		}
		ASSERT_EQ(0, system("modprobe nvme-vfio-pci"));
		/* The events went with the module. */
		ASSERT_TRUE(trace_open_steps());
		reopen_vfs(self);
		count++;
	}
	TH_LOG("modules removed %u times", count);
}

TEST_HARNESS_MAIN
