// SPDX-License-Identifier: GPL-2.0-only
/*
 * Load states of the device model that are damaged although the checksum of each is right. This
 * reaches each check of nvme_lm_state_check() in testbed/qemu: the target must refuse the
 * state, and must then be as usable as before.
 *
 * Of the checks, these are not reached, because the controller has no such condition here:
 * flexible data placement, zoned namespaces, no shadow doorbells, and a CC.MPS below the
 * smallest one, which is 0.
 */
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/mutate.h"
#include "lib/nvme.h"
#include "lib/state.h"
#include "lib/stream.h"
#include "lib/vf.h"

/* The queues of the guest, and with its admin queue */
#define IO_QUEUES	2
#define SQ_SIZE		16
#define CQ_SIZE		4
#define EVENT_REQUESTS	4	/* as many as the controller takes */
#define WAITING		4	/* completions without room, of queue 1 */
#define UNUSED_ID	3	/* of a queue */

/* With the standard's set, offset in a state of the number of dwords of vendor specific data */
#define VSS		32

enum op {
	SET = 1,
	FLIP,		/* exclusive or */
	ADD,
};

#define HEADER		SECTIONS

struct edit {
	enum op		op;
	int		section;	/* or HEADER */
	unsigned int	index;		/* of the entry */
	size_t		offset;
	unsigned int	size;
	__u64		value;
};

#define EDIT(op, section, index, type, field, value)				\
	{ op, section, index, offsetof(struct type, field),			\
	  sizeof(((struct type *)0)->field), value }
#define HDR(op, field, value)		EDIT(op, HEADER, 0, state_header, field, value)
#define CTRL(op, field, value)		EDIT(op, SECTION_CTRL, 0, state_ctrl, field, value)
#define CQ(op, index, field, value)	EDIT(op, SECTION_CQ, index, state_cq, field, value)
#define SQ(op, index, field, value)	EDIT(op, SECTION_SQ, index, state_sq, field, value)
#define REQ(op, index, field, value)	EDIT(op, SECTION_REQ, index, state_req, field, value)
#define EVENT(op, index, field, value)	EDIT(op, SECTION_EVENT, index, state_event, field, value)
#define NS(op, index, field, value)	EDIT(op, SECTION_NS, index, state_ns, field, value)
/* Bytes of Identify Controller */
#define ID(op, at, bytes, value)						\
	{ op, SECTION_CTRL, 0, offsetof(struct state_ctrl, id) + (at), bytes, value }

#define CC_EN		0x1
#define CSTS_RDY	0x1

struct damage {
	const char	*name;
	struct edit	edit[7];
};

