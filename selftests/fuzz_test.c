// SPDX-License-Identifier: GPL-2.0-only
/*
 * Take random steps on two VFs, one step at a time, and compare each result with a model
 * of the migration states, the streams and the controller. A guest does I/O meanwhile,
 * follows the migrations and resets, and checks its data.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <unistd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "kselftest_harness.h"
#include "lib/dirty.h"
#include "lib/fault.h"
#include "lib/fuzz.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/model.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/truth.h"
#include "lib/util.h"
#include "lib/vf.h"

#define NORMAL_STEPS	5000

#define VFS		2

static const enum fault_command opcodes[COMMANDS] = {
	COMMAND_QUERY, COMMAND_SUSPEND, COMMAND_RESUME, COMMAND_SAVE, COMMAND_LOAD,
};

/* A whole stream. */
struct saved {
	unsigned char	*data;
	size_t		len;
	__u64		life;	/* guest_run, see struct model */
	unsigned int	id;
};

static struct {
	struct fuzz_random random;
	unsigned long	seed, step, steps;
	struct model	vf[VFS];
	struct truth	truth[VFS];
	struct nvme	n;
	struct model	*home, *last;	/* where the guest runs, or ran last */
	__u64		life, lives;	/* of the guest, 0: lost */
	struct pf	pf;
	struct model_pf	model_pf;
	struct saved	saved[4];
	struct {
		int	fd;
		bool	write;
	} dead[4];
	void		*nowhere;
	bool		failed;		/* an error in this step */
	char		log[24][160];
	unsigned long	moves, starts, ios;
	unsigned long	faults[FAULT_SIZE_IDLE + 1];
} fuzz;

/* Describe the current step. A failure prints the last steps. */
static __attribute__((format(printf, 1, 2))) void note(const char *fmt, ...)
{
	char *line = fuzz.log[fuzz.step % ARRAY_SIZE(fuzz.log)];
	size_t len = strlen(line);
	va_list args;

	va_start(args, fmt);
	vsnprintf(line + len, sizeof(fuzz.log[0]) - len, fmt, args);
	va_end(args);
}

static void print_last_steps(void)
{
	unsigned long i;

	if (fuzz.step == fuzz.steps)
		return;
	i = fuzz.step < ARRAY_SIZE(fuzz.log) ? 0 :
		fuzz.step - ARRAY_SIZE(fuzz.log) + 1;
	for (; i <= fuzz.step; i++)
		fprintf(stderr, "# %lu: %s\n", i,
			fuzz.log[i % ARRAY_SIZE(fuzz.log)]);
	fprintf(stderr, "# failed in step %lu of NVMEVF_SEED=%lu\n", fuzz.step,
		fuzz.seed);
}

static unsigned int below(unsigned int bound)
{
	return fuzz_below(&fuzz.random, bound);
}

static bool one_in(unsigned int n)
{
	return !below(n);
}

#define expect(want, got, what) do {					\
	long __want = (want), __got = (got);				\
									\
	note(" %s %ld", what, __got);					\
	if (__want != __got)						\
		die("%s: %ld, expected %ld", what, __got, __want);		\
	if (__got < 0)							\
		fuzz.failed = true;					\
} while (0)

static long result(long ret)
{
	return ret < 0 ? -errno : ret;
}

/*
 * The guest
 */

/* The guest is suspended. */
static void suspend_guest(void)
{
	memcpy(fuzz.n.frozen, fuzz.n.mem, fuzz.n.used);
	fuzz.home = NULL;
}

static void check_suspended_guest(void)
{
	if (memcmp(fuzz.n.frozen, fuzz.n.mem, fuzz.n.used))
		die("the memory of a suspended guest changed");
}

static void resume_guest(struct model *v)
{
	struct nvme *n = &fuzz.n;
	struct nvme_queue *q;

	fuzz.moves += fuzz.last != v;
	n->vf = &v->vf;
	fuzz.home = v;
	fuzz.last = v;
	fuzz.life = ++fuzz.lives;
	v->life = fuzz.life;
	/* The state lacks doorbells that were rung after SAVE_DATA. */
	for (q = n->queue; q; q = q->next)
		nvme_ring(n, q);
}

static void lose_guest(void)
{
	fuzz.home = NULL;
	fuzz.life = 0;
	io_forget_unfinished(&fuzz.n);
}

