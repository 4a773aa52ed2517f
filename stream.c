// SPDX-License-Identifier: GPL-2.0-only
/*
 * The migration stream and the files that it goes through.
 *
 * A saved stream lies in memory as one piece, an image, with the state on a page
 * boundary: the controller writes it there, and read() copies it out, once. A
 * stream that is written is checked record by record as it arrives, and its
 * state is loaded into the VF when the END record was found good, because
 * write() is the last call whose failure still stops a migration.
 */

#include <kunit/static_stub.h>
#include <linux/anon_inodes.h>
#include <linux/crc32c.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/nvme-vf.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/vfio.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include "cmds.h"
#include "stats.h"
#include "stream.h"
#include "trace.h"

static bool allow_firmware_mismatch;
module_param(allow_firmware_mismatch, bool, 0644);
MODULE_PARM_DESC(allow_firmware_mismatch,
		 "Accept the state of a controller with another firmware revision (default: no)");

/* An unknown record that may be skipped is at most so long. */
#define NVMEVF_OPTIONAL_MAX	SZ_64K

static_assert(sizeof(struct nvmevf_record) == 16);
static_assert(sizeof(struct nvmevf_identity) % NVMEVF_RECORD_ALIGN == 0);
static_assert(sizeof(struct nvmevf_end) == NVMEVF_RECORD_ALIGN);

/* What comes before the state, and ends where the state's page begins. */
struct nvmevf_image_head {
	struct nvmevf_record	identity_record;
	struct nvmevf_identity	identity;
	struct nvmevf_record	state_record;
};

struct nvmevf_image_tail {
	struct nvmevf_record	end_record;
	struct nvmevf_end	end;
};

static_assert(sizeof(struct nvmevf_image_head) <= PAGE_SIZE);

struct nvmevf_image {
	refcount_t	refs;
	u32		state_size;
	u32		room;		/* for a state, at least state_size */
	void		*mem;
};

enum nvmevf_phase {
	NVMEVF_PRECOPY,		/* read: the VF runs, only IDENTITY is there */
	NVMEVF_SAVING,		/* read: the rest comes when SAVE_DATA ends */
	NVMEVF_SAVED,		/* read: all is there, or error is set */
	NVMEVF_HEADER,		/* write: what is awaited next */
	NVMEVF_PAYLOAD,
	NVMEVF_PADDING,
	NVMEVF_LOADED,		/* write: the stream is complete */
};

struct nvmevf_stream {
	struct file		*filp;
	struct pci_dev		*pdev;
	struct nvmevf_identity	identity;
	wait_queue_head_t	wait;		/* for phase and dead */
	struct work_struct	save_work;
	bool			dead;

	/*
	 * One read() or write() at a time. It is held while user memory is
	 * copied, which can take forever, so nothing else may wait for it.
	 */
	struct mutex		io_lock;

	/*
	 * Protects what follows. Nests inside io_lock and the state mutex; held
	 * while LOAD_DATA runs, but not while user memory is copied. Exception:
	 * save_work owns image, phase and error in the phase NVMEVF_SAVING, and
	 * ends that with a release of phase.
	 */
	struct mutex		lock;
	enum nvmevf_phase	phase;
	int			error;
	struct nvmevf_image	*image;
	size_t			pos;		/* bytes so far */

	/* write only */
	u32			max_state_size;
	u32			crc;
	u32			expected;	/* enum nvmevf_record_type */
	struct nvmevf_record	record;
	struct nvmevf_end	end;
	struct nvmevf_identity	peer;
	u8			scratch[64];
	size_t			done;		/* bytes of the phase so far */
};

/**
 * nvmevf_identity_init() - Describe which controllers may take a VF's state
 * @identity: to be filled in, except for the state's size
 * @pdev: the VF
 * @id: Identify Controller of its PF
 * @queue_pairs: of the VF, 0 when not known
 */
void nvmevf_identity_init(struct nvmevf_identity *identity,
			  struct pci_dev *pdev, const struct nvme_id_ctrl *id,
			  u16 queue_pairs)
{
	*identity = (struct nvmevf_identity) {
		.magic = cpu_to_le64(NVMEVF_STREAM_MAGIC),
		.version = cpu_to_le16(NVMEVF_STREAM_VERSION),
		.vendor = cpu_to_le16(pdev->vendor),
		.device = cpu_to_le16(pdev->device),
		.subsystem_vendor = cpu_to_le16(pdev->subsystem_vendor),
		.subsystem_device = cpu_to_le16(pdev->subsystem_device),
		.msix_vectors = cpu_to_le16(max(pci_msix_vec_count(pdev), 0)),
		.queue_pairs = cpu_to_le16(queue_pairs),
	};
	memcpy(identity->model, id->mn, sizeof(identity->model));
	memcpy(identity->firmware, id->fr, sizeof(identity->firmware));
}

