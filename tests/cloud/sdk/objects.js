// SPDX-License-Identifier: GPL-2.0-or-later
// ali-oss against the emulator, with both signatures: objects, listings, uploads in parts, presigned URLs, deletes.
'use strict';
const assert = require('assert');
const { createHash } = require('crypto');
const { oss, ossForUrls, sendTo, emulator, refusal } = require('./clients.js');

const NAME = 'dir a/smc+1~*\'()!中文.qcow2';

async function objects(v4) {
	const bucket = oss('cn-beijing', 'coldlift-beijing', v4);
	await bucket.put(NAME, Buffer.from('some bytes'), { headers: { 'x-oss-meta-root': 'abc' } });
	const got = await bucket.get(NAME);
	assert.strictEqual(got.content.toString(), 'some bytes');
	const part = await bucket.get(NAME, { headers: { Range: 'bytes=5-9' } });
	assert.strictEqual(part.content.toString(), 'bytes');
	const head = await bucket.head(NAME);
	assert.strictEqual(head.meta.root, 'abc');
	assert.strictEqual(head.res.headers.etag, `"${createHash('md5').update('some bytes').digest('hex').toUpperCase()}"`);

	for (let n = 0; n < 5; n++) await bucket.put(`list/${n}`, Buffer.from(String(n)));
	const first = await bucket.listV2({ prefix: 'list/', 'max-keys': 2 });
	const second = await bucket.listV2({ prefix: 'list/', 'max-keys': 10, 'continuation-token': first.nextContinuationToken });
	assert.deepStrictEqual([...first.objects, ...second.objects].map((o) => o.name), [0, 1, 2, 3, 4].map((n) => `list/${n}`));

	const big = Buffer.alloc(350 * 1024, 'x');
	const { uploadId } = await bucket.initMultipartUpload('parts');
	const done = [];
	for (let n = 1; n <= 4; n++) {
		const from = (n - 1) * 100 * 1024;
		const piece = big.subarray(from, Math.min(from + 100 * 1024, big.length));
		const { etag } = await bucket._uploadPart('parts', uploadId, n, { stream: require('stream').Readable.from([piece]),
			size: piece.length });
		done.push({ number: n, etag });
	}
	const parts = await bucket.listParts('parts', uploadId);
	assert.strictEqual(parts.parts.length, 4);
	await bucket.completeMultipartUpload('parts', uploadId, done);
	assert.strictEqual((await bucket.get('parts')).content.length, big.length);
	const left = await bucket.initMultipartUpload('left');
	assert.strictEqual((await bucket.listUploads({ 'max-uploads': 10 })).uploads.length, 1);
	await bucket.abortMultipartUpload('left', left.uploadId);

	await bucket.deleteMulti(['parts', ...[0, 1, 2, 3, 4].map((n) => `list/${n}`)], { quiet: true });
	await bucket.delete(NAME);
	await bucket.delete(NAME);
	assert.strictEqual(await refusal(bucket.get(NAME)), 'NoSuchKey');
	assert.strictEqual(await refusal(oss('cn-beijing', 'not-there-at-all', v4).get('x')), 'NoSuchBucket');
}

async function presigned() {
	const client = ossForUrls('cn-beijing', 'coldlift-beijing');
	const urls = {
		V1: (method) => client.signatureUrl('by/url', { method, expires: 3600 }),
		V4: (method) => client.signatureUrlV4(method, 3600, { headers: {} }, 'by/url'),
	};
	for (const make of Object.values(urls)) {
		assert.strictEqual((await sendTo('PUT', await make('PUT'), 'by url')).status, 200);
		assert.strictEqual((await sendTo('GET', await make('GET'))).text, 'by url');
		assert.match((await sendTo('DELETE', await make('GET'))).text, /SignatureDoesNotMatch/);
		assert.match((await sendTo('GET', (await make('GET')).replace('url?', 'other?'))).text, /SignatureDoesNotMatch/);
		await emulator('PATCH', 'config', { skew_s: 7200 });
		assert.match((await sendTo('GET', await make('GET'))).text, /Request has expired/);
		await emulator('PATCH', 'config', { skew_s: 0 });
		assert.strictEqual((await sendTo('DELETE', await make('DELETE'))).status, 204);
	}
}

async function main() {
	await objects(false);
	await objects(true);
	await presigned();
	const state = await emulator('GET', 'state');
	assert.deepStrictEqual([state.errors, state.left_over], [[], []]);
}

main().catch((why) => { console.error(why); process.exit(1); });
