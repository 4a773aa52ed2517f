// SPDX-License-Identifier: GPL-2.0-only
/* Check the requirements of chapter 4 of nvme.txt: what a state has. */
#include "checks.h"

void check_registers(void)
{
	__u64 registers[REGISTERS];

	start(2, 8, 8);
	read_registers(n.vf, registers);
	move();
	compare_registers(n.vf, registers, "after LOAD_DATA and RESUME");
}

void check_queues(void)
{
	const struct nvme_sqe sqe = {
		.opcode = NVME_GET_FEATURES,
		.cdw10 = NVME_FEAT_NUM_QUEUES,
	};
	struct nvme_req *req;
	unsigned int i;

	/* each position of queues of different sizes, in both phases */
	start(1, 4, 5);
	for (i = 0; i < 40; i++) {
		req = nvme_submit(n.queue, sqe);
		io_submit_all(&n, 1);
		wait_for_io("after a move");
		if (i % 2)
			move();
		nvme_ring(&n, n.queue);
		doing("%s: an admin command after a move", n.vf->bdf);
		nvme_finish(&n, req, NULL);
	}
	check_io("after moves");

	/* completion queues that always have room: R38 is about others */
	start_guest(&n, NVME_QUEUES, 11, 16);
	for (i = 0; i < 10; i++) {
		io_leave_unfinished(&n);
		move();
		nvme_ring_all(&n);
		if (i % 2)
			wait_for_io("after a move");
	}
	wait_for_io("after moves");
	check_io("after moves");
}

void check_full_queue(void)
{
	struct nvme_queue *q;
	unsigned int i;

	/* the commands of more queues would need more pieces of the disk */
	start(1 + CHUNKS / 15, 16, 4);
	for (i = 0; i < 4; i++) {
		for (q = n.queue->next; q; q = q->next) {
			io_submit(&n, q, 15);
			nvme_ring(&n, q);
			nvme_await(q, 3);
		}
		move();
		wait_for_io("with full completion queues, after a move");
	}
	check_io("after moves");
}

void check_events(void)
{
	struct nvme_req *req = start_with_events();

	move();
	check_io("after a move");
	check_event(req, "after a move");
	req->busy = false;

	/* an event that waits for a request */
	cause_event();
	move();
	req = request_event();
	if (!event_comes(req))
		die("an event from before the move does not complete a later request");
}

/* Set or get the timestamp, in milliseconds; return the status. */
static int transfer_timestamp(__u8 opcode, __u64 *ms)
{
	const struct nvme_sqe sqe = { .opcode = opcode, .cdw10 = NVME_FEAT_TIMESTAMP };
	int status = nvme_admin(&n, sqe, ms, sizeof(*ms), NULL);

	/* the upper bytes tell where it is from */
	*ms &= (1ULL << 48) - 1;
	return status;
}

static void check_timestamp(void)
{
	__u64 from = 0x123456789000, ms = from;

	doing("%s: the timestamp", n.vf->bdf);
	if (transfer_timestamp(NVME_SET_FEATURES, &ms))
		return;
	move();
	transfer_timestamp(NVME_GET_FEATURES, &ms);
	if (ms < from || ms > from + 600000)
		die("the timestamp is %#llx, was %#llx", ms, from);
}

void check_features(void)
{
	start(2, 8, 8);
	change_features(&n);
	ask_features(&n, &was);
	move();
	ask_features(&n, &now);
	compare_answers("after a move");
	check_timestamp();
}

void check_shadow_doorbells(void)
{
	unsigned int i;

	start(1, 8, 8);
	nvme_delete_queue(&n);
	if (!nvme_shadow_doorbells(&n))
		not_testable("the VF has no Doorbell Buffer Config");
	nvme_create_queue(&n, 11, 16);
	check_io("with shadow doorbells");
	for (i = 0; i < 10; i++) {
		io_leave_unfinished(&n);
		move();
		nvme_ring_all(&n);
		wait_for_io("with shadow doorbells, after a move");
	}
	check_io("with shadow doorbells, after moves");
}

void check_due_interrupts(void)
{
	start(1, 8, 8);
	leave_completions();
	move_with(drain_interrupts);
	check_interrupts("after a move");
}

void check_identity(void)
{
	device.one_vf = false;
	start(2, 8, 8);
	ask_identity(&n, &was);
	move();
	ask_identity(&n, &now);
	compare_answers("after a move");
}

void check_namespaces(void)
{
	start(2, 8, 8);
	ask_namespaces(&n, &was);
	move();
	ask_namespaces(&n, &now);
	compare_answers("after a move");
}

