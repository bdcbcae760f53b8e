/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cloud account: calls to ECS, VPC, ENS, RAM and STS (RPC, JSON) and to OSS (REST, XML), with
 * signing, credentials, retries and the meaning of every error (docs/cloud.md). Knows no jobs.
 *
 * A struct cloud belongs to one thread at a time. Functions return 0 or -errno with a reason; when
 * the cloud refused, err_code() is the cloud's own error code (the words that SMC's users know),
 * err_reason() a sentence that says what to do, and cloud_last_error() the details. Secrets appear
 * in no reason, log line, argument vector or core dump (memory is cleared).
 *
 * errno values that callers tell apart:
 *   ENOENT     the thing is not there (in a clean-up: success)
 *   EAGAIN     refused for now and retried until the time was up; the same call later may work
 *   EREMCHG    the request may or may not have had its effect (reply lost) and the action has no
 *              ClientToken: search for its effect before another try
 *   ENODEV     sold out or not offered here: take the next candidate
 *   EEXIST     the name is taken
 *   EDQUOT     quota, money, or a service that is not activated: a person must act
 *   EACCES     keys, permissions, whitelists: a person must act
 *   EBADMSG    a reply that is not what the interface promises
 *   ECANCELED  options.pause said so
 */
#ifndef CLOUD_CLOUD_H
#define CLOUD_CLOUD_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct cloud;

enum cloud_product {
	CLOUD_ECS,
	CLOUD_VPC,
	CLOUD_ENS,
	CLOUD_STS,
	CLOUD_RAM,
	CLOUD_OSS,
	CLOUD_PRODUCT_COUNT,
};

/* "ecs", "vpc", ...: also the words in COLDLIFT_ENDPOINT_ECS and so on. */
const char *cloud_product_name(enum cloud_product product);

/* ---- one account ---- */

/*
 * The moments of one HTTP exchange. AFTER_SEND comes with the first byte of the reply: whatever the
 * request does has been done, and nothing of the answer has been taken yet.
 */
enum cloud_stage { CLOUD_BEFORE_SEND, CLOUD_AFTER_SEND, CLOUD_AFTER_REPLY };

enum cloud_signature { CLOUD_SIGNATURE_NEW, CLOUD_SIGNATURE_OLD };

enum cloud_source {
	CLOUD_KEYS_ANYWHERE, /* environment, then the CLI's file, then the instance's role */
	CLOUD_KEYS_ENVIRONMENT,
	CLOUD_KEYS_FILE,
	CLOUD_KEYS_INSTANCE,
};

/* All strings are borrowed for cloud_open() alone. Zeros everywhere are sensible. */
struct cloud_options {
	const char *region; /* where RPC calls go that name no other; NULL: see cloud_region() */
	bool internal;	    /* VPC-internal endpoints, for a pipeline that runs inside the cloud */

	/* "http(s)://host[:port]" instead of the vendor's; plain http is taken for loopback alone.
	 */
	const char *endpoint[CLOUD_PRODUCT_COUNT];
	const char *metadata_endpoint; /* instead of the instance metadata service; loopback too */
	const char *ca_bundle;	       /* file; NULL: SSL_CERT_FILE, then the usual places */

	enum cloud_source keys;
	const char *config_path; /* NULL: ~/.aliyun/config.json */
	const char *profile;	 /* NULL: ALIBABA_CLOUD_PROFILE, then the file's current one */

	enum cloud_signature rpc_signature; /* new: ACS3-HMAC-SHA256, old: RPC V1 */
	enum cloud_signature oss_signature; /* new: V4, old: V1 */

	uint64_t call_timeout_ms; /* of one exchange; 0: 60 s (objects: by size as well) */
	uint64_t retry_for_ms;	  /* how long one call is repeated; 0: 10 minutes */
	uint64_t backoff_ms;	  /* first pause, doubled up to 64 times; 0: 500 */

