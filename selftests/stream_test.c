// SPDX-License-Identifier: GPL-2.0-only
/*
 * Test the stream that data_fd carries: the driver loads valid streams in pieces
 * of any size, and loads nothing from a damaged stream.
 */
#include <fnmatch.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kselftest_harness.h"
#include "lib/guest.h"
#include "lib/io.h"
#include "lib/nvme.h"
#include "lib/pf.h"
#include "lib/stream.h"
#include "lib/sysfs.h"
#include "lib/trace.h"
#include "lib/util.h"
#include "lib/vf.h"

FIXTURE(stream)
{
	struct nvme n;
	struct vf src, dst;
	struct stream good;	/* saved from src, which is in STOP_COPY */
};

FIXTURE_VARIANT(stream)
{
	enum vf_api api;
};

FIXTURE_VARIANT_ADD(stream, group) { .api = VF_GROUP };
FIXTURE_VARIANT_ADD(stream, cdev) { .api = VF_CDEV };

FIXTURE_SETUP(stream)
{
	const char *why = vf_skip_reason(2, variant->api, false);
	struct nvme_queue *q;

	if (why)
		SKIP(return, "%s", why);
	guest_open_pair(&self->n, &self->src, &self->dst, variant->api);

	/* Leave commands in progress, so that the state includes them. */
	nvme_start(&self->n, NVME_QUEUES, 8, 8);
	for (q = self->n.queue->next; q; q = q->next) {
		io_submit(&self->n, q, 6);
		nvme_ring(&self->n, q);
	}
	guest_suspend(&self->n);
	guest_save(&self->n, &self->good);
}

FIXTURE_TEARDOWN(stream)
{
	vf_close(&self->src);
	vf_close(&self->dst);
}

static struct nvmevf_identity *identity(struct stream *s)
{
	return (void *)s->data + IDENTITY_AT;
}

static struct nvmevf_record *record(struct stream *s, size_t at)
{
	return (void *)s->data + at;
}

static struct stream copy(const struct stream *s, size_t room)
{
	struct stream new = { .data = calloc(1, s->len + room), .len = s->len };

	if (!new.data)
		die("no memory for %zu bytes", s->len + room);
	memcpy(new.data, s->data, s->len);
	return new;
}

/* Insert @len zero bytes. */
static void *insert(struct stream *s, size_t at, size_t len)
{
	memmove(s->data + at + len, s->data + at, s->len - at);
	memset(s->data + at, 0, len);
	s->len += len;
	return s->data + at;
}

static void cut(struct stream *s, size_t at, size_t len)
{
	s->len -= len;
	memmove(s->data + at, s->data + at + len, s->len - at);
}

/* Recalculate the checksum, so that only the damage itself is invalid. */
static void fix_checksum(struct stream *s)
{
	struct nvmevf_end *end = (void *)s->data + s->len - sizeof(*end);

	end->crc32c = crc32c(s->data, s->len - END_SIZE);
}

/* Insert a record of an unknown type, with its padding. */
static void insert_unknown(struct stream *s, size_t at, __u32 flags, size_t len)
{
	struct nvmevf_record *r;

	r = insert(s, at, sizeof(*r) + (len + 7) / 8 * 8);
	*r = (struct nvmevf_record){ 0x7777, flags, len };
	memset(r + 1, 0x55, len);
	fix_checksum(s);
}