/* Of the state of a controller that is enabled and has queues */
static const struct damage enabled[] = {
	/* nvme_lm_state_check_frame() */
	{ "magic", { HDR(FLIP, magic[0], 1) } },
	{ "version 0", { HDR(SET, version, 0) } },
	{ "an older version", { HDR(ADD, version, -1) } },
	{ "a newer version", { HDR(ADD, version, 1) } },
	{ "size too small", { HDR(ADD, size, -4) } },
	{ "size too large", { HDR(ADD, size, 4) } },
	{ "size 0", { HDR(SET, size, 0) } },
	{ "length of a controller", { HDR(ADD, section[SECTION_CTRL].len, 1) } },
	{ "length of a completion queue", { HDR(ADD, section[SECTION_CQ].len, -1) } },
	{ "length of a submission queue", { HDR(SET, section[SECTION_SQ].len, 0) } },
	{ "length of a command", { HDR(ADD, section[SECTION_REQ].len, 4) } },
	{ "length of an event", { HDR(SET, section[SECTION_EVENT].len, ~0U) } },
	{ "length of a namespace", { HDR(ADD, section[SECTION_NS].len, 1) } },
	{ "no controller", { HDR(SET, section[SECTION_CTRL].count, 0) } },
	{ "two controllers", { HDR(SET, section[SECTION_CTRL].count, 2) } },
	{ "number of completion queues", { HDR(SET, section[SECTION_CQ].count, ~0U) } },
	{ "number of submission queues", { HDR(SET, section[SECTION_SQ].count, 1 << 28) } },
	{ "number of commands", { HDR(SET, section[SECTION_REQ].count, ~0U) } },
	{ "number of events", { HDR(SET, section[SECTION_EVENT].count, 1 << 30) } },
	{ "number of namespaces", { HDR(SET, section[SECTION_NS].count, 1000) } },

	/* nvme_lm_state_check_ctrl() */
	{ "CAP", { CTRL(FLIP, cap, 1) } },
	{ "VS", { CTRL(FLIP, vs, 0x100) } },
	{ "vendor ID", { CTRL(FLIP, vid, 1) } },
	{ "device ID", { CTRL(FLIP, did, 1) } },
	{ "effects log", { CTRL(FLIP, effects, 1) } },
	{ "VSL", { CTRL(FLIP, vsl, 1) } },
	{ "ZASL", { CTRL(FLIP, zasl, 1) } },
	{ "CSTS.NSSRO", { CTRL(FLIP, csts, 1 << 4) } },
	{ "CSTS.PP", { CTRL(FLIP, csts, 1 << 5) } },
	{ "CSTS, reserved bit", { CTRL(FLIP, csts, 1U << 31) } },
	{ "queues without CC.EN", { CTRL(FLIP, cc, CC_EN), CTRL(FLIP, csts, CSTS_RDY) } },
	{ "CSTS.RDY without CC.EN", { CTRL(FLIP, cc, CC_EN) } },
	{ "CC.MPS above the largest", { CTRL(FLIP, cc, 5 << 7) } },
	{ "CC.CSS 1", { CTRL(FLIP, cc, 1 << 4) } },
	{ "CC.IOSQES", { CTRL(FLIP, cc, 1 << 16) } },
	{ "CC.IOCQES", { CTRL(FLIP, cc, 1 << 20) } },
	{ "flag of the shadow doorbells", { CTRL(SET, shadow_enabled, 2) } },
	{ "flag of queues created", { CTRL(SET, queues_created, 2) } },
	{ "flag of atomic writes", { CTRL(SET, atomic_writes, 2) } },
	{ "flag of write atomicity", { CTRL(SET, dn, 2) } },
	{ "flag of the write cache", { CTRL(SET, cache_off, 2) } },
	{ "address of shadow doorbells", { CTRL(SET, shadow_enabled, 1),
					   CTRL(SET, shadow, VF_IOVA + 8) } },
	{ "address of event indices", { CTRL(SET, shadow_enabled, 1),
					CTRL(SET, shadow, VF_IOVA),
					CTRL(SET, event_index, VF_IOVA + PAGE / 2) } },
	{ "shadow doorbells in pages of 8 KiB", { CTRL(FLIP, cc, 1 << 7),
						  CTRL(SET, shadow_enabled, 1),
						  CTRL(SET, shadow, VF_IOVA + PAGE) } },

	/* nvme_lm_id_check() */
	{ "model number", { ID(FLIP, 24, 1, 1) } },
	{ "OACS", { ID(FLIP, 256, 2, 0x800) } },
	{ "ONCS", { ID(FLIP, 520, 2, 1) } },
	{ "AERL", { ID(ADD, 259, 1, 1) } },
	{ "no MDTS", { ID(SET, 77, 1, 0) } },
	{ "larger MDTS", { ID(ADD, 77, 1, 1) } },
	{ "controller ID of the PF", { ID(SET, 78, 2, 0) } },
	{ "controller ID above the largest", { ID(SET, 78, 2, 0xfff0) } },
	{ "no queue pairs", { CTRL(SET, queues, 0) } },
	{ "more queue pairs", { CTRL(ADD, queues, 1) } },
	{ "most queue pairs", { CTRL(SET, queues, ~0U) } },

	/* nvme_lm_state_check_queues() */
	{ "ID of a CQ too large", { CQ(SET, 1, id, 0xffff) } },
	{ "ID of a CQ used twice", { CQ(SET, 2, id, 1) } },
	{ "CQ of size 0", { CQ(SET, 1, size, 0) } },
	{ "CQ of size 1", { CQ(SET, 1, size, 1), CQ(SET, 1, head, 0), CQ(SET, 1, tail, 0) } },
	{ "CQ too large", { CQ(SET, 1, size, 0x10000) } },
	{ "CQ larger than CAP.MQES", { CQ(SET, 1, size, 2049) } },
	{ "admin CQ too large", { CQ(SET, 0, size, 4097) } },
	{ "head of a CQ", { CQ(SET, 1, head, CQ_SIZE) } },
	{ "tail of a CQ", { CQ(SET, 1, tail, CQ_SIZE) } },
	{ "tail of the admin CQ", { CQ(SET, 0, tail, ~0U) } },
	{ "address of a CQ", { CQ(ADD, 1, address, 4) } },
	{ "address of the admin CQ", { CQ(ADD, 0, address, PAGE / 2) } },
	{ "vector of a CQ", { CQ(SET, 1, vector, 0xffff) } },
	{ "vector of the admin CQ", { CQ(SET, 0, vector, 1) } },
	{ "phase of a CQ", { CQ(SET, 1, phase, 2) } },
	{ "interrupt flag of a CQ", { CQ(SET, 1, interrupts, 2) } },
	{ "admin CQ without interrupts", { CQ(SET, 0, interrupts, 0) } },
	{ "ID of an SQ too large", { SQ(SET, 1, id, 0xffff) } },
	{ "ID of an SQ used twice", { SQ(SET, 2, id, 1) } },
	{ "SQ of size 0", { SQ(SET, 1, size, 0) } },
	{ "SQ of size 1", { SQ(SET, 1, size, 1), SQ(SET, 1, head, 0), SQ(SET, 1, tail, 0) } },
	{ "SQ too large", { SQ(SET, 1, size, 0x10000) } },
	{ "SQ larger than CAP.MQES", { SQ(SET, 1, size, 2049) } },
	{ "admin SQ too large", { SQ(SET, 0, size, 4097) } },
	{ "I/O CQ of the admin SQ", { SQ(SET, 0, cq, 1) } },
	{ "admin CQ of an I/O SQ", { SQ(SET, 1, cq, 0) } },
	{ "CQ of an SQ, which does not exist", { SQ(SET, 1, cq, UNUSED_ID) } },
	{ "CQ of an SQ, too large", { SQ(SET, 1, cq, 0xffff) } },
	{ "head of an SQ", { SQ(SET, 1, head, SQ_SIZE) } },
	{ "tail of an SQ", { SQ(SET, 1, tail, SQ_SIZE) } },
	{ "head of the admin SQ", { SQ(SET, 0, head, ~0U) } },
	{ "address of an SQ", { SQ(ADD, 1, address, 64) } },
	{ "queues in pages of 8 KiB", { CTRL(FLIP, cc, 1 << 7),
					CQ(SET, 0, address, VF_IOVA + PAGE) } },
	{ "no admin queue", { CQ(SET, 0, id, UNUSED_ID), SQ(SET, 0, id, UNUSED_ID),
			      SQ(SET, 0, cq, UNUSED_ID) } },
	{ "no admin SQ", { SQ(SET, 0, id, UNUSED_ID), SQ(SET, 0, cq, 1) } },
	{ "command of an SQ with an ID too large", { REQ(SET, EVENT_REQUESTS, sq, 0xffff) } },
	{ "command of an SQ that does not exist", { REQ(SET, EVENT_REQUESTS, sq, UNUSED_ID) } },
	{ "more commands than the SQ has room for", { SQ(SET, 1, size, WAITING - 1),
						      SQ(SET, 1, head, 0), SQ(SET, 1, tail, 0) } },
	{ "flag of a command", { REQ(SET, EVENT_REQUESTS, is_event_request, 2) } },
	{ "status of a command", { REQ(SET, EVENT_REQUESTS, status, 0x8000) } },
	{ "event request of an I/O SQ", { REQ(SET, EVENT_REQUESTS, is_event_request, 1) } },
	{ "too many event requests", { REQ(SET, EVENT_REQUESTS, is_event_request, 1),
				       REQ(SET, EVENT_REQUESTS, sq, 0) } },

	/* nvme_lm_state_check_events() */
	{ "too many events", { HDR(SET, section[SECTION_EVENT].count, 65) } },
	{ "type of an event", { EVENT(SET, 1, type, 8) } },

	/* nvme_lm_state_check_ns() */
	{ "namespace 0", { NS(SET, 0, nsid, 0) } },
	{ "namespace that is not attached", { NS(SET, 0, nsid, 2) } },
	{ "namespace that does not exist", { NS(SET, 0, nsid, 3) } },
	{ "namespace ID too large", { NS(SET, 0, nsid, ~0U) } },
	{ "namespace twice", { HDR(SET, section[SECTION_NS].count, 2), NS(SET, 1, nsid, 1) } },
	{ "CSI", { NS(FLIP, 0, csi, 1) } },
	{ "FLBAS", { NS(FLIP, 0, flbas, 1) } },
	{ "DPS", { NS(FLIP, 0, dps, 1) } },
	{ "NSZE", { NS(ADD, 0, blocks, 1) } },
	{ "EUI64", { NS(FLIP, 0, eui64, 1) } },
	{ "UUID", { NS(FLIP, 0, uuid[15], 1) } },
	{ "NGUID", { NS(FLIP, 0, nguid[0], 1) } },
	{ "reserved byte of a namespace", { NS(SET, 0, rsvd, 1) } },
	{ "Identify Namespace", { NS(FLIP, 0, identify, 1) } },
	{ "no namespace", { HDR(SET, section[SECTION_NS].count, 0) } },
};

