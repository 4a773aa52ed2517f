// SPDX-License-Identifier: GPL-2.0-only
/* Check the requirements of chapters 1 to 3 of nvme.txt: the commands. */
#include <stdint.h>
#include <sys/wait.h>

#include "../lib/mutate.h"
#include "checks.h"

void check_vf_refuses(void)
{
	static const __u8 opcodes[] = { 0xc4, 0xc8, 0xcc, 0xd2, 0xd5 };

	/* VF index 0 is none, so nothing happens even if the VF takes the command. */
	check_refused(opcodes, ARRAY_SIZE(opcodes), (struct nvme_sqe){ });
}

void check_byte(void)
{
	if (device.id[3072] != 1)
		die("byte 3072 of the PF's Identify Controller is %#x, expected 0x1",
		    device.id[3072]);
}

void check_effects(void)
{
	static const __u8 opcodes[] = { 0xc4, 0xc8, 0xcc, 0xd2, 0xd5 };
	__u32 effects[1024] = { };
	struct nvme_admin_cmd get_log = {
		.opcode = NVME_GET_LOG,
		.nsid = ~0U,
		.cdw10 = 0x05 | (ARRAY_SIZE(effects) - 1) << 16,
		.addr = (uintptr_t)effects,
		.data_len = sizeof(effects),
	};
	unsigned int i;
	int status;

	status = pf_admin(&device.pf, &get_log);
	if (status)
		die("reading the log has status %#x", status);
	for (i = 0; i < ARRAY_SIZE(opcodes); i++)
		if (!(effects[opcodes[i]] & 1))
			die("the entry of opcode %#x is %#x, expected CSUPP (bit 0) in it",
			    opcodes[i], effects[opcodes[i]]);
}

