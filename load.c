// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data_fd that a controller state is written to.
 *
 * What is written comes from another host and is not trusted: each record is
 * checked as it arrives. LOAD_DATA is sent inside the write() that completes the END
 * record, because write() is the last call whose failure still stops a migration.
 */

#include <linux/align.h>
#include <linux/file.h>
#include <linux/pci.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "cmds.h"
#include "ctrl.h"
#include "image.h"
#include "load.h"
#include "stream.h"

/* Longest payload of an optional record */
#define NVMEVF_LOAD_OPTIONAL_MAX	SZ_64K

/* Bytes of all these records, with their headers and padding */
#define NVMEVF_LOAD_OPTIONAL_TOTAL	SZ_1M

/* What write() expects next. */
enum nvmevf_load_phase {
	NVMEVF_LOAD_HEADER,
	NVMEVF_LOAD_PAYLOAD,
	NVMEVF_LOAD_PADDING,
	NVMEVF_LOAD_DONE,	/* nothing: the stream is complete */
};

/* The lock of the stream protects all members. */
struct nvmevf_load {
	struct nvmevf_stream	stream;		/* first */
	struct nvmevf_identity	identity;	/* of the VF */
	struct nvmevf_namespaces *namespaces;	/* of the VF, while compared */
	u32			max_state_size;
	u64			epoch;		/* of the PF that suspended the VF */

	enum nvmevf_load_phase	phase;
	size_t			done;		/* bytes of the phase so far */
	u32			expected;	/* enum nvmevf_record_type */
	u32			crc;		/* up to the END record */
	u32			optional;	/* bytes of optional records */
	bool			namespaces_seen;

	/* What was written: */
	struct nvmevf_record	record;
	struct nvmevf_identity	source;
	struct nvmevf_namespace	source_ns;
	struct nvmevf_end	end;
	u8			scratch[64];	/* padding, skipped payload */
};

static struct nvmevf_load *nvmevf_load_of(struct nvmevf_stream *stream)
{
	return container_of(stream, struct nvmevf_load, stream);
}

/* Allocate the image. The size in IDENTITY is an estimate, STATE has the real one. */
static int nvmevf_load_make_room(struct nvmevf_load *load, u32 state_size)
{
	struct nvmevf_stream *stream = &load->stream;

	if (stream->image && state_size <= stream->image->room) {
		stream->image->state_size = state_size;
		return 0;
	}

	nvmevf_image_put(stream->image);
	stream->image = nvmevf_image_alloc(state_size);
	if (!stream->image)
		return nvmevf_ctrl_refuse(stream->ctrl, -ENOMEM,
					  "no memory for %u bytes of controller state",
					  state_size);
	return 0;
}

static int nvmevf_load_check_state_size(struct nvmevf_load *load, u64 size)
{
	if (size > load->max_state_size)
		return nvmevf_ctrl_refuse(load->stream.ctrl, -EFBIG,
					  "%llu bytes of controller state, limit %u",
					  size, load->max_state_size);
	return 0;
}

/* Check a record that the target may skip. */
static int nvmevf_load_check_optional(struct nvmevf_load *load)
{
	struct nvmevf_ctrl *ctrl = load->stream.ctrl;
	u32 type = le32_to_cpu(load->record.type);
	u32 flags = le32_to_cpu(load->record.flags);
	u64 length = le64_to_cpu(load->record.length);

	if (flags != NVMEVF_RECORD_OPTIONAL)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "unknown record type %u with flags %#x",
					  type, flags);
	if (load->expected == NVMEVF_RECORD_IDENTITY)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "first record has type %u, expected %u",
					  type, load->expected);
	if (length > NVMEVF_LOAD_OPTIONAL_MAX)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "optional record of %llu bytes, limit %u",
					  length, NVMEVF_LOAD_OPTIONAL_MAX);

	/* Without a limit, endless empty records would keep write() busy. */
	load->optional += sizeof(load->record) +
			  ALIGN(length, NVMEVF_RECORD_ALIGN);
	if (load->optional > NVMEVF_LOAD_OPTIONAL_TOTAL)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "optional records of more than %u bytes",
					  NVMEVF_LOAD_OPTIONAL_TOTAL);

	pci_dbg(ctrl->vf, "optional record type %u with %llu bytes\n", type,
		length);
	return 0;
}