static void magic(struct stream *s)		{ identity(s)->magic++; }
static void version(struct stream *s)		{ identity(s)->version++; }
static void vendor(struct stream *s)		{ identity(s)->vendor++; }
static void device(struct stream *s)		{ identity(s)->device++; }
static void subvendor(struct stream *s)		{ identity(s)->subsystem_vendor++; }
static void subdevice(struct stream *s)		{ identity(s)->subsystem_device++; }
static void vectors(struct stream *s)		{ identity(s)->msix_vectors++; }
static void queue_pairs(struct stream *s)	{ identity(s)->queue_pairs++; }
static void model(struct stream *s)		{ identity(s)->model[39] ^= 1; }
static void firmware(struct stream *s)		{ identity(s)->firmware[0] ^= 1; }
static void command_set(struct stream *s)	{ identity(s)->command_set--; }
static void other_set(struct stream *s)		{ identity(s)->command_set ^= 3; }
static void state_version(struct stream *s)	{ identity(s)->state_version++; }
static void state_uuid(struct stream *s)	{ identity(s)->state_uuid[15]++; }
static void state_size_4g(struct stream *s)	{ identity(s)->state_size |= 1ULL << 32; }
static void state_size_huge(struct stream *s)	{ identity(s)->state_size = ~0ULL; }
static void identity_type(struct stream *s)	{ record(s, 0)->type = 9; }
static void identity_flags(struct stream *s)	{ record(s, 0)->flags = 1; }
static void identity_longer(struct stream *s)	{ record(s, 0)->length += 8; }
static void identity_shorter(struct stream *s)	{ record(s, 0)->length -= 8; }
static void state_flags(struct stream *s)	{ record(s, STATE_AT)->flags = 2; }
static void state_longer(struct stream *s)	{ record(s, STATE_AT)->length += 8; }
static void state_shorter(struct stream *s)	{ record(s, STATE_AT)->length -= 8; }
static void state_huge(struct stream *s)	{ record(s, STATE_AT)->length = ~0ULL; }
static void state_4g(struct stream *s)		{ record(s, STATE_AT)->length |= 1ULL << 32; }

static void no_identity(struct stream *s)	{ cut(s, 0, STATE_AT); }

static void identity_twice(struct stream *s)
{
	memcpy(insert(s, 0, STATE_AT), s->data + STATE_AT, STATE_AT);
}

static void state_empty(struct stream *s)
{
	record(s, STATE_AT)->length = 0;
}

static void no_state(struct stream *s)
{
	cut(s, STATE_AT, s->len - END_SIZE - STATE_AT);
}

static void state_twice(struct stream *s)
{
	size_t len = s->len - END_SIZE - STATE_AT;

	memcpy(insert(s, STATE_AT, len), s->data + STATE_AT + len, len);
}

static void state_bit(struct stream *s)
{
	size_t first = STATE_AT + sizeof(struct nvmevf_record);

	s->data[first + random() % (s->len - END_SIZE - first)] ^=
		1 << random() % 8;
}

static void state_zero(struct stream *s)
{
	size_t first = STATE_AT + sizeof(struct nvmevf_record);

	memset(s->data + first, 0, s->len - END_SIZE - first);
}

static void state_cut(struct stream *s)
{
	record(s, STATE_AT)->length -= 8;
	cut(s, s->len - END_SIZE - 8, 8);
}

static void unknown_mandatory(struct stream *s)
{
	insert_unknown(s, STATE_AT, 0, 8);
}

static void unknown_flags(struct stream *s)
{
	insert_unknown(s, STATE_AT, NVMEVF_RECORD_OPTIONAL | 2, 8);
}

static void unknown_first(struct stream *s)
{
	insert_unknown(s, 0, NVMEVF_RECORD_OPTIONAL, 8);
}

static void unknown_huge(struct stream *s)
{
	insert_unknown(s, STATE_AT, NVMEVF_RECORD_OPTIONAL, 8);
	record(s, STATE_AT)->length = ~0ULL;
}

static void unknown_padding(struct stream *s)
{
	insert_unknown(s, STATE_AT, NVMEVF_RECORD_OPTIONAL, 5);
	s->data[STATE_AT + sizeof(struct nvmevf_record) + 7] = 1;
}

static void checksum(struct stream *s)
{
	s->data[s->len - sizeof(struct nvmevf_end)] ^= 0x80;
}

static void end_reserved(struct stream *s)	{ s->data[s->len - 1] = 1; }
static void end_longer(struct stream *s)	{ record(s, s->len - END_SIZE)->length = 16; }
static void data_after_end(struct stream *s)		{ insert(s, s->len, 1); }

