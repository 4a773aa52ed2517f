// SPDX-License-Identifier: GPL-2.0-only
/* Run a guest on a VF, and migrate it to another. */
#include <unistd.h>
#include <sys/mman.h>

#include "guest.h"
#include "io.h"
#include "util.h"

void guest_init(struct nvme *n)
{
	memset(n, 0, sizeof(*n));
	n->mem = must(mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0));
	n->frozen = must(mmap(NULL, GUEST_MEM, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	n->chunk = 65536;
	n->data_fd = -1;
	n->nsid = 1;
	n->max_pages = CHUNK_PAGES;
	/* Blocks that an earlier process has written have other numbers. */
	n->next_seq = (getpid() << 16) + 1;
}

void guest_open(struct nvme *n, struct vf *vf, unsigned int count,
		enum vf_api api)
{
	unsigned int i;

	guest_init(n);
	for (i = 0; i < count; i++)
		vf_open(&vf[i], vf_bdf(i), api, n->mem, GUEST_MEM);
	n->vf = vf;
}

void guest_open_pair(struct nvme *n, struct vf *src, struct vf *dst,
		     enum vf_api api)
{
	guest_init(n);
	vf_open(src, vf_bdf(0), api, n->mem, GUEST_MEM);
	vf_open(dst, vf_bdf(1), api, n->mem, GUEST_MEM);
	n->vf = src;
}

static void set_state(struct vf *vf, unsigned int state, int *data_fd)
{
	vf_enter_state(vf, state, data_fd);
	if (vf_get_state(vf) != (int)state)
		die("%s is in state %d, expected %u", vf->bdf, vf_get_state(vf), state);
}

void guest_freeze(struct nvme *n)
{
	memcpy(n->frozen, n->mem, GUEST_MEM);
}

void guest_check_frozen(struct nvme *n, const char *when)
{
	if (memcmp(n->frozen, n->mem, GUEST_MEM))
		die("%s: the guest's memory changed %s", n->vf->bdf, when);
}

void guest_precopy(struct nvme *n, struct stream *s)
{
	int ret;

	set_state(n->vf, VFIO_DEVICE_STATE_PRE_COPY, &n->data_fd);
	s->data = NULL;
	s->len = 0;
	ret = stream_read_more(s, n->data_fd, n->chunk);
	if (ret != -ENOMSG)
		die("%s: read() in PRE_COPY ends with %d, expected %d", n->vf->bdf, ret,
		    -ENOMSG);
}

void guest_suspend(struct nvme *n)
{
	set_state(n->vf, n->data_fd < 0 ? VFIO_DEVICE_STATE_RUNNING_P2P :
		  VFIO_DEVICE_STATE_PRE_COPY_P2P, NULL);
}

void guest_stop_copy(struct nvme *n, struct stream *s)
{
	guest_freeze(n);
	if (n->data_fd < 0) {
		s->data = NULL;
		s->len = 0;
		set_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
		set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, &n->data_fd);
	} else {
		set_state(n->vf, VFIO_DEVICE_STATE_STOP_COPY, NULL);
	}
}

void guest_read_state(struct nvme *n, struct stream *s)
{
	int ret;

	ret = stream_read_more(s, n->data_fd, n->chunk);
	if (ret)
		die("%s: cannot save: %s", n->vf->bdf, strerror(-ret));
	close(n->data_fd);
	n->data_fd = -1;
	guest_check_frozen(n, "while it was saved");
}

void guest_save(struct nvme *n, struct stream *s)
{
	guest_stop_copy(n, s);
	guest_read_state(n, s);
}

void guest_load(struct nvme *n, struct vf *vf, const struct stream *s)
{
	int fd, ret;

	set_state(vf, VFIO_DEVICE_STATE_RESUMING, &fd);
	ret = stream_write(s, fd, n->chunk);
	if (ret)
		die("%s: cannot load: %s", vf->bdf, strerror(-ret));
	set_state(vf, VFIO_DEVICE_STATE_STOP, NULL);
	close(fd);
	set_state(vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	guest_check_frozen(n, "while it was loaded");
	n->vf = vf;
	set_state(vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

void guest_migrate(struct nvme *n, struct vf *vf)
{
	struct vf *from = n->vf;
	struct stream s;

	guest_suspend(n);
	guest_save(n, &s);
	guest_load(n, vf, &s);
	free(s.data);
	vf_reset(from);
}

void guest_roll_back(struct nvme *n)
{
	if (n->data_fd >= 0) {
		set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
		close(n->data_fd);
		n->data_fd = -1;
		return;
	}
	set_state(n->vf, VFIO_DEVICE_STATE_STOP, NULL);
	set_state(n->vf, VFIO_DEVICE_STATE_RUNNING_P2P, NULL);
	guest_check_frozen(n, "before it was resumed");
	set_state(n->vf, VFIO_DEVICE_STATE_RUNNING, NULL);
}

void guest_restart(struct nvme *n)
{
	io_forget_unfinished(n);
	nvme_start(n, NVME_QUEUES, 8, 8);
	io_check(n);
}