static void content_lost(struct model *v)
{
	if (fuzz.home == v)
		lose_guest();
}

static struct model *presenter(struct model *v, unsigned int id)
{
	struct model *other;

	for (other = fuzz.vf; other < fuzz.vf + VFS; other++)
		if (other != v && other->online && other->id == id)
			return other;
	return NULL;
}

/* Keep some of the data_fds whose streams are gone. */
static void keep_dead_fd(int fd, bool write_end)
{
	unsigned int i = below(ARRAY_SIZE(fuzz.dead));

	if (fuzz.dead[i].fd >= 0)
		close(fuzz.dead[i].fd);
	fuzz.dead[i].fd = fd;
	fuzz.dead[i].write = write_end;
}

/* An old state of the guest would overwrite newer data. */
static bool may_run(struct model *v)
{
	return !v->life || v->life == fuzz.life;
}

static void guest_io(struct nvme *n)
{
	struct nvme_queue *q;
	unsigned int i = below(4);

	for (q = n->queue->next; q; q = q->next) {
		fuzz.ios -= q->completed;
		if (i < 3)
			io_submit(n, q, 1 + below(3));
		if (i < 2)
			nvme_ring(n, q);
		nvme_reap(n, q);
		if (!i) {
			nvme_ring(n, q);
			io_wait_queue(n, q);
		}
		fuzz.ios += q->completed;
	}
	note(" I/O %u", i);
}

/*
 * The steps
 */

/*
 * Wait until SAVE_DATA has ended. The model cannot predict its error before that, nor which
 * ID the VF presents after a reset, which depends on whether its state was saved.
 */
static void settle(struct model *v)
{
	struct pollfd pfd = { .fd = v->data.fd, .events = POLLIN };

	if (!v->data.there || v->data.phase != SAVING)
		return;
	if (must(poll(&pfd, 1, 1000 * PATIENCE)) != 1)
		die("SAVE_DATA did not end within %d s", PATIENCE);
	v->data.phase = SAVED;
}

/* Do that for all VFs; return false if a closed data_fd prevents that. */
static bool settle_all(void)
{
	struct model *v;

	for (v = fuzz.vf; v < fuzz.vf + VFS; v++) {
		if (v->data.there && v->data.phase == SAVING && v->data.fd < 0)
			return false;
		settle(v);
	}
	return true;
}

static void step_reset(struct model *v)
{
	note(" reset");
	settle(v);
	vf_reset(&v->vf);
	model_reset(v);
}

/* Choose a state that leads to a migration: random choices alone lead to few. */
static unsigned int usual_state(const struct model *v)
{
	bool wanted = fuzz.life && !fuzz.home && v->life != fuzz.life;

	switch (v->state) {
	case VFIO_DEVICE_STATE_RUNNING:
		return wanted ? VFIO_DEVICE_STATE_RESUMING :
		       one_in(2) ? VFIO_DEVICE_STATE_PRE_COPY :
				   VFIO_DEVICE_STATE_STOP_COPY;
	case VFIO_DEVICE_STATE_PRE_COPY:
		return one_in(2) ? VFIO_DEVICE_STATE_PRE_COPY_P2P :
				   VFIO_DEVICE_STATE_STOP_COPY;
	case VFIO_DEVICE_STATE_PRE_COPY_P2P:
		return VFIO_DEVICE_STATE_STOP_COPY;
	case VFIO_DEVICE_STATE_RUNNING_P2P:
	case VFIO_DEVICE_STATE_STOP:
		return wanted ? VFIO_DEVICE_STATE_RESUMING :
		       one_in(2) ? VFIO_DEVICE_STATE_STOP_COPY :
				   VFIO_DEVICE_STATE_RUNNING;
	case VFIO_DEVICE_STATE_STOP_COPY:
		return !one_in(4) ? VFIO_DEVICE_STATE_STOP_COPY :
		       one_in(2) ? VFIO_DEVICE_STATE_STOP :
				   VFIO_DEVICE_STATE_RUNNING;
	default:
		return VFIO_DEVICE_STATE_RUNNING;
	}
}

