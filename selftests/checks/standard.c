// SPDX-License-Identifier: GPL-2.0-only
/* Check the requirements of chapter 8 of nvme.txt: the standard's commands. */
#include <stddef.h>

#include "../lib/mutate.h"
#include "checks.h"

#define HMLMS		0x08		/* in byte 257 of Identify Controller, OACS */
#define VIRT_MGMT	0x80		/* in byte 256 */
#define NOT_SUSPENDED	0x13a		/* the status */

/* The NVMe Controller State */
struct queues {
	__u16	version;
	__u16	sqs, cqs;
	__u16	rsvd;
};

struct sq {
	__u64	base;
	__u16	size, id, cqid, attributes, head, tail;
	__u32	rsvd;
};

struct cq {
	__u64	base;
	__u16	size, id, head, tail, attributes, vector;
	__u32	rsvd;
};

#define FIRST_PHASE	0x4		/* in the attributes of a completion queue */

void check_hmlms(void)
{
	struct answers a = { };

	if (!(device.id[257] & HMLMS))
		die("bit 11 of OACS is 0 at the PF, expected 1");
	open_vfs(1);
	doing("%s: enabling the controller", n.vf->bdf);
	nvme_enable(&n, 8, 8);
	ask_identify(&n, &a, 0x01, 0);
	if (a.answer->data[257] & HMLMS)
		die("bit 11 of OACS is 1 at %s, expected 0", n.vf->bdf);
}

void check_secondary(void)
{
	struct {
		__u16	id, primary;
		__u8	online, rsvd[3];
		__u16	number, rsvd2[11];
	} list[PAGE / 32];
	__u16 primary = device.id[78] | device.id[79] << 8;
	unsigned int i, k, count;
	int status;

	if (!(device.id[256] & VIRT_MGMT))
		die("bit 7 of OACS is 0 at the PF, expected 1");
	status = pf_identify(&device.pf, 0x15, 0, 0, list);
	if (status)
		die("Identify 15h of the PF has status %#x", status);
	count = *(__u8 *)list;
	for (i = 0; i < device.vfs; i++) {
		for (k = 1; k <= count && list[k].number != pf_vf_index(device.vf[i]); k++)
			;
		/* The list of more than 127 VFs has a second part. */
		if (k > count && count < ARRAY_SIZE(list) - 1)
			die("the Secondary Controller List lacks %s", device.vf[i]);
		if (k <= count && list[k].primary != primary)
			die("the entry of %s has the PCID %u, expected %u", device.vf[i],
			    list[k].primary, primary);
	}
}

void check_formats(void)
{
	static const __u8 none[16];
	__u8 list[PAGE];
	int status, i;
	__u16 version;

	status = pf_identify(&device.pf, 0x20, 0, 0, list);
	if (status)
		die("Identify 20h of the PF has status %#x", status);
	for (i = 0; i < list[0]; i++) {
		memcpy(&version, list + 2 + 2 * i, sizeof(version));
		if (!version)
			break;
	}
	if (i == list[0])
		die("version 0 is not among the %u versions", list[0]);
	if (!list[1] || !memcmp(list + 2 + 2 * list[0], none, sizeof(none)))
		die("there is no UUID, expected one");
}

void check_vf_refuses_standard(void)
{
	static const __u8 opcodes[] = { 0x41, 0x42 };

	/* no controller has this ID */
	check_refused(opcodes, ARRAY_SIZE(opcodes), (struct nvme_sqe){ .cdw11 = 0xffff });
}

static struct standard_header *header_of(const struct stream *s)
{
	return (void *)s->data + stream_state_at(s) + sizeof(struct nvmevf_record);
}

/* Save a guest with I/O in its queues. */
static void save_queues(struct stream *s)
{
	start(3, 8, 8);
	check_io("before SUSPEND");
	io_submit_all(&n, 5);
	suspend();
	save(s);
}