void check_named_vf(void)
{
	struct nvme_queue *q;
	struct nvme other;

	start(NVME_QUEUES, 8, 8);
	start_other(&other, 1);
	io_submit_all(&n, 5);
	io_submit_all(&other, 5);
	suspend();
	doing("%s: I/O while %s is suspended", other.vf->bdf, n.vf->bdf);
	io_check(&other);

	doing("%s: SUSPEND", other.vf->bdf);
	guest_suspend(&other);
	/* If the other VF is resumed as well, it has commands to execute. */
	for (q = other.queue->next; q; q = q->next)
		io_submit(&other, q, 5);
	guest_freeze(&other);
	nvme_ring_all(&other);
	resume();
	check_io("while the other VF is suspended");
	guest_check_frozen(&other, "while another VF was resumed");
	doing("%s: RESUME", other.vf->bdf);
	vf_enter_state(other.vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	io_check(&other);
}

static long long query_size(void)
{
	long long size;

	doing("%s: QUERY_DATA_SIZE", n.vf->bdf);
	size = vf_mig_data_size(n.vf);
	if (size < 0)
		die("refused with %s, expected a number of bytes above 0", strerror(-size));
	return size;
}

void check_size(void)
{
	long long size, again;

	start(NVME_QUEUES, 8, 8);
	query_size();
	suspend();
	size = query_size();
	again = query_size();
	if (size != again)
		die("%lld bytes, then %lld, while the VF is suspended", size, again);
}

void check_size_unnoticed(void)
{
	unsigned int i;

	start(NVME_QUEUES, 16, 16);
	ask_identity(&n, &was);
	for (i = 0; i < 50; i++) {
		io_submit_all(&n, 5);
		query_size();
		wait_for_io("while QUERY_DATA_SIZE runs");
	}
	ask_identity(&n, &now);
	compare_answers("after QUERY_DATA_SIZE");
	check_io("after QUERY_DATA_SIZE");
}

void check_drained(void)
{
	unsigned int i;

	start(NVME_QUEUES, 16, 16);
	for (i = 0; i < 20; i++) {
		io_submit_all(&n, 1 + i % 15);
		suspend();
		resume();
		wait_for_io("after SUSPEND and RESUME");
	}
	check_io("after SUSPEND and RESUME");
}

/* How long a VF must be quiet to count as suspended */
#define QUIET_US	100000

/* Commands for a queue: the disk has pieces for two such batches on all queues. */
#define BATCH		(CHUNKS / 2 / (NVME_QUEUES - 1))

/*
 * Submit, and ring the doorbells. The suspended VF must not write the guest's memory. The
 * copy of the memory is older than the doorbells: a VF that runs may complete all commands
 * while the copy is made.
 */
static void ring_while_suspended(const char *when)
{
	struct nvme_queue *q;

	for (q = n.queue->next; q; q = q->next)
		io_submit(&n, q, BATCH);
	guest_freeze(&n);
	nvme_ring_all(&n);
	usleep(QUIET_US);
	guest_check_frozen(&n, when);
}

void check_no_dma(void)
{
	unsigned int i;

	start(NVME_QUEUES, 16, 16);
	check_io("before SUSPEND");
	for (i = 0; i < 5; i++) {
		io_submit_all(&n, BATCH);
		suspend();
		guest_freeze(&n);
		usleep(QUIET_US);
		guest_check_frozen(&n, "after SUSPEND had completed");
		ring_while_suspended("when doorbells of the suspended VF were rung");
		vf_reset(n.vf);
		start_guest(&n, NVME_QUEUES, 16, 16);
	}
}

void check_no_interrupt(void)
{
	int i;

	start(NVME_QUEUES, 16, 16);
	io_submit_all(&n, BATCH);
	suspend();
	/* An interrupt from before may be on its way through the host. */
	usleep(QUIET_US);
	drain_interrupts();
	io_submit_all(&n, BATCH);
	usleep(QUIET_US);
	for (i = 0; i < n.vf->vectors; i++)
		if (vf_irq_pending(n.vf, i, 0))
			die("vector %d has an interrupt, expected none", i);
}

void check_event_stays(void)
{
	struct nvme_req *req = start_with_events();

	suspend();
	resume();
	check_io("after RESUME");
	check_event(req, "after SUSPEND and RESUME");
}

void check_registers_accessible(void)
{
	__u64 registers[REGISTERS];

	start(2, 8, 8);
	read_registers(n.vf, registers);
	suspend();
	doing("%s: reading registers", n.vf->bdf);
	compare_registers(n.vf, registers, "while the VF is suspended");
}

void check_resume(void)
{
	unsigned int i;

	start(NVME_QUEUES, 16, 16);
	for (i = 0; i < 5; i++) {
		suspend();
		io_submit_all(&n, 7);
		resume();
		wait_for_io("whose doorbells were rung before RESUME");
	}
	check_io("after RESUME");
}

void check_resume_interrupts(void)
{
	start(1, 8, 8);
	leave_completions();
	suspend();
	drain_interrupts();
	resume();
	check_interrupts("after RESUME");
}

void check_save(void)
{
	long long size;
	struct stream s;
	int queues;

	start(1, 8, 8);
	for (queues = 1; queues < NVME_QUEUES; queues += 3) {
		start_guest(&n, queues, 8, 8);
		io_submit_all(&n, 5);
		suspend();
		size = query_size();
		save(&s);
		if (size != (long long)s.len)
			die("the stream has %zu bytes, expected %lld as from QUERY_DATA_SIZE",
			    s.len, size);
		free(s.data);
		vf_reset(n.vf);
	}
}

/*
 * A saved state goes back into its VF, which was reset. That is the least that LOAD_DATA
 * must do; what else is in the state, or what another VF does, has requirements of its own.
 */
void check_load(void)
{
	struct stream s;
	unsigned int i;

	start(1, 8, 8);
	device.one_vf = true;
	for (i = 0; i < 3; i++) {
		io_submit_all(&n, 5);
		suspend();
		save(&s);
		load_suspended(&s);
		free(s.data);
		if (!(nvme_read32(&n, NVME_CC) & 1))
			die("CC.EN is 0, was 1 when the state was saved");
		resume();
		wait_for_io("after LOAD_DATA and RESUME");
	}
	check_io("after LOAD_DATA and RESUME");
}

void check_load_quiet(void)
{
	struct stream s;

	start(NVME_QUEUES, 16, 16);
	suspend();
	save(&s);
	load_suspended(&s);
	ring_while_suspended("between LOAD_DATA and RESUME");
	resume();
	wait_for_io("whose doorbells were rung before RESUME");
}

/* Move a guest between two VFs while a guest runs on a third VF. */
static void move_beside(struct nvme *other, void (*ask_other)(struct nvme *, struct answers *))
{
	unsigned int i;

	if (device.vfs < 3)
		not_testable("that takes three VFs, %u are here", device.vfs);
	start(NVME_QUEUES, 8, 8);
	start_other(other, 2);
	change_features(&n);
	ask_other(other, &was);
	for (i = 0; i < 3; i++) {
		io_submit_all(other, 5);
		move();
		doing("%s: I/O beside LOAD_DATA of %s", other->vf->bdf, n.vf->bdf);
		io_wait(other);
	}
	ask_other(other, &now);
}

void check_others(void)
{
	struct nvme other;

	move_beside(&other, ask_identity);
	compare_answers("another VF, after LOAD_DATA");
	io_check(&other);
}

void check_features_of_others(void)
{
	struct nvme other;

	move_beside(&other, ask_features);
	compare_answers("another VF, after LOAD_DATA");
}

/* Return the bytes of a stream in which a damage is the controller's to find. */
static unsigned char *opaque_part(const struct stream *s, size_t *len)
{
	unsigned char *state = s->data + PAYLOAD_AT;
	const struct standard_header *h = (void *)state;
	size_t rest;

	*len = stream_state_length(s);
	if (device.set != STANDARD)
		return state;
	/* Behind the header and the NVMe Controller State, which have no checksum. */
	rest = sizeof(*h) + 4 * h->queues_size[0];
	*len -= rest;
	return state + rest;
}

#define INVALID_FIELD	0x002

/* A good stream of the guest, and the VF that may load it. */
static struct vf *save_good(struct stream *good)
{
	struct vf *to;

	start(2, 8, 8);
	io_submit_all(&n, 5);
	suspend();
	save(good);
	to = target();
	if (to == n.vf)
		vf_reset(to);
	return to;
}

void check_damage(void)
{
	struct stream good, bad;
	struct command load;
	unsigned char *at;
	unsigned int i;
	struct vf *to;
	size_t len;

	to = save_good(&good);
	for (i = 0; i <= 32; i++) {
		bad = mutate_copy(&good);
		at = opaque_part(&bad, &len);
		at += i < 32 ? i * len / 32 : len - 1;
		*at ^= 1 << i % 8;
		mutate_fix_checksum(&bad);
		doing("%s: LOAD_DATA of a state whose byte %td has a wrong bit", to->bdf,
		      at - (bad.data + PAYLOAD_AT));
		if (!try_load(to, &bad))
			die("accepted, expected Invalid Field in Command");
		if (last_command(NULL, &load) && (load.status & 0x7ff) != INVALID_FIELD)
			die("refused with status %#x, expected %#x", load.status & 0x7ff,
			    INVALID_FIELD);
		free(bad.data);
	}
	doing("%s: LOAD_DATA of the good state", to->bdf);
	if (try_load(to, &good))
		die("refused, expected to be accepted after damaged ones were refused");
}

void check_failure_changes_nothing(void)
{
	__u64 registers[REGISTERS];
	struct stream s;
	unsigned char *at;
	struct vf *to;
	size_t len;
	int fd;

	to = save_good(&s);
	at = opaque_part(&s, &len);
	at[len / 2] ^= 1;
	mutate_fix_checksum(&s);
	guest_freeze(&n);
	read_registers(to, registers);
	doing("%s: LOAD_DATA of a damaged state", to->bdf);
	vf_enter_state(to, VFIO_DEVICE_STATE_RESUMING, &fd);
	if (!stream_write(&s, fd, n.chunk))
		not_testable("LOAD_DATA does not refuse a damaged state, see R24");
	compare_registers(to, registers, "after LOAD_DATA failed");
	guest_check_frozen(&n, "when LOAD_DATA failed");
	close(fd);
	vf_reset(to);
	n.vf = to;
	start_guest(&n, 2, 8, 8);
	check_io("after LOAD_DATA failed");
}

/* Save and run a VF of its own, some times. */
static void run_alone(unsigned int index)
{
	struct stream s;
	unsigned int i;

	init_guest(&n, vf, device.vf[index]);
	if (device.write)
		n.disk = (__u64)index * DISK_PART;
	start_guest(&n, 4, 8, 8);
	for (i = 0; i < 5; i++) {
		io_submit_all(&n, 5);
		suspend();
		save(&s);
		doing("%s: back to RUNNING", n.vf->bdf);
		guest_roll_back(&n);
		free(s.data);
		wait_for_io("beside the commands for other VFs");
	}
}

void check_concurrency(void)
{
	unsigned int i;
	int status;

	if (!device.nsid)
		not_testable("no namespace is attached to all VFs");
	for (i = 0; i < device.vfs; i++)
		if (!must(fork())) {
			run_alone(i);
			exit(MET);
		}
	for (i = 0; i < device.vfs; i++) {
		must(wait(&status));
		if (!WIFEXITED(status) || WEXITSTATUS(status))
			exit(NOT_MET);
	}
	note("with %u VFs", device.vfs);
}

/* Send each command once. What they do is the matter of other requirements. */
void check_time(void)
{
	static const struct {
		const char	*command;
		unsigned int	state;	/* 0: QUERY_DATA_SIZE */
	} steps[] = {
		{ "QUERY_DATA_SIZE", 0 },
		{ "SUSPEND", VFIO_DEVICE_STATE_RUNNING_P2P },
		{ "SAVE_DATA", VFIO_DEVICE_STATE_STOP_COPY },
		{ NULL, VFIO_DEVICE_STATE_STOP },
		{ NULL, VFIO_DEVICE_STATE_RUNNING_P2P },
		{ "LOAD_DATA and RESUME", VFIO_DEVICE_STATE_RUNNING },
	};
	long long began, ms, limit = 2000LL * nvme_timeout();
	char byte, took[256] = "";
	unsigned int i;
	int fd, ret;

	open_vfs(1);
	if (vf_mig_flags(n.vf) < 0)
		not_testable("the driver does not migrate the VFs; the kernel log has the reason");
	doing("%s: enabling the controller", n.vf->bdf);
	nvme_enable(&n, 8, 8);
	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		doing("%s: %s", n.vf->bdf, steps[i].command ?: "STOP");
		began = now_ms();
		fd = -1;
		if (steps[i].state)
			ret = vf_set_state(n.vf, steps[i].state, &fd);
		else
			ret = vf_mig_data_size(n.vf) < 0;
		if (fd >= 0) {
			/* the end of SAVE_DATA */
			while (read(fd, &byte, 1) > 0)
				;
			close(fd);
		}
		ms = now_ms() - began;
		if (ms >= limit)
			die("no answer within %lld ms; nvme resets the PF then", limit);
		if (steps[i].command)
			snprintf(took + strlen(took), sizeof(took) - strlen(took), "%s%s %lld ms",
				 *took ? ", " : "", steps[i].command, ms);
		if (ret)
			break;
	}
	note("%s; the limit is %lld ms", took, limit);
}

