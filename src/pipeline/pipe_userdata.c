/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The script of the intermediate instance; see pipe_userdata.h. */
#include "pipeline/pipe_userdata.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"

/* In three parts, as a string literal may be long but a person reads this. */
static const char fetch[] =
	"#!/bin/sh\n"
	"# Coldlift's intermediate instance: fetch the receiver, make it a service.\n"
	"set -eu\n"
	"umask 077\n"
	"# User data runs once; a crash in the middle of it is made good at the next boot.\n"
	"boot=/var/lib/cloud/scripts/per-boot\n"
	"mkdir -p /opt/coldlift /var/lib/coldlift $boot\n"
	"case $0 in\n"
	"$boot/*) ;;\n"
	"/*) cp \"$0\" $boot/coldlift && chmod 700 $boot/coldlift ;;\n"
	"esac\n"
	"cd /opt/coldlift\n"
	"url='%s'\n"
	"sum=%s\n"
	"# The URL is a right of its own and stands on no command line.\n"
	"fetch() {\n"
	"	if command -v curl >/dev/null 2>&1; then\n"
	"		printf 'url = \"%%s\"\\n' \"$url\" | curl -fsS --retry 5 -o receiver.new "
	"-K -\n"
	"	else\n"
	"		printf '%%s\\n' \"$url\" | wget -q -O receiver.new -i -\n"
	"	fi\n"
	"}\n"
	"n=0\n"
	"until fetch && echo \"$sum  receiver.new\" | sha256sum -c >/dev/null; do\n"
	"	n=$((n + 1))\n"
	"	[ $n -lt 30 ] || { echo 'the receiver cannot be fetched, or is not what it should "
	"be'; exit 1; }\n"
	"	sleep 2\n"
	"done\n"
	"chmod 700 receiver.new\n"
	"mv receiver.new receiver\n";

static const char secrets[] =
	"cat >/var/lib/coldlift/key.pem <<'COLDLIFT_END'\n"
	"%sCOLDLIFT_END\n"
	"cat >/var/lib/coldlift/cert.pem <<'COLDLIFT_END'\n"
	"%sCOLDLIFT_END\n"
	"echo %s >/opt/coldlift/token\n"
	"chmod 600 /var/lib/coldlift/key.pem /var/lib/coldlift/cert.pem /opt/coldlift/token\n";

static const char service[] =
	"cat >run <<'COLDLIFT_END'\n"
	"#!/bin/sh\n"
	"# Data disks may come a moment after the system.\n"
	"for disk in%s; do\n"
	"	until [ -b $disk ]; do sleep 1; done\n"
	"done\n"
	"while :; do\n"
	"	/opt/coldlift/receiver serve --state /var/lib/coldlift --token-file "
	"/opt/coldlift/token%s\n"
	"	[ -d /run/systemd/system ] && exit 1\n"
	"	sleep 1\n"
	"done\n"
	"COLDLIFT_END\n"
	"chmod 700 run\n"
	"sync\n"
	"if [ -d /run/systemd/system ]; then\n"
	"	cat >/etc/systemd/system/coldlift-receiver.service <<'COLDLIFT_END'\n"
	"[Unit]\n"
	"Description=Coldlift receiver\n"
	"Wants=network-online.target\n"
	"After=network-online.target\n"
	"[Service]\n"
	"ExecStart=/opt/coldlift/run\n"
	"Restart=always\n"
	"RestartSec=1\n"
	"# However often: a disk may be late.\n"
	"StartLimitInterval=0\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n"
	"COLDLIFT_END\n"
	"	systemctl daemon-reload\n"
	"	systemctl enable --now coldlift-receiver.service\n"
	"	sync\n"
	"	rm -f $boot/coldlift\n"
	"else\n"
	"	printf '#!/bin/sh\\nexec setsid /opt/coldlift/run >>/var/log/coldlift-receiver.log "
	"2>&1 </dev/null\\n' "
	">$boot/coldlift.new\n"
	"	chmod 700 $boot/coldlift.new\n"
	"	sync\n"
	"	mv $boot/coldlift.new $boot/coldlift\n"
	"	setsid $boot/coldlift &\n"
	"fi\n";

static bool is_quotable(const char *text)
{
	return !strchr(text, '\'') && !strstr(text, "COLDLIFT_END");
}

char *userdata_make(const struct userdata *u)
{
	char disks[512] = "", options[1024] = "", *text = NULL;
	size_t bytes = 0;
	FILE *f;

	if (!is_quotable(u->url) || !is_quotable(u->key_pem) || !is_quotable(u->cert_pem)) {
		(void)fail(EINVAL, "user data: a text in it cannot be quoted");
		return NULL;
	}
	for (unsigned i = 0; i < u->disks && i < 25; i++) {
		size_t n = strlen(disks), m = strlen(options);

		snprintf(disks + n, sizeof(disks) - n, " /dev/vd%c", (int)('b' + i));
		snprintf(options + m, sizeof(options) - m, " --device /dev/vd%c", (int)('b' + i));
	}
	f = open_memstream(&text, &bytes);
	if (!f) {
		(void)fail(ENOMEM, "memory for the user data");
		return NULL;
	}
	fprintf(f, fetch, u->url, u->sha256);
	fprintf(f, secrets, u->key_pem, u->cert_pem, u->token);
	fprintf(f, service, disks, options);
	fclose(f);
	if (bytes > USERDATA_MAX_BYTES) {
		(void)fail(EFBIG, "user data has %zu bytes, ECS takes %d", bytes,
			   USERDATA_MAX_BYTES);
		free(text);
		return NULL;
	}
	return text;
}
