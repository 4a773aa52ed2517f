// SPDX-License-Identifier: GPL-2.0-only
/* Write streams, good and bad, byte by byte. Included by load.c. */

#include <kunit/static_stub.h>

#include "golden_kunit.h"
#include "namespaces_kunit.h"
#include "stream_kunit.h"

/* in which the VF was suspended */
#define EPOCH	7

/* Take the place of LOAD_DATA. */
static int nvmevf_load_kunit_load(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_PTR_EQ(test, ctrl, &t->ctrl);
	KUNIT_EXPECT_TRUE(test, PAGE_ALIGNED(buf));
	KUNIT_EXPECT_EQ(test, size, STATE_SIZE);
	KUNIT_EXPECT_MEMEQ(test, buf, STATE, STATE_SIZE);
	t->loads++;
	return t->load_error;
}

static int nvmevf_load_kunit_epoch(struct nvmevf_ctrl *ctrl, u64 *epoch)
{
	struct kunit *test = kunit_get_current_test();
	struct nvmevf_stream_kunit *t = test->priv;

	*epoch = t->epoch;
	return t->epoch_error;
}

static int nvmevf_load_kunit_init(struct kunit *test)
{
	struct nvmevf_stream_kunit *t;
	int ret;

	ret = nvmevf_stream_kunit_init(test);
	if (ret)
		return ret;

	t = test->priv;
	t->set.load = nvmevf_load_kunit_load;
	t->epoch = EPOCH;
	kunit_activate_static_stub(test, nvmevf_cmds_epoch, nvmevf_load_kunit_epoch);
	return 0;
}

static void nvmevf_load_kunit_close(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	if (t->stream)
		nvmevf_load_close(t->stream);
	t->stream = NULL;
}

static void nvmevf_load_kunit_exit(struct kunit *test)
{
	if (test->priv)
		nvmevf_load_kunit_close(test);
}

static void nvmevf_load_kunit_open_write(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_stream *stream;

	nvmevf_load_kunit_close(test);
	t->loads = 0;
	stream = nvmevf_load_open(&t->ctrl, &t->identity, MAX_STATE_SIZE, EPOCH);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
	t->stream = stream;
}

static ssize_t nvmevf_load_kunit_write(struct kunit *test, size_t from,
				       size_t len)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, copy_to_user(t->user, t->bytes + from, len), 0);
	return nvmevf_load_write(t->stream->filp, t->user, len, NULL);
}

static ssize_t nvmevf_load_kunit_write_all(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_load_kunit_open_write(test);
	return nvmevf_load_kunit_write(test, 0, t->len);
}

static void nvmevf_load_kunit_expect_accepted(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write_all(test), t->len);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
	KUNIT_EXPECT_EQ(test, nvmevf_load_complete(t->stream), 0);
}

/* Expect that the stream is refused, that the error stays, and that no state is loaded. */
static void nvmevf_load_kunit_expect_refused(struct kunit *test, int error,
					     const char *name)
{
	struct nvmevf_stream_kunit *t = test->priv;

	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write_all(test), error,
			    "%s", name);
	nvmevf_stream_kunit_good(t);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write(test, 0, t->len),
			    error, "%s, then a good one", name);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_complete(t->stream), error, "%s",
			    name);
	KUNIT_EXPECT_EQ_MSG(test, t->loads, 0, "%s", name);
}

static void nvmevf_load_kunit_crc_vector(struct kunit *test)
{
	/* RFC 3720, B.4 */
	static const u8 zeroes[32];

	KUNIT_EXPECT_EQ(test, nvmevf_image_crc(0, zeroes, 32), 0x8a9136aa);
	KUNIT_EXPECT_EQ(test, nvmevf_image_crc(0, "123456789", 9), 0xe3069283);
	KUNIT_EXPECT_EQ(test, nvmevf_image_crc(nvmevf_image_crc(0, "1234", 4), "56789", 5),
			0xe3069283);
}

static void nvmevf_load_kunit_accepted(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	KUNIT_EXPECT_EQ(test, t->len, GOOD_SIZE);
	KUNIT_EXPECT_EQ(test, t->len, PAYLOAD + nvmevf_image_size(STATE_SIZE));
	nvmevf_load_kunit_expect_accepted(test);

	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write(test, 0, 1),
			    -EINVAL, "a byte too many");
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

