/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The parts of wire that need no network: codes, chunks, digests, messages. */
#include <errno.h>
#include <string.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire.h"
#include "wire/wire_cert.h"

#include "unit.h"

static struct wire_activation sample(const char *host)
{
	struct wire_activation a = {.control_port = 8080, .data_port = 8703};

	strcpy(a.host, host);
	for (unsigned i = 0; i < WIRE_PIN_BYTES; i++)
		a.pin[i] = (uint8_t)(i * 7);
	for (unsigned i = 0; i < WIRE_TOKEN_BYTES; i++)
		a.token[i] = (uint8_t)(255 - i);
	return a;
}

static void an_activation_code_survives_the_way(void **state)
{
	static const char *const hosts[] = {
		"10.0.0.1", "receiver.example", "2001:db8::1", "a",
		"0123456789012345678901234567890123456789012345678901234567890123"};
	char text[WIRE_ACTIVATION_TEXT], spaced[WIRE_ACTIVATION_TEXT + 8];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct wire_activation a = sample(hosts[i]), b;

		assert_int_equal(wire_activation_encode(&a, text), 0);
		snprintf(spaced, sizeof(spaced), " \t%s\r\n", text);
		assert_int_equal(wire_activation_parse(spaced, &b), 0);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

static void a_mistyped_activation_code_is_refused(void **state)
{
	struct wire_activation a = sample("10.0.0.1"), b;
	char text[WIRE_ACTIVATION_TEXT], bad[WIRE_ACTIVATION_TEXT + 8];

	(void)state;
	wire_activation_encode(&a, text);
	for (size_t i = 0; text[i]; i++) {
		strcpy(bad, text);
		bad[i] = bad[i] == 'x' ? 'y' : 'x';
		assert_int_equal(wire_activation_parse(bad, &b), -EINVAL);
		assert_string_equal(err_code(), "ACTIVATION_BAD");
		strcpy(bad, text);
		bad[i] = '\0';
		assert_int_equal(wire_activation_parse(bad, &b), -EINVAL);
	}
	snprintf(bad, sizeof(bad), "%sA", text);
	assert_int_equal(wire_activation_parse(bad, &b), -EINVAL);
	a = sample("");
	assert_int_equal(wire_activation_encode(&a, text), -EINVAL);
}

/* XXH3-128 in canonical form, as xxhsum -H2 prints it. */
/* FIPS 180-4's example, and that of a million zeros and some by sha256sum. */
static void digests_by_sha_256_are_named_and_right(void **state)
{
	static uint8_t data[WIRE_CHUNK_BYTES];
	uint8_t digest[WIRE_DIGEST_MAX], zero[WIRE_DIGEST_MAX];
	char hex[2 * WIRE_DIGEST_MAX + 1];
	enum wire_digest_kind kind = 0;

	(void)state;
	assert_true(wire_digest_named("sha-256", &kind));
	assert_int_equal(kind, WIRE_DIGEST_SHA256);
	assert_int_equal(wire_digest_bytes(kind), 32);
	assert_string_equal(wire_digest_name(kind), "sha-256");
	wire_digest_of(kind)("abc", 3, digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	wire_digest_of(kind)(data, sizeof(data), digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex,
			    "30e14955ebf1352266dc2ff8067e68104607e750abb9d3b36582b8af909fcb58");
	wire_digest_zero(kind, sizeof(data), zero);
	assert_memory_equal(digest, zero, sizeof(zero));
	assert_true(wire_digest_named("xxh3-128", &kind) && kind == WIRE_DIGEST_XXH3_128);
	assert_false(wire_digest_named("sha256", &kind));
}

static void digests_are_canonical_xxh3_128(void **state)
{
	static uint8_t data[WIRE_CHUNK_BYTES];
	uint8_t digest[WIRE_DIGEST_MAX], zero[WIRE_DIGEST_MAX];
	char hex[2 * WIRE_DIGEST_MAX + 1];

	(void)state;
	wire_digest(data, 0, digest);
	hex_encode(digest, WIRE_DIGEST_MAX, hex);
	assert_string_equal(hex,
			    "99aa06d3014798d86001c324468d497f00000000000000000000000000000000");
	wire_digest("coldlift", 8, digest);
	hex_encode(digest, WIRE_DIGEST_BYTES, hex);
	assert_string_equal(hex, "cb9f5372d75a0089c75fbea6d60142de");
	wire_digest(data, sizeof(data), digest);
	wire_digest_zero(WIRE_DIGEST_XXH3_128, sizeof(data), zero);
	assert_memory_equal(digest, zero, sizeof(zero));
}

static void blocks_and_bitmap_give_the_digest_of_the_whole(void **state)
{
	static uint8_t chunk[WIRE_CHUNK_BYTES], blocks[WIRE_CHUNK_BYTES];
	static const size_t sizes[] = {WIRE_CHUNK_BYTES,     4096,	   1, 4097, 12288,
				       WIRE_CHUNK_BYTES - 1, 65536 * 3 + 5};

	(void)state;
	for (unsigned pattern = 0; pattern < 6; pattern++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			uint8_t bitmap[WIRE_BITMAP_BYTES], whole[WIRE_DIGEST_MAX],
				parts[WIRE_DIGEST_MAX];
			size_t present, counted;

			memset(chunk, 0, sizeof(chunk));
			for (size_t b = 0; b < WIRE_CHUNK_BLOCKS; b++)
				if ((pattern == 0) || (pattern == 1 && b % 2) ||
				    (pattern == 2 && b % 50 == 7) || (pattern == 3 && b > 128) ||
				    (pattern == 4 && b < 3))
					chunk[b * WIRE_BLOCK_BYTES + b] =
						(uint8_t)(b + 1) ? (uint8_t)(b + 1) : 1;
			present = wire_chunk_scan(chunk, sizes[i], bitmap);
			assert_int_equal(wire_bitmap_bytes(bitmap, sizes[i], &counted), 0);
			assert_int_equal(present, counted);
			assert_int_equal(wire_chunk_gather(chunk, sizes[i], bitmap, blocks),
					 present);
			for (unsigned k = WIRE_DIGEST_XXH3_128; k <= WIRE_DIGEST_SHA256; k++) {
				wire_digest_of(k)(chunk, sizes[i], whole);
				wire_digest_blocks(k, bitmap, blocks, sizes[i], parts);
				assert_memory_equal(whole, parts, sizeof(whole));
			}
		}
}

static void a_bitmap_beyond_a_short_chunk_is_refused(void **state)
{
	uint8_t bitmap[WIRE_BITMAP_BYTES] = {0x08};
	size_t present;

	(void)state;
	assert_int_equal(wire_bitmap_bytes(bitmap, 12288, &present), -EINVAL);
	assert_int_equal(wire_bitmap_bytes(bitmap, 12289, &present), 0);
	assert_int_equal(present, 1);
}

static struct wire_chunk_head good_head(void)
{
	struct wire_chunk_head h = {.codec = WIRE_CODEC_ZSTD,
				    .payload_bytes = 100,
				    .present_bytes = 8192,
				    .digest_kind = WIRE_DIGEST_XXH3_128};

	h.bitmap[0] = 0x81;
	h.digest[5] = 9;
	return h;
}

static void a_chunk_head_is_checked(void **state)
{
	struct wire_chunk_head h = good_head(), back;
	uint8_t raw[WIRE_CHUNK_HEAD_BYTES];

	(void)state;
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	assert_int_equal(wire_chunk_head_parse(raw, 181, WIRE_CHUNK_BYTES, &back), -EINVAL);
	assert_int_equal(wire_chunk_head_parse(raw, 79, WIRE_CHUNK_BYTES, &back), -EINVAL);
	assert_int_equal(wire_chunk_head_parse(raw, 180, 4096, &back), -EINVAL);
	h.present_bytes = 4096;
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), -EINVAL);
	h = good_head();
	h.codec = WIRE_CODEC_PLAIN; /* then the payload must be the blocks */
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), -EINVAL);
	h = good_head();
	h.digest[16] = 1; /* behind the 16 bytes of XXH3-128 */
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), -EINVAL);
	h.digest_kind = WIRE_DIGEST_SHA256; /* which has them */
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), 0);
	assert_memory_equal(&h, &back, sizeof(h));
	raw[1] = 3;
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), -EINVAL);
	h = good_head();
	memset(h.bitmap, 0, sizeof(h.bitmap));
	wire_chunk_head_encode(&h, raw);
	assert_int_equal(wire_chunk_head_parse(raw, 180, WIRE_CHUNK_BYTES, &back), -EINVAL);
}

