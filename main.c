// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO driver for NVMe virtual functions, with live migration: the PCI driver, the
 * VFIO device, the migration state machine, and reset.
 *
 * nvme.txt describes the controller, and has a table of the arcs and their commands.
 */

#include <linux/file.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#include "cmds.h"
#include "ctrl.h"
#include "dirty.h"
#include "image.h"
#include "load.h"
#include "save.h"
#include "stats.h"
#include "stream.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/*
 * Locks, outermost first: state_mutex, the locks of a stream, reset_lock.
 *
 * state_mutex is held while commands run. A reset takes only reset_lock: it runs
 * under the memory_lock of vfio-pci-core, which the guest waits for when it accesses
 * a register, and it may be what ends such a command. nvmevf_mig_lock() applies the
 * reset later.
 *
 *              set by               cleared by           what follows
 *   resetting  reset_prepare        reset_done           a SUSPEND that ends is undone
 *   reset      reset_done           nvmevf_mig_lock()    mig_state becomes RUNNING
 *   stuck      nvmevf_undo_         reset_prepare        mig_state becomes ERROR
 *              suspend(), if its                         instead of RUNNING
 *              RESUME failed;
 *              reset_done, if the VF
 *              does not answer
 */
struct nvmevf_device {
	struct vfio_pci_core_device core_device;
	struct nvmevf_ctrl ctrl;

	/* Protects the members up to epoch. */
	struct mutex state_mutex;
	enum vfio_device_mig_state mig_state;
	/* data_fd of PRE_COPY, PRE_COPY_P2P and STOP_COPY, else NULL */
	struct nvmevf_stream *saving;
	/* data_fd of RESUMING, else NULL */
	struct nvmevf_stream *resuming;
	/* What SAVE_DATA read, which disabled the VF until LOAD_DATA; or NULL */
	struct nvmevf_image *saved;
	/* What the VF wrote, see log_ops */
	struct nvmevf_dirty dirty;
	/* Epoch of the PF when the VF was suspended */
	u64 epoch;

	/* Protects the rest, and with state_mutex the pointers to the streams. */
	spinlock_t reset_lock;
	bool resetting;
	bool reset;
	bool stuck;
};

static struct nvmevf_device *nvmevf_from_vfio(struct vfio_device *core_vdev)
{
	return container_of(core_vdev, struct nvmevf_device, core_device.vdev);
}

static struct nvmevf_device *nvmevf_from_pci(struct pci_dev *pdev)
{
	return container_of(dev_get_drvdata(&pdev->dev), struct nvmevf_device,
			    core_device);
}

static void nvmevf_set_stream(struct nvmevf_device *nvmevf,
			      struct nvmevf_stream **where,
			      struct nvmevf_stream *stream)
{
	spin_lock(&nvmevf->reset_lock);
	*where = stream;
	/* A reset since the arc began has not seen the stream. One under way will see it. */
	if (stream && nvmevf->reset)
		nvmevf_stream_kill(stream);
	spin_unlock(&nvmevf->reset_lock);
}