static void *nvmevf_image_state(const struct nvmevf_image *image)
{
	return image->mem + PAGE_SIZE;
}

static struct nvmevf_image_head *
nvmevf_image_head(const struct nvmevf_image *image)
{
	return nvmevf_image_state(image) - sizeof(struct nvmevf_image_head);
}

static struct nvmevf_image_tail *
nvmevf_image_tail(const struct nvmevf_image *image)
{
	return nvmevf_image_state(image) +
	       ALIGN(image->state_size, NVMEVF_RECORD_ALIGN);
}

/**
 * nvmevf_stream_size() - How long the stream for a state is
 * @state_size: bytes of state
 *
 * Return: bytes.
 */
u64 nvmevf_stream_size(u32 state_size)
{
	return sizeof(struct nvmevf_image_head) +
	       ALIGN((u64)state_size, NVMEVF_RECORD_ALIGN) +
	       sizeof(struct nvmevf_image_tail);
}

/**
 * nvmevf_image_alloc() - Make room for a state and the stream around it
 * @state_size: bytes of state, at most what one command can carry
 *
 * The memory is zeroed and charged to the caller.
 *
 * Return: the image, or NULL.
 */
struct nvmevf_image *nvmevf_image_alloc(u32 state_size)
{
	struct nvmevf_image *image;

	image = kzalloc_obj(*image, GFP_KERNEL_ACCOUNT);
	if (!image)
		return NULL;

	refcount_set(&image->refs, 1);
	image->state_size = state_size;
	image->room = state_size;
	image->mem = __vmalloc(PAGE_SIZE + nvmevf_stream_size(state_size),
			       GFP_KERNEL_ACCOUNT | __GFP_ZERO |
			       __GFP_NOWARN);
	if (!image->mem) {
		kfree(image);
		return NULL;
	}

	return image;
}

static struct nvmevf_image *nvmevf_image_get(struct nvmevf_image *image)
{
	if (image)
		refcount_inc(&image->refs);
	return image;
}

/**
 * nvmevf_image_put() - Free an image, as soon as nobody copies it any more
 * @image: the image or NULL
 */
void nvmevf_image_put(struct nvmevf_image *image)
{
	if (!image || !refcount_dec_and_test(&image->refs))
		return;

	vfree(image->mem);
	kfree(image);
}

/**
 * nvmevf_image_state_size() - How large the state in an image is
 * @image: the image
 *
 * Return: bytes.
 */
u32 nvmevf_image_state_size(const struct nvmevf_image *image)
{
	return image->state_size;
}

/**
 * nvmevf_image_load() - Send the state in an image to the VF
 * @pdev: the VF, suspended
 * @image: the image
 *
 * Return: 0 or a negative errno of nvmevf_cmd_load_data().
 */
int nvmevf_image_load(struct pci_dev *pdev, struct nvmevf_image *image)
{
	KUNIT_STATIC_STUB_REDIRECT(nvmevf_image_load, pdev, image);

	return nvmevf_cmd_load_data(pdev, nvmevf_image_state(image),
				    image->state_size);
}

/* The standard CRC-32C, of nothing so far when @crc is 0. */
static u32 nvmevf_crc(u32 crc, const void *data, size_t len)
{
	return ~crc32c(~crc, data, len);
}

static void nvmevf_image_begin(struct nvmevf_image *image,
			       const struct nvmevf_identity *identity)
{
	*nvmevf_image_head(image) = (struct nvmevf_image_head) {
		.identity_record.type = cpu_to_le32(NVMEVF_RECORD_IDENTITY),
		.identity_record.length = cpu_to_le64(sizeof(*identity)),
		.identity = *identity,
		.state_record.type = cpu_to_le32(NVMEVF_RECORD_STATE),
		.state_record.length = cpu_to_le64(image->state_size),
	};
}

/* Of an image that has begun: all but the length of the state stays. */
static void nvmevf_image_set_size(struct nvmevf_image *image, u32 state_size)
{
	image->state_size = state_size;
	nvmevf_image_head(image)->state_record.length = cpu_to_le64(state_size);
}

