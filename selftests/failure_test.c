// SPDX-License-Identifier: GPL-2.0-only
/*
 * Controllers that fail: commands are refused, data damaged or cut short on their
 * way, VFs and the PF break down in the middle (fault_set()). An errno and one line
 * in the log tell of it, the guest loses nothing that it was told is written, and
 * its sibling on another VF does not notice.
 */
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/sibling.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

/* Seconds in which a controller that has failed is found and reset. */
#define BOUND	10

FIXTURE(failure)
{
	struct nvme n;
	struct vf vf;
	struct sibling sibling;
	struct pf pf;
};

FIXTURE_SETUP(failure)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	pf_open(&self->pf, vf_bdf(0));

	guest_open(&self->n, &self->vf, 1, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	io_check(&self->n);
	sibling_open(&self->sibling, vf_bdf(1), VF_ANY);
}

FIXTURE_TEARDOWN(failure)
{
	pf_set_timeout(&self->pf, 60);
	fault_clear_all(vf_bdf(0));
	fault_clear_all(vf_bdf(1));
	vf_close(&self->vf);
	vf_close(&self->sibling.vf);
}

/* In the end all is well, and the guest takes over the VF of its sibling. */
static void move_away(FIXTURE_DATA(failure) * self)
{
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;

	vf_close(target);
	vf_open(target, target->bdf, VF_ANY, n->mem, GUEST_MEM);
	guest_migrate(n, target);
	io_check(n);
}

/* The ways on which a command is sent. */
static const struct way {
	const char	*name;		/* of the command */
	enum fault_command	command;
	unsigned int	from, to;
	bool		saved;		/* a saved state is kept */
} ways[] = {
#define WAY(name, command, from, to, ...)	\
	{ name, command, VFIO_DEVICE_STATE_##from, VFIO_DEVICE_STATE_##to, __VA_ARGS__ }
	WAY("QUERY_DATA_SIZE", COMMAND_QUERY, RUNNING, PRE_COPY),
	WAY("SUSPEND", COMMAND_SUSPEND, RUNNING, RUNNING_P2P),
	WAY("SAVE_DATA", COMMAND_SAVE, STOP, STOP_COPY),
	/* It is sent by write(). */
	WAY("LOAD_DATA", COMMAND_LOAD, RESUMING, RESUMING),
	WAY("LOAD_DATA", COMMAND_LOAD, RUNNING_P2P, RUNNING, true),
	WAY("RESUME", COMMAND_RESUME, RUNNING_P2P, RUNNING),
	WAY("QUERY_DATA_SIZE", COMMAND_QUERY, RUNNING_P2P, PRE_COPY_P2P),
	WAY("QUERY_DATA_SIZE", COMMAND_QUERY, PRE_COPY_P2P, STOP_COPY),
	WAY("QUERY_DATA_SIZE", COMMAND_QUERY, STOP, STOP_COPY),
	WAY("SUSPEND", COMMAND_SUSPEND, PRE_COPY, PRE_COPY_P2P),
	WAY("SAVE_DATA", COMMAND_SAVE, PRE_COPY_P2P, STOP_COPY),
	WAY("RESUME", COMMAND_RESUME, RUNNING_P2P, RUNNING, true),
	WAY("RESUME", COMMAND_RESUME, PRE_COPY_P2P, PRE_COPY),
};

/* So many send each of the commands, and LOAD_DATA in both ways. */
#define EACH_COMMAND	6
/* So many differ in what becomes of the VF when there is no answer. */
#define EACH_FATE	4

/* A guest on one of these ways. */
struct trip {
	const struct way	*way;
	struct nvme		*n;
	int			fd;
	struct stream		stream;	/* what it was, for RESUMING */
};

static void trip_begin(struct trip *t, const struct way *way, struct nvme *n)
{
	struct nvme_queue *q;

	*t = (struct trip){ .way = way, .n = n, .fd = -1 };
	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, 3);
		nvme_ring(n, q);
	}
	if (way->saved || way->from == VFIO_DEVICE_STATE_RESUMING) {
		guest_suspend(n);
		guest_save(n, &t->stream);
	}
	vf_enter_state(n->vf, way->from, &t->fd);
}

