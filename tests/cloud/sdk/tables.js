// SPDX-License-Identifier: GPL-2.0-or-later
// The emulator's parameter tables (JSON on standard input) against the vendor's models.
'use strict';
const { requestClass, flatNames } = require('./models.js');

let wrong = 0;
let checked = 0;
for (const [product, action, names] of JSON.parse(require('fs').readFileSync(0))) {
	const model = requestClass(product, action);
	if (product !== 'ecs' && product !== 'vpc') continue;
	const known = model ? new Set(flatNames(model)) : new Set();
	for (const name of names) {
		checked++;
		if (!known.has(name)) {
			wrong++;
			console.log(`${product} ${action}: the vendor's model has no ${name}`);
		}
	}
}
console.log(`${checked} parameters, ${wrong} unknown`);
process.exit(wrong ? 1 : 0);