static void nvmevf_load_kunit_split(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	size_t at;

	nvmevf_stream_kunit_good(t);
	for (at = 1; at < t->len; at++) {
		nvmevf_load_kunit_open_write(test);
		KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, at),
				at);
		KUNIT_EXPECT_EQ_MSG(test, t->loads, 0, "after %zu bytes", at);
		KUNIT_EXPECT_EQ(test,
				nvmevf_load_kunit_write(test, at, t->len - at),
				t->len - at);
		KUNIT_EXPECT_EQ_MSG(test, t->loads, 1, "split at %zu", at);
	}

	nvmevf_load_kunit_open_write(test);
	for (at = 0; at < t->len; at++)
		KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, at, 1), 1);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

static void nvmevf_load_kunit_truncated(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	size_t len;

	nvmevf_stream_kunit_good(t);
	for (len = 0; len < t->len; len++) {
		nvmevf_load_kunit_open_write(test);
		KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, len),
				len);
		KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_complete(t->stream),
				    -EINVAL, "%zu bytes", len);
		KUNIT_EXPECT_EQ(test, t->loads, 0);
	}
}

/* One byte that is wrong. The checksum includes the change. */
static const struct nvmevf_load_kunit_change {
	const char	*name;
	unsigned int	at;
	u8		value;
	int		error;
} nvmevf_load_kunit_changes[] = {
	{ "IDENTITY: type", AT_IDENTITY, 2, -EINVAL },
	{ "IDENTITY: type unknown", AT_IDENTITY, 77, -EINVAL },
	{ "IDENTITY: optional", AT_IDENTITY + 4, 1, -EINVAL },
	{ "IDENTITY: reserved flag", AT_IDENTITY + 7, 0x80, -EINVAL },
	{ "IDENTITY: too short", AT_IDENTITY + 8, 96, -EINVAL },
	{ "IDENTITY: too long", AT_IDENTITY + 8, 112, -EINVAL },
	{ "IDENTITY: huge", AT_IDENTITY + 15, 0xff, -EINVAL },
	{ "magic", AT_IDENTITY + 16, 'X', -EINVAL },
	{ "version", AT_IDENTITY + 24, 2, -EINVAL },
	{ "vendor", AT_IDENTITY + 26, 0, -EINVAL },
	{ "device", AT_IDENTITY + 28, 0, -EINVAL },
	{ "subsystem vendor", AT_IDENTITY + 30, 0, -EINVAL },
	{ "subsystem", AT_IDENTITY + 32, 0, -EINVAL },
	{ "vectors", AT_IDENTITY + 34, 6, -EINVAL },
	{ "command set reserved", AT_IDENTITY + 36, 0, -EINVAL },
	{ "command set of the standard", AT_IDENTITY + 36, 2, -EINVAL },
	{ "queue pairs", AT_IDENTITY + 38, 4, -EINVAL },
	{ "model", AT_IDENTITY + 79, 'X', -EINVAL },
	{ "firmware", AT_IDENTITY + 87, 'X', -EINVAL },
	{ "announces too much state", AT_IDENTITY + 90, 1, -EFBIG },
	{ "announces more than 4 GiB of state", AT_IDENTITY + 92, 1, -EFBIG },
	{ "state version", AT_IDENTITY + 96, 1, -EINVAL },
	{ "IDENTITY: reserved", AT_IDENTITY + 103, 1, -EINVAL },
	{ "first byte of the state UUID", AT_IDENTITY + 104, 1, -EINVAL },
	{ "last byte of the state UUID", AT_IDENTITY + 119, 1, -EINVAL },
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

static void nvmevf_load_kunit_refused(struct kunit *test)
{
	const struct nvmevf_load_kunit_change *c = nvmevf_load_kunit_changes;
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(nvmevf_load_kunit_changes); i++, c++) {
		nvmevf_stream_kunit_good(t);
		KUNIT_ASSERT_NE_MSG(test, t->bytes[c->at], c->value, "%s",
				    c->name);
		t->bytes[c->at] = c->value;
		t->len = AT_END;
		nvmevf_stream_kunit_add_end(t);
		nvmevf_load_kunit_expect_refused(test, c->error, c->name);
	}
}

