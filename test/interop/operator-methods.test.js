'use strict';

// Direct methods as an operator's program calls them, mostly of latchd.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const site = require('./site');
const { Device } = require('./device');

const { service } = site;
const call = async (deviceId, params) => (await service.invokeDeviceMethod(deviceId, params)).result;

describe('a method of a door', site.inOrder, () => {
  const door = 'door-methods';

  test('is answered: getStatus', async () => {
    const { status, payload } = await call(door, { methodName: 'getStatus' });
    assert.equal(status, 200);
    assert.equal(typeof payload.Response, 'string');
    assert.equal(payload.door.state, 'locked');
  });

  const payloads = [
    ['an object', { unlockTime: '1s' }],
    ['a string that holds an object, as the tutorials send it', '{"unlockTime":"1s"}'],
    ['an empty string', ''],
    ['null', null],
    ['nothing', undefined],
  ];
  for (const [what, payload] of payloads) {
    test(`takes ${what} for its payload`, async () => {
      const { status, payload: answer } = await call(door, { methodName: 'unlockDoor', payload });
      assert.equal(status, 200, JSON.stringify(answer));
      assert.equal(answer.Response, 'unlockDoor called successfully');
      assert.equal(answer.door.mode, 'momentary');
    });
  }

  for (const payload of [[1], 'open sesame', 7, { unlockTime: 'soon' }]) {
    test(`is refused with the payload ${JSON.stringify(payload)}`, async () => {
      assert.equal((await call(door, { methodName: 'unlockDoor', payload })).status, 400);
    });
  }

  test('may be refused by the state of the door', async () => {
    const locked = await call(door, { methodName: 'lockDoor', payload: { lockTime: '10m' } });
    assert.equal(locked.status, 200);
    assert.equal(locked.payload.Response, 'lockDoor called successfully');
    assert.equal((await call(door, { methodName: 'unlockDoor' })).status, 423);
    assert.equal((await call(door, { methodName: 'lockDoor', payload: { lockTime: 0 } })).status, 200);
    assert.equal((await call(door, { methodName: 'unlockDoor' })).status, 200);
  });

  test('is done once for one commandId', async () => {
    const once = { methodName: 'unlockDoor', payload: { commandId: site.uniqueId('once'), unlockTime: '1s' } };
    const first = await call(door, once);
    const second = await call(door, once);
    assert.equal(first.status, 200);
    assert.equal(first.payload.replayed, undefined);
    assert.deepEqual(second, { status: 200, payload: { ...first.payload, replayed: true } });
  });

  test('that it does not know is 404 by the door, not by the hub', async () => {
    assert.deepEqual(await call(door, { methodName: 'openSesame', payload: {} }), { status: 404, payload: { Response: 'Unknown method' } });
  });

  test('is answered when many are called at once', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, (_, n) => call(door, { methodName: n % 2 ? 'getStatus' : 'lockDoor' })));
    assert.deepEqual(answers.map(({ status }) => status), Array(20).fill(200));
  });
});

describe('a method that nobody answers', site.suite, () => {
  test('because the device is not known: DeviceNotFoundError', async () => {
    await site.refusal(service.invokeDeviceMethod(site.uniqueId('nobody'), { methodName: 'x' }), 'DeviceNotFoundError', 404);
  });

  test('because the device is offline: 404 DeviceNotOnline, at once', async () => {
    const { deviceId } = await site.register();
    const began = Date.now();
    // The SDK has no class of its own for this.
    const error = await site.refusal(service.invokeDeviceMethod(deviceId, { methodName: 'x' }), 'Error', 404);
    assert.match(error.responseBody, /DeviceNotOnline|404103/);
    assert.ok(Date.now() - began < 10_000);
  });

  test('because the device is offline: after the connect timeout, if there is one', async () => {
    const { deviceId } = await site.register();
    const began = Date.now();
    const error = await site.refusal(service.invokeDeviceMethod(deviceId, { methodName: 'x', connectTimeoutInSeconds: 2 }), 'Error', 404);
    assert.match(error.responseBody, /DeviceNotOnline|404103/);
    const took = Date.now() - began;
    assert.ok(took >= 1900 && took < 15_000, `it took ${took} ms`);
  });

  test('because the device does not answer: GatewayTimeoutError', async (t) => {
    const identity = await site.register();
    const device = await Device.open(t, identity);
    let asked = 0;
    await device.onMethod('silence', () => { asked++; });
    const error = await site.refusal(
      service.invokeDeviceMethod(identity.deviceId, { methodName: 'silence', responseTimeoutInSeconds: 5 }), 'GatewayTimeoutError', 504);
    assert.match(error.responseBody, /GatewayTimeout|504101/);
    assert.equal(asked, 1);
  });

  test('because the timeout is not allowed: ArgumentError', async () => {
    for (const times of [{ responseTimeoutInSeconds: 4 }, { responseTimeoutInSeconds: 301 }, { connectTimeoutInSeconds: 301 }]) {
      await site.refusal(service.invokeDeviceMethod('door-methods', { methodName: 'getStatus', ...times }), 'ArgumentError', 400);
    }
  });

  test('because it is too large: refused, and the device does not see it', async (t) => {
    const identity = await site.register();
    const device = await Device.open(t, identity);
    let asked = 0;
    await device.onMethod('large', (request, response) => {
      asked++;
      response.send(200, {});
    });
    const { status } = await site.invoke(identity.deviceId, 'large', { payload: 'x'.repeat(129 * 1024) });
    assert.ok(status === 400 || status === 413, `status ${status}`);
    assert.equal((await site.invoke(identity.deviceId, 'large', { payload: 'x' })).status, 200);
    assert.equal(asked, 1);
  });
});

describe('a device that connects while it is called', site.suite, () => {
  test('is waited for', async (t) => {
    const identity = await site.register();
    const answer = call(identity.deviceId, { methodName: 'late', connectTimeoutInSeconds: 30 });
    const device = await Device.open(t, identity);
    await device.onMethod('late', (request, response) => response.send(200, { late: true }));
    assert.deepEqual(await answer, { status: 200, payload: { late: true } });
  });
});
