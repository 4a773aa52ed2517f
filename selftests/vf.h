/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtual function through VFIO: registers, interrupts, DMA, migration.
 *
 * Functions that return nothing end the test when they fail; the others
 * return a negative errno, because tests want to see it.
 */
#ifndef NVMEVF_TEST_VF_H
#define NVMEVF_TEST_VF_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/nvme_ioctl.h>
#include <linux/types.h>
#include <linux/vfio.h>

#include "../format.h"

#define die(fmt, ...) do {						\
	fprintf(stderr, "# %s:%d: " fmt "\n", __FILE__, __LINE__,	\
		##__VA_ARGS__);						\
	exit(1);							\
} while (0)

/* For calls that set errno. */
#define must(call) ({							\
	__typeof__(call) __ret = (call);				\
									\
	if ((long)__ret == -1)						\
		die("%s: %s", #call, strerror(errno));			\
	__ret;								\
})

/*
 * Seconds that a test waits for what must come. It is much longer than anything takes,
 * as a virtual machine may stand still for a while in the middle of it.
 */
#define PATIENCE	60

/* And so does the harness, with more of it than all of a test has. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	(10 * PATIENCE)

/* Dies if the thread does not end in time. */
void await_thread(pthread_t thread, const char *what, int seconds);
/* Is there such a PCI function? */
bool is_there(const char *bdf);

#define VF_VECTORS	8

/* Where DMA memory appears to the VF. */
#define VF_IOVA		0x40000000ULL

enum vf_api {
	VF_GROUP,		/* /dev/vfio/GROUP with a type1 container */
	VF_CDEV,		/* /dev/vfio/devices/vfioN with iommufd */
	VF_ANY,			/* the first of them that there is */
};

struct vf {
	const char	*bdf;
	int		iommu;	/* container or iommufd */
	int		group;
	int		fd;
	void		*bar;
	size_t		bar_size;
	int		vectors;
	int		irq[VF_VECTORS];	/* eventfds */
};

/* It begins with two records, IDENTITY and STATE, and ends with another, END. */
struct stream {
	unsigned char	*data;
	size_t		len;
};

#define IDENTITY_AT	sizeof(struct nvmevf_record)
#define STATE_AT	(IDENTITY_AT + sizeof(struct nvmevf_identity))
#define PAYLOAD_AT	(STATE_AT + sizeof(struct nvmevf_record))
#define END_SIZE	(sizeof(struct nvmevf_record) + sizeof(struct nvmevf_end))

/* The VFs bound to the driver under test ($NVMEVF_DRIVER), NULL after the last. */
const char *vf_bdf(unsigned int index);
bool vf_api_present(enum vf_api api);
/* What byte 3072 of the PF's Identify Controller says. */
bool vf_firmware_migrates(const char *bdf);
/*
 * Why there are no @count VFs that can migrate, or, if @faults, misbehave, too: NULL
 * if there are, and they behave.
 */
const char *vf_unfit(unsigned int count, enum vf_api api, bool faults);

/* 0 or -errno */
int sysfs_write(const char *path, const char *text);

/* Has the device model misbehave, as testbed/qemu/lm.c.inc says at its beginning. */
enum vf_command {
	VF_QUERY	= 0xc4,
	VF_SUSPEND	= 0xc8,
	VF_RESUME	= 0xcc,
	VF_SAVE		= 0xd2,
	VF_LOAD		= 0xd5,
};

enum vf_fault {
	VF_FAULT_NONE		= 0,	/* takes all of the command away */
	VF_FAULT_DELAY		= 1,	/* ms */
	VF_FAULT_STATUS		= 2,	/* status of the failure */
	VF_FAULT_NEVER		= 3,	/* no answer */
	VF_FAULT_SIZE		= 4,	/* QUERY: bytes of state of a running VF */
	VF_FAULT_SIZE_IDLE	= 5,	/* ... of a suspended one */
	VF_FAULT_DAMAGE		= 6,	/* SAVE, LOAD: offset of a byte */
	VF_FAULT_LENGTH		= 7,	/* SAVE, LOAD: bytes that are transferred */
	VF_FAULT_FAIL		= 8,	/* of the controller: 0 the PF's, 1 the VF's */
	VF_FAULT_OFFLINE	= 9,	/* the VF is */
};

