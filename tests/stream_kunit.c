// SPDX-License-Identifier: GPL-2.0-only
/* The stream, byte by byte, both ways. Included by stream.c. */

#include <kunit/test.h>
#include <linux/mman.h>
#include <linux/unaligned.h>

#define STATE		"a state of 21 bytes.."
#define STATE_SIZE	21
#define MAX_STATE_SIZE	4096
#define USER_SIZE	(2 * SZ_64K)

/* Offsets in the stream that nvmevf_stream_kunit_good() makes. */
enum {
	AT_IDENTITY	= 0,
	AT_STATE	= 96,
	AT_PADDING	= AT_STATE + 16 + STATE_SIZE,
	AT_END		= AT_STATE + 16 + 24,
	GOOD_SIZE	= AT_END + 24,
};

struct nvmevf_stream_kunit {
	struct pci_dev		pdev;
	struct nvmevf_identity	identity;	/* of the VF */
	struct nvmevf_stream	*stream;
	void __user		*user;
	u8			*bytes;		/* a stream */
	size_t			len;
	unsigned int		loads;
	int			load_error;
};

/* Takes the place of nvmevf_image_load(). */
static int nvmevf_stream_kunit_load(struct pci_dev *pdev,
				    struct nvmevf_image *image)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, pdev, &t->pdev);
	KUNIT_EXPECT_EQ(test, nvmevf_image_state_size(image), STATE_SIZE);
	KUNIT_EXPECT_MEMEQ(test, nvmevf_image_state(image), STATE, STATE_SIZE);
	t->loads++;
	return t->load_error;
}

static int nvmevf_stream_kunit_init(struct kunit *test)
{
	struct nvmevf_stream_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->bytes = kunit_kzalloc(test, USER_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->bytes);
	t->user = (void __user *)
		kunit_vm_mmap(test, NULL, 0, USER_SIZE, PROT_READ | PROT_WRITE,
			      MAP_ANONYMOUS | MAP_PRIVATE, 0);
	KUNIT_ASSERT_NE_MSG(test, (__force long)t->user, 0,
			    "no user memory");

	t->pdev.dev.init_name = "kunit";
	t->identity = (struct nvmevf_identity) {
		.magic = cpu_to_le64(NVMEVF_STREAM_MAGIC),
		.version = cpu_to_le16(NVMEVF_STREAM_VERSION),
		.vendor = cpu_to_le16(0x8086),
		.device = cpu_to_le16(0x1457),
		.subsystem_vendor = cpu_to_le16(0x1111),
		.subsystem_device = cpu_to_le16(0x2222),
		.msix_vectors = cpu_to_le16(5),
		.model = "a model",
		.firmware = "1.0",
		.queue_pairs = cpu_to_le16(3),
	};
	test->priv = t;
	kunit_activate_static_stub(test, nvmevf_image_load,
				   nvmevf_stream_kunit_load);
	return 0;
}

static void nvmevf_stream_kunit_close(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	if (t->stream)
		nvmevf_stream_close(t->stream, NULL);
	t->stream = NULL;
}

static void nvmevf_stream_kunit_exit(struct kunit *test)
{
	if (test->priv)
		nvmevf_stream_kunit_close(test);
}

