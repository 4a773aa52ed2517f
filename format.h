/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Format of the migration stream, which nvme.txt describes. The selftests include this
 * file, too.
 */
#ifndef NVMEVF_FORMAT_H
#define NVMEVF_FORMAT_H

#include <linux/types.h>

#define NVMEVF_STREAM_MAGIC	0x4d4c4656454d564eULL	/* "NVMEVFLM" */
#define NVMEVF_STREAM_VERSION	1

enum nvmevf_record_type {
	NVMEVF_RECORD_IDENTITY	= 1,
	NVMEVF_RECORD_STATE	= 2,
	NVMEVF_RECORD_END	= 3,
	NVMEVF_RECORD_NAMESPACES = 4,	/* optional */
};

/* A receiver that does not know the type skips the record. */
#define NVMEVF_RECORD_OPTIONAL	0x1

/* Zeroes pad each payload to a multiple of these bytes. */
#define NVMEVF_RECORD_ALIGN	8

struct nvmevf_record {
	__le32	type;
	__le32	flags;
	__le64	length;		/* bytes of payload without padding */
};

/* The commands that saved the state; 0 is reserved. */
enum nvmevf_command_set {
	NVMEVF_COMMAND_SET_VENDOR	= 1,
	NVMEVF_COMMAND_SET_STANDARD	= 2,
};

/* The controller ID if the PF does not report it */
#define NVMEVF_CNTLID_UNKNOWN	0xffff

struct nvmevf_identity {
	__le64	magic;
	__le16	version;
	__le16	vendor;		/* PCI IDs of the VF */
	__le16	device;
	__le16	subsystem_vendor;
	__le16	subsystem_device;
	__le16	msix_vectors;
	__le16	command_set;	/* enum nvmevf_command_set */
	__le16	queue_pairs;	/* 0: not known */
	__u8	model[40];	/* MN and FR of the PF's Identify Controller */
	__u8	firmware[8];
	__le64	state_size;	/* estimate of the bytes in STATE */
	__le16	state_version;	/* of the standard; 0: vendor specific */
	__le16	cntlid;		/* controller ID of the source VF */
	__u8	rsvd[4];
	__u8	state_uuid[16];	/* of the standard; 0: vendor specific */
};

/* A namespace that is attached to the VF. NAMESPACES has them in order of their NSIDs. */
struct nvmevf_namespace {
	__le32	nsid;
	__le16	metadata_size;	/* bytes for each logical block */
	__u8	lba_shift;	/* log2 of the bytes of a logical block */
	__u8	flags;
	__le64	blocks;		/* NSZE */
	__u8	nguid[16];
	__u8	uuid[16];	/* 0: none, or not known */
	__u8	eui64[8];
	__u8	protection;	/* DPS */
	__u8	rsvd[7];
};

/* The metadata is part of an extended logical block. */
#define NVMEVF_NAMESPACE_EXTENDED	0x1

struct nvmevf_end {
	__le32	crc32c;		/* CRC-32C of all bytes before the END record */
	__le32	rsvd;
};

#endif /* NVMEVF_FORMAT_H */
