// SPDX-License-Identifier: GPL-2.0-only
/*
 * Write thousands of hostile streams. The driver must refuse each with its error and its
 * message, and unless the verdict says otherwise, without a command to the VF.
 *
 * Only a reset leads out of RESUMING after a refusal, and a reset takes long. So all VFs
 * are used concurrently; with less than 8 VFs the test uses a sample of the streams.
 */
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/mutate.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

#define ALL_VFS		8	/* enough for all streams */
#define SAMPLE		32	/* else use each 32nd stream */

/* The good streams of two guests. */
static struct stream good[2];
static struct stream namespaces;	/* the NAMESPACES record */
static __u64 limit;		/* bytes of state that the driver takes */

/* The work of one process, on one VF. */
struct run {
	struct mutate	mutate;
	struct vf	vf;
	unsigned int	tried, wrong;
	struct verdict	*verdicts;	/* of the streams that were written */
};

static void wrong(struct run *run, const char *class, const char *what,
		  long want, long got)
{
	run->wrong++;
	printf("# %s (stream %u): %s: %ld, expected %ld\n", class, run->mutate.seen,
	       what, got, want);
}

/* Has the VF a loaded state? After a reset, CC is 0. */
static bool is_loaded(struct vf *vf)
{
	struct nvme n = { .vf = vf };

	return nvme_read32(&n, NVME_CC);
}

static void try(struct mutate *m, const char *class, const struct stream *s,
		struct verdict v)
{
	struct run *run = (void *)m;	/* @m is its first member */
	static const size_t chunks[] = { 1, 13, 64, 4096 };
	/* Mostly in one piece: many small pieces take long. */
	size_t chunk = run->tried % 8 ? s->len ?: 1 :
		       chunks[run->tried / 8 % ARRAY_SIZE(chunks)];
	int fd, ret, out;
	char byte = 0;