static const struct nvmevf_load_kunit_change nvmevf_load_kunit_bad_ends[] = {
	{ "END: type", AT_END, 2, -EINVAL },
	{ "END: type unknown", AT_END + 3, 1, -EINVAL },
	{ "END: optional", AT_END + 4, 1, -EINVAL },
	{ "END: too short", AT_END + 8, 7, -EINVAL },
	{ "END: too long", AT_END + 8, 16, -EINVAL },
	{ "END: reserved field", AT_END + 20, 1, -EINVAL },
	{ "END: last byte", AT_END + 23, 1, -EINVAL },
	/* Only the checksum shows these: */
	{ "state", AT_STATE + 16, 'X', -EBADMSG },
	{ "last byte of the state", AT_PADDING - 1, 'X', -EBADMSG },
	{ "announces another state", AT_IDENTITY + 88, 20, -EBADMSG },
	{ "another controller ID", AT_IDENTITY + 98, 0xff, -EBADMSG },
};

static void nvmevf_load_kunit_bad_end(struct kunit *test)
{
	const struct nvmevf_load_kunit_change *c = nvmevf_load_kunit_bad_ends;
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(nvmevf_load_kunit_bad_ends); i++, c++) {
		nvmevf_stream_kunit_good(t);
		KUNIT_ASSERT_NE_MSG(test, t->bytes[c->at], c->value, "%s",
				    c->name);
		t->bytes[c->at] = c->value;
		nvmevf_load_kunit_expect_refused(test, c->error, c->name);
	}

	for (i = AT_END + 16; i < AT_END + 20; i++) {
		nvmevf_stream_kunit_good(t);
		t->bytes[i] ^= 1;
		nvmevf_load_kunit_expect_refused(test, -EBADMSG, "checksum");
	}
}

static void nvmevf_load_kunit_order(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	t->len = 0;
	nvmevf_stream_kunit_add_state(t);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "STATE first");

	t->len = 0;
	nvmevf_stream_kunit_add_end(t);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "END first");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "IDENTITY twice");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_end(t);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "no STATE");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "STATE twice");
}

static void nvmevf_load_kunit_optional(struct kunit *test)
{
	static const unsigned int lengths[] = { 0, 1, 8, 63, 64, 65, SZ_64K };
	struct nvmevf_stream_kunit *t = test->priv;
	int i;

	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		t->len = 0;
		nvmevf_stream_kunit_add_identity(t);
		nvmevf_stream_kunit_add(t, 77, 1, lengths[i], NULL);
		/* The payload may have any bytes, the padding must be 0. */
		memset(t->bytes + AT_STATE + 16, 0x55, lengths[i]);
		nvmevf_stream_kunit_add_state(t);
		nvmevf_stream_kunit_add(t, 0xffffffff, 1, 3, "abc");
		nvmevf_stream_kunit_add_end(t);
		nvmevf_load_kunit_expect_accepted(test);
	}

	t->len = 0;
	nvmevf_stream_kunit_add(t, 77, 1, 8, NULL);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "optional first");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 0, 8, NULL);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "not optional");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 3, 8, NULL);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "reserved flag");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 1, SZ_64K + 1, NULL);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "optional, too long");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 77, 1, 1, "a");
	t->bytes[t->len - 1] = 1;
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "optional, padding");
}

/* Write one record that is skipped, of @total bytes with its header. */
static ssize_t nvmevf_load_kunit_write_optional(struct kunit *test, size_t total)
{
	struct nvmevf_stream_kunit *t = test->priv;

	t->len = 0;
	nvmevf_stream_kunit_add(t, 77, 1, total - 16, NULL);
	return nvmevf_load_kunit_write(test, 0, t->len);
}

/* Open a stream, and leave @room bytes for more optional records. */
static void nvmevf_load_kunit_fill_up(struct kunit *test, size_t room)
{
	struct nvmevf_stream_kunit *t = test->priv;
	size_t left, len;

	nvmevf_load_kunit_open_write(test);
	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	KUNIT_ASSERT_EQ(test, nvmevf_load_kunit_write(test, 0, t->len), t->len);
	for (left = SZ_1M - room; left; left -= len) {
		len = min(left, 16 + SZ_64K);
		KUNIT_ASSERT_EQ(test,
				nvmevf_load_kunit_write_optional(test, len), len);
	}
}

