#!/usr/bin/env bash
# Another client of our NBD extension, in Python, written from docs/protocol.md alone: plain and compressed chunks, wrong
# digests, zeros, digests, durability, runs, reading back, patches, also near ones; all of it with both digests, and from one to the other. Digests
# come from xxhsum and hashlib, frames from zstd.
# shellcheck source=tests/proto/lib-receiver.sh
. "$(dirname "$0")/lib-receiver.sh"
requires python3 xxhsum zstd
# What is asked for by DURABLE is durable, and nothing else meanwhile.
seldom=(--commit-ms 60000)
start_receiver "${seldom[@]}"
size=$((8 * 1048576 + 4097)) # the last chunk is short, and its last block has one byte
size=$(((size + 511) / 512 * 512))
put_plan "$size"
cat >"$work/client.py" <<'END'
import ctypes, hashlib, random, socket, ssl, struct, subprocess, sys

port, token, ca, size, step = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3], int(sys.argv[4]), sys.argv[5]
KIND = int(sys.argv[6])  # 1: XXH3-128, 2: SHA-256
CHUNK, BLOCK = 1 << 20, 4096
IHAVEOPT, OPTREPLY = 0x49484156454F5054, 0x3E889045565A9
COLDLIFT = 0x434C4654
CHUNK_WRITE, DIGESTS, DURABLE, KEEP, READBACK, BLOCK_DIGESTS = 0x4301, 0x4302, 0x4303, 0x4304, 0x4305, 0x4306


def xxh3(data):
    out = subprocess.run(["xxhsum", "-q", "-H2"], input=data, capture_output=True, check=True).stdout
    return bytes.fromhex(out.split()[0].decode())


def digest_of(data, kind=KIND):
    return hashlib.sha256(data).digest() if kind == 2 else xxh3(data)


class Refused(Exception):
    pass


