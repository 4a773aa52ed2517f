// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the functions of linux/nvme-vf.h: which commands they let through to the PF,
 * what the PF gets, and their errors. The module nvme-vf-test calls them. The
 * tracepoint nvme_setup_cmd tells what was sent.
 */
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "hook/nvme-vf-test.h"
#include "lib/fault.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define DEVICE		"/dev/nvme-vf-test"
#define IDENTIFY	0x06
#define CNS_CTRL	0x01
#define CNS_SECONDARY	0x15
#define CNS_FORMATS	0x20	/* Supported Controller State Formats */
#define SEND		0x41	/* Migration Send */
#define RECEIVE		0x42	/* Migration Receive */
#define SUSPEND		0	/* its selectors */
#define RESUME		1
#define SET_STATE	2
#define GET_STATE	0	/* of Migration Receive */
#define SUSPEND_NOW	(1U << 16)	/* STYPE of Suspend */
#define NOT_SUSPENDED	0x13a
#define NOT_ENOUGH	0x138	/* Not Enough Resources */
#define BUSY		0x21	/* Command Interrupted, without Do Not Retry */
#define TRACK_SEND	0x3d
#define TRACK_MEMORY	1		/* its selector */
#define TRACK_START	(1U << 16 | TRACK_MEMORY)
#define TRACK_RECEIVE	0x3e
#define PAGE		4096
#define ROOM		(8 << 20)	/* more than one command carries */
#define MOST_COMMANDS	16	/* of all VFs of a PF */

/* What Identify is let through for, and which fields the caller decides */
static const struct cns {
	unsigned int	cns;
	bool		nsid;
	bool		cntid;
} cns_allowed[] = {
	{ CNS_CTRL },
	{ 0x03, .nsid = true },		/* Namespace Identification Descriptors */
	{ 0x10, .nsid = true },		/* Allocated Namespace ID list */
	{ 0x11, .nsid = true },		/* Identify Namespace, allocated */
	{ 0x12, .nsid = true, .cntid = true },	/* Controllers of a namespace */
	{ CNS_SECONDARY, .cntid = true },
};

static const enum fault_command without_data[] = {
	COMMAND_QUERY, COMMAND_SUSPEND, COMMAND_RESUME,
};

FIXTURE(hook)
{
	struct pf pf;
	bool standard;		/* The PF has the standard's commands. */
	unsigned int ranges;	/* that it can track, for all VFs */
	int fd;
	char *data;
};

static void learn_ids(FIXTURE_DATA(hook) * self);
static void learn_ranges(FIXTURE_DATA(hook) * self);

FIXTURE_SETUP(hook)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);

	if (why)
		SKIP(return, "%s", why);
	if (system("modprobe -q nvme-vf-test"))
		SKIP(return, "there is no module nvme-vf-test");
	pf_open(&self->pf, vf_bdf(0));
	if (!sent_open(pf_controller(&self->pf)))
		SKIP(return, "this kernel has no tracefs");
	self->fd = must(open(DEVICE, O_RDWR));
	self->data = aligned_alloc(PAGE, ROOM);
	ASSERT_NE(NULL, self->data);
	memset(self->data, 0x5a, ROOM);
	self->standard = vf_has_standard(vf_bdf(0));
	learn_ids(self);
	learn_ranges(self);
}

FIXTURE_TEARDOWN(hook)
{
	pf_set_timeout(&self->pf, 60);
	fault_clear_all(vf_bdf(0));
	close(self->fd);
	/* The module uses nvme, which other tests remove. */
	must(syscall(SYS_delete_module, "nvme_vf_test", O_NONBLOCK));
	free(self->data);
	sent_close();
}

/* Return whether the PF must have HMLMS to get Identify with this CNS. */
static bool cns_needs_standard(unsigned int cns)
{
	return cns == CNS_FORMATS;
}

/* Prepare a call for the PCI function @bdf. */
static struct nvme_vf_test make_call(unsigned int function, const char *bdf)
{
	struct nvme_vf_test call = { .function = function };
	unsigned int domain, bus, device, number;

	if (sscanf(bdf, "%x:%x:%x.%x", &domain, &bus, &device, &number) != 4)
		die("%s is no address of a PCI function", bdf);
	call.domain = domain;
	call.bus = bus;
	call.devfn = device << 3 | number;
	return call;
}

static struct nvme_vf_test make_command(const char *bdf, unsigned int opcode,
					void *data, unsigned int len)
{
	struct nvme_vf_test call = make_call(NVME_VF_TEST_SUBMIT, bdf);

	call.cmd[0] = opcode;
	call.buf = (uintptr_t)data;
	call.len = len;
	return call;
}

static void set_dword(struct nvme_vf_test *call, unsigned int index, __u32 value)
{
	memcpy(&call->cmd[4 * index], &value, sizeof(value));
}

/* Return what the function returned. */
static int do_call(int fd, struct nvme_vf_test *call)
{
	must(ioctl(fd, NVME_VF_TEST_CALL, call));
	return call->ret;
}

