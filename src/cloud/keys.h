/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where keys come from: what credentials.c and the readers of each source share. */
#ifndef CLOUD_KEYS_H
#define CLOUD_KEYS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "cloud/cloud.h"

struct keyset {
	char id[128];
	char secret[256];
	char *token;	   /* of its own; NULL: none */
	int64_t expires_s; /* Unix time; <= 0: never */
};

struct credentials {
	struct arena *a;
	bool found;	    /* a source was chosen */
	bool instance;	    /* base comes from the instance's role */
	bool stale;	    /* the server refused what we have */
	bool resolving;	    /* the base keys are used to get the role's */
	struct keyset base; /* of the environment, the file or the instance */
	struct keyset now;  /* of role_arn */

	const char *role_arn; /* NULL: base is what is used */
	const char *session_name;
	const char *external_id;
	const char *sts_region;
	uint64_t role_seconds;
	const char *instance_role; /* NULL: the one that the metadata name */
	const char *uri;	   /* a service that gives the base keys; NULL: none */
	const char *region;	   /* that the profile names */
};

void keyset_clear(struct keyset *k);
/* Copies; -EACCES with a reason when one is missing or cannot be. */
int keyset_set(struct keyset *k, const char *id, const char *secret, const char *token,
	       int64_t expires_s);

/* Overwrite every text in a parsed document. */
void keys_wipe_json(json_t *v);

/* ENOENT without a reason: there is nothing of the kind. */
int keys_from_environment(struct credentials *k);
int keys_from_file(const struct cloud_options *o, struct credentials *k);
/* Of the role of the instance that this program runs on; token mode of the metadata service. */
int keys_from_instance(struct cloud *c, struct keyset *k);
/* Of the service at the profile's credentials_uri, in the form of the metadata service. */
int keys_from_uri(struct cloud *c, struct keyset *k);

#endif