	if (s->len > OPTIONAL_MAX)
		chunk = s->len / 2;
	vf_reset(&run->vf);
	ret = vf_set_state(&run->vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		die("%s: cannot enter RESUMING: %s", class, strerror(-ret));

	ret = stream_write(s, fd, chunk);
	if (v.fate == UNFIT)
		v.fate = ret ? REFUSED : INCOMPLETE;
	if (ret != (v.fate == REFUSED ? -v.error : 0))
		wrong(run, class, "write()", -v.error, ret);
	/* All further writes must fail, too. */
	if (v.fate == REFUSED && (write(fd, &byte, 1) != -1 || errno != v.error))
		wrong(run, class, "write() after the refusal", v.error, errno);

	out = v.fate == TAKEN ? VFIO_DEVICE_STATE_STOP : VFIO_DEVICE_STATE_RESUMING;
	ret = vf_set_state(&run->vf, VFIO_DEVICE_STATE_STOP, NULL);
	if (ret != -v.error)
		wrong(run, class, "RESUMING -> STOP", -v.error, ret);
	ret = vf_get_state(&run->vf);
	if (ret != out)
		wrong(run, class, "state", out, ret);
	ret = is_loaded(&run->vf);
	if (ret != v.loaded)
		wrong(run, class, "loaded", !ret, ret);
	close(fd);

	run->verdicts = realloc(run->verdicts, (run->tried + 1) * sizeof(v));
	run->verdicts[run->tried++] = v;
}

static bool is_other_command(const char *event)
{
	return *event && strcmp(event, "load") && strncmp(event, "refused", 7);
}

/* Check all refusals and LOAD_DATA commands, in order. */
static void check_trace(struct run *run)
{
	char *trace = trace_steps(run->vf.bdf), *rest = trace, *line;
	char want[80];
	unsigned int i;

	for (i = 0; i < run->tried; i++) {
		const struct verdict *v = &run->verdicts[i];

		if (v->log_only)
			continue;
		do {
			line = strsep(&rest, "\n");
		} while (line && is_other_command(line));
		if (v->load) {
			if (!line || strcmp(line, "load"))
				die("stream %u: \"%s\", expected LOAD_DATA", i, line);
			if (v->text)
				line = strsep(&rest, "\n");
		}
		if (v->text || (v->error && !v->load)) {
			snprintf(want, sizeof(want), "refused -%d %s", v->error,
				 v->text ?: "*");
			if (!line || fnmatch(want, line, 0))
				die("stream %u: driver reports \"%s\", expected \"%s\"",
				    i, line, want);
		}
	}
	while ((line = strsep(&rest, "\n")))
		if (*line && !is_other_command(line))
			die("\"%s\" after the last stream", line);
	free(trace);
}

static void *some_memory(void)
{
	return must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* Report the number of streams through @count. */
static void work(unsigned int worker, unsigned int vfs, unsigned int *count)
{
	struct run run = {
		.mutate.good = { good[0], good[1] },
		.mutate.namespaces = namespaces,
		.mutate.limit = limit,
		.mutate.step = vfs * (vfs < ALL_VFS ? SAMPLE : 1),
		.mutate.first = worker,
		.mutate.try = try,
	};

	vf_open(&run.vf, vf_bdf(worker), VF_ANY, some_memory(), PAGE);
	mutate_all(&run.mutate);
	vf_close(&run.vf);
	*count = run.tried;
	check_trace(&run);
	exit(run.wrong ? 1 : 0);
}

/* kB */
static long unreclaimable(void)
{
	FILE *f = fopen("/proc/meminfo", "r");
	char line[128];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

FIXTURE(hostile)
{
	struct nvme n;
	struct vf vf[2];	/* the guest is saved, on the first */
};

FIXTURE_SETUP(hostile)
{
	const char *why = vf_skip_reason(2, VF_ANY, false);
	struct stream s;
	int i;

	if (why)
		SKIP(return, "%s", why);
	guest_open(&self->n, self->vf, 2, VF_ANY);
	for (i = 0; i < 2; i++) {
		if (i)
			vf_reset(&self->vf[0]);
		memset(self->n.seq, 0, sizeof(self->n.seq));
		nvme_start(&self->n, i ? 1 : NVME_QUEUES, 8, 8);
		if (!i) {
			guest_precopy(&self->n, &s);
			guest_roll_back(&self->n);
			namespaces = (struct stream){ s.data + STATE_AT,
						      s.len - STATE_AT };
		}
		io_submit(&self->n, &self->n.queue[1], 6);
		nvme_ring(&self->n, &self->n.queue[1]);
		guest_suspend(&self->n);
		guest_save(&self->n, &good[i]);
	}
}

FIXTURE_TEARDOWN(hostile)
{
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	trace_close();
}

/* Check that the second guest can continue. */
static void go_on(struct nvme *n, struct vf *vf)
{
	vf_reset(vf);
	guest_load(n, vf, &good[1]);
	io_wait(n);
	io_check(n);
}

static int write_identity(struct vf *vf, __u64 state_size)
{
	struct stream s = mutate_copy(&good[0]);
	struct nvmevf_identity *id = (void *)s.data + IDENTITY_AT;
	int fd, ret;

	vf_reset(vf);
	ret = vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (ret)
		die("cannot enter RESUMING: %s", strerror(-ret));
	id->state_size = state_size;
	s.len = STATE_AT;
	ret = stream_write(&s, fd, s.len);
	close(fd);
	free(s.data);
	return ret;
}

/* Find the largest state; the driver must refuse a larger one while the guest runs. */
static void find_limit(struct vf *vf)
{
	for (limit = 16384; !write_identity(vf, 2 * limit); limit *= 2)
		if (limit > 1U << 30)
			die("no limit found up to %llu bytes", limit);
	if (write_identity(vf, limit + 1) != -EFBIG)
		die("limit is between %llu and %llu bytes, expected a power of 2", limit + 1,
		    2 * limit);
}

TEST_F(hostile, streams)
{
	unsigned int i, vfs = 0, total = 0;
	struct timespec began, ended;
	unsigned int *count;
	long before, after;
	pid_t pid[ALL_VFS];
	int status;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	find_limit(&self->vf[1]);
	trace_clear();
	vf_close(&self->vf[0]);
	vf_close(&self->vf[1]);
	count = must(mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	while (vfs < ALL_VFS && vf_bdf(vfs))
		vfs++;
	before = unreclaimable();
	clock_gettime(CLOCK_MONOTONIC, &began);
	fflush(stdout);
	for (i = 0; i < vfs; i++) {
		pid[i] = must(fork());
		if (!pid[i])
			work(i, vfs, &count[i]);
	}
	for (i = 0; i < vfs; i++) {
		must(waitpid(pid[i], &status, 0));
		EXPECT_EQ(0, status);
		total += count[i];
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	after = unreclaimable();
	TH_LOG("%u streams on %u VFs in %ld s, limit %llu, slab %+ld kB", total,
	       vfs, (long)(ended.tv_sec - began.tv_sec), limit, after - before);
	EXPECT_LE(vfs < ALL_VFS ? 100 : 5000, total);

	/*
	 * All memory must be free again. With all VFs, a leak of 400 bytes per stream
	 * shows; with fewer, kmemleak reports leaks.
	 */
	EXPECT_EQ(0, vf_images());
	if (vfs == ALL_VFS)
		EXPECT_GE(1024 + total / 10, after - before);

	for (i = 0; i < 2; i++)
		vf_open(&self->vf[i], vf_bdf(i), VF_ANY, self->n.mem, GUEST_MEM);
	go_on(&self->n, &self->vf[1]);
}

#define INCOMPLETE_STEP	"refused -22 incomplete: no END record\n"

/* RESUMING cannot be left before the last byte. */
TEST_F(hostile, truncated)
{
	const struct stream *s = &good[1];
	struct vf *vf = &self->vf[1];
	char *events, *e;
	size_t i;
	int fd;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd));
	trace_clear();
	for (i = 0; i < s->len; i++) {
		ASSERT_EQ(-EINVAL, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL))
			TH_LOG("%zu of %zu bytes", i, s->len);
		ASSERT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(vf));
		ASSERT_FALSE(is_loaded(vf));
		ASSERT_EQ(1, write(fd, s->data + i, 1));
	}
	TH_LOG("%zu incomplete streams", s->len);
	ASSERT_TRUE(is_loaded(vf));
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_STOP, NULL));
	events = trace_steps(NULL);
	for (e = events, i = 0; !strncmp(e, INCOMPLETE_STEP, strlen(INCOMPLETE_STEP));
	     e = strchr(e, '\n') + 1)
		i++;
	EXPECT_EQ(s->len, i);
	EXPECT_STREQ("load\n", e);
	free(events);

	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	self->n.vf = vf;
	io_wait(&self->n);
	io_check(&self->n);
}

