'use strict';

// What a device sends arrives as it was sent; the hub's event feed shows it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Message } = require('azure-iot-device');
const site = require('./site');
const { Device } = require('./device');

// open gives a device, and a function that waits for its next telemetry.
async function open(t) {
  const identity = await site.register();
  const { client } = await Device.open(t, identity);
  const next = await site.feed();
  const arrives = () => next('of telemetry', (e) => e.source === 'Telemetry' && e.deviceId === identity.deviceId);
  return { client, arrives };
}

describe('telemetry', site.suite, () => {
  test('keeps its system properties and its own', async (t) => {
    const { client, arrives } = await open(t);
    const message = new Message(JSON.stringify({ event: 'doorOpened', where: 'Büro' }));
    message.messageId = 'message-1';
    message.correlationId = 'command-7';
    message.contentType = 'application/json';
    message.contentEncoding = 'utf-8';
    message.properties.add('a b', 'c&d=é/?#+%');
    message.properties.add('empty', '');
    await client.sendEvent(message);
    const event = await arrives();
    assert.deepEqual(event.body, { event: 'doorOpened', where: 'Büro' });
    assert.deepEqual(event.properties, { 'a b': 'c&d=é/?#+%', empty: '' });
    const { system } = event;
    assert.equal(system['message-id'], 'message-1');
    assert.equal(system['correlation-id'], 'command-7');
    assert.equal(system['content-type'], 'application/json');
    assert.equal(system['content-encoding'], 'utf-8');
  });

  test('that is text arrives as text', async (t) => {
    const { client, arrives } = await open(t);
    await client.sendEvent(new Message('the door "Büro" is open'));
    assert.equal((await arrives()).body, 'the door "Büro" is open');
  });

  test('of any bytes arrives whole', async (t) => {
    const { client, arrives } = await open(t);
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    await client.sendEvent(new Message(bytes));
    assert.deepEqual(Buffer.from((await arrives()).body, 'base64'), bytes);
  });

  test('of 250 KB arrives whole', async (t) => {
    const { client, arrives } = await open(t);
    const text = 'z'.repeat(250 * 1024);
    await client.sendEvent(new Message(text));
    assert.ok((await arrives()).body === text);
  });

  test('sent at once arrives in order, and none is missing', async (t) => {
    const { client, arrives } = await open(t);
    const numbers = Array.from({ length: 100 }, (_, n) => n);
    await Promise.all(numbers.map((n) => client.sendEvent(new Message(JSON.stringify({ n })))));
    for (const n of numbers) {
      assert.deepEqual((await arrives()).body, { n });
    }
  });
});
