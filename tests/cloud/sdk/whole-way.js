// SPDX-License-Identifier: GPL-2.0-or-later
// From nothing to an ENS image and back to nothing, with nobody's code but the vendor's clients. REGION decides the format.
'use strict';
const assert = require('assert');
const { ecs, vpc, ens, oss, emulator, until } = require('./clients.js');
const { answerClass, strangers } = require('./models.js');

const region = process.argv[2];
const bucketName = process.argv[3];
const zone = `${region}${region === 'cn-beijing' ? '-h' : 'a'}`;
const tag = [{ key: 'coldlift-job', value: 'sdk' }];
const MARK = 'written inside the instance';

async function network(callVpc) {
	const { vpcId } = await callVpc('CreateVpc', { regionId: region, cidrBlock: '172.16.0.0/16', vpcName: 'sdk-test', tag,
		clientToken: 'vpc-1' });
	const again = await callVpc('CreateVpc', { regionId: region, cidrBlock: '172.16.0.0/16', vpcName: 'sdk-test', tag,
		clientToken: 'vpc-1' });
	assert.strictEqual(again.vpcId, vpcId, 'the same token makes no second network');
	await until('VPC', () => callVpc('DescribeVpcs', { regionId: region, vpcId }), (r) =>
		r.vpcs.vpc.length === 1 && r.vpcs.vpc[0].status === 'Available');
	const { vSwitchId } = await callVpc('CreateVSwitch', { regionId: region, vpcId, zoneId: zone, cidrBlock: '172.16.0.0/24' });
	await until('vSwitch', () => callVpc('DescribeVSwitches', { regionId: region, vSwitchId }), (r) =>
		r.vSwitches.vSwitch.length === 1 && r.vSwitches.vSwitch[0].status === 'Available');
	return { vpcId, vSwitchId };
}

async function instance(callEcs, net) {
	const { securityGroupId } = await callEcs('CreateSecurityGroup', { regionId: region, vpcId: net.vpcId,
		securityGroupName: 'sdk-test', tag });
	await callEcs('AuthorizeSecurityGroup', { regionId: region, securityGroupId, permissions: [8080, 8703].map((port) =>
		({ ipProtocol: 'TCP', portRange: `${port}/${port}`, sourceCidrIp: '127.0.0.1/32' })) });
	const stock = await callEcs('DescribeAvailableResource', { regionId: region, destinationResource: 'InstanceType', cores: 2,
		memory: 2 });
	const type = stock.availableZones.availableZone[0].availableResources.availableResource[0].supportedResources
		.supportedResource.find((s) => s.status === 'Available').value;
	const images = await callEcs('DescribeImages', { regionId: region, imageOwnerAlias: 'system', OSType: 'linux',
		architecture: 'x86_64' });
	const script = `#!/bin/sh\nset -eu\nprintf '%s' '${MARK}' | dd of=/dev/vdb bs=1 seek=1048576 conv=notrunc,fsync\n` +
		'dd if=/dev/zero of=/dev/vdc bs=4096 count=1 conv=fsync\necho done >/root/finished\n';
	const { instanceIdSets } = await callEcs('RunInstances', { regionId: region, imageId: images.images.image[0].imageId,
		instanceType: type, securityGroupId, vSwitchId: net.vSwitchId, instanceName: 'No_Delete_SMC_Transition_Instance',
		internetMaxBandwidthOut: 100, systemDisk: { category: 'cloud_efficiency', size: '20' }, clientToken: 'run-1', tag,
		dataDisk: [{ category: 'cloud_essd', performanceLevel: 'PL0', size: 2, deleteWithInstance: true },
			{ category: 'cloud_essd', performanceLevel: 'PL0', size: 1, deleteWithInstance: true }],
		userData: Buffer.from(script).toString('base64') });
	const instanceId = instanceIdSets.instanceIdSet[0];
	await until('instance', () => callEcs('DescribeInstances', { regionId: region, instanceIds: JSON.stringify([instanceId]) }),
		(r) => r.instances.instance.length === 1 && r.instances.instance[0].status === 'Running');
	return { instanceId, securityGroupId };
}

async function image(callEcs, instanceId) {
	const disks = await callEcs('DescribeDisks', { regionId: region, instanceId, diskType: 'data' });
	assert.strictEqual(disks.disks.disk.length, 2);
	const snapshots = [];
	// The last first: what is written there is written when the others are synced.
	for (const [n, disk] of [...disks.disks.disk.entries()].reverse()) {
		const { snapshotId } = await until('first write', () => callEcs('CreateSnapshot', { diskId: disk.diskId,
			snapshotName: `sdk-disk${n}`, tag, clientToken: `snapshot-${n}-${Date.now()}` }).catch((e) => e),
		(r) => r.snapshotId, (r) => r.code !== 'IncorrectDiskStatus.NeverUsed');
		snapshots[n] = snapshotId;
	}
	await until('snapshots', () => callEcs('DescribeSnapshots', { regionId: region, snapshotIds: JSON.stringify(snapshots) }),
		(r) => r.snapshots.snapshot.length === 2 && r.snapshots.snapshot.every((s) => s.status === 'accomplished'));
	const { imageId } = await callEcs('CreateImage', { regionId: region, imageName: 'sdk_image', platform: 'Others Linux',
		architecture: 'x86_64', tag, clientToken: 'image-1', diskDeviceMapping: snapshots.map((snapshotId, n) =>
			({ snapshotId, diskType: n ? 'data' : 'system', device: `/dev/xvd${'ab'[n]}` })) });
	await until('image', () => callEcs('DescribeImages', { regionId: region, imageId, status: 'Creating,Waiting,Available,UnAvailable,CreateFailed' }),
		(r) => r.images.image.length === 1 && r.images.image[0].status === 'Available');
	return { imageId, snapshots };
}