static void nvmevf_image_finish(struct nvmevf_image *image)
{
	struct nvmevf_image_head *head = nvmevf_image_head(image);
	struct nvmevf_image_tail *tail = nvmevf_image_tail(image);
	void *pad = nvmevf_image_state(image) + image->state_size;

	/* SAVE_DATA is asked for whole dwords. */
	memset(pad, 0, (void *)tail - pad);
	*tail = (struct nvmevf_image_tail) {
		.end_record.type = cpu_to_le32(NVMEVF_RECORD_END),
		.end_record.length = cpu_to_le64(sizeof(tail->end)),
		.end.crc32c = cpu_to_le32(nvmevf_crc(0, head,
						     (void *)tail - (void *)head)),
	};
}

static void nvmevf_stream_set_phase(struct nvmevf_stream *stream,
				    enum nvmevf_phase phase)
{
	/* Pairs with nvmevf_stream_phase(): what save_work wrote is visible. */
	smp_store_release(&stream->phase, phase);
	wake_up_all(&stream->wait);
}

static enum nvmevf_phase nvmevf_stream_phase(struct nvmevf_stream *stream)
{
	/* Pairs with nvmevf_stream_set_phase(). */
	return smp_load_acquire(&stream->phase);
}

/* Of the data_fd -EAGAIN says that there will be more to read. */
static int nvmevf_stream_errno(int error)
{
	return error == -EAGAIN ? -EIO : error;
}

static void nvmevf_stream_save_work(struct work_struct *work)
{
	struct nvmevf_stream *stream =
		container_of(work, struct nvmevf_stream, save_work);
	struct nvmevf_image *image = stream->image;
	int ret;

	ret = nvmevf_cmd_save_data(stream->pdev, nvmevf_image_state(image),
				   image->state_size);
	if (!ret)
		nvmevf_image_finish(image);

	stream->error = nvmevf_stream_errno(ret);
	nvmevf_stream_set_phase(stream, NVMEVF_SAVED);
}

/* True when read() need not wait, though it may fail. */
static bool nvmevf_stream_readable(struct nvmevf_stream *stream)
{
	return READ_ONCE(stream->dead) ||
	       nvmevf_stream_phase(stream) != NVMEVF_SAVING;
}

/* Takes both locks, when there is something to read. */
static int nvmevf_stream_lock_readable(struct nvmevf_stream *stream,
				       bool nonblock)
{
	int ret;

	for (;;) {
		if (!nonblock) {
			ret = wait_event_interruptible(stream->wait,
						       nvmevf_stream_readable(stream));
			if (ret)
				return ret;
		} else if (!nvmevf_stream_readable(stream)) {
			return -EAGAIN;
		}

		if (mutex_lock_interruptible(&stream->io_lock))
			return -ERESTARTSYS;
		mutex_lock(&stream->lock);
		if (nvmevf_stream_readable(stream))
			return 0;
		mutex_unlock(&stream->lock);
		mutex_unlock(&stream->io_lock);
	}
}

/* Under the lock of a stream that lives: the VF may go away with the stream. */
static void nvmevf_stream_note(struct nvmevf_stream *stream, int rw,
			       size_t bytes, int error)
{
	size_t offset = stream->pos - bytes;

	if (READ_ONCE(stream->dead))
		return;
	if (rw == READ)
		trace_nvmevf_data_read(stream->pdev, offset, bytes, error);
	else
		trace_nvmevf_data_write(stream->pdev, offset, bytes, error);
	nvmevf_stats_data(stream->pdev, rw, bytes, error);
}

static ssize_t nvmevf_stream_read(struct file *filp, char __user *buf,
				  size_t len, loff_t *ppos)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_image *image;
	unsigned long left;
	void *from;
	size_t end;
	ssize_t ret;

	ret = nvmevf_stream_lock_readable(stream, filp->f_flags & O_NONBLOCK);
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

	if (stream->phase == NVMEVF_PRECOPY) {
		end = offsetof(struct nvmevf_image_head, state_record);
		if (stream->pos == end) {
			ret = -ENOMSG;
			goto out_unlock;
		}
	} else {
		end = nvmevf_stream_size(stream->image->state_size);
	}

	len = min(len, end - stream->pos);
	image = nvmevf_image_get(stream->image);
	from = (void *)nvmevf_image_head(image) + stream->pos;

	/* The stream may move on or die meanwhile, but not the image. */
	mutex_unlock(&stream->lock);
	left = copy_to_user(buf, from, len);
	mutex_lock(&stream->lock);
	nvmevf_image_put(image);

	if (left) {
		ret = -EFAULT;
	} else if (READ_ONCE(stream->dead)) {
		ret = -ENODEV;
	} else {
		WRITE_ONCE(stream->pos, stream->pos + len);
		ret = len;
	}

