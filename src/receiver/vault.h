/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vault: every file that a running receiver touches, by number and not by name. Behind it
 * stands the keeper, a process of its own that opens and passes descriptors, so that the process
 * that faces the network need not be able to open anything; or, in unit tests, nobody: then the
 * calling process does the same itself. Private to receiver. Any thread.
 */
#ifndef RECEIVER_VAULT_H
#define RECEIVER_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "receiver/owner.h"

struct vault;

/* What there is. The number counts disks, or artefacts. */
enum vault_kind {
	VAULT_DISK,	/* FILES/diskN.raw, or the device */
	VAULT_JOURNAL,	/* STATE/diskN.journal */
	VAULT_TOKEN,	/* STATE/token.json */
	VAULT_LOG,	/* STATE/artefacts/source.log */
	VAULT_ARTEFACT, /* STATE/artefacts/, by vault_artefact() */
	VAULT_ORDER,	/* STATE/images.json, the order for images; empty: none */
	VAULT_UPLOAD,	/* STATE/diskN.upload, how far it is; empty: not begun */
	VAULT_HOST,	/* a file of this machine, by vault_host(); for the uploader alone */
	VAULT_KINDS,
};

enum vault_how {
	VAULT_READ,	    /* it must be there */
	VAULT_WRITE,	    /* read and write, it must be there */
	VAULT_CREATE,	    /* the same, made when it is not there, its name durably */
	VAULT_NEW,	    /* NAME.new, empty, to be put in the place of NAME */
	VAULT_DIRECT_WRITE, /* disks: past the page cache */
	VAULT_DIRECT_READ,
	VAULT_HOWS,
};

struct vault_options {
	const char *state_dir;	    /* there already */
	const char *files_dir;	    /* there already; NULL: devices */
	const char *const *devices; /* device_count of them; borrowed for the vault's life */
	size_t device_count;
	struct owner owner; /* whom the keeper becomes; all zero: nobody else */
};

/*
 * keeper: fork it. Only while the process has one thread. It opens the devices as who this process
 * is, and then becomes the owner.
 */
int vault_start(const struct vault_options *o, bool keeper, struct vault **out);
void vault_stop(struct vault *v); /* accepts NULL */

/* The path, for messages; NUL-terminated into buf, which it returns. */
#define VAULT_NAME_BYTES 4200
const char *vault_name(const struct vault *v, enum vault_kind kind, unsigned index,
		       char buf[VAULT_NAME_BYTES]);

/* The end of a socket pair by which the uploader's process asks the keeper for VAULT_HOST; the
 * caller's. -1: there is no keeper. */
int vault_take_host_end(struct vault *v);

/* The number of a file of this machine that the uploader may read; -1: it is none of them. */
int vault_host(const char *path);

/* The number of an artefact that may be kept; -1: there is none of this name. */
int vault_artefact(const char *name);

/* A descriptor, or -errno: -ENOENT without a reason, others with one. */
int vault_open(struct vault *v, enum vault_kind kind, unsigned index, enum vault_how how);

bool vault_has(struct vault *v, enum vault_kind kind, unsigned index);

/* NAME.new, which was written and synced, takes the place of NAME, durably. */
int vault_commit(struct vault *v, enum vault_kind kind, unsigned index);

/* VAULT_NEW, write, sync, vault_commit(): readers find the old or the new, whatever happens. */
int vault_replace(struct vault *v, enum vault_kind kind, unsigned index, const void *data,
		  size_t bytes);

/* As io_read_file(). */
int vault_read(struct vault *v, enum vault_kind kind, unsigned index, size_t max_bytes, char **data,
	       size_t *bytes);

/* Where disks are files: bytes that are free there; else 0. */
uint64_t vault_free_bytes(const struct vault *v);

#endif