/* 0 or what it fails with. */
static int trip_go(struct trip *t)
{
	struct vf *vf = t->n->vf;
	struct stream s;
	int ret, fd;

	if (t->way->from == VFIO_DEVICE_STATE_RESUMING)
		return stream_write(&t->stream, t->fd, t->stream.len);

	ret = vf_set_state(vf, t->way->to, &fd);
	if (fd >= 0)
		t->fd = fd;
	if (!ret && t->way->command == COMMAND_SAVE) {
		ret = stream_read(&s, t->fd, 4096);
		free(s.data);
	}
	return ret;
}

/* Where a command that failed leaves the VF. */
static unsigned int trip_state(const struct trip *t)
{
	return t->way->command == COMMAND_SAVE ? t->way->to : t->way->from;
}

static void trip_end(struct trip *t)
{
	close(t->fd);
	free(t->stream.data);
}

static bool runs(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/* The command works again: the guest need not know. */
static int trip_recover(struct trip *t)
{
	struct vf *vf = t->n->vf;
	int ret, fd;

	if (t->way->from != VFIO_DEVICE_STATE_RESUMING)
		return vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);

	/* The stream can't be continued, but another VF, or this, takes it. */
	if (vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL) != trip_go(t))
		die("a stream that failed fails otherwise later");
	vf_reset(vf);
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		return ret;
	ret = stream_write(&t->stream, fd, t->stream.len);
	close(fd);
	return ret ?: vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

static void sibling_is_well(struct __test_metadata *_metadata, struct sibling *s)
{
	sibling_stop(s);
	EXPECT_FALSE(s->lost);
	EXPECT_LT(0, s->completed);
	TH_LOG("sibling: %lu I/Os, longest stall %lld ms", s->completed,
	       s->stall_ms);
	EXPECT_GT(1000 * BOUND, s->stall_ms);
}

static int errno_of(const struct way *way, __u16 status)
{
	switch (status & 0x7ff) {
	case 0x001:
		return -EOPNOTSUPP;
	case 0x002:
		return -EINVAL;
	case 0x370:	/* Host Pathing Error */
		/* Of the data_fd this would mean something else. */
		return way->command == COMMAND_SAVE ||
		       way->from == VFIO_DEVICE_STATE_RESUMING ? -EIO : -EAGAIN;
	}
	return -EIO;
}

/* It does not work once. Nothing is tried again, and all is as before. */
static void refuse(struct __test_metadata *_metadata, struct nvme *n,
		   const struct way *way, __u16 status)
{
	struct trip t;

	trip_begin(&t, way, n);
	ASSERT_TRUE(fault_set_once(n->vf->bdf, way->command, FAULT_STATUS,
				   status));
	EXPECT_EQ(errno_of(way, status), trip_go(&t));
	EXPECT_EQ(trip_state(&t), vf_get_state(n->vf));
	EXPECT_EQ(0, trip_recover(&t));
	trip_end(&t);
	io_wait(n);
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("%s from state %u to %u, status %#x", way->name,
		       way->from, way->to, status);
}

/* Each kind of status: generic, of the command, of the medium, path, vendor's. */
TEST_F(failure, status)
{
	static const __u16 statuses[] = {
		0x001, 0x002, 0x006, 0x120, 0x191, 0x1c0, 0x281, 0x370, 0x7ff,
		/* do not retry; more to tell; retry after a while */
		0x4002, 0x6006, 0x1821,
	};
	struct nvme *n = &self->n;
	unsigned int i, k;
	__u16 status;

	sibling_start(&self->sibling);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		for (k = 0; k < ARRAY_SIZE(statuses); k++)
			refuse(_metadata, n, &ways[i], statuses[k]);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
		io_check(n);
	}
	/* One of them with many more. */
	for (status = 3; status < 0x800; status += 7) {
		refuse(_metadata, n, &ways[1], status);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	io_check(n);
	sibling_is_well(_metadata, &self->sibling);
}

