// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO driver for NVMe virtual functions, with live migration.
 *
 * The VFIO migration states become live migration commands (cmds.c) and a
 * stream (stream.c). nvme.txt describes the device and has a table of the arcs.
 */

#include <linux/file.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/nvme-vf-lm.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/vfio.h>
#include <linux/vfio_pci_core.h>

#include "cmds.h"
#include "stats.h"
#include "stream.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/* Optional Admin Command Support: Virtualization Management, with its lists */
#define NVMEVF_OACS_VIRT_MGMT	BIT(7)

struct nvmevf_device {
	struct vfio_pci_core_device core_device;

	/*
	 * Protects the members up to epoch. It is held while commands run. A
	 * reset comes with the memory_lock of vfio-pci-core held, which the
	 * guest waits for when it touches a register, and may be what ends
	 * such a command. Therefore a reset takes no more than reset_lock, and
	 * the next to take state_mutex carries it out.
	 */
	struct mutex state_mutex;
	enum vfio_device_mig_state mig_state;
	/* Of PRE_COPY, PRE_COPY_P2P, STOP_COPY and RESUMING, else NULL. */
	struct nvmevf_stream *stream;
	/* What SAVE_DATA took out of the VF, which needs it back to run. */
	struct nvmevf_image *saved;
	/* The PF's, when the VF was suspended. */
	u64 epoch;

	/* Protects the rest, and stream together with state_mutex; innermost. */
	spinlock_t reset_lock;
	/* A reset is under way. */
	bool resetting;
	/* There was a reset that mig_state does not reflect yet. */
	bool reset;
	/* The last reset did not make the VF run. */
	bool stuck;

	struct nvmevf_stats stats;
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

#ifdef CONFIG_VFIO_DEBUGFS
struct nvmevf_stats *nvmevf_stats_of(struct pci_dev *pdev)
{
	/* Not when probe asks the PF, nor in KUnit tests. */
	if (!dev_get_drvdata(&pdev->dev))
		return NULL;
	return &nvmevf_from_pci(pdev)->stats;
}
#endif

static void nvmevf_set_stream(struct nvmevf_device *nvmevf,
			      struct nvmevf_stream *stream)
{
	spin_lock(&nvmevf->reset_lock);
	nvmevf->stream = stream;
	/* A reset that came while it was made did not see it. */
	if (stream && (nvmevf->reset || nvmevf->resetting))
		nvmevf_stream_kill(stream);
	spin_unlock(&nvmevf->reset_lock);
}

static int nvmevf_close_stream(struct nvmevf_device *nvmevf,
			       struct nvmevf_image **image)
{
	struct nvmevf_stream *stream = nvmevf->stream;