/* Not the driver's: a bit at a time. */
static u32 nvmevf_stream_kunit_crc(const u8 *p, size_t len)
{
	u32 crc = ~0;
	int bit;

	while (len--) {
		crc ^= *p++;
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static void nvmevf_stream_kunit_add(struct nvmevf_stream_kunit *t, u32 type,
				    u32 flags, u64 length, const void *payload)
{
	u8 *p = t->bytes + t->len;

	put_unaligned_le32(type, p);
	put_unaligned_le32(flags, p + 4);
	put_unaligned_le64(length, p + 8);
	memset(p + 16, 0, round_up(length, 8));
	if (payload)
		memcpy(p + 16, payload, length);
	t->len += 16 + round_up(length, 8);
}

/* IDENTITY as nvme.txt has it, not as the driver's structure does. */
static void nvmevf_stream_kunit_add_identity(struct nvmevf_stream_kunit *t)
{
	u8 p[80] = { };

	memcpy(p, "NVMEVFLM", 8);
	put_unaligned_le16(1, p + 8);
	put_unaligned_le16(0x8086, p + 10);
	put_unaligned_le16(0x1457, p + 12);
	put_unaligned_le16(0x1111, p + 14);
	put_unaligned_le16(0x2222, p + 16);
	put_unaligned_le16(5, p + 18);
	put_unaligned_le32(STATE_SIZE, p + 20);
	memcpy(p + 24, "a model", 7);
	memcpy(p + 64, "1.0", 3);
	put_unaligned_le16(3, p + 72);
	nvmevf_stream_kunit_add(t, 1, 0, sizeof(p), p);
}

static void nvmevf_stream_kunit_add_state(struct nvmevf_stream_kunit *t)
{
	nvmevf_stream_kunit_add(t, 2, 0, STATE_SIZE, STATE);
}

static void nvmevf_stream_kunit_add_end(struct nvmevf_stream_kunit *t)
{
	u8 p[8] = { };

	put_unaligned_le32(nvmevf_stream_kunit_crc(t->bytes, t->len), p);
	nvmevf_stream_kunit_add(t, 3, 0, sizeof(p), p);
}

static void nvmevf_stream_kunit_good(struct nvmevf_stream_kunit *t)
{
	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_end(t);
}

static void nvmevf_stream_kunit_open_write(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_stream *stream;

	nvmevf_stream_kunit_close(test);
	t->loads = 0;
	stream = nvmevf_stream_open_write(&t->pdev, &t->identity,
					  MAX_STATE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	t->stream = stream;
}

static ssize_t nvmevf_stream_kunit_write(struct kunit *test, size_t from,
					 size_t len)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, copy_to_user(t->user, t->bytes + from, len), 0);
	return nvmevf_stream_write(t->stream->filp, t->user, len, NULL);
}

static ssize_t nvmevf_stream_kunit_write_all(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_open_write(test);
	return nvmevf_stream_kunit_write(test, 0, t->len);
}

static void nvmevf_stream_kunit_expect_accepted(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write_all(test), t->len);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
	KUNIT_EXPECT_EQ(test, nvmevf_stream_loaded(t->stream), 0);
}

/* That it is refused, with what error, for good, and with nothing loaded. */
static void nvmevf_stream_kunit_expect_refused(struct kunit *test, int error,
					       const char *name)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_EQ_MSG(test, nvmevf_stream_kunit_write_all(test), error,
			    "%s", name);
	nvmevf_stream_kunit_good(t);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_stream_kunit_write(test, 0, t->len),
			    error, "%s, then a good one", name);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_stream_loaded(t->stream), error, "%s",
			    name);
	KUNIT_EXPECT_EQ_MSG(test, t->loads, 0, "%s", name);
}

static void nvmevf_stream_kunit_crc_vector(struct kunit *test)
{
	/* RFC 3720, B.4 */
	static const u8 zeroes[32];

	KUNIT_EXPECT_EQ(test, nvmevf_crc(0, zeroes, 32), 0x8a9136aa);
	KUNIT_EXPECT_EQ(test, nvmevf_crc(0, "123456789", 9), 0xe3069283);
	KUNIT_EXPECT_EQ(test, nvmevf_crc(nvmevf_crc(0, "1234", 4), "56789", 5),
			0xe3069283);
}

static void nvmevf_stream_kunit_accepted(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	KUNIT_EXPECT_EQ(test, t->len, GOOD_SIZE);
	KUNIT_EXPECT_EQ(test, t->len, nvmevf_stream_size(STATE_SIZE));
	nvmevf_stream_kunit_expect_accepted(test);

	KUNIT_EXPECT_EQ_MSG(test, nvmevf_stream_kunit_write(test, 0, 1),
			    -EINVAL, "a byte too many");
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

static void nvmevf_stream_kunit_split(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	size_t at;

	nvmevf_stream_kunit_good(t);
	for (at = 1; at < t->len; at++) {
		nvmevf_stream_kunit_open_write(test);
		KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, 0, at),
				at);
		KUNIT_EXPECT_EQ_MSG(test, t->loads, 0, "after %zu bytes", at);
		KUNIT_EXPECT_EQ(test,
				nvmevf_stream_kunit_write(test, at, t->len - at),
				t->len - at);
		KUNIT_EXPECT_EQ_MSG(test, t->loads, 1, "split at %zu", at);
	}

	nvmevf_stream_kunit_open_write(test);
	for (at = 0; at < t->len; at++)
		KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, at, 1), 1);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

