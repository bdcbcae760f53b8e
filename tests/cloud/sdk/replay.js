// SPDX-License-Identifier: GPL-2.0-or-later
// Calls that somebody else made (a file as GET /_emulator/calls gave it), made once more by the vendor's clients against an
// emulator that only records: for the same intent both must put the same parameters on the wire.
'use strict';
const assert = require('assert');
const fs = require('fs');
const { ecs, vpc, ens, sts, ram, emulator } = require('./clients.js');
const { requestClass, fromFlat } = require('./models.js');

// A call whose form was seen already shows nothing new.
function shapes(calls) {
	const seen = new Map();
	for (const call of calls) {
		if (call.origin !== 'client' || call.status !== 200) continue;
		const key = [call.product, call.action, ...Object.keys(call.params).sort()].join(' ');
		if (!seen.has(key)) seen.set(key, call);
	}
	return [...seen.values()];
}

async function main() {
	const asked = shapes(JSON.parse(fs.readFileSync(process.argv[2])));
	const bySdk = { ecs: ecs('cn-beijing'), vpc: vpc('cn-beijing') };
	const byClassic = { ens: ens(), sts: sts(), ram: ram() };
	const compared = [];
	for (const { product, action, params } of asked) {
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
		const calls = await emulator('GET', 'calls');
		const mine = calls[calls.length - 1];
		assert.strictEqual(mine.action, action);
		assert.deepStrictEqual(mine.params, params, `${product} ${action}`);
		compared.push(`${product} ${action}`);
	}
	console.log([...new Set(compared)].join('\n'));
}

main().catch((why) => { console.error(why.message); process.exit(1); });
