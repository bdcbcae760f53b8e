/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TLS 1.2 on a stream. AES-GCM comes first where the CPU has AES instructions: BearSSL does 2 GB/s
 * of it there (wire_gcm.h more), and 0.07 GB/s without; ChaCha20 is 0.3 GB/s everywhere.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "wire/wire_stream.h"

static const uint16_t suites_aes[] = {
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
};
static const uint16_t suites_chacha[] = {
	BR_TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	BR_TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	BR_TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
};

static void set_up_engine(br_ssl_engine_context *engine, struct stream_tls *t)
{
	uint8_t seed[32];

	if (wire_gcm_ok()) {
		record_use(engine, &t->records);
		br_ssl_engine_set_suites(engine, suites_aes, ARRAY_SIZE(suites_aes));
	} else {
		br_ssl_engine_set_suites(engine, suites_chacha, ARRAY_SIZE(suites_chacha));
	}
	br_ssl_engine_set_versions(engine, BR_TLS12, BR_TLS12);
	br_ssl_engine_add_flags(engine, BR_OPT_NO_RENEGOTIATION);
	br_ssl_engine_set_buffers_bidi(engine, t->engine_in, sizeof(t->engine_in), t->engine_out,
				       sizeof(t->engine_out));
	wire_random(seed, sizeof(seed));
	br_ssl_engine_inject_entropy(engine, seed, sizeof(seed));
}

static int handshake(struct wire_stream *s)
{
	for (;;) {
		unsigned state = br_ssl_engine_current_state(s->engine);
		int rc;

		if (state == BR_SSL_CLOSED) {
			rc = stream_engine_error(s);
			(void)stream_drain(s);
			return rc == -EPIPE ? fail_code(EPROTO, "TLS_FAILED",
							"%s ended TLS before it began", s->peer)
					    : rc;
		}
		if (stream_engine_turn(s))
			continue;
		rc = stream_drain(s);
		if (rc != 0) {
			if (rc < 0)
				return rc;
			continue;
		}
		if (state & BR_SSL_SENDAPP && s->out.at == s->out.end) {
			s->secret = true;
			s->direct = s->tls->records.in.ready && s->tls->records.out.ready;
			return 0;
		}
		rc = stream_fill(s);
		if (rc < 0)
			return rc;
		if (rc == 0)
			rc = stream_wait_events(s,
						s->out.at < s->out.end ? POLLIN | POLLOUT : POLLIN);
		else if (s->ended)
			rc = fail_code(ECONNRESET, "RECEIVER_UNREACHABLE",
				       "%s closed the connection during the TLS handshake",
				       s->peer);
		if (rc < 0)
			return rc;
	}
}

static int begin(struct wire_stream *s, struct stream_tls **out)
{
	int rc = wire_stream_flush(s);

	if (rc < 0)
		return rc;
	if (s->tls || s->in.at < s->in.end)
		return fail_code(EPROTO, "TLS_FAILED", "%s sent plain bytes where TLS begins",
				 s->peer);
	*out = calloc(1, sizeof(**out));
	return *out ? 0 : fail(ENOMEM, "memory for TLS");
}

int wire_stream_tls_client(struct wire_stream *s, const uint8_t *pin, const char *server_name)
{
	struct stream_tls *t = NULL;
	int rc = begin(s, &t);

	if (rc < 0)
		return rc;
	br_ssl_client_init_full(&t->client, &t->unused, NULL, 0);
	if (pin)
		memcpy(t->pin_bytes, pin, sizeof(t->pin_bytes));
	pin_x509_init(&t->pin, pin ? t->pin_bytes : NULL);
	br_ssl_engine_set_x509(&t->client.eng, &t->pin.vtable);
	set_up_engine(&t->client.eng, t);
	s->tls = t;
	s->engine = &t->client.eng;
	if (!br_ssl_client_reset(&t->client, server_name, 0))
		return stream_engine_error(s);
	rc = handshake(s);
	if (rc < 0 && t->pin.mismatch)
		return fail_code(
			EACCES, "PIN_MISMATCH",
			"%s has another key than the one in the activation code; it is not "
			"the receiver that the code was made by",
			s->peer);
	return rc;
}

int wire_stream_tls_server(struct wire_stream *s, const struct wire_identity *id)
{
	struct stream_tls *t = NULL;
	int rc = begin(s, &t);

	if (rc < 0)
		return rc;
	br_ssl_server_init_full_ec(&t->server, &id->chain, 1, BR_KEYTYPE_EC, &id->key);
	set_up_engine(&t->server.eng, t);
	br_ssl_engine_add_flags(&t->server.eng, BR_OPT_ENFORCE_SERVER_PREFERENCES);
	s->tls = t;
	s->engine = &t->server.eng;
	if (!br_ssl_server_reset(&t->server))
		return stream_engine_error(s);
	return handshake(s);
}