static int submit(FIXTURE_DATA(hook) * self, unsigned int opcode, __u32 cdw10,
		  __u32 cdw11, unsigned int len)
{
	struct nvme_vf_test call = make_command(vf_bdf(0), opcode,
						len ? self->data : NULL, len);

	set_dword(&call, 10, cdw10);
	set_dword(&call, 11, cdw11);
	return do_call(self->fd, &call);
}

/*
 * Send Suspend as a notification, after which the hook knows the controller IDs. Tests notice
 * if these are wrong.
 */
static void learn_ids(FIXTURE_DATA(hook) * self)
{
	struct nvme_vf_test call;
	unsigned int i;

	for (i = 0; self->standard && i < 2; i++) {
		call = make_command(vf_bdf(i), SEND, NULL, 0);
		do_call(self->fd, &call);
	}
}

static void learn_ranges(FIXTURE_DATA(hook) * self)
{
	unsigned char id[PAGE];

	if (pf_identify(&self->pf, CNS_CTRL, 0, 0, id))
		die("%s: Identify Controller failed", self->pf.bdf);
	/* TRATTR, and NMMRTD */
	if (id[576] & 1)
		self->ranges = id[572] | id[573] << 8;
}

static bool is_without_data(unsigned int opcode)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(without_data); i++)
		if (without_data[i] == opcode)
			return true;
	return false;
}

static bool is_cns_allowed(unsigned int cns)
{
	unsigned int i;

	if (cns_needs_standard(cns))
		return true;
	for (i = 0; i < ARRAY_SIZE(cns_allowed); i++)
		if (cns_allowed[i].cns == cns)
			return true;
	return false;
}

/*
 * No opcode but Identify, the five, and Migration and Track Send and Receive reaches the PF,
 * whatever data it has.
 */
TEST_F(hook, each_opcode)
{
	static const unsigned int lengths[] = { 0, 1, PAGE };
	unsigned int opcode, i, sent;
	int expected;

	for (opcode = 0; opcode <= 0xff; opcode++) {
		for (i = 0; i < ARRAY_SIZE(lengths); i++) {
			sent = 0;
			expected = -EPERM;
			if (opcode == IDENTIFY || opcode == COMMAND_LOAD) {
				/* CNS 00h, and no bytes that count */
				expected = -EINVAL;
			} else if (opcode == TRACK_SEND) {
				/* SEL 0, Log User Data Changes */
				expected = -EINVAL;
			} else if (opcode == TRACK_RECEIVE) {
				sent = self->standard && lengths[i] == PAGE;
				expected = self->standard && !sent ? -EINVAL : -EOPNOTSUPP;
				/* The PF has no HMLMS, does not track, or not this VF. */
				if (sent && self->ranges)
					expected = -EIO;
			} else if (is_without_data(opcode)) {
				sent = !lengths[i];
				expected = sent ? 0 : -EINVAL;
			} else if (opcode == COMMAND_SAVE) {
				sent = lengths[i] > 0;
				/* The VF is not suspended. */
				expected = sent ? -EPROTO : -EINVAL;
			} else if (opcode == SEND || opcode == RECEIVE) {
				/* Suspend, as a notification, and Get */
				sent = self->standard && lengths[i] == (opcode == SEND ? 0 : PAGE);
				expected = sent ? 0 : self->standard ? -EINVAL : -EOPNOTSUPP;
			}
			sent_clear();
			EXPECT_EQ(expected, submit(self, opcode, 0, 0, lengths[i]));
			EXPECT_EQ(sent, sent_read(NULL, 0));
			ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
				TH_LOG("opcode %#x with %u bytes", opcode, lengths[i]);
		}
	}
}

/* Identify reaches the PF only with the values of CNS in the table. */
TEST_F(hook, each_cns)
{
	struct nvme_vf_test call;
	unsigned int cns, sent;
	bool allowed;

	for (cns = 0; cns <= 0xff; cns++) {
		sent_clear();
		call = make_command(vf_bdf(0), IDENTIFY, self->data, PAGE);
		set_dword(&call, 1, 1);
		set_dword(&call, 10, cns);
		allowed = is_cns_allowed(cns) &&
			  (self->standard || !cns_needs_standard(cns));
		EXPECT_EQ(allowed ? 0 : is_cns_allowed(cns) ? -EOPNOTSUPP : -EINVAL,
			  do_call(self->fd, &call));
		sent = sent_read(NULL, 0);
		EXPECT_EQ(allowed, sent);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("CNS %#x", cns);
	}
}