out_unlock:
	nvmevf_stream_note(stream, READ, max(ret, 0), min(ret, 0));
	mutex_unlock(&stream->lock);
	mutex_unlock(&stream->io_lock);
	return ret;
}

static __poll_t nvmevf_stream_read_poll(struct file *filp,
					struct poll_table_struct *wait)
{
	struct nvmevf_stream *stream = filp->private_data;

	poll_wait(filp, &stream->wait, wait);

	if (READ_ONCE(stream->dead))
		return EPOLLIN | EPOLLRDNORM | EPOLLERR | EPOLLHUP;

	switch (nvmevf_stream_phase(stream)) {
	case NVMEVF_PRECOPY:
		if (READ_ONCE(stream->pos) ==
		    offsetof(struct nvmevf_image_head, state_record))
			return 0;
		fallthrough;
	case NVMEVF_SAVED:
		return EPOLLIN | EPOLLRDNORM;
	default:
		return 0;
	}
}

static long nvmevf_stream_precopy_info(struct nvmevf_stream *stream,
				       void __user *arg)
{
	const size_t minsz = offsetofend(struct vfio_precopy_info, dirty_bytes);
	struct vfio_precopy_info info = { };
	long ret = 0;

	if (copy_from_user(&info, arg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;

	mutex_lock(&stream->lock);
	if (READ_ONCE(stream->dead))
		ret = -ENODEV;
	else if (nvmevf_stream_phase(stream) != NVMEVF_PRECOPY)
		ret = -EINVAL;
	info.initial_bytes = offsetof(struct nvmevf_image_head, state_record) -
			     stream->pos;
	mutex_unlock(&stream->lock);
	if (ret)
		return ret;

	info.flags = 0;
	info.dirty_bytes = 0;
	return copy_to_user(arg, &info, minsz) ? -EFAULT : 0;
}

static long nvmevf_stream_ioctl(struct file *filp, unsigned int cmd,
				unsigned long arg)
{
	if (cmd == VFIO_MIG_GET_PRECOPY_INFO)
		return nvmevf_stream_precopy_info(filp->private_data,
						  (void __user *)arg);
	return -ENOTTY;
}

static int nvmevf_stream_release(struct inode *inode, struct file *filp)
{
	struct nvmevf_stream *stream = filp->private_data;

	nvmevf_image_put(stream->image);
	mutex_destroy(&stream->lock);
	mutex_destroy(&stream->io_lock);
	kfree(stream);
	return 0;
}

static const struct file_operations nvmevf_stream_read_fops = {
	.owner = THIS_MODULE,
	.read = nvmevf_stream_read,
	.poll = nvmevf_stream_read_poll,
	.unlocked_ioctl = nvmevf_stream_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.release = nvmevf_stream_release,
};

/* One line in the log. */
static __printf(3, 4) int nvmevf_stream_refuse(struct nvmevf_stream *stream,
					       int error, const char *fmt, ...)
{
	struct va_format vaf = { .fmt = fmt };
	va_list args;

	va_start(args, fmt);
	vaf.va = &args;
	trace_nvmevf_refused(stream->pdev, error, &vaf);
	dev_err_ratelimited(&stream->pdev->dev, "migration stream refused: %pV\n",
			    &vaf);
	va_end(args);

	return error;
}

/* Is the state of the controller at the other end one that this VF may take? */
static int nvmevf_stream_check_identity(struct nvmevf_stream *stream)
{
	const struct nvmevf_identity *peer = &stream->peer;
	const struct nvmevf_identity *own = &stream->identity;

	if (peer->magic != own->magic)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "not of an NVMe VF, magic %#llx",
					    le64_to_cpu(peer->magic));
	if (peer->version != own->version)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "version %u, not %u",
					    le16_to_cpu(peer->version),
					    le16_to_cpu(own->version));
	if (peer->vendor != own->vendor || peer->device != own->device ||
	    peer->subsystem_vendor != own->subsystem_vendor ||
	    peer->subsystem_device != own->subsystem_device)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "of a device %04x:%04x (%04x:%04x)",
					    le16_to_cpu(peer->vendor),
					    le16_to_cpu(peer->device),
					    le16_to_cpu(peer->subsystem_vendor),
					    le16_to_cpu(peer->subsystem_device));
	if (memcmp(peer->model, own->model, sizeof(own->model)))
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "of a model \"%*pE\"",
					    (int)sizeof(peer->model), peer->model);
	if (memcmp(peer->firmware, own->firmware, sizeof(own->firmware)) &&
	    !READ_ONCE(allow_firmware_mismatch))
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "of firmware \"%*pE\", not \"%*pE\"",
					    (int)sizeof(peer->firmware), peer->firmware,
					    (int)sizeof(own->firmware), own->firmware);
	if (peer->msix_vectors != own->msix_vectors)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "of a VF with %u vectors, not %u",
					    le16_to_cpu(peer->msix_vectors),
					    le16_to_cpu(own->msix_vectors));
	if (own->queue_pairs &&
	    le16_to_cpu(peer->queue_pairs) > le16_to_cpu(own->queue_pairs))
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "of a VF with %u queue pairs, not %u",
					    le16_to_cpu(peer->queue_pairs),
					    le16_to_cpu(own->queue_pairs));
	if (memchr_inv(peer->rsvd, 0, sizeof(peer->rsvd)))
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "reserved field of the identity is not 0");
	if (le32_to_cpu(peer->state_size) > stream->max_state_size)
		return nvmevf_stream_refuse(stream, -EFBIG,
					    "%u bytes of state, but one command carries %u",
					    le32_to_cpu(peer->state_size),
					    stream->max_state_size);
	return 0;
}

