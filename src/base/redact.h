/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Secrets are taken out of a text before it goes to somebody who looks for the cause of a failure.
 */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stddef.h>

/* Every occurrence of the secret becomes as many asterisks, whatever the case of its letters. An
 * empty secret or NULL is none. */
void redact(char *text, size_t bytes, const char *secret);

#endif