	/* Wait between tries; not 0 ends the call with ECANCELED. NULL: sleep. */
	int (*pause)(void *ctx, uint64_t ms);
	void *ctx;
	/*
	 * Called at every stage of every exchange, numbered from 1. WHAT is "ecs RunInstances" and
	 * the like. Not 0 breaks the connection there, as a fault of the network would.
	 */
	int (*call_hook)(void *hook_ctx, enum cloud_stage stage, uint64_t call_number,
			 const char *what);
	void *hook_ctx;
	/* For tests: the process ends by SIGKILL at that stage of that exchange; 0: never. */
	uint64_t kill_call;
	enum cloud_stage kill_stage;
};

/*
 * Fill what is still zero from the environment: endpoints, certificates, signatures, patience,
 * COLDLIFT_CLOUD_KILL (docs/cloud.md, "Settings"). Texts are borrowed from it. -EINVAL: a setting
 * is wrong.
 */
int cloud_options_from_environment(struct cloud_options *options);

/* Makes no call yet; finds the keys when the first call needs them. */
int cloud_open(const struct cloud_options *options, struct cloud **out);

/* Clears what was secret. Accepts NULL. */
void cloud_close(struct cloud *c);

/*
 * options.region, else what the environment names (ALIBABA_CLOUD_REGION_ID, ALICLOUD_REGION), else
 * the region of the profile whose keys are used; NULL: none. Borrowed.
 */
const char *cloud_region(struct cloud *c);

/*
 * What a child process may see of the environment: all but the variables that keys are read from.
 * For its environ, made before the fork; free() the array, its texts are borrowed. NULL: no memory.
 */
char **cloud_environment_without_keys(void);

/*
 * Find the keys now and ask STS who they belong to (GetCallerIdentity): account id and ARN, in the
 * arena. Whatever is wrong with keys or clock shows here.
 */
int cloud_identity(struct cloud *c, struct arena *a, const char **account_id, const char **arn);

/* ---- RPC calls ---- */

/*
 * One action. PARAMS is a JSON object in the shape of the vendor's request models and is sent in
 * their way: {"Tag": [{"Key": "k"}]} becomes Tag.1.Key=k, {"SystemDisk": {"Size": "40"}} becomes
 * SystemDisk.Size=40, true becomes "true", null is left out. For "one parameter that holds JSON"
 * (InstanceIds, DiskDeviceMapping of ENS) give the text: cloud_json_text(). REGION picks the
 * endpoint and is added as RegionId where the action takes it and PARAMS does not have it; NULL:
 * options.region. Actions that take a ClientToken get one made up when PARAMS has none; who wants
 * idempotence over restarts gives his own, from his journal.
 *
 * What can be retried is (docs/cloud.md): throttling, 5xx, busy objects, lost connections, a wrong
 * clock (once), expired credentials (once). *reply is the caller's; NULL: not wanted.
 */
int cloud_call(struct cloud *c, enum cloud_product product, const char *region, const char *action,
	       const json_t *params, json_t **reply);

/*
 * All pages of a list, gathered in one array, the caller's. LIST_PATH as "Instances.Instance".
 * Paging parameters are added here.
 */
int cloud_call_pages(struct cloud *c, enum cloud_product product, const char *region,
		     const char *action, const json_t *params, const char *list_path,
		     json_t **list);

/* One try, no repeating: for what a caller repeats himself, in his own states. */
int cloud_call_once(struct cloud *c, enum cloud_product product, const char *region,
		    const char *action, const json_t *params, json_t **reply);

/* ["a","b"] as text, in the arena. */
const char *cloud_json_text(struct arena *a, const json_t *value);

/*
 * Read a foreign reply. PATH as "Instances.Instance.0.VpcAttributes.VpcId". Strings are borrowed
 * from the reply. A number may come as text ("38%" is 38), as the products differ there.
 * Missing: -EBADMSG with the path in the reason; the _or forms give the fallback instead.
 */
int cloud_get_string(const json_t *reply, const char *path, const char **out);
const char *cloud_get_string_or(const json_t *reply, const char *path, const char *fallback);
uint64_t cloud_get_u64_or(const json_t *reply, const char *path, uint64_t fallback);
bool cloud_get_bool_or(const json_t *reply, const char *path, bool fallback);
/* NULL when it is missing or not an array. Borrowed. */
const json_t *cloud_get_list(const json_t *reply, const char *path);

/* A new ClientToken: 32 hex digits of random. */
#define CLOUD_TOKEN_BYTES 33
int cloud_new_token(char out[CLOUD_TOKEN_BYTES]);