static void nvmevf_stream_kunit_truncated(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	size_t len;

	nvmevf_stream_kunit_good(t);
	for (len = 0; len < t->len; len++) {
		nvmevf_stream_kunit_open_write(test);
		KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, 0, len),
				len);
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_stream_loaded(t->stream),
				    -EINVAL, "%zu bytes", len);
		KUNIT_EXPECT_EQ(test, t->loads, 0);
	}
}

/* A good stream, but for one byte; the checksum fits the changed one. */
static const struct nvmevf_stream_kunit_change {
	const char	*name;
	unsigned int	at;
	u8		value;
	int		error;
} nvmevf_stream_kunit_changes[] = {
	{ "IDENTITY: type", AT_IDENTITY, 2, -EINVAL },
	{ "IDENTITY: type unknown", AT_IDENTITY, 77, -EINVAL },
	{ "IDENTITY: optional", AT_IDENTITY + 4, 1, -EINVAL },
	{ "IDENTITY: reserved flag", AT_IDENTITY + 7, 0x80, -EINVAL },
	{ "IDENTITY: too short", AT_IDENTITY + 8, 72, -EINVAL },
	{ "IDENTITY: too long", AT_IDENTITY + 8, 88, -EINVAL },
	{ "IDENTITY: huge", AT_IDENTITY + 15, 0xff, -EINVAL },
	{ "magic", AT_IDENTITY + 16, 'X', -EINVAL },
	{ "version", AT_IDENTITY + 24, 2, -EINVAL },
	{ "vendor", AT_IDENTITY + 26, 0, -EINVAL },
	{ "device", AT_IDENTITY + 28, 0, -EINVAL },
	{ "subsystem vendor", AT_IDENTITY + 30, 0, -EINVAL },
	{ "subsystem", AT_IDENTITY + 32, 0, -EINVAL },
	{ "vectors", AT_IDENTITY + 34, 6, -EINVAL },
	{ "announces too much state", AT_IDENTITY + 38, 1, -EFBIG },
	{ "model", AT_IDENTITY + 79, 'X', -EINVAL },
	{ "firmware", AT_IDENTITY + 87, 'X', -EINVAL },
	{ "queue pairs", AT_IDENTITY + 88, 4, -EINVAL },
	{ "IDENTITY: reserved", AT_IDENTITY + 95, 1, -EINVAL },
	{ "STATE: type", AT_STATE, 1, -EINVAL },
	{ "STATE: END in its place", AT_STATE, 3, -EINVAL },
	{ "STATE: type unknown", AT_STATE + 1, 1, -EINVAL },
	{ "STATE: optional", AT_STATE + 4, 1, -EINVAL },
	{ "STATE: reserved flag", AT_STATE + 4, 2, -EINVAL },
	{ "STATE: empty", AT_STATE + 8, 0, -EINVAL },
	{ "STATE: too large", AT_STATE + 9, 0x10, -EFBIG },
	{ "STATE: huge", AT_STATE + 15, 0xff, -EFBIG },
	{ "padding", AT_PADDING, 1, -EINVAL },
	{ "last byte of padding", AT_END - 1, 1, -EINVAL },
};

static void nvmevf_stream_kunit_refused(struct kunit *test)
{
	const struct nvmevf_stream_kunit_change *c = nvmevf_stream_kunit_changes;
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(nvmevf_stream_kunit_changes); i++, c++) {
		nvmevf_stream_kunit_good(t);
		KUNIT_ASSERT_NE_MSG(test, t->bytes[c->at], c->value, "%s",
				    c->name);
		t->bytes[c->at] = c->value;
		t->len = AT_END;
		nvmevf_stream_kunit_add_end(t);
		nvmevf_stream_kunit_expect_refused(test, c->error, c->name);
	}
}