static void requests_and_replies_survive_the_way(void **state)
{
	const struct nbd_request q = {
		.flags = 1, .type = 0x4301, .cookie = 0x0102030405060708, .offset = 5, .length = 9};
	const struct nbd_struct_reply r = {.flags = 1, .type = 0x8001, .cookie = 77, .bytes = 6};
	uint8_t raw[NBD_REQUEST_BYTES];
	struct nbd_request q2;
	struct nbd_struct_reply r2;

	(void)state;
	nbd_request_encode(&q, raw);
	assert_int_equal(nbd_request_parse(raw, &q2), 0);
	assert_true(q2.flags == q.flags && q2.type == q.type && q2.cookie == q.cookie &&
		    q2.offset == q.offset && q2.length == q.length);
	raw[0] ^= 1;
	assert_int_equal(nbd_request_parse(raw, &q2), -EINVAL);
	nbd_struct_reply_encode(&r, raw);
	assert_int_equal(nbd_struct_reply_parse(raw, &r2), 0);
	assert_true(r2.flags == r.flags && r2.type == r.type && r2.cookie == r.cookie &&
		    r2.bytes == r.bytes);
}

static void names_in_options_are_bounded(void **state)
{
	uint8_t raw[64];
	struct writer w = writer_of(raw, sizeof(raw));
	struct nbd_go *go = malloc(sizeof(*go));
	struct nbd_meta *meta = malloc(sizeof(*meta));

	(void)state;
	writer_be(&w, 5, 4);
	writer_bytes(&w, "disk0", 5);
	writer_be(&w, 1, 2);
	writer_be(&w, NBD_INFO_BLOCK_SIZE, 2);
	assert_int_equal(nbd_go_parse(raw, writer_used(&w), go), 0);
	assert_string_equal(go->name, "disk0");
	assert_true(go->wants_block_size);
	for (size_t n = 0; n < writer_used(&w); n++)
		assert_int_equal(nbd_go_parse(raw, n, go), -EINVAL);
	raw[0] = 0xff;
	assert_int_equal(nbd_go_parse(raw, writer_used(&w), go), -EINVAL);
	raw[0] = 0;
	raw[6] = 0; /* a NUL inside */
	assert_int_equal(nbd_go_parse(raw, writer_used(&w), go), -EINVAL);
	w = writer_of(raw, sizeof(raw));
	writer_be(&w, 0, 4);
	writer_be(&w, 2, 4);
	writer_be(&w, 3, 4);
	writer_bytes(&w, "x:y", 3);
	writer_be(&w, 15, 4);
	writer_bytes(&w, "base:allocation", 15);
	assert_int_equal(nbd_meta_parse(raw, writer_used(&w), false, meta), 0);
	assert_true(meta->wants_allocation);
	raw[7] = 200; /* more queries than there are */
	assert_int_equal(nbd_meta_parse(raw, writer_used(&w), false, meta), -EINVAL);
	free(go);
	free(meta);
}

