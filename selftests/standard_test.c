// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test what is special about the standard's command set. This is what a driver can do wrong
 * with these commands, and who tests it:
 *
 *   take Get for the only copy, and load the state back       called_off, arcs_test
 *   save a VF whose owner has ended the suspension            owner_resets, tests/std_kunit.c
 *   take Controller Not Suspended for a failed Resume         owner_resets, vf_event_test
 *   set the state of a VF that has I/O queues                 two_loads, arcs_test
 *   send indices of formats to another controller             identity, tests/std_kunit.c
 *   count the dwords of Get and Set in the same way           sizes, hook_test
 *   trust the sizes in a header                               hostile_headers, tests/std_kunit.c
 *   send what is behind the end of a state                    sizes, tests/std_kunit.c
 *   resume after a part of a state was set                    a_part_fails, tests/std_kunit.c
 *   lose the status of a failure                              hook_test
 *   use a PF that does not tell the controller ID             tests/ctrl_kunit.c
 *   enable the VF by its registers                            sizes: the guest runs on
 *   wait for ever for I/O that hangs                          vf_event_test
 *
 * The step nvme-cli tests the controller alone, for example S0PT at a tail of 0.
 */
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/mutate.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define MIB		(1U << 20)
#define LIMIT		(16 * MIB)	/* of a state */
/* Offsets in a state */
#define NVMECSS		offsetof(struct standard_header, queues_size)
#define VSS		offsetof(struct standard_header, vendor_size)

static const unsigned char uuid[16] = {
	0x6e, 0x76, 0x6d, 0x65, 0x76, 0x66, 0x4c, 0x4d,
	0x80, 0x00, 0x73, 0x74, 0x64, 0x00, 0x00, 0x01,
};

FIXTURE(standard)
{
	struct nvme n;
	struct vf vf[2];
};

FIXTURE_SETUP(standard)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (!vf_standard())
		why = "the command set is the vendor's";
	if (why)
		SKIP(return, "%s", why);
	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	guest_open(&self->n, self->vf, 2, VF_ANY);
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
}

FIXTURE_TEARDOWN(standard)
{
	fault_clear_all(self->vf[0].bdf);
	fault_clear_all(self->vf[1].bdf);
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	trace_close();
}

/* Count the commands of a verb since trace_clear(). */
static unsigned int count(const char *verb)
{
	char *steps = trace_steps(NULL), *rest = steps, *step;
	unsigned int n = 0;

	while ((step = strsep(&rest, "\n")))
		n += !strcmp(step, verb);
	free(steps);
	return n;
}

/* Wait until a command of a verb has begun @times times since trace_clear(). */
static void await(const char *verb, unsigned int times)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (count(verb) < times) {
		if (time(NULL) > deadline)
			die("the command %s was sent %u times, expected %u", verb,
			    count(verb), times);
		usleep(1000);
	}
}

static void put64(struct stream *s, size_t at, __u64 value)
{
	memcpy(s->data + at, &value, sizeof(value));
}

/*
 * States of all sizes move, in as many commands as they need. The controller compares the
 * padding at their end, which has another value in each dword.
 */
TEST_F(standard, sizes)
{
	static const __u32 sizes[] = {
		0, 8192, 16384 - 4, 16384, 16384 + 4, 65536, MIB, MIB + 4, 3 * MIB,
		LIMIT - 4, LIMIT,
	};
	unsigned int parts[ARRAY_SIZE(sizes)], i, most;
	struct nvme *n = &self->n;
	struct vf *from;
	struct stream s;
	__u64 size;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		from = n->vf;
		ASSERT_TRUE(fault_set(from->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, sizes[i]));
		guest_suspend(n);
		trace_clear();
		guest_save(n, &s);
		size = stream_state_length(&s);
		if (sizes[i])
			EXPECT_EQ(sizes[i], size);
		parts[i] = count("save");

		trace_clear();
		guest_load(n, &self->vf[from == &self->vf[0]], &s);
		EXPECT_EQ(parts[i], count("load"));
		free(s.data);
		fault_clear_all(from->bdf);
		vf_reset(from);
		io_check(n);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("%llu bytes: %u parts", size, parts[i]);
	}
	EXPECT_EQ(1, parts[0]);

	/* All parts but the last have the same size. */
	most = LIMIT / parts[ARRAY_SIZE(sizes) - 1];
	TH_LOG("one command carries %u bytes", most);
	EXPECT_EQ(0, most % PAGE);
	for (i = 1; i < ARRAY_SIZE(sizes); i++)
		EXPECT_EQ((sizes[i] + most - 1) / most, parts[i]);
}