/* Data of another length than the command has is refused. */
TEST_F(hook, each_length)
{
	struct nvme_vf_test limit = make_call(NVME_VF_TEST_MAX_TRANSFER, vf_bdf(0));
	struct nvme_vf_test call;
	unsigned int i;

	sent_clear();
	for (i = 0; i < ARRAY_SIZE(cns_allowed); i++) {
		EXPECT_EQ(-EINVAL, submit(self, IDENTIFY, cns_allowed[i].cns, 0, 0));
		EXPECT_EQ(-EINVAL, submit(self, IDENTIFY, cns_allowed[i].cns, 0, 1));
		EXPECT_EQ(-EINVAL, submit(self, IDENTIFY, cns_allowed[i].cns, 0, PAGE - 1));
		EXPECT_EQ(-EINVAL, submit(self, IDENTIFY, cns_allowed[i].cns, 0, PAGE + 1));
	}
	EXPECT_EQ(-EINVAL, submit(self, COMMAND_LOAD, 0, 0, PAGE));
	EXPECT_EQ(-EINVAL, submit(self, COMMAND_LOAD, 0, PAGE + 1, PAGE));
	EXPECT_EQ(-EINVAL, submit(self, COMMAND_LOAD, 0, ~0U, PAGE));
	EXPECT_EQ(-EINVAL, submit(self, COMMAND_LOAD, 0, 1, 0));

	/* a length without data, and data without a length */
	call = make_command(vf_bdf(0), COMMAND_SUSPEND, NULL, PAGE);
	EXPECT_EQ(-EINVAL, do_call(self->fd, &call));
	call = make_command(vf_bdf(0), COMMAND_SUSPEND, self->data, 0);
	EXPECT_EQ(-EINVAL, do_call(self->fd, &call));
	call = make_command(vf_bdf(0), COMMAND_SAVE, self->data, 0);
	EXPECT_EQ(-EINVAL, do_call(self->fd, &call));

	ASSERT_EQ(0, do_call(self->fd, &limit));
	ASSERT_LE(PAGE, limit.value);
	ASSERT_GT(ROOM, limit.value);
	EXPECT_EQ(-EMSGSIZE, submit(self, COMMAND_SAVE, 0, 0, limit.value + 1));
	EXPECT_EQ(-EMSGSIZE, submit(self, COMMAND_LOAD, 0, 1, limit.value + 1));
	EXPECT_EQ(0, sent_read(NULL, 0));

	EXPECT_EQ(-EPROTO, submit(self, COMMAND_SAVE, 0, 0, limit.value));
	EXPECT_EQ(1, sent_read(NULL, 0));
}

/*
 * Expect that one command was sent, to a namespace, without flags and metadata. @fields is what
 * else the tracepoint shows of it.
 */
static void expect_sent_as(struct __test_metadata *_metadata, __u32 nsid, const char *fields)
{
	char last[512] = "", begin[64];

	snprintf(begin, sizeof(begin), "nsid=%u, flags=0x0, meta=0x0, ", nsid);
	EXPECT_EQ(1, sent_read(last, sizeof(last)));
	EXPECT_EQ(0, strncmp(last, begin, strlen(begin)));
	EXPECT_NE(NULL, strstr(last, fields));
	ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
		TH_LOG("expected \"%s\" and \"%s\", was sent as \"%s\"", begin, fields, last);
}

/* Likewise, a command without a namespace, with these dwords 10 to 15 */
static void expect_sent_dwords(struct __test_metadata *_metadata, const __u32 cdw[6])
{
	char fields[128] = "cdw10=";
	unsigned int i;

	for (i = 0; i < 24; i++)
		sprintf(fields + strlen(fields), i ? " %02x" : "%02x",
			cdw[i / 4] >> i % 4 * 8 & 0xff);
	expect_sent_as(_metadata, 0, fields);
}

/* The caller decides no field that the table does not name, and never the VF. */
TEST_F(hook, fields_of_the_caller)
{
	__u32 cdw[6] = { pf_vf_index(vf_bdf(1)) };
	struct nvme_vf_test call;
	char fields[64];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(without_data); i++) {
		call = make_command(vf_bdf(1), without_data[i], NULL, 0);
		memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
		sent_clear();
		EXPECT_EQ(0, do_call(self->fd, &call));
		expect_sent_dwords(_metadata, cdw);
	}

	call = make_command(vf_bdf(1), COMMAND_SAVE, self->data, PAGE);
	memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
	sent_clear();
	EXPECT_EQ(-EPROTO, do_call(self->fd, &call));
	expect_sent_dwords(_metadata, cdw);

	call = make_command(vf_bdf(1), COMMAND_LOAD, self->data, PAGE);
	memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
	cdw[1] = 4095;
	set_dword(&call, 11, cdw[1]);
	sent_clear();
	EXPECT_GT(0, do_call(self->fd, &call));
	expect_sent_dwords(_metadata, cdw);

	for (i = 0; i < ARRAY_SIZE(cns_allowed); i++) {
		const struct cns *c = &cns_allowed[i];

		call = make_command(vf_bdf(1), IDENTIFY, self->data, PAGE);
		memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
		set_dword(&call, 10, 0xffffff00 | c->cns);
		sent_clear();
		/* The controller knows no such namespace. */
		do_call(self->fd, &call);
		snprintf(fields, sizeof(fields), "cns=%u, ctrlid=%u)", c->cns,
			 c->cntid ? 0xffff : 0);
		expect_sent_as(_metadata, c->nsid ? ~0U : 0, fields);
	}
}