static bool nvmevf_is_running(enum vfio_device_mig_state state)
{
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/*
 * Runtime PM must not put a suspended VF into D3hot: the way back to D0 may reset the
 * VF. VFIO keeps the VF in D0 only while it handles a call.
 */
static void nvmevf_set_mig_state(struct nvmevf_device *nvmevf,
				 enum vfio_device_mig_state mig_state)
{
	struct device *dev = &nvmevf->ctrl.vf->dev;
	bool was_running = nvmevf_is_running(nvmevf->mig_state);
	bool runs = nvmevf_is_running(mig_state);

	nvmevf->mig_state = mig_state;
	/* The VF is in D0 already, because VFIO handles the call that suspended it. */
	if (was_running && !runs)
		pm_runtime_get_noresume(dev);
	else if (!was_running && runs)
		pm_runtime_put(dev);
}

/* Return the error of SAVE_DATA. @saved is as in nvmevf_save_close(). */
static int nvmevf_close_saving(struct nvmevf_device *nvmevf,
			       struct nvmevf_image **saved)
{
	struct nvmevf_stream *stream = nvmevf->saving;

	nvmevf_set_stream(nvmevf, &nvmevf->saving, NULL);
	return nvmevf_save_close(stream, saved);
}

static void nvmevf_close_resuming(struct nvmevf_device *nvmevf)
{
	struct nvmevf_stream *stream = nvmevf->resuming;

	nvmevf_set_stream(nvmevf, &nvmevf->resuming, NULL);
	nvmevf_load_close(stream);
}

static void nvmevf_drop_saved(struct nvmevf_device *nvmevf)
{
	nvmevf_image_put(nvmevf->saved);
	nvmevf->saved = NULL;
}

/* Give up what a migration holds, and go to @mig_state. */
static void nvmevf_end_migration(struct nvmevf_device *nvmevf,
				 enum vfio_device_mig_state mig_state)
{
	if (nvmevf->saving)
		nvmevf_close_saving(nvmevf, NULL);
	if (nvmevf->resuming)
		nvmevf_close_resuming(nvmevf);
	nvmevf_drop_saved(nvmevf);
	nvmevf_set_mig_state(nvmevf, mig_state);
	if (mig_state == VFIO_DEVICE_STATE_ERROR)
		nvmevf_dirty_lose(&nvmevf->dirty, "state of the VF is unknown");
}

/* Apply a reset that has ended. */
static void nvmevf_apply_reset(struct nvmevf_device *nvmevf)
{
	bool reset, stuck;

	spin_lock(&nvmevf->reset_lock);
	reset = nvmevf->reset;
	stuck = nvmevf->stuck;
	nvmevf->reset = false;
	spin_unlock(&nvmevf->reset_lock);
	if (!reset)
		return;

	pci_dbg(nvmevf->ctrl.vf, "reset ended migration state %u\n",
		nvmevf->mig_state);
	nvmevf_end_migration(nvmevf, stuck ? VFIO_DEVICE_STATE_ERROR :
					     VFIO_DEVICE_STATE_RUNNING);
	nvmevf_dirty_resuming(&nvmevf->dirty);
	nvmevf_dirty_running(&nvmevf->dirty);
}

/* Lock the migration state, and apply a reset that has ended. */
static void nvmevf_mig_lock(struct nvmevf_device *nvmevf)
{
	mutex_lock(&nvmevf->state_mutex);
	nvmevf_apply_reset(nvmevf);
}

/*
 * The holder of the lock may wait minutes for a command. A caller that is killed
 * meanwhile must end, and the kernel must not report a hung task.
 */
static int nvmevf_mig_lock_killable(struct nvmevf_device *nvmevf)
{
	int ret;

	ret = mutex_lock_killable(&nvmevf->state_mutex);
	if (!ret)
		nvmevf_apply_reset(nvmevf);
	return ret;
}

static void nvmevf_mig_unlock(struct nvmevf_device *nvmevf)
{
	mutex_unlock(&nvmevf->state_mutex);
}

static bool nvmevf_was_reset(struct nvmevf_device *nvmevf)
{
	bool reset;

	spin_lock(&nvmevf->reset_lock);
	reset = nvmevf->reset || nvmevf->resetting;
	spin_unlock(&nvmevf->reset_lock);
	return reset;
}

/* Return true if @error is a status of the controller, which has got the command. */
static bool nvmevf_was_refused(int error)
{
	return error == -EOPNOTSUPP || error == -EINVAL || error == -EPROTO ||
	       error == -EIO;
}

/*
 * Let a VF run that may be suspended, because its migration state says, or soon will say,
 * that the VF runs. @reset: a reset of the VF has come in between.
 */
static void nvmevf_undo_suspend(struct nvmevf_device *nvmevf, bool reset)
{
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	int ret;

	ret = ctrl->set->undo_suspend(ctrl);
	if (!ret)
		return;

	nvmevf_ctrl_err(ctrl,
			"VF may be suspended: RESUME after a %s failed (%pe), reset the VF%s\n",
			reset ? "reset" : "failed SUSPEND", ERR_PTR(ret),
			reset ? " again" : "");
	if (!reset)
		return;
	spin_lock(&nvmevf->reset_lock);
	nvmevf->stuck = true;
	spin_unlock(&nvmevf->reset_lock);
}

static int nvmevf_suspend(struct nvmevf_device *nvmevf)
{
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	bool reset;
	int ret;

	ret = nvme_vf_epoch(ctrl->vf, &nvmevf->epoch);
	if (ret) {
		nvmevf_ctrl_err(ctrl,
				"SUSPEND failed: PF is not bound to nvme (%pe)\n",
				ERR_PTR(ret));
		return ret;
	}

	ret = ctrl->set->suspend(ctrl);
	if (ret && !nvmevf_was_refused(ret))
		return ret;

	/*
	 * A reset leads to RUNNING, and a SUSPEND that fails must not stop the VF. But
	 * the controller may have suspended the VF after the reset, or before it failed.
	 */
	reset = nvmevf_was_reset(nvmevf);
	if (ret || reset)
		nvmevf_undo_suspend(nvmevf, reset);
	return reset ? -EAGAIN : ret;
}

static int nvmevf_resume(struct nvmevf_device *nvmevf)
{
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	int ret, error;

	if (nvmevf->saved) {
		pci_dbg(ctrl->vf, "load %u bytes of saved controller state\n",
			nvmevf->saved->state_size);
		ret = nvmevf_image_load(ctrl, nvmevf->saved);
		if (ret)
			return ret;
		nvmevf_drop_saved(nvmevf);
	}

	nvmevf_dirty_resuming(&nvmevf->dirty);
	ret = ctrl->set->resume(ctrl);
	if (!ret)
		nvmevf_dirty_running(&nvmevf->dirty);
	/* After -EPROTO the controller has resumed nothing, so there is nothing to undo. */
	if (ret == -EPROTO || !nvmevf_was_refused(ret) || nvmevf_was_reset(nvmevf))
		return ret;

	/*
	 * The migration state remains one of a suspended VF, but the controller may have
	 * resumed the VF before it failed. A suspended VF may be suspended again.
	 */
	error = ctrl->set->suspend(ctrl);
	if (nvmevf_was_reset(nvmevf))
		nvmevf_undo_suspend(nvmevf, true);
	else if (error)
		nvmevf_ctrl_err(ctrl,
				"VF may run: SUSPEND after a failed RESUME failed (%pe), reset the VF\n",
				ERR_PTR(error));
	if (error && nvmevf_dirty_armed(&nvmevf->dirty))
		nvmevf_dirty_lose(&nvmevf->dirty, "VF may run, and is not tracked");
	return ret;
}

static int nvmevf_state_size(struct nvmevf_device *nvmevf, u32 *size)
{
	if (!nvmevf->saved)
		return nvmevf->ctrl.set->query_size(&nvmevf->ctrl, size);

	*size = nvmevf->saved->state_size;
	return 0;
}

static int nvmevf_open_saving(struct nvmevf_device *nvmevf, bool precopy,
			      u32 *size)
{
	struct nvmevf_namespaces *namespaces = NULL;
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	struct nvmevf_identity identity;
	struct nvmevf_stream *stream;
	int ret;

	ret = nvmevf_ctrl_identity(ctrl, &identity);
	if (ret)
		return ret;

	/* After PRE_COPY, the refusal of other namespaces would come too late. */
	if (precopy) {
		ret = nvmevf_ctrl_namespaces(ctrl, &identity, &namespaces);
		if (ret)
			return ret;
	}

	ret = nvmevf_state_size(nvmevf, size);
	if (ret)
		goto out_free;

	stream = nvmevf_save_open(&nvmevf->core_device.vdev, ctrl, &identity,
				  namespaces, *size);
	if (IS_ERR(stream)) {
		ret = PTR_ERR(stream);
		goto out_free;
	}

	nvmevf_set_stream(nvmevf, &nvmevf->saving, stream);
out_free:
	kvfree(namespaces);
	return ret;
}

static int nvmevf_save(struct nvmevf_device *nvmevf, u32 size)
{
	if (!nvmevf->saved)
		return nvmevf_save_start(nvmevf->saving, size);

	nvmevf_save_again(nvmevf->saving, nvmevf->saved);
	nvmevf->saved = NULL;
	return 0;
}

/*
 * A suspended VF that has I/O queues may not take a state, so reset the VF and suspend
 * it again. A reset by the user that comes at the same time counts as one before the
 * arc. If the VF can't be suspended, the reset leads to RUNNING as any other.
 */
static int nvmevf_reset_queues(struct nvmevf_device *nvmevf)
{
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	bool has_queues, stuck;
	int ret;

	if (!ctrl->set->has_queues)
		return 0;
	ret = ctrl->set->has_queues(ctrl, &has_queues);
	if (ret || !has_queues)
		return ret;

	pci_dbg(ctrl->vf, "reset the VF, which has I/O queues\n");
	ret = vfio_pci_core_ioctl(&nvmevf->core_device.vdev, VFIO_DEVICE_RESET, 0);
	if (ret) {
		nvmevf_ctrl_err(ctrl, "VF has I/O queues, and its reset failed (%pe)\n",
				ERR_PTR(ret));
		return ret;
	}

	nvmevf_dirty_resuming(&nvmevf->dirty);
	spin_lock(&nvmevf->reset_lock);
	stuck = nvmevf->stuck;
	nvmevf->reset = false;
	spin_unlock(&nvmevf->reset_lock);

	ret = stuck ? -EIO : nvmevf_suspend(nvmevf);
	if (ret) {
		spin_lock(&nvmevf->reset_lock);
		nvmevf->reset = true;
		spin_unlock(&nvmevf->reset_lock);
	}
	return ret;
}

static int nvmevf_open_resuming(struct nvmevf_device *nvmevf)
{
	struct nvmevf_ctrl *ctrl = &nvmevf->ctrl;
	struct nvmevf_identity identity;
	struct nvmevf_stream *stream;
	u32 max;
	int ret;

	ret = nvmevf_ctrl_identity(ctrl, &identity);
	if (ret)
		return ret;

	ret = ctrl->set->max_size(ctrl, &max);
	if (ret)
		return ret;

	ret = nvmevf_reset_queues(nvmevf);
	if (ret)
		return ret;

	stream = nvmevf_load_open(ctrl, &identity, max, nvmevf->epoch);
	if (IS_ERR(stream))
		return PTR_ERR(stream);

	/* The saved state is gone now: a stream or a reset must lead to RUNNING. */
	nvmevf_drop_saved(nvmevf);
	nvmevf_set_stream(nvmevf, &nvmevf->resuming, stream);
	return 0;
}

#define NVMEVF_ARC_OF(cur, new)	((cur) << 8 | (new))
#define NVMEVF_ARC(cur, new)	\
	NVMEVF_ARC_OF(VFIO_DEVICE_STATE_##cur, VFIO_DEVICE_STATE_##new)

/* Go along one arc. @filp receives the file of the data_fd that the arc opens. */
static int nvmevf_step(struct nvmevf_device *nvmevf,
		       enum vfio_device_mig_state new, struct file **filp)
{
	u32 size;
	int ret;

	switch (NVMEVF_ARC_OF(nvmevf->mig_state, new)) {
	case NVMEVF_ARC(RUNNING, RUNNING_P2P):
	case NVMEVF_ARC(PRE_COPY, PRE_COPY_P2P):
		return nvmevf_suspend(nvmevf);

	case NVMEVF_ARC(RUNNING_P2P, RUNNING):
	case NVMEVF_ARC(PRE_COPY_P2P, PRE_COPY):
		return nvmevf_resume(nvmevf);

	case NVMEVF_ARC(RUNNING_P2P, STOP):
	case NVMEVF_ARC(STOP, RUNNING_P2P):
		/* A suspended VF does no DMA at all, so both states are the same. */
		return 0;

	case NVMEVF_ARC(RUNNING, PRE_COPY):
	case NVMEVF_ARC(RUNNING_P2P, PRE_COPY_P2P):
		ret = nvmevf_open_saving(nvmevf, true, &size);
		if (ret)
			return ret;
		*filp = nvmevf_stream_get_file(nvmevf->saving);
		return 0;

	case NVMEVF_ARC(PRE_COPY, RUNNING):
	case NVMEVF_ARC(PRE_COPY_P2P, RUNNING_P2P):
		nvmevf_close_saving(nvmevf, NULL);
		return 0;

	case NVMEVF_ARC(PRE_COPY_P2P, STOP_COPY):
		ret = nvmevf_state_size(nvmevf, &size);
		if (ret)
			return ret;
		return nvmevf_save(nvmevf, size);

	case NVMEVF_ARC(STOP, STOP_COPY):
		ret = nvmevf_open_saving(nvmevf, false, &size);
		if (ret)
			return ret;
		ret = nvmevf_save(nvmevf, size);
		if (ret) {
			nvmevf_close_saving(nvmevf, NULL);
			return ret;
		}
		*filp = nvmevf_stream_get_file(nvmevf->saving);
		return 0;

	case NVMEVF_ARC(STOP_COPY, STOP):
		/* If SAVE_DATA failed, the VF is still suspended and intact. */
		ret = nvmevf_close_saving(nvmevf, nvmevf->ctrl.set->save_disables ?
					  &nvmevf->saved : NULL);
		return ret == -ECANCELED || ret == -ENODEV ? ret : 0;

	case NVMEVF_ARC(STOP, RESUMING):
		ret = nvmevf_open_resuming(nvmevf);
		if (ret)
			return ret;
		*filp = nvmevf_stream_get_file(nvmevf->resuming);
		return 0;

	case NVMEVF_ARC(RESUMING, STOP):
		ret = nvmevf_load_complete(nvmevf->resuming);
		if (ret)
			return ret;
		nvmevf_close_resuming(nvmevf);
		return 0;

	default:
		/* vfio_mig_get_next_state() makes no other arcs. */
		WARN_ON(true);
		return -EINVAL;
	}
}

/* Fail with -ENODEV if the PF was reset or bound again after it suspended the VF. */
static int nvmevf_check_epoch(struct nvmevf_device *nvmevf)
{
	if (nvmevf_is_running(nvmevf->mig_state))
		return 0;

	return nvmevf_cmds_check_epoch(&nvmevf->ctrl, nvmevf->epoch);
}

/* Return true if the state of the VF is unknown after an arc failed with @error. */
static bool nvmevf_is_lost(struct nvmevf_device *nvmevf,
			   enum vfio_device_mig_state next, int error)
{
	if (nvmevf_is_running(nvmevf->mig_state))
		return error == -ECANCELED && !nvmevf_is_running(next);
	return error == -ECANCELED || error == -ENODEV;
}

/* Trace and count an arc. */
static void nvmevf_note_arc(struct nvmevf_device *nvmevf,
			    enum vfio_device_mig_state next, int error,
			    ktime_t began)
{
	u64 duration_ns = ktime_to_ns(ktime_sub(ktime_get(), began));

	trace_nvmevf_arc(nvmevf->ctrl.vf, nvmevf->mig_state, next, error,
			 duration_ns);
	nvmevf_stats_arc(&nvmevf->ctrl.stats, nvmevf->mig_state, next, error,
			 began, duration_ns);
}

static struct file *nvmevf_set_state(struct vfio_device *core_vdev,
				     enum vfio_device_mig_state new_state)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	enum vfio_device_mig_state next;
	struct file *filp = NULL;
	ktime_t began;
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ERR_PTR(ret);

	while (nvmevf->mig_state != new_state) {
		/* Only a reset leads out of ERROR. The core warns of attempts. */
		if (nvmevf->mig_state == VFIO_DEVICE_STATE_ERROR) {
			ret = -EINVAL;
			break;
		}

		ret = vfio_mig_get_next_state(core_vdev, nvmevf->mig_state,
					      new_state, &next);
		if (ret)
			break;

		began = ktime_get();
		ret = nvmevf_check_epoch(nvmevf);
		if (!ret)
			ret = nvmevf_step(nvmevf, next, &filp);
		nvmevf_note_arc(nvmevf, next, ret, began);
		if (nvmevf_is_lost(nvmevf, next, ret)) {
			pci_err(nvmevf->ctrl.vf,
				"PF was reset or lost its driver: state of the VF is unknown, reset the VF\n");
			nvmevf_note_arc(nvmevf, VFIO_DEVICE_STATE_ERROR, ret,
					ktime_get());
			nvmevf_end_migration(nvmevf, VFIO_DEVICE_STATE_ERROR);
		}
		if (ret)
			break;

		nvmevf_set_mig_state(nvmevf, next);
		if (WARN_ON(filp && next != new_state)) {
			fput(filp);
			ret = -EINVAL;
			break;
		}
	}
	nvmevf_mig_unlock(nvmevf);

	return ret ? ERR_PTR(ret) : filp;
}

static int nvmevf_get_state(struct vfio_device *core_vdev,
			    enum vfio_device_mig_state *state)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ret;

	*state = nvmevf->mig_state;
	nvmevf_mig_unlock(nvmevf);
	return 0;
}

