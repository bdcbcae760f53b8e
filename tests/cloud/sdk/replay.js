// SPDX-License-Identifier: GPL-2.0-or-later
// Calls that somebody else made (a file as GET /_emulator/calls gave it), made once more by the vendor's clients against an
// emulator that only records: for the same intent both must put the same parameters on the wire.
'use strict';
const assert = require('assert');
const fs = require('fs');
const { ecs, vpc, ens, sts, ram, emulator } = require('./clients.js');
const { requestClass, fromFlat } = require('./models.js');
const objects = require('./replay-objects.js');

// A call whose form was seen already shows nothing new. Who has a presigned URL makes the call that somebody else signed.
function shapes(calls) {
	const seen = new Map();
	for (const call of calls) {
		if ((call.origin !== 'client' && !call.scheme.endsWith(' URL')) || Math.floor(call.status / 100) !== 2) continue;
		const form = call.product === 'oss' ? objects.shape(call) : [call.action, ...Object.keys(call.params).sort()];
		const key = [call.product, ...form].join(' ');
		if (!seen.has(key)) seen.set(key, call);
	}
	return [...seen.values()];
}

async function last() {
	const calls = await emulator('GET', 'calls');
	return calls[calls.length - 1];
}

async function main() {
	const asked = shapes(JSON.parse(fs.readFileSync(process.argv[2])));
	const bySdk = { ecs: ecs('cn-beijing'), vpc: vpc('cn-beijing') };
	const byClassic = { ens: ens(), sts: sts(), ram: ram() };
	const compared = [];
	for (const call of asked) {
		const { product, action, params } = call;
		if (product === 'oss') {
			await objects.replay(call);
			assert.deepStrictEqual(objects.comparable(await last()), objects.comparable(call), `${product} ${action}`);
			compared.push(`${product} ${action}, ${call.scheme}`);
			continue;
		}
		if (product in bySdk) {
			const model = requestClass(product, action);
			assert.ok(model, `the vendor's client has no ${action}`);
			const fields = fromFlat(model, params, action);
			await bySdk[product](action, fields);
		} else if (product in byClassic) {
			await byClassic[product](action, params);
		} else {
			continue;
		}
		const mine = await last();
		assert.strictEqual(mine.action, action);
		assert.deepStrictEqual(mine.params, params, `${product} ${action}`);
		compared.push(`${product} ${action}`);
	}
	console.log([...new Set(compared)].join('\n'));
}

main().catch((why) => { console.error(why.message); process.exit(1); });