/* Begin a stream: write everything before STATE. */
static void write_start(struct vf *vf, int *fd)
{
	struct stream s = { good[1].data, STATE_AT };
	int ret;

	vf_reset(vf);
	vf_enter_state(vf, VFIO_DEVICE_STATE_RESUMING, fd);
	ret = stream_write(&s, *fd, s.len);
	if (ret)
		die("write of IDENTITY: %s", strerror(-ret));
}

/*
 * Start a process that writes @s in one call, kill the process after @us, and set @bytes to
 * what the driver took. Return the milliseconds until the process ended.
 */
static long long kill_writer(const struct stream *s, int fd, unsigned int us, size_t *bytes)
{
	unsigned long long offset, taken;
	int ready[2], status;
	long long killed;
	char byte, *event, *events;
	pid_t pid;

	must(pipe(ready));
	trace_clear();
	pid = must(fork());
	if (!pid) {
		must(write(ready[1], "", 1));
		/* The driver may refuse the stream before the process is killed. */
		errno = write(fd, s->data, s->len) < 0 ? errno : 0;
		for (;;)
			pause();
	}
	must(read(ready[0], &byte, 1));
	usleep(us);
	killed = running_ms();
	must(kill(pid, SIGKILL));
	must(waitpid(pid, &status, 0));
	killed = running_ms() - killed;
	close(ready[0]);
	close(ready[1]);

	*bytes = 0;
	events = trace_read();
	event = strstr(events, "nvmevf_data_write:");
	if (event) {
		if (sscanf(event, "nvmevf_data_write: vf=%*s offset=%llu bytes=%llu",
			   &offset, &taken) != 2)
			die("cannot parse \"%s\"", event);
		*bytes = taken;
	}
	free(events);
	return killed;
}