/* The optional records of a stream may have 1 MiB, headers and padding included. */
static void nvmevf_load_kunit_optional_total(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_load_kunit_fill_up(test, 0);
	t->len = 0;
	nvmevf_stream_kunit_add_state(t);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write(test, 0, t->len),
			    t->len, "STATE after 1 MiB");
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write_optional(test, 16),
			    -EINVAL, "empty record after 1 MiB");
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write(test, 0, 1), -EINVAL,
			    "a byte after the refusal");

	nvmevf_load_kunit_fill_up(test, 24);
	t->len = 0;
	nvmevf_stream_kunit_add(t, 77, 1, 9, NULL);
	KUNIT_EXPECT_EQ_MSG(test, nvmevf_load_kunit_write(test, 0, t->len),
			    -EINVAL, "9 bytes with padding, room for 8");
	KUNIT_EXPECT_EQ(test, t->loads, 0);
}

/* Make a stream with NAMESPACES of @length bytes, and @flags. */
static void nvmevf_load_kunit_make(struct nvmevf_stream_kunit *t, u32 flags,
				   const u8 *payload, size_t length)
{
	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 4, flags, length, payload);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_end(t);
}

static void nvmevf_load_kunit_namespaces(struct kunit *test)
{
	struct nvmevf_namespaces_kunit *pf = &nvmevf_namespaces_kunit_pf;
	struct nvmevf_stream_kunit *t = test->priv;
	const size_t size = sizeof(nvmevf_namespaces_kunit_payload);
	u8 payload[sizeof(nvmevf_namespaces_kunit_payload) + 64];
	unsigned int i;

	nvmevf_namespaces_kunit_start(test);
	memset(payload, 0, sizeof(payload));
	memcpy(payload, nvmevf_namespaces_kunit_payload, size);
	nvmevf_load_kunit_make(t, 1, payload, size);
	nvmevf_load_kunit_expect_accepted(test);
	nvmevf_load_kunit_open_write(test);
	for (i = 0; i < t->len; i++)
		KUNIT_ASSERT_EQ(test, nvmevf_load_kunit_write(test, i, 1), 1);
	KUNIT_EXPECT_EQ_MSG(test, t->loads, 1, "one byte at a time");

	/* Each byte matters. */
	for (i = 0; i < size; i++) {
		payload[i] ^= 1;
		nvmevf_load_kunit_make(t, 1, payload, size);
		/* The UUID of the second namespace is not known here. */
		if (i >= 64 + 32 && i < 64 + 48)
			nvmevf_load_kunit_expect_accepted(test);
		else
			nvmevf_load_kunit_expect_refused(test, -EINVAL, "a byte");
		payload[i] ^= 1;
	}

	/* The refusal comes with the last byte of the namespace. */
	payload[0x20] ^= 1;
	nvmevf_load_kunit_make(t, 1, payload, size);
	nvmevf_load_kunit_open_write(test);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, AT_STATE + 16 + 63),
			AT_STATE + 16 + 63);
	KUNIT_EXPECT_EQ(test,
			nvmevf_load_kunit_write(test, AT_STATE + 16 + 63, 1),
			-EINVAL);
	payload[0x20] ^= 1;

	nvmevf_load_kunit_make(t, 1, payload, 0);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "none");
	nvmevf_load_kunit_make(t, 1, payload, 64);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "one less");
	nvmevf_load_kunit_make(t, 1, payload + 64, 64);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "the first is missing");
	nvmevf_load_kunit_make(t, 1, payload, size + 64);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "NSID 0");
	memset(payload + size, 0xff, 64);
	nvmevf_load_kunit_make(t, 1, payload, size + 64);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "one more");
	memcpy(payload + size, payload + 64, 64);
	nvmevf_load_kunit_make(t, 1, payload, size + 64);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "one twice");
	nvmevf_load_kunit_make(t, 1, payload, size - 1);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "length");
	nvmevf_load_kunit_make(t, 0, payload, size);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "not optional");
	nvmevf_load_kunit_make(t, 3, payload, size);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "reserved flag");

	/* A PF that cannot tell compares nothing. */
	nvmevf_load_kunit_make(t, 1, payload, 64);
	pf->fails = 0x10;
	pf->error = -EOPNOTSUPP;
	nvmevf_load_kunit_expect_accepted(test);
	pf->error = -EAGAIN;
	nvmevf_load_kunit_expect_refused(test, -EIO, "the PF is being reset");
}

