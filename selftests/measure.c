// SPDX-License-Identifier: GPL-2.0-only
/*
 * Measure the cost of a migration for a user of VFIO. Print one line for each sample, "@
 * WHAT NAME=FIGURE ...", with times in ns and sizes in bytes. testbed/host/bench runs this
 * program and explains the figures. $NVMEVF_MEASURE names what to measure.
 *
 * This is not a test: there are no limits here.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <time.h>
#include <unistd.h>
#include <sys/mman.h>

#include "lib/dirty.h"
#include "lib/fault.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/stream.h"
#include "lib/trace.h"
#include "lib/truth.h"
#include "lib/util.h"
#include "lib/vf.h"

#define MAX_VFS		16
#define ROOM		(65U << 20)	/* of the largest stream */

/* The first rounds are slower: caches are cold and the emulator still translates. */
#define WARM_UP		2

static int samples = 7;

static void figure(const char *name, long long value)
{
	printf(" %s=%lld", name, value);
}

/* Return the duration of the transition. */
static long long arc(struct vf *vf, unsigned int state)
{
	long long began = now_ns();

	vf_enter_state(vf, state, NULL);
	return now_ns() - began;
}

/*
 * Read to the end; return how many bytes. Unlike stream_read(), allocate nothing: the
 * allocation would be measured, too.
 */
static size_t read_all(int fd, unsigned char *to, size_t room)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = must(read(fd, to + len, room - len));
		len += n;
	} while (n);
	return len;
}

static void await_readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	if (must(poll(&pfd, 1, 1000 * PATIENCE)) != 1)
		die("SAVE_DATA did not end within %d s", PATIENCE);
}

/* Write everything in one call. */
static void write_all(int fd, const unsigned char *from, size_t len)
{
	if (must(write(fd, from, len)) != (ssize_t)len)
		die("write() wrote less than %zu bytes", len);
}

enum command { SUSPEND, QUERY, SAVE, LOAD, RESUME, COMMANDS };

static const struct {
	const char	*field, *figure;
} commands[COMMANDS] = {
	[SUSPEND]	= { " verb=suspend ", "cmd_suspend" },
	[QUERY]		= { " verb=size ", "cmd_query" },
	[SAVE]		= { " verb=save ", "cmd_save" },
	[LOAD]		= { " verb=load ", "cmd_load" },
	[RESUME]	= { " verb=resume ", "cmd_resume" },
};

/* The durations of commands by verb, and of all commands. */
struct sent {
	long long	ns[COMMANDS], all_ns;
	int		count;
};

/* Sum up the commands since trace_clear(). */
static struct sent commands_sent(void)
{
	char *all = trace_read(), *rest = all, *line;
	struct sent sent = {};
	long long ns;
	int c;

	while ((line = strsep(&rest, "\n"))) {
		if (strncmp(line, "nvmevf_command: ", 16))
			continue;
		ns = atoll(strstr(line, "duration_ns=") + 12);
		for (c = 0; c < COMMANDS; c++)
			if (strstr(line, commands[c].field))
				sent.ns[c] += ns;
		sent.all_ns += ns;
		sent.count++;
	}
	free(all);
	return sent;
}

/* Set the size of the state, 0: its own size. */
static void set_size(struct vf *vf, __u32 size)
{
	fault_set(vf->bdf, COMMAND_QUERY, FAULT_NONE, 0);
	if (size && !(fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE, size) &&
		      fault_set(vf->bdf, COMMAND_QUERY, FAULT_SIZE_IDLE, size)))
		die("%s: setting the size of the state failed", vf->bdf);
}

/* Return how much memory the driver's images take. */
static unsigned long image_bytes(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "r");
	unsigned long pages = 0;
	char line[512], *at;

	if (!f)
		die("cannot open /proc/vmallocinfo: %s", strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		at = strstr(line, " pages=");
		if (strstr(line, "[nvme_vfio_pci]") && at)
			pages += strtoul(at + 7, NULL, 10);
	}
	fclose(f);
	return pages * PAGE;
}

/*
 * Migrate as QEMU does: everything possible happens before the blackout, the downtime
 * without I/O.
 */