static int nvmevf_get_data_size(struct vfio_device *core_vdev,
				unsigned long *stop_copy_length)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	u32 size;
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ret;

	switch (nvmevf->mig_state) {
	case VFIO_DEVICE_STATE_STOP_COPY:
		/* SAVE_DATA has disabled the VF, or is about to: the stream has the size. */
		size = nvmevf_save_state_size(nvmevf->saving);
		break;
	case VFIO_DEVICE_STATE_RESUMING:
		/* LOAD_DATA may be under way. The controller gets one command at a time. */
		ret = mutex_lock_killable(&nvmevf->resuming->lock);
		if (ret)
			break;
		ret = nvmevf_state_size(nvmevf, &size);
		mutex_unlock(&nvmevf->resuming->lock);
		break;
	default:
		ret = nvmevf_state_size(nvmevf, &size);
	}
	if (!ret)
		*stop_copy_length = nvmevf_save_stream_size(nvmevf->saving, size);
	nvmevf_mig_unlock(nvmevf);
	return ret;
}

static const struct vfio_migration_ops nvmevf_migration_ops = {
	.migration_set_state = nvmevf_set_state,
	.migration_get_state = nvmevf_get_state,
	.migration_get_data_size = nvmevf_get_data_size,
};

/* The log may be started in each state but ERROR, in which the VF may run or not. */
static int nvmevf_log_start(struct vfio_device *core_vdev,
			    struct rb_root_cached *ranges, u32 nnodes, u64 *page_size)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	bool suspended;
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ret;

	suspended = !nvmevf_is_running(nvmevf->mig_state);
	ret = nvmevf_check_epoch(nvmevf);
	if (nvmevf->mig_state == VFIO_DEVICE_STATE_ERROR)
		ret = -EIO;
	if (!ret)
		ret = nvmevf_dirty_start(&nvmevf->dirty, ranges, nnodes, page_size,
					 suspended);
	nvmevf_mig_unlock(nvmevf);
	return ret;
}