/* Of the state of a controller that is disabled */
static const struct damage disabled[] = {
	{ "CSTS.RDY without CC.EN and queues", { CTRL(FLIP, csts, CSTS_RDY) } },
	{ "CSTS.RDY without queues", { CTRL(FLIP, csts, CSTS_RDY), CTRL(SET, cc, NVME_CC_ON) } },
	{ "shadow doorbells without queues", { CTRL(SET, shadow_enabled, 1) } },
};

FIXTURE(refused_state)
{
	struct nvme n;		/* runs on the second VF, once a good state was loaded */
	struct vf vf[2];
	struct stream enabled;
	struct stream disabled;
	struct nvme_req *event[EVENT_REQUESTS];
};

/* Lower the threshold to 1 K, which any temperature exceeds. */
static void cause_event(struct nvme *n)
{
	if (nvme_set_feature(n, NVME_FEAT_TEMP_THRESH, 1))
		die("cannot set the temperature threshold");
}

/* Start a guest that has queues, event requests, events, and completions that wait. */
static void start_guest(struct nvme *n, struct nvme_req **event)
{
	struct nvme_req *first;
	int i;

	nvme_start(n, IO_QUEUES, SQ_SIZE, CQ_SIZE);
	if (n->queues < IO_QUEUES)
		die("the VF has less than %d I/O queues", IO_QUEUES);
	if (nvme_set_feature(n, NVME_FEAT_ASYNC_CONFIG, 0x1f))
		die("cannot enable events");
	/* The guest does not read the log of the first event, so the next ones wait. */
	first = nvme_request_event(n);
	cause_event(n);
	if (nvme_finish(n, first, NULL))
		die("the first event request failed");
	cause_event(n);
	cause_event(n);
	for (i = 0; i < EVENT_REQUESTS; i++)
		event[i] = nvme_request_event(n);
	io_submit(n, &n->queue[1], CQ_SIZE - 1 + WAITING);
	nvme_ring(n, &n->queue[1]);
	nvme_await(&n->queue[1], CQ_SIZE - 1);
}

