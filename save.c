// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data_fd that a controller state is read from.
 *
 * The head of the stream, up to the STATE record, is made when the data_fd is opened.
 * The image follows when SAVE_DATA, which runs in the background, has ended.
 */

#include <linux/file.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/vfio.h>
#include <linux/workqueue.h>

#include "ctrl.h"
#include "image.h"
#include "save.h"
#include "stream.h"

enum nvmevf_save_phase {
	NVMEVF_SAVE_PRECOPY,	/* the VF runs, only the head can be read */
	NVMEVF_SAVE_RUNNING,	/* SAVE_DATA runs, read() waits for its end */
	NVMEVF_SAVE_DONE,	/* the whole stream can be read, or error is set */
};

/*
 * The lock of the stream protects all members. Exception: work owns the image, phase
 * and error while phase is NVMEVF_SAVE_RUNNING, and ends that by a release of phase.
 */
struct nvmevf_save {
	struct nvmevf_stream	stream;		/* first */
	struct vfio_device	*vdev;		/* with a reference */
	struct work_struct	work;
	enum nvmevf_save_phase	phase;

	/* IDENTITY, NAMESPACES if known, and the header of STATE, whose length may change */
	void			*head;
	size_t			head_size;
};

static struct nvmevf_save *nvmevf_save_of(struct nvmevf_stream *stream)
{
	return container_of(stream, struct nvmevf_save, stream);
}

static void nvmevf_save_set_phase(struct nvmevf_save *save,
				  enum nvmevf_save_phase phase)
{
	/* Pairs with nvmevf_save_phase(): image and error are visible. */
	smp_store_release(&save->phase, phase);
	wake_up_all(&save->stream.wait);
}

static enum nvmevf_save_phase nvmevf_save_phase(struct nvmevf_save *save)
{
	/* Pairs with nvmevf_save_set_phase(). */
	return smp_load_acquire(&save->phase);
}

static struct nvmevf_record *nvmevf_save_state_record(struct nvmevf_save *save)
{
	return save->head + save->head_size - sizeof(struct nvmevf_record);
}

static void nvmevf_save_finish_image(struct nvmevf_save *save)
{
	nvmevf_image_finish(save->stream.image,
			    nvmevf_image_crc(0, save->head, save->head_size));
}

static void nvmevf_save_work(struct work_struct *work)
{
	struct nvmevf_save *save = container_of(work, struct nvmevf_save, work);
	int ret;

	ret = nvmevf_image_save(save->stream.ctrl, save->stream.image);
	if (!ret)
		nvmevf_save_finish_image(save);
	save->stream.error = nvmevf_stream_errno(ret);
	nvmevf_save_set_phase(save, NVMEVF_SAVE_DONE);
}

/* Return true if read() need not wait, even if it fails. */
static bool nvmevf_save_readable(struct nvmevf_save *save)
{
	return READ_ONCE(save->stream.dead) ||
	       nvmevf_save_phase(save) != NVMEVF_SAVE_RUNNING;
}

/* Wait until there is something to read, and take both locks. */
static int nvmevf_save_lock_readable(struct nvmevf_save *save, bool nonblock)
{
	struct nvmevf_stream *stream = &save->stream;
	int ret;

	for (;;) {
		if (!nonblock) {
			ret = wait_event_interruptible(stream->wait,
						       nvmevf_save_readable(save));
			if (ret)
				return ret;
		} else if (!nvmevf_save_readable(save)) {
			return -EAGAIN;
		}

		ret = nvmevf_stream_lock_io(stream, nonblock);
		if (ret)
			return ret;
		mutex_lock(&stream->lock);
		if (nvmevf_save_readable(save))
			return 0;
		mutex_unlock(&stream->lock);
		mutex_unlock(&stream->io_lock);
	}
}

/* Return how many bytes can be read in PRE_COPY: the records before STATE. */
static size_t nvmevf_save_precopy_bytes(const struct nvmevf_save *save)
{
	return save->head_size - sizeof(struct nvmevf_record);
}

