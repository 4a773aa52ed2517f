// SPDX-License-Identifier: GPL-2.0-only
/* Read streams, byte by byte. Included by save.c. */

#include "golden_kunit.h"
#include "stream_kunit.h"

/* Take the place of SAVE_DATA. */
static int nvmevf_save_kunit_save(struct nvmevf_ctrl *ctrl, void *buf, u32 size)
{
	memset(buf, 0xff, round_up(size, 4));
	memcpy(buf, STATE, STATE_SIZE);
	return 0;
}

/* The memory is that of the test. */
static void nvmevf_save_kunit_release_vdev(struct device *device)
{
}

static int nvmevf_save_kunit_init(struct kunit *test)
{
	struct nvmevf_stream_kunit *t;
	int ret;

	ret = nvmevf_stream_kunit_init(test);
	if (ret)
		return ret;

	t = test->priv;
	t->set.save = nvmevf_save_kunit_save;
	t->vdev.device.release = nvmevf_save_kunit_release_vdev;
	device_initialize(&t->vdev.device);
	return 0;
}

static void nvmevf_save_kunit_close(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	if (!t->stream)
		return;
	nvmevf_save_close(t->stream, NULL);
	t->stream = NULL;
	/* The file is released before the test frees the VFIO device. */
	flush_delayed_fput();
}

static void nvmevf_save_kunit_exit(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;

	if (!t)
		return;
	nvmevf_save_kunit_close(test);
	put_device(&t->vdev.device);
}

/* Expect to read the good stream from @from to @to, @chunk bytes at a time. */
static void nvmevf_save_kunit_expect_read(struct kunit *test, size_t from,
					  size_t to, size_t chunk)
{
	struct nvmevf_stream_kunit *t = test->priv;
	u8 bytes[2 * GOOD_SIZE];
	ssize_t n;

	while (from < to) {
		n = nvmevf_save_read(t->stream->filp, t->user, chunk, NULL);
		KUNIT_ASSERT_EQ(test, n, min(chunk, to - from));
		KUNIT_ASSERT_EQ(test, copy_from_user(bytes, t->user, n), 0);
		KUNIT_ASSERT_MEMEQ(test, bytes, t->bytes + from, n);
		from += n;
	}
}

static void nvmevf_save_kunit_again(struct kunit *test)
{
	static const size_t chunks[] = { 1, 7, 64, GOOD_SIZE, USER_SIZE };
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_stream *stream;
	struct nvmevf_image *image;
	int i;

	nvmevf_stream_kunit_good(t);
	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		stream = nvmevf_save_open(&t->vdev, &t->ctrl, &t->identity,
					  NULL, STATE_SIZE);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, stream);
		t->stream = stream;

		/* In PRE_COPY only IDENTITY can be read. */
		nvmevf_save_kunit_expect_read(test, 0, AT_STATE, chunks[i]);
		KUNIT_EXPECT_EQ(test,
				nvmevf_save_read(stream->filp, t->user, 1,
						 NULL), -ENOMSG);

		image = nvmevf_image_alloc(STATE_SIZE);
		KUNIT_ASSERT_NOT_NULL(test, image);
		/* The padding must be 0, whatever is behind the state. */
		memset(image->state, 0xff, round_up(STATE_SIZE, 8));
		memcpy(image->state, STATE, STATE_SIZE);
		nvmevf_save_again(stream, image);
		nvmevf_save_kunit_expect_read(test, AT_STATE, GOOD_SIZE,
					      chunks[i]);
		KUNIT_EXPECT_EQ(test,
				nvmevf_save_read(stream->filp, t->user, 1,
						 NULL), 0);

		nvmevf_stream_kill(stream);
		KUNIT_EXPECT_EQ(test,
				nvmevf_save_read(stream->filp, t->user, 1,
						 NULL), -ENODEV);
		nvmevf_save_kunit_close(test);
	}
}

