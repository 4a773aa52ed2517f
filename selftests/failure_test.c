// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test controllers that fail: a command fails, its data are damaged or truncated,
 * or the VF or the PF fails during the command (fault_set()). The driver returns
 * an error and logs one line. The guest keeps all acknowledged writes. Its sibling
 * on another VF is not affected.
 */
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

/* Time limit in seconds to detect and reset a controller that failed. */
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

	/* The driver's rate limit of messages begins anew with each binding. */
	vf_rebind(vf_bdf(0), NULL);
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

/* Migrate the guest to the VF of its sibling: migration must work after the test. */
static void move_to_sibling_vf(FIXTURE_DATA(failure) * self)
{
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;

	vf_close(target);
	vf_open(target, target->bdf, VF_ANY, n->mem, GUEST_MEM);
	guest_migrate(n, target);
	io_check(n);
}

/* Transitions that send a command. */
static const struct transition {
	enum fault_command	command;
	unsigned int	from, to;
	bool		saved;		/* the driver keeps a saved state */
} transitions[] = {
#define TRANSITION(command, from, to, ...)	\
	{ COMMAND_##command, VFIO_DEVICE_STATE_##from, VFIO_DEVICE_STATE_##to, __VA_ARGS__ }
	TRANSITION(QUERY, RUNNING, PRE_COPY),
	TRANSITION(SUSPEND, RUNNING, RUNNING_P2P),
	TRANSITION(SAVE, STOP, STOP_COPY),
	/* write() sends LOAD_DATA. */
	TRANSITION(LOAD, RESUMING, RESUMING),
	TRANSITION(LOAD, RUNNING_P2P, RUNNING, true),
	TRANSITION(RESUME, RUNNING_P2P, RUNNING),
	TRANSITION(QUERY, RUNNING_P2P, PRE_COPY_P2P),
	TRANSITION(QUERY, PRE_COPY_P2P, STOP_COPY),
	TRANSITION(QUERY, STOP, STOP_COPY),
	TRANSITION(SUSPEND, PRE_COPY, PRE_COPY_P2P),
	TRANSITION(SAVE, PRE_COPY_P2P, STOP_COPY),
	TRANSITION(RESUME, RUNNING_P2P, RUNNING, true),
	TRANSITION(RESUME, PRE_COPY_P2P, PRE_COPY),
};

static bool is_slow_kernel(void)
{
	return getenv("NVMEVF_SOME_POINTS");
}

/* Return how many to test. The first six have all commands. */
static unsigned int count_transitions(void)
{
	return is_slow_kernel() ? 6 : ARRAY_SIZE(transitions);
}

/* With the standard's set, nothing is loaded to roll back: Get leaves the state in the VF. */
static bool is_sent(const struct transition *t)
{
	return !vf_standard() || t->command != COMMAND_LOAD || !t->saved;
}

/* Return the command's name in the driver's messages. */
static const char *command_name(const struct transition *t)
{
	switch (t->command) {
	case COMMAND_QUERY:
		return vf_standard() ? "Get Controller State" : "QUERY_DATA_SIZE";
	case COMMAND_SUSPEND:
		return vf_standard() ? "Suspend" : "SUSPEND";
	case COMMAND_RESUME:
		return vf_standard() ? "Resume" : "RESUME";
	case COMMAND_SAVE:
		return vf_standard() ? "Get Controller State" : "SAVE_DATA";
	default:
		return vf_standard() ? "Set Controller State" : "LOAD_DATA";
	}
}

/* Number of first entries that cover each command, and LOAD_DATA in both states. */
#define EACH_COMMAND	6
/* Number of first entries that cover each outcome of a command without an answer. */
#define EACH_OUTCOME	4

/* One attempt at a transition. */
struct attempt {
	const struct transition	*transition;
	struct nvme		*n;
	int			fd;
	struct stream		stream;	/* the guest's state, for RESUMING */
};

static void attempt_begin(struct attempt *t, const struct transition *transition,
			  struct nvme *n)
{
	struct nvme_queue *q;

	*t = (struct attempt){ .transition = transition, .n = n, .fd = -1 };
	for (q = n->queue->next; q; q = q->next) {
		io_submit(n, q, 3);
		nvme_ring(n, q);
	}
	if (transition->saved || transition->from == VFIO_DEVICE_STATE_RESUMING) {
		guest_suspend(n);
		guest_save(n, &t->stream);
	}
	vf_enter_state(n->vf, transition->from, &t->fd);
}

/* Return 0 or -errno. */
static int attempt_run(struct attempt *t)
{
	struct vf *vf = t->n->vf;
	struct stream s;
	int ret, fd;

	if (t->transition->from == VFIO_DEVICE_STATE_RESUMING)
		return stream_write(&t->stream, t->fd, t->stream.len);

	ret = vf_set_state(vf, t->transition->to, &fd);
	if (fd >= 0)
		t->fd = fd;
	if (!ret && t->transition->command == COMMAND_SAVE) {
		ret = stream_read(&s, t->fd, 4096);
		free(s.data);
	}
	return ret;
}

/* Return the migration state after the command failed. */
static unsigned int attempt_state_on_failure(const struct attempt *t)
{
	return t->transition->command == COMMAND_SAVE ? t->transition->to : t->transition->from;
}

static void attempt_end(struct attempt *t)
{
	close(t->fd);
	free(t->stream.data);
}

static bool runs(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/* Return to RUNNING with the guest's state, now that the command works again. */
static int attempt_recover(struct attempt *t)
{
	struct vf *vf = t->n->vf;
	int ret, fd;

	if (t->transition->from != VFIO_DEVICE_STATE_RESUMING)
		return vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);

	/* A failed stream keeps failing; a new RESUMING accepts the same bytes. */
	if (vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL) != attempt_run(t))
		die("STOP and write() on a failed stream return different errors");
	vf_reset(vf);
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		return ret;
	ret = stream_write(&t->stream, fd, t->stream.len);
	close(fd);
	return ret ?: vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

static void expect_sibling_unaffected(struct __test_metadata *_metadata, struct sibling *s)
{
	sibling_stop(s);
	EXPECT_FALSE(s->lost);
	EXPECT_LT(0, s->completed);
	TH_LOG("sibling: %lu I/Os, longest stall %lld ms", s->completed,
	       s->stall_ms);
	EXPECT_GT(1000 * BOUND, s->stall_ms);
}

static int errno_of(const struct transition *transition, __u16 status)
{
	switch (status & 0x7ff) {
	case 0x001:
		return -EOPNOTSUPP;
	case 0x002:
		return -EINVAL;
	case 0x00c:
		return -EPROTO;
	case 0x370:	/* Host Pathing Error */
		/* -EAGAIN would tell users of the data_fd to poll(). */
		return transition->command == COMMAND_SAVE ||
		       transition->from == VFIO_DEVICE_STATE_RESUMING ? -EIO : -EAGAIN;
	}
	return -EIO;
}

/* Fail the command once. The driver must not retry, and the state must not change. */
static void fail_once(struct __test_metadata *_metadata, struct nvme *n,
		      const struct transition *transition, __u16 status)
{
	struct attempt t;

	attempt_begin(&t, transition, n);
	ASSERT_TRUE(fault_set_once(n->vf->bdf, transition->command, FAULT_STATUS,
				   status));
	EXPECT_EQ(errno_of(transition, status), attempt_run(&t));
	EXPECT_EQ(attempt_state_on_failure(&t), vf_get_state(n->vf));
	EXPECT_EQ(0, attempt_recover(&t));
	attempt_end(&t);
	io_wait(n);
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("%s from state %u to %u, status %#x", command_name(transition),
		       transition->from, transition->to, status);
}

/* Test each status code type: generic, command specific, media, path, vendor. */
TEST_F(failure, command_status)
{
	static const __u16 statuses[] = {
		0x001, 0x002, 0x006, 0x00c, 0x120, 0x191, 0x1c0, 0x281, 0x370,
		0x7ff,
		/* Do Not Retry; More; Command Retry Delay */
		0x4002, 0x6006, 0x4021, 0x1820,
	};
	struct nvme *n = &self->n;
	unsigned int i, k;
	__u16 status;

	sibling_start(&self->sibling);
	for (i = 0; i < count_transitions(); i++) {
		for (k = 0; k < ARRAY_SIZE(statuses) && is_sent(&transitions[i]); k++)
			fail_once(_metadata, n, &transitions[i], statuses[k]);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
		io_check(n);
	}
	/* Test one transition with many more codes. */
	for (status = 3; status < 0x800; status += is_slow_kernel() ? 35 : 7) {
		fail_once(_metadata, n, &transitions[1], status);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	io_check(n);
	expect_sibling_unaffected(_metadata, &self->sibling);
}

/*
 * A controller that is busy with other commands says Command Interrupted. The driver
 * sends the command again.
 */
TEST_F(failure, busy)
{
	struct nvme *n = &self->n;
	struct attempt t;
	unsigned int i;

	for (i = 0; i < count_transitions(); i++) {
		if (!is_sent(&transitions[i]))
			continue;
		attempt_begin(&t, &transitions[i], n);
		ASSERT_TRUE(fault_set_times(n->vf->bdf, transitions[i].command,
					    FAULT_STATUS, i % 2 ? 0x1821 : 0x21, 5));
		EXPECT_EQ(0, attempt_run(&t));
		EXPECT_EQ(transitions[i].to, vf_get_state(n->vf));
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		attempt_end(&t);
		io_wait(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", command_name(&transitions[i]),
			       transitions[i].from, transitions[i].to);
	}
	move_to_sibling_vf(self);
}

/* A controller that remains busy: the command fails after 10 s, and can be given up. */
TEST_F(failure, busy_for_ever)
{
	struct vf *vf = &self->vf;
	long long begin;
	int status;
	pid_t pid;

	if (vf_standard())
		SKIP(return, "this does not depend on the command set");
	ASSERT_TRUE(fault_set(vf->bdf, COMMAND_SUSPEND, FAULT_STATUS, 0x21));
	begin = now_ms();
	EXPECT_EQ(-EIO, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL));
	EXPECT_LE(10000, now_ms() - begin);
	EXPECT_GT(10000 + 1000 * BOUND, now_ms() - begin);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));

	pid = must(fork());
	if (!pid) {
		vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
		_exit(0);
	}
	await_sleep(pid, SYS_ioctl, vf->fd);
	begin = now_ms();
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_GT(5000, now_ms() - begin);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	fault_clear_all(vf->bdf);
	move_to_sibling_vf(self);
}

