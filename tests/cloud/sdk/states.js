// SPDX-License-Identifier: GPL-2.0-or-later
// What depends on the state of things: busy, in use, not ready, not allowed, sold out.
'use strict';
const assert = require('assert');
const { ecs, vpc, emulator, until, refusal } = require('./clients.js');

const region = 'ap-southeast-1';
const OSSBucket = 'coldlift-singapore';
const callEcs = ecs(region);
const callVpc = vpc(region);
const publicImage = 'debian_12_9_x64_20G_alibase_20250117.vhd';

const instanceIs = (instanceId, status) => until(status, () => callEcs('DescribeInstances', { regionId: region,
	instanceIds: JSON.stringify([instanceId]) }), (r) => r.instances.instance[0]?.status === status);
const code = async (action, parameters, wanted) => assert.strictEqual(await refusal(callEcs(action, { regionId: region,
	...parameters })), wanted, action);
const done = (taskId) => until('export', () => callEcs('DescribeTaskAttribute', { regionId: region, taskId }).catch((e) => e),
	(r) => /Finished|Failed/.test(r.taskStatus || ''));

// While it is held, what is pending stays so: a state that lasts some milliseconds is met for certain.
const hold = (on) => emulator('PATCH', 'config', { hold: on });

async function setUp() {
	await hold(true);
	const { vpcId } = await callVpc('CreateVpc', { regionId: region, cidrBlock: '10.0.0.0/16' });
	const early = () => callVpc('CreateVSwitch', { regionId: region, vpcId, zoneId: 'ap-southeast-1a', cidrBlock: '10.0.1.0/24' });
	assert.strictEqual(await refusal(early()), 'IncorrectVpcStatus');
	await hold(false);
	await until('VPC', () => callVpc('DescribeVpcs', { regionId: region, vpcId }), (r) => r.vpcs.vpc[0]?.status === 'Available');
	await hold(true);
	const { vSwitchId } = await early();
	const { securityGroupId } = await callEcs('CreateSecurityGroup', { regionId: region, vpcId });
	return { vpcId, vSwitchId, securityGroupId };
}

async function instance(net) {
	const wanted = { imageId: publicImage, instanceType: 'ecs.e-c1m1.large', securityGroupId: net.securityGroupId,
		vSwitchId: net.vSwitchId, dataDisk: [{ category: 'cloud_essd', performanceLevel: 'PL0', size: 1 }] };
	await code('RunInstances', wanted, 'IncorrectVSwitchStatus');
	await hold(false);
	await until('vSwitch', () => callVpc('DescribeVSwitches', { regionId: region, vSwitchId: net.vSwitchId }),
		(r) => r.vSwitches.vSwitch[0]?.status === 'Available');
	await code('RunInstances', { ...wanted, dataDisk: [{ category: 'cloud_efficiency', size: 19 }] },
		'InvalidDataDiskSize.ValueNotSupported');
	await emulator('PATCH', 'config', { sold_out: ['ecs.e-*'] });
	await code('RunInstances', wanted, 'OperationDenied.NoStock');
	await emulator('PATCH', 'config', { sold_out: [] });
	const dry = await refusal(callEcs('RunInstances', { regionId: region, ...wanted, dryRun: true }));
	assert.strictEqual(dry, 'DryRunOperation');
	await hold(true);
	const { instanceIdSets } = await callEcs('RunInstances', { regionId: region, ...wanted, clientToken: 'one' });
	const again = await callEcs('RunInstances', { regionId: region, ...wanted, clientToken: 'one' });
	assert.deepStrictEqual(again.instanceIdSets, instanceIdSets);
	const instanceId = instanceIdSets.instanceIdSet[0];
	await code('DeleteInstance', { instanceId, force: true, regionId: undefined }, 'IncorrectInstanceStatus.Initializing');
	await hold(false);
	await instanceIs(instanceId, 'Running');
	await code('DeleteInstance', { instanceId, regionId: undefined }, 'IncorrectInstanceStatus');
	await code('DeleteSecurityGroup', { securityGroupId: net.securityGroupId }, 'DependencyViolation');
	assert.strictEqual(await refusal(callVpc('DeleteVSwitch', { vSwitchId: net.vSwitchId })), 'DependencyViolation');
	assert.strictEqual(await refusal(callVpc('DeleteVpc', { vpcId: net.vpcId })), 'DependencyViolation.VSwitch');
	return instanceId;
}