/*
 * Of the standard's commands, the hook writes the controller ID and the number of dwords,
 * and lets the caller decide what the table names.
 */
TEST_F(hook, standard_fields)
{
	const __u32 cntlid = pf_vf_cntlid(vf_bdf(1));
	const struct {
		unsigned int	opcode, sel, len;
		__u32		cdw[6];
	} rows[] = {
		{ SEND, SUSPEND, 0, { SUSPEND, SUSPEND_NOW | cntlid } },
		{ SEND, RESUME, 0, { RESUME, cntlid } },
		{ SEND, SET_STATE, PAGE, { 0x30000 | SET_STATE, 0xffff0000 | cntlid,
					   ~0U, ~0U, 0, PAGE / 4 } },
		{ SEND, SET_STATE, 4, { 0x30000 | SET_STATE, 0xffff0000 | cntlid,
					~0U, ~0U, 0, 1 } },
		{ RECEIVE, GET_STATE, PAGE, { 0xff0000 | GET_STATE, 0xff0000 | cntlid,
					      ~0U, ~0U, 0, PAGE / 4 - 1 } },
		{ RECEIVE, GET_STATE, 4, { 0xff0000 | GET_STATE, 0xff0000 | cntlid,
					   ~0U, ~0U, 0, 0 } },
	};
	struct nvme_vf_test call;
	unsigned int i;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		call = make_command(vf_bdf(1), rows[i].opcode,
				    rows[i].len ? self->data : NULL, rows[i].len);
		memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
		set_dword(&call, 10, 0xffffff00 | rows[i].sel);
		sent_clear();
		/* The PF refuses indices and offsets that do not exist. */
		EXPECT_EQ(rows[i].len != 0, do_call(self->fd, &call) < 0);
		expect_sent_dwords(_metadata, rows[i].cdw);
	}
}

/* Other selectors, and data that is no whole dword, or more than one command carries */
TEST_F(hook, standard_refused)
{
	struct nvme_vf_test limit = make_call(NVME_VF_TEST_MAX_TRANSFER, vf_bdf(0));
	unsigned int sel;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	sent_clear();
	for (sel = 0; sel <= 0xff; sel++) {
		if (sel > SET_STATE) {
			EXPECT_EQ(-EINVAL, submit(self, SEND, sel, 0, 0));
			EXPECT_EQ(-EINVAL, submit(self, SEND, sel, 0, PAGE));
		}
		if (sel != GET_STATE)
			EXPECT_EQ(-EINVAL, submit(self, RECEIVE, sel, 0, PAGE));
	}
	EXPECT_EQ(-EINVAL, submit(self, SEND, SUSPEND, 0, PAGE));
	EXPECT_EQ(-EINVAL, submit(self, SEND, RESUME, 0, PAGE));
	EXPECT_EQ(-EINVAL, submit(self, SEND, SET_STATE, 0, 0));
	EXPECT_EQ(-EINVAL, submit(self, SEND, SET_STATE, 0, PAGE - 1));
	EXPECT_EQ(-EINVAL, submit(self, RECEIVE, GET_STATE, 0, 0));
	EXPECT_EQ(-EINVAL, submit(self, RECEIVE, GET_STATE, 0, PAGE + 2));
	ASSERT_EQ(0, do_call(self->fd, &limit));
	EXPECT_EQ(-EMSGSIZE, submit(self, SEND, SET_STATE, 0, limit.value + 4));
	EXPECT_EQ(-EMSGSIZE, submit(self, RECEIVE, GET_STATE, 0, limit.value + 4));
	EXPECT_EQ(0, sent_read(NULL, 0));
}

/*
 * Track Send has no length, so the data must have as many descriptors as it says. The hook
 * lets the caller decide TACT, and no other field of Track Send and Track Receive.
 */
