// SPDX-License-Identifier: GPL-2.0-only
/*
 * Check the driver's tracepoints, whose fields are used by scripts, and its file in VFIO's
 * debugfs directory.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define DELAY_MS	50
/* The model's timer counts from the last whole ms. */
#define LEAST_MS	(DELAY_MS - 1)

static const struct {
	const char	*name;
	const char	*fields;	/* after the common fields */
} events[] = {
	{ "nvmevf_arc",
	  "__data_loc char[] vf; __data_loc char[] from; __data_loc char[] to; "
	  "int error; u64 duration_ns; " },
	{ "nvmevf_command_begin",
	  "__data_loc char[] vf; __data_loc char[] verb; u8 opcode; "
	  "unsigned int bytes; " },
	{ "nvmevf_command",
	  "__data_loc char[] vf; __data_loc char[] verb; u8 opcode; "
	  "unsigned int bytes; int error; unsigned int status; u64 duration_ns; " },
	{ "nvmevf_data_read",
	  "__data_loc char[] vf; u64 offset; u64 bytes; int error; " },
	{ "nvmevf_data_write",
	  "__data_loc char[] vf; u64 offset; u64 bytes; int error; " },
	{ "nvmevf_refused",
	  "__data_loc char[] vf; int error; __data_loc char[] message; " },
	{ "nvmevf_reset", "__data_loc char[] vf; " },
};

/* What differs between the command sets. */
static const struct set {
	unsigned int	suspend, resume, size, save, load;	/* opcodes */
	unsigned int	header;		/* bytes that tell the size */
	const char	*runs;		/* how RESUME of a VF that runs ends */
} vendor = {
	0xc8, 0xcc, 0xc4, 0xd2, 0xd5, 0, "error=-71 status=0x400c",
}, standard = {
	0x41, 0x41, 0x42, 0x42, 0x41, sizeof(struct standard_header), "error=-5 status=0x413a",
};

static const struct set *set(void)
{
	return vf_standard() ? &standard : &vendor;
}

#define OTHER_MAGIC							\
	"\"not a stream of this driver: magic 0x4d4c4656454d564f, expected 0x4d4c4656454d564e\""

FIXTURE(trace)
{
	struct nvme n;
	struct vf vf[2];	/* the guest begins on the first */
};

FIXTURE_SETUP(trace)
{
	const char *unfit = vf_skip_reason(2, VF_ANY, true);

	if (unfit)
		SKIP(return, "%s", unfit);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	nvme_start(&self->n, 1, 8, 8);
	self->n.chunk = 1 << 20;
	ASSERT_TRUE(trace_open());
}

FIXTURE_TEARDOWN(trace)
{
	trace_close();
	fault_clear_all(self->vf[0].bdf);
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
}

static unsigned long long number_after(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? strtoull(at + strlen(name), NULL, 0) : 0;
}

/* Commands that have begun and not ended: the fields that both events have. */
struct pending {
	char	*fields[8];
};

static void begin_command(struct pending *p, const char *fields)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p->fields); i++) {
		if (!p->fields[i]) {
			p->fields[i] = strdup(fields);
			return;
		}
	}
	die("%zu commands are pending before \"%s\"", ARRAY_SIZE(p->fields), fields);
}

static void end_command(struct pending *p, const char *fields)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(p->fields); i++) {
		if (p->fields[i] &&
		    !strncmp(p->fields[i], fields, strlen(p->fields[i]))) {
			free(p->fields[i]);
			p->fields[i] = NULL;
			return;
		}
	}
	die("a command ended that has not begun: %s", fields);
}

/*
 * Return the events so far, one a line, without what differs from run to run: with
 * A and B for the addresses, without durations, of which none may be 0, and without the
 * beginnings of commands: SAVE_DATA may begin before or after the end of its arc. Each
 * command must begin once and end once.
 */
static char *seen(FIXTURE_DATA(trace) * self)
{
	static const char begin[] = "nvmevf_command_begin: ";
	static const char end[] = "nvmevf_command: ";
	char *all = trace_read(), *rest = all, *line, *at, *result;
	size_t len;
	FILE *out = open_memstream(&result, &len);
	struct pending pending = {};
	unsigned int i;

	while ((line = strsep(&rest, "\n")) && *line) {
		if (!strncmp(line, begin, strlen(begin))) {
			begin_command(&pending, line + strlen(begin));
			continue;
		}
		if (!strncmp(line, end, strlen(end)))
			end_command(&pending, line + strlen(end));
		for (i = 0; i < 2; i++) {
			at = strstr(line, self->vf[i].bdf);
			if (at)
				memmove(at + 1, at + strlen(self->vf[i].bdf),
					strlen(at + strlen(self->vf[i].bdf)) + 1);
			if (at)
				*at = "AB"[i];
		}
		at = strstr(line, " duration_ns=");
		if (at && !number_after(at, "duration_ns="))
			die("duration is 0: %s", line);
		if (at)
			*at = '\0';
		fprintf(out, "%s\n", line);
	}
	for (i = 0; i < ARRAY_SIZE(pending.fields); i++)
		if (pending.fields[i])
			die("command has not ended: %s", pending.fields[i]);
	fclose(out);
	free(all);
	return result;
}

