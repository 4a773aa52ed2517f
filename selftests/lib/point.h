/* SPDX-License-Identifier: GPL-2.0-only */
/* Bring a VF to each point of a migration: each state, and the middle of each command. */
#ifndef NVMEVF_TEST_POINT_H
#define NVMEVF_TEST_POINT_H

#include <pthread.h>

#include "fault.h"
#include "stream.h"
#include "vf.h"

struct point {
	const char	*name;
	unsigned int	state;
	/* In STOP and STOP_COPY: the controller state was saved. */
	bool		saved;
	/* In RESUMING: bytes of the stream that were written, or WHOLE_STREAM. */
	size_t		written;
	/* The transition to this state, or if 0 the write of the stream ... */
	unsigned int	next;
	/* ... waits for this command. */
	enum fault_command	command;
};

#define WHOLE_STREAM	(~(size_t)0)

extern const struct point points[];
/* Return how many of them there are with the command set in use. */
unsigned int points_count(void);
/* Return the point to visit after @i: with $NVMEVF_SOME_POINTS, for slow kernels, @step on. */
unsigned int point_next(unsigned int i, unsigned int step);

/* Does the guest run there? It does while SUSPEND is pending. */
bool point_is_running(const struct point *point);

/*
 * Wait until exactly @count such commands are pending, of all VFs; end the test if that
 * does not happen in time. trace_open_steps() must have been called.
 */
void point_await_commands(enum fault_command command, unsigned int count);

/* A VF at a point. */
struct at {
	const struct point	*point;
	struct vf		*vf;
	const struct stream	*stream;
	int			fd;	/* data_fd or -1 */
	/* The thread that waits for the command: */
	pthread_t		thread;
	int			new_fd;
	int			ret;
};

/*
 * Bring @vf to the point. @vf must be in RUNNING with an enabled controller, and @stream
 * valid for it. The command stays pending until point_answer().
 */
void point_reach(struct at *at, const struct point *point, struct vf *vf,
		 const struct stream *stream);
/* Likewise, but the controller has carried the command out, and does not answer yet. */
void point_reach_late(struct at *at, const struct point *point, struct vf *vf,
		      const struct stream *stream);
/* Let the controller complete the command. */
void point_answer(struct at *at);
/*
 * Return the result of the call that waited for the command, or 0; end the test if the
 * call does not return in time.
 */
int point_finish(struct at *at, int seconds);

#endif /* NVMEVF_TEST_POINT_H */