	if (!stream)
		return 0;
	nvmevf_set_stream(nvmevf, NULL);
	return nvmevf_stream_close(stream, image);
}

static void nvmevf_forget_saved(struct nvmevf_device *nvmevf)
{
	nvmevf_image_put(nvmevf->saved);
	nvmevf->saved = NULL;
}

static void nvmevf_state_lock(struct nvmevf_device *nvmevf)
{
	bool reset, stuck;

	mutex_lock(&nvmevf->state_mutex);

	spin_lock(&nvmevf->reset_lock);
	reset = nvmevf->reset;
	stuck = nvmevf->stuck;
	nvmevf->reset = false;
	spin_unlock(&nvmevf->reset_lock);
	if (!reset)
		return;

	pci_dbg(nvmevf->core_device.pdev, "a reset ended state %u\n",
		nvmevf->mig_state);
	nvmevf_close_stream(nvmevf, NULL);
	nvmevf_forget_saved(nvmevf);
	nvmevf->mig_state = stuck ? VFIO_DEVICE_STATE_ERROR :
				    VFIO_DEVICE_STATE_RUNNING;
}

static void nvmevf_state_unlock(struct nvmevf_device *nvmevf)
{
	mutex_unlock(&nvmevf->state_mutex);
}

static int nvmevf_suspend(struct nvmevf_device *nvmevf)
{
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	bool reset;
	int ret;

	ret = nvme_vf_epoch(pdev, &nvmevf->epoch);
	if (ret) {
		dev_err_ratelimited(&pdev->dev,
				    "SUSPEND failed: the PF has no driver (%pe)\n",
				    ERR_PTR(ret));
		return ret;
	}

	ret = nvmevf_cmd_suspend(pdev);
	if (ret)
		return ret;

	spin_lock(&nvmevf->reset_lock);
	reset = nvmevf->reset || nvmevf->resetting;
	spin_unlock(&nvmevf->reset_lock);
	if (!reset)
		return 0;

	/*
	 * If the command was carried out after a reset, maybe one that is not
	 * over yet, it left the VF suspended, and the state will be RUNNING.
	 */
	if (nvmevf_cmd_resume(pdev)) {
		pci_err(pdev, "may be suspended in spite of a reset: reset it again\n");
		spin_lock(&nvmevf->reset_lock);
		nvmevf->stuck = true;
		spin_unlock(&nvmevf->reset_lock);
	}
	return -EAGAIN;
}

static int nvmevf_resume(struct nvmevf_device *nvmevf)
{
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	int ret;

	/* SAVE_DATA disabled the VF, whatever became of the saved state. */
	if (nvmevf->saved) {
		pci_dbg(pdev, "gets back the %u bytes of state that were saved\n",
			nvmevf_image_state_size(nvmevf->saved));
		ret = nvmevf_image_load(pdev, nvmevf->saved);
		if (ret)
			return ret;
		nvmevf_forget_saved(nvmevf);
	}

	return nvmevf_cmd_resume(pdev);
}

/* How many queue pairs the VF has been given, 0 when that can't be told. */
static int nvmevf_queue_pairs(struct pci_dev *pdev, u16 *queue_pairs)
{
	struct nvme_secondary_ctrl_list *list;
	unsigned int i;
	int ret;

	list = kzalloc_obj(*list, GFP_KERNEL);
	if (!list)
		return -ENOMEM;

	ret = nvmevf_cmd_identify_secondary(pdev, list);
	*queue_pairs = 0;
	for (i = 0; !ret && i < min(list->num, ARRAY_SIZE(list->entry)); i++) {
		if (le16_to_cpu(list->entry[i].vfn) == pci_iov_vf_id(pdev) + 1)
			*queue_pairs = le16_to_cpu(list->entry[i].nvq);
	}

	kfree(list);
	return ret;
}

static int nvmevf_identify(struct pci_dev *pdev,
			   struct nvmevf_identity *identity)
{
	struct nvme_id_ctrl *id;
	u16 queue_pairs = 0;
	int ret;

	id = kzalloc_obj(*id, GFP_KERNEL);
	if (!id)
		return -ENOMEM;

	ret = nvmevf_cmd_identify(pdev, id);
	if (!ret && id->vs[0] != NVME_VF_MIGRATION_SUPPORTED)
		ret = -EOPNOTSUPP;
	if (!ret && (le16_to_cpu(id->oacs) & NVMEVF_OACS_VIRT_MGMT))
		ret = nvmevf_queue_pairs(pdev, &queue_pairs);
	if (!ret)
		nvmevf_identity_init(identity, pdev, id, queue_pairs);