/* Return the duration of the VF's first event that contains @field. */
static double duration_ms(struct vf *vf, const char *event, const char *field)
{
	char *all = trace_read(), *rest = all, *line, begin[64];
	unsigned long long ns = 0;

	snprintf(begin, sizeof(begin), "%s: vf=%s ", event, vf->bdf);
	while (!ns && (line = strsep(&rest, "\n")))
		if (!strncmp(line, begin, strlen(begin)) && strstr(line, field))
			ns = number_after(line, "duration_ns=");
	free(all);
	return ns / 1e6;
}

/* Read the debugfs file; return NULL if there is none. */
static char *debugfs(struct vf *vf)
{
	char path[128], *text = calloc(1, 8192);
	int fd;

	snprintf(path, sizeof(path),
		 "/sys/kernel/debug/vfio/%s/migration/nvme", vf->bdf);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	must(read(fd, text, 8191));
	close(fd);
	return text;
}

/* Return @count numbers of the line that begins with @begin. */
static const long long *figures(const char *text, const char *begin, int count)
{
	static long long numbers[8];
	char *at = strstr(text, begin);
	int i;

	if (!at)
		die("found no \"%s\" in\n%s", begin, text);
	at += strlen(begin);
	for (i = 0; i < count; i++) {
		while (*at && *at != '\n' && !strchr("-0123456789", *at))
			at++;
		numbers[i] = strtoll(at, &at, 0);
	}
	return numbers;
}

TEST(format)
{
	char *text, *line, *rest, *name, fields[512];
	unsigned int i;

	if (!trace_open())
		SKIP(return, "this kernel has no tracefs");
	trace_close();
	for (i = 0; i < ARRAY_SIZE(events); i++) {
		text = trace_format(events[i].name);
		/* A program that parses the format does not know these names. */
		EXPECT_EQ(NULL, strstr(text, "VFIO_DEVICE_STATE_"));
		EXPECT_EQ(NULL, strstr(text, "nvme_vf_"));

		fields[0] = '\0';
		for (rest = text; (line = strsep(&rest, "\n")); ) {
			name = strstr(line, "field:");
			if (!name || strstr(line, "common_"))
				continue;
			*strchr(name, ';') = '\0';
			strcat(fields, name + 6);
			strcat(fields, "; ");
		}
		EXPECT_STREQ(events[i].fields, fields)
			TH_LOG("%s", events[i].name);
		free(text);
	}
}

/* Migrate from the first VF to the second, with SUSPEND and SAVE_DATA delayed. */
static void migrate(FIXTURE_DATA(trace) * self, struct stream *s)
{
	struct nvme *n = &self->n;

	/* SAVE_DATA must end after its arc. */
	if (!fault_set(n->vf->bdf, COMMAND_SAVE, FAULT_NEVER, 0) ||
	    !fault_set(n->vf->bdf, COMMAND_SUSPEND, FAULT_DELAY, DELAY_MS))
		die("setting a fault failed");
	guest_precopy(n, s);
	guest_suspend(n);
	guest_stop_copy(n, s);
	usleep(DELAY_MS * 1000);
	fault_set(n->vf->bdf, COMMAND_SAVE, FAULT_NONE, 0);
	guest_read_state(n, s);
	guest_load(n, &self->vf[1], s);
}

#define IDENTIFY	"verb=identify opcode=0x6 bytes=4096 error=0 status=0x0\n"

/*
 * Return the events of the commands for IDENTITY. With the standard's set, a VF that is to be
 * loaded is also asked whether it has I/O queues.
 */
static const char *identity_commands(char letter, bool loaded)
{
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	int i;

	for (i = 0; i < 2 + vf_standard(); i++)
		fprintf(out, "nvmevf_command: vf=%c " IDENTIFY, letter);
	if (vf_standard() && loaded)
		fprintf(out,
			"nvmevf_command: vf=%c verb=size opcode=%#x bytes=%u error=0 status=0x0\n",
			letter, set()->size, set()->header);
	fclose(out);
	return text;
}

