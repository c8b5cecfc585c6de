'use strict';

// Twins as an operator's program reads and writes them, and what latchd makes
// of it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Twin } = require('azure-iothub');
const site = require('./site');

const { registry } = site;
const read = async (deviceId) => (await registry.getTwin(deviceId)).responseBody;
const properties = ({ $version, $metadata, ...section }) => section;

describe('a twin', site.suite, () => {
  test('has all that the SDK and the portals show', async () => {
    const { deviceId, etag } = await site.register();
    const twin = await read(deviceId);
    assert.ok(twin instanceof Twin);
    assert.equal(twin.deviceId, deviceId);
    assert.equal(twin.deviceEtag, etag);
    assert.equal(twin.status, 'enabled');
    assert.equal(twin.connectionState, 'Disconnected');
    assert.equal(twin.authenticationType, 'sas');
    assert.equal(typeof twin.version, 'number');
    assert.deepEqual(twin.tags, {});
    for (const section of [twin.properties.desired, twin.properties.reported]) {
      assert.equal(section.$version, 1);
      assert.match(section.$metadata.$lastUpdated, /^\d{4}-\d\d-\d\dT/);
    }
  });

  test('of an unknown device is not found', async () => {
    await site.refusal(registry.getTwin(site.uniqueId('nobody')), 'DeviceNotFoundError', 404);
    await site.refusal(registry.updateTwin(site.uniqueId('nobody'), { tags: {} }, '*'), 'DeviceNotFoundError', 404);
  });

  test('is updated by a fresh etag, which changes', async () => {
    const { deviceId } = await site.register();
    const twin = await read(deviceId);
    const { etag } = twin;
    await twin.update({ tags: { site: 'lab' }, properties: { desired: { floor: 3 } } }); // refreshes itself
    assert.notEqual(twin.etag, etag);
    assert.deepEqual(twin.tags, { site: 'lab' });
    assert.equal(twin.properties.desired.floor, 3);
    assert.equal(twin.properties.desired.$version, 2);
  });

  test('is not updated by a stale etag', async () => {
    const { deviceId } = await site.register();
    const { etag } = await read(deviceId);
    await registry.updateTwin(deviceId, { tags: { by: 'the first' } }, etag);
    await site.refusal(registry.updateTwin(deviceId, { tags: { by: 'the second' } }, etag), 'InvalidEtagError', 412);
    assert.deepEqual((await read(deviceId)).tags, { by: 'the first' });
  });

  test('is updated by the star, whatever it is', async () => {
    const { deviceId } = await site.register();
    await registry.updateTwin(deviceId, { tags: { by: 'the first' } }, '*');
    const { responseBody } = await registry.updateTwin(deviceId, { tags: { by: 'the second' } }, '*');
    assert.deepEqual(responseBody.tags, { by: 'the second' });
  });

  test('takes a patch that is JSON text', async () => {
    const { deviceId } = await site.register();
    const { responseBody } = await registry.updateTwin(deviceId, '{"tags":{"n":1}}', '*');
    assert.deepEqual(responseBody.tags, { n: 1 });
  });

  test('loses a tag, or all, by null', async () => {
    const { deviceId } = await site.register();
    await registry.updateTwin(deviceId, { tags: { stays: 1, goes: 2, nested: { goes: 3 } } }, '*');
    const less = await registry.updateTwin(deviceId, { tags: { goes: null, nested: { goes: null } } }, '*');
    assert.deepEqual(less.responseBody.tags, { stays: 1, nested: {} });
    const none = await registry.updateTwin(deviceId, { tags: null }, '*');
    assert.deepEqual(none.responseBody.tags, {});
  });

  test('loses its desired properties by null, and the version rises', async () => {
    const { deviceId } = await site.register();
    const before = (await registry.updateTwin(deviceId, { properties: { desired: { floor: 3 } } }, '*')).responseBody.properties.desired;
    const after = (await registry.updateTwin(deviceId, { properties: { desired: null } }, '*')).responseBody.properties.desired;
    assert.deepEqual(properties(after), {});
    assert.equal(after.$version, before.$version + 1);
  });

  test('may be sent back whole', async () => {
    const { deviceId } = await site.register();
    await registry.updateTwin(deviceId, { tags: { one: 1, two: 2 }, properties: { desired: { floor: 3 } } }, '*');
    const whole = await site.twin(deviceId);
    whole.tags = { two: 'zwei' };
    const replaced = await site.succeed('PUT', `/twins/${deviceId}`, whole, { 'If-Match': `"${whole.etag}"` });
    assert.deepEqual(replaced.tags, { two: 'zwei' });
    assert.deepEqual(properties(replaced.properties.desired), { floor: 3 });
    replaced.tags.three = 3;
    const { responseBody } = await registry.updateTwin(deviceId, replaced, replaced.etag);
    assert.deepEqual(responseBody.tags, { two: 'zwei', three: 3 });
  });

  const refused = {
    'a key with a dot': { properties: { desired: { 'a.b': 1 } } },
    'eleven levels': { properties: { desired: JSON.parse(`${'{"a":'.repeat(12)}1${'}'.repeat(12)}`) } },
    'tags over 8 KB': { tags: Object.fromEntries(Array.from({ length: 3 }, (_, i) => [`k${i}`, 'x'.repeat(4000)])) },
    'desired properties that are no object': { properties: { desired: [1] } },
  };
  for (const [what, patch] of Object.entries(refused)) {
    test(`is not updated with ${what}`, async () => {
      const { deviceId } = await site.register();
      const { etag } = await read(deviceId);
      await site.refusal(registry.updateTwin(deviceId, patch, '*'), 'ArgumentError', 400);
      assert.equal((await read(deviceId)).etag, etag);
    });
  }
});

describe('the twin of a door', site.inOrder, () => {
  const door = 'door-twins';

  test('says how the door is', async () => {
    const { reported } = (await read(door)).properties;
    assert.equal(reported.door.state, 'locked');
    assert.equal(reported.agent.simulated, true);
  });

  test('acknowledges what is desired, and refuses what cannot be', async () => {
    const desired = { building: 43, floor: 3, doorPolicy: { unlockTime: '7s' } };
    const version = (await registry.updateTwin(door, { properties: { desired } }, '*')).responseBody.properties.desired.$version;
    const acknowledged = await site.until('the door acknowledges', async () => {
      const { reported } = (await read(door)).properties;
      return reported.doorPolicy?.av === version && reported.floor?.av === version && reported;
    });
    assert.deepEqual([acknowledged.building.value, acknowledged.building.ac], [43, 200]);
    assert.deepEqual([acknowledged.floor.value, acknowledged.floor.ac], [3, 200]);
    assert.deepEqual([acknowledged.doorPolicy.value.unlockTime, acknowledged.doorPolicy.ac], [7, 200]);

    await registry.updateTwin(door, { properties: { desired: { doorPolicy: { unlockTime: 'soon' } } } }, '*');
    const refused = await site.until('the door refuses', async () => {
      const { doorPolicy } = (await read(door)).properties.reported;
      return doorPolicy.ac === 400 && doorPolicy;
    });
    assert.equal(refused.value.unlockTime, 7);

    await registry.updateTwin(door, { properties: { desired: null } }, '*');
    await site.until('the door takes its acknowledgements back', async () => {
      const { reported } = (await read(door)).properties;
      return !('building' in reported) && !('floor' in reported);
    });
  });
});