/* ---- things that a job makes, in one form for all kinds ---- */

enum cloud_kind {
	CLOUD_KIND_VPC,
	CLOUD_KIND_VSWITCH,
	CLOUD_KIND_SECURITY_GROUP,
	CLOUD_KIND_INSTANCE,
	CLOUD_KIND_DISK,
	CLOUD_KIND_SNAPSHOT,
	CLOUD_KIND_IMAGE,
	CLOUD_KIND_EXPORT_TASK, /* of ExportImage; deleted by cancelling */
	CLOUD_KIND_ENS_IMAGE,
	CLOUD_KIND_COUNT,
};

/* "vpc", "vswitch", "security-group", "instance", "disk", "snapshot", "image", "export-task",
 * "ens-image". */
const char *cloud_kind_name(enum cloud_kind kind);
int cloud_kind_parse(const char *name, enum cloud_kind *out);

enum cloud_phase {
	CLOUD_PENDING, /* on its way to ready */
	CLOUD_READY,   /* Available, Running, accomplished, Finished, ... */
	CLOUD_STOPPED, /* an instance that is off */
	CLOUD_LEAVING, /* stopping, detaching, being deleted */
	CLOUD_FAILED,  /* will never be ready */
};

struct cloud_thing {
	enum cloud_kind kind;
	const char *id;
	const char *name;  /* "" where the product has none */
	const char *state; /* the product's own word */
	enum cloud_phase phase;
	unsigned percent;    /* 0-100 where the product reports it, 100 when ready, else 0 */
	const char *parent;  /* VPC of a vSwitch or group, instance of a disk, image of a task */
	const char *created; /* ISO 8601, or "" */
	/* The product's whole entry; borrowed until the next describe, list or wait. */
	const json_t *item;
};

/* The value of its tag KEY, or NULL; borrowed as the item. */
const char *cloud_thing_tag(const struct cloud_thing *thing, const char *key);

/*
 * One thing by its id, from a list or attribute call that is matched exactly. ENOENT: not there.
 * Eventual consistency is the caller's to weigh: what was made a moment ago may be missing for a
 * short while (cloud_wait() does that).
 */
int cloud_describe(struct cloud *c, enum cloud_kind kind, const char *region, const char *id,
		   struct arena *a, struct cloud_thing *out);

/* What is NULL is not asked for. */
struct cloud_list {
	enum cloud_kind kind;
	const char *region;
	const char *name; /* exactly this */
	const char *tag_key;
	const char *tag_value; /* of tag_key; NULL: any */
	/* More parameters of the Describe action: {"ResourceIds": [image]} for export tasks,
	 * {"InstanceId": id} for disks. */
	const json_t *filter;
};

/*
 * All things that are so. Kinds without tags (export tasks, ENS images): -ENOTSUP when a tag is
 * asked for; use names.
 */
int cloud_list(struct cloud *c, const struct cloud_list *what, struct arena *a,
	       struct cloud_thing **list, size_t *count);

/*
 * Make one: CreateVpc, CreateVSwitch, CreateSecurityGroup, RunInstances, CreateDisk,
 * CreateSnapshot, CreateImage, ExportImage, ENS ImportImage, with PARAMS as for cloud_call(). TOKEN
 * is the ClientToken (NULL where the action has none). The id comes out (arena).
 */
int cloud_create(struct cloud *c, enum cloud_kind kind, const char *region, const json_t *params,
		 const char *token, struct arena *a, const char **id);

/*
 * Begin the deletion of one; what is gone already is success. Instances are forced, snapshots are
 * forced (disks may come from them), images too. Returns when the cloud has accepted; cloud_wait()
 * with CLOUD_WANT_GONE sees the end.
 */
int cloud_delete(struct cloud *c, enum cloud_kind kind, const char *region, const char *id);

enum cloud_wanted {
	CLOUD_WANT_READY,
	CLOUD_WANT_STOPPED, /* instances */
	CLOUD_WANT_GONE,
};

