/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the driver does on the inside: each command that it sends, and each
 * stream that it refuses, even when the log has no room for one more line.
 */
#ifndef NVMEVF_TEST_TRACE_H
#define NVMEVF_TEST_TRACE_H

#include <stdbool.h>
#include <sys/types.h>

/* False if this kernel has no kprobe events. */
bool trace_open(void);
void trace_close(void);
void trace_clear(void);
/*
 * One line per event, of one process or (0) of all: the name of a command, or
 * "refuse ERROR FORMAT".
 */
char *trace_read(pid_t pid);

/* The driver's tracepoints. False if this kernel has none. */
bool events_open(void);
void events_close(void);
void events_clear(void);
/* One line per event: its name, a colon, its fields. */
char *events_read(void);
/* What programs learn about an event. */
char *events_format(const char *event);

/* How often functions of the driver were called, since calls_clear(). */
void calls_open(void);
void calls_close(void);
void calls_clear(void);
unsigned int calls_count(void);

/* The kernel's log since log_open(): is @text in it? */
void log_open(void);
bool log_has(const char *text);

#endif /* NVMEVF_TEST_TRACE_H */