static int nvmevf_log_stop(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ret;

	nvmevf_dirty_stop(&nvmevf->dirty);
	nvmevf_mig_unlock(nvmevf);
	return 0;
}

/* The bitmap is memory of the user, who may have it stall, so no lock is held then. */
static int nvmevf_log_read_and_clear(struct vfio_device *core_vdev, unsigned long iova,
				     unsigned long length, struct iova_bitmap *bitmap)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	struct nvmevf_dirty_report report;
	int ret;

	ret = nvmevf_mig_lock_killable(nvmevf);
	if (ret)
		return ret;

	report.suspended = !nvmevf_is_running(nvmevf->mig_state);
	ret = nvmevf_dirty_collect(&nvmevf->dirty, iova, length, &report);
	while (!ret) {
		ret = nvmevf_dirty_take(&nvmevf->dirty, &report);
		if (ret <= 0)
			break;
		nvmevf_mig_unlock(nvmevf);

		nvmevf_dirty_tell(&report, bitmap);

		ret = nvmevf_mig_lock_killable(nvmevf);
		if (ret)
			return ret;
	}
	nvmevf_mig_unlock(nvmevf);
	return ret;
}

static const struct vfio_log_ops nvmevf_log_ops = {
	.log_start = nvmevf_log_start,
	.log_stop = nvmevf_log_stop,
	.log_read_and_clear = nvmevf_log_read_and_clear,
};