struct cloud_wait {
	enum cloud_kind kind;
	const char *region;
	const char *id;
	enum cloud_wanted wanted;
	uint64_t every_ms; /* 0: the kind's usual (5 s; export task 30 s; ENS image 10 s) */
	uint64_t for_ms;
	/* Called with each state, if not NULL; what is not 0 ends the wait with ECANCELED. */
	int (*seen)(void *ctx, const struct cloud_thing *thing);
	void *ctx;
};

/*
 * Poll until it is so. EIO: it failed for good (the state is in the reason). ETIMEDOUT: for_ms are
 * over. A thing that is missing at first is waited for, 2 minutes at most. *out (arena) may be
 * NULL.
 */
int cloud_wait(struct cloud *c, const struct cloud_wait *what, struct arena *a,
	       struct cloud_thing *out);

/* StopInstance without force (a clean shutdown), or forced; already stopped is success. */
int cloud_instance_stop(struct cloud *c, const char *region, const char *id, bool force);
int cloud_instance_start(struct cloud *c, const char *region, const char *id);

/* Public address of an instance, or its private one; NULL when it has none. Arena. */
const char *cloud_instance_address(const struct cloud_thing *instance, bool public_net,
				   struct arena *a);

/* The objects that a finished export wrote (OSSBucket/OSSObject of the task), in the arena. */
int cloud_export_objects(struct cloud *c, const char *region, const char *task_id, struct arena *a,
			 const char ***keys, size_t *count);

/* ---- OSS ---- */

/* Where an object lives. region as "cn-beijing". key NULL for the bucket itself. */
struct cloud_object {
	const char *region;
	const char *bucket;
	const char *key;
};

struct cloud_bucket_info {
	const char *region; /* without "oss-" */
	const char *storage_class;
	bool versioned;
};

struct cloud_object_info {
	const char *key;
	uint64_t bytes;
	const char *crc64; /* decimal, "" in lists */
};

struct cloud_part {
	unsigned number;  /* from 1 */
	const char *etag; /* without quotes */
};

struct cloud_upload {
	const char *key;
	const char *upload_id;
	const char *initiated;
};

int cloud_bucket_info(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_bucket_info *out);

/* SHA-256 or a Merkle root goes along as x-oss-meta-NAME: meta is a JSON object of strings or NULL.
 */
int cloud_object_put(struct cloud *c, const struct cloud_object *at, const void *data, size_t bytes,
		     const char *content_type, const json_t *meta);
int cloud_object_put_file(struct cloud *c, const struct cloud_object *at, const char *path,
			  const char *content_type, const json_t *meta);
int cloud_object_head(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_object_info *out);
/* All versions of it in a versioned bucket; absent is success. */
int cloud_object_delete(struct cloud *c, const struct cloud_object *at);
/* at->key is a prefix, NULL: everything. */
int cloud_object_list(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_object_info **list, size_t *count);

/*
 * Begins an upload, or goes on with the one of this very key that was begun before: nothing is left
 * behind by a reply that was lost.
 */
int cloud_upload_begin(struct cloud *c, const struct cloud_object *at, const char *content_type,
		       const json_t *meta, struct arena *a, const char **upload_id);
/* The parts are sent by whom a presigned URL is given to. In ascending order. An upload that was
 * completed before (object there) is success. */
int cloud_upload_complete(struct cloud *c, const struct cloud_object *at, const char *upload_id,
			  const struct cloud_part *parts, size_t count);
/* Gone is success. */
int cloud_upload_abort(struct cloud *c, const struct cloud_object *at, const char *upload_id);
/* Unfinished uploads whose key begins with at->key. */
int cloud_upload_list(struct cloud *c, const struct cloud_object *at, struct arena *a,
		      struct cloud_upload **list, size_t *count);

struct cloud_presign {
	const char *method; /* "GET", "PUT", "HEAD", "POST", "DELETE" */
	struct cloud_object at;
	const char *upload_id; /* with part_number: UploadPart; alone: ListParts, Complete */
	unsigned part_number;
	const char *content_type; /* must then be sent exactly so; NULL: must not be sent */
	uint64_t valid_s;	  /* at most 7 days */
	bool internal;		  /* for an instance in the same region */
};

/*
 * A URL that carries the right to do one thing with one object until valid_s are over; it holds no
 * secret key, but is itself to be kept from others. No call is made, except for credentials.
 */
