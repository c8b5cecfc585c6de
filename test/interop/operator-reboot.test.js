'use strict';

// The reboot of the public device-management tutorials: call the method, then
// ask the twin again and again until rebootTime shows.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const site = require('./site');

const door = 'door-reboot';
const reported = async () => (await site.registry.getTwin(door)).responseBody.properties.reported;

async function rebootedSince(before) {
  return site.until('a new rebootTime', async () => {
    const now = await reported();
    return now.rebootTime && now.rebootTime !== before.rebootTime && now;
  });
}

test('a door reboots and reports it, as the tutorial has it', site.inOrder, async () => {
  const payloads = [{ method_number: '42' }, '{"method_number":"42"}'];
  for (const payload of payloads) {
    const before = await site.until('the first rebootTime', async () => {
      const now = await reported();
      return now.rebootTime && now;
    });
    const called = Date.now();
    const { result } = await site.service.invokeDeviceMethod(door, {
      methodName: 'rebootDevice', payload, responseTimeoutInSeconds: 30, connectTimeoutInSeconds: 30,
    });
    assert.equal(result.status, 200, JSON.stringify(result.payload));
    assert.equal(typeof result.payload.Response, 'string');
    const after = await rebootedSince(before);
    assert.ok(Date.parse(after.rebootTime) >= called, `${after.rebootTime} is before the call`);
    const receipt = await site.until('the receipt', async () => {
      const { lastReboot } = await reported();
      return lastReboot?.operationId === result.payload.operationId && lastReboot.state === 'completed' && lastReboot;
    });
    assert.equal(receipt.cause, 'rebootDevice');
    assert.equal(receipt.orderly, true);
  }
});
