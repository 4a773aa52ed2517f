// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test that a guest finds the same controller after a move: each byte of what Identify,
 * Get Features and Get Log Page return.
 *
 * NVMEVF_PRESENT=off: the controller presents its own identity only, so it must refuse a
 * state that has another.
 */
#include <stdint.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/state.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "lib/vf.h"

#define ANSWERS		640

#define CNS_CTRL	0x01
#define CNS_ACTIVE	0x02
#define CNS_PRIMARY	0x14

/* Offsets in Identify Controller */
#define ID_SN		4
#define ID_MN		24
#define ID_FR		64
#define ID_MDTS		77
#define ID_CNTLID	78
#define ID_OACS		256
#define ID_SUBNQN	768

struct answer {
	char		name[32];
	int		status;
	__u32		result;
	unsigned char	data[PAGE];
};

/* What a guest can read of its controller. */
struct dump {
	unsigned int	count;
	struct answer	answer[ANSWERS];
};

FIXTURE(identity)
{
	struct nvme n;		/* begins on the first VF */
	struct vf vf[2];
	struct pf pf;
	struct dump *was, *now;
};

static bool presents(void)
{
	const char *present = getenv("NVMEVF_PRESENT");

	return !present || strcmp(present, "off");
}

/* Make the VFs present their own identities. */
static void restart_vfs(const struct pf *pf)
{
	pf_take_vf_offline(pf, vf_bdf(0));
	pf_take_vf_offline(pf, vf_bdf(1));
	pf_restore_vfs(pf);
}

FIXTURE_SETUP(identity)
{
	const char *why = vf_skip_reason(2, VF_ANY, false);

	if (why)
		SKIP(return, "%s", why);
	pf_open(&self->pf, vf_bdf(0));
	restart_vfs(&self->pf);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	self->was = calloc(1, sizeof(*self->was));
	self->now = calloc(1, sizeof(*self->now));
	if (!self->was || !self->now)
		die("out of memory");
}

FIXTURE_TEARDOWN(identity)
{
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	pf_set_attached(&self->pf, vf_bdf(1), 1, true);
	restart_vfs(&self->pf);
}

static struct vf *other_vf(struct nvme *n, struct vf *pair)
{
	return &pair[n->vf == pair];
}

static void ask(struct nvme *n, struct dump *d, const char *name, struct nvme_sqe sqe)
{
	struct answer *a = &d->answer[d->count++];

	if (d->count > ANSWERS)
		die("more than %d answers", ANSWERS);
	memset(a, 0, sizeof(*a));
	snprintf(a->name, sizeof(a->name), "%s %#x/%#x/%x", name, sqe.cdw10, sqe.cdw11,
		 sqe.nsid);
	a->status = nvme_admin(n, sqe, a->data, PAGE, &a->result);
}

static void dump_features(struct nvme *n, struct dump *d)
{
	struct nvme_sqe sqe = { .opcode = NVME_GET_FEATURES };
	unsigned int i;

	for (sqe.cdw10 = 0; sqe.cdw10 < 0x100; sqe.cdw10++) {
		for (sqe.nsid = 0; sqe.nsid < 2; sqe.nsid++)
			ask(n, d, "feature", sqe);
		/* The timestamp proceeds; migration_test has it. */
		if (sqe.cdw10 == NVME_FEAT_TIMESTAMP)
			for (i = 1; i <= 2; i++)
				memset(d->answer[d->count - i].data, 0, 8);
	}
	sqe.nsid = 0;
	sqe.cdw10 = NVME_FEAT_TEMP_THRESH;
	sqe.cdw11 = 0x100000;
	ask(n, d, "feature", sqe);
	sqe.cdw10 = 9;			/* Interrupt Vector Configuration */
	for (sqe.cdw11 = 0; sqe.cdw11 < NVME_QUEUES; sqe.cdw11++)
		ask(n, d, "feature", sqe);
}

