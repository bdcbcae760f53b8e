/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Where the products answer: from product, region and network to a URL and a Host. */
#ifndef CLOUD_ENDPOINT_H
#define CLOUD_ENDPOINT_H

#include "base/arena.h"
#include "cloud/cloud.h"

struct endpoint {
	const char *url;  /* "https://host[:port]", no slash at the end */
	const char *host; /* as in the Host header */
	bool by_path;	  /* OSS: the bucket is in the path, not in the host */
};

/* -EINVAL for names that cannot stand in a host; -EPERM for plain http that leaves the machine. */
int endpoint_rpc(const struct cloud_options *o, enum cloud_product product, const char *region,
		 struct arena *a, struct endpoint *out);
/* internal: as o->internal, or asked for in one URL. bucket NULL: the service. */
int endpoint_oss(const struct cloud_options *o, const char *region, const char *bucket,
		 bool internal, struct arena *a, struct endpoint *out);

/* An override is https, or http on loopback. NULL is fine. */
int endpoint_check(const char *url, const char *what);

#endif