static void go_to(struct model *v, unsigned int target)
{
	bool resumes;
	int fd, ret;

	if (model_is_running(target) && !may_run(v))
		target = VFIO_DEVICE_STATE_STOP;
	note(" from %u to %u", v->state, target);

	v->data.fresh = false;
	ret = model_enter_state(v, target);
	resumes = v->life && v->life == fuzz.life && !v->suspended &&
		  fuzz.home != v;
	if (resumes)
		check_suspended_guest();
	expect(ret, vf_set_state(&v->vf, target, &fd), "set_state");
	if (fuzz.home == v && v->suspended)
		suspend_guest();
	if (resumes)
		resume_guest(v);
	expect(v->data.there && v->data.fresh, fd >= 0, "has data_fd");
	if (fd >= 0)
		v->data.fd = fd;
}

static void step_state(struct model *v)
{
	go_to(v, one_in(3) ? below(STATES + 1) : usual_state(v));
}

/* Check and keep a stream that was read to its end. */
static void check_stream(struct model_data *d)
{
	struct saved *s = &fuzz.saved[below(ARRAY_SIZE(fuzz.saved))];
	const struct nvmevf_end *end = (void *)d->data + d->len - sizeof(*end);

	if (end->crc32c != crc32c(d->data, d->len - END_SIZE))
		die("checksum of the stream is wrong");
	free(s->data);
	s->data = malloc(d->len);
	memcpy(s->data, d->data, d->len);
	s->len = d->len;
	s->life = d->life;
	s->id = d->id;
	note(" all");
}

static void step_read(struct model *v)
{
	struct model_data *d = &v->data;
	size_t payload_at = d->state_at + sizeof(struct nvmevf_record);
	void *to = one_in(16) ? fuzz.nowhere : d->data + d->pos;
	bool nonblock = one_in(4);
	const struct nvmevf_record *state;
	long want, ret;
	size_t n;

	if (!d->there || d->fd < 0 || d->phase >= WRITING)
		return;

	n = one_in(2) ? d->most : below(d->most);
	if (d->pos < payload_at && n > payload_at - d->pos)
		n = payload_at - d->pos;
	if (d->pos < payload_at)
		d->len = payload_at;
	if (d->pos == d->len && one_in(2))
		n = 0;
	must(fcntl(d->fd, F_SETFL, nonblock ? O_NONBLOCK : 0));
	ret = result(read(d->fd, to, n));
	if (d->phase == SAVING && nonblock && ret == -EAGAIN) {
		note(" read %ld", ret);
		return;
	}
	if (d->phase == SAVING)
		d->phase = SAVED;
	if (d->unsure) {
		if (ret == -ECANCELED || ret == -EIO || ret == -EPROTO ||
		    ret == -ENODEV)
			d->error = ret;
		d->unsure = false;
	}
	want = model_read(d, n);
	if (want > 0 && to == fuzz.nowhere)
		want = -EFAULT;
	expect(want, ret, "read");
	if (ret <= 0)
		return;

	d->pos += ret;
	if (d->pos == payload_at) {
		state = (void *)d->data + d->state_at;
		d->len = payload_at + (state->length + 7) / 8 * 8 + END_SIZE;
		if (d->len > STREAM_MAX)
			die("%llu bytes of controller state, expected less than %u",
			    state->length, STREAM_MAX);
	} else if (d->pos == d->len) {
		check_stream(d);
	}
}

/* Return a stream with which the suspended guest can continue, or NULL. */
static const struct saved *guest_stream(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(fuzz.saved) && fuzz.life && !fuzz.home; i++)
		if (fuzz.saved[i].life == fuzz.life)
			return &fuzz.saved[i];
	return NULL;
}

/* Choose a stream to write: one that was read, often damaged. */
static void choose_stream(struct model_data *d)
{
	const struct saved *s = guest_stream() ?:
				&fuzz.saved[below(ARRAY_SIZE(fuzz.saved))];
	unsigned int at, i;

	if (!s->data) {
		d->len = 100 + below(1000);
		for (i = 0; i < d->len; i++)
			d->data[i] = below(256);
		d->damaged = true;
		return;
	}
	memcpy(d->data, s->data, s->len);
	d->len = s->len;
	d->good = s->len;
	d->life = s->life;
	d->id = s->id;
	d->damaged = one_in(3);
	if (!d->damaged)
		return;

	at = 1 + below(one_in(2) ? s->len - 1 : PAYLOAD_AT);
	d->good = at;
	switch (below(3)) {
	case 0:
		d->data[at] ^= 1 << below(8);
		break;
	case 1:		/* other data from there on */
		for (i = at; i < s->len; i++)
			d->data[i] = below(256);
		d->data[at] = ~s->data[at];
		break;
	default:	/* bytes removed */
		d->good = 0;
		i = 1 + below(s->len - at);
		memmove(d->data + at, d->data + at + i, s->len - at - i);
		d->len -= i;
	}
	note(" damaged at %u", at);
}