/* A line tells of it: which VF, which command, which status. And only one. */
TEST_F(failure, log)
{
	struct nvme *n = &self->n;
	char text[128], name[64];
	unsigned int i;
	time_t end;

	for (i = 0; i < EACH_COMMAND; i++) {
		snprintf(name, sizeof(name), "%s: %s failed", n->vf->bdf,
			 ways[i].name);
		snprintf(text, sizeof(text), "%s: NVMe status %#x ", name,
			 0x4006 + i);
		end = time(NULL) + PATIENCE;
		/* The log has room for 10 of these lines in 5 seconds. */
		do {
			ASSERT_GE(end, time(NULL))
				TH_LOG("not in the log: %s", text);
			log_open();
			refuse(_metadata, n, &ways[i], 0x4006 + i);
		} while (!log_has(text));
		EXPECT_FALSE(log_has(name));
	}
	io_check(n);
}

/*
 * What SAVE_DATA returned is no good, and that is all there is. The target's
 * controller refuses it, and so does the source's, where the guest can't go on as
 * if nothing had happened. After a reset it can.
 */
static void lose_state(struct __test_metadata *_metadata, struct nvme *n,
		       struct vf *target, enum fault_kind fault, __u32 value,
		       struct stream *s)
{
	struct vf *vf = n->vf;
	struct nvme_queue *q;
	int fd;

	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, 3);
		nvme_ring(n, q);
	}
	ASSERT_TRUE(fault_set_once(vf->bdf, COMMAND_SAVE, fault, value));
	guest_suspend(n);
	guest_save(n, s);

	vf_enter_state(target, VFIO_DEVICE_STATE_RESUMING, &fd);
	EXPECT_EQ(-EINVAL, stream_write(s, fd, s->len));
	EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(target));
	EXPECT_EQ(-EINVAL, vf_set_state(target, VFIO_DEVICE_STATE_STOP, NULL));
	close(fd);
	vf_reset(target);

	EXPECT_EQ(-EINVAL, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(vf));
	guest_check_frozen(n, "though it has no state");
	vf_reset(vf);
	guest_restart(n);
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("fault %u, value %u", fault, value);
}