/* Run an attempt whose command is carried out, and then fails with @status. */
static void attempt_fail_after(struct __test_metadata *_metadata, struct attempt *t,
			       const struct transition *transition, struct nvme *n,
			       __u16 status)
{
	attempt_begin(t, transition, n);
	ASSERT_TRUE(fault_set_once(n->vf->bdf, transition->command,
				   FAULT_STATUS_AFTER, status));
	EXPECT_EQ(errno_of(transition, status), attempt_run(t));
	EXPECT_EQ(transition->from, vf_get_state(n->vf));
}

/* End such an attempt: the guest's VF runs again. */
static void attempt_end_recovered(struct __test_metadata *_metadata, struct attempt *t,
				  __u16 status)
{
	EXPECT_EQ(0, attempt_recover(t));
	attempt_end(t);
	ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
		TH_LOG("from state %u, status %#x", t->transition->from, status);
}

/*
 * SUSPEND fails, but the VF is suspended. The driver must resume the VF, because the
 * guest runs on: it makes no other call.
 */
TEST_F(failure, suspend_fails_after_its_effect)
{
	static const __u16 statuses[] = { 0x001, 0x002, 0x006, 0x00c, 0x4006 };
	struct nvme *n = &self->n;
	struct attempt t;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(transitions); i++) {
		if (transitions[i].command != COMMAND_SUSPEND)
			continue;
		for (k = 0; k < ARRAY_SIZE(statuses); k++) {
			attempt_fail_after(_metadata, &t, &transitions[i], n,
					   statuses[k]);
			io_submit_all(n, 3);
			io_wait(n);
			attempt_end_recovered(_metadata, &t, statuses[k]);
		}
	}
	move_to_sibling_vf(self);
}