static const struct damage {
	const char *name;
	void (*apply)(struct stream *s);
	int error;
	bool keep_checksum;
} damages[] = {
#define DAMAGE(what, error)	{ #what, what, error }
	DAMAGE(magic, EINVAL),
	DAMAGE(version, EINVAL),
	DAMAGE(vendor, EINVAL),
	DAMAGE(device, EINVAL),
	DAMAGE(subvendor, EINVAL),
	DAMAGE(subdevice, EINVAL),
	DAMAGE(vectors, EINVAL),
	DAMAGE(queue_pairs, EINVAL),
	DAMAGE(model, EINVAL),
	DAMAGE(firmware, EINVAL),
	DAMAGE(command_set, EINVAL),
	DAMAGE(other_set, EINVAL),
	DAMAGE(state_version, EINVAL),
	DAMAGE(state_uuid, EINVAL),
	DAMAGE(state_size_4g, EFBIG),
	DAMAGE(state_size_huge, EFBIG),
	DAMAGE(identity_type, EINVAL),
	DAMAGE(identity_flags, EINVAL),
	DAMAGE(identity_longer, EINVAL),
	DAMAGE(identity_shorter, EINVAL),
	DAMAGE(no_identity, EINVAL),
	DAMAGE(identity_twice, EINVAL),
	DAMAGE(state_flags, EINVAL),
	DAMAGE(state_longer, EINVAL),
	DAMAGE(state_shorter, EINVAL),
	DAMAGE(state_empty, EINVAL),
	DAMAGE(state_huge, EFBIG),
	DAMAGE(state_4g, EFBIG),
	DAMAGE(no_state, EINVAL),
	DAMAGE(state_twice, EINVAL),
	DAMAGE(unknown_mandatory, EINVAL),
	DAMAGE(unknown_flags, EINVAL),
	DAMAGE(unknown_first, EINVAL),
	DAMAGE(unknown_huge, EINVAL),
	DAMAGE(unknown_padding, EINVAL),
	DAMAGE(end_longer, EINVAL),
	DAMAGE(end_reserved, EINVAL),
	/* The driver accepts the following; the controller refuses them. */
	DAMAGE(state_bit, EINVAL),
	DAMAGE(state_zero, EINVAL),
	DAMAGE(state_cut, EINVAL),
	{ "checksum", checksum, EBADMSG, true },
	{ "checksum of the state", state_bit, EBADMSG, true },
	{ "data_after_end", data_after_end, EINVAL, true },
};

TEST_F(stream, damaged)
{
	static const size_t chunks[] = { 1 << 20, 1, 13 };
	const struct damage *d;
	struct stream bad;
	size_t chunk;
	char byte = 0;
	int fd;

	for (d = damages; d < damages + ARRAY_SIZE(damages); d++) {
		bad = copy(&self->good, self->good.len);
		d->apply(&bad);
		if (!d->keep_checksum)
			fix_checksum(&bad);
		chunk = chunks[(d - damages) % ARRAY_SIZE(chunks)];

		ASSERT_EQ(0, vf_set_state(&self->dst,
					  VFIO_DEVICE_STATE_RESUMING, &fd));
		EXPECT_EQ(-d->error, stream_write(&bad, fd, chunk))
			TH_LOG("damage: %s", d->name);
		/* Later calls on a refused stream return the same error. */
		EXPECT_EQ(-1, write(fd, &byte, 1));
		EXPECT_EQ(d->error, errno)
			TH_LOG("damage: %s", d->name);
		EXPECT_EQ(-d->error, vf_set_state(&self->dst,
						  VFIO_DEVICE_STATE_STOP, NULL))
			TH_LOG("damage: %s", d->name);
		EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(&self->dst));

		/* The driver loads the state at END, before it sees more data. */
		self->n.vf = &self->dst;
		if (d->apply != data_after_end)
			EXPECT_EQ(0U, nvme_read32(&self->n, NVME_CC))
				TH_LOG("damage: %s", d->name);
		vf_reset(&self->dst);
		close(fd);
		free(bad.data);
	}

	guest_load(&self->n, &self->dst, &self->good);
	io_wait(&self->n);
	io_check(&self->n);
}

TEST_F(stream, truncated)
{
	struct stream part = self->good;
	int fd, i;

	for (i = 0; i < 16; i++) {
		switch (i) {
		case 0:
			part.len = STATE_AT;
			break;
		case 1:
			part.len = self->good.len - END_SIZE;
			break;
		case 2:
			part.len = self->good.len - 1;
			break;
		default:
			part.len = random() % self->good.len;
		}
		ASSERT_EQ(0, vf_set_state(&self->dst,
					  VFIO_DEVICE_STATE_RESUMING, &fd));
		ASSERT_EQ(0, stream_write(&part, fd, part.len));
		EXPECT_EQ(-EINVAL, vf_set_state(&self->dst,
						VFIO_DEVICE_STATE_STOP, NULL))
			TH_LOG("%zu of %zu bytes", part.len, self->good.len);
		EXPECT_EQ(VFIO_DEVICE_STATE_RESUMING, vf_get_state(&self->dst));
		self->n.vf = &self->dst;
		EXPECT_EQ(0U, nvme_read32(&self->n, NVME_CC));
		vf_reset(&self->dst);
		close(fd);
	}

	/* A new guest can start on the destination after that. */
	memset(self->n.seq, 0, sizeof(self->n.seq));
	nvme_start(&self->n, 1, 8, 8);
	io_check(&self->n);
}