/* A state above the limit is noticed while the guest runs, or at the latest at the end. */
TEST_F(standard, too_large)
{
	struct nvme *n = &self->n;
	int fd;

	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE, LIMIT + 4));
	EXPECT_EQ(-E2BIG, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, NULL));
	EXPECT_EQ(-E2BIG, vf_mig_data_size(n->vf));
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(n->vf));
	fault_clear_all(n->vf->bdf);

	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, LIMIT + 4));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL));
	EXPECT_EQ(-E2BIG, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL));
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	close(fd);
	io_check(n);
}

/*
 * A guest that resets its controller ends the suspension: the migration fails, and the guest
 * goes on.
 */
TEST_F(standard, owner_resets)
{
	struct nvme *n = &self->n;
	char byte;
	int fd;

	guest_suspend(n);
	nvme_write32(n, NVME_CC, 0);
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(EIO, errno);
	close(fd);
	EXPECT_EQ(-EIO, vf_set_state(n->vf, VFIO_DEVICE_STATE_RESUMING, NULL));
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	guest_restart(n);
	io_check(n);

	/* between two of many parts */
	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, LIMIT));
	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SAVE, FAULT_DELAY, 100));
	guest_suspend(n);
	trace_clear();
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	await("save", 2);
	nvme_write32(n, NVME_CC, 0);
	/* The next part may be behind the end of what is left of the state. */
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_TRUE(errno == EIO || errno == EINVAL)
		TH_LOG("read() failed with %d", errno);
	close(fd);
	fault_clear_all(n->vf->bdf);
	EXPECT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	guest_restart(n);
}

/* A migration that is called off needs a Resume and nothing else. */
TEST_F(standard, called_off)
{
	struct nvme *n = &self->n;
	struct stream s;
	char *steps;

	guest_suspend(n);
	guest_save(n, &s);
	trace_clear();
	guest_roll_back(n);
	steps = trace_steps(NULL);
	EXPECT_STREQ("resume\n", steps);
	free(steps);
	free(s.data);
	io_check(n);
}

/*
 * Write a stream to the second VF; expect @error, and @message if not NULL: the driver limits
 * how many messages a VF has.
 */
static void expect_refused(struct __test_metadata *_metadata, struct vf *vf, struct stream *s,
			   int error, const char *message)
{
	int fd;

	log_open();
	trace_clear();
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
	EXPECT_EQ(error, stream_write(s, fd, s->len));
	EXPECT_EQ(0, count("load"));
	if (message)
		EXPECT_TRUE(log_has(message));
	ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
		TH_LOG("expected %d and \"%s\"", error, message);
	close(fd);
	vf_reset(vf);
}

/*
 * IDENTITY has the version and the UUID. A target with others refuses it when it arrives,
 * which is while the guest runs.
 */
TEST_F(standard, identity)
{
	struct nvme *n = &self->n;
	struct nvmevf_identity *identity;
	struct stream s, other;

	guest_suspend(n);
	guest_save(n, &s);
	identity = (void *)s.data + IDENTITY_AT;
	EXPECT_EQ(NVMEVF_COMMAND_SET_STANDARD, identity->command_set);
	EXPECT_EQ(0, identity->state_version);
	EXPECT_EQ(0, memcmp(identity->state_uuid, uuid, sizeof(uuid)));

	other = mutate_copy(&s);
	other.len = STATE_AT;
	identity = (void *)other.data + IDENTITY_AT;
	identity->command_set = NVMEVF_COMMAND_SET_VENDOR;
	expect_refused(_metadata, &self->vf[1], &other, -EINVAL,
		       "source command set 1 (vendor), expected 2 (standard)");
	identity->command_set = NVMEVF_COMMAND_SET_STANDARD;
	identity->state_version = 1;
	expect_refused(_metadata, &self->vf[1], &other, -EINVAL,
		       "source state version 1, expected 0");
	identity->state_version = 0;
	identity->state_uuid[15] ^= 1;
	expect_refused(_metadata, &self->vf[1], &other, -EINVAL, "source state UUID");
	free(other.data);
	free(s.data);
}