/*
 * RESUME fails, but the VF runs. The driver must suspend the VF: its state is that of a
 * suspended one, so the VF can be saved and does not change memory.
 */
TEST_F(failure, resume_fails_after_its_effect)
{
	static const __u16 statuses[] = { 0x001, 0x002, 0x006, 0x4006 };
	struct nvme *n = &self->n;
	struct attempt t;
	struct stream s;
	unsigned int i, k;

	for (i = 0; i < ARRAY_SIZE(transitions); i++) {
		if (transitions[i].command != COMMAND_RESUME)
			continue;
		for (k = 0; k < ARRAY_SIZE(statuses); k++) {
			attempt_fail_after(_metadata, &t, &transitions[i], n,
					   statuses[k]);
			io_submit(n, n->queue->next, 1);
			guest_freeze(n);
			nvme_ring_all(n);
			guest_save(n, &s);
			guest_check_frozen(n, "after RESUME failed");
			free(s.data);
			attempt_end_recovered(_metadata, &t, statuses[k]);
			io_wait(n);
		}
		io_check(n);
	}
	move_to_sibling_vf(self);
}

/* The command that undoes the effect fails, too. One line says what is not known. */
TEST_F(failure, undo_fails)
{
	static const struct {
		const struct transition	*transition;
		enum fault_command	undo;
		const char		*message;
	} cases[] = {
		{ &transitions[1], COMMAND_RESUME,
		  "VF may be suspended: RESUME after a failed SUSPEND failed" },
		{ &transitions[5], COMMAND_SUSPEND,
		  "VF may run: SUSPEND after a failed RESUME failed" },
	};
	struct nvme *n = &self->n;
	char text[128];
	struct attempt t;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		attempt_begin(&t, cases[i].transition, n);
		ASSERT_TRUE(fault_set_once(n->vf->bdf, cases[i].transition->command,
					   FAULT_STATUS_AFTER, 0x6));
		ASSERT_TRUE(fault_set_once(n->vf->bdf, cases[i].undo, FAULT_STATUS,
					   0x6));
		log_open();
		EXPECT_EQ(-EIO, attempt_run(&t));
		snprintf(text, sizeof(text), "%s: %s", n->vf->bdf, cases[i].message);
		EXPECT_TRUE(log_has(text));
		EXPECT_EQ(cases[i].transition->from, vf_get_state(n->vf));
		vf_reset(n->vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
		attempt_end(&t);
		guest_restart(n);
	}
	move_to_sibling_vf(self);
}