/* Do the next @n bytes have NAMESPACES, which the driver compares with what the PF tells? */
static bool asks_pf(const struct model_data *d, size_t n)
{
	const struct nvmevf_record *record = (void *)d->data + STATE_AT;

	return d->pos < PAYLOAD_AT && d->pos + n >= PAYLOAD_AT &&
	       record->type == NVMEVF_RECORD_NAMESPACES;
}

static void step_write(struct model *v)
{
	struct model_data *d = &v->data;
	long want, ret;
	bool end;
	size_t n;

	if (!d->there || d->fd < 0 || d->phase < WRITING)
		return;

	n = one_in(2) ? d->most : below(d->most);
	if (!d->len)
		choose_stream(d);
	if (one_in(16) && d->phase == WRITING) {
		want = d->error ?: n ? -EFAULT : 0;
		expect(want, result(write(d->fd, fuzz.nowhere, n)), "write");
		return;
	}

	if (d->pos == d->len)
		n = below(3);		/* data after END */
	else if (n > d->len - d->pos)
		n = d->len - d->pos;
	end = !d->damaged && d->pos + n == d->len;
	/* Whether LOAD_DATA is refused depends on a SAVE_DATA of the other VF. */
	if (end && !settle_all())
		return;
	ret = result(write(d->fd, d->data + d->pos, n));
	if (d->error) {
		want = d->error;
	} else if (d->phase == LOADED) {
		want = n ? -EINVAL : 0;
	} else if (!fuzz.model_pf.bound && asks_pf(d, n) &&
		   (d->good >= PAYLOAD_AT || ret == -ENODEV)) {
		want = -ENODEV;
	} else if (end) {
		want = v->stale ? -ENODEV : model_load(v, d->id) ?: (long)n;
		if (want > 0) {
			d->phase = LOADED;
			v->life = d->life;
		}
	} else if (d->pos + n <= d->good) {
		want = n;
	} else {
		/* The damage decides when the driver detects it. */
		want = ret == -EINVAL || ret == -EFBIG || ret == -EBADMSG ?
			ret : (long)n;
	}
	expect(want, ret, "write");
	if (ret < 0)
		d->error = ret;
	else if (d->pos < d->len)
		d->pos += ret;
}

static void step_poll(struct model *v)
{
	struct model_data *d = &v->data;
	struct pollfd pfd = { .fd = d->fd, .events = POLLIN | POLLOUT };

	if (!d->there || d->fd < 0)
		return;
	if (one_in(2))
		settle(v);
	if (must(poll(&pfd, 1, 0)) && d->phase == SAVING)
		d->phase = SAVED;
	expect(d->phase >= WRITING ? POLLOUT :
	       d->phase == SAVED ? POLLIN :
	       d->phase == PRECOPY && d->pos < d->state_at ? POLLIN : 0,
	       pfd.revents, "poll");
}

static void step_info(struct model *v)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	struct model_data *d = &v->data;
	int want;

	if (!d->there || d->fd < 0)
		return;
	want = d->phase >= WRITING ? -ENOTTY : d->phase != PRECOPY ? -EINVAL : 0;
	expect(want, result(ioctl(d->fd, VFIO_MIG_GET_PRECOPY_INFO, &info)),
	       "info");
	if (!want && info.initial_bytes != d->state_at - d->pos)
		die("%llu initial bytes, expected %zu", info.initial_bytes,
		    d->state_at - d->pos);
}

static void step_close(struct model *v)
{
	/* The model needs data_fd to know when SAVE_DATA has ended. */
	if (!v->data.there || v->data.fd < 0 || v->data.phase < SAVED)
		return;
	must(close(v->data.fd));
	v->data.fd = -1;
}