/* Return the events of the commands for NAMESPACES. */
static const char *namespace_commands(struct vf *vf, char letter)
{
	unsigned int count, i;
	__u32 nsids[1024];
	struct pf pf;
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	/* A list, and of each namespace its controllers; of those of the VF, two more */
	pf_find(&pf, vf->bdf);
	if (pf_identify(&pf, 0x10, 0, 0, nsids))
		die("reading the Allocated Namespace ID list failed");
	count = 1 + 2 * pf_vf_namespaces(vf->bdf);
	for (i = 0; nsids[i]; i++)
		count++;
	while (count--)
		fprintf(out, "nvmevf_command: vf=%c " IDENTIFY, letter);
	fclose(out);
	return text;
}

TEST_F(trace, migration)
{
	const char *namespaces_a = namespace_commands(&self->vf[0], 'A');
	const char *namespaces_b = namespace_commands(&self->vf[1], 'B');
	unsigned long long state;
	unsigned int head;
	struct stream s;
	char *expected;

	migrate(self, &s);
	state = (stream_state_length(&s) + 3) / 4 * 4;
	head = stream_state_at(&s);
	must(asprintf(&expected,
		      "%s%snvmevf_command: vf=A verb=size opcode=%#x bytes=%u error=0 status=0x0\n"
		      "nvmevf_arc: vf=A from=RUNNING to=PRE_COPY error=0\n"
		      "nvmevf_data_read: vf=A offset=0 bytes=%u error=0\n"
		      "nvmevf_data_read: vf=A offset=%u bytes=0 error=%d\n"
		      "nvmevf_command: vf=A verb=suspend opcode=%#x bytes=0 error=0 status=0x0\n"
		      "nvmevf_arc: vf=A from=PRE_COPY to=PRE_COPY_P2P error=0\n"
		      "nvmevf_command: vf=A verb=size opcode=%#x bytes=%u error=0 status=0x0\n"
		      "nvmevf_arc: vf=A from=PRE_COPY_P2P to=STOP_COPY error=0\n"
		      "nvmevf_command: vf=A verb=save opcode=%#x bytes=%llu error=0 status=0x0\n"
		      "nvmevf_data_read: vf=A offset=%u bytes=%zu error=0\n"
		      "nvmevf_data_read: vf=A offset=%zu bytes=0 error=0\n"
		      "nvmevf_command: vf=B verb=suspend opcode=%#x bytes=0 error=0 status=0x0\n"
		      "nvmevf_arc: vf=B from=RUNNING to=RUNNING_P2P error=0\n"
		      "nvmevf_arc: vf=B from=RUNNING_P2P to=STOP error=0\n"
		      "%snvmevf_arc: vf=B from=STOP to=RESUMING error=0\n"
		      "%snvmevf_command: vf=B verb=load opcode=%#x bytes=%llu error=0 status=0x0\n"
		      "nvmevf_data_write: vf=B offset=0 bytes=%zu error=0\n"
		      "nvmevf_arc: vf=B from=RESUMING to=STOP error=0\n"
		      "nvmevf_arc: vf=B from=STOP to=RUNNING_P2P error=0\n"
		      "nvmevf_command: vf=B verb=resume opcode=%#x bytes=0 error=0 status=0x0\n"
		      "nvmevf_arc: vf=B from=RUNNING_P2P to=RUNNING error=0\n",
		      identity_commands('A', false), namespaces_a, set()->size,
		      set()->header, head, head, -ENOMSG, set()->suspend, set()->size,
		      set()->header, set()->save, state, head, s.len - head, s.len,
		      set()->suspend, identity_commands('B', true), namespaces_b,
		      set()->load, state, s.len, set()->resume));
	EXPECT_STREQ(expected, seen(self));

	/* An arc takes at least as long as its command. */
	EXPECT_GE(duration_ms(self->vf, "nvmevf_command", "verb=suspend"), LEAST_MS);
	EXPECT_GE(duration_ms(self->vf, "nvmevf_arc", "to=PRE_COPY_P2P"),
		  duration_ms(self->vf, "nvmevf_command", "verb=suspend"));
	EXPECT_GE(duration_ms(self->vf, "nvmevf_command", "verb=save"), LEAST_MS);
	io_check(&self->n);
	free(expected);
	free(s.data);
}

