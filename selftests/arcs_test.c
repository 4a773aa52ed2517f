// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test every transition between migration states: the commands that the driver
 * sends, their order, and what happens to data_fd. Test every way to cancel a
 * migration.
 */
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define STATES	(VFIO_DEVICE_STATE_PRE_COPY_P2P + 1)

FIXTURE(arcs)
{
	struct nvme n;
	struct vf vf;
	struct stream good;	/* saved from an enabled controller */
};

FIXTURE_SETUP(arcs)
{
	const char *why = vf_skip_reason(1, VF_ANY, false);

	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	guest_open(&self->n, &self->vf, 1, VF_ANY);
	ASSERT_TRUE(vf_mig_flags(&self->vf) & VFIO_MIGRATION_PRE_COPY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
}

FIXTURE_TEARDOWN(arcs)
{
	vf_close(&self->vf);
	trace_close();
}

/* Wait until data_fd, unless it is -1, is ready: SAVE_DATA has ended. */
static void await_save(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN | POLLOUT };

	if (fd >= 0 && must(poll(&pfd, 1, 1000 * PATIENCE)) != 1)
		die("data_fd is not ready after %d s: SAVE_DATA did not end",
		    PATIENCE);
}

/* Enter the state in which a transition begins. Return data_fd or -1. */

static int enter(struct vf *vf, unsigned int state)
{
	int fd, ret;

	ret = vf_set_state(vf, state, &fd);
	if (ret)
		die("transition to state %u failed: %s", state, strerror(-ret));
	/* In PRE_COPY the IDENTITY record is readable. */
	await_save(fd);
	return fd;
}

static int enter_loaded(struct vf *vf, const struct stream *good)
{
	int fd = enter(vf, VFIO_DEVICE_STATE_RESUMING);
	int ret = stream_write(good, fd, good->len);

	if (ret)
		die("loading a valid stream failed: %s", strerror(-ret));
	return fd;
}

/* Cancel a migration after the driver saved the state, which the driver keeps. */
static int enter_saved(struct vf *vf, unsigned int state)
{
	close(enter(vf, VFIO_DEVICE_STATE_STOP_COPY));
	enter(vf, VFIO_DEVICE_STATE_STOP);
	return enter(vf, state);
}

#define REFUSED	NULL

/*
 * The commands of each transition, one letter each: Identify, Query, Suspend, saVe,
 * Load, Resume. The driver reads two Identify data structures for IDENTITY: Identify
 * Controller and the Secondary Controller List. In PRE_COPY it reads more for NAMESPACES,
 * before Query: how many depends on the controller, so N stands for at least one.
 */
static const struct row {
	const char	*name;
	unsigned int	state;
	bool		loaded, saved;
	const char	*commands[STATES];
} rows_vendor[] = {
#define COMMANDS_TO(stop, running, stop_copy, resuming, p2p, pre_copy, pre_copy_p2p) { \
	[VFIO_DEVICE_STATE_ERROR] = REFUSED,		\
	[VFIO_DEVICE_STATE_STOP] = stop,		\
	[VFIO_DEVICE_STATE_RUNNING] = running,		\
	[VFIO_DEVICE_STATE_STOP_COPY] = stop_copy,	\
	[VFIO_DEVICE_STATE_RESUMING] = resuming,	\
	[VFIO_DEVICE_STATE_RUNNING_P2P] = p2p,		\
	[VFIO_DEVICE_STATE_PRE_COPY] = pre_copy,	\
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = pre_copy_p2p }
	{ "RUNNING", VFIO_DEVICE_STATE_RUNNING, .commands =
	  COMMANDS_TO("S", "", "SIIQV", "SII", "S", "IINQ", "SIINQ") },
	{ "RUNNING_P2P", VFIO_DEVICE_STATE_RUNNING_P2P, .commands =
	  COMMANDS_TO("", "R", "IIQV", "II", "", "RIINQ", "IINQ") },
	{ "STOP", VFIO_DEVICE_STATE_STOP, .commands =
	  COMMANDS_TO("", "R", "IIQV", "II", "", "RIINQ", "IINQ") },
	{ "PRE_COPY", VFIO_DEVICE_STATE_PRE_COPY, .commands =
	  COMMANDS_TO("S", "", "SQV", "SII", "S", "", "S") },
	{ "PRE_COPY_P2P", VFIO_DEVICE_STATE_PRE_COPY_P2P, .commands =
	  COMMANDS_TO("", "R", "QV", "II", "", "R", "") },
	{ "STOP_COPY", VFIO_DEVICE_STATE_STOP_COPY, .commands =
	  COMMANDS_TO("", "LR", "", "II", "", REFUSED, REFUSED) },
	{ "RESUMING, no stream", VFIO_DEVICE_STATE_RESUMING, .commands =
	  COMMANDS_TO(REFUSED, REFUSED, REFUSED, "", REFUSED, REFUSED, REFUSED) },
	{ "RESUMING, loaded", VFIO_DEVICE_STATE_RESUMING, .loaded = true, .commands =
	  COMMANDS_TO("", "R", "IIQV", "", "", "RIINQ", "IINQ") },
	/* The state that was loaded replaces the one that the driver kept. */
	{ "RESUMING, saved and loaded", VFIO_DEVICE_STATE_RESUMING, .loaded = true, .saved = true,
	  .commands = COMMANDS_TO("", "R", "IIQV", "", "", "RIINQ", "IINQ") },
	{ "STOP, saved", VFIO_DEVICE_STATE_STOP, .saved = true, .commands =
	  COMMANDS_TO("", "LR", "II", "II", "", "LRIINQ", "IIN") },
	{ "RUNNING_P2P, saved", VFIO_DEVICE_STATE_RUNNING_P2P, .saved = true, .commands =
	  COMMANDS_TO("", "LR", "II", "II", "", "LRIINQ", "IIN") },
	{ "PRE_COPY_P2P, saved", VFIO_DEVICE_STATE_PRE_COPY_P2P, .saved = true, .commands =
	  COMMANDS_TO("", "LR", "", "II", "", "LR", "") },
};

