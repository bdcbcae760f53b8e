# SPDX-License-Identifier: GPL-2.0-or-later
"""What a migrator says to the control service: control.py ACTIVATION METHOD PATH, the body on standard input. Prints the answer."""

import base64
import ssl
import sys
import urllib.request

code, method, path = sys.argv[1:]
raw = base64.urlsafe_b64decode(code.split(".", 1)[1] + "==")
n = raw[1]
host, port, token = raw[2:2 + n].decode(), int.from_bytes(raw[2 + n:4 + n], "big"), raw[38 + n:54 + n].hex()
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
request = urllib.request.Request(f"https://{host}:{port}{path}", sys.stdin.buffer.read(), {"Authorization": f"Bearer {token}"}, method=method)
print(urllib.request.urlopen(request, context=context).read().decode())