/* The limit of all optional records bounds the time of a write(). */
TEST_F(hostile, endless_empty_records)
{
	struct stream s = mutate_empty_records(64 << 20);
	long long began, ms;
	unsigned int us;
	char *events;
	size_t bytes;
	int fd;

	/* A process that writes the records can be killed immediately, whenever. */
	if (!trace_open())
		SKIP(return, "this kernel has no tracefs");
	for (us = 10; us < 1000000; us *= 10) {
		write_start(&self->vf[1], &fd);
		ms = kill_writer(&s, fd, us, &bytes);
		EXPECT_GT(2000, ms)
			TH_LOG("killed after %u us", us);
		EXPECT_GE(OPTIONAL_TOTAL + sizeof(struct nvmevf_record), bytes);
		close(fd);
	}

	ASSERT_TRUE(trace_open_steps());
	write_start(&self->vf[1], &fd);
	trace_clear();
	began = running_ms();
	EXPECT_EQ(-EINVAL, stream_write(&s, fd, s.len));
	EXPECT_GT(10000, running_ms() - began);
	TH_LOG("refused after %lld ms", running_ms() - began);
	events = trace_steps(NULL);
	EXPECT_STREQ("refused -22 optional records of more than 1048576 bytes\n",
		     events);
	free(events);
	free(s.data);
	close(fd);
	go_on(&self->n, &self->vf[1]);
}

/* SIGKILL ends a write() early. Another process can continue the stream. */
TEST_F(hostile, killed_in_write)
{
	struct stream many = mutate_empty_records(OPTIONAL_TOTAL), rest, s = {};
	struct vf *vf = &self->vf[1];
	long long began, whole_us, ms;
	size_t bytes = 0;
	int fd, i;

	if (!trace_open())
		SKIP(return, "this kernel has no tracefs");
	write_start(vf, &fd);
	began = now_ns();
	ASSERT_EQ(0, stream_write(&many, fd, many.len));
	whole_us = (now_ns() - began) / 1000;
	close(fd);

	/* Retry if the kill came before the write(), or after its end. */
	for (i = 1; i < 40; i++) {
		write_start(vf, &fd);
		ms = kill_writer(&many, fd, whole_us * i / 40, &bytes);
		if (bytes && bytes < many.len)
			break;
		close(fd);
	}
	ASSERT_GT(40, i)
		TH_LOG("no write() of %lld us ended early", whole_us);
	EXPECT_GT(2000, ms);
	TH_LOG("killed after %zu of %zu bytes, %lld ms to the end of the process",
	       bytes, many.len, ms);

	/* The stream as the driver must have taken it, with a checksum over it. */
	s.len = good[1].len + many.len;
	s.data = malloc(s.len);
	memcpy(s.data, good[1].data, STATE_AT);
	memcpy(s.data + STATE_AT, many.data, many.len);
	memcpy(s.data + STATE_AT + many.len, good[1].data + STATE_AT,
	       good[1].len - STATE_AT);
	mutate_fix_checksum(&s);
	rest = (struct stream){ s.data + STATE_AT + bytes, s.len - STATE_AT - bytes };
	EXPECT_EQ(0, stream_write(&rest, fd, rest.len));
	close(fd);
	ASSERT_EQ(0, vf_set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL));
	self->n.vf = vf;
	io_wait(&self->n);
	io_check(&self->n);
	free(s.data);
	free(many.data);
}

