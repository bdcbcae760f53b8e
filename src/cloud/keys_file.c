/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Keys from the environment, and from the configuration file of the vendor's command line tool. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/io.h"
#include "base/log.h"
#include "base/num.h"
#include "cloud/keys.h"
#include "cloud/http.h"

#define FILE_MAX_BYTES (1u << 20)
#define CHAIN_MAX      4

/* The first of these that is set and not empty. */
static const char *env_any(const char *const *names)
{
	const char *value;

	for (; *names; names++) {
		value = getenv(*names);
		if (value && value[0])
			return value;
	}
	return NULL;
}

static const char *const id_names[] = {"ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABACLOUD_ACCESS_KEY_ID",
				       "ALICLOUD_ACCESS_KEY", NULL};
static const char *const secret_names[] = {"ALIBABA_CLOUD_ACCESS_KEY_SECRET",
					   "ALIBABACLOUD_ACCESS_KEY_SECRET", "ALICLOUD_SECRET_KEY",
					   NULL};
static const char *const token_names[] = {"ALIBABA_CLOUD_SECURITY_TOKEN",
					  "ALIBABACLOUD_SECURITY_TOKEN", "ALICLOUD_SECURITY_TOKEN",
					  NULL};

/* "NAME=value" of one of the names. */
static bool is_of(const char *entry, const char *const *names)
{
	for (; *names; names++)
		if (strncmp(entry, *names, strlen(*names)) == 0 && entry[strlen(*names)] == '=')
			return true;
	return false;
}

char **cloud_environment_without_keys(void)
{
	size_t count = 0, kept = 0;
	char **out;

	while (environ && environ[count])
		count++;
	out = calloc(count + 1, sizeof(*out));
	for (size_t i = 0; out && i < count; i++)
		if (!is_of(environ[i], id_names) && !is_of(environ[i], secret_names) &&
		    !is_of(environ[i], token_names))
			out[kept++] = environ[i];
	return out;
}

int keys_from_environment(struct credentials *k)
{
	const char *got_id = env_any(id_names), *got_secret = env_any(secret_names);

	if (!got_id && !got_secret)
		return -ENOENT;
	if (!got_id || !got_secret)
		return fail_code(EACCES, "CLOUD_KEYS_MISSING",
				 "the environment holds an access key or a secret, but not both");
	return keyset_set(&k->base, got_id, got_secret, env_any(token_names), 0);
}

static const char *str(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text && text[0] ? text : NULL;
}

static const char *str_copy(struct credentials *k, const json_t *o, const char *key)
{
	const char *text = str(o, key);

	return text ? arena_strdup(k->a, text) : NULL;
}

static const json_t *find_profile(const json_t *file, const char *name)
{
	const json_t *profiles = json_object_get(file, "profiles");
	size_t i;
	json_t *p;

	json_array_foreach (profiles, i, p)
		if (str(p, "name") && strcmp(str(p, "name"), name) == 0)
			return p;
	return NULL;
}

static int take_role(struct credentials *k, const json_t *p)
{
	static const char *const defaults[] = {"ALIBABA_CLOUD_ROLE_SESSION_NAME", NULL};
	const char *session = str_copy(k, p, "ram_session_name");
	json_int_t seconds = json_integer_value(json_object_get(p, "expired_seconds"));

	k->role_arn = str_copy(k, p, "ram_role_arn");
	if (!k->role_arn)
		return fail_code(EACCES, "CLOUD_KEYS_INVALID", "the profile has no ram_role_arn");
	if (!session)
		session = env_any(defaults);
	k->session_name = session ? session : "coldlift";
	k->external_id = str_copy(k, p, "external_id");
	k->sts_region = str_copy(k, p, "sts_region");
	k->role_seconds = seconds >= 900 && seconds <= 43200 ? (uint64_t)seconds : 3600;
	return 0;
}

/* Keys go over the wire in the clear only within this machine. */
static int take_uri(struct credentials *k, const json_t *p)
{
	static const char *const defaults[] = {"ALIBABA_CLOUD_CREDENTIALS_URI", NULL};
	const char *uri = str_copy(k, p, "credentials_uri");

	if (!uri && env_any(defaults))
		uri = arena_strdup(k->a, env_any(defaults));
	if (!uri)
		return fail_code(EACCES, "CLOUD_KEYS_INVALID",
				 "the profile has no credentials_uri");
	if (strncasecmp(uri, "https://", 8) != 0 && !http_is_loopback(uri))
		return fail_code(EACCES, "CLOUD_KEYS_INVALID",
				 "credentials_uri is neither https nor http on this machine "
				 "itself");
	k->uri = uri;
	return 0;
}

