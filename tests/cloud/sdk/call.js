// SPDX-License-Identifier: GPL-2.0-or-later
// One call by the vendor's client: call.js ecs|vpc REGION ACTION JSON; prints the answer.
'use strict';
const clients = require('./clients.js');

const [product, region, action, parameters] = process.argv.slice(2);
clients[product](region)(action, JSON.parse(parameters)).then((body) => console.log(JSON.stringify(body)),
	(why) => { console.error(why.code, why.message); process.exit(1); });