/*
 * SAVE_DATA fails, but has disabled the VF. The driver cannot know, so the guest finds a
 * controller that is disabled and starts it again. Nothing that was completed is lost. The
 * standard's Get has no effect, so the guest goes on.
 */
TEST_F(failure, save_fails_after_its_effect)
{
	static const enum fault_kind faults[] = { FAULT_PART, FAULT_STATUS_AFTER };
	struct nvme *n = &self->n;
	struct stream s;
	unsigned int i;

	for (i = vf_standard(); i < ARRAY_SIZE(faults); i++) {
		io_submit_all(n, 3);
		guest_suspend(n);
		ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_SAVE, faults[i], 0x6));
		guest_stop_copy(n, &s);
		EXPECT_EQ(-EIO, stream_read_more(&s, n->data_fd, PAGE));
		free(s.data);
		guest_check_frozen(n, "when SAVE_DATA failed");
		close(n->data_fd);
		n->data_fd = -1;
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		if (faults[i] == FAULT_PART)
			EXPECT_EQ(0U, nvme_read32(n, NVME_CC));
		if (vf_standard()) {
			io_wait(n);
			io_check(n);
		} else {
			guest_restart(n);
		}
	}
	move_to_sibling_vf(self);
}

/*
 * LOAD_DATA fails half-way. The next LOAD_DATA, there or at the source, replaces all. With the
 * standard's set, the source still has its state.
 */
