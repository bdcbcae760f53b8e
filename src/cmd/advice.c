/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an operator can do about each failure that has a code. Refusals of the plan carry their
 * advice in plan/; these are the failures of everything else. A test checks that no code is missing
 * here.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "cmd/cmd.h"
#include "plan/plan.h"

static const struct advice {
	const char *code;
	const char *text;
} table[] = {
	{"ACTIVATION_BAD", "Copy the activation code again, whole, as the receiver printed it."},
	{"ACTIVATION_MISSING", "Give the code that the receiver printed: coldlift.activation=CODE "
			       "on the kernel command line, or \"activation\" in the job file."},
	{"CHUNK_CORRUPTED", "The network or a machine's memory changes data. Test the source's "
			    "memory; try again over another network card or path."},
	{"CLOUD_BYTES_DIFFER",
	 "The network, a proxy or this machine's memory changes data. Try again; if "
	 "it comes back, test the memory."},
	{"CLOUD_ENDPOINT_REFUSED", "Give the endpoint as https://HOST; plain http is taken for an "
				   "emulator on this machine alone."},
	{"CLOUD_KEYS_INVALID", "Correct the profile in the configuration file, or give the keys in "
			       "the environment."},
	{"CLOUD_KEYS_MISSING",
	 "Set ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET, "
	 "configure the vendor's command line tool, or run on an instance "
	 "with a RAM role."},
	{"CLOUD_NAME_INVALID", "Correct the name in the job."},
	{"CLOUD_REPLY_INVALID", "Something between this machine and the cloud changes replies, or "
				"the cloud's interface has changed. Try again without a proxy."},
	{"CLOUD_REPLY_LOST", "Start the job again: it looks up what the lost request did."},
	{"CLOUD_THING_FAILED", "See the cloud's console for the reason, then retry the job."},
	{"CLOUD_TLS_UNTRUSTED", "Check this machine's clock, its CA certificates (SSL_CERT_FILE "
				"names others) and whether a proxy breaks TLS open."},
	{"CLOUD_UNREACHABLE", "Check this machine's network, name resolution and proxy settings."},
	{"CONFINE_FAILED", "Run the receiver where the kernel has seccomp filters "
			   "(CONFIG_SECCOMP_FILTER) and the container allows them."},
	{"CLOUD_WAIT_TOO_LONG", "Start the job again: it goes on waiting."},
	{"CMDLINE_INVALID",
	 "Correct the kernel command line in the boot menu (key e) and boot again."},
	{"COPY_CANCELLED",
	 "Nothing is wrong. Boot the image again to go on; what arrived is kept."},
	{"COPY_NO_MEMORY",
	 "Boot the image on a machine with more memory, or set \"connections\" lower in the job."},
	{"COW_FULL", "Boot the image on a machine with more memory, or shut the source down "
		     "cleanly first, so that there is less to replay."},
	{"DISK_SIZE_DIFFERS", "The receiver's disks are not those of the plan. Start the job again "
			      "with an empty receiver."},
	{"DISK_FROZEN",
	 "An image is being made of the receiver's disks. Wait for its end, or drop the "
	 "order (DELETE /v1/image), then try again."},
	{"EXPORT_UNKNOWN", "The receiver does not have this disk. Start it with as many targets as "
			   "the source has disks, then try again."},
	{"FILE_UNREADABLE",
	 "Check the file's name, that it is there, its size, and who may read it."},
	{"FS_DAMAGED",
	 "Repair the file system on the source (e2fsck, xfs_repair), then try again."},
	{"FS_DIRTY", "The journal of this file system was not replayed. Start the machine's own "
		     "system once and shut it down in order, or run its file system check."},
	{"FS_REPLAY_FAILED",
	 "Mount and unmount the file system once on the source, then try again."},
	{"GUEST_BOOT_FULL",
	 "Remove an old kernel on the source to make room in /boot, then try again."},
	{"GUEST_MOUNT_FAILED", "Check the named file system on the source, or allow this code to "
			       "copy it without repairs."},
	{"GUEST_NO_VIRTIO", "Install a kernel with virtio drivers on the source, or remove the one "
			    "that is named, then try again."},
	{"IDENTITY_DAMAGED", "On the receiver: restore key.pem and cert.pem in its state "
			     "directory, or start it with an empty one and use the new code."},
	{"IMAGE_BUSY", "Wait for the order that stands, or drop it (DELETE /v1/image)."},
	{"IMAGE_DISK_UNKNOWN", "Order images of the disks that the receiver has."},
	{"IMAGE_INCOMPLETE", "Let the copy come to its end, then order the image again."},
	{"IMAGE_INVALID", "Make the image again; this file is damaged."},
	{"IMAGE_MEDIUM_DIFFERS",
	 "The receiver's disk changed what was written to it. Run the migrator again: it reads the "
	 "disk back, and sends what differs once more. When it happens again, replace that disk."},
	{"IMAGE_ORDER_BAD", "Use receiver and pipeline of the same version."},
	{"IMAGE_ORDER_DIFFERS", "Drop the order that stands (DELETE /v1/image), then order again."},
	{"IMAGE_PARTS_EXCEEDED", "Order the image with larger parts."},
	{"IMAGE_STATE_STALE", "Remove the state of the upload and begin it anew."},
	{"IMAGE_UNSUPPORTED", "Convert the image to a plain one: qemu-img convert -O qcow2."},
	{"INITRAMFS_DAMAGED",
	 "Make the named initramfs anew on the source (update-initramfs, dracut), then try again."},
	{"INITRAMFS_FORMAT", "Make the named initramfs anew on the source with gzip or zstd, or "
			     "remove that kernel, then try again."},
	{"JOB_INVALID", "Correct the job file; docs list its keys."},
	{"JOB_JOURNAL_DAMAGED",
	 "The job's state cannot be trusted. pipeline clean finds by their tag "
	 "what it made; then make another job."},
	{"JOB_RUNNING", "Another pipeline works on this job; wait for it, or end it first. It can "
			"be killed at any time."},
	{"JOURNAL_CONTRADICTS", "On the receiver: the journal cannot be trusted. Start it with an "
				"empty state directory, and copy again."},
	{"JOURNAL_DAMAGED", "On the receiver: the journal cannot be trusted. Start it with an "
			    "empty state directory, and copy again."},
	{"JOURNAL_FOREIGN", "On the receiver: this state directory belongs to other disks. Start "
			    "it with an empty one."},
	{"JSON_INVALID", "Correct the file at the place that is named; it must be JSON."},
	{"DIGEST_UNSUPPORTED",
	 "The receiver is too old for SHA-256 digests, or a foreign server: start a receiver of "
	 "this "
	 "version, or set digest to xxh3-128, which finds damage but no tampering."},
	{"LEAVES_INVALID", "Take verify.leaves of the same run as verify.json, or leave --leaves "
			   "out: the proof itself does not need it."},
	{"LISTEN_FAILED", "On the receiver: give an address of this machine with --listen, and "
			  "ports that the user who starts it may use (1024 and above)."},
	{"LVM_INVALID", "Check the volume group on the source (vgck), or leave the disk out with "
			"\"exclude_disks\"."},
	{"MAP_INVALID", "Remove copy.map and start again, so that it is made anew."},
	{"MD_INVALID",
	 "Look at the array on the running source (mdadm --examine), then try again."},
	{"MIGRATOR_RUNNING",
	 "See how far it is: Alt-F1, or the serial line. It can be ended at any time "
	 "(kill), and what has arrived is kept."},
	{"NETWORK_CORRUPTS", "Something between the two machines changes data; nothing wrong was "
			     "written. Try again over another network card, cable or path."},
	{"PEER_NOT_NBD",
	 "Something else answers on the receiver's data port. Check address, port and firewall."},
	{"PEER_NO_TLS", "The peer does not encrypt. Use our receiver, or say --plain on a network "
			"that you trust."},
	{"PIN_MISMATCH", "Another machine answers in the receiver's place, or it was set up anew. "
			 "Take the activation code that it prints now."},
	{"PLAN_BAD", "Use receiver and migrator of the same version."},
	{"PLAN_INVALID", "Make the plan again; it is not edited by hand."},
	{"PLAN_MISSING", "Start the source again; it hands its plan to the receiver before it "
			 "copies."},
	{"PORT_IN_USE", "On the receiver: end what uses the port, or give another with "
			"--control-port and --data-port."},
	{"PROOF_LACKING", "Start the source with the job file that this job has handed out (it has "
			  "\"digest\": \"sha-256\"), "
			  "then retry."},
	{"PROOF_INVALID",
	 "Take verify.json as the receiver keeps it, and say which of its disks with "
	 "--index."},
	{"RECEIVER_BUSY",
	 "Another migration runs into this receiver. Wait for it, or start a second receiver."},
	{"RECEIVER_ENDED", "See receiver.log in the job's directory, then start the job again."},
	{"RECEIVER_FAILED", "Something failed on the receiver. Look at its log and its disk."},
	{"RECEIVER_LOST_CHUNKS",
	 "The receiver's disk lost what it had said was safe. Replace that disk, then copy again."},
	{"RECEIVER_NOT_FOUND", "Put the receiver beside the pipeline, or name it with the job's "
			       "\"receiver\"."},
	{"RECEIVER_PART_LOST",
	 "Start the receiver again; what arrived is kept. Its machine's kernel "
	 "log says if memory ran out."},
	{"RECEIVER_REPLY_INVALID", "Use receiver, migrator and pipeline of the same version, and "
				   "nothing in between that answers for the receiver."},
	{"RECEIVER_UNREACHABLE", "Check that the receiver runs, that its ports 8080 and 8703 are "
				 "open to this address, and cable, VLAN and route here."},
	{"REPAIR_FAILED", "See the reason; remove the named kernel on the source, or allow this "
			  "code to copy it as it is."},
	{"SOURCE_ASSEMBLED", "Stop the named array, volume or container, then try again."},
	{"SOURCE_CHANGED",
	 "The disks are not those of the plan: start again, so that a new plan is made."},
	{"SOURCE_FAILED", "Look at the source's screen; boot it from the image again, then retry "
			  "the job."},
	{"SOURCE_LOST", "Check the disk's cable, power and controller, then boot the image again; "
			"what arrived is kept."},
	{"SOURCE_NOT_READONLY", "Stop here: this controller lets a disk be written that must not "
				"be. Nothing was written yet."},
	{"SOURCE_READ_ERROR",
	 "Check the disk's cables and controller and start again, or allow "
	 "what is lost with \"holes_max\" or \"holes_outside\" in the job; all "
	 "else has arrived."},
	{"STATE_IN_USE",
	 "On the receiver: another receiver runs with this state directory. End it first."},
	{"STATE_UNUSABLE",
	 "On the receiver: name with --state a directory that the user who starts "
	 "it may write to, on a local file system that is not read-only."},
	{"TABLE_INVALID", "Repair the partition table on the source (sgdisk --verify), or leave "
			  "the disk out with \"exclude_disks\"."},
	{"TARGET_CHANGED",
	 "The receiver's disk is not what it was when the copy began. Start again."},
	{"TARGET_FAILED",
	 "The receiver's disk fails. Look at its kernel log, replace it, and start again."},
	{"TARGET_FULL", "Make room on the receiver, then start again; what arrived is kept."},
	{"TARGET_HOLDS_MACHINE",
	 "Send the image to a receiver of its own; or say --overwrite, if that "
	 "machine's copy is not needed any more."},
	{"TARGET_INVALID", "Use receiver and migrator of the same version; a file that is given is "
			   "the receiver's answer to GET /v1/target, unchanged."},
	{"TARGET_IN_USE",
	 "On the receiver: unmount or stop what uses the target disk, or name other targets."},
	{"TARGET_SIZE_DIFFERS",
	 "This receiver holds another machine's disks. Start one with an empty state directory."},
	{"TARGET_TOO_SMALL", "Give the receiver a larger disk, then start again."},
	{"TARGET_UNUSABLE",
	 "On the receiver: name with --files a directory that the user who starts it may write to, "
	 "or with --device block devices that are there."},
	{"TARGET_WRITE_ERROR",
	 "The receiver could not write. Look at its log and its disk, then start again."},
	{"TLS_FAILED", "The two ends do not agree on TLS. Check that nothing in between opens it "
		       "(a proxy, a firewall), and use receiver and migrator of the same version."},
	{"TOKEN_DAMAGED",
	 "Remove token.json from the state directory and start the receiver again: "
	 "it prints a new activation code."},
	{"TOKEN_FILE_BAD", "Write 32 hexadecimal digits into the file and make it readable by its "
			   "owner alone (chmod 600)."},
	{"TOKEN_REFUSED", "The activation code is used up, expired or of another receiver. Take "
			  "the one that it prints now."},
	{"UPLOADER_GONE", "Start the receiver again; the upload goes on by itself."},
	{"UPLOAD_DIFFERS", "The store holds other bytes than were sent. Retry the job; if it comes "
			   "again, something on the way changes data."},
	{"UPLOAD_GONE", "The multipart upload was ended by somebody. Begin another one."},
	{"UPLOAD_REFUSED", "The store refuses a part for the reason that is named."},
	{"UPLOAD_TLS", "Check the receiver's clock and certificates, or give the order its own."},
	{"UPLOAD_UNREACHABLE", "Check the receiver's route and name service to the store."},
	{"USER_UNKNOWN", "Name a user of this machine other than root with --user, and start the "
			 "receiver as root."},
	{"VERIFY_MISMATCH",
	 "The copy differs from the source at the place that is named. Check the "
	 "disk that holds it and its machine's memory, then copy again; only "
	 "what differs is sent."},
	{"VERIFY_TOO_SMALL",
	 "Check that it is the right file or device, and the whole of it. Raw images and qcow2 are "
	 "known; convert another kind first (qemu-img convert -O qcow2)."},
	{"VERIFY_UNSUPPORTED",
	 "This server keeps no digests; compare with qemu-img compare, or use our receiver."},
};