/* Use a data_fd whose stream is gone, and perhaps its device. */
static void step_dead(struct model *v)
{
	unsigned int i = below(ARRAY_SIZE(fuzz.dead));
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	struct pollfd pfd = { .fd = fuzz.dead[i].fd, .events = POLLIN | POLLOUT };
	bool write_end = fuzz.dead[i].write;
	char byte = 0;

	if (pfd.fd < 0)
		return;
	expect(write_end ? -EBADF : -ENODEV, result(read(pfd.fd, &byte, 1)),
	       "read");
	expect(write_end ? -ENODEV : -EBADF, result(write(pfd.fd, &byte, 1)),
	       "write");
	expect(write_end ? -ENOTTY : -ENODEV,
	       result(ioctl(pfd.fd, VFIO_MIG_GET_PRECOPY_INFO, &info)), "info");
	must(poll(&pfd, 1, 0));
	expect(POLLERR | POLLHUP | (write_end ? POLLOUT : POLLIN), pfd.revents,
	       "poll");
	if (one_in(4)) {
		close(pfd.fd);
		fuzz.dead[i].fd = -1;
	}
}

static void step_size(struct model *v)
{
	long long size;
	int want;

	/* The size counts for SAVE_DATA, and the driver does not ask again after that. */
	settle(v);
	want = v->state == VFIO_DEVICE_STATE_STOP_COPY ? 0 : model_query_size(v);
	size = vf_mig_data_size(&v->vf);
	expect(want, size > (long)(PAYLOAD_AT + END_SIZE) ? 0 : size, "size");
}

static void step_flr(struct model *v)
{
	char path[64];
	int fd;

	settle(v);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/reset",
		 v->vf.bdf);
	fd = must(open(path, O_WRONLY));
	must(write(fd, "1", 1));
	close(fd);
	model_reset(v);
}

static void set_fault_and_note(struct model *v, enum model_command c, enum fault_kind kind,
			       __u32 value)
{
	note(" %#x kind %u value %#x", opcodes[c], kind, value);
	if (!fault_set(v->vf.bdf, opcodes[c], kind, value))
		die("setting a fault failed");
	fuzz.faults[kind]++;
}

static void no_faults(struct model *v)
{
	fault_clear_all(v->vf.bdf);
	memset(v->fault, 0, sizeof(v->fault));
	memset(v->size_fault, 0, sizeof(v->size_fault));
}

static void step_fault(struct model *v)
{
	static const struct {
		__u32	status;
		int	error;
	} statuses[] = {
		{ 0x001, -EOPNOTSUPP },		/* Invalid Command Opcode */
		{ 0x002, -EINVAL },		/* Invalid Field */
		{ 0x006, -EIO },		/* Internal Error */
		{ 0x00c, -EPROTO },		/* Command Sequence Error */
		{ 0x7c0, -EIO },		/* vendor specific */
	};
	const struct {
		__u32	size;
		int	error;		/* 1: none */
	} sizes[] = {
		/* With the standard's set, a state is padded to the size. */
		{ 0, vf_standard() ? 1 : -EIO },
		{ vf_standard() ? 32U << 20 : 64U << 20, -E2BIG },
		{ vf_standard() ? (16U << 20) + 4 : ~0U, -E2BIG },
		{ 20001, 1 }, { 77777, 1 },
	};
	enum model_command c = below(COMMANDS);
	unsigned int i, idle = below(2);

	if (!fuzz.model_pf.bound)
		return;
	settle(v);
	switch (below(6)) {
	case 0:
		i = below(ARRAY_SIZE(statuses));
		set_fault_and_note(v, c, FAULT_STATUS, statuses[i].status);
		v->fault[c] = statuses[i].error;
		break;
	case 1:
		i = below(ARRAY_SIZE(sizes));
		set_fault_and_note(v, QUERY, idle ? FAULT_SIZE_IDLE : FAULT_SIZE,
				   sizes[i].size);
		v->size_fault[idle] = sizes[i].error;
		break;
	case 2:
		set_fault_and_note(v, c, FAULT_DELAY, 1 + below(20));
		break;
	default:
		no_faults(v);
	}
}

