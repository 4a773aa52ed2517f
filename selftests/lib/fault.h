/* SPDX-License-Identifier: GPL-2.0-only */
/* Have the device model misbehave. */
#ifndef NVMEVF_TEST_FAULT_H
#define NVMEVF_TEST_FAULT_H

#include <stdbool.h>
#include <linux/types.h>

/* COMMAND_QUERY ... COMMAND_LOAD: opcodes; COMMAND_STD_SUSPEND ... COMMAND_STD_SIZE */
enum fault_command {
#define COMMAND(name, opcode)	COMMAND_##name = (opcode),
#define VERB(name, code)	COMMAND_##name = (code),
#include "../testbed/qemu/faults.def"
};

/* FAULT_NONE ... FAULT_OFFLINE; the table describes the value of each. */
enum fault_kind {
#define FAULT(name, kind)	FAULT_##name = (kind),
#include "../testbed/qemu/faults.def"
};

/*
 * Set a fault for each such command to this VF. Return false if the controller has
 * no such faults, i.e. is not the device model.
 */
bool fault_set(const char *bdf, enum fault_command command, enum fault_kind fault,
	       __u32 value);
/* Set a fault for the next @times such commands, or for the next one. */
bool fault_set_times(const char *bdf, enum fault_command command, enum fault_kind fault,
		     __u32 value, __u32 times);
bool fault_set_once(const char *bdf, enum fault_command command, enum fault_kind fault,
		    __u32 value);
/* Return the -errno that the driver makes of a command to a VF that is offline. */
int fault_offline_result(enum fault_command command);
/* Remove all faults of all commands to this VF, but not its jitter. */
void fault_clear_all(const char *bdf);
/* Delay commands and I/O of this VF at random, or end that. */
void fault_jitter(const char *bdf, unsigned long seed);
void fault_no_jitter(const char *bdf);

#endif /* NVMEVF_TEST_FAULT_H */
