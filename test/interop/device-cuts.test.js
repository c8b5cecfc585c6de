'use strict';

// Connections break. A device that comes back finds its subscriptions as they
// were, without asking again: the Python SDK never asks again, and the Node SDK
// not for desired patches.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Client, Message } = require('azure-iot-device');
const site = require('./site');
const { Cable } = require('./cable');
const { Device, report } = require('./device');
const { RawDevice } = require('./raw');

describe('the official SDK after a cut', site.suite, () => {
  const cuts = [
    ['FIN on both ends', (cable) => cable.fin()],
    ['RST at the hub, FIN at the device', (cable) => cable.resetHub()],
    // An idle client does not notice a reset by itself (a known defect of this
    // SDK): sending something wakes it.
    ['RST on both ends', (cable, client) => {
      cable.reset();
      return client.sendEvent(new Message('wake up'));
    }],
  ];
  for (const [what, cut] of cuts) {
    test(`gets desired patches and methods as before, without subscribing to the patches again: ${what}`, async (t) => {
      const identity = await site.register();
      const cable = await Cable.lay();
      const device = await Device.open(t, { connectionString: cable.connectionString(identity) });
      const patches = [];
      const twin = await device.followTwin(patches);
      await device.onMethod('echo', (request, response) => response.send(200, { got: request.payload }));
      await site.setDesired(identity.deviceId, { cut: 'before' });
      await site.until('the patch before the cut arrives', () => twin.properties.desired.cut === 'before');

      const before = device.packets.length;
      await cut(cable, device.client);
      await site.until('the device is back', () => device.connacks === 2);
      const connack = device.packets.findLast((packet) => packet.cmd === 'connack');
      assert.equal(connack.sessionPresent, true);

      await site.setDesired(identity.deviceId, { cut: 'after' });
      await site.until('the patch after the cut arrives', () => twin.properties.desired.cut === 'after');
      const answer = await site.invoke(identity.deviceId, 'echo', { payload: what });
      assert.deepEqual(answer.body, { status: 200, payload: { got: what } });
      await report(twin, { back: what });
      assert.equal((await site.twin(identity.deviceId)).properties.reported.back, what);
      const again = device.subscribes(before).filter((topic) => topic.startsWith('$iothub/twin/'));
      assert.deepEqual(again, []);
    });
  }

  test('answers nothing twice, and the caller of a method that was cut is told', async (t) => {
    const identity = await site.register();
    const cable = await Cable.lay();
    const device = await Device.open(t, { connectionString: cable.connectionString(identity) });
    await device.followTwin(); // without it the SDK would stay away
    let asked = 0;
    await device.onMethod('cut', () => {
      asked++;
      cable.fin();
    });
    const began = Date.now();
    const { status, body } = await site.invoke(identity.deviceId, 'cut', { responseTimeoutInSeconds: 30 });
    assert.equal(status, 503);
    assert.match(body.Message, /503102|DeviceUnavailable/);
    assert.ok(Date.now() - began < 20_000, 'the caller waited for the timeout');
    await site.until('the device is back', () => device.connacks === 2);
    await device.onMethod('after', (request, response) => response.send(200, {}));
    assert.equal((await site.invoke(identity.deviceId, 'after')).body.status, 200);
    assert.equal(asked, 1);
  });
});

// What the Python SDK does, which sends no SUBSCRIBE at all after a cut.
describe('a device that never subscribes again', site.suite, () => {
  const filters = ['$iothub/methods/POST/#', '$iothub/twin/PATCH/properties/desired/#', '$iothub/twin/res/#'];

  for (const [what, cut] of [['FIN', (cable) => cable.fin()], ['RST', (cable) => cable.reset()]]) {
    test(`gets everything as before: ${what}`, async (t) => {
      const identity = await site.register();
      const { deviceId } = identity;
      const cable = await Cable.lay();
      const first = await RawDevice.connect(t, identity, { port: cable.port });
      assert.equal(first.sessionPresent, false);
      const granted = await first.subscribe([...filters, `devices/${deviceId}/messages/devicebound/#`], 1);
      assert.deepEqual(granted, [1, 1, 1, 1]);
      await site.setDesired(deviceId, { cut: 'before' });
      const before = await first.next('$iothub/twin/PATCH/properties/desired/');
      assert.equal(JSON.parse(before.payload).cut, 'before');
      cut(cable);
      await site.connected(deviceId, false);

      const second = await RawDevice.connect(t, identity);
      assert.equal(second.sessionPresent, true);
      await site.setDesired(deviceId, { cut: 'after' });
      const after = await second.next('$iothub/twin/PATCH/properties/desired/');
      assert.equal(JSON.parse(after.payload).cut, 'after');
      assert.deepEqual([after.qos, after.dup], [1, false]);
      assert.equal((await second.twin()).desired.cut, 'after');
      const answer = site.invoke(deviceId, 'echo', { payload: what });
      const request = await second.method('echo');
      assert.equal(request.payload, JSON.stringify(what));
      await second.answer(request.rid, 200, {});
      assert.equal((await answer).body.status, 200);
    });
  }

  test('is told by the twin, not later, what it missed', async (t) => {
    const identity = await site.register();
    const { deviceId } = identity;
    const cable = await Cable.lay();
    const first = await RawDevice.connect(t, identity, { port: cable.port });
    await first.subscribe(filters, 1);
    cable.reset();
    await site.connected(deviceId, false);
    const missed = await site.invoke(deviceId, 'missed', { connectTimeoutInSeconds: 0 });
    assert.equal(missed.status, 404);
    await site.setDesired(deviceId, { floor: 3 });

    const second = await RawDevice.connect(t, identity);
    assert.equal((await second.twin()).desired.floor, 3);
    // The hub keeps the order: what it had kept would have come before the twin.
    assert.deepEqual(second.received, []);
  });

  test('gets nothing when it asked for a clean session', async (t) => {
    const identity = await site.register();
    const { deviceId } = identity;
    const cable = await Cable.lay();
    const first = await RawDevice.connect(t, identity, { port: cable.port });
    await first.subscribe(filters, 1);
    cable.fin();
    await site.connected(deviceId, false);
    const second = await RawDevice.connect(t, identity, { clean: true });
    assert.equal(second.sessionPresent, false);
    await site.setDesired(deviceId, { floor: 3 });
    await second.subscribe(['$iothub/twin/res/#'], 1);
    assert.equal((await second.twin()).desired.floor, 3);
    assert.deepEqual(second.received, []);
  });
});