static int count_chunks(void *ctx, uint64_t first, uint32_t count, enum wire_chunk_state s,
			bool this_run, bool durable, const uint8_t *digests)
{
	(void)first;
	(void)this_run;
	(void)durable;
	assert_int_equal(s == WIRE_DATA, digests != NULL);
	*(uint64_t *)ctx += count;
	return 0;
}

static void digest_reports_are_checked(void **state)
{
	uint8_t raw[80];
	struct writer w = writer_of(raw, sizeof(raw));
	uint64_t count = 0;

	(void)state;
	writer_be(&w, 10, 8);
	writer_be(&w, 5000, 4);
	writer_be(&w, WIRE_ZERO << 8 | 3, 2);
	writer_be(&w, 0, 2);
	writer_be(&w, 2, 4);
	writer_be(&w, WIRE_DATA << 8, 2);
	writer_be(&w, 0, 2);
	writer_bytes(&w, (uint8_t[32]){1}, 32);
	assert_int_equal(wire_digests_parse(WIRE_DIGEST_XXH3_128, raw, writer_used(&w),
					    count_chunks, &count),
			 0);
	assert_int_equal(count, 5002);
	assert_int_equal(wire_digests_parse(WIRE_DIGEST_XXH3_128, raw, writer_used(&w) - 1,
					    count_chunks, &count),
			 -EINVAL);
	/* Of SHA-256 there is room for one. */
	assert_int_equal(
		wire_digests_parse(WIRE_DIGEST_SHA256, raw, writer_used(&w), count_chunks, &count),
		-EINVAL);
	raw[19] = 1;
	count = 0;
	assert_int_equal(
		wire_digests_parse(WIRE_DIGEST_SHA256, raw, writer_used(&w), count_chunks, &count),
		0);
	assert_int_equal(count, 5001);
	raw[20] = 3; /* state */
	assert_int_equal(wire_digests_parse(WIRE_DIGEST_XXH3_128, raw, writer_used(&w),
					    count_chunks, &count),
			 -EINVAL);
}