static int take_profile(struct credentials *k, const json_t *file, const json_t *p, unsigned depth)
{
	const char *mode = str(p, "mode"), *source = str(p, "source_profile");
	const json_t *next;

	mode = mode ? mode : "AK";
	if (strcmp(mode, "AK") == 0)
		return keyset_set(&k->base, str(p, "access_key_id"), str(p, "access_key_secret"),
				  NULL, 0);
	if (strcmp(mode, "StsToken") == 0)
		return keyset_set(&k->base, str(p, "access_key_id"), str(p, "access_key_secret"),
				  str(p, "sts_token"), 0);
	if (strcmp(mode, "RamRoleArn") == 0)
		return keyset_set(&k->base, str(p, "access_key_id"), str(p, "access_key_secret"),
				  str(p, "sts_token"), 0) < 0
			       ? -EACCES
			       : take_role(k, p);
	if (strcmp(mode, "EcsRamRole") == 0 || strcmp(mode, "RamRoleArnWithRoleName") == 0) {
		k->instance = true;
		k->instance_role = str_copy(k, p, "ram_role_name");
		return strcmp(mode, "EcsRamRole") == 0 ? 0 : take_role(k, p);
	}
	if (strcmp(mode, "ChainableRamRoleArn") == 0 && source && depth < CHAIN_MAX) {
		next = find_profile(file, source);
		if (!next)
			return fail_code(EACCES, "CLOUD_KEYS_INVALID",
					 "the source profile \"%s\" is not there", source);
		if (take_profile(k, file, next, depth + 1) < 0)
			return -EACCES;
		if (k->role_arn)
			return fail_code(EACCES, "CLOUD_KEYS_INVALID",
					 "a chain of more than one role is not supported");
		return take_role(k, p);
	}
	if (strcmp(mode, "CredentialsURI") == 0)
		return take_uri(k, p);
	return fail_code(EACCES, "CLOUD_KEYS_INVALID",
			 "mode %.40s is not supported; AK, StsToken, RamRoleArn, "
			 "ChainableRamRoleArn, EcsRamRole, RamRoleArnWithRoleName and "
			 "CredentialsURI are. Get keys by the vendor's tool, and set "
			 "ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET and "
			 "ALIBABA_CLOUD_SECURITY_TOKEN",
			 mode);
}

static const char *default_path(struct arena *a)
{
	const char *home = getenv("HOME");

	return arena_printf(a, "%s/.aliyun/config.json", home ? home : "");
}

static void warn_of_readers(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & 077))
		log_warn("%s: others than its owner may read it, and it holds keys; chmod 600 it",
			 path);
}

/* Its reason never shows text of the file. */
static int read_config(const char *path, json_t **out)
{
	CLEANUP_FREE char *text = NULL;
	json_error_t where;
	size_t bytes = 0;
	int rc = io_read_file(path, FILE_MAX_BYTES, &text, &bytes);

	if (rc < 0)
		return rc;
	*out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &where);
	explicit_bzero(text, bytes);
	explicit_bzero(where.text, sizeof(where.text));
	if (!*out)
		return fail_code(EACCES, "CLOUD_KEYS_INVALID", "%s: not valid JSON at line %d",
				 path, where.line);
	return 0;
}

int keys_from_file(const struct cloud_options *o, struct credentials *k)
{
	static const char *const env[] = {"ALIBABA_CLOUD_PROFILE", "ALIBABACLOUD_PROFILE", NULL};
	const char *path = o->config_path ? o->config_path : default_path(k->a);
	const char *name = o->profile ? o->profile : env_any(env);
	json_t *file = NULL;
	const json_t *p;
	int rc;

	if (access(path, F_OK) < 0 && !o->config_path && o->keys != CLOUD_KEYS_FILE)
		return -ENOENT;
	rc = read_config(path, &file);
	if (rc < 0)
		return rc == -EACCES ? rc : fail_code(EACCES, "CLOUD_KEYS_MISSING", "%s", path);
	warn_of_readers(path);
	if (!name)
		name = str(file, "current") ? str(file, "current") : "default";
	p = find_profile(file, name);
	if (p) {
		k->region = str_copy(k, p, "region_id");
		rc = take_profile(k, file, p, 0);
	} else {
		rc = fail_code(EACCES, "CLOUD_KEYS_MISSING", "no such profile");
	}
	if (rc < 0)
		fail_in(rc, "%s: profile \"%s\"", path, name);
	keys_wipe_json(file);
	json_decref(file);
	return rc;
}