static int nvmevf_init_dev(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret;

	ret = vfio_pci_core_init_dev(core_vdev);
	if (ret)
		return ret;

	/* VFIO's debugfs shows the state of a VF that is not open, too. */
	nvmevf->mig_state = VFIO_DEVICE_STATE_RUNNING;
	mutex_init(&nvmevf->state_mutex);
	spin_lock_init(&nvmevf->reset_lock);

	nvmevf->dirty.ctrl = &nvmevf->ctrl;
	nvmevf_ctrl_init(&nvmevf->ctrl, nvmevf->core_device.pdev);
	if (nvmevf->ctrl.set) {
		core_vdev->mig_ops = &nvmevf_migration_ops;
		core_vdev->migration_flags = VFIO_MIGRATION_STOP_COPY |
					     VFIO_MIGRATION_P2P |
					     VFIO_MIGRATION_PRE_COPY;
	}
	if (nvmevf->ctrl.track.runs)
		core_vdev->log_ops = &nvmevf_log_ops;
	return 0;
}

static void nvmevf_release_dev(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);

	mutex_destroy(&nvmevf->state_mutex);
	vfio_pci_core_release_dev(core_vdev);
}

static int nvmevf_open_device(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret;

	/* This resets the VF, which runs then. */
	ret = vfio_pci_core_enable(&nvmevf->core_device);
	if (ret)
		return ret;

	vfio_pci_core_finish_enable(&nvmevf->core_device);
	return 0;
}

