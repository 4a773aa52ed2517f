/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The controller state of the device model, to change it. testbed/qemu/lm-state.c.inc
 * defines it; tests compare the sizes in the header with those here.
 */
#ifndef NVMEVF_TEST_STATE_H
#define NVMEVF_TEST_STATE_H

#include <linux/types.h>

#include "stream.h"

enum state_section {
	SECTION_CTRL,
	SECTION_CQ,
	SECTION_SQ,
	SECTION_REQ,
	SECTION_EVENT,
	SECTION_NS,
	SECTIONS,
};

struct state_header {
	char	magic[8];
	__u32	version;
	__u32	size;
	__u32	crc;
	__u32	rsvd;
	struct {
		__u32	len;		/* of one entry */
		__u32	count;
	} section[SECTIONS];
} __attribute__((packed));

struct state_ctrl {
	__u64	cap;
	__u32	vs;
	__u16	vid;
	__u16	did;
	__u32	effects;
	__u8	id[4096];		/* Identify Controller */
	__u32	queues;
	__u32	dmrsl;
	__u8	vsl;
	__u8	zasl;
	__u8	cache_off;
	__u8	rsvd1;
	__u32	cc;
	__u32	csts;
	__u32	intms;
	__u32	aqa;
	__u64	asq;
	__u64	acq;
	__u64	shadow;
	__u64	event_index;
	__u64	timestamp;
	__u64	timestamp_age_ms;
	__u64	uptime_ms;
	__u32	irq_status;
	__u32	async_config;
	__u32	atomic_max_write_size;
	__u16	temperature;
	__u16	temp_thresh_over;
	__u16	temp_thresh_under;
	__u8	smart_critical_warning;
	__u8	event_mask;
	__u8	queues_created;
	__u8	shadow_enabled;
	__u8	atomic_writes;
	__u8	dn;
	__u8	changed_namespaces[33];
	__u8	rsvd2[3];
	__u8	host_behavior[512];
} __attribute__((packed));

struct state_cq {
	__u64	address;
	__u32	size;
	__u32	head;
	__u32	tail;
	__u32	vector;
	__u16	id;
	__u8	interrupts;
	__u8	phase;
	__u32	rsvd;
} __attribute__((packed));

struct state_sq {
	__u64	address;
	__u32	size;
	__u32	head;
	__u32	tail;
	__u16	id;
	__u16	cq;
} __attribute__((packed));

struct state_req {
	__u32	result;
	__u32	dw1;
	__u16	sq;
	__u16	cid;
	__u16	status;
	__u8	is_event_request;
	__u8	rsvd;
} __attribute__((packed));

struct state_event {
	__u8	type;
	__u8	info;
	__u8	log;
	__u8	rsvd;
} __attribute__((packed));

struct state_ns {
	__u32	nsid;
	__u8	csi;
	__u8	flbas;
	__u8	dps;
	__u8	rsvd;
	__u64	blocks;
	__u64	eui64;
	__u8	uuid[16];
	__u8	nguid[16];
	__u32	error_recovery;
	__u32	identify;
} __attribute__((packed));

/* Return the state in a stream; end the test if there is none. */
struct state_header *state_of(const struct stream *s);
/* Return entry @index of a section, as the counts in the header place it. */
void *state_entry(struct state_header *state, enum state_section section, unsigned int index);
/* Make the checksum right of a state of @size bytes, which is in @s, and that of @s. */
void state_fix_checksums(struct stream *s, struct state_header *state, size_t size);

#endif /* NVMEVF_TEST_STATE_H */