/* The driver ignores optional records, which later versions may add. */
TEST_F(stream, optional_records)
{
	struct stream s = copy(&self->good, 1 << 18);

	insert_unknown(&s, s.len - END_SIZE, NVMEVF_RECORD_OPTIONAL, 65536);
	insert_unknown(&s, s.len - END_SIZE, NVMEVF_RECORD_OPTIONAL, 0);
	insert_unknown(&s, STATE_AT, NVMEVF_RECORD_OPTIONAL, 0);
	insert_unknown(&s, STATE_AT, NVMEVF_RECORD_OPTIONAL, 5);
	insert_unknown(&s, STATE_AT, NVMEVF_RECORD_OPTIONAL, 4096);
	guest_load(&self->n, &self->dst, &s);
	io_wait(&self->n);
	io_check(&self->n);
}

/* Read a number that the kernel knows of a PCI function. */
static unsigned int pci_number(const char *bdf, const char *name)
{
	char path[80], line[16];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", bdf, name);
	sysfs_read_line(path, line, sizeof(line));
	return strtoul(line, NULL, 0);
}

/* IDENTITY has what the kernel and the PF say of the VF: both ends compare that. */
TEST_F(stream, identity)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	const struct nvmevf_identity *id = identity(&self->good);
	const char *bdf = self->src.bdf;
	unsigned char ctrl[4096];
	struct pf pf;

	EXPECT_EQ(pci_number(bdf, "vendor"), id->vendor);
	EXPECT_EQ(pci_number(bdf, "device"), id->device);
	EXPECT_EQ(pci_number(bdf, "subsystem_vendor"), id->subsystem_vendor);
	EXPECT_EQ(pci_number(bdf, "subsystem_device"), id->subsystem_device);
	must(ioctl(self->src.fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	EXPECT_EQ(info.count, id->msix_vectors);
	pf_find(&pf, bdf);
	ASSERT_EQ(0, pf_identify(&pf, 0x01, 0, 0, ctrl));
	EXPECT_EQ(0, memcmp(ctrl + 24, id->model, sizeof(id->model)));
	EXPECT_EQ(0, memcmp(ctrl + 64, id->firmware, sizeof(id->firmware)));
}

TEST_F(stream, format)
{
	struct stream *s = &self->good;
	struct nvmevf_end *end = (void *)s->data + s->len - sizeof(*end);
	__u64 state_len = record(s, STATE_AT)->length;

	EXPECT_EQ(NVMEVF_RECORD_IDENTITY, record(s, 0)->type);
	EXPECT_EQ(sizeof(struct nvmevf_identity), record(s, 0)->length);
	EXPECT_EQ(NVMEVF_STREAM_MAGIC, identity(s)->magic);
	EXPECT_EQ(NVMEVF_STREAM_VERSION, identity(s)->version);
	EXPECT_EQ(vf_standard() ? NVMEVF_COMMAND_SET_STANDARD : NVMEVF_COMMAND_SET_VENDOR,
		  identity(s)->command_set);
	EXPECT_EQ(state_len, identity(s)->state_size);
	EXPECT_EQ(pf_vf_cntlid(self->src.bdf), identity(s)->cntlid);
	EXPECT_EQ(NVMEVF_RECORD_STATE, record(s, STATE_AT)->type);
	EXPECT_EQ(s->len, STATE_AT + sizeof(struct nvmevf_record) +
		  (state_len + 7) / 8 * 8 + END_SIZE);
	EXPECT_EQ(NVMEVF_RECORD_END, record(s, s->len - END_SIZE)->type);
	EXPECT_EQ(crc32c(s->data, s->len - END_SIZE), end->crc32c);
}

/* Save the same state again; read and write one byte per call. */
TEST_F(stream, one_byte_per_call)
{
	struct stream s;
	int fd;

	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP, NULL));
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY, &fd));
	ASSERT_EQ(0, stream_read(&s, fd, 1));
	ASSERT_EQ(self->good.len, s.len);
	/* With the standard's set, the controller is read again, and its clock goes on. */
	if (!vf_standard())
		EXPECT_EQ(0, memcmp(self->good.data, s.data, s.len));

	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING, &fd));
	ASSERT_EQ(0, stream_write(&s, fd, 1));
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RUNNING, NULL));
	self->n.vf = &self->dst;
	io_wait(&self->n);
	io_check(&self->n);
}