/* SAVE_DATA runs in the background, and read() waits for it. */
static void nvmevf_save_kunit_start(struct kunit *test)
{
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_image *saved;

	nvmevf_stream_kunit_good(t);
	t->stream = nvmevf_save_open(&t->vdev, &t->ctrl, &t->identity,
				     NULL, STATE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->stream);
	KUNIT_ASSERT_EQ(test, nvmevf_save_start(t->stream, STATE_SIZE), 0);
	nvmevf_save_kunit_expect_read(test, 0, GOOD_SIZE, USER_SIZE);

	KUNIT_EXPECT_EQ(test, nvmevf_save_close(t->stream, &saved), 0);
	t->stream = NULL;
	flush_delayed_fput();
	KUNIT_ASSERT_NOT_NULL(test, saved);
	KUNIT_EXPECT_MEMEQ(test, saved->state, STATE, STATE_SIZE);
	nvmevf_image_put(saved);
}

/* NAMESPACES comes between IDENTITY and STATE, and can be read in PRE_COPY. */
static void nvmevf_save_kunit_namespaces(struct kunit *test)
{
	static const size_t chunks[] = { 1, 100, USER_SIZE };
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_namespaces *list;
	size_t state_at, size;
	int i;

	list = kunit_kzalloc(test, struct_size(list, ns, 2), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, list);
	list->count = 2;
	memset(list->ns, 0x5a, 2 * sizeof(*list->ns));

	t->len = 0;
	nvmevf_stream_kunit_add_identity(t);
	nvmevf_stream_kunit_add(t, 4, 1, 128, list->ns);
	state_at = t->len;
	nvmevf_stream_kunit_add_state(t);
	nvmevf_stream_kunit_add_end(t);
	size = t->len;

	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		t->stream = nvmevf_save_open(&t->vdev, &t->ctrl, &t->identity,
					     list, STATE_SIZE);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->stream);
		nvmevf_save_kunit_expect_read(test, 0, state_at, chunks[i]);
		KUNIT_EXPECT_EQ(test,
				nvmevf_save_read(t->stream->filp, t->user, 1,
						 NULL), -ENOMSG);
		KUNIT_ASSERT_EQ(test, nvmevf_save_start(t->stream, STATE_SIZE), 0);
		nvmevf_save_kunit_expect_read(test, state_at, size, chunks[i]);
		nvmevf_save_kunit_close(test);
	}
}

/* Version 1 is final: the driver must write these bytes. */
static void nvmevf_save_kunit_golden(struct kunit *test)
{
	const size_t size = sizeof(nvmevf_golden_kunit_stream);
	const u8 *golden = nvmevf_golden_kunit_stream;
	struct nvmevf_stream_kunit *t = test->priv;
	struct nvmevf_namespaces *list;

	list = kunit_kzalloc(test, struct_size(list, ns, 2), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, list);
	list->count = 2;
	memcpy(list->ns, golden + GOLDEN_NAMESPACES_AT + 16,
	       GOLDEN_NAMESPACES_SIZE - 16);

	memcpy(t->bytes, golden, size);
	t->stream = nvmevf_save_open(&t->vdev, &t->ctrl, &t->identity, list,
				     STATE_SIZE);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, t->stream);
	KUNIT_ASSERT_EQ(test, nvmevf_save_start(t->stream, STATE_SIZE), 0);
	nvmevf_save_kunit_expect_read(test, 0, size, USER_SIZE);
}

static struct kunit_case nvmevf_save_kunit_cases[] = {
	KUNIT_CASE(nvmevf_save_kunit_again),
	KUNIT_CASE(nvmevf_save_kunit_start),
	KUNIT_CASE(nvmevf_save_kunit_namespaces),
	KUNIT_CASE(nvmevf_save_kunit_golden),
	{ }
};

static struct kunit_suite nvmevf_save_kunit_suite = {
	.name = "nvme_vfio_pci_save",
	.init = nvmevf_save_kunit_init,
	.exit = nvmevf_save_kunit_exit,
	.test_cases = nvmevf_save_kunit_cases,
};

kunit_test_suite(nvmevf_save_kunit_suite);
