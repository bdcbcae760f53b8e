/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether two inventories are of one machine. What is on the disks proves nothing: a clone has the
 * same names, UUIDs and tables. What counts is the hardware, and each of it may be replaced.
 */
#include "plan/private.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"

#define DISTINCT_MIN 4
#define SHOWN_BYTES  40

/* What makers leave in when they do not care; the UUIDs are on thousands of machines. */
static const char *const placeholders[] = {
	"12345678",
	"o.e.m",
	"default string",
	"not specified",
	"serial number",
	"unknown",
	"none",
	"03000200-0400-0500-0006-000700080009",
	"00020003-0004-0005-0006-000700080009",
	"4c4c4544-0000-2010-8020-80c04f202020",
};

/* An adapter goes from machine to machine, a disk of a storage network is shown to several. */
static const char *const elsewhere[] = {"usb", "fc", "iscsi"};

static const char *text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static bool names_one(const char *s)
{
	bool seen[UCHAR_MAX + 1] = {false};
	unsigned distinct = 0;

	for (const char *p = s; *p; p++) {
		unsigned char c = (unsigned char)toupper((unsigned char)*p);

		distinct += isalnum(c) && !seen[c];
		seen[c] = true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(placeholders); i++)
		if (strcasestr(s, placeholders[i]))
			return false;
	return distinct >= DISTINCT_MIN;
}

/* ---- disks ---- */

/* Many hypervisors give all disks the same few serial numbers, and copy them with the disk. */
static bool is_virtual(const json_t *inventory)
{
	return json_is_true(json_object_get(json_object_get(inventory, "machine"), "virtual"));
}

/* Its serial number, else its name in the world; "" when it has neither. */
static const char *disk_id(const json_t *disk)
{
	for (size_t i = 0; i < ARRAY_SIZE(elsewhere); i++)
		if (strcmp(text(disk, "transport"), elsewhere[i]) == 0)
			return "";
	if (names_one(text(disk, "serial")))
		return text(disk, "serial");
	return names_one(text(disk, "wwid")) ? text(disk, "wwid") : "";
}

/* A serial number is one maker's. */
static bool is_same_disk(const json_t *a, const json_t *b)
{
	return strcmp(disk_id(a), disk_id(b)) == 0 &&
	       strcmp(text(a, "model"), text(b, "model")) == 0;
}

static void count_disks(const json_t *mine, const json_t *others, size_t *known, size_t *shared)
{
	size_t i, k;
	json_t *a, *b;

	*known = *shared = 0;
	json_array_foreach (mine, i, a) {
		bool found = false;

		json_array_foreach (others, k, b)
			found |= is_same_disk(a, b);
		*known += *disk_id(a) != '\0';
		*shared += *disk_id(a) && found;
	}
}

/* Nodes of a cluster share disks, and each has its own besides: one must have all of the other's.
 */
static enum plan_likeness compare_disks(const json_t *a, const json_t *b)
{
	const json_t *x = json_object_get(a, "disks"), *y = json_object_get(b, "disks");
	size_t known_a, known_b, shared_a, shared_b;

	count_disks(x, y, &known_a, &shared_a);
	count_disks(y, x, &known_b, &shared_b);
	if (is_virtual(a) || is_virtual(b) || !known_a || !known_b)
		return PLAN_CANNOT_TELL;
	return shared_a && (shared_a == known_a || shared_b == known_b) ? PLAN_ALIKE
									: PLAN_DIFFERENT;
}

/* ---- network cards ---- */

/* "" for one that is plugged in, or whose address is made up at each start. */
static const char *card_id(const json_t *nic)
{
	const char *mac = text(nic, "mac");

	if (json_is_true(json_object_get(nic, "usb")) ||
	    json_is_true(json_object_get(nic, "mac_random")) || !strcmp(mac, "00:00:00:00:00:00"))
		return "";
	return mac;
}

static bool has_card(const json_t *nics, const char *mac)
{
	size_t i;
	json_t *nic;

	json_array_foreach (nics, i, nic) {
		if (strcasecmp(card_id(nic), mac) == 0)
			return true;
	}
	return false;
}

static enum plan_likeness compare_cards(const json_t *a, const json_t *b)
{
	const json_t *mine = json_object_get(a, "nics"), *others = json_object_get(b, "nics");
	bool known = false, known_there = false;
	size_t i;
	json_t *nic;