const char *cmd_advice(const char *code)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].code, code) == 0)
			return table[i].text;
	}
	/* Some refusals come to light before there is a plan to refuse. */
	for (const struct plan_rule *r = plan_rules; r->code; r++) {
		if (strcmp(r->code, code) == 0)
			return r->advice;
	}
	return "";
}

/* What passes by itself: the peer or the network, not a wrong key, a full disk or a bad file. */
static bool is_passing(int rc)
{
	switch (-rc) {
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EAGAIN:
		return true;
	default:
		return false;
	}
}

int cmd_status_of(int rc)
{
	if (rc >= 0)
		return CMD_DONE;
	if (strcmp(err_code(), "PLAN_REFUSED") == 0)
		return CMD_REFUSED;
	if (strcmp(err_code(), "RECEIVER_BUSY") == 0)
		return CMD_TRY_AGAIN;
	return is_passing(rc) ? CMD_TRY_AGAIN : CMD_FAILED;
}

int cmd_report(const char *command, int rc)
{
	const char *code = err_code(), *advice = cmd_advice(code);

	if (rc >= 0)
		return CMD_DONE;
	fprintf(stderr, "%s: %s%s%s\n", command, code, *code ? ": " : "", err_reason());
	if (*advice)
		fprintf(stderr, "%s\n", advice);
	return cmd_status_of(rc);
}