	kfree(id);
	return ret;
}

static int nvmevf_state_size(struct nvmevf_device *nvmevf, u32 *size)
{
	if (!nvmevf->saved)
		return nvmevf_cmd_query_data_size(nvmevf->core_device.pdev,
						  size);

	*size = nvmevf_image_state_size(nvmevf->saved);
	return 0;
}

static int nvmevf_open_read(struct nvmevf_device *nvmevf, u32 *size)
{
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	struct nvmevf_identity identity;
	struct nvmevf_stream *stream;
	struct nvmevf_image *image;
	int ret;

	ret = nvmevf_identify(pdev, &identity);
	if (!ret)
		ret = nvmevf_state_size(nvmevf, size);
	if (ret)
		return ret;

	image = nvmevf_image_alloc(*size);
	if (!image)
		return -ENOMEM;

	stream = nvmevf_stream_open_read(pdev, &identity, image);
	if (IS_ERR(stream))
		return PTR_ERR(stream);

	nvmevf_set_stream(nvmevf, stream);
	return 0;
}

static int nvmevf_save(struct nvmevf_device *nvmevf, u32 size)
{
	if (!nvmevf->saved)
		return nvmevf_stream_save(nvmevf->stream, size);

	nvmevf_stream_save_again(nvmevf->stream, nvmevf->saved);
	nvmevf->saved = NULL;
	return 0;
}

static int nvmevf_open_write(struct nvmevf_device *nvmevf)
{
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	struct nvmevf_identity identity;
	struct nvmevf_stream *stream;
	unsigned int max;
	int ret;

	ret = nvmevf_identify(pdev, &identity);
	if (!ret)
		ret = nvme_vf_max_transfer(pdev, &max);
	if (ret)
		return ret;

	stream = nvmevf_stream_open_write(pdev, &identity, max);
	if (IS_ERR(stream))
		return PTR_ERR(stream);

	/* From here a reset is the only way back to what the VF had. */
	nvmevf_forget_saved(nvmevf);
	nvmevf_set_stream(nvmevf, stream);
	return 0;
}

#define NVMEVF_ARC_OF(cur, new)	((cur) << 8 | (new))
#define NVMEVF_ARC(cur, new)	\
	NVMEVF_ARC_OF(VFIO_DEVICE_STATE_##cur, VFIO_DEVICE_STATE_##new)

/* Goes along one arc. Returns the data_fd's file where the arc opens one. */
static struct file *nvmevf_step(struct nvmevf_device *nvmevf,
				enum vfio_device_mig_state new)
{
	u32 size;
	int ret;

	switch (NVMEVF_ARC_OF(nvmevf->mig_state, new)) {
	case NVMEVF_ARC(RUNNING, RUNNING_P2P):
	case NVMEVF_ARC(PRE_COPY, PRE_COPY_P2P):
		ret = nvmevf_suspend(nvmevf);
		return ERR_PTR(ret);

	case NVMEVF_ARC(RUNNING_P2P, RUNNING):
	case NVMEVF_ARC(PRE_COPY_P2P, PRE_COPY):
		ret = nvmevf_resume(nvmevf);
		return ERR_PTR(ret);

	case NVMEVF_ARC(RUNNING_P2P, STOP):
	case NVMEVF_ARC(STOP, RUNNING_P2P):
		/* Suspended is stopped: the VF does no DMA at all. */
		return NULL;

	case NVMEVF_ARC(RUNNING, PRE_COPY):
	case NVMEVF_ARC(RUNNING_P2P, PRE_COPY_P2P):
		ret = nvmevf_open_read(nvmevf, &size);
		break;

	case NVMEVF_ARC(PRE_COPY, RUNNING):
	case NVMEVF_ARC(PRE_COPY_P2P, RUNNING_P2P):
		nvmevf_close_stream(nvmevf, NULL);
		return NULL;

	case NVMEVF_ARC(PRE_COPY_P2P, STOP_COPY):
		ret = nvmevf_state_size(nvmevf, &size);
		if (!ret)
			ret = nvmevf_save(nvmevf, size);
		return ERR_PTR(ret);

	case NVMEVF_ARC(STOP, STOP_COPY):
		ret = nvmevf_open_read(nvmevf, &size);
		if (ret)
			break;
		ret = nvmevf_save(nvmevf, size);
		if (ret)
			nvmevf_close_stream(nvmevf, NULL);
		break;

	case NVMEVF_ARC(STOP_COPY, STOP):
		/* A VF whose SAVE_DATA was refused is suspended and no more. */
		ret = nvmevf_close_stream(nvmevf, &nvmevf->saved);
		if (ret != -ECANCELED && ret != -ENODEV)
			ret = 0;
		return ERR_PTR(ret);

	case NVMEVF_ARC(STOP, RESUMING):
		ret = nvmevf_open_write(nvmevf);
		break;

	case NVMEVF_ARC(RESUMING, STOP):
		ret = nvmevf_stream_loaded(nvmevf->stream);
		if (ret)
			break;
		nvmevf_close_stream(nvmevf, NULL);
		return NULL;

	default:
		/* vfio_mig_get_next_state() makes no other arcs. */
		WARN_ON(true);
		return ERR_PTR(-EINVAL);
	}

	return ret ? ERR_PTR(ret) : nvmevf_stream_get_file(nvmevf->stream);
}

static bool nvmevf_is_running(enum vfio_device_mig_state state)
{
	return state == VFIO_DEVICE_STATE_RUNNING ||
	       state == VFIO_DEVICE_STATE_PRE_COPY;
}

/* -ENODEV if the PF was reset or bound anew since it suspended the VF. */
static int nvmevf_check_epoch(struct nvmevf_device *nvmevf)
{
	u64 epoch;
	int ret;

	if (nvmevf_is_running(nvmevf->mig_state))
		return 0;

	ret = nvme_vf_epoch(nvmevf->core_device.pdev, &epoch);
	if (ret)
		return ret;
	return epoch == nvmevf->epoch ? 0 : -ENODEV;
}

/* True if, after a failed arc, nobody knows what the VF does. */
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
	struct pci_dev *pdev = nvmevf->core_device.pdev;

	trace_nvmevf_arc(pdev, nvmevf->mig_state, next, error, duration_ns);
	nvmevf_stats_arc(pdev, nvmevf->mig_state, next, error, began,
			 duration_ns);
}

static struct file *nvmevf_set_state(struct vfio_device *core_vdev,
				     enum vfio_device_mig_state new_state)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	enum vfio_device_mig_state next;
	struct file *filp = NULL;
	ktime_t began;
	int ret = 0;