/* False if the controller has no such faults, i.e. is another one. */
bool vf_fault(const char *bdf, enum vf_command command, enum vf_fault fault,
	      __u32 value);
/* Only of the next such command. */
bool vf_fault_once(const char *bdf, enum vf_command command, enum vf_fault fault,
		   __u32 value);
void vf_no_faults(const char *bdf);

/*
 * The PF. A reset of it takes its VFs offline, with the queues and vectors that
 * they had; what these were is remembered.
 */
struct pf {
	char		bdf[16];
	char		numvfs[16];
	unsigned char	vfs[4096];	/* Secondary Controller List */
};

void pf_open(struct pf *pf, const char *vf_bdf);
/* Sends an admin command; its status or -errno. */
int pf_admin(const struct pf *pf, struct nvme_admin_cmd *cmd);
/* How long an admin command may take; those that concern VFs, twice that. */
void pf_set_timeout(const struct pf *pf, unsigned int seconds);
/* Takes one VF away from whoever uses it. */
void pf_offline(const struct pf *pf, const char *vf_bdf);
/* Resets the controller. */
void pf_reset(const struct pf *pf);
/* From and to the nvme driver; returns when it is ready. */
void pf_unbind(const struct pf *pf);
void pf_bind(const struct pf *pf);
/* Waits for a reset by the nvme driver to end. */
void pf_await_live(const struct pf *pf);
/* All VFs go, or as many as there were come; they have no driver. 0 or -errno */
int pf_remove_vfs(const struct pf *pf);
int pf_add_vfs(const struct pf *pf);
/* Gives the VFs what they had when the PF was opened. */
void pf_bring_back(const struct pf *pf);

/* To the driver under test, from none. */
void vf_bind(const char *bdf);
/* From whatever driver has it, to @driver, or NULL: the one that is tested. */
void vf_rebind(const char *bdf, const char *driver);
void vf_open(struct vf *vf, const char *bdf, enum vf_api api, void *mem,
	     size_t size);
void vf_close(struct vf *vf);
void vf_reset(struct vf *vf);
/* What is left to do after a reset by other means. */
void vf_reset_done(struct vf *vf);
void vf_config_read(struct vf *vf, unsigned int at, void *data, size_t size);
void vf_config_write(struct vf *vf, unsigned int at, const void *data,
		     size_t size);
/* An eventfd that tells that the host wants the VF back. */
int vf_request_fd(struct vf *vf);
bool vf_irq_pending(struct vf *vf, int vector, int timeout_ms);

int vf_feature(struct vf *vf, __u32 feature, void *data, size_t size);
int vf_mig_flags(struct vf *vf);		/* or -errno */
long long vf_mig_data_size(struct vf *vf);	/* or -errno */
int vf_get_state(struct vf *vf);
/* @data_fd may be NULL where the arc makes none; it is -1 if there is none. */
int vf_set_state(struct vf *vf, unsigned int state, int *data_fd);
/* The same, where it has to go well. */
void vf_go(struct vf *vf, unsigned int state, int *data_fd);

/* How many states the driver holds in memory, of all VFs. */
unsigned int vf_images(void);

/* Whole streams, @chunk bytes at a time. */
int stream_read(struct stream *s, int fd, size_t chunk);
/* The same, but adds to what @s has. -ENOMSG: there will be more in STOP_COPY. */
int stream_read_on(struct stream *s, int fd, size_t chunk);
int stream_write(const struct stream *s, int fd, size_t chunk);
/* Bytes of state in it. */
__u64 stream_state_length(const struct stream *s);
/* One byte in or out, whichever suits; 0 or -errno. */
int stream_touch(int fd);
__u32 crc32c(const void *data, size_t len);

long long now_ns(void);
long long now_ms(void);
/*
 * Without the time for which no program got to run, because all of the machine stood
 * still: for bounds on how long something may take.
 */
long long ran_ms(void);

#endif /* NVMEVF_TEST_VF_H */