TEST_F(failure, load_fails_after_its_effect)
{
	static const enum fault_kind faults[] = { FAULT_PART, FAULT_STATUS_AFTER };
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;
	struct stream s;
	unsigned int i;
	int fd;

	for (i = vf_standard(); i < ARRAY_SIZE(faults); i++) {
		io_submit_all(n, 3);
		ASSERT_TRUE(fault_set_once(target->bdf, COMMAND_LOAD, faults[i], 0x6));
		if (!vf_standard())
			ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_LOAD, faults[i], 0x6));
		guest_suspend(n);
		guest_save(n, &s);
		vf_enter_state(target, VFIO_DEVICE_STATE_RESUMING, &fd);
		EXPECT_EQ(-EIO, stream_write(&s, fd, s.len));
		EXPECT_EQ(-EIO, vf_set_state(target, VFIO_DEVICE_STATE_STOP, NULL));
		close(fd);
		free(s.data);
		vf_reset(target);

		guest_check_frozen(n, "when LOAD_DATA failed at the target");
		if (!vf_standard()) {
			EXPECT_EQ(-EIO, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
						     NULL));
			EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(n->vf));
			guest_check_frozen(n, "when LOAD_DATA failed");
		}
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		io_wait(n);
		io_check(n);
	}
	move_to_sibling_vf(self);
}

/* The driver logs one line, which names the VF, the command and the status. */
TEST_F(failure, one_log_line)
{
	struct nvme *n = &self->n;
	char text[128], name[64];
	unsigned int i;
	time_t end;

	for (i = 0; i < EACH_COMMAND; i++) {
		if (!is_sent(&transitions[i]))
			continue;
		snprintf(name, sizeof(name), "%s: %s failed", n->vf->bdf,
			 command_name(&transitions[i]));
		snprintf(text, sizeof(text), "%s: NVMe status %#x ", name,
			 0x4006 + i);
		end = time(NULL) + PATIENCE;
		/* The driver's rate limit is 10 lines in 5 seconds. */
		do {
			ASSERT_GE(end, time(NULL))
				TH_LOG("the kernel log lacks \"%s\"", text);
			log_open();
			fail_once(_metadata, n, &transitions[i], 0x4006 + i);
		} while (!log_has(text));
		EXPECT_FALSE(log_has(name));
	}
	io_check(n);
}

/*
 * SAVE_DATA returns a bad state, the only copy. Both controllers refuse to load
 * the state, so the guest cannot continue on either VF before a reset. With the
 * standard's set, the source still has the state, and goes on.
 */
static void save_bad_state(struct __test_metadata *_metadata, struct nvme *n,
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

	if (vf_standard()) {
		guest_roll_back(n);
		io_wait(n);
	} else {
		EXPECT_EQ(-EINVAL, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING_P2P, vf_get_state(vf));
		guest_check_frozen(n, "after its state was refused");
		vf_reset(vf);
		guest_restart(n);
	}
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("fault %u, value %u", fault, value);
}

/*
 * The header of a state is bad, and the standard's set has headers. So the source notices, and
 * the guest goes on there.
 */
static void save_bad_header(struct __test_metadata *_metadata, struct nvme *n,
			    enum fault_kind fault, __u32 value, int error)
{
	struct stream s;

	io_submit_all(n, 3);
	ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_SAVE, fault, value));
	guest_suspend(n);
	guest_stop_copy(n, &s);
	EXPECT_EQ(error, stream_read_more(&s, n->data_fd, PAGE));
	EXPECT_EQ(0, s.len);
	free(s.data);
	guest_check_frozen(n, "when the header was refused");
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	close(n->data_fd);
	n->data_fd = -1;
	io_wait(n);
	if (_metadata->exit_code == KSFT_FAIL)
		TH_LOG("fault %u, value %u", fault, value);
}

