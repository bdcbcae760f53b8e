// SPDX-License-Identifier: GPL-2.0-or-later
// The vendor's clients, all pointed at the emulator ($endpoint), and how to wait.
'use strict';
const http = require('http');
const { default: Ecs } = require('@alicloud/ecs20140526');
const { default: Vpc } = require('@alicloud/vpc20160428');
const ecsModels = require('@alicloud/ecs20140526');
const vpcModels = require('@alicloud/vpc20160428');
const { $OpenApiUtil } = require('@alicloud/openapi-core');
const PopCore = require('@alicloud/pop-core');
const OSS = require('ali-oss');

const endpoint = process.env.endpoint;
const accessKeyId = process.env.ALIBABA_CLOUD_ACCESS_KEY_ID || 'emulated-key';
const accessKeySecret = process.env.ALIBABA_CLOUD_ACCESS_KEY_SECRET || 'emulated-secret';
const host = endpoint.replace('http://', '');
// As in harness.py. Left to themselves the clients wait 3 s for an answer, which a busy machine may take.
const PATIENCE_MS = 1500000;

function config(regionId, keys = {}) {
	return new $OpenApiUtil.Config({ accessKeyId, accessKeySecret, regionId, endpoint: host, protocol: 'http',
		readTimeout: PATIENCE_MS, connectTimeout: PATIENCE_MS, ...keys });
}

// Call METHOD of a product's client with the request class of the same name.
function product(client, models) {
	return async (action, parameters) => {
		const method = action[0].toLowerCase() + action.slice(1);
		const found = Object.getOwnPropertyNames(Object.getPrototypeOf(client)).find((n) => n.toLowerCase() === method.toLowerCase());
		const request = new models[`${action}Request`](parameters);
		return (await client[found](request)).body;
	};
}

exports.ecs = (region, keys) => product(new Ecs(config(region, keys)), ecsModels);
exports.vpc = (region) => product(new Vpc(config(region)), vpcModels);
function classic(apiVersion) {
	return (method = 'POST', keys = {}) => {
		const client = new PopCore.RPCClient({ accessKeyId, accessKeySecret, endpoint, apiVersion, ...keys });
		return (action, parameters) => client.request(action, parameters, { method, timeout: PATIENCE_MS });
	};
}
exports.ens = classic('2017-11-10');
exports.sts = classic('2015-04-01');
exports.ram = classic('2015-05-01');
exports.oss = (region, bucket, v4, keys = {}) =>
	new OSS({ region: `oss-${region}`, bucket, accessKeyId, accessKeySecret, endpoint, authorizationV4: v4, sldEnable: false,
		timeout: PATIENCE_MS, ...keys });
// Presigned URLs name the bucket's own host; only the connection of sendTo() goes to the emulator.
exports.ossForUrls = (region, bucket, keys = {}) =>
	new OSS({ region: `oss-${region}`, bucket, accessKeyId, accessKeySecret, secure: false, authorizationV4: false, ...keys });
exports.sendTo = (method, url, body, headers = {}) => new Promise((resolve, reject) => {
	const to = new URL(url);
	const at = new URL(endpoint);
	const request = http.request({ host: at.hostname, port: at.port, path: to.pathname + to.search, method,
		headers: { Host: to.host, ...headers } }, (reply) => {
		let text = '';
		reply.on('data', (piece) => { text += piece; });
		reply.on('end', () => resolve({ status: reply.statusCode, text }));
	});
	request.on('error', reject);
	request.end(body);
});
exports.emulator = async (method, path, body) => {
	const reply = await fetch(`${endpoint}/_emulator/${path}`, { method, body: body && JSON.stringify(body) });
	return reply.json();
};

// Until PROBE gives something that DONE accepts; a failed state ends the wait at once.
exports.until = async (what, probe, done, failed = () => false) => {
	const limit = Date.now() + PATIENCE_MS;
	for (;;) {
		const seen = await probe();
		if (done(seen)) return seen;
		if (failed(seen) || Date.now() > limit) throw new Error(`${what}: ${JSON.stringify(seen)}`);
		await new Promise((next) => setTimeout(next, 50));
	}
};

// The code of the error that PROMISE must end in.
exports.refusal = async (promise) => {
	try {
		await promise;
	} catch (error) {
		return error.code;
	}
	return 'nothing was refused';
};