/* A header that the source made up is refused before a command is sent. */
TEST_F(standard, hostile_headers)
{
	static const struct {
		unsigned int	at;
		__u64		value;
		int		error;
		const char	*message;
	} cases[] = {
		{ NVMECSS, ~0ULL, -E2BIG, "cannot migrate" },
		{ VSS, 0, -EINVAL, "its header declares" },
		{ 0, 1, -EINVAL, "has version" },
		{ NVMECSS, 1ULL << 62, -E2BIG },
		{ NVMECSS + 8, 1, -E2BIG },
		{ VSS, ~0ULL - 1, -E2BIG },
		{ VSS + 8, 1ULL << 63, -E2BIG },
		{ VSS, LIMIT / 4, -E2BIG },
		{ NVMECSS, 2, -EINVAL },
	};
	struct nvme *n = &self->n;
	struct stream s, other;
	unsigned int i;

	guest_suspend(n);
	guest_save(n, &s);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		other = mutate_copy(&s);
		put64(&other, stream_state_at(&s) + sizeof(struct nvmevf_record) +
		      cases[i].at, cases[i].value);
		mutate_fix_checksum(&other);
		expect_refused(_metadata, &self->vf[1], &other, cases[i].error,
			       cases[i].message);
		free(other.data);
	}
	guest_load(n, &self->vf[1], &s);
	io_check(n);
	free(s.data);
}

/*
 * A VF may get a state more than once: after it was loaded, and after it has run. Each time
 * it has queues, so the driver resets it.
 */
TEST_F(standard, two_loads)
{
	struct nvme *n = &self->n;
	struct vf *to = &self->vf[1];
	struct stream first, second;
	int fd;

	io_submit_all(n, 3);
	guest_suspend(n);
	guest_save(n, &first);
	guest_roll_back(n);
	io_wait(n);
	io_check(n);
	io_submit_all(n, 2);
	guest_suspend(n);
	guest_save(n, &second);

	vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &fd);
	EXPECT_EQ(0, stream_write(&first, fd, first.len));
	close(fd);
	vf_enter_state(to, VFIO_DEVICE_STATE_STOP, NULL);
	trace_clear();
	vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &fd);
	EXPECT_EQ(1, count("suspend"));
	EXPECT_EQ(0, stream_write(&second, fd, second.len));
	close(fd);
	vf_enter_state(to, VFIO_DEVICE_STATE_STOP, NULL);

	/* The second state counts: the first would repeat I/O. */
	n->vf = to;
	vf_enter_state(to, VFIO_DEVICE_STATE_RUNNING, NULL);
	vf_reset(&self->vf[0]);
	io_wait(n);
	io_check(n);

	/* the source, which was reset, and the target, which has run */
	guest_migrate(n, &self->vf[0]);
	guest_suspend(n);
	free(second.data);
	guest_save(n, &second);
	guest_load(n, n->vf, &second);
	io_check(n);
	free(first.data);
	free(second.data);
}

/* When one of several parts is refused, only a reset leaves RESUMING. */
TEST_F(standard, a_part_fails)
{
	struct nvme *n = &self->n;
	struct vf *to = &self->vf[1];
	struct stream s;
	int fd;

	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, 4 * MIB));
	guest_suspend(n);
	guest_save(n, &s);

	trace_clear();
	/* a byte of the last part; the controller notices when it has all parts */
	ASSERT_TRUE(fault_set(to->bdf, COMMAND_LOAD, FAULT_DAMAGE, 4 * MIB - 1));
	ASSERT_EQ(0, vf_set_state(to, VFIO_DEVICE_STATE_RESUMING, &fd));
	EXPECT_EQ(-EINVAL, stream_write(&s, fd, s.len));
	EXPECT_EQ(-EINVAL, vf_set_state(to, VFIO_DEVICE_STATE_RUNNING, NULL));
	EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(to));
	EXPECT_EQ(0, count("resume"));
	close(fd);
	fault_clear_all(to->bdf);
	vf_reset(to);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(to));

	guest_load(n, to, &s);
	io_check(n);
	free(s.data);
}

TEST_HARNESS_MAIN