static void dump(struct nvme *n, struct dump *d)
{
	static const __u8 cns[] = {
		0x00, CNS_CTRL, CNS_ACTIVE, 0x03, 0x05, 0x06, 0x07, 0x08, CNS_PRIMARY, 0x15,
	};
	static const __u8 cns_of_namespace[] = { 0x00, 0x03, 0x05, 0x08 };
	static const __u8 logs[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
	unsigned int i;

	d->count = 0;
	for (i = 0; i < ARRAY_SIZE(cns); i++)
		ask(n, d, "Identify", (struct nvme_sqe){
			.opcode = NVME_IDENTIFY,
			.nsid = !!memchr(cns_of_namespace, cns[i], sizeof(cns_of_namespace)),
			.cdw10 = cns[i],
		});
	dump_features(n, d);
	for (i = 0; i < ARRAY_SIZE(logs); i++)
		ask(n, d, "log", (struct nvme_sqe){
			.opcode = NVME_GET_LOG,
			.nsid = ~0U,
			.cdw10 = (512 / 4 - 1) << 16 | logs[i],
			.cdw11 = logs[i] == 9 ? 1 << 16 : 0,	/* the endurance group */
		});
}

static void expect_equal(struct __test_metadata *_metadata, const struct dump *was,
			 const struct dump *now)
{
	unsigned int i, at;

	ASSERT_EQ(was->count, now->count);
	for (i = 0; i < was->count; i++) {
		const struct answer *a = &was->answer[i], *b = &now->answer[i];

		EXPECT_EQ(a->status, b->status)
			TH_LOG("%s", a->name);
		EXPECT_EQ(a->result, b->result)
			TH_LOG("%s", a->name);
		for (at = 0; at < PAGE && a->data[at] == b->data[at]; at++)
			;
		EXPECT_EQ(PAGE, at)
			TH_LOG("%s: byte %#x was %#x, is %#x", a->name, at, a->data[at],
			       b->data[at]);
	}
}

static void identify(struct nvme *n, __u32 cns, void *page)
{
	int status;

	memset(page, 0, PAGE);
	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_IDENTIFY,
		.cdw10 = cns,
	}, page, PAGE, NULL);
	if (status)
		die("Identify %#x: status %#x", cns, status);
}

static unsigned int cntlid(struct nvme *n)
{
	unsigned char id[PAGE];

	identify(n, CNS_CTRL, id);
	return id[ID_CNTLID] | id[ID_CNTLID + 1] << 8;
}

static void set_feature(struct nvme *n, __u32 nsid, __u32 feature, __u32 value)
{
	unsigned char data[PAGE] = { 1, 1, 1 };		/* Host Behavior Support */
	int status;

	status = nvme_admin(n, (struct nvme_sqe){
		.opcode = NVME_SET_FEATURES,
		.nsid = nsid,
		.cdw10 = feature,
		.cdw11 = value,
	}, data, PAGE, NULL);
	if (status)
		die("Set Features %#x: status %#x", feature, status);
}

#define ERROR_RECOVERY	0x05
#define WRITE_CACHE	0x06
#define DULBE		0x10000

/* Start the controller, and change all features that can be changed. */
static void start(struct nvme *n)
{
	nvme_start(n, NVME_QUEUES, 8, 8);
	set_feature(n, 0, NVME_FEAT_TEMP_THRESH, 0x1a5);
	set_feature(n, 0, NVME_FEAT_TEMP_THRESH, 0x10005a);
	set_feature(n, 0, NVME_FEAT_ASYNC_CONFIG, 0x113);
	set_feature(n, 1, ERROR_RECOVERY, DULBE | 7);
	set_feature(n, 0, WRITE_CACHE, 0);
	set_feature(n, 0, 0x0a, 1);	/* Write Atomicity */
	set_feature(n, 0, 0x16, 0);	/* Host Behavior Support */
}

/* The guest finds what it found at self->was. */
static void expect_unchanged(struct __test_metadata *_metadata, FIXTURE_DATA(identity) * self)
{
	dump(&self->n, self->now);
	expect_equal(_metadata, self->was, self->now);
}

TEST_F(identity, no_difference_after_a_move)
{
	struct nvme *n = &self->n;
	int i;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	dump(n, self->was);
	for (i = 0; i < 3; i++) {
		guest_migrate(n, other_vf(n, self->vf));
		expect_unchanged(_metadata, self);
	}
}

TEST_F(identity, no_difference_after_a_move_and_a_controller_reset)
{
	struct nvme *n = &self->n;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	nvme_start(n, NVME_QUEUES, 8, 8);
	dump(n, self->was);
	start(n);
	guest_migrate(n, other_vf(n, self->vf));
	nvme_start(n, NVME_QUEUES, 8, 8);
	expect_unchanged(_metadata, self);
}