/* End what the last user has begun. */
static void nvmevf_end_use(struct nvmevf_device *nvmevf)
{
	nvmevf_mig_lock(nvmevf);
	nvmevf_end_migration(nvmevf, VFIO_DEVICE_STATE_RUNNING);
	nvmevf_dirty_stop(&nvmevf->dirty);
	nvmevf_mig_unlock(nvmevf);
}

static void nvmevf_close_device(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);

	nvmevf_end_use(nvmevf);

	vfio_pci_core_close_device(core_vdev);

	/* The controller may not end the tracking of a VF before the VF runs again. */
	nvmevf_mig_lock(nvmevf);
	nvmevf_dirty_stop(&nvmevf->dirty);
	nvmevf_mig_unlock(nvmevf);
}

static const struct vfio_device_ops nvmevf_ops = {
	.name = "nvme-vfio-pci",
	.init = nvmevf_init_dev,
	.release = nvmevf_release_dev,
	.open_device = nvmevf_open_device,
	.close_device = nvmevf_close_device,
	.ioctl = vfio_pci_core_ioctl,
	.get_region_info_caps = vfio_pci_ioctl_get_region_info,
	.device_feature = vfio_pci_core_ioctl_feature,
	.read = vfio_pci_core_read,
	.write = vfio_pci_core_write,
	.mmap = vfio_pci_core_mmap,
	.request = vfio_pci_core_request,
	.match = vfio_pci_core_match,
	.match_token_uuid = vfio_pci_core_match_token_uuid,
	.bind_iommufd = vfio_iommufd_physical_bind,
	.unbind_iommufd = vfio_iommufd_physical_unbind,
	.attach_ioas = vfio_iommufd_physical_attach_ioas,
	.detach_ioas = vfio_iommufd_physical_detach_ioas,
};