/* Version 1 is final: each driver must accept these bytes. */
static void nvmevf_load_kunit_golden(struct kunit *test)
{
	const u8 *golden = nvmevf_golden_kunit_stream;
	struct nvmevf_stream_kunit *t = test->priv;
	const size_t size = sizeof(nvmevf_golden_kunit_stream);
	const size_t after = GOLDEN_NAMESPACES_AT + GOLDEN_NAMESPACES_SIZE;

	nvmevf_namespaces_kunit_start(test);
	memcpy(t->bytes, golden, size);
	t->len = size;
	nvmevf_load_kunit_expect_accepted(test);

	memcpy(t->bytes + GOLDEN_NAMESPACES_AT, golden + after, size - after);
	t->len = size - GOLDEN_NAMESPACES_SIZE;
	put_unaligned_le32(GOLDEN_SHORT_CRC, t->bytes + t->len - 8);
	nvmevf_load_kunit_expect_accepted(test);
}

/* NAMESPACES comes once, between IDENTITY and STATE. */
static void nvmevf_load_kunit_namespaces_order(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	const size_t size = sizeof(nvmevf_namespaces_kunit_payload);
	const u8 *payload = nvmevf_namespaces_kunit_payload;

	nvmevf_namespaces_kunit_start(test);
	t->len = 0;
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "first");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "twice");

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	nvmevf_load_kunit_expect_refused(test, -EINVAL, "after STATE");

	/* NAMESPACES counts among the optional records. */
	nvmevf_load_kunit_fill_up(test, 16 + size - 8);
	t->len = 0;
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, t->len), -EINVAL);
	nvmevf_load_kunit_fill_up(test, 16 + size);
	t->len = 0;
	nvmevf_stream_kunit_add(t, 4, 1, size, payload);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, t->len), t->len);
}

static void nvmevf_load_kunit_load_fails(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	t->load_error = -EIO;
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write_all(test), -EIO);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
	KUNIT_EXPECT_EQ(test, nvmevf_load_complete(t->stream), -EIO);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, 1), -EIO);
	KUNIT_EXPECT_EQ(test, t->loads, 1);
}

/* The VF is not suspended any more, so nothing is loaded. */
static void nvmevf_load_kunit_epoch_changed(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	t->epoch = EPOCH + 1;
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write_all(test), -ENODEV);
	KUNIT_EXPECT_EQ(test, t->loads, 0);
	KUNIT_EXPECT_EQ(test, nvmevf_load_complete(t->stream), -ENODEV);

	t->epoch = EPOCH;
	t->epoch_error = -ENXIO;
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write_all(test), -ENXIO);
	KUNIT_EXPECT_EQ(test, t->loads, 0);
}

static void nvmevf_load_kunit_dead(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	nvmevf_stream_kunit_good(t);
	nvmevf_load_kunit_open_write(test);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, 0, AT_END), AT_END);
	nvmevf_stream_kill(t->stream);
	KUNIT_EXPECT_EQ(test, nvmevf_load_kunit_write(test, AT_END, 24),
			-ENODEV);
	KUNIT_EXPECT_EQ(test, t->loads, 0);
}

static struct kunit_case nvmevf_load_kunit_cases[] = {
	KUNIT_CASE(nvmevf_load_kunit_crc_vector),
	KUNIT_CASE(nvmevf_load_kunit_accepted),
	KUNIT_CASE(nvmevf_load_kunit_split),
	KUNIT_CASE(nvmevf_load_kunit_truncated),
	KUNIT_CASE(nvmevf_load_kunit_refused),
	KUNIT_CASE(nvmevf_load_kunit_bad_end),
	KUNIT_CASE(nvmevf_load_kunit_order),
	KUNIT_CASE(nvmevf_load_kunit_optional),
	KUNIT_CASE(nvmevf_load_kunit_optional_total),
	KUNIT_CASE(nvmevf_load_kunit_namespaces),
	KUNIT_CASE(nvmevf_load_kunit_namespaces_order),
	KUNIT_CASE(nvmevf_load_kunit_golden),
	KUNIT_CASE(nvmevf_load_kunit_load_fails),
	KUNIT_CASE(nvmevf_load_kunit_epoch_changed),
	KUNIT_CASE(nvmevf_load_kunit_dead),
	{ }
};

static struct kunit_suite nvmevf_load_kunit_suite = {
	.name = "nvme_vfio_pci_load",
	.init = nvmevf_load_kunit_init,
	.exit = nvmevf_load_kunit_exit,
	.test_cases = nvmevf_load_kunit_cases,
};

kunit_test_suite(nvmevf_load_kunit_suite);