int cloud_presign(struct cloud *c, const struct cloud_presign *what, struct arena *a,
		  const char **url);

/* ---- without an account ---- */

/*
 * POST a JSON text to anybody, with no keys of the account: a webhook. With a secret, header
 * X-Coldlift-Signature is "sha256=" and the HMAC-SHA256 of the body in hex. One try; EREMOTEIO when
 * the answer is not 2xx. ca_bundle as in struct cloud_options.
 */
int cloud_post_json(const char *url, const char *body, const void *secret, size_t secret_bytes,
		    const char *ca_bundle, uint64_t timeout_ms);

/* ---- is the account fit for a job? ---- */

struct cloud_check {
	const char *region;
	const char *bucket;	 /* NULL: not asked */
	const char *export_role; /* NULL: not asked */
};

enum cloud_fitness {
	CLOUD_FIT,
	CLOUD_UNSURE, /* works, or cannot be seen; worth a look */
	CLOUD_UNFIT,  /* a job would fail */
};

/* SUBJECT as "keys", "clock", "bucket"; CODE "" or the cloud's; TEXT a sentence. */
typedef void (*cloud_check_fn)(void *ctx, const char *subject, enum cloud_fitness fitness,
			       const char *code, const char *text);

/*
 * Ask for everything that a job will need, and go on whatever fails. Makes nothing: reads and dry
 * runs. Returns how many are unfit, or ECANCELED.
 */
int cloud_check(struct cloud *c, const struct cloud_check *what, cloud_check_fn say, void *ctx);

/* ---- errors ---- */

/* What an error code asks for. The comments name the errno of a call that ends with it. */
enum cloud_decision {
	CLOUD_FINAL,	       /* EINVAL: our request is wrong, or the thing cannot be had */
	CLOUD_RETRY,	       /* EAGAIN: backoff, any action */
	CLOUD_RETRY_SAFE,      /* EAGAIN/EREMCHG: backoff, if repeating does no harm */
	CLOUD_RETRY_STATE,     /* EAGAIN: the object is busy; slow backoff, for minutes */
	CLOUD_RETRY_SLOWLY,    /* EAGAIN: a minute between tries */
	CLOUD_SAME_TOKEN,      /* EAGAIN: the first request still runs */
	CLOUD_NEW_NONCE,       /* EAGAIN: at once, signed anew */
	CLOUD_FIX_CLOCK,       /* ETIME: once, with the server's time */
	CLOUD_NEW_CREDENTIALS, /* EACCES: once, with fresh ones */
	CLOUD_NEXT_CANDIDATE,  /* ENODEV */
	CLOUD_OTHER_NAME,      /* EEXIST */
	CLOUD_DONE,	       /* 0: what was wanted is so */
	CLOUD_GONE,	       /* ENOENT; 0 for deletes */
	CLOUD_RUNNING,	       /* EALREADY: such a task runs; find it, wait for it */
	CLOUD_DELETE_IMAGE,    /* EBUSY: the image that uses it goes first */
	CLOUD_FORCE,	       /* EBUSY: again with Force=true */
	CLOUD_QUOTA,	       /* EDQUOT */
	CLOUD_MONEY,	       /* EDQUOT */
	CLOUD_DENIED,	       /* EACCES */
};

struct cloud_error {
	unsigned status; /* HTTP; 0: no reply */
	char code[96];	 /* the cloud's; "" for transport errors */
	char message[320];
	char request_id[64];
	char detail[160]; /* AccessDeniedDetail's action, or OSS's StringToSign hint; else "" */
	uint64_t retry_after_ms;
	enum cloud_decision decision;
	const char *advice; /* what a person can do; static */
};

/* Of the last call of this cloud; all empty after a success. */
const struct cloud_error *cloud_last_error(const struct cloud *c);

/* The table itself, for documents and tests. Row N or NULL; patterns end in '*'. */
struct cloud_rule {
	const char *code;
	enum cloud_decision decision;
	const char *meaning;
	const char *advice;
};
const struct cloud_rule *cloud_rule_at(size_t n);
const struct cloud_rule *cloud_rule_find(const char *code, unsigned status, bool oss);
const char *cloud_decision_name(enum cloud_decision decision);

#endif