/*
 * With the standard's set, the driver also reads the Supported Controller State Formats,
 * asks a VF that is to be loaded whether it has I/O queues, and keeps no saved state. V and
 * L stand for as many commands as the state needs.
 */
static const struct row rows_standard[] = {
	{ "RUNNING", VFIO_DEVICE_STATE_RUNNING, .commands =
	  COMMANDS_TO("S", "", "SIIIQV", "SIIIQ", "S", "IIINQ", "SIIINQ") },
	{ "RUNNING_P2P", VFIO_DEVICE_STATE_RUNNING_P2P, .commands =
	  COMMANDS_TO("", "R", "IIIQV", "IIIQ", "", "RIIINQ", "IIINQ") },
	{ "STOP", VFIO_DEVICE_STATE_STOP, .commands =
	  COMMANDS_TO("", "R", "IIIQV", "IIIQ", "", "RIIINQ", "IIINQ") },
	{ "PRE_COPY", VFIO_DEVICE_STATE_PRE_COPY, .commands =
	  COMMANDS_TO("S", "", "SQV", "SIIIQ", "S", "", "S") },
	{ "PRE_COPY_P2P", VFIO_DEVICE_STATE_PRE_COPY_P2P, .commands =
	  COMMANDS_TO("", "R", "QV", "IIIQ", "", "R", "") },
	{ "STOP_COPY", VFIO_DEVICE_STATE_STOP_COPY, .commands =
	  COMMANDS_TO("", "R", "", "IIIQ", "", REFUSED, REFUSED) },
	{ "RESUMING, no stream", VFIO_DEVICE_STATE_RESUMING, .commands =
	  COMMANDS_TO(REFUSED, REFUSED, REFUSED, "", REFUSED, REFUSED, REFUSED) },
	{ "RESUMING, loaded", VFIO_DEVICE_STATE_RESUMING, .loaded = true, .commands =
	  COMMANDS_TO("", "R", "IIIQV", "", "", "RIIINQ", "IIINQ") },
	/* The VF has no I/O queues here, and has not been reset since. */
	{ "STOP, saved", VFIO_DEVICE_STATE_STOP, .saved = true, .commands =
	  COMMANDS_TO("", "R", "IIIQV", "IIIQ", "", "RIIINQ", "IIINQ") },
	{ "RUNNING_P2P, saved", VFIO_DEVICE_STATE_RUNNING_P2P, .saved = true, .commands =
	  COMMANDS_TO("", "R", "IIIQV", "IIIQ", "", "RIIINQ", "IIINQ") },
	{ "PRE_COPY_P2P, saved", VFIO_DEVICE_STATE_PRE_COPY_P2P, .saved = true, .commands =
	  COMMANDS_TO("", "R", "QV", "IIIQ", "", "R", "") },
};

static int enter_row(struct vf *vf, const struct row *row, const struct stream *good)
{
	if (row->loaded && row->saved)
		enter_saved(vf, VFIO_DEVICE_STATE_STOP);
	if (row->loaded)
		return enter_loaded(vf, good);
	if (row->saved)
		return enter_saved(vf, row->state);
	return enter(vf, row->state);
}

