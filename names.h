/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of verbs and migration states, for tracepoints and debugfs.
 */
#ifndef NVMEVF_NAMES_H
#define NVMEVF_NAMES_H

#include <linux/vfio.h>

/* What a command does, in whichever command set. */
enum nvmevf_verb {
	NVMEVF_VERB_IDENTIFY,
	NVMEVF_VERB_SIZE,
	NVMEVF_VERB_SUSPEND,
	NVMEVF_VERB_RESUME,
	NVMEVF_VERB_SAVE,
	NVMEVF_VERB_LOAD,
	NVMEVF_VERB_TRACK_START,
	NVMEVF_VERB_TRACK_READ,
	NVMEVF_VERB_TRACK_STOP,
	NVMEVF_VERB_COUNT,
};

static inline const char *nvmevf_verb_name(enum nvmevf_verb verb)
{
	static const char * const names[] = {
		[NVMEVF_VERB_IDENTIFY]	  = "identify",
		[NVMEVF_VERB_SIZE]	  = "size",
		[NVMEVF_VERB_SUSPEND]	  = "suspend",
		[NVMEVF_VERB_RESUME]	  = "resume",
		[NVMEVF_VERB_SAVE]	  = "save",
		[NVMEVF_VERB_LOAD]	  = "load",
		[NVMEVF_VERB_TRACK_START] = "track_start",
		[NVMEVF_VERB_TRACK_READ]  = "track_read",
		[NVMEVF_VERB_TRACK_STOP]  = "track_stop",
	};

	static_assert(ARRAY_SIZE(names) == NVMEVF_VERB_COUNT);
	return names[verb];
}

static inline const char *nvmevf_state_name(enum vfio_device_mig_state state)
{
	static const char * const names[] = {
		[VFIO_DEVICE_STATE_ERROR]	 = "ERROR",
		[VFIO_DEVICE_STATE_STOP]	 = "STOP",
		[VFIO_DEVICE_STATE_RUNNING]	 = "RUNNING",
		[VFIO_DEVICE_STATE_STOP_COPY]	 = "STOP_COPY",
		[VFIO_DEVICE_STATE_RESUMING]	 = "RESUMING",
		[VFIO_DEVICE_STATE_RUNNING_P2P]	 = "RUNNING_P2P",
		[VFIO_DEVICE_STATE_PRE_COPY]	 = "PRE_COPY",
		[VFIO_DEVICE_STATE_PRE_COPY_P2P] = "PRE_COPY_P2P",
	};

	static_assert(ARRAY_SIZE(names) == VFIO_DEVICE_STATE_NR);
	return names[state];
}

#endif /* NVMEVF_NAMES_H */