async function exported(callEcs, imageId) {
	const answer = await callEcs('ExportImage', { regionId: region, imageId, OSSBucket: bucketName, OSSPrefix: 'sdkjob',
		imageFormat: 'qcow2' });
	const { taskId } = answer;
	const task = await until('export', () => callEcs('DescribeTaskAttribute', { regionId: region, taskId }).catch((e) => e),
		(r) => r.taskStatus === 'Finished', (r) => r.taskStatus === 'Failed');
	return task.operationProgressSet.operationProgress.map((o) =>
		o.relatedItemSet.relatedItem.find((i) => i.name === 'OSSObject').value);
}

async function main() {
	const callVpc = vpc(region);
	const callEcs = ecs(region);
	const callEns = ens();
	const bucket = oss(region, bucketName, true);
	const info = await bucket.getBucketInfo(bucketName);
	assert.strictEqual(info.bucket.Location, `oss-${region}`);

	const net = await network(callVpc);
	const { instanceId, securityGroupId } = await instance(callEcs, net);
	const { imageId, snapshots } = await image(callEcs, instanceId);
	const keys = await exported(callEcs, imageId);
	console.log(keys.join('\n'));
	const format = region === 'cn-beijing' ? 'raw.tar.gz' : 'qcow2';
	assert.deepStrictEqual(keys, [`sdkjob_${imageId}_system.${format}`, `sdkjob_${imageId}_data_xvdb.${format}`]);
	const listed = await bucket.listV2({ prefix: `sdkjob_${imageId}`, 'max-keys': 10 });
	assert.strictEqual(listed.objects.length, 2);

	const wanted = { ImageName: 'sdk_edge', ComputeType: 'ens_vm', Architecture: 'x86_64', OSType: 'linux', ImageFormat: 'qcow2',
		TargetOSSRegionId: region, DiskDeviceMapping: JSON.stringify(keys.map((key) =>
			({ OSSBucket: bucketName, OSSObject: key, OSSRegion: region }))) };
	const { ImageId } = await callEns('ImportImage', wanted);
	const done = await until('import', () => callEns('DescribeSelfImages', { ImageId, PageSize: 50 }), (r) =>
		r.Images.Image.length === 1 && /Available|failed/.test(r.Images.Image[0].Status));
	const status = done.Images.Image[0].Status;
	console.log(`ENS image: ${status}`);
	assert.strictEqual(status, region === 'cn-beijing' ? 'Pack_failed' : 'Available');

	await callEcs('DeleteInstance', { instanceId, force: true });
	await until('no instance', () => callEcs('DescribeInstances', { regionId: region, instanceIds: JSON.stringify([instanceId]) }),
		(r) => r.instances.instance.length === 0);
	await bucket.deleteMulti(keys, { quiet: true });
	await callEcs('DeleteImage', { regionId: region, imageId });
	for (const snapshotId of snapshots) await callEcs('DeleteSnapshot', { snapshotId });
	await callEcs('DeleteSecurityGroup', { regionId: region, securityGroupId });
	await callVpc('DeleteVSwitch', { regionId: region, vSwitchId: net.vSwitchId });
	await until('no vSwitch', () => callVpc('DescribeVSwitches', { regionId: region, vSwitchId: net.vSwitchId }),
		(r) => r.vSwitches.vSwitch.length === 0);
	await callVpc('DeleteVpc', { regionId: region, vpcId: net.vpcId });

	const state = await emulator('GET', 'state');
	assert.deepStrictEqual(state.errors, []);
	assert.deepStrictEqual(state.left_over, []);
	assert.strictEqual(state.ens_images.length, 1);
	// What the emulator answered has the names and types that the vendor's models give it, and no others.
	const wrong = (await emulator('GET', 'calls')).filter((c) => c.answer && answerClass(c.product, c.action)).flatMap((c) =>
		strangers(answerClass(c.product, c.action), c.answer, c.action));
	assert.deepStrictEqual([...new Set(wrong)], []);
	console.log(`files: ${state.ens_images[0].files.join(' ')}`);
	console.log(`schemes: ${[...new Set((await emulator('GET', 'calls')).map((c) => `${c.product} ${c.scheme}`))].sort().join(', ')}`);
}

main().catch((why) => { console.error(why); process.exit(1); });