static int nvmevf_save_copy(const struct nvmevf_save *save,
			    const struct nvmevf_image *image, char __user *buf,
			    size_t pos, size_t len)
{
	size_t n = 0;

	if (pos < save->head_size) {
		n = min(len, save->head_size - pos);
		if (copy_to_user(buf, save->head + pos, n))
			return -EFAULT;
	}
	if (n < len && copy_to_user(buf + n, image->state + pos + n -
				    save->head_size, len - n))
		return -EFAULT;
	return 0;
}

static ssize_t nvmevf_save_read(struct file *filp, char __user *buf, size_t len,
				loff_t *ppos)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_save *save = nvmevf_save_of(stream);
	struct nvmevf_image *image;
	size_t end;
	ssize_t ret;

	ret = nvmevf_save_lock_readable(save, filp->f_flags & O_NONBLOCK);
	if (ret)
		return ret;

	if (READ_ONCE(stream->dead)) {
		ret = -ENODEV;
		goto out_unlock;
	}
	if (stream->error) {
		ret = stream->error;
		goto out_unlock;
	}

	if (save->phase == NVMEVF_SAVE_PRECOPY) {
		end = nvmevf_save_precopy_bytes(save);
		if (stream->pos == end) {
			ret = -ENOMSG;
			goto out_unlock;
		}
	} else {
		end = nvmevf_save_stream_size(stream, stream->image->state_size);
	}

	len = min(len, end - stream->pos);
	image = nvmevf_image_get(stream->image);

	/* The stream may proceed or die during the copy, but the image stays. */
	mutex_unlock(&stream->lock);
	ret = nvmevf_save_copy(save, image, buf, stream->pos, len);
	mutex_lock(&stream->lock);
	nvmevf_image_put(image);

	if (!ret && READ_ONCE(stream->dead))
		ret = -ENODEV;
	if (!ret) {
		WRITE_ONCE(stream->pos, stream->pos + len);
		ret = len;
	}

out_unlock:
	nvmevf_stream_note(stream, READ, max(ret, 0), min(ret, 0));
	mutex_unlock(&stream->lock);
	mutex_unlock(&stream->io_lock);
	return ret;
}

static __poll_t nvmevf_save_poll(struct file *filp,
				 struct poll_table_struct *wait)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_save *save = nvmevf_save_of(stream);

	poll_wait(filp, &stream->wait, wait);

	if (READ_ONCE(stream->dead))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;

	switch (nvmevf_save_phase(save)) {
	case NVMEVF_SAVE_PRECOPY:
		if (READ_ONCE(stream->pos) == nvmevf_save_precopy_bytes(save))
			return 0;
		fallthrough;
	case NVMEVF_SAVE_DONE:
		return EPOLLIN | EPOLLRDNORM;
	default:
		return 0;
	}
}

static long nvmevf_save_ioctl(struct file *filp, unsigned int cmd,
			      unsigned long arg)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_save *save = nvmevf_save_of(stream);
	struct vfio_precopy_info info = { };
	long ret;

	ret = vfio_check_precopy_ioctl(save->vdev, cmd, arg, &info);
	if (ret)
		return ret;

	mutex_lock(&stream->lock);
	if (READ_ONCE(stream->dead))
		ret = -ENODEV;
	else if (nvmevf_save_phase(save) != NVMEVF_SAVE_PRECOPY)
		ret = -EINVAL;
	info.initial_bytes = nvmevf_save_precopy_bytes(save) - stream->pos;
	mutex_unlock(&stream->lock);
	if (ret)
		return ret;

	info.flags = 0;
	info.dirty_bytes = 0;
	if (copy_to_user((void __user *)arg, &info,
			 offsetofend(struct vfio_precopy_info, dirty_bytes)))
		return -EFAULT;
	return 0;
}

static int nvmevf_save_release(struct inode *inode, struct file *filp)
{
	struct nvmevf_save *save = nvmevf_save_of(filp->private_data);

	nvmevf_stream_release(&save->stream);
	put_device(&save->vdev->device);
	kvfree(save->head);
	kfree(save);
	return 0;
}

static const struct file_operations nvmevf_save_fops = {
	.owner = THIS_MODULE,
	.read = nvmevf_save_read,
	.poll = nvmevf_save_poll,
	.unlocked_ioctl = nvmevf_save_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = nvmevf_save_release,
};