TEST_F(failure, damaged_on_save)
{
	const __u32 first = vf_standard() ? sizeof(struct standard_header) : 0;
	struct vf *target = &self->sibling.vf;
	struct nvme *n = &self->n;
	__u64 size = first + 1;
	struct stream s;
	__u32 at;

	/* Damage each of the first bytes, a sample of the others, and the last. */
	for (at = first; at < size; at = at < first + 24 ? at + 1 :
	     at < size - 1 && at + 97 >= size ? size - 1 : at + 97) {
		save_bad_state(_metadata, n, target, FAULT_DAMAGE, at, &s);
		size = stream_state_length(&s);
		free(s.data);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	move_to_sibling_vf(self);
}

/* Of a header, the source checks the version and the two sizes. */
TEST_F(failure, damaged_header_on_save)
{
	struct nvme *n = &self->n;
	__u32 at;

	if (!vf_standard())
		SKIP(return, "the command set is the vendor's");
	for (at = 0; at < sizeof(struct standard_header);
	     at = at == 1 ? offsetof(struct standard_header, queues_size) : at + 1) {
		/* Sizes are two numbers of 128 bits, in dwords; the limit is 16 MiB. */
		save_bad_header(_metadata, n, FAULT_DAMAGE, at, at < 2 ? -EINVAL :
				at % 16 < 2 ? -EIO : -E2BIG);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	io_check(n);
	move_to_sibling_vf(self);
}

/* The driver sends missing bytes as 0, and no stale kernel memory. */
TEST_F(failure, truncated_on_save)
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
		if (vf_standard() && length < sizeof(struct standard_header)) {
			save_bad_header(_metadata, n, FAULT_LENGTH, length, -EIO);
			ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
			continue;
		}
		save_bad_state(_metadata, n, target, FAULT_LENGTH, length, &s);
		for (i = length; i < stream_state_length(&s); i++)
			EXPECT_EQ(0, s.data[PAYLOAD_AT + i]);
		free(s.data);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code);
	}
	move_to_sibling_vf(self);
}

/* The controller writes more bytes than QUERY_DATA_SIZE reported, into the last page. */
TEST_F(failure, too_long_on_save)
{
	struct nvme *n = &self->n;
	struct stream s;

	if (vf_standard())
		SKIP(return, "the standard's Get has a length");
	save_bad_state(_metadata, n, &self->sibling.vf, FAULT_LENGTH, 2 * PAGE, &s);
	EXPECT_GT(2 * PAGE, stream_state_length(&s));
	free(s.data);
	move_to_sibling_vf(self);
}

/*
 * The controller writes past the last page of the host's buffer. The controller takes
 * the second page for a list of pages, so the IOMMU blocks reading or writing.
 */
TEST_F(failure, past_end_on_save)
{
	struct nvme *n = &self->n;
	struct stream s;
	int ret;

	if (vf_standard())
		SKIP(return, "the standard's Get has a length");
	ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_SAVE, FAULT_LENGTH, 3 * PAGE));
	guest_suspend(n);
	guest_stop_copy(n, &s);
	ret = stream_read_more(&s, n->data_fd, PAGE);
	EXPECT_TRUE(!ret || ret == -EIO)
		TH_LOG("cannot save: %s", strerror(-ret));
	free(s.data);
	close(n->data_fd);
	n->data_fd = -1;
	guest_check_frozen(n, "when the controller wrote past the buffer");
	vf_reset(n->vf);
	guest_restart(n);
	move_to_sibling_vf(self);
}

/* The source keeps a good copy of the state, so a failed load loses nothing. */
TEST_F(failure, damaged_on_load)
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
		if (vf_standard())
			continue;

		/* LOAD_DATA fails on the source, too; a second attempt works. */
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
	move_to_sibling_vf(self);
}

