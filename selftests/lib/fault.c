// SPDX-License-Identifier: GPL-2.0-only
/* Have the device model misbehave. */
#include "fault.h"
#include "pf.h"
#include "util.h"
#include "vf.h"

/* Tests name the vendor's commands. With the standard's set, each stands for a verb. */
static enum fault_command in_set(enum fault_command command)
{
	static const enum fault_command verbs[][2] = {
		{ COMMAND_QUERY, COMMAND_STD_SIZE },
		{ COMMAND_SUSPEND, COMMAND_STD_SUSPEND },
		{ COMMAND_RESUME, COMMAND_STD_RESUME },
		{ COMMAND_SAVE, COMMAND_STD_GET },
		{ COMMAND_LOAD, COMMAND_STD_SET },
	};
	unsigned int i;

	for (i = 0; vf_standard() && i < ARRAY_SIZE(verbs); i++)
		if (verbs[i][0] == command)
			return verbs[i][1];
	return command;
}

bool fault_set_times(const char *bdf, enum fault_command command, enum fault_kind fault,
		     __u32 value, __u32 times)
{
	struct nvme_admin_cmd cmd = {
		.opcode = 0x09,		/* Set Features */
		.cdw10 = 0xc0,		/* vendor specific, the model's */
		.cdw11 = pf_vf_index(bdf) | in_set(command) << 16 | (__u32)fault << 24,
		.cdw12 = value,
		.cdw13 = times,
	};
	struct pf pf;

	pf_find(&pf, bdf);
	return !pf_admin(&pf, &cmd);
}

bool fault_set(const char *bdf, enum fault_command command, enum fault_kind fault,
	       __u32 value)
{
	return fault_set_times(bdf, command, fault, value, 0);
}

bool fault_set_once(const char *bdf, enum fault_command command, enum fault_kind fault,
		    __u32 value)
{
	return fault_set_times(bdf, command, fault, value, 1);
}

int fault_offline_result(enum fault_command command)
{
	/* With the standard's set, such a VF may get a state, but not one with queues. */
	return vf_standard() && command == COMMAND_LOAD ? -EINVAL : -EIO;
}

void fault_clear_all(const char *bdf)
{
	static const enum fault_command commands[] = {
#define COMMAND(name, opcode)	(opcode),
#define VERB(name, code)	(code),
#include "../testbed/qemu/faults.def"
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fault_set(bdf, commands[i], FAULT_NONE, 0);
}

static void set_jitter(const char *bdf, __u32 seed)
{
	/* The model has one jitter for all commands of a VF. */
	if (!fault_set(bdf, COMMAND_QUERY, FAULT_JITTER, seed))
		die("%s: setting the jitter failed", bdf);
}

void fault_jitter(const char *bdf, unsigned long seed)
{
	set_jitter(bdf, seed ?: 1);
}

void fault_no_jitter(const char *bdf)
{
	set_jitter(bdf, 0);
}