/* A write() that faults returns the number of bytes before the fault. */
TEST_F(stream, unmapped_buffer)
{
	char *page = must(mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	struct stream rest = self->good;
	ssize_t len;
	int fd;

	must(munmap(page + PAGE, PAGE));
	memcpy(page + PAGE - 64, self->good.data, 64);
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING, &fd));
	len = write(fd, page + PAGE - 64, rest.len);
	if (len < 0) {
		ASSERT_EQ(EFAULT, errno);
		len = 0;
	}
	ASSERT_GE(64, len);
	rest.data += len;
	rest.len -= len;
	ASSERT_EQ(0, stream_write(&rest, fd, 4096));
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RUNNING, NULL));
	self->n.vf = &self->dst;
	io_wait(&self->n);
	io_check(&self->n);
}

/* The destination checks IDENTITY while the guest still runs on the source. */
TEST_F(stream, precopy)
{
	struct vfio_precopy_info info = { .argsz = sizeof(info) };
	struct nvme *n = &self->n;
	size_t initial = vf_initial_bytes();
	struct stream first = { .data = calloc(1, initial) };
	struct stream rest;
	int fd, dst_fd;
	char byte;

	if (!(vf_mig_flags(&self->src) & VFIO_MIGRATION_PRE_COPY))
		SKIP(return, "the driver does not support PRE_COPY");
	guest_roll_back(n);
	io_wait(n);

	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_PRE_COPY, &fd));
	ASSERT_EQ(0, ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	EXPECT_EQ(initial, info.initial_bytes);
	EXPECT_EQ(0, info.dirty_bytes);
	first.len = initial;
	ASSERT_EQ(initial, read(fd, first.data, initial));
	EXPECT_EQ(-1, read(fd, &byte, 1));
	EXPECT_EQ(ENOMSG, errno);
	ASSERT_EQ(0, ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	EXPECT_EQ(0, info.initial_bytes);
	io_check(n);

	/* The driver refuses the IDENTITY of another model immediately. */
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING,
				  &dst_fd));
	first.data[IDENTITY_AT + offsetof(struct nvmevf_identity, model)] ^= 1;
	EXPECT_EQ(-EINVAL, stream_write(&first, dst_fd, first.len));
	first.data[IDENTITY_AT + offsetof(struct nvmevf_identity, model)] ^= 1;
	vf_reset(&self->dst);

	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING,
				  &dst_fd));
	EXPECT_EQ(0, stream_write(&first, dst_fd, first.len));
	io_submit(n, &n->queue[1], 5);
	nvme_ring(n, &n->queue[1]);
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_PRE_COPY_P2P,
				  NULL));
	ASSERT_EQ(0, vf_set_state(&self->src, VFIO_DEVICE_STATE_STOP_COPY, NULL));
	EXPECT_EQ(-1, ioctl(fd, VFIO_MIG_GET_PRECOPY_INFO, &info));
	EXPECT_EQ(EINVAL, errno);
	ASSERT_EQ(0, stream_read(&rest, fd, 65536));
	ASSERT_EQ(0, stream_write(&rest, dst_fd, 65536));
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RUNNING, NULL));
	n->vf = &self->dst;
	io_wait(n);
	io_check(n);
}

static struct nvmevf_namespace *namespaces(struct stream *s)
{
	return (void *)s->data + PAYLOAD_AT;
}

static struct nvmevf_namespace *insert_namespace(struct stream *s, unsigned int index)
{
	record(s, STATE_AT)->length += sizeof(struct nvmevf_namespace);
	return insert(s, PAYLOAD_AT + index * sizeof(struct nvmevf_namespace),
		      sizeof(struct nvmevf_namespace));
}

