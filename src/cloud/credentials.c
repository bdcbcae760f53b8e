/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Finding and refreshing keys; see credentials.h. */
#include "cloud/credentials.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "cloud/keys.h"
#include "cloud/private.h"
#include "cloud/text.h"

#define REFRESH_BEFORE_S 300
#define STILL_GOOD_S	 15

void keyset_clear(struct keyset *k)
{
	if (k->token)
		explicit_bzero(k->token, strlen(k->token));
	free(k->token);
	explicit_bzero(k, sizeof(*k));
}

static bool keep(char *to, size_t room, const char *from)
{
	size_t n = strlen(from);

	if (n == 0 || n >= room)
		return false;
	memcpy(to, from, n + 1);
	return true;
}

/* These go into headers: no byte may end a line there. */
static bool plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text <= ' ' || *text == 0x7f)
			return false;
	return true;
}

int keyset_set(struct keyset *k, const char *id, const char *secret, const char *token,
	       int64_t expires_s)
{
	keyset_clear(k);
	if (!id || !secret || !plain(id) || !plain(secret) || (token && !plain(token)) ||
	    !keep(k->id, sizeof(k->id), id) || !keep(k->secret, sizeof(k->secret), secret))
		return fail_code(EACCES, "CLOUD_KEYS_INVALID",
				 "the access key or its secret is empty, too long, or has blanks");
	k->token = token && token[0] ? strdup(token) : NULL;
	k->expires_s = expires_s;
	return 0;
}

struct credentials *credentials_new(void)
{
	struct credentials *k = calloc(1, sizeof(*k));

	if (k)
		k->a = arena_new();
	if (k && !k->a) {
		free(k);
		k = NULL;
	}
	return k;
}

void credentials_free(struct credentials *k)
{
	if (!k)
		return;
	keyset_clear(&k->base);
	keyset_clear(&k->now);
	arena_free(k->a);
	explicit_bzero(k, sizeof(*k));
	free(k);
}

void keys_wipe_json(json_t *v)
{
	const char *key;
	json_t *item;
	size_t i;

	if (json_is_string(v))
		explicit_bzero((char *)json_string_value(v), json_string_length(v));
	json_object_foreach (v, key, item)
		keys_wipe_json(item);
	json_array_foreach (v, i, item)
		keys_wipe_json(item);
}

static int find_source(struct cloud *c)
{
	struct credentials *k = c->credentials;
	bool anywhere = c->o.keys == CLOUD_KEYS_ANYWHERE;
	int rc = -ENOENT;

	if (c->o.keys == CLOUD_KEYS_ENVIRONMENT || (anywhere && !c->o.profile))
		rc = keys_from_environment(k);
	if (rc == -ENOENT && (anywhere || c->o.keys == CLOUD_KEYS_FILE))
		rc = keys_from_file(&c->o, k);
	if (rc == -ENOENT && (anywhere || c->o.keys == CLOUD_KEYS_INSTANCE)) {
		k->instance = true;
		rc = 0;
	}
	if (rc == -ENOENT)
		return fail_code(EACCES, "CLOUD_KEYS_MISSING",
				 "no access key: neither ALIBABA_CLOUD_ACCESS_KEY_ID and "
				 "ALIBABA_CLOUD_ACCESS_KEY_SECRET nor a configuration file of the "
				 "vendor's command line tool were found");
	if (rc == 0)
		k->found = true;
	return rc;
}

/* Session keys of the role that the profile names, by the base keys. */
static int assume_role(struct cloud *c)
{
	struct credentials *k = c->credentials;
	CLEANUP_JSON json_t *params = json_pack(
		"{s:s, s:s, s:I, s:s*}", "RoleArn", k->role_arn, "RoleSessionName", k->session_name,
		"DurationSeconds", (json_int_t)k->role_seconds, "ExternalId", k->external_id);
	CLEANUP_JSON json_t *reply = NULL;
	const char *id, *secret, *token, *until;
	int rc;

	k->resolving = true;
	rc = cloud_call(c, CLOUD_STS, k->sts_region, "AssumeRole", params, &reply);
	k->resolving = false;
	if (rc < 0)
		return fail_in(rc, "role %s", k->role_arn);
	if (cloud_get_string(reply, "Credentials.AccessKeyId", &id) < 0 ||
	    cloud_get_string(reply, "Credentials.AccessKeySecret", &secret) < 0 ||
	    cloud_get_string(reply, "Credentials.SecurityToken", &token) < 0 ||
	    cloud_get_string(reply, "Credentials.Expiration", &until) < 0)
		return -EBADMSG;
	rc = keyset_set(&k->now, id, secret, token, text_parse_iso_time(until));
	keys_wipe_json(reply);
	return rc;
}

static bool good_for(const struct cloud *c, const struct keyset *k, int64_t seconds)
{
	return k->id[0] && (k->expires_s <= 0 || cloud_now(c) + seconds < k->expires_s);
}

static void lend(const struct keyset *k, struct sign_keys *out)
{
	*out = (struct sign_keys){k->id, k->secret, k->token};
}

/* The keys that stand on their own: given, of the instance, or of a service. */
static int refresh_base(struct cloud *c)
{
	struct credentials *k = c->credentials;

	if ((!k->instance && !k->uri) || (!k->stale && good_for(c, &k->base, REFRESH_BEFORE_S)))
		return 0;
	return k->uri ? keys_from_uri(c, &k->base) : keys_from_instance(c, &k->base);
}

static int refresh(struct cloud *c)
{
	struct credentials *k = c->credentials;
	int rc = refresh_base(c);

	if (rc == 0 && k->role_arn && !k->resolving &&
	    (k->stale || !good_for(c, &k->now, REFRESH_BEFORE_S)))
		rc = assume_role(c);
	if (rc == 0 && !k->resolving)
		k->stale = false;
	return rc;
}

int credentials_get(struct cloud *c, struct sign_keys *out)
{
	struct credentials *k = c->credentials;
	const struct keyset *mine;
	int rc = k->found ? 0 : find_source(c);

	if (rc < 0)
		return rc;
	mine = k->role_arn && !k->resolving ? &k->now : &k->base;
	rc = refresh(c);
	if (rc < 0 && !k->stale && good_for(c, mine, STILL_GOOD_S)) {
		log_warn("the keys could not be refreshed and are used as long as they last: %s",
			 err_reason());
		rc = 0;
	}
	if (rc < 0)
		return rc;
	lend(mine, out);
	return 0;
}

bool credentials_expire(struct cloud *c)
{
	struct credentials *k = c->credentials;

	if (k->resolving || (!k->instance && !k->uri && !k->role_arn))
		return false;
	k->stale = true;
	return true;
}

const char *cloud_region(struct cloud *c)
{
	const char *region = c->o.region;

	if (!region)
		region = getenv("ALIBABA_CLOUD_REGION_ID");
	if (!region || !region[0])
		region = getenv("ALICLOUD_REGION");
	if (region && region[0])
		return region;
	if (!c->credentials->found && find_source(c) < 0)
		return NULL;
	return c->credentials->region;
}