static int nvmevf_load_check_namespaces(struct nvmevf_load *load)
{
	struct nvmevf_ctrl *ctrl = load->stream.ctrl;
	u32 flags = le32_to_cpu(load->record.flags);
	u64 length = le64_to_cpu(load->record.length);
	int ret;

	if (flags != NVMEVF_RECORD_OPTIONAL)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u has flags %#x, expected %#x",
					  NVMEVF_RECORD_NAMESPACES, flags,
					  NVMEVF_RECORD_OPTIONAL);
	ret = nvmevf_load_check_optional(load);
	if (ret)
		return ret;

	if (load->expected != NVMEVF_RECORD_STATE || load->namespaces_seen)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u, expected %u",
					  NVMEVF_RECORD_NAMESPACES,
					  load->expected);
	if (length % sizeof(load->source_ns))
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u has %llu bytes, expected a multiple of %zu",
					  NVMEVF_RECORD_NAMESPACES, length,
					  sizeof(load->source_ns));

	load->namespaces_seen = true;
	ret = nvmevf_ctrl_namespaces(ctrl, &load->identity, &load->namespaces);
	if (ret == -ENOMEM)
		return nvmevf_ctrl_refuse(ctrl, ret,
					  "no memory for the namespaces of this VF");
	return nvmevf_stream_errno(ret);
}

static void nvmevf_load_free_namespaces(struct nvmevf_load *load)
{
	kvfree(load->namespaces);
	load->namespaces = NULL;
}

/* Compare a namespace, or with NULL, the end of the record. */
static int nvmevf_load_compare_namespace(struct nvmevf_load *load,
					 const struct nvmevf_namespace *source)
{
	if (!load->namespaces)
		return 0;
	return nvmevf_ctrl_accept_namespace(load->stream.ctrl, load->namespaces,
					    source);
}

static int nvmevf_load_check_header(struct nvmevf_load *load)
{
	struct nvmevf_ctrl *ctrl = load->stream.ctrl;
	u32 type = le32_to_cpu(load->record.type);
	u32 flags = le32_to_cpu(load->record.flags);
	u64 length = le64_to_cpu(load->record.length);
	u64 expected = length;
	int ret;

	switch (type) {
	case NVMEVF_RECORD_IDENTITY:
		expected = sizeof(load->source);
		break;
	case NVMEVF_RECORD_STATE:
		break;
	case NVMEVF_RECORD_END:
		expected = sizeof(load->end);
		break;
	case NVMEVF_RECORD_NAMESPACES:
		return nvmevf_load_check_namespaces(load);
	default:
		return nvmevf_load_check_optional(load);
	}

	if (type != load->expected)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u, expected %u", type,
					  load->expected);
	if (flags)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u has flags %#x, expected 0",
					  type, flags);
	if (length != expected)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "record type %u has %llu bytes, expected %llu",
					  type, length, expected);
	if (type != NVMEVF_RECORD_STATE)
		return 0;

	if (!length)
		return nvmevf_ctrl_refuse(ctrl, -EINVAL,
					  "controller state is empty");
	ret = nvmevf_load_check_state_size(load, length);
	if (ret)
		return ret;
	return nvmevf_load_make_room(load, length);
}

static int nvmevf_load_identity_done(struct nvmevf_load *load)
{
	u64 state_size = le64_to_cpu(load->source.state_size);
	int ret;

	ret = nvmevf_ctrl_accept(load->stream.ctrl, &load->identity,
				 &load->source);
	if (ret)
		return ret;

	ret = nvmevf_load_check_state_size(load, state_size);
	if (ret)
		return ret;

	/* Allocate while the VM still runs. */
	return state_size ? nvmevf_load_make_room(load, state_size) : 0;
}

static int nvmevf_load_end_done(struct nvmevf_load *load)
{
	struct nvmevf_stream *stream = &load->stream;
	u32 crc = le32_to_cpu(load->end.crc32c);
	int ret;

	if (load->end.rsvd)
		return nvmevf_ctrl_refuse(stream->ctrl, -EINVAL,
					  "reserved field of END is not 0");
	if (crc != load->crc)
		return nvmevf_ctrl_refuse(stream->ctrl, -EBADMSG,
					  "checksum mismatch: calculated %#x, received %#x",
					  load->crc, crc);

	/* A reset of the PF ends the suspension. With the state, the VF would run at once. */
	ret = nvmevf_cmds_check_epoch(stream->ctrl, load->epoch);
	if (ret)
		return nvmevf_ctrl_refuse(stream->ctrl, ret,
					  "PF was reset or lost its driver since the VF was suspended");

	ret = nvmevf_image_load(stream->ctrl, stream->image);
	nvmevf_image_put(stream->image);
	stream->image = NULL;
	return nvmevf_stream_errno(ret);
}

