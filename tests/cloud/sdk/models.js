// SPDX-License-Identifier: GPL-2.0-or-later
// What the vendor's request models say about the parameters of an action.
'use strict';
const models = { ecs: require('@alicloud/ecs20140526'), vpc: require('@alicloud/vpc20160428') };

exports.requestClass = (product, action) => models[product] && models[product][`${action}Request`];

// Every parameter that a model knows, in the flat form of the wire: DataDisk.N.Size.
exports.flatNames = function flatNames(model, prefix = '') {
	const out = [];
	const [names, types] = [model.names(), model.types()];
	for (const [field, name] of Object.entries(names)) {
		const type = types[field];
		if (type.type === 'array' && typeof type.itemType !== 'string' && type.itemType.names) {
			out.push(...flatNames(type.itemType, `${prefix}${name}.N.`));
		} else if (type.type === 'array') {
			out.push(`${prefix}${name}.N`);
		} else if (type.names) {
			out.push(...flatNames(type, `${prefix}${name}.`));
		} else {
			out.push(prefix + name);
		}
	}
	return out;
};

exports.answerClass = (product, action) => models[product] && models[product][`${action}ResponseBody`];

// The fields of an answer that a model does not know, and those that are of another type.
exports.strangers = function strangers(type, node, path) {
	if (typeof type === 'string') return type === 'any' || typeof node === type ? [] : [`${path} is not a ${type}`];
	if (type.type === 'array') {
		if (!Array.isArray(node)) return [`${path} is not a list`];
		return node.flatMap((n) => strangers(type.itemType, n, path));
	}
	const [names, types] = [type.names(), type.types()];
	return Object.entries(node).flatMap(([name, inner]) => {
		const field = Object.keys(names).find((f) => names[f] === name);
		return field ? strangers(types[field], inner, `${path}.${name}`) : [`${path}.${name} is unknown`];
	});
};

function value(type, text, where) {
	if (type === 'number' && /^-?\d+$/.test(text)) return Number(text);
	if (type === 'boolean' && /^(true|false)$/.test(text)) return text === 'true';
	if (type === 'string') return text;
	throw new Error(`${where}: "${text}" is not a ${type}`);
}

// A request object that holds the flat parameters of a recorded call; an Error names what the model does not know.
exports.fromFlat = function fromFlat(model, flat, where) {
	const tree = {};
	for (const [name, text] of Object.entries(flat)) {
		let at = tree;
		const parts = name.split('.');
		parts.forEach((part, n) => { at = n + 1 === parts.length ? (at[part] = text) : (at[part] = at[part] || {}); });
	}
	const build = (type, node, path) => {
		if (typeof type === 'string') return value(type, node, path);
		if (type.type === 'array') {
			return Object.keys(node).sort((a, b) => a - b).map((n) => build(type.itemType, node[n], `${path}.${n}`));
		}
		const [names, types] = [type.names(), type.types()];
		const fields = {};
		for (const [name, inner] of Object.entries(node)) {
			const field = Object.keys(names).find((f) => names[f] === name);
			if (!field) throw new Error(`${path}: the vendor's model has no ${name}`);
			fields[field] = build(types[field], inner, `${path}.${name}`);
		}
		return new type(fields);
	};
	return build(model, tree, where);
};