FIXTURE_SETUP(refused_state)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);
	struct state_header *state;

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	guest_suspend(&self->n);
	guest_save(&self->n, &self->disabled);
	vf_reset(&self->vf[0]);
	start_guest(&self->n, self->event);
	guest_suspend(&self->n);
	guest_save(&self->n, &self->enabled);
	/* It might continue there, as far as the controller knows. */
	vf_reset(&self->vf[0]);

	/* The rows above rely on these. */
	state = state_of(&self->enabled);
	ASSERT_EQ(1U, state->section[SECTION_CTRL].count);
	ASSERT_EQ(1U + IO_QUEUES, state->section[SECTION_CQ].count);
	ASSERT_EQ(1U + IO_QUEUES, state->section[SECTION_SQ].count);
	ASSERT_EQ(EVENT_REQUESTS + WAITING, state->section[SECTION_REQ].count);
	ASSERT_EQ(2U, state->section[SECTION_EVENT].count);
	ASSERT_EQ(1U, state->section[SECTION_NS].count);
}

FIXTURE_TEARDOWN(refused_state)
{
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	free(self->enabled.data);
	free(self->disabled.data);
}

static struct stream copy_stream(const struct stream *from)
{
	struct stream s = { malloc(from->len), from->len };

	if (!s.data)
		die("out of memory");
	memcpy(s.data, from->data, s.len);
	return s;
}

