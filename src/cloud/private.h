/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the parts of src/cloud share: the account's state, the loop of tries, the actions. */
#ifndef CLOUD_PRIVATE_H
#define CLOUD_PRIVATE_H

#include "cloud/cloud.h"
#include "cloud/credentials.h"
#include "cloud/http.h"
#include "cloud/sign.h"

struct cloud {
	struct arena *a; /* of the options' strings */
	struct cloud_options o;
	struct http *http;
	struct credentials *credentials;
	int64_t skew_s;	  /* server's clock minus ours, once learned */
	int64_t offset_s; /* the same, of the last reply that was dated; not acted upon */
	struct cloud_error error;
	json_t *kept; /* the items of the last list, which things borrow */
};

/* One exchange may take so long. */
static inline uint64_t cloud_call_timeout_ms(const struct cloud *c)
{
	return c->o.call_timeout_ms ? c->o.call_timeout_ms : 60000;
}

/* ---- tries ---- */

/*
 * The loop of tries of one call. After each failed try attempt_failed() says what comes next: 1:
 * try again (it has waited), else the final result.
 */
struct attempt {
	struct cloud *c;
	const char *what;
	bool repeatable; /* a second try does no harm, even if the first had its effect */
	bool deleting;	 /* what is gone is success */
	bool oss;
	bool single; /* the caller repeats */
	uint64_t until_ms;
	uint64_t pause_ms;
	unsigned nonces, clocks, renewals;
};

struct attempt attempt_begin(struct cloud *c, const char *what, bool repeatable);
/* There was no whole reply: rc of http_perform(). */
int attempt_lost(struct attempt *t, int rc);
/* There was one with an error in c->error; reply_date from its Date header or -1. */
int attempt_refused(struct attempt *t, int64_t server_time_s);

/* options.pause, or sleep; ECANCELED. */
int cloud_pause(struct cloud *c, uint64_t ms);
int64_t cloud_now(const struct cloud *c);
/* The Date of a reply, or -1; remembered as offset_s. */
int64_t cloud_server_time(struct cloud *c, const struct http_reply *r);

/* Fill c->error from a reply that is not 2xx. */
void error_from_json(struct cloud *c, const struct http_reply *r);
void error_from_xml(struct cloud *c, const struct http_reply *r);
/* The sentence of c->error as the reason; returns -errno of its decision. */
int error_fail(const struct cloud_error *e, const char *what, bool deleting);

/* ---- actions ---- */

enum action_flag {
	ACTION_READ = 1 << 0,	/* changes nothing */
	ACTION_AGAIN = 1 << 1,	/* doing it twice is as doing it once */
	ACTION_TOKEN = 1 << 2,	/* takes a ClientToken */
	ACTION_DELETE = 1 << 3, /* what is gone is success */
	ACTION_REGION = 1 << 4, /* takes RegionId */
	ACTION_PAGES = 1 << 5,	/* PageNumber and PageSize */
	ACTION_NEXT = 1 << 6,	/* MaxResults and NextToken */
	ACTION_TAGS = 1 << 7,	/* can be asked by tag */
};

struct action {
	enum cloud_product product;
	const char *name;
	unsigned flags;
	unsigned page_size;
};

/* NULL for an action that is not in the table. */
const struct action *action_find(enum cloud_product product, const char *name);
const struct action *action_at(size_t n);
const char *action_version(enum cloud_product product);

/* One entry of a list; the item stays borrowed. */
int thing_read(enum cloud_kind kind, const json_t *item, struct arena *a, struct cloud_thing *out);
/* All texts into another arena; the item stays borrowed. */
int cloud_thing_copy(const struct cloud_thing *from, struct arena *a, struct cloud_thing *to);

#endif