static void measure_blackout(void)
{
	static unsigned char data[1 << 20];
	unsigned long before = 0, within = 0;
	struct vf vf[2], *from, *to;
	long long t[7] = {};
	int i, c, in, out;
	struct sent sent;
	struct nvme n;
	size_t len;

	guest_open(&n, vf, 2, VF_ANY);
	nvme_start(&n, 4, 32, 32);
	for (i = 0; i < samples + WARM_UP; i++) {
		from = n.vf;
		to = &vf[from == vf];
		vf_enter_state(from, VFIO_DEVICE_STATE_PRE_COPY, &out);
		len = must(read(out, data, sizeof(data)));
		vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &in);
		write_all(in, data, len);
		io_submit_all(&n, 8);
		io_wait(&n);
		if (i < WARM_UP)
			before = image_bytes();
		trace_clear();

		t[0] = arc(from, VFIO_DEVICE_STATE_PRE_COPY_P2P);
		t[1] = arc(from, VFIO_DEVICE_STATE_STOP_COPY);
		t[2] = now_ns();
		len = read_all(out, data, sizeof(data));
		t[2] = now_ns() - t[2];
		/*
		 * Looking up the memory takes time, so do that outside the measured
		 * interval.
		 */
		if (i < WARM_UP) {
			write_all(in, data, len - 1);
			within = image_bytes();
			write_all(in, data + len - 1, 1);
		} else {
			t[3] = now_ns();
			write_all(in, data, len);
			t[3] = now_ns() - t[3];
		}
		t[4] = arc(to, VFIO_DEVICE_STATE_STOP);
		t[5] = arc(to, VFIO_DEVICE_STATE_RUNNING_P2P);
		t[6] = arc(to, VFIO_DEVICE_STATE_RUNNING);

		sent = commands_sent();
		if (i >= WARM_UP) {
			printf("@ blackout");
			figure("suspend", t[0]);
			figure("save", t[1]);
			figure("read", t[2]);
			figure("write", t[3]);
			figure("resume", t[4] + t[5] + t[6]);
			for (c = 0; c < COMMANDS; c++)
				figure(commands[c].figure, sent.ns[c]);
			figure("commands", sent.count);
			figure("room_before", before);
			figure("room_within", within);
			puts("");
		}
		close(in);
		close(out);
		n.vf = to;
		io_submit_all(&n, 8);
		io_wait(&n);
		vf_reset(from);
	}
	vf_close(&vf[0]);
	vf_close(&vf[1]);
	munmap(n.mem, GUEST_MEM);
	munmap(n.frozen, GUEST_MEM);
}

/* The largest sizes that one command carries, with and without an IOMMU. */
static __u32 largest(struct vf *vf)
{
	__u32 size = 4096;

	while (size < (64U << 20)) {
		set_size(vf, 2 * size);
		if (vf_mig_data_size(vf) < 0)
			break;
		size *= 2;
	}
	return size;
}

/*
 * Measure read() of a saved state and write() without its LOAD_DATA, compare both with a
 * memfd that is read or filled from empty, and measure the memory. The first write is the
 * one that QEMU makes before the blackout.
 */