static void apply(struct state_header *state, const struct edit *e)
{
	unsigned char *at = e->section == HEADER ? (void *)state :
			    state_entry(state, e->section, e->index);
	__u64 value = 0;

	memcpy(&value, at + e->offset, e->size);
	value = e->op == SET ? e->value :
		e->op == ADD ? value + e->value : value ^ e->value;
	memcpy(at + e->offset, &value, e->size);
}

/* Return a copy of a stream whose state is damaged, with each checksum right. */
static struct stream damaged_stream(const struct stream *good, const struct damage *d)
{
	struct stream s = copy_stream(good);
	struct state_header *state = state_of(&s);
	__u32 size = state->size;
	const struct edit *e;

	for (e = d->edit; e < d->edit + ARRAY_SIZE(d->edit) && e->op; e++)
		apply(state, e);
	state_fix_checksums(&s, state, size);
	return s;
}

/* Load a state, and reset the VF; return 0 or -errno. */
static int try_load(struct vf *vf, const struct stream *s)
{
	int fd, ret;

	vf_enter_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, s->len);
	close(fd);
	vf_reset(vf);
	return ret;
}

static void expect_refused(struct __test_metadata *_metadata, FIXTURE_DATA(refused_state) * self,
			   const struct stream *s, const char *name)
{
	struct vf *vf = &self->vf[1];

	EXPECT_EQ(-EINVAL, try_load(vf, s))
		TH_LOG("%s", name);
	EXPECT_EQ(VFIO_DEVICE_STATE_RUNNING, vf_get_state(vf));
	/* The guest does nothing, so that its state can be loaded again. */
	guest_freeze(&self->n);
	guest_load(&self->n, vf, &self->enabled);
	EXPECT_EQ(NVME_CSTS_RDY, nvme_read32(&self->n, NVME_CSTS))
		TH_LOG("%s: after a good state", name);
	vf_reset(vf);
}