static void ns_uuid(struct stream *s)	{ namespaces(s)->uuid[15] ^= 1; }
static void ns_nguid(struct stream *s)	{ namespaces(s)->nguid[0] ^= 1; }
static void ns_eui64(struct stream *s)	{ namespaces(s)->eui64[7] ^= 1; }
static void ns_blocks(struct stream *s)	{ namespaces(s)->blocks++; }
static void ns_lba(struct stream *s)	{ namespaces(s)->lba_shift++; }
static void ns_metadata(struct stream *s)	{ namespaces(s)->metadata_size = 8; }
static void ns_flags(struct stream *s)	{ namespaces(s)->flags ^= 1; }
static void ns_protection(struct stream *s)	{ namespaces(s)->protection = 1; }
static void ns_reserved(struct stream *s)	{ namespaces(s)->rsvd[6] = 1; }
static void ns_other(struct stream *s)	{ namespaces(s)->nsid = SPARE_NSID; }
static void ns_more(struct stream *s)	{ insert_namespace(s, 1)->nsid = SPARE_NSID; }
static void ns_zero(struct stream *s)	{ insert_namespace(s, 0); }

static void ns_less(struct stream *s)
{
	record(s, STATE_AT)->length = 0;
	cut(s, PAYLOAD_AT, sizeof(struct nvmevf_namespace));
}

static void ns_short(struct stream *s)	{ record(s, STATE_AT)->length -= 8; }
static void ns_not_optional(struct stream *s)	{ record(s, STATE_AT)->flags--; }

static void ns_twice(struct stream *s)
{
	size_t len = stream_state_at(s) - STATE_AT;

	memcpy(insert(s, STATE_AT, len), s->data + STATE_AT + len, len);
}

static const struct {
	void (*apply)(struct stream *s);
	const char *message;
} other_namespaces[] = {
	{ ns_uuid, "namespace 1: source UUID *, this VF has *" },
	{ ns_nguid, "namespace 1: source NGUID *, this VF has *" },
	{ ns_eui64, "namespace 1: source EUI64 *, this VF has *" },
	{ ns_blocks, "namespace 1: source has * logical blocks, this VF has *" },
	{ ns_lba, "namespace 1: source format 2^*, this VF has 2^*" },
	{ ns_metadata, "namespace 1: source format *+8 bytes, *, this VF has *" },
	{ ns_flags, "namespace 1: source format * flags *, this VF has * flags *" },
	{ ns_protection, "namespace 1: source format * protection 0x1, this VF has *" },
	{ ns_reserved, "reserved field of NAMESPACES is not 0" },
	{ ns_other, "namespace 1 of this VF is not attached to the source" },
	{ ns_more, "namespace 2 of the source is not attached to this VF" },
	{ ns_zero, "namespace 0 of the source is not attached to this VF" },
	{ ns_less, "namespace 1 of this VF is not attached to the source" },
	{ ns_short, "record type 4 has 56 bytes, expected a multiple of 64" },
	{ ns_not_optional, "record type 4 has flags 0x0, expected 0x1" },
	{ ns_twice, "record type 4, expected 2" },
};

/*
 * Write @s, as PRE_COPY returned it, to the destination, which must refuse it immediately
 * and with this message. The guest runs on at the source.
 */
static void expect_refused(struct __test_metadata *_metadata,
			   FIXTURE_DATA(stream) * self, const struct stream *s,
			   const char *message)
{
	char *steps, *at, pattern[200];
	int fd;

	snprintf(pattern, sizeof(pattern), "*refused -22 %s\n*", message);
	vf_reset(&self->dst);
	ASSERT_EQ(0, vf_set_state(&self->dst, VFIO_DEVICE_STATE_RESUMING, &fd));
	trace_clear();
	EXPECT_EQ(-EINVAL, stream_write(s, fd, s->len))
		TH_LOG("expected \"%s\"", message);
	steps = trace_steps(self->dst.bdf);
	EXPECT_EQ(0, fnmatch(pattern, steps, 0))
		TH_LOG("expected \"%s\", found \"%s\"", message, steps);
	at = strstr(steps, "load");
	EXPECT_EQ(NULL, at);
	free(steps);
	close(fd);

	EXPECT_EQ(VFIO_DEVICE_STATE_PRE_COPY, vf_get_state(&self->src));
	io_check(&self->n);
}