static void measure_data(void)
{
	long long read_ns, ahead_ns, write_ns, mem_read_ns, mem_write_ns;
	unsigned long saved, loading = 0;
	unsigned char *buf = malloc(ROOM);
	__u32 size, most;
	struct nvme n;
	struct vf vf;
	size_t len;
	int i, fd, mem;

	if (!buf)
		die("out of memory");
	guest_open(&n, &vf, 1, VF_ANY);
	mem = must(memfd_create("compare", 0));
	most = largest(&vf);
	for (size = 8192; size <= most; size *= 2) {
		set_size(&vf, size);
		vf_enter_state(&vf, VFIO_DEVICE_STATE_STOP, NULL);
		for (i = 0; i < samples + WARM_UP; i++) {
			vf_enter_state(&vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
			/* Wait for SAVE_DATA, so that read() does not include its time. */
			await_readable(fd);
			saved = image_bytes();
			read_ns = now_ns();
			len = read_all(fd, buf, ROOM);
			read_ns = now_ns() - read_ns;
			vf_enter_state(&vf, VFIO_DEVICE_STATE_STOP, NULL);
			close(fd);

			must(ftruncate(mem, 0));
			must(lseek(mem, 0, SEEK_SET));
			mem_write_ns = now_ns();
			write_all(mem, buf, len);
			mem_write_ns = now_ns() - mem_write_ns;
			must(lseek(mem, 0, SEEK_SET));
			mem_read_ns = now_ns();
			read_all(mem, buf, ROOM);
			mem_read_ns = now_ns() - mem_read_ns;

			vf_enter_state(&vf, VFIO_DEVICE_STATE_RESUMING, &fd);
			trace_clear();
			ahead_ns = now_ns();
			write_all(fd, buf, STATE_AT);
			ahead_ns = now_ns() - ahead_ns;
			if (i < WARM_UP) {
				write_all(fd, buf + STATE_AT, len - STATE_AT - 1);
				loading = image_bytes();
				write_all(fd, buf + len - 1, 1);
			} else {
				write_ns = now_ns();
				write_all(fd, buf + STATE_AT, len - STATE_AT);
				write_ns = now_ns() - write_ns;
				printf("@ data");
				figure("size", size);
				figure("read", read_ns);
				figure("memfd_read", mem_read_ns);
				figure("ahead", ahead_ns);
				figure("write", write_ns - commands_sent().ns[LOAD]);
				figure("memfd_write", mem_write_ns);
				figure("memory", saved > loading ? saved : loading);
				puts("");
			}
			vf_enter_state(&vf, VFIO_DEVICE_STATE_STOP, NULL);
			close(fd);
		}
		vf_reset(&vf);
	}
	set_size(&vf, 0);
	vf_close(&vf);
	close(mem);
	free(buf);
}

/* Migrate several VFs concurrently, with a controller that delays each command. */
#define DEVICE_MS	100

static struct one {
	struct vf	vf;
	int		fd;
	unsigned char	data[65536];
	size_t		len;
	pthread_t	thread;
} ones[MAX_VFS];

static void *suspend_one(void *arg)
{
	struct one *one = arg;

	vf_enter_state(&one->vf, VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL);
	return NULL;
}

static void *save_one(void *arg)
{
	struct one *one = arg;

	vf_enter_state(&one->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL);
	return NULL;
}

static void *read_one(void *arg)
{
	struct one *one = arg;

	one->len += read_all(one->fd, one->data + one->len,
			     sizeof(one->data) - one->len);
	return NULL;
}

static void *move_out_one(void *arg)
{
	suspend_one(arg);
	save_one(arg);
	read_one(arg);
	return NULL;
}

static void *load_one(void *arg)
{
	struct one *one = arg;

	write_all(one->fd, one->data, one->len);
	return NULL;
}

static void each(void *(*step)(void *one), int count)
{
	int i;

	for (i = 0; i < count; i++)
		step(&ones[i]);
}

static void together(void *(*step)(void *one), int count)
{
	int i;

	for (i = 0; i < count; i++)
		if (pthread_create(&ones[i].thread, NULL, step, &ones[i]))
			die("pthread_create() failed");
	for (i = 0; i < count; i++)
		await_thread(ones[i].thread, "a VF", PATIENCE);
}

static void precopy(int count)
{
	int i;

	for (i = 0; i < count; i++) {
		struct one *one = &ones[i];

		vf_enter_state(&one->vf, VFIO_DEVICE_STATE_PRE_COPY, &one->fd);
		one->len = must(read(one->fd, one->data, sizeof(one->data)));
	}
}

/* Load the streams into the same VFs; return the duration. */
static long long load(int count)
{
	long long took;
	int i;

	for (i = 0; i < count; i++) {
		close(ones[i].fd);
		vf_enter_state(&ones[i].vf, VFIO_DEVICE_STATE_RESUMING, &ones[i].fd);
	}
	took = now_ns();
	together(load_one, count);
	took = now_ns() - took;
	for (i = 0; i < count; i++) {
		close(ones[i].fd);
		vf_reset(&ones[i].vf);
	}
	return took;
}

static void measure_scale_of(int count)
{
	long long out_ns, busy_ns, in_ns, thread_ns, single_ns;

	/* Use a thread for each VF. */
	precopy(count);
	trace_clear();
	out_ns = now_ns();
	together(move_out_one, count);
	out_ns = now_ns() - out_ns;
	busy_ns = commands_sent().all_ns;
	in_ns = load(count);

	/* Use one thread for all VFs, state by state, then read. */
	precopy(count);
	thread_ns = now_ns();
	each(suspend_one, count);
	each(save_one, count);
	each(read_one, count);
	thread_ns = now_ns() - thread_ns;
	load(count);

	/* Migrate VF after VF. */
	precopy(count);
	single_ns = now_ns();
	each(move_out_one, count);
	single_ns = now_ns() - single_ns;
	load(count);

	printf("@ scale");
	figure("vfs", count);
	figure("device", DEVICE_MS * 1000000LL);
	figure("out", out_ns);
	figure("busy", busy_ns);
	figure("in", in_ns);
	figure("one_thread", thread_ns);
	figure("one_by_one", single_ns);
	puts("");
}

static void measure_scale(void)
{
	int count, i, vfs;
	void *mem;

	mem = must(mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	for (vfs = 0; vfs < MAX_VFS && vf_bdf(vfs); vfs++) {
		struct vf *vf = &ones[vfs].vf;

		vf_open(vf, vf_bdf(vfs), VF_ANY, mem, GUEST_MEM);
		if (!fault_set(vf->bdf, COMMAND_SUSPEND, FAULT_DELAY, DEVICE_MS) ||
		    !fault_set(vf->bdf, COMMAND_SAVE, FAULT_DELAY, DEVICE_MS) ||
		    !fault_set(vf->bdf, COMMAND_LOAD, FAULT_DELAY, DEVICE_MS))
			die("%s: delaying commands failed", vf->bdf);
	}
	for (count = 1; count <= vfs; count *= 2)
		for (i = 0; i < samples; i++)
			measure_scale_of(count);
	for (i = 0; i < vfs; i++) {
		fault_clear_all(ones[i].vf.bdf);
		vf_close(&ones[i].vf);
	}
	munmap(mem, GUEST_MEM);
}

/* Measure the same VF with this driver and with vfio-pci, in turns. */
#define IOS		4000

/* The time of this process excludes the time of the device. */
static double busy_ns(void)
{
	struct timespec t;

	must(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t));
	return t.tv_sec * 1e9 + t.tv_nsec;
}

/*
 * Read pages, with interrupts; return the processor's ns for each, and the calls of the
 * driver's functions. Read one page at a time, because the number of completions per
 * interrupt is random.
 */
static double read_time(const char *bdf, unsigned int *calls)
{
	struct nvme_queue *q;
	struct nvme_req *req;
	double began, took;
	struct vf vf;
	struct nvme n;
	int i;

	guest_init(&n);
	vf_open(&vf, bdf, VF_ANY, n.mem, GUEST_MEM);
	n.vf = &vf;
	nvme_start(&n, 1, 32, 32);
	q = n.queue->next;
	calls_clear();
	began = busy_ns();
	for (i = 0; i < IOS; i++) {
		req = nvme_submit(q, (struct nvme_sqe){
			.opcode = NVME_READ,
			.nsid = 1,
			.prp1 = VF_IOVA + (q->req->data - n.mem),
			.cdw12 = PAGE / n.lba_size - 1,
		});
		nvme_ring(&n, q);
		while (!req->done) {
			if (!vf_irq_pending(&vf, q->vector, 1000 * PATIENCE))
				die("no interrupt within %d s", PATIENCE);
			nvme_reap(&n, q);
		}
		if (req->status)
			die("a read failed with status %#x", req->status);
		req->busy = false;
	}
	took = (busy_ns() - began) / IOS;
	*calls = calls_count();
	vf_close(&vf);
	munmap(n.mem, GUEST_MEM);
	munmap(n.frozen, GUEST_MEM);
	return took;
}

static void measure_io(void)
{
	static const char * const drivers[] = { "nvme-vfio-pci", "vfio-pci" };
	const char *bdf = strdup(vf_bdf(0));
	unsigned int calls[2];
	double took[2];
	int i, turn, d;

	calls_open();
	for (i = 0; i < samples + 1; i++) {
		for (turn = 0; turn < 2; turn++) {
			/* Change the order in each round. */
			d = (i + turn) % 2;
			vf_rebind(bdf, drivers[d]);
			if (!d && !calls_count())
				die("the function tracer counts no calls of the driver");
			took[d] = read_time(bdf, &calls[d]);
		}
		if (i)
			printf("@ io nvme-vfio-pci=%.0f vfio-pci=%.0f calls=%u\n",
			       took[0], took[1], calls[0]);
	}
	calls_close();
	vf_rebind(bdf, NULL);
}

/* Measure what the log of a VF costs. */
#define BATCH		(NVME_DEPTH - 1)
#define TRACK_BATCHES	2000
#define TRACK_REPORTS	20

/* Have the VF write BATCH pieces of memory. */
static void read_batch(struct nvme *n, unsigned char *data)
{
	struct nvme_queue *q = n->queue->next;
	struct nvme_req *req[BATCH];
	int i;

	for (i = 0; i < BATCH; i++)
		req[i] = dirty_submit(n, NVME_READ, i * 2 * PAGE / n->lba_size,
				      data + i * 2 * PAGE);
	nvme_ring(n, q);
	while (q->outstanding)
		nvme_reap(n, q);
	for (i = 0; i < BATCH; i++) {
		if (req[i]->status)
			die("a read failed with status %#x", req[i]->status);
		req[i]->busy = false;
	}
}

static long long read_batches(struct nvme *n, unsigned char *data)
{
	long long began = now_ns();
	int i;

	for (i = 0; i < TRACK_BATCHES; i++)
		read_batch(n, data);
	return now_ns() - began;
}

/* Measure the speed of the I/O with a log and without, in turns. */
static void measure_track_io(struct nvme *n, unsigned char *data)
{
	long long took[2];
	int i, turn, on;

	for (i = 0; i < samples + WARM_UP; i++) {
		for (turn = 0; turn < 2; turn++) {
			/* Change the order in each round. */
			on = (i + turn) % 2;
			if (on && dirty_start_all(n->vf))
				die("%s: no log", n->vf->bdf);
			took[on] = read_batches(n, data);
			if (on && dirty_stop(n->vf))
				die("%s: the log does not stop", n->vf->bdf);
		}
		if (i < WARM_UP)
			continue;
		printf("@ track_io");
		figure("off", took[0]);
		figure("on", took[1]);
		puts("");
	}
}

/* Report while the VF runs, and then a last time when it is suspended, as QEMU does. */
static void measure_track_log(struct nvme *n, unsigned char *data)
{
	static __u64 map[TRUTH_WORDS];
	unsigned int written, reported;
	struct truth truth;
	int i, k, fd;

	truth_open(&truth, n->vf);
	allocations_open();
	for (i = 0; i < samples; i++) {
		allocations_clear();
		if (truth_start(&truth))
			die("%s: no log", n->vf->bdf);
		if (!allocations_count())
			die("the kernel's events have no allocation of the driver");
		for (k = written = reported = 0; k <= TRACK_REPORTS; k++) {
			read_batch(n, data);
			if (k == TRACK_REPORTS) {
				vf_enter_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
				await_readable(fd);
				trace_clear();
				allocations_clear();
			}
			memset(map, 0, sizeof(map));
			if (truth_report(&truth, map))
				die("%s: no report", n->vf->bdf);
			written += truth.due;
			reported += dirty_count(map, TRUTH_WORDS);
		}
		printf("@ track_log");
		figure("written", written);
		figure("reported", reported);
		figure("commands", commands_sent().count);
		figure("allocations", allocations_count());
		puts("");
		vf_enter_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		close(fd);
		if (dirty_stop(n->vf))
			die("%s: the log does not stop", n->vf->bdf);
	}
	allocations_close();
}

static void measure_track(void)
{
	unsigned char *data;
	struct nvme n;
	struct vf vf;

	guest_open(&n, &vf, 1, VF_ANY);
	nvme_start(&n, 1, NVME_DEPTH, NVME_DEPTH);
	data = nvme_alloc(&n, BATCH * 2 * PAGE);
	/* The device model takes time for the truth, so measure the speed before. */
	measure_track_io(&n, data);
	measure_track_log(&n, data);
	vf_close(&vf);
	munmap(n.mem, GUEST_MEM);
	munmap(n.frozen, GUEST_MEM);
}

int main(void)
{
	static const struct {
		const char	*name;
		void		(*measure)(void);
	} all[] = {
		{ "blackout", measure_blackout },
		{ "data", measure_data },
		{ "scale", measure_scale },
		{ "io", measure_io },
		{ "track", measure_track },
	};
	char *vfs = getenv("TESTBED_VFS"), *what = getenv("NVMEVF_MEASURE"), *word;
	unsigned int i;

	if (!vfs || !what)
		die("NVMEVF_MEASURE is not set; run testbed/host/bench");
	if (getenv("NVMEVF_SAMPLES"))
		samples = atoi(getenv("NVMEVF_SAMPLES"));
	setbuf(stdout, NULL);
	while ((word = strsep(&vfs, " ")))
		if (*word)
			vf_bind(word);
	if (!trace_open_commands())
		die("this kernel has no tracefs");
	while ((word = strsep(&what, " ")))
		for (i = 0; i < sizeof(all) / sizeof(*all); i++)
			if (!strcmp(word, all[i].name))
				all[i].measure();
	trace_close();
	return 0;
}
