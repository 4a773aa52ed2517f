/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The migration stream: what goes through data_fd. nvme.txt describes it.
 */
#ifndef NVMEVF_STREAM_H
#define NVMEVF_STREAM_H

#include <linux/types.h>

/* The format, which the selftests share. */

#define NVMEVF_STREAM_MAGIC	0x4d4c4656454d564eULL	/* "NVMEVFLM" */
#define NVMEVF_STREAM_VERSION	1

enum nvmevf_record_type {
	NVMEVF_RECORD_IDENTITY	= 1,
	NVMEVF_RECORD_STATE	= 2,
	NVMEVF_RECORD_END	= 3,
};

/* A receiver that does not know the type may skip the record. */
#define NVMEVF_RECORD_OPTIONAL	0x1

/* Payloads are padded with zeroes to this. */
#define NVMEVF_RECORD_ALIGN	8

struct nvmevf_record {
	__le32	type;
	__le32	flags;
	__le64	length;		/* bytes of payload, without padding */
};

struct nvmevf_identity {
	__le64	magic;
	__le16	version;
	__le16	vendor;		/* PCI IDs of the VF */
	__le16	device;
	__le16	subsystem_vendor;
	__le16	subsystem_device;
	__le16	msix_vectors;
	__le32	state_size;	/* bytes of STATE to expect */
	__u8	model[40];	/* MN and FR of the PF's Identify Controller */
	__u8	firmware[8];
	__le16	queue_pairs;	/* 0: not known */
	__u8	rsvd[6];
};

struct nvmevf_end {
	__le32	crc32c;		/* CRC-32C of all bytes before the END record */
	__le32	rsvd;
};

#ifdef __KERNEL__

struct nvme_id_ctrl;
struct nvmevf_image;
struct nvmevf_stream;
struct pci_dev;

void nvmevf_identity_init(struct nvmevf_identity *identity,
			  struct pci_dev *pdev, const struct nvme_id_ctrl *id,
			  u16 queue_pairs);

struct nvmevf_image *nvmevf_image_alloc(u32 state_size);
void nvmevf_image_put(struct nvmevf_image *image);
u32 nvmevf_image_state_size(const struct nvmevf_image *image);
int nvmevf_image_load(struct pci_dev *pdev, struct nvmevf_image *image);
u64 nvmevf_stream_size(u32 state_size);

struct nvmevf_stream *
nvmevf_stream_open_read(struct pci_dev *pdev,
			const struct nvmevf_identity *identity,
			struct nvmevf_image *image);
struct nvmevf_stream *
nvmevf_stream_open_write(struct pci_dev *pdev,
			 const struct nvmevf_identity *identity,
			 u32 max_state_size);
struct file *nvmevf_stream_get_file(struct nvmevf_stream *stream);
int nvmevf_stream_save(struct nvmevf_stream *stream, u32 state_size);
u32 nvmevf_stream_state_size(const struct nvmevf_stream *stream);
void nvmevf_stream_save_again(struct nvmevf_stream *stream,
			      struct nvmevf_image *image);
int nvmevf_stream_loaded(struct nvmevf_stream *stream);
void nvmevf_stream_kill(struct nvmevf_stream *stream);
int nvmevf_stream_close(struct nvmevf_stream *stream,
			struct nvmevf_image **image);

#endif /* __KERNEL__ */

#endif /* NVMEVF_STREAM_H */