/* The kernel log must say why, unless the message was rate limited. */
TEST_F(hostile, log)
{
	const struct {
		size_t		at;
		unsigned char	flip;
		const char	*text;
	} cases[] = {
		{ 0, 4 + 1 + 8, "unknown record type 12 with flags 0x0" },
		{ 0, 2, "record type 3, expected 1" },
		{ 4, 1, "record type 1 has flags 0x1, expected 0" },
		{ 8, 1, "record type 1 has 105 bytes, expected 104" },
		{ IDENTITY_AT, 1,
		  "not a stream of this driver: magic 0x4d4c4656454d564f, expected 0x" },
		{ IDENTITY_AT + 8, 3, "stream version 2, expected 1" },
		{ IDENTITY_AT + 24, 1, "source model \"" },
		{ IDENTITY_AT + 64, 1, "source firmware \"" },
		{ IDENTITY_AT + 20, 3, vf_standard() ?
		  "source command set 1 (vendor), expected 2 (standard)" :
		  "source command set 2 (standard), expected 1 (vendor)" },
		{ IDENTITY_AT + 80, 5, "source state version 5, expected 0" },
		{ IDENTITY_AT + 88, 0x1f, vf_standard() ?
		  "source state UUID 71766d65-7666-4c4d-8000-737464000001, expected 6e766d65-" :
		  "source state UUID 1f000000-0000-0000-0000-000000000000, expected 00000000-" },
		{ IDENTITY_AT + 75, 0x80, "* bytes of controller state, limit " },
		{ PAYLOAD_AT, 1, "checksum mismatch: calculated 0x" },
	};
	struct run run = { .vf = self->vf[1] };
	time_t end;
	unsigned int i;
	struct stream s;
	char pattern[200];
	int fd;

	log_open();
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		s = mutate_copy(&good[0]);
		s.data[cases[i].at] ^= cases[i].flip;
		snprintf(pattern, sizeof(pattern), "%s: migration stream refused: %s",
			 run.vf.bdf, cases[i].text);
		end = time(NULL) + PATIENCE;
		do {
			ASSERT_GE(end, time(NULL))
				TH_LOG("the log has no \"%s\"", pattern);
			vf_reset(&run.vf);
			ASSERT_EQ(0, vf_set_state(&run.vf,
						  VFIO_DEVICE_STATE_RESUMING,
						  &fd));
			EXPECT_GT(0, stream_write(&s, fd, s.len));
			close(fd);
		} while (!log_has(pattern));
		free(s.data);
	}
	go_on(&self->n, &self->vf[1]);
}

#define WINDOW	5	/* seconds of the driver's rate limit */

static unsigned int count_log_lines(const char *pattern)
{
	unsigned int count = 0;

	while (log_has(pattern))
		count++;
	return count;
}

/* The user of one VF must not suppress the messages of another VF. */
TEST_F(hostile, log_limit_per_vf)
{
	char pattern[2][200];
	unsigned int i, lines;
	int fd[2];

	vf_reset(&self->vf[0]);
	for (i = 0; i < 2; i++) {
		snprintf(pattern[i], sizeof(pattern[i]), "%s: migration stream refused: ",
			 self->vf[i].bdf);
		vf_enter_state(&self->vf[i], VFIO_DEVICE_STATE_RESUMING, &fd[i]);
	}
	/* Earlier messages must not count. */
	sleep(WINDOW + 1);
	log_open();
	for (i = 0; i < 100; i++)
		ASSERT_EQ(-EINVAL, vf_set_state(&self->vf[0], VFIO_DEVICE_STATE_STOP,
						NULL));
	lines = count_log_lines(pattern[0]);
	EXPECT_LE(10, lines);
	EXPECT_GE(30, lines);

	ASSERT_EQ(-EINVAL, vf_set_state(&self->vf[1], VFIO_DEVICE_STATE_STOP, NULL));
	EXPECT_TRUE(log_has(pattern[1]));
	for (i = 0; i < 2; i++) {
		close(fd[i]);
		vf_reset(&self->vf[i]);
	}
	go_on(&self->n, &self->vf[1]);
}

TEST_HARNESS_MAIN