/* A slow command works, and does not delay the sibling. */
TEST_F(failure, slow_command)
{
	struct nvme *n = &self->n;
	long long begin;
	struct attempt t;
	unsigned int i;

	sibling_start(&self->sibling);
	for (i = 0; i < count_transitions(); i++) {
		if (!is_sent(&transitions[i]))
			continue;
		attempt_begin(&t, &transitions[i], n);
		ASSERT_TRUE(fault_set_once(n->vf->bdf, transitions[i].command,
					   FAULT_DELAY, 200));
		begin = now_ms();
		EXPECT_EQ(0, attempt_run(&t));
		EXPECT_LE(199, now_ms() - begin);
		EXPECT_EQ(transitions[i].to, vf_get_state(n->vf));
		EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING,
					  NULL));
		attempt_end(&t);
		io_wait(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", command_name(&transitions[i]),
			       transitions[i].from, transitions[i].to);
	}
	io_check(n);
	expect_sibling_unaffected(_metadata, &self->sibling);
	move_to_sibling_vf(self);
}

/* Begin an attempt during whose command the fault occurs. */
static void attempt_begin_fault(struct __test_metadata *_metadata, struct attempt *t,
				const struct transition *transition, struct nvme *n,
				enum fault_kind fault, __u32 value)
{
	const char *bdf = n->vf->bdf;

	attempt_begin(t, transition, n);
	ASSERT_TRUE(fault_set_once(bdf, transition->command, FAULT_DELAY, 20));
	ASSERT_TRUE(fault_set_once(bdf, transition->command, fault, value));
}

/* Run an attempt during whose command the VF fails. */
static void attempt_fail(struct __test_metadata *_metadata, struct attempt *t,
			 const struct transition *transition, struct nvme *n,
			 enum fault_kind fault, __u32 value)
{
	int ret = fault == FAULT_OFFLINE ? fault_offline_result(transition->command) : -EIO;

	attempt_begin_fault(_metadata, t, transition, n, fault, value);
	EXPECT_EQ(ret, attempt_run(t));
	EXPECT_EQ(attempt_state_on_failure(t), vf_get_state(n->vf));
}

/* End an attempt after a reset of the VF: the guest works and can migrate. */
static void attempt_end_reset(struct __test_metadata *_metadata, struct attempt *t)
{
	struct nvme *n = t->n;
	struct stream s;

	attempt_end(t);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	guest_restart(n);
	guest_suspend(n);
	guest_save(n, &s);
	free(s.data);
	guest_roll_back(n);
	ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
		TH_LOG("%s from state %u to %u", command_name(t->transition),
		       t->transition->from, t->transition->to);
}

/*
 * Have each transition fail with @fault, and bring the VF back to RUNNING by
 * @recover. The sibling must not be affected.
 */
static void fail_each(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self,
		      enum fault_kind fault, __u32 value,
		      void (*recover)(struct __test_metadata *_metadata,
				      FIXTURE_DATA(failure) * self, struct attempt *t,
				      unsigned int from))
{
	struct attempt t;
	unsigned int i;

	sibling_start(&self->sibling);
	for (i = 0; i < count_transitions(); i++) {
		if (!is_sent(&transitions[i]))
			continue;
		attempt_fail(_metadata, &t, &transitions[i], &self->n, fault, value);
		recover(_metadata, self, &t, transitions[i].from);
		attempt_end_reset(_metadata, &t);
	}
	expect_sibling_unaffected(_metadata, &self->sibling);
	move_to_sibling_vf(self);
}

/* The guest or the VFIO user recovers from a fatal error of the VF. */
static void recover_failed(struct __test_metadata *_metadata,
			   FIXTURE_DATA(failure) * self, struct attempt *t,
			   unsigned int from)
{
	struct vf *vf = &self->vf;

	EXPECT_EQ(NVME_CSTS_CFS,
		  nvme_read32(&self->n, NVME_CSTS) & NVME_CSTS_CFS);
	EXPECT_EQ(runs(from) || from == VFIO_DEVICE_STATE_RESUMING ? 0 : -EIO,
		  attempt_recover(t));
	if (runs(from)) {
		EXPECT_EQ(-EIO, vf_mig_data_size(vf));
		EXPECT_EQ(-EIO, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P,
					     NULL));
	} else {
		vf_reset(vf);
	}
}