static const struct vfio_pci_device_ops nvmevf_pci_ops = {
	.get_dmabuf_phys = vfio_pci_core_get_dmabuf_phys,
};

static int nvmevf_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct nvmevf_device *nvmevf;
	int ret;

	nvmevf = vfio_alloc_device(nvmevf_device, core_device.vdev, &pdev->dev,
				   &nvmevf_ops);
	if (IS_ERR(nvmevf))
		return PTR_ERR(nvmevf);

	nvmevf->core_device.pci_ops = &nvmevf_pci_ops;
	dev_set_drvdata(&pdev->dev, &nvmevf->core_device);
	ret = vfio_pci_core_register_device(&nvmevf->core_device);
	if (ret) {
		vfio_put_device(&nvmevf->core_device.vdev);
		return ret;
	}

	nvmevf_stats_add_file(&nvmevf->ctrl.stats, &nvmevf->core_device.vdev);
	return 0;
}

static void nvmevf_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core_device = dev_get_drvdata(&pdev->dev);
	struct nvmevf_device *nvmevf = nvmevf_from_pci(pdev);
	int ret;

	vfio_pci_core_unregister_device(core_device);

	/*
	 * vfio-pci-core resets a VF that is closed only if it gets the locks, which
	 * fails while the driver is being unbound. The next driver of the VF could
	 * not resume it.
	 */
	if (core_device->needs_reset && pci_device_is_present(pdev)) {
		ret = pci_reset_function_locked(pdev);
		if (ret)
			pci_err(pdev, "VF may stay suspended: reset failed (%pe)\n",
				ERR_PTR(ret));
	}

	/* That reset may have failed, and led to ERROR. */
	nvmevf_end_use(nvmevf);

	vfio_put_device(&core_device->vdev);
}

