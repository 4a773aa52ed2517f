/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Observe the driver: its tracepoints, the kernel's log, and how often its functions
 * are called.
 */
#ifndef NVMEVF_TEST_TRACE_H
#define NVMEVF_TEST_TRACE_H

#include <stdbool.h>

#include "fault.h"

/* Record the driver's events; return false if the kernel has no tracefs. */
bool trace_open(void);
/* Record only the end of commands: each other event takes time of its own. */
bool trace_open_commands(void);
/* Record commands and refusals only: of many calls, all events are too many. */
bool trace_open_steps(void);
void trace_close(void);
/* Forget the events so far. Begin and end of one command must not be separated. */
void trace_clear(void);
/* Return the events so far, one a line: name, colon, fields. */
char *trace_read(void);
/*
 * Return the commands and refusals so far of one VF or, if NULL, of all VFs. One a
 * line: the verb of a command that was begun, or "refused ERROR MESSAGE".
 */
char *trace_steps(const char *bdf);
/* Return how many such commands have begun and not ended, of all VFs. */
unsigned int trace_pending(enum fault_command command);
/* Return the text that describes an event's fields to programs. */
char *trace_format(const char *event);

/* Count the calls of the driver's functions since calls_clear(). */
void calls_open(void);
void calls_close(void);
void calls_clear(void);
unsigned int calls_count(void);

/* Count the allocations that the driver makes for this thread since allocations_clear(). */
void allocations_open(void);
void allocations_close(void);
void allocations_clear(void);
unsigned int allocations_count(void);

/*
 * Record the commands that nvme sends to the admin queue of a controller; return
 * false if the kernel has no such tracepoint.
 */
bool sent_open(unsigned int controller);
void sent_close(void);
void sent_clear(void);
/*
 * Return how many commands were sent since sent_clear(), and the fields of the
 * last one as text, from "nsid=" on. @last may be NULL.
 */
unsigned int sent_read(char *last, size_t size);

/*
 * Follow the kernel's log: does a line since log_open(), or since the last match, contain
 * @pattern of fnmatch(3)?
 */
void log_open(void);
bool log_has(const char *pattern);
/* Remember the end of the log, and wait for a line after it. log_has() finds the line, too. */
int log_mark(void);
void log_await(int mark, const char *pattern);

#endif /* NVMEVF_TEST_TRACE_H */