/* The size in IDENTITY was an estimate, but most often there is room enough. */
static int nvmevf_stream_make_room(struct nvmevf_stream *stream, u32 state_size)
{
	if (stream->image && state_size <= stream->image->room) {
		stream->image->state_size = state_size;
		return 0;
	}

	nvmevf_image_put(stream->image);
	stream->image = nvmevf_image_alloc(state_size);
	if (!stream->image)
		return nvmevf_stream_refuse(stream, -ENOMEM,
					    "no memory for %u bytes of state",
					    state_size);
	return 0;
}

static int nvmevf_stream_check_header(struct nvmevf_stream *stream)
{
	u32 type = le32_to_cpu(stream->record.type);
	u32 flags = le32_to_cpu(stream->record.flags);
	u64 length = le64_to_cpu(stream->record.length);
	u64 good = 0;

	switch (type) {
	case NVMEVF_RECORD_IDENTITY:
		good = sizeof(stream->peer);
		break;
	case NVMEVF_RECORD_STATE:
		good = length;
		break;
	case NVMEVF_RECORD_END:
		good = sizeof(stream->end);
		break;
	default:
		if (flags != NVMEVF_RECORD_OPTIONAL)
			return nvmevf_stream_refuse(stream, -EINVAL,
						    "record type %u with flags %#x is not known",
						    type, flags);
		if (stream->expected == NVMEVF_RECORD_IDENTITY)
			return nvmevf_stream_refuse(stream, -EINVAL,
						    "begins with record type %u",
						    type);
		if (length > NVMEVF_OPTIONAL_MAX)
			return nvmevf_stream_refuse(stream, -EINVAL,
						    "optional record of %llu bytes",
						    length);
		pci_dbg(stream->pdev, "skips record type %u, %llu bytes\n", type,
			length);
		return 0;
	}

	if (type != stream->expected)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "record type %u where %u belongs",
					    type, stream->expected);
	if (flags)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "record type %u with flags %#x",
					    type, flags);
	if (length != good)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "record type %u of %llu bytes, not %llu",
					    type, length, good);
	if (type != NVMEVF_RECORD_STATE)
		return 0;

	if (!length)
		return nvmevf_stream_refuse(stream, -EINVAL, "empty state");
	if (length > stream->max_state_size)
		return nvmevf_stream_refuse(stream, -EFBIG,
					    "%llu bytes of state, but one command carries %u",
					    length, stream->max_state_size);
	return nvmevf_stream_make_room(stream, length);
}

static int nvmevf_stream_end(struct nvmevf_stream *stream)
{
	u32 crc = le32_to_cpu(stream->end.crc32c);
	int ret;

	if (stream->end.rsvd)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "reserved field of the end is not 0");
	if (crc != stream->crc)
		return nvmevf_stream_refuse(stream, -EBADMSG,
					    "damaged, checksum %#x, not %#x",
					    stream->crc, crc);

	ret = nvmevf_image_load(stream->pdev, stream->image);
	nvmevf_image_put(stream->image);
	stream->image = NULL;
	return nvmevf_stream_errno(ret);
}