TEST_F(hook, standard_tracking)
{
	static const struct {
		__u32		count;
		unsigned int	len;
		bool		sent;
	} rows[] = {
		{ 0, 8, true }, { 0, 20, true }, { 1, 20, true }, { 340, 4088, true },
		{ 0, 7 }, { 1, 8 }, { 1, 19 }, { 2, 31 }, { 341, 4088 }, { 0x5a5a5a5a, PAGE },
		{ 0x15555556, 16 }, { ~0U, PAGE },	/* times 12, in 32 bits: 8 and -12 */
	};
	const __u32 cntlid = pf_vf_cntlid(vf_bdf(1));
	const __u32 send[6] = { 1 << 16 | TRACK_MEMORY, cntlid };
	const __u32 receive[6] = { 0, cntlid, PAGE / 4 - 1 };
	struct nvme_vf_test call;
	unsigned int i, sel;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memcpy(self->data + 4, &rows[i].count, 4);
		call = make_command(vf_bdf(1), TRACK_SEND, self->data, rows[i].len);
		memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
		set_dword(&call, 10, 0xffffff00 | TRACK_MEMORY);
		sent_clear();
		/* The controller refuses the version of the data, or does not track. */
		EXPECT_GT(0, do_call(self->fd, &call));
		if (rows[i].sent)
			expect_sent_dwords(_metadata, send);
		else
			EXPECT_EQ(0, sent_read(NULL, 0));
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("row %u", i);
	}

	call = make_command(vf_bdf(1), TRACK_RECEIVE, self->data, PAGE);
	memset(&call.cmd[1], 0xff, sizeof(call.cmd) - 1);
	set_dword(&call, 10, 0xffffff00);
	sent_clear();
	EXPECT_GT(0, do_call(self->fd, &call));
	expect_sent_dwords(_metadata, receive);

	sent_clear();
	memset(self->data, 0, PAGE);
	for (sel = 0; sel <= 0xff; sel++) {
		if (sel != TRACK_MEMORY)
			EXPECT_EQ(-EINVAL, submit(self, TRACK_SEND, sel, 0, PAGE));
		if (sel)
			EXPECT_EQ(-EINVAL, submit(self, TRACK_RECEIVE, sel, 0, PAGE));
	}
	EXPECT_EQ(-EINVAL, submit(self, TRACK_SEND, TRACK_MEMORY, 0, 0));
	EXPECT_EQ(-EINVAL, submit(self, TRACK_RECEIVE, 0, 0, PAGE + 2));
	EXPECT_EQ(0, sent_read(NULL, 0));
}

/* CSUP comes back in the result, and the status of a Resume that finds nothing suspended. */
TEST_F(hook, standard_result)
{
	struct nvme_vf_test call;
	unsigned int suspended;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	for (suspended = 0; suspended < 2; suspended++) {
		if (suspended)
			ASSERT_EQ(0, submit(self, SEND, SUSPEND, SUSPEND_NOW, 0));
		call = make_command(vf_bdf(0), RECEIVE, self->data,
				    sizeof(struct standard_header));
		EXPECT_EQ(0, do_call(self->fd, &call));
		EXPECT_EQ(suspended, call.value & 1);
	}
	EXPECT_EQ(0, submit(self, SEND, RESUME, 0, 0));
	call = make_command(vf_bdf(0), SEND, NULL, 0);
	set_dword(&call, 10, RESUME);
	EXPECT_EQ(-EIO, do_call(self->fd, &call));
	EXPECT_EQ(NOT_SUSPENDED, call.status & 0x7ff);
}

/*
 * Both dwords of the result come back with Not Enough Resources: the granularity and the number
 * of ranges that are possible.
 */
TEST_F(hook, dwords_of_a_failure)
{
	struct {
		__u8	version, rsvd[2], granularity;
		__u32	count;
		__u64	address;
		__u32	granules;
	} __attribute__((packed)) *data = (void *)self->data;
	struct nvme_vf_test call;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	if (!self->ranges)
		SKIP(return, "the PF does not track");
	memset(data, 0, sizeof(*data));
	data->count = 1;
	for (data->granules = 1; data->granules; data->granules *= 2) {
		call = make_command(vf_bdf(0), TRACK_SEND, data, sizeof(*data));
		set_dword(&call, 10, TRACK_START);
		if (do_call(self->fd, &call))
			break;
		ASSERT_EQ(0, submit(self, TRACK_SEND, TRACK_MEMORY, 0, sizeof(*data)));
	}
	EXPECT_EQ(-EIO, call.ret);
	EXPECT_EQ(NOT_ENOUGH, call.status & 0x7ff);
	/* Half as many granules were possible, so these are, if they are twice as large. */
	EXPECT_EQ((__u64)self->ranges << 32 | 1, call.value);
}

static bool is_suspended(FIXTURE_DATA(hook) * self, const char *bdf)
{
	struct nvme_admin_cmd cmd = {
		.opcode = RECEIVE,
		.cdw11 = pf_vf_cntlid(bdf),
		.cdw15 = sizeof(struct standard_header) / 4 - 1,
		.addr = (uintptr_t)self->data,
		.data_len = sizeof(struct standard_header),
	};

	if (pf_admin(&self->pf, &cmd))
		die("%s: Migration Receive of the PF failed", bdf);
	return cmd.result & 1;
}

/*
 * The Secondary Controller List may have VFs of another PF, with the same numbers. A command
 * goes to the VF of this PF.
 */
TEST_F(hook, list_with_another_pf)
{
	struct nvme_vf_test call;
	unsigned int i, j;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	if (!pf_lists_others(&self->pf))
		SKIP(return, "the list has no other PF");
	for (i = 0; i < 2; i++) {
		call = make_command(vf_bdf(i), SEND, NULL, 0);
		set_dword(&call, 11, SUSPEND_NOW);
		EXPECT_EQ(0, do_call(self->fd, &call));
		for (j = 0; j < 2; j++)
			EXPECT_EQ(i == j, is_suspended(self, vf_bdf(j)));
		call = make_command(vf_bdf(i), SEND, NULL, 0);
		set_dword(&call, 10, RESUME);
		EXPECT_EQ(0, do_call(self->fd, &call));
		EXPECT_FALSE(is_suspended(self, vf_bdf(i)));
	}
}