async function snapshot(instanceId) {
	const { disks } = await callEcs('DescribeDisks', { regionId: region, instanceId, diskType: 'data' });
	const { diskId } = disks.disk[0];
	await code('CreateSnapshot', { diskId, regionId: undefined }, 'IncorrectDiskStatus.NeverUsed');
	await fetch(`${process.env.endpoint}/_emulator/disk/${diskId}?offset=4096`, { method: 'PUT', body: 'something' });
	await hold(true);
	const lost = await callEcs('CreateSnapshot', { diskId });
	await code('CreateSnapshot', { diskId, regionId: undefined }, 'IncorrectDiskStatus.CreatingSnapshot');
	await code('CreateImage', { imageName: 'early', snapshotId: lost.snapshotId }, 'InvalidSnapshotId.NotReady');
	await callEcs('StopInstance', { instanceId });
	await hold(false);
	await instanceIs(instanceId, 'Stopped');
	const seen = await callEcs('DescribeSnapshots', { regionId: region, snapshotIds: JSON.stringify([lost.snapshotId]) });
	assert.strictEqual(seen.snapshots.snapshot[0].status, 'failed', 'a stop does away with a snapshot under way');
	await callEcs('DeleteSnapshot', { snapshotId: lost.snapshotId });
	const { snapshotId } = await callEcs('CreateSnapshot', { diskId });
	await until('snapshot', () => callEcs('DescribeSnapshots', { regionId: region, snapshotIds: JSON.stringify([snapshotId]) }),
		(r) => r.snapshots.snapshot[0]?.status === 'accomplished');
	return snapshotId;
}

async function image(snapshotId) {
	const system = { snapshotId, diskType: 'system', device: '/dev/xvda' };
	const wanted = { imageName: 'one', platform: 'Others Linux', architecture: 'x86_64', diskDeviceMapping: [system] };
	await emulator('PATCH', 'config', { whitelists: { data_disk_image: false } });
	await code('CreateImage', wanted, 'UserNotInTheWhiteList');
	await emulator('PATCH', 'config', { whitelists: { data_disk_image: true } });
	await code('CreateImage', { ...wanted, diskDeviceMapping: [{ ...system, diskType: 'data', device: '/dev/xvdb' }] },
		'OperationDenied');
	await code('CreateImage', { ...wanted, diskDeviceMapping: [system, { snapshotId, diskType: 'data', device: '/dev/xvda' }] },
		'InvalidDevice.Malformed');
	await hold(true);
	const { imageId } = await callEcs('CreateImage', { regionId: region, ...wanted });
	await code('CreateImage', wanted, 'InvalidImageName.Duplicated');
	const creating = () => callEcs('DescribeImages', { regionId: region, imageId, status: 'Creating' });
	await until('image that is being made', creating, (r) => r.images.image.length === 1);
	const shown = await callEcs('DescribeImages', { regionId: region, imageId });
	assert.strictEqual(shown.images.image.length, 0, 'an image that is being made does not show unless its state is asked for');
	await hold(false);
	await until('image', () => callEcs('DescribeImages', { regionId: region, imageId }), (r) => r.images.image.length === 1);
	await code('DeleteSnapshot', { snapshotId, regionId: undefined }, 'SnapshotCreatedImage');
	return imageId;
}

async function exports_(imageId) {
	const wanted = { imageId, OSSBucket, OSSPrefix: 'states', imageFormat: 'qcow2' };
	await code('ExportImage', { ...wanted, OSSBucket: 'coldlift-beijing' }, 'InvalidOSSBucket.NotMatched');
	await code('ExportImage', { ...wanted, OSSBucket: 'nowhere' }, 'InvalidOSSBucket.NotFound');
	await emulator('PATCH', 'config', { roles: [] });
	await code('ExportImage', wanted, 'NoSetRoletoECSServiceAcount');
	await emulator('PATCH', 'config', { roles: ['AliyunECSImageExportDefaultRole'], whitelists: { export_image: false } });
	await code('ExportImage', wanted, 'UserNotInTheWhiteList');
	await emulator('PATCH', 'config', { whitelists: { export_image: true }, failures: { export: 1 } });
	await hold(true);
	const failing = await callEcs('ExportImage', { regionId: region, ...wanted });
	await code('ExportImage', wanted, 'ImageIsExporting');
	await code('DeleteImage', { imageId }, 'ImageIsExporting');
	await hold(false);
	const failed = await done(failing.taskId);
	assert.deepStrictEqual([failed.taskStatus, failed.failedCount], ['Failed', 1]);
	await emulator('PATCH', 'config', { export_answers_task_id: false, quotas: { weekly_exports: 2 } });
	await callEcs('ExportImage', { regionId: region, ...wanted });
	const { taskSet } = await until('task', () => callEcs('DescribeTasks', { regionId: region, taskAction: 'ExportImage',
		resourceIds: [imageId] }), (r) => r.taskSet.task.length === 2);
	await done(taskSet.task.find((t) => t.taskId !== failing.taskId).taskId);
	await code('ExportImage', wanted, 'WeeklyQuotaExceed.ExportImage');
}

async function main() {
	const net = await setUp();
	const instanceId = await instance(net);
	const snapshotId = await snapshot(instanceId);
	const imageId = await image(snapshotId);
	await exports_(imageId);
	const state = await emulator('GET', 'state');
	assert.deepStrictEqual(Object.keys(state.objects[OSSBucket]), [`states_${imageId}_system.qcow2`]);
	assert.deepStrictEqual(state.errors, []);
	assert.ok(state.cost > 0);
}

main().catch((why) => { console.error(why); process.exit(1); });