/* Return one letter for each command since trace_clear(). */
static const char *commands(void)
{
	static const char * const names[] = {
		"identify", "size", "suspend", "save", "load", "resume",
	};
	static char letters[64];
	const char *identify = vf_standard() ? "IIII" : "III";
	char *events = trace_steps(NULL), *rest = events, *event, *at;
	unsigned int i, len = 0;

	while ((event = strsep(&rest, "\n"))) {
		for (i = 0; i < ARRAY_SIZE(names); i++)
			if (!strcmp(event, names[i]))
				break;
		if (i == ARRAY_SIZE(names) || len == sizeof(letters) - 1)
			continue;
		/* The standard's set transfers a state in parts. */
		if (vf_standard() && len && strchr("VL", letters[len - 1]) &&
		    letters[len - 1] == "IQSVLR"[i])
			continue;
		letters[len++] = "IQSVLR"[i];
	}
	letters[len] = '\0';
	free(events);

	/* The last Identify of these in a row, and those after, are about namespaces. */
	at = strstr(letters, identify);
	if (at) {
		at += strlen(identify) - 1;
		*at++ = 'N';
		len = strspn(at, "I");
		memmove(at, at + len, strlen(at + len) + 1);
	}
	return letters;
}

/* Does the data_fd of @from stay valid in @to? */
static bool same_stream(unsigned int from, unsigned int to)
{
	return from == to || (vf_state_is_precopy(from) &&
		(vf_state_is_precopy(to) || to == VFIO_DEVICE_STATE_STOP_COPY));
}

static bool is_disconnected(int fd)
{
	struct pollfd pfd = { .fd = fd };

	return must(poll(&pfd, 1, 0)) == 1 &&
	       pfd.revents == (POLLERR | POLLHUP);
}

static void save_good(struct nvme *n, struct stream *good)
{
	guest_suspend(n);
	guest_save(n, good);
}

TEST_F(arcs, all_transitions)
{
	struct vf *vf = &self->vf;
	unsigned int to, count = 0;
	const struct row *row, *end;
	const char *expected;
	int fd, old_fd, ret;

	save_good(&self->n, &self->good);
	row = vf_standard() ? rows_standard : rows_vendor;
	end = row + (vf_standard() ? ARRAY_SIZE(rows_standard) : ARRAY_SIZE(rows_vendor));
	for (; row < end; row++) {
		for (to = 0; to <= STATES; to++, count++) {
			/* STATES is not a valid state. */
			expected = to < STATES ? row->commands[to] : REFUSED;
			vf_reset(vf);
			old_fd = enter_row(vf, row, &self->good);
			ASSERT_EQ(row->state, vf_get_state(vf));
			ASSERT_EQ(vf_state_has_stream(row->state), old_fd >= 0);
			trace_clear();

			ret = vf_set_state(vf, to, &fd);
			EXPECT_EQ(expected ? 0 : -EINVAL, ret)
				TH_LOG("from %s to %u", row->name, to);
			EXPECT_EQ(expected ? to : row->state, vf_get_state(vf))
				TH_LOG("from %s to %u", row->name, to);
			EXPECT_EQ(expected && vf_state_has_stream(to) &&
				  !same_stream(row->state, to), fd >= 0)
				TH_LOG("from %s to %u", row->name, to);
			if (old_fd >= 0)
				EXPECT_EQ(expected && !same_stream(row->state, to),
					  is_disconnected(old_fd))
					TH_LOG("from %s to %u", row->name, to);

			/* SAVE_DATA may still be in progress. */
			await_save(fd >= 0 ? fd : old_fd);
			EXPECT_STREQ(expected ?: "", commands())
				TH_LOG("from %s to %u", row->name, to);
			close(old_fd);
			close(fd);
		}
	}
	vf_reset(vf);
	EXPECT_EQ(-EINVAL, vf_set_state(vf, ~0U, NULL));
	TH_LOG("tested %u transitions", count);
}

/*
 * A VF with I/O queues may refuse a state. It is reset first, and suspended again. So two
 * states can be loaded one after the other.
 */
TEST_F(arcs, load_with_queues)
{
	struct nvme *n = &self->n;
	unsigned int i;

	if (!vf_standard())
		SKIP(return, "the command set is the vendor's");
	save_good(n, &self->good);
	vf_reset(n->vf);
	nvme_start(n, NVME_QUEUES, 8, 8);
	for (i = 0; i < 3; i++) {
		guest_suspend(n);
		trace_clear();
		close(enter_loaded(n->vf, &self->good));
		EXPECT_STREQ("IIIQSL", commands());
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	}
}