static size_t nvmevf_save_head_size(const struct nvmevf_namespaces *namespaces)
{
	size_t size = 2 * sizeof(struct nvmevf_record) +
		      sizeof(struct nvmevf_identity);

	if (namespaces)
		size += sizeof(struct nvmevf_record) +
			namespaces->count * sizeof(*namespaces->ns);
	return size;
}

/* Make the records before the state. Their payloads need no padding. */
static int nvmevf_save_make_head(struct nvmevf_save *save,
				 const struct nvmevf_identity *identity,
				 const struct nvmevf_namespaces *namespaces,
				 u32 state_size)
{
	struct nvmevf_identity *to;
	struct nvmevf_record *record;

	save->head_size = nvmevf_save_head_size(namespaces);
	save->head = kvzalloc(save->head_size, GFP_KERNEL_ACCOUNT);
	if (!save->head)
		return -ENOMEM;

	record = save->head;
	record->type = cpu_to_le32(NVMEVF_RECORD_IDENTITY);
	record->length = cpu_to_le64(sizeof(*identity));
	to = (void *)(record + 1);
	*to = *identity;
	to->state_size = cpu_to_le64(state_size);

	if (namespaces) {
		record = (void *)(to + 1);
		record->type = cpu_to_le32(NVMEVF_RECORD_NAMESPACES);
		record->flags = cpu_to_le32(NVMEVF_RECORD_OPTIONAL);
		record->length = cpu_to_le64(namespaces->count *
					     sizeof(*namespaces->ns));
		memcpy(record + 1, namespaces->ns, le64_to_cpu(record->length));
	}

	record = nvmevf_save_state_record(save);
	record->type = cpu_to_le32(NVMEVF_RECORD_STATE);
	record->length = cpu_to_le64(state_size);
	return 0;
}

/**
 * nvmevf_save_open() - Open a data_fd to read the state of a VF from
 * @vdev: VFIO device of the VF; its memory stays until the file is closed
 * @ctrl: the VF's controller
 * @identity: of the VF; @state_size is added
 * @namespaces: of the VF, or NULL
 * @state_size: bytes of controller state, as far as known
 *
 * The stream ends before the STATE record until nvmevf_save_start() or
 * nvmevf_save_again().
 *
 * Context: Process context, may sleep.
 *
 * Return: the stream, with a reference to its file that nvmevf_save_close()
 * drops, or an ERR_PTR().
 */
struct nvmevf_stream *nvmevf_save_open(struct vfio_device *vdev,
				       struct nvmevf_ctrl *ctrl,
				       const struct nvmevf_identity *identity,
				       const struct nvmevf_namespaces *namespaces,
				       u32 state_size)
{
	struct nvmevf_image *image;
	struct nvmevf_save *save;
	int ret;

	image = nvmevf_image_alloc(state_size);
	if (!image)
		return ERR_PTR(-ENOMEM);

	save = kzalloc_obj(*save, GFP_KERNEL_ACCOUNT);
	if (!save) {
		ret = -ENOMEM;
		goto out_put_image;
	}

	ret = nvmevf_save_make_head(save, identity, namespaces, state_size);
	if (ret)
		goto out_free;

	ret = nvmevf_stream_init(&save->stream, ctrl, &nvmevf_save_fops,
				 O_RDONLY);
	if (ret)
		goto out_free_head;

	get_device(&vdev->device);
	save->vdev = vdev;
	save->phase = NVMEVF_SAVE_PRECOPY;
	INIT_WORK(&save->work, nvmevf_save_work);
	save->stream.image = image;
	return &save->stream;

out_free_head:
	kvfree(save->head);
out_free:
	kfree(save);
out_put_image:
	nvmevf_image_put(image);
	return ERR_PTR(ret);
}

/* Serve @image from now on. The records before STATE remain: they may have been read. */
static void nvmevf_save_set_image(struct nvmevf_save *save,
				  struct nvmevf_image *image)
{
	if (image != save->stream.image)
		nvmevf_image_put(save->stream.image);
	save->stream.image = image;
	nvmevf_save_state_record(save)->length = cpu_to_le64(image->state_size);
}