class Client:
    def __init__(self, run, window=0, kind=KIND, near=False):
        self.kind = kind
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        assert self.read(18) == struct.pack(">QQH", 0x4E42444D41474943, IHAVEOPT, 3)
        self.send(struct.pack(">I", 3))
        assert self.option(5)[-1][0] == 1
        self.socket = ssl.create_default_context(cafile=ca).wrap_socket(self.socket, server_hostname="localhost")
        offer = struct.pack(">HBBIB7s32s", 1, 20, kind, (7 if window else 3) + 8 * near, window, b"", run)
        assert self.option(COLDLIFT, offer)[-1][0] == 0x80000003  # structured replies come first
        assert self.option(8)[-1][0] == 1
        name = token + b"/disk0"
        if window:  # only for who has shown the token
            stranger = self.option(COLDLIFT, offer)[0][1]
            assert stranger[4:8] == struct.pack(">I", 3) and stranger[12] == 0
            assert self.option(6, struct.pack(">I", len(name)) + name + struct.pack(">H", 0))[-1][0] == 1
        for other in (0, 3, 255):
            assert self.option(COLDLIFT, offer[:3] + bytes([other]) + offer[4:])[-1][0] == 0x80000003
        replies = self.option(COLDLIFT, offer)
        assert [kind for kind, _ in replies] == [COLDLIFT, 1]
        self.window = replies[0][1][12]
        assert replies[0][1][4:8] == struct.pack(">I", (7 if self.window else 3) + 8 * near)
        assert window or struct.unpack(">HBBIII", replies[0][1]) == (1, 20, kind, 3 + 8 * near, 1048656, 3)
        replies = self.option(7, struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, 3))
        if replies[-1][0] == 0x80000007:  # NBD_REP_ERR_SHUTDOWN
            raise Refused(replies[-1][1].decode())
        assert replies[-1][0] == 1, replies
        info = next(data for kind, data in replies if kind == 3 and data[:2] == b"\0\0")
        assert struct.unpack(">HQH", info)[1] == size
        self.cookie = 0

    def send(self, data):
        self.socket.sendall(data)

    def read(self, n):
        data = b""
        while len(data) < n:
            part = self.socket.recv(n - len(data))
            assert part, "the receiver closed the connection"
            data += part
        return data

    def option(self, number, data=b""):
        self.send(struct.pack(">QII", IHAVEOPT, number, len(data)) + data)
        replies = []
        while True:
            magic, which, kind, length = struct.unpack(">QIII", self.read(20))
            assert magic == OPTREPLY and which == number
            replies.append((kind, self.read(length)))
            if kind == 1 or kind & 0x80000000:
                return replies

    def request(self, command, offset=0, length=0, flags=0, data=b""):
        """Error number, and the payloads of structured replies."""
        self.cookie += 1
        self.send(struct.pack(">IHHQQI", 0x25609513, flags, command, self.cookie, offset, length) + data)
        payloads = []
        while True:
            magic = self.read(4)
            if magic == b"\x67\x44\x66\x98":
                error, cookie = struct.unpack(">IQ", self.read(12))
                assert cookie == self.cookie
                return error, payloads
            flags, kind, cookie, length = struct.unpack(">HHQI", self.read(16))
            assert cookie == self.cookie
            payload = self.read(length)
            if kind & 0x8000:
                return struct.unpack(">I", payload[:4])[0], payload[6:]
            payloads.append((kind, payload))
            if flags & 1:
                return 0, payloads

    def chunk(self, number, plain, zstd=False, digest=None, present_zeros=False, **change):
        blocks = [plain[at : at + BLOCK] for at in range(0, len(plain), BLOCK)]
        here = [i for i, block in enumerate(blocks) if present_zeros or block.strip(b"\0")]
        bitmap = bytearray(32)
        for i in here:
            bitmap[i // 8] |= 1 << i % 8
        present = b"".join(blocks[i] for i in here)
        payload = present
        if zstd:
            payload = subprocess.run(["zstd", "-q", "-c", "--stream-size=%d" % len(present)], input=present, capture_output=True,
                                     check=True).stdout
        fields = dict(codec=int(zstd), kind=self.kind, zero=0, payload=len(payload), present=len(present), zero2=0)
        fields.update(change)
        head = struct.pack(">BBHIII", *fields.values()) + bytes(bitmap) + (digest or digest_of(plain, self.kind)).ljust(32, b"\0")
        return self.request(CHUNK_WRITE, number * CHUNK, len(head) + len(payload), 0, head + payload)

    def digests(self, first, count, command=DIGESTS):
        """[(state, flags, digest)] of each chunk."""
        error, payloads = self.request(command, first * CHUNK, count)
        assert error == 0
        chunks = []
        each = 32 if self.kind == 2 else 16
        for kind, payload in payloads:
            assert kind == DIGESTS and struct.unpack(">Q", payload[:8])[0] == first + len(chunks)
            at = 8
            while at < len(payload):
                n, state, flags, zero = struct.unpack(">IBBH", payload[at : at + 8])
                at += 8
                assert n >= 1 and zero == 0
                for _ in range(n):
                    chunks.append((state, flags, payload[at : at + each] if state == 2 else b""))
                    at += each if state == 2 else 0
        assert len(chunks) == count
        return chunks

    def marks(self, number, to_patch=False):
        error, payloads = self.request(BLOCK_DIGESTS, number * CHUNK, 1, 0x100 * to_patch)
        assert error == 0 and len(payloads) == 1 and payloads[0][0] == BLOCK_DIGESTS
        assert struct.unpack(">Q", payloads[0][1][:8])[0] == number
        marks = payloads[0][1][8:]
        step = 2 if to_patch else 4
        return [marks[at : at + step] for at in range(0, len(marks), step)]

    def patch(self, number, plain, blocks, zstd=False, digest=None):
        """Only these blocks; the others stay."""
        bitmap = bytearray(32)
        for i in blocks:
            bitmap[i // 8] |= 1 << i % 8
        present = b"".join(plain[i * BLOCK : (i + 1) * BLOCK] for i in blocks)
        payload = present
        if zstd:
            payload = subprocess.run(["zstd", "-q", "-c", "--stream-size=%d" % len(present)], input=present, capture_output=True,
                                     check=True).stdout
        head = struct.pack(">BBHIII", int(zstd), self.kind, 1, len(payload), len(present), 0) + bytes(bitmap) + (digest or digest_of(plain, self.kind)).ljust(32, b"\0")
        return self.request(CHUNK_WRITE, number * CHUNK, len(head) + len(payload), 0, head + payload)

    def near(self, number, plain, blocks, codec=3, patch=1, have=None):
        """As patch(), packed with the blocks around those that go; have: what is believed to stand there."""
        bitmap = bytearray(32)
        for i in blocks:
            bitmap[i // 8] |= 1 << i % 8
        around = [i for i in range(256) if i not in blocks and any(j in blocks for j in range(i - 4, i + 5))][:128]
        prefix = b"".join((have or plain)[i * BLOCK : (i + 1) * BLOCK] for i in around)
        present = b"".join(plain[i * BLOCK : (i + 1) * BLOCK] for i in blocks)
        zstd = ctypes.CDLL("libzstd.so.1")
        zstd.ZSTD_createCCtx.restype = ctypes.c_void_p
        zstd.ZSTD_compress2.restype = ctypes.c_size_t
        context, out = ctypes.c_void_p(zstd.ZSTD_createCCtx()), ctypes.create_string_buffer(CHUNK)
        zstd.ZSTD_CCtx_refPrefix(context, prefix, ctypes.c_size_t(len(prefix)))
        got = zstd.ZSTD_compress2(context, out, ctypes.c_size_t(CHUNK), present, ctypes.c_size_t(len(present)))
        assert got < CHUNK
        payload = out.raw[:got]
        head = struct.pack(">BBHIII", codec, self.kind, patch, len(payload), len(present), 0) + bytes(bitmap) + digest_of(plain, self.kind).ljust(32, b"\0")
        return len(payload), self.request(CHUNK_WRITE, number * CHUNK, len(head) + len(payload), 0, head + payload)[0]

    def part(self, number, plain, part, begins=0, digest=None):
        """A chunk without zero blocks as the next part of a stream."""
        head = struct.pack(">BBHIII", 2, self.kind, 2 * begins, len(part), len(plain), 0) + b"\xff" * 32 + (digest or digest_of(plain, self.kind)).ljust(32, b"\0")
        return self.request(CHUNK_WRITE, number * CHUNK, len(head) + len(part), 0, head + part)[0]

    def durable(self, force=True):
        error, payloads = self.request(DURABLE, flags=int(force))
        assert error == 0 and payloads[0][0] == DURABLE
        return struct.unpack(">QQQQII", payloads[0][1])


class Frame:
    """One long zstd frame, flushed behind each chunk."""

    class Buffer(ctypes.Structure):
        _fields_ = [("data", ctypes.c_char_p), ("size", ctypes.c_size_t), ("pos", ctypes.c_size_t)]

    def __init__(self, window):
        self.zstd = ctypes.CDLL("libzstd.so.1")
        self.zstd.ZSTD_createCCtx.restype = ctypes.c_void_p
        self.zstd.ZSTD_compressStream2.restype = ctypes.c_size_t
        self.context = ctypes.c_void_p(self.zstd.ZSTD_createCCtx())
        self.zstd.ZSTD_CCtx_setParameter(self.context, 101, window)

    def part(self, plain):
        out, into = ctypes.create_string_buffer(2 * CHUNK), self.Buffer(plain, len(plain), 0)
        to = self.Buffer(ctypes.cast(out, ctypes.c_char_p), len(out), 0)
        assert self.zstd.ZSTD_compressStream2(self.context, ctypes.byref(to), ctypes.byref(into), 1) == 0
        return out.raw[: to.pos]


text = b"All of it is copied. " * 200
one = (text * 300)[: CHUNK - 5 * BLOCK] + bytes(5 * BLOCK)
two = bytes(3 * BLOCK) + bytes(range(256)) * 16 * 200
two += bytes(CHUNK - len(two))
last = bytes(BLOCK) + b"z" * (size - 8 * CHUNK - BLOCK)

if step == "write":
    c = Client(b"r" * 32)
    assert c.chunk(1, one) == (0, [])
    assert c.chunk(2, two, zstd=True) == (0, [])
    assert c.chunk(8, last) == (0, [])
    assert c.chunk(3, one, present_zeros=True) == (0, [])
    assert c.request(6, 4 * CHUNK, CHUNK)[0] == 0
    for error, change in ((74, {"digest": bytes(16)}), (22, {"present": 4096}), (22, {"kind": 3 - KIND}), (22, {"codec": 2}), (22, {"zero": 2}),
                          (22, {"zero2": 1}), (22, {"payload": 5}), (22, {"codec": 1})):
        assert c.chunk(5, one, **change)[0] == error, change
    assert c.chunk(5, two, zstd=True, digest=digest_of(one))[0] == 74
    assert c.request(DIGESTS, 5, 1)[0] == 22 and c.request(DIGESTS, 0, 10)[0] == 22 and c.request(DIGESTS, 0, 0)[0] == 22
    assert c.durable() == (9, 5, 0, 9, 1, 0)
    want = [(1, 2, b""), (2, 3, digest_of(one)), (2, 3, digest_of(two)), (2, 3, digest_of(one)), (1, 3, b""), (1, 2, b""), (1, 2, b""), (1, 2, b""),
            (2, 3, digest_of(last))]
    assert c.digests(0, 9) == want, c.digests(0, 9)
    assert c.request(0, 2 * CHUNK, 2)[0] == 0
elif step == "again":  # after the receiver was killed and started again
    c = Client(b"s" * 32)
    assert c.digests(1, 2) == [(2, 2, digest_of(one)), (2, 2, digest_of(two))]
    assert c.durable(False)[5 - 1] == 0
    assert c.request(KEEP, 1 * CHUNK, 1)[0] == 0
    assert c.request(1, 2 * CHUNK + 5, 3, 0, b"abc")[0] == 0
    assert c.request(KEEP, 1 * CHUNK, 2)[0] == 22
    assert c.durable() == (9, 1, 0, 8, 1, 0)
    assert [flags for _, flags, _ in c.digests(1, 3)] == [3, 0, 2]
    # Blocks 7 and 200 of chunk 3 change, one of them to zeros; the marks say which.
    other = bytearray(one)
    other[7 * BLOCK] ^= 1
    other[200 * BLOCK : 201 * BLOCK] = bytes(BLOCK)
    other = bytes(other)
    have = c.marks(3)
    assert len(have) == 256 and have[5] == xxh3(one[5 * BLOCK : 6 * BLOCK])[:4]
    want = [xxh3(other[i * BLOCK : (i + 1) * BLOCK])[:4] for i in range(256)]
    assert [i for i in range(256) if have[i] != want[i]] == [7, 200]
    assert c.marks(3, True) == [mark[:2] for mark in have] and c.durable(False)[2] == 1
    assert c.digests(3, 1) == [(2, 0, digest_of(one))] and c.durable()[2] == 0 and c.digests(3, 1) == [(2, 2, digest_of(one))]
    assert c.marks(3, True) == [mark[:2] for mark in have]  # which the patch below makes use of
    assert len(c.marks(8)) == (size - 8 * CHUNK + BLOCK - 1) // BLOCK and c.marks(8)[-1] == xxh3(last[-(len(last) % BLOCK) :])[:4]
    assert c.request(BLOCK_DIGESTS, 3 * CHUNK, 2)[0] == 22 and c.request(BLOCK_DIGESTS, 5, 1)[0] == 22
    assert c.patch(3, other, [7])[0] == 74  # 200 is lacking
    assert c.digests(3, 1) == [(0, 0, b"")]
    assert c.request(0, 3 * CHUNK, CHUNK)[1][0][1][8:] == one
    assert c.patch(3, other, [7, 200], zstd=True) == (0, [])
    assert c.digests(3, 1)[0][2] == digest_of(other)
    assert c.patch(3, one, [7, 200]) == (0, [])
    assert c.patch(4, one, range(251)) == (0, [])  # over zeros
    assert c.digests(3, 2)[1][2] == digest_of(one)
    assert c.patch(4, bytes(CHUNK), range(251), zstd=True) == (0, [])
    assert c.digests(4, 1)[0][0] == 1  # all zeros now
    assert c.durable()[1] == 3
    # Blocks that are like those around them, and like nothing else.
    n, known = Client(b"s" * 32, near=True), bytearray(random.Random(1).randbytes(CHUNK))
    for at in range(BLOCK, CHUNK, 16):
        known[at : at + 12] = known[at - BLOCK : at - BLOCK + 12]
    known = bytes(known)
    for changed in ([9], [0, 255], list(range(0, 256, 4)), list(range(64, 128)), [5, 6, 100]):
        assert n.chunk(6, known) == (0, [])
        assert c.near(6, known, changed)[1] == 22  # not granted
        assert n.digests(6, 1)[0][2] == digest_of(known)
        like = bytearray(known)
        for i in changed:
            like[i * BLOCK + 100 : i * BLOCK + 200] = bytes(100)
        like = bytes(like)
        sent, error = n.near(6, like, changed)
        assert error == 0 and sent < len(changed) * BLOCK, (changed, sent, error)
        assert n.digests(6, 1)[0][2] == digest_of(like)
        assert n.request(0, 6 * CHUNK, CHUNK)[1][0][1][8:] == like
        other = like[:-BLOCK] + bytes(BLOCK)
        assert n.near(6, other, [254], have=like)[1] == 74 and n.digests(6, 1) == [(0, 0, b"")]
        assert n.near(6, like, changed, patch=0)[1] == 22
    assert n.near(6, like, list(range(65)))[1] == 22 and n.near(6, like, [1], codec=4)[1] == 22
    assert n.request(6, 6 * CHUNK, CHUNK)[0] == 0 and n.durable()[1] == 4
    n.send(struct.pack(">IHHQQI", 0x25609513, 0, 2, 0, 0, 0))
elif step == "stream":
    c = Client(b"r" * 32, 21)
    assert c.window == 21
    alike = [bytes(text * 300)[i : i + CHUNK - 1] + bytes([i + 1]) for i in range(4)]
    frame = Frame(c.window)
    parts = [frame.part(plain) for plain in alike]
    assert len(parts[1]) < len(parts[0]) and len(parts[3]) < 1000  # it remembers the chunks before
    assert c.part(4, alike[1], parts[1]) == 74  # none has begun
    assert c.part(4, alike[0], parts[0], begins=1) == 0
    assert c.chunk(5, two, zstd=True) == (0, [])  # no part of it
    assert c.part(5, alike[1], parts[1], digest=digest_of(one)) == 74  # which breaks nothing
    assert c.part(6, alike[2], parts[2]) == 0
    assert c.part(7, alike[3], parts[3][:-5] + b"12345") == 74
    assert c.part(7, alike[3], parts[3]) == 74  # broken
    assert c.part(7, alike[3], Frame(c.window).part(alike[3]), begins=1) == 0
    assert c.part(7, alike[3], Frame(24).part(alike[3]), begins=1) == 74  # a wider window than granted
    assert c.digests(4, 4) == [(2, 1, digest_of(plain)) for plain in (alike[0], two, alike[2], alike[3])]
    # There are windows of 64 MiB in all, and 2 are taken.
    many = [Client(b"r" * 32, 31) for _ in range(3)]
    assert [other.window for other in many] == [25, 24, 23], [other.window for other in many]
    assert Client(b"r" * 32).part(4, alike[0], parts[0], begins=1) == 22
elif step == "other":  # a source that wants the other digest
    c = Client(b"s" * 32)
    zeros = [number for number, (state, _, _) in enumerate(c.digests(0, 9)) if state == 1]
    assert len(zeros) > 3 and c.chunk(1, one) == (0, []) and c.durable()[1] > 1
    other = 3 - KIND
    for run in (b"s" * 32, bytes(32)):
        try:
            Client(run, kind=other)
            assert False, "another digest beside a source that is at work"
        except Refused as refused:
            assert "digests" in str(refused), refused
    c.send(struct.pack(">IHHQQI", 0x25609513, 0, 2, 0, 0, 0))
    c.socket.close()
    while True:  # until the receiver has seen it leave
        try:
            c = Client(b"s" * 32, kind=other)
            break
        except Refused as refused:
            assert "another source" in str(refused), refused
    have = c.digests(0, 9)
    assert [number for number, (state, _, _) in enumerate(have) if state == 1] == zeros
    assert {state for state, _, _ in have} == {0, 1}, have
    assert c.chunk(1, one) == (0, []) and c.chunk(2, two, kind=KIND)[0] == 22
    assert c.patch(3, one, range(251)) == (0, [])
    assert c.durable()[4] == 1
    assert c.digests(1, 1, READBACK) == [(2, 3, digest_of(one, other))]
elif step == "stays":  # after the receiver was killed and started again
    other = 3 - KIND
    try:
        Client(bytes(32))
        assert False, "who is no source made the receiver forget"
    except Refused as refused:
        assert "only a source" in str(refused), refused
    c = Client(bytes(32), kind=other)
    have = c.digests(0, 9)
    assert have[1] == (2, 2, digest_of(one, other)) and have[3] == (2, 2, digest_of(one, other)), have
    assert c.digests(1, 1, READBACK) == [(2, 2, digest_of(one, other))]
else:  # one bit of chunk 8 has changed on the disk
    c = Client(b"s" * 32)
    spoilt = bytearray(last)
    spoilt[4096] ^= 1
    changed = two[:5] + b"abc" + two[8:]
    want = [(1, 2, b""), (2, 3, digest_of(one)), (2, 0, digest_of(changed)), (2, 3, digest_of(one)), (1, 3, b""), (1, 2, b""), (1, 3, b""), (1, 2, b""),
            (2, 4, digest_of(bytes(spoilt)))]
    have = c.digests(0, 9, READBACK)
    assert have == want, have
    assert c.digests(8, 1) == [(0, 0, b"")]
    assert c.request(READBACK, 5, 1)[0] == 22 and c.request(READBACK, 0, 10)[0] == 22 and c.request(READBACK, 0, 0)[0] == 22
    assert c.chunk(8, last) == (0, []) and c.digests(8, 1, READBACK) == [(2, 3, digest_of(last))]
c.send(struct.pack(">IHHQQI", 0x25609513, 0, 2, 0, 0, 0))
END
run_client() {
	python3 "$work/client.py" "$data_port" "$token" "$work/state/cert.pem" "$size" "$1" "$kind"
}
for kind in 1 2; do
	run_client stream
	end_receiver TERM
	rm -r "$work/state" "$work/files"
	mkdir "$work/files"
	start_receiver "${seldom[@]}"
	put_plan "$size"
	run_client write
	end_receiver KILL
	start_receiver "${seldom[@]}"
	run_client again
	at=$((8 * 1048576 + 4096))
	byte=$(dd if="$work/files/disk0.raw" bs=1 skip=$at count=1 status=none | od -An -tu1)
	printf '%b' "\\x$(printf %x $((byte ^ 1)))" | dd of="$work/files/disk0.raw" bs=1 seek=$at conv=notrunc status=none
	run_client readback
	run_client other
	end_receiver KILL
	start_receiver "${seldom[@]}"
	run_client stays
	end_receiver TERM
	rm -r "$work/state" "$work/files"
	mkdir "$work/files"
	start_receiver "${seldom[@]}"
	put_plan "$size"
done
