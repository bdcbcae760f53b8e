/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What one preparation did, for prepare.json. */
#ifndef PREPARE_PREP_REPORT_H
#define PREPARE_PREP_REPORT_H

#include <jansson.h>

struct prep_report {
	json_t *replayed;
	json_t *repaired;
	json_t *skipped;
	json_t *warnings;
	const char *allow; /* comma list of codes that are warnings, not failures; borrowed */
};

int report_init(struct prep_report *r, const char *allow);
void report_fini(struct prep_report *r);

/* One line in a list: {"object": ..., "what": ...}. */
void report_note(json_t *list, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* As report_note() to the warnings, with a code; also logged. */
void report_warn(struct prep_report *r, const char *code, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * Something that stops the phase unless the operator allowed its code: then it is a warning and the
 * result is 0. Else -errnum with the code and the text (which says what to do) as the reason.
 */
int report_problem(struct prep_report *r, int errnum, const char *code, const char *object,
		   const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