static void step_guest(struct model *v)
{
	struct nvme *n = &fuzz.n;
	struct nvme_queue *q;

	if (fuzz.home) {
		guest_io(n);
	} else if (v->life && v->life == fuzz.life) {
		/* The VF is suspended; its doorbells can be written all the same. */
		n->vf = &v->vf;
		for (q = n->queue; q; q = q->next)
			nvme_ring(n, q);
	} else if ((!fuzz.life || one_in(16)) && v->online && !v->life &&
		   model_is_running(v->state)) {
		lose_guest();
		n->vf = &v->vf;
		nvme_start(n, 2, 8, 8);
		fuzz.home = v;
		fuzz.last = v;
		fuzz.life = ++fuzz.lives;
		v->life = fuzz.life;
		v->started = true;
		fuzz.starts++;
		note(" start");
	}
}

/* Can no more bytes be transferred? */
static bool is_over(const struct model_data *d)
{
	return d->error || d->fd < 0 || (d->pos && d->pos == d->len);
}

/*
 * Take the next step of a migration to the other VF, because random steps complete few. A
 * lost guest starts again.
 */
static void step_migrate(struct model *v)
{
	struct model *from = fuzz.last, *to = &fuzz.vf[from == fuzz.vf];

	if (!fuzz.life) {
		if (model_is_running(v->state) && !v->life)
			step_guest(v);
		else
			step_reset(v);
	} else if (to->life == fuzz.life) {
		go_to(to, VFIO_DEVICE_STATE_RUNNING);
	} else if (guest_stream()) {
		if (to->state != VFIO_DEVICE_STATE_RESUMING)
			go_to(to, VFIO_DEVICE_STATE_RESUMING);
		else if (is_over(&to->data))
			step_reset(to);
		else
			step_write(to);
	} else if (from->life != fuzz.life) {
		lose_guest();
	} else if (from->state == VFIO_DEVICE_STATE_RESUMING) {
		step_reset(from);
	} else if (from->state != VFIO_DEVICE_STATE_STOP_COPY) {
		go_to(from, VFIO_DEVICE_STATE_STOP_COPY);
	} else if (is_over(&from->data)) {
		go_to(from, VFIO_DEVICE_STATE_STOP);
	} else {
		step_read(from);
	}
}

/* Write registers like a user who does not want a working VF. */
static void step_poke(struct model *v)
{
	struct nvme n = { .vf = &v->vf };
	__u64 queue = VF_IOVA + GUEST_MEM - 4 * PAGE * (v - fuzz.vf + 1);

	if (v->life)
		return;
	switch (below(4)) {
	case 0:
		/* It would end a suspension, which standard_test tests. */
		if (vf_standard() && v->suspended)
			break;
		nvme_write32(&n, NVME_CC, 0);
		break;
	case 1:
		nvme_write32(&n, NVME_AQA, 7 << 16 | 7);
		nvme_write32(&n, NVME_ASQ, queue);
		nvme_write32(&n, NVME_ASQ + 4, queue >> 32);
		nvme_write32(&n, NVME_ACQ, queue + PAGE);
		nvme_write32(&n, NVME_ACQ + 4, (queue + PAGE) >> 32);
		nvme_write32(&n, NVME_CC, NVME_CC_ON);
		v->started |= v->online;
		break;
	default:
		nvme_write32(&n, 0x1000 + 4 * below(6), below(10));
	}
}

/* Start the log of what the VF writes, stop it, or compare a report with the truth. */
static void step_log(struct model *v)
{
	struct truth *truth = &fuzz.truth[v - fuzz.vf];
	__u64 map[TRUTH_WORDS] = {};
	unsigned int i = below(8);
	int ret;

	/* Only a stop ends a log that is lost. */
	if (i < (v->log.lost ? 4 : 1)) {
		expect(0, dirty_stop(&v->vf), "stop");
		model_log_stop(v);
	} else if (i < (v->log.on ? 2 : 6)) {
		ret = model_log_start(v);
		expect(ret, ret ? dirty_start_all(&v->vf) : truth_start(truth), "start");
	} else {
		/* The VF writes while the log is read. */
		while (fuzz.home == v && !one_in(4))
			guest_io(&fuzz.n);
		ret = model_log_report(v);
		/* Without a PF, the truth is not known. */
		expect(ret, ret ? dirty_report(&v->vf, VF_IOVA, GUEST_MEM, PAGE, map) :
				  truth_report(truth, map), "report");
		note(" %u pages", dirty_count(map, TRUTH_WORDS));
	}
}

