/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which inventories are of one machine: pairs as they happen, each compared both ways. */
#include <string.h>

#include "unit.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "plan/private.h"

/* A part of an inventory; NULL where it is not there. */
struct machine {
	const char *uuid;
	const char *serial;
	const char *macs;  /* divided by blanks; a first '~' is a random address, '+' is by USB */
	const char *disks; /* serial numbers; a first '@' is by Fibre Channel, '+' by USB */
	const char *name;
	bool is_virtual;
	bool old; /* of a version that knew neither UUID nor what is virtual */
};

#define UUID_A	  "4c4c4544-0044-4810-8057-b4c04f4e3732"
#define UUID_B	  "4c4c4544-0051-3510-8033-c7c04f4b3432"
#define UUID_ZERO "00000000-0000-0000-0000-000000000000"
#define UUID_LAZY "03000200-0400-0500-0006-000700080009"
#define MAC_A	  "3c:ec:ef:12:00:01"
#define MAC_B	  "3c:ec:ef:12:00:02"
#define MAC_C	  "00:1b:21:aa:00:03"

/* clang-format off */
#define REAL(u, s, m, d, n)    {.uuid = (u), .serial = (s), .macs = (m), .disks = (d), .name = (n)}
#define VIRTUAL(u, s, m, d, n) {.uuid = (u), .serial = (s), .macs = (m), .disks = (d), .name = (n), .is_virtual = true}
#define OLD(u, s, m, d, n)     {.uuid = (u), .serial = (s), .macs = (m), .disks = (d), .name = (n), .old = true}
#define NOTHING {.uuid = NULL}

