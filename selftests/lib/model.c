// SPDX-License-Identifier: GPL-2.0-only
/* Model the migration states, the streams and the controller of a VF. */
#include "model.h"
#include "util.h"

bool model_is_running(unsigned int state)
{
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/* Does no guest depend on the ID that the VF presents? */
static bool may_yield(const struct model *v)
{
	return v->away || !v->started || (vf_standard() && v->suspended);
}

/* Let another VF present the ID of this one. */
static void yield(struct model *v)
{
	if (!v->lost)
		v->lost_id = v->id;
	v->lost = v->away || (vf_standard() && v->started && v->suspended);
	v->id = ++v->pf->last_id;
}

/* With the standard's set, present the ID of the state again, unless another VF runs with it. */
static bool regain(struct model *v)
{
	struct model *other;

	if (!v->lost)
		return true;
	other = vf_standard() ? v->pf->presenter(v, v->lost_id) : NULL;
	if (!vf_standard() || (other && !may_yield(other)))
		return false;
	if (other)
		yield(other);
	v->id = v->lost_id;
	v->lost = false;
	return true;
}

int model_command(struct model *v, enum model_command c)
{
	if (!v->pf->bound)
		return -ENODEV;
	/* The standard's commands decide themselves about a VF that is offline. */
	if (!v->online && !vf_standard())
		return -EIO;
	if (v->fault[c])
		return v->fault[c];
	/* A VF that is offline could only take a state without queues. */
	if (!v->online && c == LOAD)
		return -EINVAL;
	if (!v->online)
		return -EIO;

	switch (c) {
	case SUSPEND:
		v->suspended = true;
		return 0;
	case RESUME:
		/* Controller Not Suspended is what the driver wants. */
		if (!v->suspended && vf_standard())
			return 0;
		if (!v->suspended || !regain(v))
			return -EPROTO;
		v->suspended = false;
		v->away = false;
		v->started = true;
		return 0;
	case SAVE:
		if (vf_standard() && !v->suspended)
			return -EIO;
		if (!v->suspended || (v->lost && !vf_standard()))
			return -EPROTO;
		v->away = true;
		return 0;
	case LOAD:
		return v->suspended ? 0 : -EPROTO;
	default:
		return 0;
	}
}

int model_load(struct model *v, unsigned int id)
{
	int ret = model_command(v, LOAD);
	struct model *other = v->pf->presenter(v, id);

	if (ret)
		return ret;
	if (other) {
		if (!may_yield(other))
			return -EINVAL;
		yield(other);
	}
	v->id = id;
	v->away = true;
	v->lost = false;
	return 0;
}

void model_lose_content(struct model *v)
{
	if (!v->online)
		v->id = v->own_id;
	else if (v->away || v->pf->presenter(v, v->id))
		v->id = ++v->pf->last_id;
	v->away = false;
	v->lost = false;
	v->started = false;
	v->suspended = false;
	v->life = 0;
	v->pf->content_lost(v);
}

static void kill_data(struct model *v)
{
	struct model_data *d = &v->data;

	if (!d->there)
		return;
	d->there = false;
	free(d->data);
	if (d->fd >= 0)
		v->pf->data_fd_died(d->fd, d->phase >= WRITING);
}

static void open_data(struct model *v, enum phase phase)
{
	static const size_t sizes[] = { 256, 4096, STREAM_MAX, STREAM_MAX };

	v->data = (struct model_data){
		.there = true,
		.fresh = true,
		.fd = -1,
		.phase = phase,
		.state_at = STATE_AT,
		.data = malloc(STREAM_MAX),
		.most = sizes[v->pf->below(ARRAY_SIZE(sizes))],
	};
}

int model_query_size(struct model *v)
{
	int fault, ret;

	if (v->kept)
		return 0;
	ret = model_command(v, QUERY);
	fault = v->size_fault[v->suspended];
	if (!ret && fault)
		ret = fault > 0 ? 0 : fault;
	return ret;
}

static void save(struct model *v)
{
	struct model_data *d = &v->data;

	d->life = v->life;
	d->id = v->kept ? v->kept_id : v->lost ? v->lost_id : v->id;
	if (v->kept) {
		v->kept = false;
		d->phase = SAVED;
		return;
	}
	d->error = model_command(v, SAVE);
	d->phase = SAVING;
}

int model_log_start(struct model *v)
{
	bool running = model_is_running(v->state);

	if (v->state == VFIO_DEVICE_STATE_ERROR)
		return -EIO;
	if (!running && (v->stale || !v->pf->bound))
		return -ENODEV;
	if (v->log.on)
		return -EINVAL;
	if (!v->pf->bound)
		return -ENODEV;
	/* The controller does not track a VF that is offline. */
	if (running && !v->online)
		return -EIO;
	v->log = (struct model_log){
		.on = true,
		.armed = !running,
		.epoch = v->pf->epoch,
	};
	return 0;
}

void model_log_stop(struct model *v)
{
	v->log = (struct model_log){};
}

int model_log_report(struct model *v)
{
	if (!v->log.on)
		return -EINVAL;
	if (v->log.epoch != v->pf->epoch)
		v->log.lost = true;
	return v->log.lost ? -EIO : 0;
}

/* The VF was resumed or reset. */
static void begin_tracking(struct model *v)
{
	if (!v->log.armed || v->log.lost)
		return;
	v->log.armed = false;
	v->log.epoch = v->pf->epoch;
	v->log.lost = !v->pf->bound || !v->online;
}

/*
 * With the standard's set, the driver asks whether the VF has I/O queues, and if so, resets and
 * suspends it. The VFs of a guest have queues. If SUSPEND fails, the VF runs.
 */
static int reset_queues(struct model *v)
{
	int ret;

	if (!vf_standard())
		return 0;
	ret = model_query_size(v);
	if (ret || !v->life)
		return ret;
	model_lose_content(v);
	ret = model_command(v, SUSPEND);
	if (ret) {
		v->state = VFIO_DEVICE_STATE_RUNNING;
		begin_tracking(v);
	}
	return ret;
}

#define ARC(cur, new) \
	(VFIO_DEVICE_STATE_##cur * STATES + VFIO_DEVICE_STATE_##new)

static int arc(struct model *v, unsigned int next)
{
	struct model_data *d = &v->data;
	int ret = 0;

	switch (v->state * STATES + next) {
	case ARC(RUNNING, RUNNING_P2P):
	case ARC(PRE_COPY, PRE_COPY_P2P):
		ret = model_command(v, SUSPEND);
		if (!ret)
			v->stale = false;
		break;
	case ARC(RUNNING_P2P, RUNNING):
	case ARC(PRE_COPY_P2P, PRE_COPY):
		if (v->kept)
			ret = model_load(v, v->kept_id);
		if (ret)
			break;
		v->kept = false;
		ret = model_command(v, RESUME);
		if (!ret)
			begin_tracking(v);
		else if (ret != -EPROTO && v->fault[SUSPEND])
			/* Nobody knows whether the VF runs, which is not tracked yet. */
			v->log.lost |= v->log.armed;
		break;
	case ARC(RUNNING, PRE_COPY):
	case ARC(RUNNING_P2P, PRE_COPY_P2P):
		ret = model_query_size(v);
		if (!ret) {
			open_data(v, PRECOPY);
			v->data.state_at = vf_initial_bytes();
		}
		break;
	case ARC(PRE_COPY_P2P, STOP_COPY):
		ret = model_query_size(v);
		if (!ret)
			save(v);
		break;
	case ARC(STOP, STOP_COPY):
		ret = model_query_size(v);
		if (ret)
			break;
		open_data(v, PRECOPY);
		save(v);
		break;
	case ARC(STOP_COPY, STOP):
		v->kept = !d->error && !vf_standard();
		v->kept_id = d->id;
		kill_data(v);
		break;
	case ARC(PRE_COPY, RUNNING):
	case ARC(PRE_COPY_P2P, RUNNING_P2P):
		kill_data(v);
		break;
	case ARC(STOP, RESUMING):
		ret = reset_queues(v);
		if (ret)
			break;
		v->kept = false;
		open_data(v, WRITING);
		break;
	case ARC(RESUMING, STOP):
		ret = d->error ?: d->phase == LOADED ? 0 : -EINVAL;
		if (!ret)
			kill_data(v);
		break;
	}
	return ret;
}

/* The first arc from each state towards each other one, as the uAPI defines. */
static const unsigned char ways[STATES][STATES] = {
#define WAY(stop, running, stop_copy, resuming, p2p, pre_copy, pre_copy_p2p) { \
	[VFIO_DEVICE_STATE_STOP] = VFIO_DEVICE_STATE_##stop,		\
	[VFIO_DEVICE_STATE_RUNNING] = VFIO_DEVICE_STATE_##running,	\
	[VFIO_DEVICE_STATE_STOP_COPY] = VFIO_DEVICE_STATE_##stop_copy,	\
	[VFIO_DEVICE_STATE_RESUMING] = VFIO_DEVICE_STATE_##resuming,	\
	[VFIO_DEVICE_STATE_RUNNING_P2P] = VFIO_DEVICE_STATE_##p2p,	\
	[VFIO_DEVICE_STATE_PRE_COPY] = VFIO_DEVICE_STATE_##pre_copy,	\
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] = VFIO_DEVICE_STATE_##pre_copy_p2p }
	[VFIO_DEVICE_STATE_RUNNING] =
		WAY(RUNNING_P2P, RUNNING, RUNNING_P2P, RUNNING_P2P, RUNNING_P2P,
		    PRE_COPY, RUNNING_P2P),
	[VFIO_DEVICE_STATE_RUNNING_P2P] =
		WAY(STOP, RUNNING, STOP, STOP, RUNNING_P2P, RUNNING,
		    PRE_COPY_P2P),
	[VFIO_DEVICE_STATE_STOP] =
		WAY(STOP, RUNNING_P2P, STOP_COPY, RESUMING, RUNNING_P2P,
		    RUNNING_P2P, RUNNING_P2P),
	[VFIO_DEVICE_STATE_PRE_COPY] =
		WAY(RUNNING, RUNNING, PRE_COPY_P2P, RUNNING, RUNNING, PRE_COPY,
		    PRE_COPY_P2P),
	[VFIO_DEVICE_STATE_PRE_COPY_P2P] =
		WAY(RUNNING_P2P, RUNNING_P2P, STOP_COPY, RUNNING_P2P,
		    RUNNING_P2P, PRE_COPY, PRE_COPY_P2P),
	[VFIO_DEVICE_STATE_STOP_COPY] =
		WAY(STOP, STOP, STOP_COPY, STOP, STOP, ERROR, ERROR),
	[VFIO_DEVICE_STATE_RESUMING] =
		WAY(STOP, STOP, STOP, RESUMING, STOP, STOP, STOP),
};

int model_enter_state(struct model *v, unsigned int target)
{
	unsigned int next;
	int ret;

	while (v->state != target) {
		if (v->state == VFIO_DEVICE_STATE_ERROR || target >= STATES)
			return -EINVAL;
		next = ways[v->state][target];
		if (next == VFIO_DEVICE_STATE_ERROR)
			return -EINVAL;

		if ((v->stale || !v->pf->bound) && !model_is_running(v->state)) {
			kill_data(v);
			v->kept = false;
			v->state = VFIO_DEVICE_STATE_ERROR;
			v->log.lost = true;
			return -ENODEV;
		}
		ret = arc(v, next);
		if (ret)
			return ret;
		v->state = next;
	}
	return 0;
}

void model_reset(struct model *v)
{
	kill_data(v);
	v->kept = false;
	v->state = VFIO_DEVICE_STATE_RUNNING;
	model_lose_content(v);
	begin_tracking(v);
}

long model_read(const struct model_data *d, size_t n)
{
	size_t end = d->phase == PRECOPY ? d->state_at : d->len;

	if (d->error)
		return d->error;
	if (d->phase == PRECOPY && d->pos == end)
		return -ENOMSG;
	return n < end - d->pos ? n : end - d->pos;
}