/* Where the next bytes belong, and how many of them. */
static void *nvmevf_stream_want(struct nvmevf_stream *stream, size_t *len)
{
	u64 length = le64_to_cpu(stream->record.length);
	void *base;

	switch (stream->phase) {
	case NVMEVF_HEADER:
		*len = sizeof(stream->record) - stream->done;
		return (void *)&stream->record + stream->done;
	case NVMEVF_PAYLOAD:
		*len = length - stream->done;
		break;
	default:
		*len = ALIGN(length, NVMEVF_RECORD_ALIGN) - length - stream->done;
		return stream->scratch;
	}

	switch (le32_to_cpu(stream->record.type)) {
	case NVMEVF_RECORD_IDENTITY:
		base = &stream->peer;
		break;
	case NVMEVF_RECORD_STATE:
		base = nvmevf_image_state(stream->image);
		break;
	case NVMEVF_RECORD_END:
		base = &stream->end;
		break;
	default:
		*len = min(*len, sizeof(stream->scratch));
		return stream->scratch;
	}
	return base + stream->done;
}

/* The checksum ends where the END record begins. */
static void nvmevf_stream_add_crc(struct nvmevf_stream *stream,
				  const void *data, size_t len)
{
	if (le32_to_cpu(stream->record.type) != NVMEVF_RECORD_END)
		stream->crc = nvmevf_crc(stream->crc, data, len);
}

static int nvmevf_stream_record_done(struct nvmevf_stream *stream)
{
	int ret = 0;

	stream->phase = NVMEVF_HEADER;
	switch (le32_to_cpu(stream->record.type)) {
	case NVMEVF_RECORD_IDENTITY:
		ret = nvmevf_stream_check_identity(stream);
		/* While the VM still runs. The size may be another one later. */
		if (!ret && stream->peer.state_size)
			ret = nvmevf_stream_make_room(stream,
						      le32_to_cpu(stream->peer.state_size));
		stream->expected = NVMEVF_RECORD_STATE;
		break;
	case NVMEVF_RECORD_STATE:
		stream->expected = NVMEVF_RECORD_END;
		break;
	case NVMEVF_RECORD_END:
		ret = nvmevf_stream_end(stream);
		stream->phase = NVMEVF_LOADED;
		break;
	}
	return ret;
}

/* Takes the bytes that came where nvmevf_stream_want() said. */
static int nvmevf_stream_got(struct nvmevf_stream *stream, const void *data,
			     size_t len)
{
	size_t left;
	int ret = 0;

	if (stream->phase != NVMEVF_HEADER)
		nvmevf_stream_add_crc(stream, data, len);
	if (stream->phase == NVMEVF_PADDING && memchr_inv(data, 0, len))
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "padding is not 0");
	stream->done += len;

	/* A payload or a padding of no bytes is complete at once. */
	while (!ret && stream->phase != NVMEVF_LOADED) {
		nvmevf_stream_want(stream, &left);
		if (left)
			break;

		stream->done = 0;
		switch (stream->phase) {
		case NVMEVF_HEADER:
			nvmevf_stream_add_crc(stream, &stream->record,
					      sizeof(stream->record));
			ret = nvmevf_stream_check_header(stream);
			stream->phase = NVMEVF_PAYLOAD;
			break;
		case NVMEVF_PAYLOAD:
			stream->phase = NVMEVF_PADDING;
			break;
		default:
			ret = nvmevf_stream_record_done(stream);
			break;
		}
	}
	return ret;
}

static ssize_t nvmevf_stream_write(struct file *filp, const char __user *buf,
				   size_t len, loff_t *ppos)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_image *image;
	size_t written = 0, n;
	unsigned long left;
	void *to;
	int ret;

	if (mutex_lock_interruptible(&stream->io_lock))
		return -ERESTARTSYS;

	mutex_lock(&stream->lock);
	if (READ_ONCE(stream->dead))
		ret = -ENODEV;
	else
		ret = stream->error;

	while (!ret && written < len) {
		if (stream->phase == NVMEVF_LOADED) {
			ret = nvmevf_stream_refuse(stream, -EINVAL,
						   "goes on after its end");
			stream->error = ret;
			break;
		}

		to = nvmevf_stream_want(stream, &n);
		n = min(n, len - written);
		image = nvmevf_image_get(stream->image);

		/* The stream may die meanwhile, but not what @to is in. */
		mutex_unlock(&stream->lock);
		left = copy_from_user(to, buf + written, n);
		mutex_lock(&stream->lock);
		nvmevf_image_put(image);

		if (left) {
			ret = -EFAULT;
		} else if (READ_ONCE(stream->dead)) {
			ret = -ENODEV;
		} else {
			written += n;
			stream->pos += n;
			ret = nvmevf_stream_got(stream, to, n);
			stream->error = ret;
		}
	}

	nvmevf_stream_note(stream, WRITE, written, ret);
	mutex_unlock(&stream->lock);
	mutex_unlock(&stream->io_lock);
	if (ret == -EFAULT && written)
		return written;
	return ret ? ret : written;
}