	json_array_foreach (others, i, nic)
		known_there |= *card_id(nic) != '\0';
	json_array_foreach (mine, i, nic) {
		if (*card_id(nic) && has_card(others, card_id(nic)))
			return PLAN_ALIKE;
		known |= *card_id(nic) != '\0';
	}
	return known && known_there ? PLAN_DIFFERENT : PLAN_CANNOT_TELL;
}

/* ---- the board ---- */

/* A new board may have got the old one's serial number, never its UUID. */
static enum plan_likeness compare_boards(const json_t *a, const json_t *b)
{
	static const char *const keys[] = {"uuid", "serial"};
	const json_t *x = json_object_get(a, "machine"), *y = json_object_get(b, "machine");
	bool known = false;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const char *mine = text(x, keys[i]), *others = text(y, keys[i]);

		if (!names_one(mine) || !names_one(others))
			continue;
		if (strcasecmp(mine, others) == 0 &&
		    strcmp(text(x, "product"), text(y, "product")) == 0)
			return PLAN_ALIKE;
		known = true;
	}
	return known ? PLAN_DIFFERENT : PLAN_CANNOT_TELL;
}

/* ---- together ---- */

static const char *host_name(const json_t *inventory)
{
	return text(json_object_get(inventory, "guest"), "hostname");
}

bool plan_is_same_machine(const json_t *a, const json_t *b, struct plan_likenesses *out)
{
	unsigned alike, different;

	*out = (struct plan_likenesses){.board = compare_boards(a, b),
					.cards = compare_cards(a, b),
					.disks = compare_disks(a, b)};
	alike = (out->board == PLAN_ALIKE) + (out->cards == PLAN_ALIKE) +
		(out->disks == PLAN_ALIKE);
	different = (out->board == PLAN_DIFFERENT) + (out->cards == PLAN_DIFFERENT) +
		    (out->disks == PLAN_DIFFERENT);
	if (alike + different == 0)
		return *host_name(a) && strcmp(host_name(a), host_name(b)) == 0;
	/* With a new board come new cards; it is still the machine whose disks these are. */
	return out->disks == PLAN_ALIKE || (alike && alike >= different);
}

/* ---- words ---- */

static const char *board_text(const json_t *inventory)
{
	const json_t *machine = json_object_get(inventory, "machine");

	return names_one(text(machine, "uuid")) ? text(machine, "uuid") : text(machine, "serial");
}

static const char *first_id(const json_t *list, const char *(*id)(const json_t *))
{
	size_t i;
	json_t *one;

	json_array_foreach (list, i, one) {
		if (*id(one))
			return id(one);
	}
	return "none";
}

static void add_difference(char *out, size_t bytes, enum plan_likeness how, const char *what,
			   const char *there, const char *here)
{
	size_t n = strlen(out);

	if (how == PLAN_DIFFERENT)
		snprintf(out + n, bytes - n, "%s other %s (%.*s there, %.*s here)", n ? "," : "",
			 what, SHOWN_BYTES, there, SHOWN_BYTES, here);
}

void plan_check_holder(struct planner *p, const json_t *inventory)
{
	const json_t *held = json_object_get(p->target, "holds");
	const char *name = host_name(held);
	struct plan_likenesses l;
	char differs[400] = "";

	if (!held || json_is_null(held) || plan_is_same_machine(held, inventory, &l))
		return;
	add_difference(differs, sizeof(differs), l.disks, "disks",
		       first_id(json_object_get(held, "disks"), disk_id),
		       first_id(json_object_get(inventory, "disks"), disk_id));
	add_difference(differs, sizeof(differs), l.board, "board", board_text(held),
		       board_text(inventory));
	add_difference(differs, sizeof(differs), l.cards, "network cards",
		       first_id(json_object_get(held, "nics"), card_id),
		       first_id(json_object_get(inventory, "nics"), card_id));
	plan_note(p, "TARGET_HOLDS_OTHER", "",
		  "the receiver holds the copy of another machine%s%.64s%s:%s", *name ? ", " : "",
		  name, *name && strcmp(name, host_name(inventory)) == 0 ? " like this one" : "",
		  *differs ? differs : " nothing shows that it is this one");
}
