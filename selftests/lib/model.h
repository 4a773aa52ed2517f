/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Model the migration states, the streams and the controller of a VF, to know what
 * each call on the VF must return.
 */
#ifndef NVMEVF_TEST_MODEL_H
#define NVMEVF_TEST_MODEL_H

#include "stream.h"
#include "vf.h"

#define STATES		(VFIO_DEVICE_STATE_PRE_COPY_P2P + 1)

#define STREAM_MAX	(1U << 20)

struct model;

enum model_command { QUERY, SUSPEND, RESUME, SAVE, LOAD, COMMANDS };

enum phase { PRECOPY, SAVING, SAVED, WRITING, LOADED };

/* The stream of a VF in a state that has one. */
struct model_data {
	bool		there, fresh;
	int		fd;		/* -1: closed */
	enum phase	phase;
	int		error;		/* of all further calls */
	bool		unsure;		/* a PF reset may have hit SAVE_DATA */
	unsigned char	*data;
	size_t		pos;
	size_t		state_at;	/* reading: the STATE record */
	size_t		len;		/* reading: not known before the state */
	size_t		most;		/* bytes at a time */
	/* writing: */
	size_t		good;		/* bytes before the damage */
	bool		damaged;	/* END cannot be accepted */
	__u64		life;
	unsigned int	id;		/* of the controller, in the state */
};

/* The log of what a VF writes, as the driver has it. */
struct model_log {
	bool		on;
	bool		armed;		/* the tracking is to begin when the VF runs */
	bool		lost;		/* each report fails */
	unsigned int	epoch;		/* of the PF, in which the tracking began */
};

/* What the models of all VFs of a PF share. */
struct model_pf {
	bool		bound;	/* to the nvme driver */
	unsigned int	epoch;	/* changes when the PF is reset or unbound */
	/* Return a random number below @bound. */
	unsigned int	(*below)(unsigned int bound);
	unsigned int	last_id;
	/* Return another VF that presents the controller ID @id, or NULL. */
	struct model	*(*presenter)(struct model *v, unsigned int id);
	/* Called when a VF was reset. */
	void		(*content_lost)(struct model *v);
	/* Called when a data_fd, which is still open, has lost its stream. */
	void		(*data_fd_died)(int fd, bool write_end);
};

/* A VF, and what its state must be. */
struct model {
	struct model_pf	*pf;
	struct vf	vf;
	unsigned int	state;
	struct model_data data;
	struct model_log log;
	bool		kept;		/* the driver has a saved state, only the vendor's set */
	bool		suspended, online;
	bool		stale;		/* the PF was reset since it was suspended */
	/*
	 * The guest's life whose queues the VF has, 0: none. Each resume begins a new
	 * life; a guest must not continue an older one.
	 */
	__u64		life;
	/* The controller ID: what the VF presents, its own, that of the kept or lost state. */
	unsigned int	id, own_id, kept_id, lost_id;
	bool		started;	/* enabled or resumed since its last reset */
	bool		away;		/* saved or loaded, and not resumed since */
	bool		lost;		/* and another VF has got the ID */
	int		fault[COMMANDS];	/* -errno of the command */
	int		size_fault[2];		/* running, suspended */
};

/* Each returns what the real call returns: 0 or -errno. */
int model_enter_state(struct model *v, unsigned int target);
int model_query_size(struct model *v);
/* Send a command to the controller. */
int model_command(struct model *v, enum model_command c);
/* Send LOAD_DATA with a state that has the controller ID @id. */
int model_load(struct model *v, unsigned int id);
/* Read @n bytes from a stream; may return less. */
long model_read(const struct model_data *d, size_t n);
/* Start, stop or read the log of what the VF writes. */
int model_log_start(struct model *v);
void model_log_stop(struct model *v);
int model_log_report(struct model *v);
/* Reset the VF by way of the driver, or behind the driver's back. */
void model_reset(struct model *v);
void model_lose_content(struct model *v);

/* Does the VF run in this state? */
bool model_is_running(unsigned int state);

#endif /* NVMEVF_TEST_MODEL_H */