/*
 * Leave commands in three conditions: completed but not consumed, in progress,
 * queued without a doorbell.
 */
static void submit_in_all_conditions(struct nvme *n)
{
	struct nvme_queue *q;

	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, 2);
		nvme_ring(n, q);
		nvme_await(q, 1);
		io_submit(n, q, 3);
		nvme_ring(n, q);
		io_submit(n, q, 2);
	}
}

enum how_much { NOTHING, SOMETHING, EVERYTHING };

/* Cancel the migration in each state; no I/O is lost or done twice. */
TEST_F(arcs, roll_back)
{
	static const struct {
		unsigned int	path[3];	/* up to the first ERROR */
		enum how_much	read;
	} cases[] = {
		{ { VFIO_DEVICE_STATE_RUNNING_P2P } },
		{ { VFIO_DEVICE_STATE_STOP } },
		{ { VFIO_DEVICE_STATE_PRE_COPY } },
		{ { VFIO_DEVICE_STATE_PRE_COPY }, EVERYTHING },
		{ { VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_PRE_COPY_P2P } },
		{ { VFIO_DEVICE_STATE_PRE_COPY_P2P }, EVERYTHING },
		{ { VFIO_DEVICE_STATE_STOP_COPY } },
		{ { VFIO_DEVICE_STATE_STOP_COPY }, SOMETHING },
		{ { VFIO_DEVICE_STATE_STOP_COPY }, EVERYTHING },
		{ { VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_STOP_COPY } },
		{ { VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_STOP_COPY },
		  SOMETHING },
		{ { VFIO_DEVICE_STATE_PRE_COPY, VFIO_DEVICE_STATE_STOP_COPY },
		  EVERYTHING },
		{ { VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_STOP } },
		{ { VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_STOP,
		    VFIO_DEVICE_STATE_PRE_COPY_P2P } },
		{ { VFIO_DEVICE_STATE_STOP_COPY, VFIO_DEVICE_STATE_RUNNING_P2P,
		    VFIO_DEVICE_STATE_STOP_COPY }, SOMETHING },
	};
	struct nvme *n = &self->n;
	unsigned long submitted, was;
	struct nvme_queue *q;
	unsigned int i, k;
	char buf[100];

	for (i = 0; i < 2 * ARRAY_SIZE(cases); i++) {
		const unsigned int *path = cases[i / 2].path;
		enum how_much read_this = cases[i / 2].read;
		int fd = -1, new_fd;

		was = 0;
		submitted = 0;
		for (q = n->queue->next; q; q = q->next)
			was += q->completed;
		submit_in_all_conditions(n);
		for (q = n->queue->next; q; q = q->next)
			submitted += q->outstanding;

		for (k = 0; k < ARRAY_SIZE(cases[0].path) && path[k]; k++) {
			ASSERT_EQ(0, vf_set_state(n->vf, path[k], &new_fd));
			if (new_fd >= 0) {
				close(fd);
				fd = new_fd;
			}
		}
		if (read_this)
			EXPECT_LT(0, read(fd, buf, 50));
		while (read_this == EVERYTHING && read(fd, buf, sizeof(buf)) > 0)
			;

		/* Go back directly, or through STOP as QEMU does. */
		if (i % 2)
			ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP,
						  NULL));
		ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		if (fd >= 0)
			EXPECT_TRUE(is_disconnected(fd));
		close(fd);

		for (q = n->queue->next; q; q = q->next)
			nvme_ring(n, q);
		io_wait(n);
		for (q = n->queue->next; q; q = q->next)
			was -= q->completed;
		EXPECT_EQ(submitted, -was);
	}
	/* Use every ring position, which reveals duplicate completions. */
	io_check(n);
}

/* Only a reset leaves ERROR. */
TEST_F(arcs, only_reset_leaves_error)
{
	struct vf *vf = &self->vf;
	unsigned int to;
	struct pf pf;

	pf_open(&pf, vf->bdf);
	guest_suspend(&self->n);
	pf_reset(&pf);
	pf_restore_vfs(&pf);

	EXPECT_EQ(-ENODEV, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
	trace_clear();
	for (to = 0; to <= STATES; to++) {
		EXPECT_EQ(to == VFIO_DEVICE_STATE_ERROR ? 0 : -EINVAL,
			  vf_set_state(vf, to, NULL))
			TH_LOG("from ERROR to %u", to);
		EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
	}
	EXPECT_STREQ("", commands());

	vf_reset(vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	memset(self->n.seq, 0, sizeof(self->n.seq));
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
	guest_suspend(&self->n);
	EXPECT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	io_check(&self->n);
}

TEST_HARNESS_MAIN