/* Return where the next bytes belong, and how many of them. */
static void *nvmevf_load_want(struct nvmevf_load *load, size_t *len)
{
	u64 length = le64_to_cpu(load->record.length);
	size_t at;
	void *base;

	switch (load->phase) {
	case NVMEVF_LOAD_HEADER:
		*len = sizeof(load->record) - load->done;
		return (void *)&load->record + load->done;
	case NVMEVF_LOAD_PAYLOAD:
		*len = length - load->done;
		break;
	default:
		*len = ALIGN(length, NVMEVF_RECORD_ALIGN) - length - load->done;
		return load->scratch;
	}

	switch (le32_to_cpu(load->record.type)) {
	case NVMEVF_RECORD_IDENTITY:
		base = &load->source;
		break;
	case NVMEVF_RECORD_STATE:
		base = load->stream.image->state;
		break;
	case NVMEVF_RECORD_END:
		base = &load->end;
		break;
	case NVMEVF_RECORD_NAMESPACES:
		/* One at a time, so a record needs no memory of its length. */
		at = load->done % sizeof(load->source_ns);
		*len = min(*len, sizeof(load->source_ns) - at);
		return (void *)&load->source_ns + at;
	default:
		*len = min(*len, sizeof(load->scratch));
		return load->scratch;
	}
	return base + load->done;
}

/* The checksum covers all bytes before the END record. */
static void nvmevf_load_add_crc(struct nvmevf_load *load, const void *data,
				size_t len)
{
	if (le32_to_cpu(load->record.type) != NVMEVF_RECORD_END)
		load->crc = nvmevf_image_crc(load->crc, data, len);
}

static int nvmevf_load_record_done(struct nvmevf_load *load)
{
	int ret;

	load->phase = NVMEVF_LOAD_HEADER;
	switch (le32_to_cpu(load->record.type)) {
	case NVMEVF_RECORD_IDENTITY:
		load->expected = NVMEVF_RECORD_STATE;
		return nvmevf_load_identity_done(load);
	case NVMEVF_RECORD_STATE:
		load->expected = NVMEVF_RECORD_END;
		return 0;
	case NVMEVF_RECORD_NAMESPACES:
		ret = nvmevf_load_compare_namespace(load, NULL);
		nvmevf_load_free_namespaces(load);
		return ret;
	case NVMEVF_RECORD_END:
		load->phase = NVMEVF_LOAD_DONE;
		return nvmevf_load_end_done(load);
	default:
		return 0;
	}
}

/* Check the bytes that arrived where nvmevf_load_want() said. */
static int nvmevf_load_got(struct nvmevf_load *load, const void *data,
			   size_t len)
{
	size_t left;
	int ret = 0;

	if (load->phase != NVMEVF_LOAD_HEADER)
		nvmevf_load_add_crc(load, data, len);
	if (load->phase == NVMEVF_LOAD_PADDING && memchr_inv(data, 0, len))
		return nvmevf_ctrl_refuse(load->stream.ctrl, -EINVAL,
					  "padding is not 0");
	load->done += len;
	if (load->phase == NVMEVF_LOAD_PAYLOAD &&
	    load->record.type == cpu_to_le32(NVMEVF_RECORD_NAMESPACES) &&
	    !(load->done % sizeof(load->source_ns)))
		ret = nvmevf_load_compare_namespace(load, &load->source_ns);

	/* An empty payload or padding is complete as soon as its turn comes. */
	while (!ret && load->phase != NVMEVF_LOAD_DONE) {
		nvmevf_load_want(load, &left);
		if (left)
			break;

		load->done = 0;
		switch (load->phase) {
		case NVMEVF_LOAD_HEADER:
			nvmevf_load_add_crc(load, &load->record,
					    sizeof(load->record));
			ret = nvmevf_load_check_header(load);
			load->phase = NVMEVF_LOAD_PAYLOAD;
			break;
		case NVMEVF_LOAD_PAYLOAD:
			load->phase = NVMEVF_LOAD_PADDING;
			break;
		default:
			ret = nvmevf_load_record_done(load);
			break;
		}
	}
	return ret;
}