/* The PF is asked for the controller ID of each VF once, and again after each reset. */
TEST_F(hook, controller_id_is_kept)
{
	unsigned int i;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	for (i = 0; i < 3; i++) {
		sent_clear();
		EXPECT_EQ(0, submit(self, SEND, SUSPEND, 0, 0));
		EXPECT_EQ(0, submit(self, SEND, SUSPEND, 0, 0));
		EXPECT_EQ(i ? 3 : 2, sent_read(NULL, 0));
		pf_reset(&self->pf);
		pf_await_live(&self->pf);
		pf_restore_vfs(&self->pf);
	}
}

/*
 * The PF is busy when it is asked for the controller ID. The caller gets the status of that
 * command, and may repeat its own.
 */
TEST_F(hook, list_is_busy)
{
	struct nvme_vf_test call = make_command(vf_bdf(0), SEND, NULL, 0);
	unsigned int i;

	if (!self->standard)
		SKIP(return, "the PF has no HMLMS");
	set_dword(&call, 11, SUSPEND_NOW);
	pf_reset(&self->pf);
	pf_await_live(&self->pf);
	pf_restore_vfs(&self->pf);
	ASSERT_TRUE(fault_set_times(vf_bdf(0), COMMAND_LIST, FAULT_STATUS, BUSY, 2));
	for (i = 0; i < 2; i++) {
		sent_clear();
		EXPECT_EQ(-EIO, do_call(self->fd, &call));
		EXPECT_EQ(BUSY, call.status);
		EXPECT_EQ(1, sent_read(NULL, 0));
	}
	EXPECT_EQ(0, do_call(self->fd, &call));
	EXPECT_EQ(0, call.status);
	EXPECT_TRUE(is_suspended(self, vf_bdf(0)));
}

/* Result and status come back, also of a command that fails. */
TEST_F(hook, result_and_status)
{
	static const struct {
		__u32	status;
		int	error;
	} outcomes[] = {
		{ 0x0000, 0 }, { 0x0001, -EOPNOTSUPP }, { 0x0002, -EINVAL },
		{ 0x0006, -EIO }, { 0x000c, -EPROTO }, { 0x4002, -EINVAL },
		{ 0x400c, -EPROTO }, { 0x0109, -EIO }, { 0x7fff, -EIO },
	};
	struct nvme_vf_test call;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(outcomes); i++) {
		if (outcomes[i].status)
			ASSERT_TRUE(fault_set_once(vf_bdf(0), COMMAND_QUERY,
						   FAULT_STATUS,
						   outcomes[i].status));
		call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
		EXPECT_EQ(outcomes[i].error, do_call(self->fd, &call));
		EXPECT_EQ(outcomes[i].status, call.status);
		EXPECT_EQ(!outcomes[i].error, call.value > 0);
		ASSERT_NE(KSFT_FAIL, _metadata->exit_code)
			TH_LOG("status %#x", outcomes[i].status);
	}

	/* A command may fail and have a result. */
	ASSERT_TRUE(fault_set_once(vf_bdf(0), COMMAND_QUERY, FAULT_STATUS_AFTER, 0x6));
	call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
	EXPECT_EQ(-EIO, do_call(self->fd, &call));
	EXPECT_EQ(0x6, call.status);
	EXPECT_LT(0, call.value);

	/* not sent: no result of an earlier command */
	call = make_command(vf_bdf(0), 0x0d, NULL, 0);
	EXPECT_EQ(-EPERM, do_call(self->fd, &call));
	EXPECT_EQ(0, call.status);
	EXPECT_EQ(0, call.value);
}

static const unsigned int functions[] = {
	NVME_VF_TEST_SUBMIT, NVME_VF_TEST_MAX_TRANSFER, NVME_VF_TEST_EPOCH,
	NVME_VF_TEST_CHECK_MIGRATION,
};

/* Expect @error of all functions for the PCI function @bdf, and no command. */
static void expect_all(struct __test_metadata *_metadata, int fd, const char *bdf,
		       int error)
{
	struct nvme_vf_test call;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(functions); i++) {
		call = make_call(functions[i], bdf);
		call.cmd[0] = COMMAND_QUERY;
		EXPECT_EQ(error, do_call(fd, &call))
			TH_LOG("function %u", functions[i]);
	}
}

/* The functions serve VFs only. */
TEST_F(hook, pf_is_no_vf)
{
	sent_clear();
	expect_all(_metadata, self->fd, self->pf.bdf, -EINVAL);
	EXPECT_EQ(0, sent_read(NULL, 0));
}

/* Wait until nvme has freed a controller, of which nobody must have kept a reference. */
static void await_free(unsigned int controller)
{
	time_t deadline = time(NULL) + PATIENCE;
	char pattern[64];
	glob_t found;

	snprintf(pattern, sizeof(pattern), "/sys/class/nvme-subsystem/*/nvme%u", controller);
	while (!glob(pattern, 0, NULL, &found)) {
		globfree(&found);
		pause_until(deadline, "the controller of the PF is not freed");
	}
}