TEST_F(identity, no_difference_after_a_move_and_a_function_level_reset)
{
	struct nvme *n = &self->n;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	vf_reset(n->vf);
	nvme_start(n, NVME_QUEUES, 8, 8);
	dump(n, self->was);
	start(n);
	guest_migrate(n, other_vf(n, self->vf));
	vf_reset(n->vf);
	nvme_start(n, NVME_QUEUES, 8, 8);
	expect_unchanged(_metadata, self);

	/* The second move begins where a reset has been. */
	guest_migrate(n, other_vf(n, self->vf));
	expect_unchanged(_metadata, self);
}

TEST_F(identity, no_difference_if_the_target_has_more_queues)
{
	struct nvme *n = &self->n;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	pf_take_vf_offline(&self->pf, vf_bdf(0));
	pf_start_vf(&self->pf, vf_bdf(0), 3);	/* with the admin queue */
	vf_reset(n->vf);
	start(n);
	EXPECT_EQ(2, n->queues);
	dump(n, self->was);
	guest_migrate(n, &self->vf[1]);
	expect_unchanged(_metadata, self);
	vf_reset(n->vf);
	start(n);
	EXPECT_EQ(2, n->queues);
	expect_unchanged(_metadata, self);
	io_check(n);
}

/* Load @s into @vf, which is reset afterward. Return 0 or -errno. */
static int try_load(struct vf *vf, const struct stream *s)
{
	int fd, ret;

	vf_enter_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, 65536);
	close(fd);
	vf_reset(vf);
	return ret;
}

/* Open @vf with the memory of another guest. */
static void give_to_other_guest(struct nvme *other, struct vf *vf, const char *bdf)
{
	guest_init(other);
	vf_close(vf);
	vf_open(vf, bdf, VF_ANY, other->mem, GUEST_MEM);
	other->vf = vf;
}

static void start_other_guest(struct nvme *other, struct vf *vf, const char *bdf)
{
	give_to_other_guest(other, vf, bdf);
	nvme_start(other, 1, 8, 8);
}

/* A controller that presents its own identity only refuses the states of others. */
TEST_F(identity, state_of_another_identity_refused)
{
	struct nvme *n = &self->n;
	struct stream s;

	if (presents())
		SKIP(return, "the controller presents other identities");
	start(n);
	dump(n, self->was);
	guest_suspend(n);
	guest_save(n, &s);
	EXPECT_EQ(-EINVAL, try_load(&self->vf[1], &s));
	guest_roll_back(n);
	free(s.data);
	expect_unchanged(_metadata, self);
	io_check(n);
}

/* A guest that moved away and gets its first VF again has no ID twice. */
TEST_F(identity, first_vf_has_another_id_after_a_move)
{
	struct nvme *n = &self->n, other;
	unsigned int id;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	id = cntlid(n);
	guest_migrate(n, &self->vf[1]);
	start_other_guest(&other, &self->vf[0], vf_bdf(0));
	EXPECT_NE(id, cntlid(&other));
	EXPECT_EQ(id, cntlid(n));
}

/* While a controller runs, LOAD_DATA refuses a state with the ID of that controller. */
TEST_F(identity, id_that_runs_elsewhere_refused)
{
	struct nvme *n = &self->n;
	struct stream s;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	dump(n, self->was);
	guest_suspend(n);
	guest_save(n, &s);
	guest_roll_back(n);

	EXPECT_EQ(-EINVAL, try_load(&self->vf[1], &s));
	guest_suspend(n);
	/* With the standard's set, a suspended VF gives its ID away until it is resumed. */
	EXPECT_EQ(vf_standard() ? 0 : -EINVAL, try_load(&self->vf[1], &s));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	nvme_write32(n, NVME_CC, 0);
	EXPECT_EQ(-EINVAL, try_load(&self->vf[1], &s));
	free(s.data);

	start(n);
	expect_unchanged(_metadata, self);
	io_check(n);
}

/* The target loaded the state, did not run, and the source takes it back. */
TEST_F(identity, no_difference_after_a_roll_back)
{
	struct nvme *n = &self->n, other;
	struct stream s;
	int fd;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	give_to_other_guest(&other, &self->vf[1], vf_bdf(1));
	start(n);
	dump(n, self->was);
	guest_suspend(n);
	guest_save(n, &s);
	vf_enter_state(&self->vf[1], VFIO_DEVICE_STATE_RESUMING, &fd);
	ASSERT_EQ(0, stream_write(&s, fd, 65536));
	close(fd);
	vf_enter_state(&self->vf[1], VFIO_DEVICE_STATE_STOP, NULL);
	guest_roll_back(n);
	free(s.data);
	expect_unchanged(_metadata, self);
	io_check(n);

	/* The VF that lost the identity must not run the guest. */
	EXPECT_EQ(-EPROTO, vf_set_state(&self->vf[1], VFIO_DEVICE_STATE_RUNNING, NULL));
	vf_reset(&self->vf[1]);
	nvme_start(&other, 1, 8, 8);
	EXPECT_NE(cntlid(n), cntlid(&other));
}