static void step_reopen(struct model *v)
{
	settle(v);
	vf_close(&v->vf);
	model_log_stop(v);
	vf_open(&v->vf, v->vf.bdf, one_in(2) && vf_api_present(VF_CDEV) ?
		VF_CDEV : VF_ANY, fuzz.n.mem, GUEST_MEM);
	model_reset(v);
}

static void bring_back(void)
{
	int i;

	if (!fuzz.model_pf.bound)
		pf_bind(&fuzz.pf);
	fuzz.model_pf.bound = true;
	pf_restore_vfs(&fuzz.pf);
	for (i = 0; i < VFS; i++)
		fuzz.vf[i].online = true;
}

static void step_pf(struct model *unused)
{
	struct model *v;

	if (!fuzz.model_pf.bound)
		return;
	for (v = fuzz.vf; v < fuzz.vf + VFS; v++) {
		if (one_in(2))
			settle(v);
		v->data.unsure = v->data.there && v->data.phase == SAVING;
	}
	if (one_in(3)) {
		pf_unbind(&fuzz.pf);
		fuzz.model_pf.bound = false;
	} else {
		pf_reset(&fuzz.pf);
	}
	fuzz.model_pf.epoch++;
	for (v = fuzz.vf; v < fuzz.vf + VFS; v++) {
		v->online = false;
		model_lose_content(v);
		v->stale = true;
	}
	if (one_in(2))
		bring_back();
}

static void step_online(struct model *v)
{
	if (!v->online)
		bring_back();
}

enum { READ = 1, WRITE = 2, RESET = 8, FLR = 9, PF_EVENT = 14, LOG = 17 };

#define LOG_WEIGHT	150

static struct fuzz_kind kinds[] = {
	{ "state", 300 }, { "read", 80 }, { "write", 80 }, { "poll", 50 },
	{ "info", 30 }, { "close", 20 }, { "dead fd", 40 }, { "size", 20 },
	{ "reset", 5 }, { "FLR", 2 }, { "fault", 40 }, { "guest", 200 },
	{ "poke", 40 }, { "reopen", 2 }, { "PF event", 3 }, { "online", 30 },
	{ "migrate", 50 }, { "log", 0 },
	{}
};

static void (* const steps[])(struct model *v) = {
	step_state, step_read, step_write, step_poll,
	step_info, step_close, step_dead, step_size,
	step_reset, step_flr, step_fault, step_guest,
	step_poke, step_reopen, step_pf, step_online, step_migrate,
	step_log,
};

static void one_step(void)
{
	struct model *v = &fuzz.vf[below(VFS)];
	unsigned int i = fuzz_choose(&fuzz.random, kinds);
	long long began;

	/* Only a reset leads out of these states. */
	if ((v->state == VFIO_DEVICE_STATE_ERROR ||
	     (v->state == VFIO_DEVICE_STATE_RESUMING && v->data.error)) &&
	    one_in(2))
		i = RESET;
	else if (v->state == VFIO_DEVICE_STATE_STOP_COPY && one_in(2))
		i = READ;
	else if (v->state == VFIO_DEVICE_STATE_RESUMING &&
		 v->data.phase == WRITING && !one_in(8))
		i = WRITE;

	fuzz.log[fuzz.step % ARRAY_SIZE(fuzz.log)][0] = '\0';
	note("%u %s:", (int)(v - fuzz.vf), kinds[i].name);
	fuzz.failed = false;
	began = fuzz_now_us();
	steps[i](v);
	fuzz_count(&kinds[i], began, fuzz.failed);

	for (v = fuzz.vf; v < fuzz.vf + VFS; v++)
		expect(v->state, vf_get_state(&v->vf), "state");
}

/* Check that both VFs work and can migrate. */
static void finish(void)
{
	struct nvme *n = &fuzz.n;
	unsigned int i;

	bring_back();
	for (i = 0; i < ARRAY_SIZE(fuzz.dead); i++)
		close(fuzz.dead[i].fd);
	for (i = 0; i < VFS; i++) {
		no_faults(&fuzz.vf[i]);
		vf_reset(&fuzz.vf[i].vf);
		model_reset(&fuzz.vf[i]);
	}
	/* The guest may have been suspended and have missed a reset. */
	lose_guest();
	nvme_start(n, NVME_QUEUES, 8, 8);
	for (i = 0; i < 2 * VFS; i++) {
		io_check(n);
		guest_migrate(n, &fuzz.vf[n->vf == &fuzz.vf[0].vf].vf);
	}
	io_check(n);
}