/* A VF whose PF has no driver. */
TEST_F(hook, pf_without_driver)
{
	struct nvme_vf_test before = make_call(NVME_VF_TEST_EPOCH, vf_bdf(0));
	unsigned int controller = pf_controller(&self->pf);
	struct nvme_vf_test after = before;

	ASSERT_EQ(0, do_call(self->fd, &before));
	pf_unbind(&self->pf);
	await_free(controller);
	expect_all(_metadata, self->fd, vf_bdf(0), -ENODEV);
	pf_bind(&self->pf);
	pf_await_live(&self->pf);
	pf_restore_vfs(&self->pf);
	expect_all(_metadata, self->fd, vf_bdf(0), 0);
	ASSERT_EQ(0, do_call(self->fd, &after));
	EXPECT_NE(before.value, after.value);
}

struct resets {
	const struct pf	*pf;
	unsigned int	count;
};

static void *reset_often(void *arg)
{
	struct resets *r = arg;

	for (; r->count; r->count--)
		pf_reset(r->pf);
	return NULL;
}

/* During a reset of the PF, a command is not sent or is canceled. */
TEST_F(hook, pf_is_reset)
{
	struct nvme_vf_test call, epoch = make_call(NVME_VF_TEST_EPOCH, vf_bdf(0));
	struct resets resets = { &self->pf, 8 };
	unsigned int refused = 0, epochs = 0;
	pthread_t thread;
	__u64 last;

	ASSERT_EQ(0, do_call(self->fd, &epoch));
	last = epoch.value;
	ASSERT_EQ(0, pthread_create(&thread, NULL, reset_often, &resets));
	while (__atomic_load_n(&resets.count, __ATOMIC_RELAXED)) {
		call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
		switch (do_call(self->fd, &call)) {
		case -EAGAIN:
			refused++;
			break;
		case 0:
		case -ECANCELED:
		case -EINVAL:	/* the reset took the VF offline */
		case -EIO:
			break;
		default:
			EXPECT_EQ(0, call.ret);
		}
		ASSERT_EQ(0, do_call(self->fd, &epoch));
		ASSERT_LE(last, epoch.value);
		epochs += last != epoch.value;
		last = epoch.value;
	}
	await_thread(thread, "the last reset", PATIENCE);
	EXPECT_LT(0, refused);
	EXPECT_LT(0, epochs);
	pf_await_live(&self->pf);
	pf_restore_vfs(&self->pf);
	call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
	EXPECT_EQ(0, do_call(self->fd, &call));
}

/* Submit QUERY_DATA_SIZE from a process, whose exit status is 0 if QUERY succeeds. */
static pid_t fork_query(int fd, const char *bdf)
{
	struct nvme_vf_test call = make_command(bdf, COMMAND_QUERY, NULL, 0);
	pid_t pid = must(fork());

	if (!pid)
		_exit(do_call(fd, &call) != 0);
	return pid;
}

/* Wait until @count commands were sent. */
static void await_sent(unsigned int count)
{
	time_t deadline = time(NULL) + PATIENCE;

	while (sent_read(NULL, 0) != count)
		pause_until(deadline, "the commands are sent");
}

/* Wait for the end of a process; return its status. */
static int await_process(pid_t pid, int seconds)
{
	time_t deadline = time(NULL) + seconds;
	int status;

	while (must(waitpid(pid, &status, WNOHANG)) == 0)
		pause_until(deadline, "the process ends");
	return status;
}

/*
 * Commands for VFs leave tags to the PF. More than 16 wait, and the wait of a
 * process that is killed ends.
 */
TEST_F(hook, more_commands_than_allowed)
{
	pid_t pid[MOST_COMMANDS + 2];
	unsigned int i;
	int status;

	ASSERT_TRUE(fault_set(vf_bdf(0), COMMAND_QUERY, FAULT_NEVER, 0));
	sent_clear();
	for (i = 0; i < MOST_COMMANDS; i++)
		pid[i] = fork_query(self->fd, vf_bdf(0));
	await_sent(MOST_COMMANDS);
	for (; i < ARRAY_SIZE(pid); i++) {
		/* The limit is one of the PF, not of the VF. */
		pid[i] = fork_query(self->fd, vf_bdf(i % 2));
		await_sleep(pid[i], SYS_ioctl, self->fd);
	}
	EXPECT_EQ(MOST_COMMANDS, sent_read(NULL, 0));

	EXPECT_EQ(0, pf_identify(&self->pf, CNS_CTRL, 0, 0, self->data));

	kill(pid[MOST_COMMANDS], SIGKILL);
	status = await_process(pid[MOST_COMMANDS], at_once());
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(MOST_COMMANDS + 1, sent_read(NULL, 0));

	ASSERT_TRUE(fault_set(vf_bdf(0), COMMAND_QUERY, FAULT_NONE, 0));
	for (i = 0; i < ARRAY_SIZE(pid); i++)
		if (i != MOST_COMMANDS)
			EXPECT_EQ(0, await_process(pid[i], at_once()));
}

