'use strict';

// The twin as a device sees it: reading, reporting, being told.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const site = require('./site');
const { Device, report } = require('./device');

// open gives a device that follows its twin.
async function open(t) {
  const identity = await site.register();
  const { deviceId } = identity;
  const device = await Device.open(t, identity);
  const patches = [];
  const twin = await device.followTwin(patches);
  const reported = async () => plain((await site.twin(deviceId)).properties.reported);
  // reaches waits until the device has seen a version of the desired properties.
  const reaches = (version) => site.until(`desired version ${version}`, () => twin.properties.desired.$version === version);
  return { identity, deviceId, device, twin, patches, reported, reaches };
}

// plain leaves out what is not a property: $version, $metadata, the SDK's update().
function plain(section) {
  return Object.fromEntries(Object.entries(section).filter(([name, value]) => !name.startsWith('$') && typeof value !== 'function'));
}

describe('reported properties', site.suite, () => {
  test('of a new device are empty and have a version', async (t) => {
    const { twin } = await open(t);
    for (const section of [twin.properties.desired, twin.properties.reported]) {
      assert.deepEqual(plain(section), {});
      assert.equal(section.$version, 1);
    }
  });

  test('are stored as sent, and each update raises the version', async (t) => {
    const { deviceId, twin, reported } = await open(t);
    const sent = { text: 'Türöffner ✓', number: -1.5e-7, yes: true, list: [1, 'two', { three: 3 }], nested: { deep: { er: {} } } };
    await report(twin, sent);
    assert.deepEqual(await reported(), sent);
    assert.equal((await site.twin(deviceId)).properties.reported.$version, 2);
    await report(twin, { number: 2 });
    assert.equal((await site.twin(deviceId)).properties.reported.$version, 3);
  });

  test('are merged, and null deletes', async (t) => {
    const { twin, reported } = await open(t);
    await report(twin, { stays: 1, goes: 2, nested: { stays: 3, goes: 4 } });
    await report(twin, { goes: null, nested: { goes: null, comes: 5 } });
    assert.deepEqual(await reported(), { stays: 1, nested: { stays: 3, comes: 5 } });
  });

  test('are what the device reads when it connects again', async (t) => {
    const { identity, device, twin } = await open(t);
    await report(twin, { mode: 'locked' });
    await device.client.close();
    const again = await Device.open(t, identity);
    assert.equal((await again.client.getTwin()).properties.reported.mode, 'locked');
  });

  const refused = [
    ['a key with a dot', { 'a.b': 1 }, "reported.a.b: a key must not contain '.'"],
    ['a key with a dollar sign', { $x: 1 }, "reported.$x: a key must not contain '$'"],
    ['a text over 4 KB', { text: 'x'.repeat(4097) }, /^reported.text: .* at most 4096 /],
    ['eleven levels', JSON.parse(`${'{"a":'.repeat(12)}1${'}'.repeat(12)}`), /^reported(\.a){11}: nested deeper than 10 /],
    ['more than 32 KB', Object.fromEntries(Array.from({ length: 9 }, (_, i) => [`k${i}`, 'x'.repeat(4000)])), /^reported: .* at most 32768 /],
  ];
  for (const [what, patch, message] of refused) {
    test(`are refused with ${what}, and the twin stays as it was`, async (t) => {
      const { twin, reported } = await open(t);
      await report(twin, { before: 1 });
      // The SDK passes on the hub's words, in an Error of no class.
      await assert.rejects(report(twin, { ...patch, other: 2 }), { name: 'Error', message });
      assert.deepEqual(await reported(), { before: 1 });
      await report(twin, { after: 3 });
      assert.deepEqual(await reported(), { before: 1, after: 3 });
    });
  }

  test('show in the events as they were sent, nulls included', async (t) => {
    const { deviceId, twin } = await open(t);
    await report(twin, { goes: 1 });
    const next = await site.feed();
    await report(twin, { goes: null, comes: 2 });
    const event = await next('of the change', (e) => e.deviceId === deviceId && e.source === 'twinChangeEvents');
    assert.deepEqual(plain(event.body.properties.reported), { goes: null, comes: 2 });
  });
});

describe('desired properties', site.suite, () => {
  test('reach the device as the patch alone, and the SDK merges it', async (t) => {
    const { deviceId, twin, patches, reaches } = await open(t);
    await site.setDesired(deviceId, { lock: { time: 5 }, floor: 2 });
    const { $version } = (await site.setDesired(deviceId, { lock: { hold: true } })).properties.desired;
    await reaches($version);
    assert.deepEqual(patches.map((patch) => plain(patch)).slice(-1), [{ lock: { hold: true } }]);
    assert.deepEqual(plain(twin.properties.desired), { lock: { time: 5, hold: true }, floor: 2 });
  });

  test('go from the device when they are set to null', async (t) => {
    const { deviceId, twin, reaches } = await open(t);
    await site.setDesired(deviceId, { lock: { time: 5, hold: true }, floor: 2 });
    await reaches((await site.setDesired(deviceId, { lock: { time: null }, floor: null })).properties.desired.$version);
    assert.deepEqual(plain(twin.properties.desired), { lock: { hold: true } });
  });

  test('go from the device as a whole by "desired": null', async (t) => {
    const { deviceId, twin, reaches } = await open(t);
    await reaches((await site.setDesired(deviceId, { a: 1, b: { c: 2 } })).properties.desired.$version);
    await reaches((await site.setDesired(deviceId, null)).properties.desired.$version);
    assert.deepEqual(plain(twin.properties.desired), {});
  });

  test('go from the device when the twin is replaced without them', async (t) => {
    const { deviceId, twin, reaches } = await open(t);
    await reaches((await site.setDesired(deviceId, { goes: 1, changes: 2 })).properties.desired.$version);
    const replaced = await site.succeed('PUT', `/twins/${deviceId}`, { properties: { desired: { changes: 3 } } }, { 'If-Match': '"*"' });
    await reaches(replaced.properties.desired.$version);
    assert.deepEqual(plain(twin.properties.desired), { changes: 3 });
  });

  test('arrive in order and none is missing', async (t) => {
    const { deviceId, patches, reaches } = await open(t);
    patches.length = 0; // the SDK tells the present state first
    const versions = [];
    for (let n = 0; n < 50; n++) {
      versions.push((await site.setDesired(deviceId, { n })).properties.desired.$version);
    }
    await reaches(versions.at(-1));
    assert.deepEqual(patches.map((patch) => [patch.n, patch.$version]), versions.map((version, n) => [n, version]));
  });
});