/* A state is restored on another VF, while another guest has the VF where it was saved. */
TEST_F(identity, id_remains_with_the_saved_state)
{
	struct nvme *n = &self->n, other;
	struct stream s;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	dump(n, self->was);
	guest_suspend(n);
	guest_save(n, &s);
	start_other_guest(&other, &self->vf[0], vf_bdf(0));
	guest_load(n, &self->vf[1], &s);
	free(s.data);
	expect_unchanged(_metadata, self);
	EXPECT_NE(cntlid(n), cntlid(&other));
	io_check(n);
}

/* Virtualization Management gives a VF its own identity back. */
TEST_F(identity, own_identity_after_offline)
{
	struct nvme *n = &self->n, other;
	unsigned int id;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start_other_guest(&other, &self->vf[1], vf_bdf(1));
	id = cntlid(&other);
	vf_close(&self->vf[1]);
	vf_open(&self->vf[1], vf_bdf(1), VF_ANY, n->mem, GUEST_MEM);

	start(n);
	EXPECT_NE(id, cntlid(n));
	guest_migrate(n, &self->vf[1]);
	pf_take_vf_offline(&self->pf, vf_bdf(1));
	pf_restore_vfs(&self->pf);
	vf_reset(&self->vf[1]);
	nvme_start(n, 1, 8, 8);
	EXPECT_EQ(id, cntlid(n));
}

/* Return the Identify Controller data in the state of the device model. */
static unsigned char *identity_of_state(struct stream *s)
{
	struct state_ctrl *ctrl = state_entry(state_of(s), SECTION_CTRL, 0);

	return ctrl->id;
}

static void fix_checksums(struct stream *s)
{
	state_fix_checksums(s, state_of(s), state_of(s)->size);
}

/*
 * States of controllers of other subsystems: what the target can present it presents,
 * through all resets; the rest it refuses.
 */
TEST_F(identity, foreign_states_presented_or_refused)
{
	struct nvme *n = &self->n;
	unsigned char id[PAGE], is[PAGE], *at;
	unsigned int i;
	struct stream s;
	struct {
		const char	*what;
		int		offset;
		unsigned int	size;
		const char	*data;
		bool		taken;
	} changes[] = {
		{ "serial number", ID_SN, 20, "another serial no.  ", true },
		{ "SUBNQN", ID_SUBNQN, 13, "nqn.2019-08.x", true },
		{ "firmware revision", ID_FR, 8, "9.9     ", true },
		{ "CNTLID", ID_CNTLID, 2, "\x34\x12", true },
		{ "bad CNTLID", ID_CNTLID, 2, "\xff\xff", false },
		{ "smaller MDTS", ID_MDTS, 1, "\x05", true },
		{ "larger MDTS", ID_MDTS, 1, "\x09", false },
		{ "no MDTS", ID_MDTS, 1, "\x00", false },
		{ "model number", ID_MN, 1, "X", false },
		{ "OACS", ID_OACS, 1, "\x01", false },
		{ "vendor specific byte", 4095, 1, "\x01", false },
	};

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start(n);
	for (i = 0; i < ARRAY_SIZE(changes); i++) {
		struct vf *from = n->vf, *to = other_vf(n, self->vf);

		guest_suspend(n);
		guest_save(n, &s);
		at = identity_of_state(&s);
		memcpy(at + changes[i].offset, changes[i].data, changes[i].size);
		memcpy(id, at, PAGE);
		fix_checksums(&s);

		if (!changes[i].taken) {
			EXPECT_EQ(-EINVAL, try_load(to, &s))
				TH_LOG("%s", changes[i].what);
			guest_roll_back(n);
			io_check(n);
			continue;
		}
		guest_load(n, to, &s);
		vf_reset(from);
		identify(n, CNS_CTRL, is);
		EXPECT_EQ(0, memcmp(id, is, PAGE))
			TH_LOG("%s", changes[i].what);
		io_check(n);
		nvme_start(n, 2, 8, 8);
		identify(n, CNS_CTRL, is);
		EXPECT_EQ(0, memcmp(id, is, PAGE))
			TH_LOG("%s, after a controller reset", changes[i].what);
		vf_reset(to);
		nvme_start(n, 2, 8, 8);
		identify(n, CNS_CTRL, is);
		EXPECT_EQ(0, memcmp(id, is, PAGE))
			TH_LOG("%s, after a function-level reset", changes[i].what);
		io_check(n);
	}
}