/* Load the good state a last time. Its guest must find all that it left. */
static void expect_good(struct __test_metadata *_metadata, FIXTURE_DATA(refused_state) * self)
{
	time_t deadline = time(NULL) + PATIENCE;
	struct nvme *n = &self->n;
	unsigned char log[512];
	int i, done = 0;

	guest_freeze(n);
	guest_load(n, &self->vf[1], &self->enabled);
	io_wait(n);
	io_check(n);
	/* The event that was reported before is cleared only now, so the next one is reported. */
	for (i = 0; i < EVENT_REQUESTS; i++)
		EXPECT_FALSE(self->event[i]->done);
	EXPECT_EQ(0, nvme_get_log(n, NVME_LOG_SMART, log, sizeof(log)));
	cause_event(n);
	while (!done) {
		for (i = 0; i < EVENT_REQUESTS; i++)
			done += self->event[i]->done;
		if (!done && !nvme_reap(n, n->queue))
			pause_until(deadline, "no event");
	}
	EXPECT_EQ(1, done);
}

TEST_F(refused_state, of_an_enabled_controller)
{
	unsigned int i;
	struct stream s;

	for (i = 0; i < ARRAY_SIZE(enabled); i++) {
		s = damaged_stream(&self->enabled, &enabled[i]);
		expect_refused(_metadata, self, &s, enabled[i].name);
		free(s.data);
	}
	TH_LOG("%u states", i);
	expect_good(_metadata, self);
}

TEST_F(refused_state, of_a_disabled_controller)
{
	unsigned int i;
	struct stream s;

	for (i = 0; i < ARRAY_SIZE(disabled); i++) {
		s = damaged_stream(&self->disabled, &disabled[i]);
		expect_refused(_metadata, self, &s, disabled[i].name);
		free(s.data);
	}
	/* Without damage, it is not refused. */
	EXPECT_EQ(0, try_load(&self->vf[1], &self->disabled));
	expect_good(_metadata, self);
}

/* The checksum itself is wrong. */
TEST_F(refused_state, with_a_bad_checksum)
{
	struct stream s = copy_stream(&self->enabled);
	struct state_header *state = state_of(&s);

	state_fix_checksums(&s, state, state->size);
	EXPECT_EQ(0, memcmp(s.data, self->enabled.data, s.len));
	state_fix_checksums(&s, state, state->size - 1);
	expect_refused(_metadata, self, &s, "checksum");
	expect_good(_metadata, self);
	free(s.data);
}

/* What the owner of a VM may change is taken: it is the damage that is refused. */
TEST_F(refused_state, but_not_each_change)
{
	static const struct damage harmless = {
		"harmless", { CTRL(SET, temp_thresh_under, 0x123), CTRL(SET, cache_off, 1),
			      NS(SET, 0, error_recovery, 7), CTRL(SET, intms, 0x5a),
			      /* what the SMART log has of the controller */
			      CTRL(SET, uptime_ms, 1000ULL * 3600 * 1000 + 1000),
			      CTRL(SET, temperature, 0x155),
			      CTRL(SET, smart_critical_warning, 0x4) }
	};
	struct nvme *n = &self->n;
	struct stream s = damaged_stream(&self->enabled, &harmless);
	unsigned char log[512];
	__u64 hours;

	guest_freeze(n);
	guest_load(n, &self->vf[1], &s);
	EXPECT_EQ(0x5aU, nvme_read32(n, NVME_INTMS));
	EXPECT_EQ(0x123U, nvme_get_feature(n, NVME_FEAT_TEMP_THRESH, 0x100000));
	EXPECT_EQ(0U, nvme_get_feature(n, NVME_FEAT_WRITE_CACHE, 0));
	EXPECT_EQ(0, nvme_get_log(n, NVME_LOG_SMART, log, sizeof(log)));
	EXPECT_EQ(0x4, log[0] & 0x4);
	EXPECT_EQ(0x155, log[1] | log[2] << 8);
	memcpy(&hours, log + 128, sizeof(hours));
	EXPECT_EQ(1000ULL, hours);
	io_wait(n);
	io_check(n);
	free(s.data);
}

/*
 * Return a stream of which the state has the first @size bytes, with each checksum right. With
 * the standard's set, it comes after the parts that the standard defines.
 */