/* A certificate with a date that is none, in pieces as TLS hands it over: BearSSL's decoder must
 * not be given more after its error, as it would go on from a state that does not exist. */
static void a_decoder_that_failed_is_given_nothing_more(void **state)
{
	static const uint8_t start[] = {
		0x30, 0x82, 0x01, 0x7b, 0x30, 0x82, 0x01, 0x21, 0xa0, 0x03, 0x02, 0x01, 0x02,
		0x02, 0x01, 0x01, 0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04,
		0x03, 0x02, 0x30, 0x13, 0x31, 0x11, 0x30, 0x0f, 0x06, 0x03, 0x55, 0x04, 0x03,
		0x0c, 0x08, 'c',  'o',	'l',  'd',  'l',  'i',	'f',  't',  0x30, 0x1e, 0x17,
		0x0d, '2',  '6',  '1',	'1',  '2',  '2',  '0',	'7',  '5',  '0',  '2',	'4',
		'Z',  0x17, 0x0d, 0x00, 0x00, '1',  '1',  '2',	'3'};
	uint8_t more[100];
	struct pin_x509 *p = calloc(2, sizeof(*p));
	const br_x509_class **x = &p->vtable;

	(void)state;
	memset(more, 0x30, sizeof(more));
	pin_x509_init(p, NULL);
	(*x)->start_chain(x, "receiver");
	(*x)->start_cert(x, sizeof(start) + sizeof(more));
	(*x)->append(x, start, sizeof(start));
	assert_int_not_equal(p->decoder.err, 0);
	memcpy(p + 1, p, sizeof(*p));
	(*x)->append(x, more, sizeof(more));
	assert_memory_equal(p + 1, p, sizeof(*p));
	(*x)->end_cert(x);
	assert_int_not_equal((*x)->end_chain(x), 0);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_activation_code_survives_the_way),
		cmocka_unit_test(a_mistyped_activation_code_is_refused),
		cmocka_unit_test(digests_are_canonical_xxh3_128),
		cmocka_unit_test(digests_by_sha_256_are_named_and_right),
		cmocka_unit_test(blocks_and_bitmap_give_the_digest_of_the_whole),
		cmocka_unit_test(a_bitmap_beyond_a_short_chunk_is_refused),
		cmocka_unit_test(a_chunk_head_is_checked),
		cmocka_unit_test(requests_and_replies_survive_the_way),
		cmocka_unit_test(names_in_options_are_bounded),
		cmocka_unit_test(digest_reports_are_checked),
		cmocka_unit_test(a_decoder_that_failed_is_given_nothing_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
