// SPDX-License-Identifier: GPL-2.0-or-later
// An instance that fetches our receiver by a presigned URL, checks and runs it, and says its activation code by another URL.
// usage: instance.js RECEIVER SIZE_GIB; prints "instance ID", "disk ID", "address A", "activation CODE"
'use strict';
const assert = require('assert');
const { createHash } = require('crypto');
const fs = require('fs');
const { ecs, vpc, oss, until } = require('./clients.js');
const OSS = require('ali-oss');

const region = 'cn-beijing';
const bucketName = 'coldlift-beijing';
const [receiver, sizeGib] = process.argv.slice(2);

// A URL as the SDK makes it, but to the emulator by its address, with the bucket in the path.
async function presigned(method, key) {
	const client = new OSS({ region: `oss-${region}`, bucket: bucketName, accessKeyId: 'emulated-key',
		accessKeySecret: 'emulated-secret', secure: false });
	const url = new URL(client.signatureUrl(key, { method, expires: 36000 }));
	return `${process.env.endpoint}/${bucketName}${url.pathname}${url.search}`;
}

async function main() {
	const callVpc = vpc(region);
	const callEcs = ecs(region);
	const bucket = oss(region, bucketName, true);
	const program = fs.readFileSync(receiver);
	await bucket.put('receiver', program);
	const { vpcId } = await callVpc('CreateVpc', { regionId: region, cidrBlock: '172.16.0.0/16' });
	await until('VPC', () => callVpc('DescribeVpcs', { regionId: region, vpcId }), (r) => r.vpcs.vpc[0]?.status === 'Available');
	const { vSwitchId } = await callVpc('CreateVSwitch', { regionId: region, vpcId, zoneId: 'cn-beijing-h', cidrBlock: '172.16.1.0/24' });
	await until('vSwitch', () => callVpc('DescribeVSwitches', { regionId: region, vSwitchId }),
		(r) => r.vSwitches.vSwitch[0]?.status === 'Available');
	const { securityGroupId } = await callEcs('CreateSecurityGroup', { regionId: region, vpcId });
	const script = `#!/bin/sh
set -eu
mkdir -p /opt/coldlift /var/lib/coldlift
cd /opt/coldlift
curl -fsS -o receiver '${await presigned('GET', 'receiver')}'
echo '${createHash('sha256').update(program).digest('hex')}  receiver' | sha256sum -c
chmod 755 receiver
address=$(curl -fsS http://100.100.100.200/latest/meta-data/eipv4)
./receiver serve --state /var/lib/coldlift --device /dev/vdb --advertise "$address" >out 2>log &
until grep '^activation: ' out; do sleep 0.1; kill -0 $!; done
sed -n 's/^activation: //p' out >code
curl -fsS -H 'Content-Type:' -T code '${await presigned('PUT', 'activation')}'
wait
`;
	const { instanceIdSets } = await callEcs('RunInstances', { regionId: region, imageId: 'debian_12_9_x64_20G_alibase_20250117.vhd',
		instanceType: 'ecs.e-c1m1.large', securityGroupId, vSwitchId, internetMaxBandwidthOut: 100,
		systemDisk: { category: 'cloud_efficiency', size: '20' }, userData: Buffer.from(script).toString('base64'),
		dataDisk: [{ category: 'cloud_essd', performanceLevel: 'PL0', size: Number(sizeGib) }] });
	const instanceId = instanceIdSets.instanceIdSet[0];
	const { instances } = await until('instance', () => callEcs('DescribeInstances', { regionId: region,
		instanceIds: JSON.stringify([instanceId]) }), (r) => r.instances.instance[0]?.status === 'Running');
	const { disks } = await callEcs('DescribeDisks', { regionId: region, instanceId, diskType: 'data' });
	const activation = await until('activation code', () => bucket.get('activation').catch((e) => e), (r) => r.content,
		(r) => r.code && r.code !== 'NoSuchKey');
	assert.match(activation.content.toString(), /^coldlift1\./);
	console.log(`instance ${instanceId}`);
	console.log(`group ${securityGroupId}`);
	console.log(`disk ${disks.disk[0].diskId}`);
	console.log(`address ${instances.instance[0].publicIpAddress.ipAddress[0]}`);
	console.log(`activation ${activation.content.toString().trim()}`);
}

main().catch((why) => { console.error(why); process.exit(1); });