void check_header(void)
{
	const struct standard_header *h;
	struct stream s;
	__u64 size;

	save_queues(&s);
	h = header_of(&s);
	size = sizeof(*h) + 4 * (h->queues_size[0] + h->vendor_size[0]);
	if (h->version || h->queues_size[1] || h->vendor_size[1])
		die("version %u, upper words of the sizes %llu and %llu, expected 0", h->version,
		    h->queues_size[1], h->vendor_size[1]);
	if (!(h->attributes & 1))
		die("CSATTR is %#x, expected that bit 0 says suspended", h->attributes);
	if (size != stream_state_length(&s))
		die("NVMECSS and VSS tell of %llu bytes, the state has %llu", size,
		    stream_state_length(&s));
	if (size > 16 << 20)
		die("the state has %llu bytes, expected at most 16 MiB", size);
	if (!h->vendor_size[0])
		die("there is no vendor specific data");
	note("the state with %d I/O queues has %llu bytes", n.queues, size);
}

void check_state_queues(void)
{
	const struct queues *queues;
	const struct nvme_queue *q;
	const struct sq *sq;
	const struct cq *cq;
	struct stream s;
	int i;

	save_queues(&s);
	queues = (void *)(header_of(&s) + 1);
	sq = (void *)(queues + 1);
	cq = (void *)(sq + queues->sqs);
	if (queues->sqs != n.queues || queues->cqs != n.queues)
		die("%u submission and %u completion queues, expected %d", queues->sqs,
		    queues->cqs, n.queues);
	for (i = 0; i < n.queues; i++, sq++, cq++) {
		q = &n.queue[sq->id];
		if (!sq->id || sq->id > n.queues || sq->base != nvme_iova(&n, q->sq) ||
		    sq->size != q->sq_size - 1 || sq->cqid != sq->id)
			die("submission queue %u: base %#llx, size %u, completion queue %u",
			    sq->id, sq->base, sq->size, sq->cqid);
		q = &n.queue[cq->id];
		if (!cq->id || cq->id > n.queues || cq->base != nvme_iova(&n, q->cq) ||
		    cq->size != q->cq_size - 1 || cq->vector != q->vector)
			die("completion queue %u: base %#llx, size %u, vector %u", cq->id,
			    cq->base, cq->size, cq->vector);
		if (!(cq->attributes & FIRST_PHASE) != !(q->cq->status & 1))
			die("completion queue %u: S0PT is not the phase tag of entry 0", cq->id);
	}
}

void check_contradiction(void)
{
	struct stream s;
	struct sq *sq;

	save_queues(&s);
	sq = (void *)header_of(&s) + sizeof(struct standard_header) + sizeof(struct queues);
	sq->base += PAGE;
	mutate_fix_checksum(&s);
	vf_reset(n.vf);
	doing("%s: Set of a state with another base of a queue", n.vf->bdf);
	if (!try_load(n.vf, &s))
		not_testable("accepted, so there may be no queues in the vendor specific data");
}

void check_get_again(void)
{
	struct stream s, again;
	int fd;

	save_queues(&s);
	vf_enter_state(n.vf, VFIO_DEVICE_STATE_STOP, NULL);
	doing("%s: Get for the second time", n.vf->bdf);
	vf_enter_state(n.vf, VFIO_DEVICE_STATE_STOP_COPY, &fd);
	if (stream_read(&again, fd, n.chunk))
		die("it fails");
	close(fd);
	if (memcmp(header_of(&s), header_of(&again), sizeof(struct standard_header) +
		   4 * header_of(&s)->queues_size[0]))
		die("the second state has another NVMe Controller State");
	resume();
	wait_for_io("after Get and Resume");
	check_io("after Get and Resume");
}

void check_controller_reset_resumes(void)
{
	struct command last;

	start(NVME_QUEUES, 8, 8);
	suspend();
	io_submit_all(&n, 5);
	doing("%s: CC.EN cleared while suspended", n.vf->bdf);
	nvme_disable(&n, time(NULL) + PATIENCE);
	guest_freeze(&n);
	usleep(100000);
	guest_check_frozen(&n, "after CC.EN was cleared");
	doing("%s: Resume after CC.EN was cleared", n.vf->bdf);
	vf_enter_state(n.vf, VFIO_DEVICE_STATE_RUNNING, NULL);
	/* The driver then asks whether the VF is offline. */
	if (last_command("resume", &last) && (last.status & 0x7ff) != NOT_SUSPENDED)
		die("status %#x, expected %#x", last.status & 0x7ff, NOT_SUSPENDED);
	io_forget_unfinished(&n);
	start_guest(&n, NVME_QUEUES, 8, 8);
	check_io("after a controller reset");
}
