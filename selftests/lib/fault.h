/* SPDX-License-Identifier: GPL-2.0-only */
/* Have the device model misbehave. */
#ifndef NVMEVF_TEST_FAULT_H
#define NVMEVF_TEST_FAULT_H

#include <stdbool.h>
#include <linux/types.h>

enum fault_command {
	COMMAND_QUERY	= 0xc4,
	COMMAND_SUSPEND	= 0xc8,
	COMMAND_RESUME	= 0xcc,
	COMMAND_SAVE		= 0xd2,
	COMMAND_LOAD		= 0xd5,
};

enum fault_kind {
	FAULT_NONE		= 0,	/* removes all faults of the command */
	FAULT_DELAY		= 1,	/* ms */
	FAULT_STATUS		= 2,	/* status of the failure */
	FAULT_NEVER		= 3,	/* no answer */
	FAULT_SIZE		= 4,	/* QUERY: bytes of state of a running VF */
	FAULT_SIZE_IDLE	= 5,	/* ... of a suspended one */
	FAULT_DAMAGE		= 6,	/* SAVE, LOAD: offset of a byte */
	FAULT_LENGTH		= 7,	/* SAVE, LOAD: bytes that are transferred */
	FAULT_FAIL		= 8,	/* of the controller: 0 the PF's, 1 the VF's */
	FAULT_OFFLINE	= 9,	/* the VF is */
};

/*
 * Set a fault for each such command to this VF. Return false if the controller has
 * no such faults, i.e. is not the device model.
 */
bool fault_set(const char *bdf, enum fault_command command, enum fault_kind fault,
	       __u32 value);
/* Set a fault for the next such command only. */
bool fault_set_once(const char *bdf, enum fault_command command, enum fault_kind fault,
		    __u32 value);
/* Remove all faults of all commands to this VF. */
void fault_clear_all(const char *bdf);

#endif /* NVMEVF_TEST_FAULT_H */