static struct stream shortened_stream(const struct stream *good, __u32 size, bool fix_size)
{
	size_t at = stream_state_at(good), end = good->len - END_SIZE;
	struct stream s = copy_stream(good);
	struct nvmevf_record *record = (void *)s.data + at;
	unsigned char *payload = (void *)(record + 1);
	struct state_header *state = state_of(&s);
	size_t length = (unsigned char *)state - payload + size, padded;
	__u64 dwords = (size + 3) / 4;

	if (vf_standard()) {
		memcpy(payload + VSS, &dwords, sizeof(dwords));
		length += 4 * dwords - size;
	}
	padded = (length + NVMEVF_RECORD_ALIGN - 1) & ~(NVMEVF_RECORD_ALIGN - 1);
	record->length = length;
	memset((unsigned char *)state + size, 0, payload + padded - (unsigned char *)state - size);
	memcpy(payload + padded, good->data + end, END_SIZE);
	s.len = payload + padded + END_SIZE - s.data;
	if (size < sizeof(*state)) {
		mutate_fix_checksum(&s);
		return s;
	}
	if (fix_size)
		state->size = size;
	state_fix_checksums(&s, state, size);
	return s;
}

/* The data ends before the state does. */
TEST_F(refused_state, that_is_cut_off)
{
	struct state_header *state = state_of(&self->enabled);
	unsigned char *end = state_entry(state, SECTION_NS, 0) + sizeof(struct state_ns);
	__u32 least = sizeof(struct state_header) + sizeof(struct state_ctrl);
	__u32 used = end - (unsigned char *)state;
	const __u32 sizes[] = {
		8, sizeof(struct state_header), least - 1, least, used - 1,
	};
	struct stream s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		s = shortened_stream(&self->enabled, sizes[i], false);
		expect_refused(_metadata, self, &s, "state that is cut off");
		free(s.data);
		s = shortened_stream(&self->enabled, sizes[i], true);
		expect_refused(_metadata, self, &s, "state with less entries than it says");
		free(s.data);
	}
	/* The rest of the state is padding. */
	s = shortened_stream(&self->enabled, used, false);
	expect_refused(_metadata, self, &s, "state with another size than it says");
	free(s.data);
	s = shortened_stream(&self->enabled, used, true);
	EXPECT_EQ(0, try_load(&self->vf[1], &s));
	free(s.data);
	expect_good(_metadata, self);
}

/*
 * Damage at random: the target refuses the state, or it has one that the owner could as well
 * have set. It can be saved again, and other states can be loaded.
 */
TEST_F(refused_state, at_random)
{
	const unsigned int rest = sizeof(struct state_header) +
				  offsetof(struct state_ctrl, queues);
	unsigned int turn, i, size, first, taken = 0;
	struct vf *vf = &self->vf[1];
	struct state_header *state;
	struct stream s, again;
	unsigned char *byte;
	int fd, ret;

	for (turn = 0; turn < 200; turn++) {
		s = copy_stream(turn % 4 ? &self->enabled : &self->disabled);
		state = state_of(&s);
		size = state->size;
		for (i = random() % 4; i < 4; i++) {
			/* Mostly behind Identify Controller, which is the largest field */
			first = random() % 4 ? rest : 0;
			byte = (unsigned char *)state + first + random() % (size - first);
			*byte ^= 1 << random() % 8;
		}
		state_fix_checksums(&s, state, size);

		vf_enter_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
		ret = stream_write(&s, fd, s.len);
		if (!ret) {
			taken++;
			vf_enter_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
			close(fd);
			vf_enter_state(vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
			ret = stream_read(&again, fd, 65536);
			EXPECT_EQ(0, ret);
			free(again.data);
		} else {
			EXPECT_EQ(-EINVAL, ret);
		}
		close(fd);
		vf_reset(vf);
		free(s.data);
	}
	TH_LOG("%u of %u states were taken", taken, turn);
	EXPECT_LT(0U, taken);
	EXPECT_GT(turn, taken);
	expect_good(_metadata, self);
}

TEST_HARNESS_MAIN
