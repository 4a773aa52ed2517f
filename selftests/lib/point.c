// SPDX-License-Identifier: GPL-2.0-only
/* Bring a VF to each point of a migration. */
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "point.h"
#include "trace.h"
#include "util.h"

#define STATE(s)	VFIO_DEVICE_STATE_##s

const struct point points[] = {
	{ "RUNNING", STATE(RUNNING) },
	{ "PRE_COPY", STATE(PRE_COPY) },
	{ "RUNNING_P2P", STATE(RUNNING_P2P) },
	{ "PRE_COPY_P2P", STATE(PRE_COPY_P2P) },
	{ "STOP", STATE(STOP) },
	{ "STOP_COPY", STATE(STOP_COPY), .saved = true },
	{ "STOP, saved", STATE(STOP), .saved = true },
	{ "RESUMING, no stream", STATE(RESUMING) },
	{ "RESUMING, half a stream", STATE(RESUMING), .written = 500 },
	{ "RESUMING, loaded", STATE(RESUMING), .written = WHOLE_STREAM },
	{ "QUERY_DATA_SIZE for PRE_COPY", STATE(RUNNING),
	  .next = STATE(PRE_COPY), .command = COMMAND_QUERY },
	{ "SUSPEND", STATE(RUNNING),
	  .next = STATE(RUNNING_P2P), .command = COMMAND_SUSPEND },
	{ "SUSPEND from PRE_COPY", STATE(PRE_COPY),
	  .next = STATE(PRE_COPY_P2P), .command = COMMAND_SUSPEND },
	{ "QUERY_DATA_SIZE for STOP_COPY", STATE(STOP),
	  .next = STATE(STOP_COPY), .command = COMMAND_QUERY },
	{ "QUERY_DATA_SIZE from PRE_COPY_P2P", STATE(PRE_COPY_P2P),
	  .next = STATE(STOP_COPY), .command = COMMAND_QUERY },
	{ "SAVE_DATA", STATE(STOP_COPY), .command = COMMAND_SAVE },
	{ "LOAD_DATA", STATE(RESUMING), .command = COMMAND_LOAD },
	{ "RESUME", STATE(STOP),
	  .next = STATE(RUNNING), .command = COMMAND_RESUME },
	{ "RESUME to roll back", STATE(STOP), .saved = true,
	  .next = STATE(RUNNING), .command = COMMAND_RESUME },
	/* The standard's set has all but this: its Get leaves the state in the VF. */
	{ "LOAD_DATA to roll back", STATE(STOP), .saved = true,
	  .next = STATE(RUNNING), .command = COMMAND_LOAD },
};

unsigned int points_count(void)
{
	return ARRAY_SIZE(points) - vf_standard();
}

unsigned int point_next(unsigned int i, unsigned int step)
{
	return i + (getenv("NVMEVF_SOME_POINTS") ? step : 1);
}

bool point_is_running(const struct point *point)
{
	return point->state == VFIO_DEVICE_STATE_RUNNING ||
	       point->state == VFIO_DEVICE_STATE_PRE_COPY;
}

static void go(struct at *at, unsigned int state)
{
	int fd, ret;

	ret = vf_set_state(at->vf, state, &fd);
	if (ret)
		die("cannot reach %s: state %u: %s", at->point->name, state,
		    strerror(-ret));
	if (fd >= 0) {
		close(at->fd);
		at->fd = fd;
	}
}

static void feed(struct at *at, size_t len)
{
	struct stream part = *at->stream;
	int ret;

	if (len < part.len)
		part.len = len;
	ret = stream_write(&part, at->fd, part.len);
	if (ret)
		die("cannot reach %s: %s", at->point->name, strerror(-ret));
}

static void *wait_for_command(void *arg)
{
	struct at *at = arg;

	if (at->point->next)
		at->ret = vf_set_state(at->vf, at->point->next, &at->new_fd);
	else
		at->ret = stream_write(at->stream, at->fd, at->stream->len);
	return NULL;
}

/* The driver reports a command before the PF gets the command; allow this much time. */
#define SUBMIT_US	10000

void point_await_commands(enum fault_command command, unsigned int count)
{
	time_t deadline = time(NULL) + PATIENCE;
	unsigned int pending;

	for (;;) {
		pending = trace_pending(command);
		if (pending == count)
			break;
		if (time(NULL) > deadline)
			die("%u commands %#x are pending, expected %u", pending,
			    command, count);
		usleep(1000);
	}
	usleep(SUBMIT_US);
}

/* Have the controller hold back the command at a point, before or after its effect. */
static void hold(const struct at *at, enum fault_kind fault)
{
	if (!fault_set(at->vf->bdf, at->point->command, fault, 1000 * PATIENCE))
		die("%s: setting a fault failed", at->vf->bdf);
}

static void reach(struct at *at, const struct point *point, struct vf *vf,
		  const struct stream *stream, enum fault_kind fault)
{
	unsigned int others = point->command ? trace_pending(point->command) : 0;
	struct pollfd pfd = { .events = POLLIN };

	*at = (struct at){
		.point = point,
		.vf = vf,
		.stream = stream,
		.fd = -1,
		.new_fd = -1,
	};
	if (point->command == COMMAND_SAVE)
		hold(at, fault);
	if (point->saved)
		go(at, VFIO_DEVICE_STATE_STOP_COPY);
	if (point->state != VFIO_DEVICE_STATE_RUNNING)
		go(at, point->state);
	if (point->saved && point->state == VFIO_DEVICE_STATE_STOP_COPY) {
		pfd.fd = at->fd;
		if (must(poll(&pfd, 1, 1000 * PATIENCE)) != 1)
			die("SAVE_DATA did not end within %d s", PATIENCE);
	}
	if (point->written)
		feed(at, point->written);
	if (!point->command)
		return;

	if (point->command != COMMAND_SAVE) {
		hold(at, fault);
		errno = pthread_create(&at->thread, NULL, wait_for_command, at);
		if (errno)
			die("pthread_create() failed");
	}
	point_await_commands(point->command, others + 1);
}

void point_reach(struct at *at, const struct point *point, struct vf *vf,
		 const struct stream *stream)
{
	reach(at, point, vf, stream, FAULT_NEVER);
}

void point_reach_late(struct at *at, const struct point *point, struct vf *vf,
		      const struct stream *stream)
{
	reach(at, point, vf, stream, FAULT_LATE);
}

void point_answer(struct at *at)
{
	if (at->point->command)
		fault_set(at->vf->bdf, at->point->command, FAULT_NONE, 0);
}

int point_finish(struct at *at, int seconds)
{
	if (at->thread)
		await_thread(at->thread, at->point->name, seconds);
	at->thread = 0;
	if (at->new_fd >= 0) {
		close(at->fd);
		at->fd = at->new_fd;
		at->new_fd = -1;
	}
	return at->ret;
}