/* A VF that no guest has enabled gives its ID to a state. */
TEST_F(identity, id_of_an_idle_vf)
{
	struct nvme *n = &self->n, other;
	unsigned char *at;
	unsigned int taken;
	struct stream s;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	start_other_guest(&other, &self->vf[1], vf_bdf(1));
	taken = cntlid(&other);
	vf_reset(&self->vf[1]);

	start(n);
	guest_suspend(n);
	guest_save(n, &s);
	at = identity_of_state(&s);
	at[ID_CNTLID] = taken;
	at[ID_CNTLID + 1] = taken >> 8;
	fix_checksums(&s);
	guest_load(n, n->vf, &s);
	free(s.data);
	EXPECT_EQ(taken, cntlid(n));
	nvme_start(&other, 1, 8, 8);
	EXPECT_NE(taken, cntlid(&other));
	io_check(n);
}

/* LOAD_DATA must not attach a namespace that the administrator has detached. */
TEST_F(identity, load_attaches_no_namespace)
{
	struct nvme *n = &self->n, other;
	__u32 active[PAGE / 4];
	struct stream s;

	start(n);
	pf_set_attached(&self->pf, vf_bdf(1), 1, false);
	guest_suspend(n);
	guest_save(n, &s);
	EXPECT_EQ(-EINVAL, try_load(&self->vf[1], &s));
	guest_roll_back(n);
	free(s.data);
	io_check(n);

	/* Neither must the start of the controller. */
	give_to_other_guest(&other, &self->vf[1], vf_bdf(1));
	nvme_enable(&other, 8, 8);
	identify(&other, CNS_ACTIVE, active);
	EXPECT_EQ(0U, active[0]);
}

/* The target VF has a namespace that the state does not have. */
TEST_F(identity, namespace_that_the_state_lacks)
{
	struct nvme *n = &self->n;
	__u32 active[PAGE / 4];
	struct stream s;

	if (!presents())
		SKIP(return, "the controller presents no other identity");
	guest_migrate(n, &self->vf[1]);
	pf_set_attached(&self->pf, vf_bdf(1), 1, false);
	nvme_enable(n, 8, 8);
	identify(n, CNS_ACTIVE, active);
	EXPECT_EQ(0U, active[0]);
	guest_suspend(n);
	guest_save(n, &s);
	EXPECT_EQ(-EINVAL, try_load(&self->vf[0], &s));
	guest_roll_back(n);
	free(s.data);
}

static __u32 feature_of_pf(const struct pf *pf, __u32 nsid, __u32 feature)
{
	struct nvme_admin_cmd cmd = {
		.opcode = NVME_GET_FEATURES,
		.nsid = nsid,
		.cdw10 = feature,
	};

	if (pf_admin(pf, &cmd))
		die("%s: Get Features %#x failed", pf->bdf, feature);
	return cmd.result;
}

/* Neither a guest nor LOAD_DATA changes the features of other controllers. */
TEST_F(identity, features_of_other_controllers)
{
	struct nvme *n = &self->n;
	__u32 cache = feature_of_pf(&self->pf, 1, WRITE_CACHE);
	__u32 recovery = feature_of_pf(&self->pf, 1, ERROR_RECOVERY);

	EXPECT_EQ(1U, cache);
	EXPECT_EQ(0U, recovery);
	start(n);
	EXPECT_EQ(cache, feature_of_pf(&self->pf, 1, WRITE_CACHE));
	EXPECT_EQ(recovery, feature_of_pf(&self->pf, 1, ERROR_RECOVERY));
	if (presents())
		guest_migrate(n, &self->vf[1]);
	EXPECT_EQ(0U, nvme_get_feature(n, WRITE_CACHE, 0));
	EXPECT_EQ(cache, feature_of_pf(&self->pf, 1, WRITE_CACHE));
	EXPECT_EQ(recovery, feature_of_pf(&self->pf, 1, ERROR_RECOVERY));
	io_check(n);
}

TEST_HARNESS_MAIN