static const struct nvmevf_stream_kunit_change nvmevf_stream_kunit_bad_ends[] = {
	{ "END: type", AT_END, 2, -EINVAL },
	{ "END: type unknown", AT_END + 3, 1, -EINVAL },
	{ "END: optional", AT_END + 4, 1, -EINVAL },
	{ "END: too short", AT_END + 8, 7, -EINVAL },
	{ "END: too long", AT_END + 8, 16, -EINVAL },
	{ "END: reserved field", AT_END + 20, 1, -EINVAL },
	{ "END: last byte", AT_END + 23, 1, -EINVAL },
	/* The checksum is the first that finds nothing else wrong. */
	{ "state", AT_STATE + 16, 'X', -EBADMSG },
	{ "last byte of the state", AT_PADDING - 1, 'X', -EBADMSG },
	{ "announces another state", AT_IDENTITY + 36, 20, -EBADMSG },
};

static void nvmevf_stream_kunit_bad_end(struct kunit *test)
{
	const struct nvmevf_stream_kunit_change *c = nvmevf_stream_kunit_bad_ends;
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(nvmevf_stream_kunit_bad_ends); i++, c++) {
		nvmevf_stream_kunit_good(t);
		KUNIT_ASSERT_NE_MSG(test, t->bytes[c->at], c->value, "%s",
				    c->name);
		t->bytes[c->at] = c->value;
		nvmevf_stream_kunit_expect_refused(test, c->error, c->name);
	}

	for (i = AT_END + 16; i < AT_END + 20; i++) {
		nvmevf_stream_kunit_good(t);
		t->bytes[i] ^= 1;
		nvmevf_stream_kunit_expect_refused(test, -EBADMSG, "checksum");
	}
}

static void nvmevf_stream_kunit_order(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	t->len = 0;
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "STATE first");

	t->len = 0;
	nvmevf_stream_kunit_add_end(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "END first");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "IDENTITY twice");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_end(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "no STATE");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "STATE twice");
}

static void nvmevf_stream_kunit_optional(struct kunit *test)
{
	static const unsigned int lengths[] = { 0, 1, 8, 63, 64, 65, SZ_64K };
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		t->len = 0;
		nvmevf_stream_kunit_add_identity(t);
		nvmevf_stream_kunit_add(t, 77, 1, lengths[i], NULL);
		/* not all zeroes, but for the padding */
		memset(t->bytes + AT_STATE + 16, 0x55, lengths[i]);
		nvmevf_stream_kunit_add_state(t);
		nvmevf_stream_kunit_add(t, 0xffffffff, 1, 3, "abc");
		nvmevf_stream_kunit_add_end(t);
		nvmevf_stream_kunit_expect_accepted(test);
	}

	t->len = 0;
	nvmevf_stream_kunit_add(t, 77, 1, 8, NULL);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "optional first");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 0, 8, NULL);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "not optional");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 3, 8, NULL);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "reserved flag");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 1, SZ_64K + 1, NULL);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "optional, too long");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 1, 1, "a");
	t->bytes[t->len - 1] = 1;
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "optional, padding");
}

static void nvmevf_stream_kunit_firmware(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	bool allowed = allow_firmware_mismatch;

	t->identity.firmware[0] = '2';

	allow_firmware_mismatch = false;
	nvmevf_stream_kunit_good(t);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "firmware");

	allow_firmware_mismatch = true;
	nvmevf_stream_kunit_good(t);
	nvmevf_stream_kunit_expect_accepted(test);

	allow_firmware_mismatch = allowed;
}

static void nvmevf_stream_kunit_queue_pairs(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	t->identity.queue_pairs = cpu_to_le16(2);
	nvmevf_stream_kunit_expect_refused(test, -EINVAL, "too few");

	t->identity.queue_pairs = cpu_to_le16(4);
	nvmevf_stream_kunit_expect_accepted(test);

	t->identity.queue_pairs = 0;
	nvmevf_stream_kunit_expect_accepted(test);
}

static void nvmevf_stream_kunit_load_fails(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	t->load_error = -EIO;
	KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write_all(test), -EIO);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
	KUNIT_EXPECT_EQ(test, nvmevf_stream_loaded(t->stream), -EIO);
	KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, 0, 1), -EIO);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