TEST_F(failure, damaged_on_save)
{
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;
	struct stream s;
	__u64 size = 1;
	__u32 at;

	/* Each byte of its beginning, some of all else, and the last one. */
	for (at = 0; at < size; at = at < 24 ? at + 1 :
	     at < size - 1 && at + 97 >= size ? size - 1 : at + 97) {
		lose_state(_metadata, n, target, FAULT_DAMAGE, at, &s);
		size = stream_state_length(&s);
		free(s.data);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	move_away(self);
}

/* What is missing is 0, and nothing of what the memory had before. */
TEST_F(failure, short_on_save)
{
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;
	__u32 length, used, i;
	struct stream s;

	guest_suspend(n);
	guest_save(n, &s);
	guest_roll_back(n);
	used = stream_state_length(&s);
	while (!s.data[PAYLOAD_AT + used - 1])
		used--;
	free(s.data);

	for (length = 0; length < used; length = length < used - 1 &&
	     2 * length + 1 >= used ? used - 1 : 2 * length + 1) {
		lose_state(_metadata, n, target, FAULT_LENGTH, length, &s);
		for (i = length; i < stream_state_length(&s); i++)
			EXPECT_EQ(0, s.data[PAYLOAD_AT + i]);
		free(s.data);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	move_away(self);
}

/*
 * The state outgrows what QUERY_DATA_SIZE said, and so the host's memory for it.
 * The IOMMU keeps it from what lies beyond.
 */
TEST_F(failure, long_on_save)
{
	static const __u32 lengths[] = { PAGE, 2 * PAGE };
	struct nvme *n = &self->n;
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		lose_state(_metadata, n, &self->sibling.vf, FAULT_LENGTH,
			   lengths[i], &s);
		EXPECT_GT(PAGE, stream_state_length(&s));
		free(s.data);
	}
	move_away(self);
}

/* Here the source still has a good copy, and the guest goes on with it. */
TEST_F(failure, spoiled_on_load)
{
	static const struct {
		enum fault_kind	fault;
		__u32		value;
	} faults[] = {
		{ FAULT_DAMAGE, 0 }, { FAULT_DAMAGE, 100 },
		{ FAULT_LENGTH, 0 }, { FAULT_LENGTH, 100 },
	};
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;
	struct stream s;
	unsigned int i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(faults); i++) {
		io_submit(n, n->queue->next, 3);
		nvme_ring(n, n->queue->next);
		ASSERT_TRUE(fault_set_once(target->bdf, COMMAND_LOAD, faults[i].fault,
					   faults[i].value));
		guest_suspend(n);
		guest_save(n, &s);
		vf_enter_state(target, VFIO_DEVICE_STATE_RESUMING, &fd);
		EXPECT_EQ(-EINVAL, stream_write(&s, fd, s.len));
		close(fd);
		free(s.data);
		vf_reset(target);

		guest_roll_back(n);
		io_wait(n);
		io_check(n);

		/* Or it has to try twice. */
		ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_LOAD, faults[i].fault,
					   faults[i].value));
		guest_suspend(n);
		guest_save(n, &s);
		free(s.data);
		EXPECT_EQ(-EINVAL, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
						NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(n->vf));
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		io_check(n);
	}
	move_away(self);
}

/* It takes a while, for which nobody else has to wait, and then it works. */
TEST_F(failure, slow)
{
	struct nvme *n = &self->n;
	long long begin;
	struct trip t;
	unsigned int i;

	sibling_start(&self->sibling);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		trip_begin(&t, &ways[i], n);
		ASSERT_TRUE(fault_set_once(n->vf->bdf, ways[i].command,
					   FAULT_DELAY, 200));
		begin = now_ms();
		EXPECT_EQ(0, trip_go(&t));
		EXPECT_LE(199, now_ms() - begin);
		EXPECT_EQ(ways[i].to, vf_get_state(n->vf));
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		trip_end(&t);
		io_wait(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", ways[i].name,
			       ways[i].from, ways[i].to);
	}
	io_check(n);
	sibling_is_well(_metadata, &self->sibling);
	move_away(self);
}

/* While the controller is at it, something happens. */
static bool fault_midway(struct vf *vf, const struct way *way, enum fault_kind fault,
			 __u32 value)
{
	return fault_set_once(vf->bdf, way->command, FAULT_DELAY, 20) &&
	       fault_set_once(vf->bdf, way->command, fault, value);
}

/* The VF has a fatal error. Its owner resets it, or the guest does. */
TEST_F(failure, vf_fails)
{
	struct nvme *n = &self->n;
	struct vf *vf = &self->vf;
	struct stream s;
	unsigned int i;
	struct trip t;

	sibling_start(&self->sibling);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		trip_begin(&t, &ways[i], n);
		ASSERT_TRUE(fault_midway(vf, &ways[i], FAULT_FAIL, 1));
		EXPECT_EQ(-EIO, trip_go(&t));
		EXPECT_EQ(trip_state(&t), vf_get_state(vf));
		EXPECT_EQ(NVME_CSTS_CFS,
			  nvme_read32(n, NVME_CSTS) & NVME_CSTS_CFS);
		EXPECT_EQ(runs(ways[i].from) ||
			  ways[i].from == VFIO_DEVICE_STATE_RESUMING ? 0 : -EIO,
			  trip_recover(&t));
		if (runs(ways[i].from)) {
			EXPECT_EQ(-EIO, vf_mig_data_size(vf));
			EXPECT_EQ(-EIO, vf_set_state(vf,
						     VFIO_DEVICE_STATE_RUNNING_P2P,
						     NULL));
		} else {
			vf_reset(vf);
		}
		trip_end(&t);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		guest_restart(n);
		guest_suspend(n);
		guest_save(n, &s);
		free(s.data);
		guest_roll_back(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", ways[i].name,
			       ways[i].from, ways[i].to);
	}
	sibling_is_well(_metadata, &self->sibling);
	move_away(self);
}

