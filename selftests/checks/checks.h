/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The checks of the program "device": each tries one numbered requirement of nvme.txt.
 *
 * A check runs in a process of its own, whose exit status is its result. It writes lines to
 * its parent: "> " and what it does next, or "# " and text for the report. die() ends a
 * check, too: the requirement is not met.
 */
#ifndef NVMEVF_TEST_CHECKS_H
#define NVMEVF_TEST_CHECKS_H

#include <stdio.h>
#include <unistd.h>

#include "../lib/guest.h"
#include "../lib/io.h"
#include "../lib/nvme.h"
#include "../lib/pf.h"
#include "../lib/stream.h"
#include "../lib/util.h"
#include "../lib/vf.h"

#define VFS		16

enum result { MET, NOT_MET, NOT_TESTABLE };

/* Command sets, as bits */
#define VENDOR		(1 << NVMEVF_COMMAND_SET_VENDOR)
#define STANDARD	(1 << NVMEVF_COMMAND_SET_STANDARD)
#define BOTH		(VENDOR | STANDARD)

/* What there is to try: found once, and constant while a check runs. */
struct device {
	struct pf	pf;
	unsigned char	id[PAGE];	/* its Identify Controller */
	unsigned int	announced;	/* command sets */
	unsigned int	set;		/* the one that the driver uses */
	char		vf[VFS][16];
	unsigned int	vfs;
	__u32		nsid;		/* 0: no namespace is attached to all VFs */
	bool		write;
	unsigned int	max_pages;	/* of an I/O command */
	bool		no_compare;
	bool		one_vf;		/* a VF does not take the state of another */
	bool		trace;
};

extern struct device device;

/* The guest of a check, and the VFs that it has opened. It begins on the first one. */
extern struct nvme n;
extern struct vf vf[VFS];

/* Tell the parent what comes next, or a text for the report. */
#define doing(fmt, ...)	dprintf(STDOUT_FILENO, "> " fmt "\n", ##__VA_ARGS__)
#define note(fmt, ...)	dprintf(STDOUT_FILENO, "# " fmt "\n", ##__VA_ARGS__)

#define not_testable(fmt, ...) do {					\
	note(fmt, ##__VA_ARGS__);					\
	exit(NOT_TESTABLE);						\
} while (0)

/*
 * What a guest and its VMM do
 */

/* Open the first @count VFs for the guest. */
void open_vfs(unsigned int count);
/* Open the VF @bdf for @guest, with memory of its own. */
void init_guest(struct nvme *guest, struct vf *on, const char *bdf);
/* Enable the controller, and create queues. */
void start_guest(struct nvme *guest, int queues, unsigned int sq_size, unsigned int cq_size);
/* Open two VFs, and start the guest on the first. */
void start(int queues, unsigned int sq_size, unsigned int cq_size);
/* Start a second guest, on another VF. The first one does not use this VF. */
void start_other(struct nvme *other, unsigned int index);
void suspend(void);
void resume(void);
void save(struct stream *s);
/* Return the VF that gets the state of the guest's: the other one or, if need be, the same. */
struct vf *target(void);
/* Load @s into target(), and leave it suspended. The guest's memory must not change. */
void load_suspended(const struct stream *s);
/* Move the guest: SUSPEND, SAVE_DATA, LOAD_DATA and RESUME; and reset the old VF. */
void move(void);
void move_with(void (*while_suspended)(void));
/* Load @s into @to, which is reset afterward. Return 0 or -errno. */
int try_load(struct vf *to, const struct stream *s);

/* Send @sqe with each of the opcodes to a VF. It must know none. */
void check_refused(const __u8 *opcodes, unsigned int count, struct nvme_sqe sqe);
void wait_for_io(const char *when);
void check_io(const char *when);
/* Leave a completion on each queue, whose interrupt was taken. */
void leave_completions(void);
void drain_interrupts(void);
void check_interrupts(const char *when);
/* Start a guest that has event requests; return one that is outstanding. */
struct nvme_req *start_with_events(void);
struct nvme_req *request_event(void);
void cause_event(void);
bool event_comes(struct nvme_req *req);
void check_event(struct nvme_req *req, const char *when);
/* Return the status. */
int read_smart_log(unsigned char log[512]);
/* Set features to other values than the default ones. Those that the VF lacks stay. */
void change_features(struct nvme *guest);

/*
 * What a guest can read
 */

#define REGISTERS	6	/* that a guest depends on */

void read_registers(struct vf *of, __u64 values[REGISTERS]);
/* Compare the registers with their @old values. */
void compare_registers(struct vf *of, const __u64 old[REGISTERS], const char *when);

/* What a controller returns: the status, dword 0 and the data of each command */
struct answers {
	unsigned int	count;
	struct answer {
		char		name[40];
		int		status;
		__u32		result;
		unsigned char	data[PAGE];
	} answer[64];
};

extern struct answers was, now;

void ask_identify(struct nvme *guest, struct answers *to, __u8 cns, __u32 nsid);
void ask_identity(struct nvme *guest, struct answers *to);
void ask_namespaces(struct nvme *guest, struct answers *to);
void ask_features(struct nvme *guest, struct answers *to);
/* Compare "was" and "now". */
void compare_answers(const char *when);
unsigned int cntlid(struct nvme *guest);

/*
 * What the host can see
 */

struct command {
	char	vf[16], verb[16];
	int	error, status;
};

/*
 * Find the last command that the driver sent, or the last one of @verb if that is not NULL;
 * return false if there is none in the trace.
 */
bool last_command(const char *verb, struct command *c);
/* Return the parameter admin_timeout of nvme, in seconds. */
unsigned int nvme_timeout(void);

/*
 * The checks, see the table of requirements
 */

/* commands.c */
void check_vf_refuses(void);
void check_byte(void);
void check_effects(void);
void check_named_vf(void);
void check_size(void);
void check_size_unnoticed(void);
void check_drained(void);
void check_no_dma(void);
void check_no_interrupt(void);
void check_event_stays(void);
void check_registers_accessible(void);
void check_resume(void);
void check_resume_interrupts(void);
void check_save(void);
void check_load(void);
void check_load_quiet(void);
void check_others(void);
void check_failure_changes_nothing(void);
void check_damage(void);
void check_concurrency(void);
void check_time(void);
void check_fits(void);
void check_reset_ends_suspension(void);
void check_controller_reset(void);

/* state.c */
void check_registers(void);
void check_queues(void);
void check_full_queue(void);
void check_events(void);
void check_features(void);
void check_shadow_doorbells(void);
void check_due_interrupts(void);
void check_features_of_others(void);
void check_identity(void);
void check_namespaces(void);
void check_identity_lasts(void);
void check_running_identity(void);
void check_taken_back(void);
void check_new_id(void);
void check_id_for_host(void);
void check_power_on_hours(void);
void check_buffers(void);

/* standard.c */
void check_hmlms(void);
void check_secondary(void);
void check_formats(void);
void check_vf_refuses_standard(void);
void check_header(void);
void check_state_queues(void);
void check_contradiction(void);
void check_get_again(void);
void check_controller_reset_resumes(void);

#endif /* NVMEVF_TEST_CHECKS_H */