static ssize_t nvmevf_load_write(struct file *filp, const char __user *buf,
				 size_t len, loff_t *ppos)
{
	struct nvmevf_stream *stream = filp->private_data;
	struct nvmevf_load *load = nvmevf_load_of(stream);
	struct nvmevf_image *image;
	size_t written = 0, n;
	unsigned long left;
	void *to;
	int ret;

	ret = nvmevf_stream_lock_io(stream, filp->f_flags & O_NONBLOCK);
	if (ret)
		return ret;

	mutex_lock(&stream->lock);
	ret = READ_ONCE(stream->dead) ? -ENODEV : stream->error;

	/* If the process is killed, the bytes so far are a valid short write. */
	while (!ret && written < len && !fatal_signal_pending(current)) {
		if (load->phase == NVMEVF_LOAD_DONE) {
			ret = nvmevf_ctrl_refuse(stream->ctrl, -EINVAL,
						 "data after END");
			stream->error = ret;
			break;
		}

		to = nvmevf_load_want(load, &n);
		n = min(n, len - written);
		image = nvmevf_image_get(stream->image);

		/* The stream may die during the copy, but what has @to stays. */
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
			ret = nvmevf_load_got(load, to, n);
			stream->error = ret;
		}
	}
	if (!ret && !written && len)
		ret = -EINTR;

	nvmevf_stream_note(stream, WRITE, written, ret);
	mutex_unlock(&stream->lock);
	mutex_unlock(&stream->io_lock);
	if (ret == -EFAULT && written)
		return written;
	return ret ? ret : written;
}

static __poll_t nvmevf_load_poll(struct file *filp,
				 struct poll_table_struct *wait)
{
	struct nvmevf_stream *stream = filp->private_data;

	poll_wait(filp, &stream->wait, wait);

	if (READ_ONCE(stream->dead))
		return EPOLLOUT | EPOLLWRNORM | EPOLLERR | EPOLLHUP;
	return EPOLLOUT | EPOLLWRNORM;
}

static int nvmevf_load_release(struct inode *inode, struct file *filp)
{
	struct nvmevf_load *load = nvmevf_load_of(filp->private_data);

	nvmevf_stream_release(&load->stream);
	kfree(load);
	return 0;
}

static const struct file_operations nvmevf_load_fops = {
	.owner = THIS_MODULE,
	.write = nvmevf_load_write,
	.poll = nvmevf_load_poll,
	.release = nvmevf_load_release,
};

/**
 * nvmevf_load_open() - Open a data_fd to write the state of a VF to
 * @ctrl: controller of the VF, which is suspended
 * @identity: of the VF
 * @max_state_size: bytes of controller state that the VF can take
 * @epoch: of the PF when it suspended the VF. In another one, the state is refused
 *
 * Context: Process context, may sleep.
 *
 * Return: the stream, with a reference to its file that nvmevf_load_close()
 * drops, or an ERR_PTR().
 */
struct nvmevf_stream *nvmevf_load_open(struct nvmevf_ctrl *ctrl,
				       const struct nvmevf_identity *identity,
				       u32 max_state_size, u64 epoch)
{
	struct nvmevf_load *load;
	int ret;

	load = kzalloc_obj(*load, GFP_KERNEL_ACCOUNT);
	if (!load)
		return ERR_PTR(-ENOMEM);

	ret = nvmevf_stream_init(&load->stream, ctrl, &nvmevf_load_fops,
				 O_WRONLY);
	if (ret) {
		kfree(load);
		return ERR_PTR(ret);
	}

	load->identity = *identity;
	load->max_state_size = max_state_size;
	load->epoch = epoch;
	load->phase = NVMEVF_LOAD_HEADER;
	load->expected = NVMEVF_RECORD_IDENTITY;
	return &load->stream;
}

/**
 * nvmevf_load_complete() - Check that the VF has its state
 * @stream: the stream
 *
 * Context: Process context, waits for LOAD_DATA in another thread.
 *
 * Return: 0; the error of the write() that failed; -EINVAL if the stream is
 * incomplete.
 */
int nvmevf_load_complete(struct nvmevf_stream *stream)
{
	struct nvmevf_load *load = nvmevf_load_of(stream);
	int ret;

	mutex_lock(&stream->lock);
	ret = stream->error;
	if (!ret && load->phase != NVMEVF_LOAD_DONE)
		ret = nvmevf_ctrl_refuse(stream->ctrl, -EINVAL,
					 "incomplete: no END record");
	mutex_unlock(&stream->lock);
	return ret;
}

/**
 * nvmevf_load_close() - End a stream: its data_fd is dead from now on
 * @stream: the stream
 *
 * Context: Process context, waits for LOAD_DATA, but not for user memory: a write()
 * may still copy to the image.
 */
void nvmevf_load_close(struct nvmevf_stream *stream)
{
	nvmevf_stream_kill(stream);

	mutex_lock(&stream->lock);
	nvmevf_load_free_namespaces(nvmevf_load_of(stream));
	nvmevf_image_put(stream->image);
	stream->image = NULL;
	mutex_unlock(&stream->lock);

	fput(stream->filp);
}

#if IS_ENABLED(CONFIG_NVME_VFIO_PCI_KUNIT_TEST)
#include "tests/load_kunit.c"
#endif
