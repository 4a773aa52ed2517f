// SPDX-License-Identifier: GPL-2.0-only
/* What a guest and its VMM do, and what a guest can read. */
#include <sys/mman.h>

#include "../lib/sysfs.h"
#include "../lib/trace.h"
#include "checks.h"

struct answers was, now;

void init_guest(struct nvme *guest, struct vf *on, const char *bdf)
{
	guest_init(guest);
	guest->nsid = device.nsid;
	guest->max_pages = device.max_pages;
	guest->no_compare = device.no_compare;
	if (!device.write)
		guest->content = must(mmap(NULL, DISK_PART, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	vf_open(on, bdf, VF_ANY, guest->mem, GUEST_MEM);
	guest->vf = on;
}

void open_vfs(unsigned int count)
{
	unsigned int i;

	doing("opening %s", device.vf[0]);
	init_guest(&n, vf, device.vf[0]);
	for (i = 1; i < count; i++)
		vf_open(&vf[i], device.vf[i], VF_ANY, n.mem, GUEST_MEM);
}

void start_guest(struct nvme *guest, int queues, unsigned int sq_size, unsigned int cq_size)
{
	doing("%s: enabling the controller", guest->vf->bdf);
	nvme_start(guest, queues, sq_size, cq_size);
	if (!guest->queues)
		not_testable("%s has no I/O queue", guest->vf->bdf);
}

void start(int queues, unsigned int sq_size, unsigned int cq_size)
{
	if (!device.nsid)
		not_testable("no namespace is attached to all VFs");
	open_vfs(2);
	start_guest(&n, queues, sq_size, cq_size);
}

void start_other(struct nvme *other, unsigned int index)
{
	if (vf[index].bdf)
		vf_close(&vf[index]);
	init_guest(other, &vf[index], device.vf[index]);
	if (device.write)
		other->disk = (__u64)index * DISK_PART;
	start_guest(other, NVME_QUEUES, 8, 8);
}

void suspend(void)
{
	doing("%s: SUSPEND", n.vf->bdf);
	guest_suspend(&n);
}

void resume(void)
{
	doing("%s: RESUME", n.vf->bdf);
	vf_enter_state(n.vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

void save(struct stream *s)
{
	doing("%s: SAVE_DATA", n.vf->bdf);
	guest_save(&n, s);
}

void check_refused(const __u8 *opcodes, unsigned int count, struct nvme_sqe sqe)
{
	unsigned int i;
	int status;

	open_vfs(1);
	doing("%s: enabling the controller", n.vf->bdf);
	nvme_enable(&n, 8, 8);
	for (i = 0; i < count; i++) {
		sqe.opcode = opcodes[i];
		status = nvme_admin(&n, sqe, NULL, 0, NULL);
		if (status != NVME_INVALID_OPCODE)
			die("%s: opcode %#x has status %#x, expected %#x", n.vf->bdf,
			    opcodes[i], status, NVME_INVALID_OPCODE);
	}
}

void wait_for_io(const char *when)
{
	doing("%s: I/O %s", n.vf->bdf, when);
	io_wait(&n);
}

void check_io(const char *when)
{
	doing("%s: I/O %s", n.vf->bdf, when);
	io_check(&n);
}

struct vf *target(void)
{
	return device.one_vf ? n.vf : &vf[n.vf == vf];
}

void load_suspended(const struct stream *s)
{
	struct vf *to = target();
	int fd, ret;

	if (to == n.vf)
		vf_reset(to);
	doing("%s: LOAD_DATA of what %s saved", to->bdf, n.vf->bdf);
	vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, n.chunk);
	if (ret)
		die("refused with %s, expected to be accepted", strerror(-ret));
	close(fd);
	vf_enter_state(to, VFIO_DEVICE_STATE_STOP, NULL);
	vf_enter_state(to, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	guest_check_frozen(&n, "between SUSPEND and RESUME");
	n.vf = to;
}

void move_with(void (*while_suspended)(void))
{
	struct vf *from = n.vf;
	struct stream s;

	suspend();
	if (while_suspended)
		while_suspended();
	save(&s);
	load_suspended(&s);
	free(s.data);
	resume();
	if (from != n.vf)
		vf_reset(from);
}

void move(void)
{
	move_with(NULL);
}

int try_load(struct vf *to, const struct stream *s)
{
	int fd, ret;

	vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, n.chunk);
	close(fd);
	vf_reset(to);
	return ret;
}

static void ask(struct nvme *guest, struct answers *to, const char *what, struct nvme_sqe sqe)
{
	struct answer *a = &to->answer[to->count++];

	if (to->count > ARRAY_SIZE(to->answer))
		die("more than %zu answers", ARRAY_SIZE(to->answer));
	snprintf(a->name, sizeof(a->name), "%s %02xh", what, sqe.cdw10 & 0xff);
	memset(a->data, 0, PAGE);
	a->status = nvme_admin(guest, sqe, a->data, PAGE, &a->result);
}

void ask_identify(struct nvme *guest, struct answers *to, __u8 cns, __u32 nsid)
{
	ask(guest, to, "Identify", (struct nvme_sqe){
		.opcode = NVME_IDENTIFY,
		.nsid = nsid,
		.cdw10 = cns,
	});
}

/* Add the value of a register. */
static void add_register(struct answers *to, const char *name, __u64 value)
{
	struct answer *a = &to->answer[to->count++];

	memset(a, 0, sizeof(*a));
	snprintf(a->name, sizeof(a->name), "%s", name);
	memcpy(a->data, &value, sizeof(value));
}

void ask_identity(struct nvme *guest, struct answers *to)
{
	doing("%s: Identify Controller", guest->vf->bdf);
	to->count = 0;
	add_register(to, "CAP", nvme_read64(guest, NVME_CAP));
	add_register(to, "VS", nvme_read32(guest, NVME_VS));
	ask_identify(guest, to, 0x01, 0);
	ask_identify(guest, to, 0x06, 0);
	ask(guest, to, "feature", (struct nvme_sqe){
		.opcode = NVME_GET_FEATURES,
		.cdw10 = NVME_FEAT_NUM_QUEUES,
	});
}

void ask_namespaces(struct nvme *guest, struct answers *to)
{
	static const __u8 of_namespace[] = { 0x00, 0x03, 0x05, 0x08 };
	unsigned int i;

	doing("%s: Identify Namespace", guest->vf->bdf);
	to->count = 0;
	ask_identify(guest, to, 0x02, 0);
	for (i = 0; i < ARRAY_SIZE(of_namespace); i++)
		ask_identify(guest, to, of_namespace[i], guest->nsid);
	ask(guest, to, "log", (struct nvme_sqe){
		.opcode = NVME_GET_LOG,
		.nsid = ~0U,
		.cdw10 = (PAGE / 4 - 1) << 16 | 0x05,
	});
}

void ask_features(struct nvme *guest, struct answers *to)
{
	struct nvme_sqe sqe = { .opcode = NVME_GET_FEATURES };

	doing("%s: Get Features", guest->vf->bdf);
	to->count = 0;
	for (sqe.cdw10 = 1; sqe.cdw10 < 0x90; sqe.cdw10++) {
		if (sqe.cdw10 == 0x20)
			sqe.cdw10 = 0x80;
		sqe.nsid = sqe.cdw10 == 0x05 ? guest->nsid : 0;
		/* the timestamp proceeds */
		if (sqe.cdw10 != NVME_FEAT_TIMESTAMP)
			ask(guest, to, "feature", sqe);
	}
	sqe.cdw10 = NVME_FEAT_TEMP_THRESH;
	sqe.cdw11 = 0x100000;		/* the lower one */
	ask(guest, to, "feature", sqe);
}

void compare_answers(const char *when)
{
	const struct answer *a, *b;
	unsigned int at;

	for (a = was.answer, b = now.answer; a < was.answer + was.count; a++, b++) {
		if (a->status != b->status)
			die("%s: %s has status %#x, had %#x", when, a->name, b->status,
			    a->status);
		if (a->result != b->result)
			die("%s: %s is %#x, was %#x", when, a->name, b->result, a->result);
		for (at = 0; at < PAGE; at++)
			if (a->data[at] != b->data[at])
				die("%s: byte %u of %s is %#x, was %#x", when, at, a->name,
				    b->data[at], a->data[at]);
	}
}

unsigned int cntlid(struct nvme *guest)
{
	struct answers id = { };

	ask_identify(guest, &id, 0x01, 0);
	return id.answer->data[78] | id.answer->data[79] << 8;
}

void change_features(struct nvme *guest)
{
	nvme_set_feature(guest, NVME_FEAT_TEMP_THRESH, 0x1a5);
	nvme_set_feature(guest, NVME_FEAT_TEMP_THRESH, 0x10005a);
	nvme_set_feature(guest, NVME_FEAT_ASYNC_CONFIG, 0x113);
	nvme_set_feature(guest, 0x08, 0x0102);		/* Interrupt Coalescing */
	nvme_set_feature(guest, 0x0a, 1);		/* Write Atomicity Normal */
	nvme_admin(guest, (struct nvme_sqe){		/* Error Recovery */
		.opcode = NVME_SET_FEATURES,
		.nsid = guest->nsid,
		.cdw10 = 0x05,
		.cdw11 = 7,
	}, NULL, 0, NULL);
}

void drain_interrupts(void)
{
	int i;

	for (i = 0; i < n.vf->vectors; i++)
		while (vf_irq_pending(n.vf, i, 0))
			;
}

/* All SMART events, in Asynchronous Event Configuration */
#define SMART_EVENTS	0x1f
#define SMART_LOG	2

struct nvme_req *request_event(void)
{
	struct nvme_req *req;

	req = nvme_submit(n.queue, (struct nvme_sqe){ .opcode = NVME_ASYNC_EVENT });
	nvme_ring(&n, n.queue);
	return req;
}

int read_smart_log(unsigned char log[512])
{
	return nvme_admin(&n, (struct nvme_sqe){
		.opcode = NVME_GET_LOG,
		.nsid = ~0U,
		.cdw10 = (512 / 4 - 1) << 16 | SMART_LOG,
	}, log, 512, NULL);
}

/* Cause an event: any temperature exceeds 1 K. Reading the log allows the next event. */
void cause_event(void)
{
	unsigned char log[512];

	nvme_set_feature(&n, NVME_FEAT_TEMP_THRESH, 0x1ff);
	read_smart_log(log);
	nvme_set_feature(&n, NVME_FEAT_TEMP_THRESH, 1);
}

bool event_comes(struct nvme_req *req)
{
	time_t deadline = time(NULL) + 5;

	while (!req->done && time(NULL) <= deadline) {
		nvme_reap(&n, n.queue);
		usleep(1000);
	}
	return req->done;
}

struct nvme_req *start_with_events(void)
{
	struct nvme_req *req;

	start(1, 8, 8);
	doing("%s: an asynchronous event", n.vf->bdf);
	nvme_set_feature(&n, NVME_FEAT_ASYNC_CONFIG, SMART_EVENTS);
	req = request_event();
	cause_event();
	if (!event_comes(req))
		not_testable("a temperature threshold of 1 K causes no event within 5 s");
	req->busy = false;
	return request_event();
}

void check_event(struct nvme_req *req, const char *when)
{
	if (req->done)
		die("the event request completed %s, without an event", when);
	doing("%s: an asynchronous event", n.vf->bdf);
	cause_event();
	if (!event_comes(req))
		die("no event within 5 s %s", when);
	if (req->status & 0x7ff)
		die("the event request has status %#x %s", req->status, when);
}

static const struct {
	const char	*name;
	int		offset;
	bool		wide;
} registers[REGISTERS] = {
	{ "CAP", NVME_CAP, true },
	{ "CC", NVME_CC, false },
	{ "CSTS", NVME_CSTS, false },
	{ "AQA", NVME_AQA, false },
	{ "ASQ", NVME_ASQ, true },
	{ "ACQ", NVME_ACQ, true },
};

void read_registers(struct vf *of, __u64 values[REGISTERS])
{
	struct nvme on = { .vf = of };
	unsigned int i;

	for (i = 0; i < REGISTERS; i++)
		values[i] = registers[i].wide ? nvme_read64(&on, registers[i].offset) :
			    nvme_read32(&on, registers[i].offset);
}

void compare_registers(struct vf *of, const __u64 old[REGISTERS], const char *when)
{
	__u64 values[REGISTERS];
	unsigned int i;

	read_registers(of, values);
	for (i = 0; i < REGISTERS; i++)
		if (values[i] != old[i])
			die("%s: %s is %#llx %s, was %#llx", of->bdf, registers[i].name,
			    values[i], when, old[i]);
}

void leave_completions(void)
{
	struct nvme_queue *q;

	nvme_start_vectors(&n);
	for (q = n.queue->next; q; q = q->next) {
		io_submit(&n, q, 1);
		nvme_ring(&n, q);
		nvme_await(q, 1);
		vf_irq_pending(n.vf, q->vector, 1000);
	}
}

void check_interrupts(const char *when)
{
	struct nvme_queue *q;

	doing("%s: interrupts", n.vf->bdf);
	for (q = n.queue->next; q; q = q->next)
		if (!vf_irq_pending(n.vf, q->vector, 5000))
			die("vector %d has no interrupt within 5 s %s", q->vector, when);
	wait_for_io(when);
	if (!io_interrupts(&n))
		die("a later completion has no interrupt within 5 s %s", when);
}

bool last_command(const char *verb, struct command *c)
{
	static const char event[] =
		"nvmevf_command: vf=%15s verb=%15s opcode=%*s bytes=%*u error=%d status=%i";
	char *trace, *line, *rest;
	struct command next;
	bool found = false;

	if (!device.trace)
		return false;
	trace = trace_read();
	rest = trace;
	while ((line = strsep(&rest, "\n"))) {
		if (sscanf(line, event, next.vf, next.verb, &next.error, &next.status) != 4 ||
		    (verb && strcmp(next.verb, verb)))
			continue;
		*c = next;
		found = true;
	}
	free(trace);
	return found;
}

unsigned int nvme_timeout(void)
{
	char line[16];

	sysfs_read_line("/sys/module/nvme_core/parameters/admin_timeout", line, sizeof(line));
	return strtoul(line, NULL, 10);
}