/* The administrator takes the VF offline just then. */
TEST_F(failure, vf_offline)
{
	struct nvme *n = &self->n;
	struct vf *vf = &self->vf;
	struct stream s;
	unsigned int i;
	struct trip t;

	sibling_start(&self->sibling);
	for (i = 0; i < ARRAY_SIZE(ways); i++) {
		trip_begin(&t, &ways[i], n);
		ASSERT_TRUE(fault_midway(vf, &ways[i], FAULT_OFFLINE, 0));
		EXPECT_EQ(-EIO, trip_go(&t));
		EXPECT_EQ(trip_state(&t), vf_get_state(vf));
		EXPECT_EQ(runs(ways[i].from) ? 0 : -EIO, trip_recover(&t));
		vf_reset(vf);
		trip_end(&t);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		EXPECT_EQ(-EIO, vf_mig_data_size(vf));

		pf_restore_vfs(&self->pf);
		vf_reset(vf);
		guest_restart(n);
		guest_suspend(n);
		guest_save(n, &s);
		free(s.data);
		guest_roll_back(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", ways[i].name,
			       ways[i].from, ways[i].to);
	}
	sibling_is_well(_metadata, &self->sibling);
	move_away(self);
}

/*
 * The PF has a fatal error. Nobody is told, so nvme finds out when the command
 * has taken too long; its reset takes all VFs down.
 */
TEST_F(failure, pf_fails)
{
	struct nvme *n = &self->n;
	struct vf *vf = &self->vf;
	long long begin, longest = 0;
	unsigned int i, state;
	char text[64];
	struct trip t;
	int ret;

	pf_set_timeout(&self->pf, 1);
	for (i = 0; i < EACH_FATE; i++) {
		trip_begin(&t, &ways[i], n);
		sibling_start(&self->sibling);
		ASSERT_TRUE(fault_midway(vf, &ways[i], FAULT_FAIL, 0));
		log_open();
		begin = running_ms();
		EXPECT_EQ(-ECANCELED, trip_go(&t));
		pf_await_live(&self->pf);
		begin = running_ms() - begin;
		longest = begin > longest ? begin : longest;

		EXPECT_TRUE(log_has("controller is down; will reset"));
		snprintf(text, sizeof(text), "%s: %s failed: ", vf->bdf,
			 ways[i].name);
		EXPECT_TRUE(log_has(text));

		state = vf_get_state(vf);
		ret = vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		if (ways[i].command == COMMAND_QUERY) {
			EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, state);
			EXPECT_EQ(0, ret);
		} else {
			/* It is found out by the next who wants something. */
			EXPECT_EQ(ways[i].command == COMMAND_SAVE ||
				  ways[i].from == VFIO_DEVICE_STATE_RESUMING ?
				  trip_state(&t) : VFIO_DEVICE_STATE_ERROR, state);
			EXPECT_EQ(state == VFIO_DEVICE_STATE_ERROR ?
				  -EINVAL : -ENODEV, ret);
			EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
		}
		trip_end(&t);

		sibling_stop(&self->sibling);
		EXPECT_TRUE(self->sibling.lost);
		pf_restore_vfs(&self->pf);
		vf_reset(vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		guest_restart(n);
		guest_restart(&self->sibling.n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", ways[i].name,
			       ways[i].from, ways[i].to);
	}
	TH_LOG("the PF runs again %lld ms after the command at the latest",
	       longest);
	EXPECT_GT(1000 * BOUND, longest);
	move_away(self);
}

TEST_HARNESS_MAIN
