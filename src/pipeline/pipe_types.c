/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Instance types in the order in which SMC tries them: 1 vCPU with 2 GiB, 1 with 4, 2 with 2, 2
 * with 4, families t6 and t5, 2 with 8, then what else is cheap. ("How does SMC create an
 * intermediate instance?" in its FAQ.)
 */
#include "pipeline/pipe_types.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"

/* "ecs.g6r.large" and "ecs.g8y.large" are ARM; "gn", "vgn", "ebm", "f1" carry devices that cost. */
static bool is_plain_x86(const char *type)
{
	const char *family = strncmp(type, "ecs.", 4) == 0 ? type + 4 : "";
	size_t n = strcspn(family, ".-");

	if (!n || strncmp(family, "gn", 2) == 0 || strncmp(family, "vgn", 3) == 0 ||
	    strncmp(family, "sgn", 3) == 0 || strncmp(family, "ebm", 3) == 0 ||
	    strncmp(family, "scc", 3) == 0 || strncmp(family, "f", 1) == 0)
		return false;
	return !(n >= 2 && isdigit((unsigned char)family[n - 2]) &&
		 (family[n - 1] == 'r' || family[n - 1] == 'y'));
}

static const struct {
	unsigned cores;
	unsigned gib; /* 0: the family is what counts */
	const char *family;
} wanted[] = {
	{1, 2, NULL},	   {1, 4, NULL},      {2, 2, NULL}, {2, 4, NULL},
	{0, 0, "ecs.t6-"}, {0, 0, "ecs.t5-"}, {2, 8, NULL},
};

int types_rank(const char *type, unsigned cores, double memory_gib)
{
	if (!is_plain_x86(type))
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
		const char *family = wanted[i].family;

		if (family ? strncmp(type, family, strlen(family)) == 0
			   : cores == wanted[i].cores && memory_gib == (double)wanted[i].gib)
			return (int)i;
	}
	/* Cheap all the same; sizes beyond that are for people who name one. */
	if (strncmp(type, "ecs.e-", 6) == 0 || strncmp(type, "ecs.u1-", 7) == 0)
		return ARRAY_SIZE(wanted);
	return cores <= 4 && cores ? (int)ARRAY_SIZE(wanted) + 1 : -1;
}

struct candidate {
	const char *zone;
	const char *type;
	int rank;
};

struct choice {
	struct course *c;
	struct candidate *list;
	size_t count;
};

static void add(struct choice *ch, const char *zone, const char *type, int rank)
{
	for (size_t i = 0; i < ch->count; i++) {
		if (strcmp(ch->list[i].zone, zone) == 0 && strcmp(ch->list[i].type, type) == 0) {
			ch->list[i].rank = min_of(ch->list[i].rank, rank);
			return;
		}
	}
	*arena_push(ch->c->arena, &ch->list, &ch->count) =
		(struct candidate){.zone = arena_strdup(ch->c->arena, zone),
				   .type = arena_strdup(ch->c->arena, type),
				   .rank = rank};
}

static void add_zone(struct choice *ch, const json_t *zone, unsigned cores, unsigned gib)
{
	const char *id = cloud_get_string_or(zone, "ZoneId", "");
	const json_t *resources = cloud_get_list(zone, "AvailableResources.AvailableResource");
	const char *named = pipe_option(ch->c->job->options, "instance_type");
	json_t *resource, *v;
	size_t i, j;

	json_array_foreach ((json_t *)resources, i, resource) {
		const json_t *values =
			cloud_get_list(resource, "SupportedResources.SupportedResource");

		json_array_foreach ((json_t *)values, j, v) {
			const char *type = cloud_get_string_or(v, "Value", "");
			bool left = strcmp(cloud_get_string_or(v, "Status", ""), "Available") == 0;
			int rank = *named ? strcmp(named, type) ? -1 : 0
					  : types_rank(type, cores, gib);

			if (left && rank >= 0)
				add(ch, id, type, rank);
		}
	}
}

/* One question; cores 0: for all types. */
static int ask(struct choice *ch, unsigned cores, unsigned gib)
{
	struct course *c = ch->c;
	const char *named = pipe_option(c->job->options, "instance_type");
	CLEANUP_JSON json_t *params = json_pack(
		"{s:s, s:s, s:s, s:s}", "DestinationResource", "InstanceType", "InstanceChargeType",
		"PostPaid", "IoOptimized", "optimized", "NetworkCategory", "vpc");
	CLEANUP_JSON json_t *reply = NULL;
	const json_t *zones;
	json_t *zone;
	size_t i;
	int rc;

	if (cores) {
		json_object_set_new(params, "Cores", json_integer(cores));
		json_object_set_new(params, "Memory", json_sprintf("%u", gib));
	}
	if (*named)
		json_object_set_new(params, "InstanceType", json_string(named));
	rc = cloud_call(c->cloud, CLOUD_ECS, course_region(c), "DescribeAvailableResource", params,
			&reply);
	if (rc < 0)
		return rc;
	zones = cloud_get_list(reply, "AvailableZones.AvailableZone");
	json_array_foreach ((json_t *)zones, i, zone) {
		if (strcmp(cloud_get_string_or(zone, "Status", "Available"), "SoldOut") != 0)
			add_zone(ch, zone, cores, gib);
	}
	return 0;
}

static int by_rank(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->rank != y->rank ? x->rank - y->rank : strcmp(x->type, y->type);
}

int types_choose(struct course *c, const char *given, const char **zone, json_t **types)
{
	const char *named = pipe_option(c->job->options, "instance_type");
	struct choice ch = {.c = c};
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(wanted) && !*named; i++) {
		if (wanted[i].cores)
			rc = ask(&ch, wanted[i].cores, wanted[i].gib);
	}
	if (rc == 0)
		rc = ask(&ch, 0, 0);
	if (rc < 0)
		return rc;
	if (ch.count)
		qsort(ch.list, ch.count, sizeof(*ch.list), by_rank);
	*zone = given;
	*types = json_array();
	for (size_t i = 0; i < ch.count; i++) {
		if (!**zone)
			*zone = ch.list[i].zone;
		if (strcmp(ch.list[i].zone, *zone) == 0)
			json_array_append_new(*types, json_string(ch.list[i].type));
	}
	if (json_array_size(*types))
		return 0;
	json_decref(*types);
	*types = NULL;
	return fail_code(ENODEV, "OperationDenied.NoStock", "%s is sold out in %s",
			 *named ? named : "every instance type that would do",
			 *given ? given : course_region(c));
}
