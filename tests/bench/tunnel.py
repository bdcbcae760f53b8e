#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""TLS for contestants that have none: OpenSSL's, through Python, which only hands buffers on.

  tunnel.py send PORT            standard input goes to the peer
  tunnel.py receive DIR PORT     and comes out here"""

import os
import socket
import ssl
import subprocess
import sys

PART = 1 << 18


def connect(port):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def accept(here, port):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
                    "-subj", "/CN=bench", "-keyout", f"{here}/key.pem", "-out", f"{here}/cert.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{here}/cert.pem", f"{here}/key.pem")
    with socket.create_server(("127.0.0.1", port)) as listener:
        open(f"{here}/listening", "w").close()
        return context.wrap_socket(listener.accept()[0], server_side=True)


def write_all(fd, data):
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def main(words):
    if words[0] == "send":
        with connect(int(words[1])) as stream:
            while data := os.read(0, PART):
                stream.sendall(data)
            try:
                stream.unwrap()
            except OSError:  # the other end has all and is gone
                pass
    else:
        with accept(words[1], int(words[2])) as stream:
            while data := stream.recv(PART):
                write_all(1, data)


main(sys.argv[1:])