/* Each difference of the namespaces is refused while the guest runs at the source. */
TEST_F(stream, other_namespaces)
{
	struct nvme *n = &self->n;
	struct stream s, other;
	unsigned int i;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	guest_roll_back(n);
	io_wait(n);
	guest_precopy(n, &s);
	ASSERT_EQ(vf_initial_bytes(), s.len);
	ASSERT_EQ(NVMEVF_RECORD_NAMESPACES, record(&s, STATE_AT)->type);
	ASSERT_EQ(NVMEVF_RECORD_OPTIONAL, record(&s, STATE_AT)->flags);
	ASSERT_EQ(sizeof(struct nvmevf_namespace), record(&s, STATE_AT)->length);

	for (i = 0; i < ARRAY_SIZE(other_namespaces); i++) {
		other = copy(&s, 1024);
		other_namespaces[i].apply(&other);
		expect_refused(_metadata, self, &other, other_namespaces[i].message);
		free(other.data);
	}

	/* The namespaces of the source are accepted. */
	guest_suspend(n);
	guest_save(n, &s);
	vf_reset(&self->dst);
	guest_load(n, &self->dst, &s);
	io_check(n);
	free(s.data);
	trace_close();
}

/* What the record has is what the guest finds. */
TEST_F(stream, namespaces)
{
	struct nvmevf_namespace *ns;
	unsigned char id[4096], descs[4096], *desc, uuid[16] = {};
	struct pf pf;
	struct stream s;

	guest_roll_back(&self->n);
	io_wait(&self->n);
	guest_precopy(&self->n, &s);
	ns = namespaces(&s);
	pf_find(&pf, self->src.bdf);
	ASSERT_EQ(0, pf_identify(&pf, 0x00, 1, 0, id));
	ASSERT_EQ(0, pf_identify(&pf, 0x03, 1, 0, descs));
	for (desc = descs; desc[1]; desc += 4 + desc[1])
		if (desc[0] == 3)
			memcpy(uuid, desc + 4, 16);

	EXPECT_EQ(1U, ns->nsid);
	EXPECT_EQ(0, memcmp(&ns->blocks, id, 8));
	EXPECT_EQ(id[128 + 4 * (id[26] & 0xf) + 2], ns->lba_shift);
	EXPECT_EQ(0, memcmp(ns->nguid, id + 104, 16));
	EXPECT_EQ(0, memcmp(ns->eui64, id + 120, 8));
	EXPECT_EQ(0, memcmp(ns->uuid, uuid, 16));

	/* Only a stream that begins in PRE_COPY has the record. */
	EXPECT_EQ(NVMEVF_RECORD_STATE, record(&self->good, STATE_AT)->type);
	guest_roll_back(&self->n);
	io_check(&self->n);
	free(s.data);
}

/* The administrator has attached other namespaces to the VF of the destination. */
TEST_F(stream, other_attachments)
{
	const char *src = self->src.bdf, *dst = self->dst.bdf;
	struct nvme *n = &self->n;
	struct stream s;
	struct pf pf;

	if (!trace_open_steps())
		SKIP(return, "this kernel has no tracefs");
	pf_open(&pf, src);
	guest_roll_back(n);
	io_wait(n);
	vf_reset(&self->dst);
	guest_precopy(n, &s);

	pf_set_attached(&pf, dst, 1, false);
	expect_refused(_metadata, self, &s,
		       "namespace 1 of the source is not attached to this VF");
	pf_set_attached(&pf, dst, 1, true);

	/* The spare namespace is private: one controller can have it at a time. */
	pf_set_attached(&pf, dst, SPARE_NSID, true);
	expect_refused(_metadata, self, &s,
		       "namespace 2 of this VF is not attached to the source");
	pf_set_attached(&pf, dst, SPARE_NSID, false);

	guest_roll_back(n);
	free(s.data);
	pf_set_attached(&pf, src, SPARE_NSID, true);
	guest_precopy(n, &s);
	EXPECT_EQ(2 * sizeof(struct nvmevf_namespace), record(&s, STATE_AT)->length);
	expect_refused(_metadata, self, &s,
		       "namespace 2 of the source is not attached to this VF");
	guest_roll_back(n);
	free(s.data);
	pf_set_attached(&pf, src, SPARE_NSID, false);

	/* The source's own VF accepts the stream again. */
	guest_precopy(n, &s);
	guest_suspend(n);
	guest_save(n, &s);
	vf_reset(&self->dst);
	guest_load(n, &self->dst, &s);
	io_check(n);
	free(s.data);
	trace_close();
}

TEST_HARNESS_MAIN