/**
 * nvmevf_save_start() - Start SAVE_DATA in the background
 * @stream: the stream, in PRE_COPY
 * @state_size: bytes of controller state of the VF, which is suspended
 *
 * read() and poll() wait for its end. Memory is allocated only if the state is
 * larger than the image that the stream began with.
 *
 * Context: Process context, may sleep, but not for the controller.
 *
 * Return: 0 or -ENOMEM.
 */
int nvmevf_save_start(struct nvmevf_stream *stream, u32 state_size)
{
	struct nvmevf_save *save = nvmevf_save_of(stream);
	struct nvmevf_image *image = stream->image;

	if (state_size != stream->image->state_size)
		pci_dbg(stream->ctrl->vf, "%u bytes of controller state, %u before\n",
			state_size, stream->image->state_size);
	if (state_size > image->room) {
		image = nvmevf_image_alloc(state_size);
		if (!image)
			return -ENOMEM;
	}

	mutex_lock(&stream->lock);
	image->state_size = state_size;
	nvmevf_save_set_image(save, image);
	nvmevf_save_set_phase(save, NVMEVF_SAVE_RUNNING);
	mutex_unlock(&stream->lock);

	queue_work(system_long_wq, &save->work);
	return 0;
}

/**
 * nvmevf_save_again() - Serve a state that was saved before
 * @stream: the stream, in PRE_COPY
 * @image: what nvmevf_save_close() returned; the stream takes it over
 *
 * Context: Process context, may sleep, but not for the controller.
 */
void nvmevf_save_again(struct nvmevf_stream *stream, struct nvmevf_image *image)
{
	struct nvmevf_save *save = nvmevf_save_of(stream);

	mutex_lock(&stream->lock);
	nvmevf_save_set_image(save, image);
	nvmevf_save_finish_image(save);
	nvmevf_save_set_phase(save, NVMEVF_SAVE_DONE);
	mutex_unlock(&stream->lock);
}

/**
 * nvmevf_save_state_size() - Return the size of the state that is being saved
 * @stream: the stream
 *
 * Context: Any. The caller keeps the stream from being closed.
 *
 * Return: bytes.
 */
u32 nvmevf_save_state_size(const struct nvmevf_stream *stream)
{
	return stream->image->state_size;
}

/**
 * nvmevf_save_stream_size() - Return the length of a stream
 * @stream: the stream, or NULL if it has not been opened
 * @state_size: bytes of controller state
 *
 * Context: Any. The caller keeps the stream from being closed.
 *
 * Return: bytes. Without a stream, this is an estimate that leaves out NAMESPACES.
 */
u64 nvmevf_save_stream_size(const struct nvmevf_stream *stream, u32 state_size)
{
	size_t head_size = nvmevf_save_head_size(NULL);

	if (stream)
		head_size = container_of_const(stream, struct nvmevf_save,
					       stream)->head_size;
	return head_size + nvmevf_image_size(state_size);
}

/**
 * nvmevf_save_close() - End a stream: its data_fd is dead from now on
 * @stream: the stream
 * @saved: receives the image if SAVE_DATA succeeded, else NULL; may be NULL
 *
 * Context: Process context, waits for SAVE_DATA, but not for user memory: a read()
 * may still copy from the image.
 *
 * Return: 0 or the error of SAVE_DATA.
 */
int nvmevf_save_close(struct nvmevf_stream *stream, struct nvmevf_image **saved)
{
	struct nvmevf_save *save = nvmevf_save_of(stream);
	struct nvmevf_image *image;
	int error;

	nvmevf_stream_kill(stream);
	flush_work(&save->work);

	mutex_lock(&stream->lock);
	error = stream->error;
	image = stream->image;
	stream->image = NULL;
	mutex_unlock(&stream->lock);

	if (save->phase != NVMEVF_SAVE_DONE || error || !saved) {
		nvmevf_image_put(image);
		image = NULL;
	}
	if (saved)
		*saved = image;
	fput(stream->filp);
	return error;
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/save_kunit.c"
#endif