TEST_F(trace, failures)
{
	struct nvme *n = &self->n;
	struct stream s = {};
	char *expected;
	int fd;

	/* The controller refuses a command. */
	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SUSPEND, FAULT_STATUS, 0x4120));
	EXPECT_EQ(-EIO, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL));
	fault_clear_all(n->vf->bdf);
	/* The driver makes sure that the VF runs. It does. */
	must(asprintf(&expected,
		      "nvmevf_command: vf=A verb=suspend opcode=%#x bytes=0 error=-5 status=0x4120\n"
		      "nvmevf_command: vf=A verb=resume opcode=%#x bytes=0 %s\n"
		      "nvmevf_arc: vf=A from=RUNNING to=RUNNING_P2P error=-5\n",
		      set()->suspend, set()->resume, set()->runs));
	EXPECT_STREQ(expected, seen(self));
	free(expected);

	/* This status says that there is nothing to resume, so nothing is undone. */
	guest_suspend(n);
	ASSERT_TRUE(fault_set_once(n->vf->bdf, COMMAND_RESUME, FAULT_STATUS, 0x400c));
	trace_clear();
	EXPECT_EQ(-EPROTO, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	must(asprintf(&expected,
		      "nvmevf_command: vf=A verb=resume opcode=%#x bytes=0 error=-71 status=0x400c\n"
		      "nvmevf_arc: vf=A from=RUNNING_P2P to=RUNNING error=-71\n",
		      set()->resume));
	EXPECT_STREQ(expected, seen(self));
	free(expected);
	vf_enter_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);

	/* The driver refuses a stream. */
	guest_precopy(n, &s);
	guest_roll_back(n);
	s.data[sizeof(struct nvmevf_record)] ^= 1;
	ASSERT_EQ(0, vf_set_state(&self->vf[1], VFIO_DEVICE_STATE_RESUMING, &fd));
	trace_clear();
	EXPECT_EQ(-EINVAL, stream_write(&s, fd, s.len));
	EXPECT_EQ(-EINVAL, vf_set_state(&self->vf[1], VFIO_DEVICE_STATE_STOP, NULL));
	EXPECT_STREQ("nvmevf_refused: vf=B error=-22 message=" OTHER_MAGIC "\n"
		     "nvmevf_data_write: vf=B offset=0 bytes=120 error=-22\n"
		     "nvmevf_arc: vf=B from=RESUMING to=STOP error=-22\n",
		     seen(self));

	/* The user or the guest resets the VF; the data_fd is disconnected. */
	trace_clear();
	vf_reset(&self->vf[1]);
	EXPECT_EQ(-ENODEV, stream_transfer_byte(fd));
	EXPECT_STREQ("nvmevf_reset: vf=B\n", seen(self));
	close(fd);
	free(s.data);
}

/* An arc to ERROR, after a reset of the PF, must be reported. */
TEST_F(trace, lost)
{
	char *text = debugfs(self->vf);
	long long failed = text ? figures(text, "migrations", 3)[1] : 0;
	struct pf pf;

	pf_open(&pf, self->vf[0].bdf);
	guest_suspend(&self->n);
	trace_clear();
	pf_reset(&pf);
	EXPECT_EQ(-ENODEV, vf_set_state(self->vf, VFIO_DEVICE_STATE_STOP, NULL));
	if (text)
		EXPECT_EQ(failed + 1, figures(debugfs(self->vf), "migrations",
					      3)[1]);
	EXPECT_STREQ("nvmevf_arc: vf=A from=RUNNING_P2P to=STOP error=-19\n"
		     "nvmevf_arc: vf=A from=RUNNING_P2P to=ERROR error=-19\n",
		     seen(self));
	pf_restore_vfs(&pf);
	vf_reset(&self->vf[0]);
}