FIXTURE(fuzz)
{
	int unused;
};

FIXTURE_SETUP(fuzz)
{
	const char *why = vf_skip_reason(2, VF_ANY, true);
	unsigned int i;

	if (why)
		SKIP(return, "%s", why);

	guest_init(&fuzz.n);
	pf_open(&fuzz.pf, vf_bdf(0));
	fuzz.model_pf = (struct model_pf){
		.bound = true,
		.below = below,
		.last_id = VFS,
		.presenter = presenter,
		.content_lost = content_lost,
		.data_fd_died = keep_dead_fd,
	};
	/* so that the VFs present their own IDs */
	for (i = 0; i < VFS; i++)
		pf_take_vf_offline(&fuzz.pf, vf_bdf(i));
	pf_restore_vfs(&fuzz.pf);
	for (i = 0; i < VFS; i++) {
		fuzz.vf[i].pf = &fuzz.model_pf;
		fuzz.vf[i].id = i + 1;
		fuzz.vf[i].own_id = i + 1;
		vf_open(&fuzz.vf[i].vf, vf_bdf(i), VF_ANY, fuzz.n.mem,
			GUEST_MEM);
		fuzz.vf[i].state = VFIO_DEVICE_STATE_RUNNING;
		fuzz.vf[i].online = true;
		no_faults(&fuzz.vf[i]);
	}
	if (dirty_is_offered()) {
		kinds[LOG].weight = LOG_WEIGHT;
		for (i = 0; i < VFS; i++)
			truth_open(&fuzz.truth[i], &fuzz.vf[i].vf);
	}
	/* Ask the PF now, because the test will unbind its driver. */
	vf_initial_bytes();
	for (i = 0; i < ARRAY_SIZE(fuzz.dead); i++)
		fuzz.dead[i].fd = -1;
	fuzz.nowhere = must(mmap(NULL, STREAM_MAX, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

FIXTURE_TEARDOWN(fuzz)
{
	int i;

	for (i = 0; i < VFS; i++) {
		fault_no_jitter(fuzz.vf[i].vf.bdf);
		vf_close(&fuzz.vf[i].vf);
	}
}

TEST_F_TIMEOUT(fuzz, results_as_modeled, 1000000)
{
	long long began = fuzz_now_us();
	int i;

	fuzz.seed = fuzz_setting("NVMEVF_SEED", time(NULL));
	fuzz.steps = fuzz_setting("NVMEVF_STEPS", NORMAL_STEPS);
	fuzz.random.state = fuzz.seed;
	srandom(fuzz.seed);
	printf("# NVMEVF_SEED=%lu NVMEVF_STEPS=%lu\n", fuzz.seed, fuzz.steps);
	fflush(stdout);
	atexit(print_last_steps);
	for (i = 0; i < VFS; i++)
		fault_jitter(fuzz.vf[i].vf.bdf, fuzz.seed);

	for (; fuzz.step < fuzz.steps; fuzz.step++)
		one_step();
	finish();

	fuzz_report(kinds);
	printf("# %lu steps in %lld s, guest started %lu times\n", fuzz.steps,
	       (fuzz_now_us() - began) / 1000000, fuzz.starts);
	/*
	 * Lost or corrupt data ends the test immediately, so no count of them is reported.
	 */
	printf("# soak: steps=%lu fault_status=%lu fault_delay=%lu fault_size=%lu",
	       fuzz.steps, fuzz.faults[FAULT_STATUS],
	       fuzz.faults[FAULT_DELAY],
	       fuzz.faults[FAULT_SIZE] + fuzz.faults[FAULT_SIZE_IDLE]);
	printf(" reset_vf=%lu reset_pf=%lu migrations=%lu ios=%lu",
	       kinds[RESET].count + kinds[FLR].count, kinds[PF_EVENT].count,
	       fuzz.moves, fuzz.ios);
	printf(" longest_step_ms=%lld\n", fuzz_longest_us(kinds) / 1000);
	if (kinds[LOG].weight)
		truth_print(fuzz.truth, VFS);
}

TEST_HARNESS_MAIN
