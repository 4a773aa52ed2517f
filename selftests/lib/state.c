// SPDX-License-Identifier: GPL-2.0-only
/* The controller state of the device model. */
#define _GNU_SOURCE
#include <string.h>

#include "mutate.h"
#include "state.h"
#include "util.h"

#define MAGIC	"QNVMELM"

static const unsigned int entry_sizes[SECTIONS] = {
	sizeof(struct state_ctrl),
	sizeof(struct state_cq),
	sizeof(struct state_sq),
	sizeof(struct state_req),
	sizeof(struct state_event),
	sizeof(struct state_ns),
};

struct state_header *state_of(const struct stream *s)
{
	struct state_header *state = memmem(s->data, s->len, MAGIC, sizeof(MAGIC));
	unsigned int i;

	if (!state)
		die("the stream has no state of the device model");
	for (i = 0; i < SECTIONS; i++)
		if (state->section[i].len != entry_sizes[i])
			die("section %u of the state has entries of %u bytes, expected %u", i,
			    state->section[i].len, entry_sizes[i]);
	return state;
}

void *state_entry(struct state_header *state, enum state_section section, unsigned int index)
{
	unsigned char *at = (unsigned char *)(state + 1);
	unsigned int i;

	if (index >= state->section[section].count)
		die("section %u of the state has %u entries", section,
		    state->section[section].count);
	for (i = 0; i < section; i++)
		at += (size_t)state->section[i].count * entry_sizes[i];
	return at + (size_t)index * entry_sizes[section];
}

void state_fix_checksums(struct stream *s, struct state_header *state, size_t size)
{
	state->crc = 0;
	state->crc = crc32c(state, size);
	mutate_fix_checksum(s);
}