	nvmevf_state_lock(nvmevf);
	while (nvmevf->mig_state != new_state) {
		/* Only a reset leads out of it, and the core warns of attempts. */
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
		if (!ret) {
			filp = nvmevf_step(nvmevf, next);
			ret = PTR_ERR_OR_ZERO(filp);
		}
		nvmevf_note_arc(nvmevf, next, ret, began);
		if (nvmevf_is_lost(nvmevf, next, ret)) {
			pci_err(pdev, "the PF was reset or lost its driver, state of the VF unknown: reset it\n");
			nvmevf_close_stream(nvmevf, NULL);
			nvmevf_forget_saved(nvmevf);
			nvmevf_note_arc(nvmevf, VFIO_DEVICE_STATE_ERROR, ret,
					ktime_get());
			nvmevf->mig_state = VFIO_DEVICE_STATE_ERROR;
		}
		if (ret)
			break;

		nvmevf->mig_state = next;
		if (WARN_ON(filp && next != new_state)) {
			fput(filp);
			ret = -EINVAL;
			break;
		}
	}
	nvmevf_state_unlock(nvmevf);

	return ret ? ERR_PTR(ret) : filp;
}

static int nvmevf_get_state(struct vfio_device *core_vdev,
			    enum vfio_device_mig_state *state)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);

	nvmevf_state_lock(nvmevf);
	*state = nvmevf->mig_state;
	nvmevf_state_unlock(nvmevf);
	return 0;
}

static int nvmevf_get_data_size(struct vfio_device *core_vdev,
				unsigned long *stop_copy_length)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret = 0;
	u32 size;

	nvmevf_state_lock(nvmevf);
	/* SAVE_DATA disabled the VF, which has nothing to be asked for now. */
	if (nvmevf->mig_state == VFIO_DEVICE_STATE_STOP_COPY)
		size = nvmevf_stream_state_size(nvmevf->stream);
	else
		ret = nvmevf_state_size(nvmevf, &size);
	nvmevf_state_unlock(nvmevf);
	if (ret)
		return ret;

	*stop_copy_length = nvmevf_stream_size(size);
	return 0;
}