static __poll_t nvmevf_stream_write_poll(struct file *filp,
					 struct poll_table_struct *wait)
{
	struct nvmevf_stream *stream = filp->private_data;

	poll_wait(filp, &stream->wait, wait);

	if (READ_ONCE(stream->dead))
		return EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP;
	return EPOLLOUT | EPOLLWRNORM;
}

static const struct file_operations nvmevf_stream_write_fops = {
	.owner = THIS_MODULE,
	.write = nvmevf_stream_write,
	.poll = nvmevf_stream_write_poll,
	.release = nvmevf_stream_release,
};

static struct nvmevf_stream *
nvmevf_stream_open(struct pci_dev *pdev, const struct nvmevf_identity *identity,
		   const struct file_operations *fops, int flags)
{
	struct nvmevf_stream *stream;
	struct file *filp;

	stream = kzalloc_obj(*stream, GFP_KERNEL_ACCOUNT);
	if (!stream)
		return ERR_PTR(-ENOMEM);

	filp = anon_inode_getfile("nvmevf_mig", fops, stream, flags);
	if (IS_ERR(filp)) {
		kfree(stream);
		return ERR_CAST(filp);
	}
	stream_open(file_inode(filp), filp);

	stream->filp = filp;
	stream->pdev = pdev;
	stream->identity = *identity;
	init_waitqueue_head(&stream->wait);
	INIT_WORK(&stream->save_work, nvmevf_stream_save_work);
	mutex_init(&stream->io_lock);
	mutex_init(&stream->lock);
	return stream;
}

/**
 * nvmevf_stream_open_read() - Open a data_fd to read the state of a VF from
 * @pdev: the VF
 * @identity: of the VF
 * @image: where the stream will lie; the stream takes it over
 *
 * Until nvmevf_stream_save() the stream has nothing but the IDENTITY record.
 *
 * Return: the stream, with one reference to its file, which
 * nvmevf_stream_close() drops, or an ERR_PTR(); then the image is freed.
 */
struct nvmevf_stream *
nvmevf_stream_open_read(struct pci_dev *pdev,
			const struct nvmevf_identity *identity,
			struct nvmevf_image *image)
{
	struct nvmevf_stream *stream;

	stream = nvmevf_stream_open(pdev, identity, &nvmevf_stream_read_fops,
				    O_RDONLY);
	if (IS_ERR(stream)) {
		nvmevf_image_put(image);
		return stream;
	}

	stream->identity.state_size = cpu_to_le32(image->state_size);
	stream->image = image;
	stream->phase = NVMEVF_PRECOPY;
	nvmevf_image_begin(image, &stream->identity);
	return stream;
}

/**
 * nvmevf_stream_open_write() - Open a data_fd to write the state of a VF to
 * @pdev: the VF, suspended
 * @identity: of the VF
 * @max_state_size: bytes that one command can carry
 *
 * Return: as nvmevf_stream_open_read().
 */
struct nvmevf_stream *
nvmevf_stream_open_write(struct pci_dev *pdev,
			 const struct nvmevf_identity *identity,
			 u32 max_state_size)
{
	struct nvmevf_stream *stream;

	stream = nvmevf_stream_open(pdev, identity, &nvmevf_stream_write_fops,
				    O_WRONLY);
	if (IS_ERR(stream))
		return stream;

	stream->max_state_size = max_state_size;
	stream->expected = NVMEVF_RECORD_IDENTITY;
	stream->phase = NVMEVF_HEADER;
	return stream;
}

/**
 * nvmevf_stream_get_file() - The file of a stream, for the user
 * @stream: the stream
 *
 * Return: the file, with a reference of its own.
 */
struct file *nvmevf_stream_get_file(struct nvmevf_stream *stream)
{
	return get_file(stream->filp);
}

