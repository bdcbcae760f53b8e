// SPDX-License-Identifier: GPL-2.0-or-later
// One recorded OSS request, made once more by ali-oss from what it wanted; and both in a form that can be compared: the query,
// the headers that say something, and the parts that a document names.
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const { oss, ossForUrls, sendTo } = require('./clients.js');

// What is never the same twice; its form is.
const OF_THE_MOMENT = ['x-oss-date', 'x-oss-signature', 'Signature', 'Expires', 'content-md5'];
// Whose keys they are is left out; that there is a token is not.
const OF_THE_KEYS = { OSSAccessKeyId: () => 'id', 'security-token': () => 'token', 'x-oss-security-token': () => 'token',
	'x-oss-credential': (text) => text.replace(/^[^/]+\/\d{8}/, 'id/day') };
// Where the vendor's client differs on purpose, beside its User-Agent, which no record has.
const GUESSES_TYPE = ['HeadObject', 'DeleteObject'];

const form = (text) => text.replace(/[A-Za-z]/g, 'a').replace(/\d/g, '0').replace(/[a0+/]{20,}/g, 'noise');

function plain(pairs) {
	return Object.fromEntries(Object.entries(pairs).map(([name, text]) => {
		if (name in OF_THE_KEYS) return [name, OF_THE_KEYS[name](text)];
		return [name, OF_THE_MOMENT.includes(name) ? form(text) : text || ''];
	}));
}

const parts = (body) => [...(body || '').matchAll(/<Part>\s*<PartNumber>(\d+)<\/PartNumber>\s*<ETag>([^<]*)<\/ETag>\s*<\/Part>/g)]
	.map(([, number, etag]) => ({ number: Number(number), etag }));

exports.comparable = ({ action, method, scheme, params, query, headers, body }) => {
	const told = plain(headers);
	// It looks at the object's name and calls a request without a body by that type; nothing reads it.
	if (GUESSES_TYPE.includes(action)) delete told['content-type'];
	return { action, method, scheme, bucket: params.bucket, key: params.key, query: plain(query), headers: told, parts: parts(body) };
};

// A request of the same form was seen already when it has the same.
exports.shape = ({ action, scheme, query, headers }) => [action, scheme, ...Object.keys(query).sort(), ...Object.keys(headers).sort()];

function some(query, ...names) {
	return Object.fromEntries(names.filter((name) => name in query).map((name) => [name, query[name]]));
}

// A file goes as a stream, like the receiver's program, for which nobody reckons a digest beforehand.
async function put(bucket, { params: { key }, headers }) {
	if (!key.endsWith('/receiver')) return bucket.put(key, Buffer.from('a line'), { mime: headers['content-type'] });
	const file = path.join(os.tmpdir(), `coldlift-sdk-${process.pid}`);
	fs.writeFileSync(file, 'a program');
	try {
		return await bucket.put(key, file, { mime: 'application/octet-stream' });
	} finally {
		fs.unlinkSync(file);
	}
}

const BY_ACTION = {
	GetBucketInfo: (bucket, { params }) => bucket.getBucketInfo(params.bucket),
	PutObject: put,
	HeadObject: (bucket, { params }) => bucket.head(params.key),
	DeleteObject: (bucket, { params, query }) => bucket.delete(params.key, some(query, 'versionId')),
	ListObjectsV2: (bucket, { query }) => bucket.listV2(some(query, 'prefix', 'max-keys', 'encoding-type', 'continuation-token')),
	ListObjectVersions: (bucket, { query }) =>
		bucket.getBucketVersions(some(query, 'prefix', 'max-keys', 'encoding-type', 'key-marker', 'version-id-marker')),
	ListMultipartUploads: (bucket, { query }) =>
		bucket.listUploads(some(query, 'prefix', 'max-uploads', 'encoding-type', 'key-marker', 'upload-id-marker')),
	InitiateMultipartUpload: (bucket, { params }) => bucket.initMultipartUpload(params.key),
	CompleteMultipartUpload: (bucket, { params, query, body }) =>
		bucket.completeMultipartUpload(params.key, query.uploadId, parts(body)),
	AbortMultipartUpload: (bucket, { params, query }) => bucket.abortMultipartUpload(params.key, query.uploadId),
};

// The receiver's program is fetched, and parts are put, by whom a URL was given to.
async function byUrl(client, { method, scheme, params: { key }, query }) {
	const queries = some(query, 'partNumber', 'uploadId');
	const url = scheme === 'V4 URL' ? await client.signatureUrlV4(method, Number(query['x-oss-expires']), { queries }, key)
		: client.signatureUrl(key, { method, expires: 3600, subResource: queries });
	await sendTo(method, url, method === 'PUT' ? 'a part' : undefined);
}

exports.replay = async (call) => {
	const { bucket } = call.params;
	const region = { 'coldlift-beijing': 'cn-beijing', 'coldlift-singapore': 'ap-southeast-1' }[bucket];
	const told = { ...call.query, ...call.headers };
	const keys = told['security-token'] || told['x-oss-security-token']
		? { accessKeyId: 'emulated-session', stsToken: 'emulated-token' } : {};
	if (call.scheme.endsWith(' URL')) return byUrl(ossForUrls(region, bucket, keys), call);
	return BY_ACTION[call.action](oss(region, bucket, call.scheme === 'V4', keys), call);
};
