'use strict';

// Direct methods as a device gets and answers them.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const site = require('./site');
const { Device } = require('./device');
const { RawDevice } = require('./raw');

// open gives a device with the method "echo", which answers {got: payload}
// with the status in the payload, or 200.
async function open(t) {
  const { deviceId, connectionString } = await site.register();
  const device = await Device.open(t, { connectionString });
  await device.onMethod('echo', (request, response) =>
    response.send(request.payload?.status ?? 200, { got: request.payload }));
  return { deviceId, device };
}

describe('the payload of a method', site.suite, () => {
  const payloads = [
    ['an object', { lockTime: '10m', nested: { list: [1, null, 'Tür'] } }],
    ['an empty object', {}],
    ['a string', 'open sesame'],
    ['a string that holds JSON, as the tutorials send it', '{"lockTime":"10m"}'],
    ['an empty string', ''],
    ['a number', 12.5],
    ['zero', 0],
    ['false', false],
    ['a list', [1, 'two', { three: 3 }]],
    ['null', null],
  ];
  for (const [what, payload] of payloads) {
    test(`reaches the device as it is: ${what}`, async (t) => {
      const { deviceId } = await open(t);
      const { status, body } = await site.invoke(deviceId, 'echo', { payload });
      assert.equal(status, 200);
      assert.deepEqual(body, { status: 200, payload: { got: payload } });
    });
  }

  test('is null where there is none', async (t) => {
    const { deviceId } = await open(t);
    const { body } = await site.invoke(deviceId, 'echo');
    assert.deepEqual(body, { status: 200, payload: { got: null } });
  });

  test('may have 120 KB, and the answer too', async (t) => {
    const { deviceId } = await open(t);
    const payload = { text: 'x'.repeat(120 * 1024) };
    const { body } = await site.invoke(deviceId, 'echo', { payload });
    assert.deepEqual(body, { status: 200, payload: { got: payload } });
  });
});

describe('the answer to a method', site.suite, () => {
  for (const status of [202, 404, 503]) {
    test(`of status ${status} is the answer, not an error of the hub`, async (t) => {
      const { deviceId } = await open(t);
      const answer = await site.invoke(deviceId, 'echo', { payload: { status } });
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.body, { status, payload: { got: { status } } });
    });
  }

  test('may have no payload', async (t) => {
    const { deviceId, device } = await open(t);
    await device.onMethod('quiet', (request, response) => response.send(204));
    assert.deepEqual((await site.invoke(deviceId, 'quiet')).body, { status: 204, payload: null });
  });

  test('goes to its own caller when several are in flight and the last is answered first', async (t) => {
    const { deviceId, device } = await open(t);
    const waiting = [];
    const callers = Array.from({ length: 10 }, (_, n) => n);
    await device.onMethod('queue', (request, response) => {
      waiting.push(() => response.send(200, { n: request.payload.n }));
      if (waiting.length === callers.length) {
        waiting.reverse().forEach((send) => send());
      }
    });
    const answers = await Promise.all(callers.map((n) => site.invoke(deviceId, 'queue', { payload: { n } })));
    assert.deepEqual(answers.map(({ body }) => body), callers.map((n) => ({ status: 200, payload: { n } })));
  });

  test('counts once when the device gives it twice', async (t) => {
    const identity = await site.register();
    const device = await RawDevice.connect(t, identity);
    await device.subscribe(['$iothub/methods/POST/#', '$iothub/twin/res/#'], 1);
    const first = site.invoke(identity.deviceId, 'twice');
    const request = await device.method('twice');
    await device.answer(request.rid, 200, { n: 1 });
    await device.answer(request.rid, 500, { n: 2 });
    assert.deepEqual((await first).body, { status: 200, payload: { n: 1 } });

    // Neither does the second answer go to the next caller, nor is the device thrown out.
    const second = site.invoke(identity.deviceId, 'again');
    await device.answer((await device.method('again')).rid, 200, { n: 3 });
    assert.deepEqual((await second).body, { status: 200, payload: { n: 3 } });
    await device.twin();
  });

  test('for a request that never was harms nobody', async (t) => {
    const identity = await site.register();
    const device = await RawDevice.connect(t, identity);
    await device.subscribe(['$iothub/methods/POST/#', '$iothub/twin/res/#'], 1);
    await device.answer('12345', 200, {});
    await device.twin();
  });

  test('that does not come is 504 in time, and the device is asked once', async (t) => {
    const { deviceId, device } = await open(t);
    let asked = 0;
    await device.onMethod('silence', () => { asked++; });
    const began = Date.now();
    const { status, body } = await site.invoke(deviceId, 'silence', { responseTimeoutInSeconds: 5 });
    const took = Date.now() - began;
    assert.equal(status, 504);
    assert.match(body.Message, /504101|GatewayTimeout/);
    assert.ok(took >= 4900 && took < 15_000, `it took ${took} ms`);
    assert.equal(asked, 1);
  });
});

describe('a device that has not subscribed to methods', site.suite, () => {
  test('is not online for them', async (t) => {
    const identity = await site.register();
    await Device.open(t, identity);
    const { status, body } = await site.invoke(identity.deviceId, 'echo', { connectTimeoutInSeconds: 0 });
    assert.equal(status, 404);
    assert.match(body.Message, /404103|DeviceNotOnline/);
  });
});