static const struct {
	const char *what;
	bool same;
	struct machine a, b;
	} pairs[] = {
	{"the same", true, REAL(UUID_A, "CN7016", MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, "CN7016", MAC_A, "S3Z8NB0K1", "db7")},
	{"two of a kind", false, REAL(UUID_A, "CN7016", MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_B, "CN7017", MAC_B, "S3Z8NB0K2", "db8")},
	{"two restored from one backup", false, REAL(UUID_A, "CN7016", MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_B, "CN7017", MAC_B, "S3Z8NB0K2", "db7")},
	{"another name", true, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "web1")},

	/* Repairs. */
	{"another network card", true, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_B, "S3Z8NB0K1", "db7")},
	{"a card more", true, REAL(UUID_A, NULL, MAC_A, NULL, "db7"), REAL(UUID_A, NULL, MAC_B " " MAC_A, NULL, "db7")},
	{"another board with its cards", true, REAL(UUID_A, "CN7016", MAC_A, "S3Z8NB0K1 S3Z8NB0K2", "db7"), REAL(UUID_B, "CN7999", MAC_B, "S3Z8NB0K1 S3Z8NB0K2", "db7")},
	{"another board, and a disk more", true, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_B, NULL, MAC_B, "S3Z8NB0K1 S3Z8NB0K2", "db7")},
	{"another board with the old serial number", true, REAL(UUID_A, "CN7016", MAC_A, NULL, "db7"), REAL(UUID_B, "CN7016", MAC_B, NULL, "db7")},
	{"another disk", true, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K2", "db7")},
	{"only the case is left", false, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_B, NULL, MAC_B, "S3Z8NB0K2", "db7")},

	/* Virtual machines: their disks' serial numbers are copied, or all the same. */
	{"a virtual machine again", true, VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7"), VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7")},
	{"its clone", false, VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7"), VIRTUAL(UUID_B, NULL, MAC_B, NULL, "db7")},
	{"its clone with copied disks", false, VIRTUAL(UUID_A, NULL, MAC_A, "6000c29a1b", "db7"), VIRTUAL(UUID_B, NULL, MAC_B, "6000c29a1b", "db7")},
	{"without a UUID, with disks numbered by the hypervisor", false, VIRTUAL(NULL, NULL, MAC_A, "QM00001", "db7"), VIRTUAL(NULL, NULL, MAC_B, "QM00001", "db7")},
	{"without a UUID, the same card", true, VIRTUAL(NULL, NULL, MAC_A, "QM00001", "db7"), VIRTUAL(NULL, NULL, MAC_A, "QM00001", "db7")},
	{"with another kind of card", true, VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7"), VIRTUAL(UUID_A, NULL, MAC_B, NULL, "db7")},
	{"defined anew with the same card", true, VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7"), VIRTUAL(UUID_B, NULL, MAC_A, NULL, "db7")},

	/* What goes from machine to machine. */
	{"one USB adapter for both", false, REAL(UUID_A, NULL, "+" MAC_C, "S3Z8NB0K1", "db7"), REAL(UUID_B, NULL, "+" MAC_C, "S3Z8NB0K2", "db8")},
	{"one USB adapter and nothing else in common", false, REAL(UUID_A, NULL, "+" MAC_C, NULL, "db7"), REAL(UUID_B, NULL, "+" MAC_C, NULL, "db7")},
	{"one card for both", false, REAL(UUID_A, NULL, MAC_C, "S3Z8NB0K1", "db7"), REAL(UUID_B, NULL, MAC_C, "S3Z8NB0K2", "db8")},
	{"one USB disk for both", false, REAL(UUID_A, NULL, MAC_A, "+AA5100203", "db7"), REAL(UUID_B, NULL, MAC_B, "+AA5100203", "db8")},
	{"one disk of a storage network for both", false, REAL(UUID_A, NULL, MAC_A, "@60050768018", "db7"), REAL(UUID_B, NULL, MAC_B, "@60050768018", "db8")},
	{"a cluster's shared disk", false, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1 60050768018", "db7"), REAL(UUID_B, NULL, MAC_B, "S3Z8NB0K2 60050768018", "db8")},

	/* What says nothing. */
	{"boards without identity", false, REAL(UUID_LAZY, "To be filled by O.E.M.", MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_LAZY, "To be filled by O.E.M.", MAC_B, "S3Z8NB0K2", "db7")},
	{"a fleet with one UUID", false, REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_B, "S3Z8NB0K2", "db7")},
	{"disks without identity", false, REAL(UUID_A, NULL, MAC_A, "AA00000000001 0123456789ABCDEF", "db7"), REAL(UUID_B, NULL, MAC_B, "AA00000000001 0123456789ABCDEF", "db7")},
	{"random addresses, other name", false, REAL(UUID_ZERO, NULL, "~" MAC_A, NULL, "db7"), REAL(UUID_ZERO, NULL, "~" MAC_B, NULL, "db8")},
	{"random addresses, same name", true, REAL(UUID_ZERO, NULL, "~" MAC_A, NULL, "db7"), REAL(UUID_ZERO, NULL, "~" MAC_B, NULL, "db7")},
	{"nothing at all", false, NOTHING, NOTHING},

	/* Kept by a receiver from a migrator of an earlier version. */
	{"old: the same card", true, OLD(NULL, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_A, "S3Z8NB0K1", "db7")},
	{"old: another card", true, OLD(NULL, NULL, MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_A, NULL, MAC_B, "S3Z8NB0K1", "db7")},
	{"old: a clone", false, OLD(NULL, NULL, MAC_A, "6000c29a1b", "db7"), VIRTUAL(UUID_B, NULL, MAC_B, "6000c29a1b", "db7")},
	{"old: two of a kind", false, OLD(NULL, "CN7016", MAC_A, "S3Z8NB0K1", "db7"), REAL(UUID_B, "CN7017", MAC_B, "S3Z8NB0K2", "db7")},
	{"old: a virtual machine", true, OLD(NULL, NULL, MAC_A, NULL, "db7"), VIRTUAL(UUID_A, NULL, MAC_A, NULL, "db7")},
};
/* clang-format on */

static json_t *cards(const char *macs, bool old)
{
	json_t *list = json_array();

	for (size_t n; macs && *macs; macs += n, macs += strspn(macs, " ")) {
		bool is_random = *macs == '~', usb = *macs == '+';
		json_t *nic;

		macs += is_random || usb;
		n = strcspn(macs, " ");
		nic = json_pack("{s:s%}", "mac", macs, n);
		if (!old) {
			json_object_set_new(nic, "mac_random", json_boolean(is_random));
			json_object_set_new(nic, "usb", json_boolean(usb));
		}
		json_array_append_new(list, nic);
	}
	return list;
}

static json_t *disks(const char *serials)
{
	json_t *list = json_array();

	for (size_t n; serials && *serials; serials += n, serials += strspn(serials, " ")) {
		const char *transport = *serials == '@' ? "fc" : *serials == '+' ? "usb" : "sas";

		serials += *serials == '@' || *serials == '+';
		n = strcspn(serials, " ");
		json_array_append_new(list,
				      json_pack("{s:s, s:s%, s:s, s:n}", "model", "MODEL", "serial",
						serials, n, "transport", transport, "wwid"));
	}
	return list;
}

static json_t *inventory(const struct machine *m)
{
	json_t *machine = json_pack("{s:s, s:s?}", "product", "PRODUCT", "serial", m->serial);

	if (!m->old) {
		json_object_set_new(machine, "uuid", json_str(m->uuid));
		json_object_set_new(machine, "virtual", json_boolean(m->is_virtual));
	}
	return json_pack("{s:o, s:o, s:o, s:{s:s?}}", "machine", machine, "nics",
			 cards(m->macs, m->old), "disks", disks(m->disks), "guest", "hostname",
			 m->name);
}

static void pairs_are_told_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		CLEANUP_JSON json_t *a = inventory(&pairs[i].a);
		CLEANUP_JSON json_t *b = inventory(&pairs[i].b);
		struct plan_likenesses l;

		assert_non_null(a);
		assert_non_null(b);
		if (plan_is_same_machine(a, b, &l) != pairs[i].same ||
		    plan_is_same_machine(b, a, &l) != pairs[i].same)
			fail_msg("%s: board %d, cards %d, disks %d", pairs[i].what, l.board,
				 l.cards, l.disks);
	}
}

/* A receiver gives back what anybody with its token has put there. */
static void what_is_no_inventory_is_another_machine(void **state)
{
	static const char *const texts[] = {
		"{}", "[]", "[1]", "{\"nics\": 1, \"disks\": {}, \"machine\": []}",
		"{\"nics\": [1, {\"mac\": 2}], \"disks\": [null, {\"serial\": []}]}"};
	CLEANUP_JSON json_t *mine = inventory(&pairs[0].a);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		CLEANUP_JSON json_t *held = NULL;
		struct plan_likenesses l;

		assert_int_equal(json_parse(texts[i], strlen(texts[i]), "held", &held), 0);
		assert_false(plan_is_same_machine(held, mine, &l));
		assert_false(plan_is_same_machine(mine, held, &l));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pairs_are_told_apart),
		cmocka_unit_test(what_is_no_inventory_is_another_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