static const struct vfio_migration_ops nvmevf_migration_ops = {
	.migration_set_state = nvmevf_set_state,
	.migration_get_state = nvmevf_get_state,
	.migration_get_data_size = nvmevf_get_data_size,
};

/* Without migration the VF can be assigned all the same, so none of it fails. */
static void nvmevf_init_migration(struct nvmevf_device *nvmevf)
{
	struct pci_dev *pdev = nvmevf->core_device.pdev;
	struct nvmevf_identity identity;
	u64 epoch;
	int ret;

	if (!pdev->is_virtfn) {
		pci_info(pdev, "migration off: not a virtual function\n");
		return;
	}

	if (nvme_vf_epoch(pdev, &epoch)) {
		pci_info(pdev, "migration off: the PF is not bound to nvme\n");
		return;
	}

	ret = nvmevf_identify(pdev, &identity);
	if (ret == -EOPNOTSUPP) {
		pci_info(pdev, "migration off: the controller does not support it\n");
		return;
	}
	if (ret) {
		pci_info(pdev, "migration off: the controller can't be asked (%pe)\n",
			 ERR_PTR(ret));
		return;
	}

	nvmevf->core_device.vdev.mig_ops = &nvmevf_migration_ops;
	nvmevf->core_device.vdev.migration_flags = VFIO_MIGRATION_STOP_COPY |
						   VFIO_MIGRATION_P2P |
						   VFIO_MIGRATION_PRE_COPY;
}

static int nvmevf_init_dev(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);
	int ret;

	ret = vfio_pci_core_init_dev(core_vdev);
	if (ret)
		return ret;

	/* VFIO's debugfs shows the state of a VF that nobody has opened, too. */
	nvmevf->mig_state = VFIO_DEVICE_STATE_RUNNING;
	mutex_init(&nvmevf->state_mutex);
	spin_lock_init(&nvmevf->reset_lock);
	nvmevf_stats_init(&nvmevf->stats);
	nvmevf_init_migration(nvmevf);
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

	/* Resets the VF, after which it runs. */
	ret = vfio_pci_core_enable(&nvmevf->core_device);
	if (ret)
		return ret;

	vfio_pci_core_finish_enable(&nvmevf->core_device);
	return 0;
}

static void nvmevf_close_device(struct vfio_device *core_vdev)
{
	struct nvmevf_device *nvmevf = nvmevf_from_vfio(core_vdev);

	nvmevf_state_lock(nvmevf);
	nvmevf_close_stream(nvmevf, NULL);
	nvmevf_forget_saved(nvmevf);
	nvmevf->mig_state = VFIO_DEVICE_STATE_RUNNING;
	nvmevf_state_unlock(nvmevf);

	vfio_pci_core_close_device(core_vdev);
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

	nvmevf_stats_show(&nvmevf->core_device.vdev, &nvmevf->stats);
	return 0;
}

static void nvmevf_remove(struct pci_dev *pdev)
{
	struct vfio_pci_core_device *core_device = dev_get_drvdata(&pdev->dev);
	int ret;

	vfio_pci_core_unregister_device(core_device);

	/*
	 * When a VF is closed, vfio-pci-core resets it if it gets the locks for
	 * that, which it does not while the driver is unbound. The next driver
	 * of a VF that stays suspended can do nothing about it.
	 */
	if (core_device->needs_reset && pci_device_is_present(pdev)) {
		ret = pci_reset_function_locked(pdev);
		if (ret)
			pci_err(pdev, "may be left suspended, as it can't be reset (%pe)\n",
				ERR_PTR(ret));
	}

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

	trace_nvmevf_reset(pdev);
	nvmevf_stats_reset(pdev);

	spin_lock(&nvmevf->reset_lock);
	nvmevf->resetting = false;
	nvmevf->reset = true;
	if (nvmevf->stream)
		nvmevf_stream_kill(nvmevf->stream);
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
MODULE_AUTHOR("The nvme-vfio-pci developers");
MODULE_DESCRIPTION("VFIO driver with live migration for NVMe virtual functions");