void check_fits(void)
{
	long long size;

	start(NVME_QUEUES, 8, 8);
	doing("%s: QUERY_DATA_SIZE", n.vf->bdf);
	size = vf_mig_data_size(n.vf);
	if (size == -E2BIG)
		die("the state with %d I/O queues is too large; the kernel log has the sizes",
		    n.queues);
	if (size > 0)
		note("the state with %d I/O queues has %lld bytes", n.queues,
		     size - (long long)(PAYLOAD_AT + END_SIZE));
}

void check_reset_ends_suspension(void)
{
	start(NVME_QUEUES, 8, 8);
	io_submit_all(&n, 5);
	suspend();
	doing("%s: function level reset", n.vf->bdf);
	vf_reset(n.vf);
	if (nvme_read32(&n, NVME_CC) & 1)
		die("CC.EN is 1 after the reset, expected 0");
	io_forget_unfinished(&n);
	start_guest(&n, NVME_QUEUES, 8, 8);
	check_io("after the reset of a suspended VF");
}

void check_controller_reset(void)
{
	start(NVME_QUEUES, 8, 8);
	io_submit_all(&n, 5);
	suspend();
	doing("%s: CC.EN cleared while suspended", n.vf->bdf);
	nvme_disable(&n, time(NULL) + PATIENCE);
	doing("%s: RESUME after CC.EN was cleared", n.vf->bdf);
	if (vf_set_state(n.vf, VFIO_DEVICE_STATE_RUNNING, NULL))
		die("refused, expected that the VF had remained suspended");
	io_forget_unfinished(&n);
	start_guest(&n, NVME_QUEUES, 8, 8);
	check_io("after a controller reset and RESUME");
}