/* Find a VF of another PF that has the vendor's commands. */
static bool find_other(const struct pf *pf, char *vf, size_t size)
{
	struct pf other;
	glob_t found;
	size_t i;

	if (glob("/sys/bus/pci/drivers/nvme/????:??:??.?/virtfn0", 0, NULL, &found))
		return false;
	for (i = 0; i < found.gl_pathc; i++) {
		sysfs_link_name(vf, size, found.gl_pathv[i]);
		pf_find(&other, vf);
		if (strcmp(other.bdf, pf->bdf) && vf_firmware_migrates(vf))
			break;
	}
	globfree(&found);
	return i < found.gl_pathc;
}

/*
 * A command goes to the PF of its VF. The VFs of a PF do not notice if the other PF is busy,
 * is reset, or loses its driver.
 */
TEST_F(hook, two_pfs)
{
	struct nvme_vf_test call, before[2], after[2];
	pid_t pid[MOST_COMMANDS];
	struct pf pf[2];
	char vf[2][16];
	int i, j;

	snprintf(vf[0], sizeof(vf[0]), "%s", vf_bdf(0));
	if (!find_other(&self->pf, vf[1], sizeof(vf[1])))
		SKIP(return, "there is no other PF");
	for (i = 0; i < 2; i++) {
		pf_open(&pf[i], vf[i]);
		after[i] = make_call(NVME_VF_TEST_EPOCH, vf[i]);
	}

	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(sent_open(pf_controller(&pf[i])));
		for (j = 0; j < 2; j++) {
			sent_clear();
			call = make_command(vf[j], COMMAND_QUERY, NULL, 0);
			EXPECT_EQ(0, do_call(self->fd, &call));
			EXPECT_EQ(i == j, sent_read(NULL, 0));
		}

		ASSERT_TRUE(fault_set(vf[i], COMMAND_QUERY, FAULT_NEVER, 0));
		sent_clear();
		for (j = 0; j < MOST_COMMANDS; j++)
			pid[j] = fork_query(self->fd, vf[i]);
		await_sent(MOST_COMMANDS);
		expect_all(_metadata, self->fd, vf[!i], 0);
		ASSERT_TRUE(fault_set(vf[i], COMMAND_QUERY, FAULT_NONE, 0));
		for (j = 0; j < MOST_COMMANDS; j++)
			EXPECT_EQ(0, await_process(pid[j], at_once()));

		for (j = 0; j < 2; j++) {
			ASSERT_EQ(0, do_call(self->fd, &after[j]));
			before[j] = after[j];
		}
		pf_reset(&pf[i]);
		for (j = 0; j < 2; j++) {
			ASSERT_EQ(0, do_call(self->fd, &after[j]));
			EXPECT_EQ(i == j, before[j].value != after[j].value);
		}
		pf_await_live(&pf[i]);

		pf_unbind(&pf[i]);
		expect_all(_metadata, self->fd, vf[i], -ENODEV);
		expect_all(_metadata, self->fd, vf[!i], 0);
		pf_bind(&pf[i]);
		pf_await_live(&pf[i]);
		pf_restore_vfs(&pf[i]);
		expect_all(_metadata, self->fd, vf[i], 0);
	}
}

/* A command for a VF has twice the time of other admin commands, and not more. */
TEST_F(hook, timeout)
{
	struct nvme_vf_test epoch = make_call(NVME_VF_TEST_EPOCH, vf_bdf(0));
	struct nvme_vf_test call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
	long long begin;
	__u64 before;

	pf_set_timeout(&self->pf, 2);
	ASSERT_EQ(0, do_call(self->fd, &epoch));
	before = epoch.value;

	ASSERT_TRUE(fault_set_once(vf_bdf(0), COMMAND_QUERY, FAULT_DELAY, 3200));
	begin = now_ms();
	EXPECT_EQ(0, do_call(self->fd, &call));
	EXPECT_LE(3199, now_ms() - begin);
	ASSERT_EQ(0, do_call(self->fd, &epoch));
	EXPECT_EQ(before, epoch.value);

	ASSERT_TRUE(fault_set_once(vf_bdf(0), COMMAND_QUERY, FAULT_NEVER, 0));
	begin = running_ms();
	call = make_command(vf_bdf(0), COMMAND_QUERY, NULL, 0);
	EXPECT_EQ(-ECANCELED, do_call(self->fd, &call));
	EXPECT_LE(4000, running_ms() - begin);
	EXPECT_GT(4000 + 1000 * at_once(), running_ms() - begin);
	EXPECT_EQ(0, call.status);
	pf_await_live(&self->pf);
	ASSERT_EQ(0, do_call(self->fd, &epoch));
	EXPECT_NE(before, epoch.value);

	ASSERT_TRUE(fault_set(vf_bdf(0), COMMAND_QUERY, FAULT_NONE, 0));
	pf_restore_vfs(&self->pf);
	EXPECT_EQ(0, do_call(self->fd, &call));
}

TEST_HARNESS_MAIN
