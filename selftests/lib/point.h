/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The points of a migration at which something may happen: each state, and
 * the middle of each command.
 */
#ifndef NVMEVF_TEST_POINT_H
#define NVMEVF_TEST_POINT_H

#include <pthread.h>

#include "fault.h"
#include "stream.h"
#include "vf.h"

struct point {
	const char	*name;
	unsigned int	state;
	/* Of STOP and STOP_COPY: the state of the VF was saved. */
	bool		saved;
	/* Of RESUMING: bytes of the stream that were written, or all of it. */
	size_t		written;
	/* On the way from there to this state, or with the rest of the stream. */
	unsigned int	next;
	/* ... it waits for this command. */
	enum fault_command	command;
};

#define WHOLE_STREAM	(~(size_t)0)

extern const struct point points[];
extern const unsigned int points_count;

/* Does the guest run there? SUSPEND has not been answered yet. */
bool point_is_running(const struct point *point);

/*
 * Wait until exactly @count such commands are pending, of all VFs; end the test if that
 * does not happen in time. trace_open() must have been called.
 */
void point_await_commands(enum fault_command command, unsigned int count);

/* A VF at a point. */
struct at {
	const struct point	*point;
	struct vf		*vf;
	const struct stream	*stream;
	int			fd;	/* data_fd or -1 */
	/* Of who waits for the command: */
	pthread_t		thread;
	int			new_fd;
	int			ret;
};

/*
 * @vf is in RUNNING, its guest's controller enabled. @stream is one that it takes.
 * The command is not answered before fault_set() takes that fault away.
 */
void point_reach(struct at *at, const struct point *point, struct vf *vf,
		 const struct stream *stream);
/* Has the controller answer. */
void point_answer(struct at *at);
/*
 * What became of the call that waited for the command, or 0; dies if it
 * does not return in time.
 */
int point_finish(struct at *at, int seconds);

#endif /* NVMEVF_TEST_POINT_H */