static void nvmevf_stream_set_image(struct nvmevf_stream *stream,
				    struct nvmevf_image *image,
				    enum nvmevf_phase phase)
{
	guard(mutex)(&stream->lock);

	/* The IDENTITY record may have been read, so it stays as it was. */
	if (stream->image != image) {
		nvmevf_image_begin(image, &stream->identity);
		nvmevf_image_put(stream->image);
		stream->image = image;
	}
	if (phase == NVMEVF_SAVED)
		nvmevf_image_finish(image);
	nvmevf_stream_set_phase(stream, phase);
}

/**
 * nvmevf_stream_save() - Begin to save the state of the VF
 * @stream: open to read, not saving yet
 * @state_size: what QUERY_DATA_SIZE says, now that the VF is suspended
 *
 * SAVE_DATA runs in the background; read() and poll() wait for it. Memory is
 * needed only if the state is larger than the image that the stream began with.
 *
 * Context: Process context, may sleep, but not for the device.
 *
 * Return: 0 or -ENOMEM.
 */
int nvmevf_stream_save(struct nvmevf_stream *stream, u32 state_size)
{
	struct nvmevf_image *image = stream->image;

	if (state_size != image->state_size)
		pci_dbg(stream->pdev, "%u bytes of state, not %u as before\n",
			state_size, image->state_size);
	if (state_size > image->room) {
		image = nvmevf_image_alloc(state_size);
		if (!image)
			return -ENOMEM;
	} else {
		/* A reader may be at the IDENTITY record, which this leaves. */
		nvmevf_image_set_size(image, state_size);
	}

	nvmevf_stream_set_image(stream, image, NVMEVF_SAVING);
	queue_work(system_long_wq, &stream->save_work);
	return 0;
}

/**
 * nvmevf_stream_state_size() - How large the state of an open stream is
 * @stream: open to read
 *
 * Context: Process context. The caller keeps the stream from being closed.
 *
 * Return: bytes.
 */
u32 nvmevf_stream_state_size(const struct nvmevf_stream *stream)
{
	return stream->image->state_size;
}

/**
 * nvmevf_stream_save_again() - Serve a state that was saved before
 * @stream: open to read, not saving yet
 * @image: what nvmevf_stream_close() left; the stream takes it over
 */
void nvmevf_stream_save_again(struct nvmevf_stream *stream,
			      struct nvmevf_image *image)
{
	nvmevf_stream_set_image(stream, image, NVMEVF_SAVED);
}

/**
 * nvmevf_stream_loaded() - Whether the VF has got its state
 * @stream: open to write
 *
 * Context: Process context, waits for LOAD_DATA in another thread.
 *
 * Return: 0; the error of the write() that failed; -EINVAL when the stream is
 * not complete.
 */
int nvmevf_stream_loaded(struct nvmevf_stream *stream)
{
	guard(mutex)(&stream->lock);

	if (stream->error)
		return stream->error;
	if (stream->phase != NVMEVF_LOADED)
		return nvmevf_stream_refuse(stream, -EINVAL,
					    "ends before its end");
	return 0;
}

/**
 * nvmevf_stream_kill() - Have all calls on the data_fd fail with -ENODEV
 * @stream: the stream
 *
 * Context: Any. Waits for nothing: calls that are under way may still go well.
 */
void nvmevf_stream_kill(struct nvmevf_stream *stream)
{
	WRITE_ONCE(stream->dead, true);
	wake_up_all(&stream->wait);
}

/**
 * nvmevf_stream_close() - End a stream; its data_fd is dead from now on
 * @stream: the stream
 * @image: where to leave the image, if it was open to read and the state was
 *	saved, else it stays as it is; may be NULL
 *
 * Context: Process context, waits for SAVE_DATA or LOAD_DATA, but not for users
 * of the data_fd: these may still copy what they have begun to.
 *
 * Return: 0 or the error of SAVE_DATA.
 */
int nvmevf_stream_close(struct nvmevf_stream *stream,
			struct nvmevf_image **image)
{
	int error;

	nvmevf_stream_kill(stream);
	flush_work(&stream->save_work);

	mutex_lock(&stream->lock);
	error = stream->error;
	if (image && stream->phase == NVMEVF_SAVED && !error)
		*image = stream->image;
	else
		nvmevf_image_put(stream->image);
	stream->image = NULL;
	mutex_unlock(&stream->lock);

	fput(stream->filp);
	return error;
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/stream_kunit.c"
#endif