static void nvmevf_stream_kunit_dead(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	nvmevf_stream_kunit_open_write(test);
	KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, 0, AT_END), AT_END);
	nvmevf_stream_kill(t->stream);
	KUNIT_EXPECT_EQ(test, nvmevf_stream_kunit_write(test, AT_END, 24),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, t->loads, 0);
}

/* Expects to read the good stream from @from up to @to, @chunk bytes a time. */
static void nvmevf_stream_kunit_expect_read(struct kunit *test, size_t from,
					    size_t to, size_t chunk)
{
	struct nvmevf_stream_kunit *t = test->priv;
	u8 bytes[GOOD_SIZE];
	ssize_t n;

	while (from < to) {
		n = nvmevf_stream_read(t->stream->filp, t->user, chunk, NULL);
		KUNIT_ASSERT_EQ(test, n, min(chunk, to - from));
		KUNIT_ASSERT_EQ(test, copy_from_user(bytes, t->user, n), 0);
		KUNIT_ASSERT_MEMEQ(test, bytes, t->bytes + from, n);
		from += n;
	}
}

static void nvmevf_stream_kunit_written(struct kunit *test)
{
	static const size_t chunks[] = { 1, 7, 64, GOOD_SIZE, USER_SIZE };
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_stream *stream;
	struct nvmevf_image *image;
	int i;

	nvmevf_stream_kunit_good(t);
	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		image = nvmevf_image_alloc(STATE_SIZE);
		KUNIT_ASSERT_NOT_NULL(test, image);
		stream = nvmevf_stream_open_read(&t->pdev, &t->identity, image);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		t->stream = stream;

		/* before the VM stops there is no more than IDENTITY */
		nvmevf_stream_kunit_expect_read(test, 0, AT_STATE, chunks[i]);
		KUNIT_EXPECT_EQ(test,
				nvmevf_stream_read(stream->filp, t->user, 1,
						   NULL), -ENOMSG);

		image = nvmevf_image_alloc(STATE_SIZE);
		KUNIT_ASSERT_NOT_NULL(test, image);
		/* what lies behind the state must not come out */
		memset(nvmevf_image_state(image), 0xff, round_up(STATE_SIZE, 8));
		memcpy(nvmevf_image_state(image), STATE, STATE_SIZE);
		nvmevf_stream_save_again(stream, image);
		nvmevf_stream_kunit_expect_read(test, AT_STATE, GOOD_SIZE,
						chunks[i]);
		KUNIT_EXPECT_EQ(test,
				nvmevf_stream_read(stream->filp, t->user, 1,
						   NULL), 0);

		nvmevf_stream_kill(stream);
		KUNIT_EXPECT_EQ(test,
				nvmevf_stream_read(stream->filp, t->user, 1,
						   NULL), -ENODEV);
		nvmevf_stream_kunit_close(test);
	}
}

static struct kunit_case nvmevf_stream_kunit_cases[] = {
	KUNIT_CASE(nvmevf_stream_kunit_crc_vector),
	KUNIT_CASE(nvmevf_stream_kunit_accepted),
	KUNIT_CASE(nvmevf_stream_kunit_split),
	KUNIT_CASE(nvmevf_stream_kunit_truncated),
	KUNIT_CASE(nvmevf_stream_kunit_refused),
	KUNIT_CASE(nvmevf_stream_kunit_bad_end),
	KUNIT_CASE(nvmevf_stream_kunit_order),
	KUNIT_CASE(nvmevf_stream_kunit_optional),
	KUNIT_CASE(nvmevf_stream_kunit_firmware),
	KUNIT_CASE(nvmevf_stream_kunit_queue_pairs),
	KUNIT_CASE(nvmevf_stream_kunit_load_fails),
	KUNIT_CASE(nvmevf_stream_kunit_dead),
	KUNIT_CASE(nvmevf_stream_kunit_written),
	{ }
};

static struct kunit_suite nvmevf_stream_kunit_suite = {
	.name = "nvme_vfio_pci_stream",
	.init = nvmevf_stream_kunit_init,
	.exit = nvmevf_stream_kunit_exit,
	.test_cases = nvmevf_stream_kunit_cases,
};

kunit_test_suite(nvmevf_stream_kunit_suite);