void check_identity_lasts(void)
{
	start(2, 8, 8);
	ask_identity(&n, &was);
	move();
	start_guest(&n, 2, 8, 8);
	ask_identity(&n, &now);
	compare_answers("after a move and a controller reset");
	vf_reset(n.vf);
	start_guest(&n, 2, 8, 8);
	ask_identity(&n, &now);
	compare_answers("after a move and a function level reset");
}

void check_running_identity(void)
{
	struct stream s;

	start(2, 8, 8);
	suspend();
	save(&s);
	doing("%s: back to RUNNING", n.vf->bdf);
	guest_roll_back(&n);
	doing("%s: LOAD_DATA of the state of %s, which runs", vf[1].bdf, vf[0].bdf);
	if (!try_load(&vf[1], &s))
		die("accepted, expected to be refused: two controllers have one ID");
	check_io("while another VF got the state");
}

/* The state is loaded elsewhere, and then the source takes it back. */
void check_taken_back(void)
{
	struct stream s;
	int fd;

	start(2, 8, 8);
	ask_identity(&n, &was);
	suspend();
	save(&s);
	doing("%s: LOAD_DATA of what %s saved", vf[1].bdf, vf[0].bdf);
	vf_enter_state(&vf[1], VFIO_DEVICE_STATE_RESUMING, &fd);
	if (stream_write(&s, fd, n.chunk))
		die("refused, expected to be accepted");
	close(fd);
	vf_enter_state(&vf[1], VFIO_DEVICE_STATE_STOP, NULL);
	doing("%s: back to RUNNING", n.vf->bdf);
	guest_roll_back(&n);
	ask_identity(&n, &now);
	compare_answers("when the migration was called off");
	doing("%s: RESUME, while %s runs with the same identity", vf[1].bdf, vf[0].bdf);
	if (!vf_set_state(&vf[1], VFIO_DEVICE_STATE_RUNNING, NULL))
		die("it succeeds, expected to fail");
	check_io("when the migration was called off");
}

/* Before the state is loaded elsewhere, the next guest has the VF. */
void check_new_id(void)
{
	struct nvme other;
	struct stream s;
	unsigned int id;

	start(2, 8, 8);
	id = cntlid(&n);
	suspend();
	save(&s);
	start_other(&other, 0);
	if (cntlid(&other) == id)
		die("%s presents the controller ID %u to the next guest, as in the saved state",
		    vf[0].bdf, id);
	load_suspended(&s);
	resume();
	if (cntlid(&n) != id)
		die("the state of %s has the controller ID %u, %s presents %u", vf[0].bdf, id,
		    n.vf->bdf, cntlid(&n));
	if (cntlid(&other) == id)
		die("%s and %s present the controller ID %u", vf[0].bdf, n.vf->bdf, id);
}

void check_id_for_host(void)
{
	unsigned int i, id[2];
	char list[PAGE];

	if (pf_identify(&device.pf, 0x15, 0, 0, list))
		not_testable("the PF has no Secondary Controller List");
	for (i = 0; i < 2; i++)
		id[i] = pf_vf_cntlid(device.vf[i]);
	start(2, 8, 8);
	move();
	for (i = 0; i < 2; i++)
		if (pf_vf_cntlid(device.vf[i]) != id[i])
			die("the Secondary Controller List has the ID %u for %s, had %u",
			    pf_vf_cntlid(device.vf[i]), device.vf[i], id[i]);
}

void check_power_on_hours(void)
{
	unsigned char log[512];
	__u64 hours, hours_now;

	start(2, 8, 8);
	if (read_smart_log(log))
		not_testable("the VF has no SMART log");
	memcpy(&hours, log + 128, sizeof(hours));
	move();
	read_smart_log(log);
	memcpy(&hours_now, log + 128, sizeof(hours_now));
	if (hours_now < hours || hours_now > hours + 1)
		die("%llu after a move, was %llu", hours_now, hours);
}

void check_buffers(void)
{
	struct answers id = { };
	__u32 host_buffer;
	__u64 cap;

	open_vfs(1);
	nvme_enable(&n, 8, 8);
	cap = nvme_read64(&n, NVME_CAP);
	ask_identify(&n, &id, 0x01, 0);
	memcpy(&host_buffer, id.answer->data + 272, sizeof(host_buffer));
	if (cap >> 56 & 3 || host_buffer)
		not_testable("VFs have such a buffer, which this program does not use");
	note("VFs have none");
}