/* The VF has a fatal error. The user or the guest resets the VF. */
TEST_F(failure, vf_fails)
{
	fail_each(_metadata, self, FAULT_FAIL, 1, recover_failed);
}

/* The administrator brings the VF online again. */
static void recover_offline(struct __test_metadata *_metadata,
			    FIXTURE_DATA(failure) * self, struct attempt *t,
			    unsigned int from)
{
	struct vf *vf = &self->vf;

	EXPECT_EQ(runs(from) ? 0 : -EIO, attempt_recover(t));
	vf_reset(vf);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	EXPECT_EQ(-EIO, vf_mig_data_size(vf));

	pf_restore_vfs(&self->pf);
	vf_reset(vf);
}

/* The administrator takes the VF offline during the command. */
TEST_F(failure, vf_offline)
{
	fail_each(_metadata, self, FAULT_OFFLINE, 0, recover_offline);
}

/*
 * Have the first @count transitions end with a command that is not answered, because of
 * @fault. The nvme driver logs @message when the command times out; its reset of the PF
 * takes all VFs offline.
 */
static void time_out(struct __test_metadata *_metadata, FIXTURE_DATA(failure) * self,
		     unsigned int count, enum fault_kind fault, const char *message)
{
	struct nvme *n = &self->n;
	struct vf *vf = &self->vf;
	long long begin, longest = 0;
	unsigned int i, state;
	char text[64];
	struct attempt t;
	int ret;

	pf_set_timeout(&self->pf, 1);
	for (i = 0; i < count; i++) {
		if (!is_sent(&transitions[i]))
			continue;
		sibling_start(&self->sibling);
		attempt_begin_fault(_metadata, &t, &transitions[i], n, fault, 0);
		log_open();
		begin = running_ms();
		EXPECT_EQ(-ECANCELED, attempt_run(&t));
		pf_await_live(&self->pf);
		begin = running_ms() - begin;
		longest = begin > longest ? begin : longest;

		EXPECT_TRUE(log_has(message));
		snprintf(text, sizeof(text), "%s: %s failed: ", vf->bdf,
			 command_name(&transitions[i]));
		EXPECT_TRUE(log_has(text));

		state = vf_get_state(vf);
		ret = vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		if (transitions[i].command == COMMAND_QUERY) {
			EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, state);
			EXPECT_EQ(0, ret);
		} else {
			/* The next transition detects the reset. */
			EXPECT_EQ(transitions[i].command == COMMAND_SAVE ||
				  transitions[i].from == VFIO_DEVICE_STATE_RESUMING ?
				  attempt_state_on_failure(&t) : VFIO_DEVICE_STATE_ERROR, state);
			EXPECT_EQ(state == VFIO_DEVICE_STATE_ERROR ?
				  -EINVAL : -ENODEV, ret);
			EXPECT_EQ(VFIO_DEVICE_STATE_ERROR, vf_get_state(vf));
		}
		attempt_end(&t);

		sibling_stop(&self->sibling);
		EXPECT_TRUE(self->sibling.lost);
		pf_restore_vfs(&self->pf);
		vf_reset(vf);
		EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
		guest_restart(n);
		guest_restart(&self->sibling.n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%s from state %u to %u", command_name(&transitions[i]),
			       transitions[i].from, transitions[i].to);
	}
	TH_LOG("longest time from command to live PF: %lld ms", longest);
	EXPECT_GT(1000 * BOUND, longest);
	move_to_sibling_vf(self);
}

/* The PF has a fatal error. */
TEST_F(failure, pf_fails)
{
	time_out(_metadata, self, EACH_OUTCOME, FAULT_FAIL,
		 "controller is down; will reset");
}

/* The PF carries a command out, but the answer is lost. */
TEST_F(failure, answer_is_lost)
{
	time_out(_metadata, self, EACH_COMMAND, FAULT_LOST, "timeout, reset controller");
}

TEST_HARNESS_MAIN
