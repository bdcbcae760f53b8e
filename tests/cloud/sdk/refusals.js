// SPDX-License-Identifier: GPL-2.0-or-later
// What the emulator must refuse, asked by the vendor's clients: the emulator's strictness is what makes its yes worth something.
'use strict';
const assert = require('assert');
const { ecs, vpc, ens, oss, emulator, refusal, until } = require('./clients.js');

const region = 'cn-beijing';

async function identities() {
	const ask = (accessKeyId, accessKeySecret, securityToken) => refusal(ecs(region, { accessKeyId, accessKeySecret,
		securityToken })('DescribeInstances', { regionId: region }));
	assert.strictEqual(await ask('nobody', 'emulated-secret'), 'InvalidAccessKeyId.NotFound');
	assert.strictEqual(await ask('emulated-key', 'wrong'), 'SignatureDoesNotMatch');
	assert.strictEqual(await ask('emulated-key', 'emulated-secret', 'token'), 'InvalidSecurityToken.Malformed');
	const classic = (accessKeySecret) => refusal(ens('POST', { accessKeySecret })('DescribeSelfImages', {}));
	assert.strictEqual(await classic('wrong'), 'SignatureDoesNotMatch');
	assert.strictEqual(await refusal(oss(region, 'coldlift-singapore', true).list()), 'AccessDenied');
	await emulator('PATCH', 'config', { skew_s: 3600 });
	assert.strictEqual(await classic('emulated-secret'), 'IllegalTimestamp');
	assert.strictEqual(await refusal(oss(region, 'coldlift-beijing', false).get('x')), 'RequestTimeTooSkewed');
	await emulator('PATCH', 'config', { skew_s: 0 });
}

async function parameters() {
	const callEcs = ecs(region);
	const callVpc = vpc(region);
	const callEns = ens('GET');
	const refusals = [
		[() => callEns('ImportImage', { ImageName: 'x1' }), 'MissingParameter'],
		[() => callEns('ImportImage', { ImageName: 'x1', ComputeType: 'ens_vm', Architecture: 'x86_64', OSType: 'linux',
			ImageFormat: 'vhd' }), 'InvalidParameter.ImageFormat'],
		[() => callEns('ImportImage', { ImageName: 'x1', ComputeType: 'ens_vm', Architecture: 'x86_64', OSType: 'linux',
			ImageFormat: 'qcow2', Unheard: 'of' }), 'InvalidParameter'],
		[() => callEns('NoSuchAction', {}), 'InvalidAction.NotFound'],
		[() => callVpc('CreateVpc', { cidrBlock: '172.16.0.0/16' }), 'MissingParameter'],
		[() => callVpc('CreateVpc', { regionId: region, cidrBlock: '8.8.8.0/24' }), 'InvalidCidrBlock.Malformed'],
		[() => callVpc('CreateVpc', { regionId: 'mars-1' }), 'InvalidRegionId.NotFound'],
		[() => callEcs('CreateSecurityGroup', { regionId: region, securityGroupName: '1digit' }), 'InvalidSecurityGroupName.Malformed'],
		[() => callEcs('AuthorizeSecurityGroup', { regionId: region, securityGroupId: 'sg-none',
			permissions: [{ ipProtocol: 'TCP', portRange: '1/1', sourceCidrIp: '0.0.0.0/0' }] }), 'InvalidSecurityGroupId.NotFound'],
		[() => callEcs('CreateSnapshot', { diskId: 'd-none', snapshotName: 'automatic' }), 'InvalidSnapshotName.Malformed'],
		[() => callEcs('CreateSnapshot', { diskId: 'd-none', snapshotName: 'fine' }), 'InvalidDiskId.NotFound'],
		[() => callEcs('CreateImage', { regionId: region, imageName: 'fine' }), 'MissingParameter'],
		[() => callEcs('ExportImage', { regionId: region, imageId: 'm-none', OSSBucket: 'coldlift-beijing', OSSPrefix: 'with-dash' }),
			'InvalidOSSPrefix.Malformed'],
		[() => callVpc('DescribeVpcs', { regionId: region, pageSize: 51 }), 'InvalidParameter'],
		[() => callEcs('DescribeInstances', { regionId: region, maxResults: 101 }), 'InvalidParameter'],
		[() => callVpc('CreateVpc', { regionId: region, tag: [{ key: 'acs:mine', value: '1' }] }), 'InvalidTagKey.Malformed'],
		[() => callEcs('CreateImage', { regionId: region, imageName: 'with.dot', snapshotId: 's-none' }), 'InvalidImageName.Malformed'],
		[() => callEcs('StopInstance', { instanceId: 'i-none' }), 'InvalidInstanceId.NotFound'],
	];
	for (const [n, [ask, code]] of refusals.entries()) assert.strictEqual(await refusal(ask()), code, `refusal ${n}`);
	await callEcs('DeleteSnapshot', { snapshotId: 's-none' });
	await callEcs('DeleteDisk', { diskId: 'd-none' });
}

async function faults() {
	const callVpc = vpc(region);
	const make = (token, block = '172.16.0.0/16') =>
		callVpc('CreateVpc', { regionId: region, cidrBlock: block, clientToken: token });
	await emulator('POST', 'faults', { match: { product: 'vpc', action: 'CreateVpc', nth: 1 }, do: 'error',
		code: 'Throttling.User', retry_after_ms: 200 });
	await emulator('POST', 'faults', { match: { product: 'vpc', action: 'CreateVpc', nth: 2 }, do: 'lost-reply' });
	assert.strictEqual(await refusal(make('a')), 'Throttling.User');
	assert.notStrictEqual(await refusal(make('a')), 'nothing was refused');
	await make('a');
	assert.strictEqual(await refusal(make('a', '10.0.0.0/16')), 'IdempotentParameterMismatch');
	const seen = await emulator('GET', 'state');
	assert.strictEqual(seen.made.vpc, 1, 'the lost reply was to a call that had happened');
	assert.strictEqual((await callVpc('DescribeVpcs', { regionId: region })).vpcs.vpc.length, 0, 'too new to be seen');
	await emulator('PATCH', 'config', { consistency_s: 0 });
	const { vpcs } = await until('visible', () => callVpc('DescribeVpcs', { regionId: region }), (r) => r.vpcs.vpc.length === 1);
	await until('ready', () => callVpc('DescribeVpcs', { regionId: region }), (r) => r.vpcs.vpc[0].status === 'Available');
	await emulator('PATCH', 'config', { quotas: { vpc: 1 } });
	assert.strictEqual(await refusal(make('b')), 'QuotaExceeded.Vpc');
	await callVpc('DeleteVpc', { regionId: region, vpcId: vpcs.vpc[0].vpcId });
}

async function main() {
	await identities();
	await parameters();
	await faults();
	const state = await emulator('GET', 'state');
	assert.deepStrictEqual([state.errors, state.left_over], [[], []]);
}

main().catch((why) => { console.error(why); process.exit(1); });