TEST_F(trace, debugfs)
{
	struct nvme *n = &self->n;
	long long migrations, failed, resets, sent, at, longest;
	char *text = debugfs(self->vf);
	const long long *f;
	struct stream s;
	int fd;

	if (!text)
		SKIP(return, "VFIO has no debugfs directory");
	f = figures(text, "migrations", 3);
	migrations = f[0];
	failed = f[1];
	resets = f[2];
	sent = figures(text, "suspend ", 4)[3];

	migrate(self, &s);
	text = debugfs(self->vf);
	f = figures(text, "migrations", 3);
	EXPECT_EQ(migrations + 1, f[0]);
	EXPECT_EQ(failed, f[1]);
	EXPECT_EQ(resets, f[2]);
	EXPECT_EQ(0, figures(text, "RUNNING -> PRE_COPY ", 3)[0]);
	f = figures(text, "PRE_COPY -> PRE_COPY_P2P ", 3);
	at = f[0];
	EXPECT_GT(at, 0);
	EXPECT_GE(f[1], LEAST_MS * 1000);
	EXPECT_EQ(0, f[2]);
	EXPECT_GT(figures(text, "PRE_COPY_P2P -> STOP_COPY ", 3)[0], at);
	f = figures(text, "\nread ", 5);
	EXPECT_GE(f[1] - f[0], 2 * LEAST_MS * 1000);
	EXPECT_EQ(s.len, f[2]);
	EXPECT_EQ(4, f[3]);
	EXPECT_EQ(-ENOMSG, f[4]);
	/* The opcode comes first. */
	f = figures(text, "suspend ", 7) + 1;
	EXPECT_GE(f[0], LEAST_MS * 1000);
	EXPECT_GE(f[1], f[0]);
	EXPECT_EQ(sent + 1, f[2]);
	longest = f[1];
	EXPECT_EQ(NULL, strstr(text, "written"));

	/* The longest time of a command remains. */
	fault_clear_all(self->vf[0].bdf);
	vf_reset(&self->vf[0]);
	vf_enter_state(&self->vf[0], VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	f = figures(debugfs(self->vf), "suspend ", 4) + 1;
	EXPECT_LE(longest, f[1]);

	/* The destination. */
	text = debugfs(&self->vf[1]);
	EXPECT_EQ(0, figures(text, "RUNNING -> RUNNING_P2P ", 3)[0]);
	EXPECT_EQ(0, figures(text, "STOP -> RESUMING ", 3)[2]);
	EXPECT_EQ(0, figures(text, "RUNNING_P2P -> RUNNING ", 3)[2]);
	f = figures(text, "\nwritten ", 5);
	EXPECT_EQ(s.len, f[2]);
	EXPECT_EQ(0, f[4]);
	EXPECT_EQ(NULL, strstr(text, "\nread "));

	/* The figures of the last migration remain when the VM is paused. */
	n->vf = &self->vf[1];
	migrations = figures(text, "migrations", 3)[0];
	failed = figures(text, "migrations", 3)[1];
	guest_suspend(n);
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	text = debugfs(n->vf);
	EXPECT_EQ(migrations, figures(text, "migrations", 3)[0]);
	EXPECT_EQ(0, figures(text, "STOP -> RESUMING ", 3)[2]);
	EXPECT_EQ(s.len, figures(text, "\nwritten ", 5)[2]);

	/* A failed migration replaces the figures of the last one. */
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, &fd));
	ASSERT_TRUE(fault_set(n->vf->bdf, COMMAND_SUSPEND, FAULT_STATUS, 0x4120));
	EXPECT_EQ(-EIO, vf_set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY_P2P,
				     NULL));
	fault_clear_all(n->vf->bdf);
	text = debugfs(n->vf);
	EXPECT_EQ(migrations + 1, figures(text, "migrations", 3)[0]);
	EXPECT_EQ(failed + 1, figures(text, "migrations", 3)[1]);
	EXPECT_EQ(-EIO, figures(text, "PRE_COPY -> PRE_COPY_P2P ", 3)[2]);
	close(fd);
	EXPECT_EQ(NULL, strstr(text, "RESUMING"));
	EXPECT_EQ(NULL, strstr(text, "written"));
	/* The opcode comes first. */
	f = figures(text, "suspend ", 7) + 1;
	EXPECT_LE(1, f[3]);
	EXPECT_EQ(-EIO, f[4]);
	EXPECT_EQ(0x4120, f[5]);

	resets = figures(text, "migrations", 3)[2];
	vf_reset(n->vf);
	EXPECT_EQ(resets + 1, figures(debugfs(n->vf), "migrations", 3)[2]);
	free(s.data);
}

/* If a migration has more arcs than the file can show, the last ones must be shown. */
TEST_F(trace, many_arcs)
{
	struct nvme *n = &self->n;
	char *text = debugfs(self->vf);
	const char *at;
	int i, fd, arcs = 0;

	if (!text)
		SKIP(return, "VFIO has no debugfs directory");
	guest_suspend(n);
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	close(fd);
	for (i = 0; i < 20; i++)
		ASSERT_EQ(0, vf_set_state(n->vf, i % 2 ? VFIO_DEVICE_STATE_RUNNING_P2P :
					  VFIO_DEVICE_STATE_STOP, NULL));
	ASSERT_EQ(0, vf_set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	text = debugfs(n->vf);
	for (at = text; (at = strstr(at, " -> ")); at++)
		arcs++;
	EXPECT_EQ(16, arcs);
	EXPECT_EQ(NULL, strstr(text, "\nRUNNING -> "));
	EXPECT_NE(NULL, strstr(text, "\nRUNNING_P2P -> RUNNING "));
	io_check(n);
}

TEST_HARNESS_MAIN