static void nvmevf_reset_prepare(struct pci_dev *pdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_pci(pdev);

	spin_lock(&nvmevf->reset_lock);
	nvmevf->resetting = true;
	nvmevf->stuck = false;
	spin_unlock(&nvmevf->reset_lock);
}

static void nvmevf_reset_done(struct pci_dev *pdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_pci(pdev);
	u16 command;

	trace_nvmevf_reset(pdev);
	nvmevf_stats_reset(&nvmevf->ctrl.stats);

	/* The PCI core also gets here after it gave up waiting for the VF. */
	pci_read_config_word(pdev, PCI_COMMAND, &command);
	if (PCI_POSSIBLE_ERROR(command))
		nvmevf_ctrl_err(&nvmevf->ctrl,
				"VF does not answer after a reset, reset the VF again\n");

	spin_lock(&nvmevf->reset_lock);
	nvmevf->resetting = false;
	nvmevf->stuck |= PCI_POSSIBLE_ERROR(command);
	nvmevf->reset = true;
	if (nvmevf->saving)
		nvmevf_stream_kill(nvmevf->saving);
	if (nvmevf->resuming)
		nvmevf_stream_kill(nvmevf->resuming);
	spin_unlock(&nvmevf->reset_lock);
}

static const struct pci_error_handlers nvmevf_err_handlers = {
	.reset_prepare = nvmevf_reset_prepare,
	.reset_done = nvmevf_reset_done,
	.error_detected = vfio_pci_core_aer_err_detected,
};

static const struct pci_device_id nvmevf_id_table[] = {
	{ PCI_DRIVER_OVERRIDE_DEVICE_VFIO(PCI_VENDOR_ID_INTEL, 0x1457) }, /* IPU */
	{ }
};
MODULE_DEVICE_TABLE(pci, nvmevf_id_table);

static struct pci_driver nvmevf_driver = {
	.name = "nvme-vfio-pci",
	.id_table = nvmevf_id_table,
	.probe = nvmevf_probe,
	.remove = nvmevf_remove,
	.err_handler = &nvmevf_err_handlers,
	.driver_managed_dma = true,
};
module_pci_driver(nvmevf_driver);

MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("IOMMUFD");
MODULE_AUTHOR("The nvme-vfio-pci developers");
MODULE_DESCRIPTION("VFIO driver with live migration for NVMe virtual functions");
