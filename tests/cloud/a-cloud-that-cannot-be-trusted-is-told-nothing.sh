#!/usr/bin/env bash
# The shipped pipeline speaks TLS to the cloud, with a certificate that its CA bundle vouches for and that names the host; else
# nothing of a request is sent. SSL_CERT_FILE names another bundle. Plain http leaves this machine never.
# shellcheck source=tests/cloud/lib.sh
. "$(dirname "$0")/lib.sh"
requires openssl python3
program=build/musl/pipeline
[ -x "$program" ] || { echo "$program is not built"; exit 1; }

openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key.pem" -out "$work/good.pem" -days 10 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost 2>/dev/null
openssl req -x509 -key "$work/key.pem" -out "$work/other-name.pem" -days 10 -subj /CN=elsewhere.example \
	-addext subjectAltName=DNS:elsewhere.example 2>/dev/null
openssl req -x509 -key "$work/key.pem" -out "$work/far.pem" -days 10 -subj /CN=sts.far.invalid \
	-addext subjectAltName=DNS:sts.far.invalid 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$work/key2.pem" -out "$work/other-ca.pem" -days 10 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost 2>/dev/null

cat >"$work/server.py" <<'PY'
import http.server, json, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length") or 0))
        print("asked", self.headers.get("x-acs-action"), flush=True)
        body = json.dumps({"RequestId": "r", "AccountId": "42", "Arn": "acs:ram::42:user/tls"}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
    def handle_error(self, *_):
        pass
class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        pass
server = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
PY

serve() { # CERTIFICATE; sets port
	: >"$work/served"
	python3 "$work/server.py" "$work/$1" "$work/key.pem" >"$work/served" 2>&1 &
	emulator_pid=$!
	until [ -s "$work/served" ]; do kill -0 "$emulator_pid" || exit 1; sleep 0.05; done
	port=$(head -n 1 "$work/served")
}

stop_serving() {
	kill "$emulator_pid"
	wait "$emulator_pid" 2>/dev/null || true
	emulator_pid=
}

export ALIBABA_CLOUD_ACCESS_KEY_ID=id ALIBABA_CLOUD_ACCESS_KEY_SECRET=secret HOME=$work COLDLIFT_CLOUD_RETRY_MS=1 no_proxy='*'

ask() { # PATTERN ENVIRONMENT...
	local pattern=$1
	shift
	env "$@" "$program" account region=cn-beijing >"$work/said" 2>&1 || true
	grep -q "$pattern" "$work/said" || { cat "$work/said"; echo "not said: $pattern ($*)"; exit 1; }
}

told() { [ "$(grep -c asked "$work/served" || true)" = "$1" ] || { cat "$work/served"; echo "asked, and not $1 times"; exit 1; }; }

serve good.pem
ask '^FAIL *keys.*certificate is not trusted' "COLDLIFT_ENDPOINT_STS=https://localhost:$port"
ask '^FAIL *keys.*certificate is not trusted' "COLDLIFT_ENDPOINT_STS=https://localhost:$port" "SSL_CERT_FILE=$work/other-ca.pem"
ask '^FAIL *keys.*certificate is not trusted' "COLDLIFT_ENDPOINT_STS=https://localhost:$port" "SSL_CERT_FILE=$work/missing.pem"
told 0
ask '^ok *keys.*user/tls, account 42' "COLDLIFT_ENDPOINT_STS=https://localhost:$port" "SSL_CERT_FILE=$work/good.pem" \
	COLDLIFT_ENDPOINT_VPC=http://127.0.0.1:1 COLDLIFT_ENDPOINT_ECS=http://127.0.0.1:1 COLDLIFT_ENDPOINT_ENS=http://127.0.0.1:1 \
	COLDLIFT_ENDPOINT_RAM=http://127.0.0.1:1
told 1
stop_serving

serve other-name.pem
ask '^FAIL *keys.*certificate is not trusted' "COLDLIFT_ENDPOINT_STS=https://localhost:$port" "SSL_CERT_FILE=$work/other-name.pem"
told 0
stop_serving

# By a proxy that the environment names: it connects, TLS goes through it, and it sees no request.
cat >"$work/proxy.py" <<'PY'
import socket, sys, threading
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    b.close()
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    head = b""
    while b"\r\n\r\n" not in head:
        head += client.recv(4096)
    print(head.split(b"\r\n")[0].decode(), flush=True)
    server = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
    threading.Thread(target=pump, args=(client, server), daemon=True).start()
    threading.Thread(target=pump, args=(server, client), daemon=True).start()
PY
serve far.pem
timeout 300 python3 "$work/proxy.py" "$port" >"$work/proxied" &
proxy_pid=$!
until [ -s "$work/proxied" ]; do kill -0 "$proxy_pid" || exit 1; sleep 0.05; done
nowhere=http://127.0.0.1:1
ask '^ok *keys.*user/tls' COLDLIFT_ENDPOINT_STS=https://sts.far.invalid "SSL_CERT_FILE=$work/far.pem" no_proxy= \
	"https_proxy=http://127.0.0.1:$(head -n 1 "$work/proxied")" "COLDLIFT_ENDPOINT_VPC=$nowhere" "COLDLIFT_ENDPOINT_ECS=$nowhere" \
	"COLDLIFT_ENDPOINT_ENS=$nowhere" "COLDLIFT_ENDPOINT_RAM=$nowhere"
kill "$proxy_pid"
told 1
grep -q '^CONNECT sts.far.invalid:443 ' "$work/proxied" || { cat "$work/proxied"; exit 1; }
stop_serving
ask 'neither https nor http on this machine' COLDLIFT_ENDPOINT_STS=http://sts.example.com
