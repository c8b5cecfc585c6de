'use strict';

// The registry as an operator's program uses it.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Registry } = require('azure-iothub');
const site = require('./site');

const { registry } = site;

describe('a device identity', site.suite, () => {
  test('of an id alone gets two keys, and is enabled', async () => {
    const deviceId = site.uniqueId('registry');
    const { responseBody, httpResponse } = await registry.create({ deviceId });
    assert.equal(httpResponse.statusCode, 200);
    const { primaryKey, secondaryKey } = responseBody.authentication.symmetricKey;
    assert.equal(Buffer.from(primaryKey, 'base64').length, 32);
    assert.notEqual(primaryKey, secondaryKey);
    assert.equal(responseBody.deviceId, deviceId);
    assert.equal(responseBody.status, 'enabled');
    assert.equal(responseBody.connectionState, 'Disconnected');
  });

  test('keeps the keys and the status it is given', async () => {
    const symmetricKey = { primaryKey: site.randomKey(), secondaryKey: site.randomKey() };
    const { responseBody } = await registry.create({
      deviceId: site.uniqueId('registry'), status: 'disabled', statusReason: 'in the box', authentication: { symmetricKey },
    });
    assert.deepEqual(responseBody.authentication.symmetricKey, symmetricKey);
    assert.equal(responseBody.status, 'disabled');
    assert.equal(responseBody.statusReason, 'in the box');
  });

  test('with thumbprints and no type is self-signed', async () => {
    const x509Thumbprint = { primaryThumbprint: 'A'.repeat(40), secondaryThumbprint: 'B'.repeat(64) };
    const { responseBody } = await registry.create({ deviceId: site.uniqueId('registry'), authentication: { x509Thumbprint } });
    assert.equal(responseBody.authentication.type, 'selfSigned');
    assert.deepEqual(responseBody.authentication.x509Thumbprint, x509Thumbprint);
  });

  test('cannot be made twice', async () => {
    const { deviceId } = await site.register();
    const error = await site.refusal(registry.create({ deviceId }), 'DeviceAlreadyExistsError', 409);
    assert.match(error.responseBody, /DeviceAlreadyExists/);
  });

  for (const bad of ['two words', 'a/b', 'x'.repeat(129)]) {
    test(`cannot have the id ${bad.slice(0, 10)}`, async () => {
      await site.refusal(registry.create({ deviceId: bad }), 'ArgumentError', 400);
    });
  }

  test('may have any id that the rules allow', async () => {
    const deviceId = `${site.uniqueId('registry')}-:.%_*?!(),=@$'`;
    await registry.create({ deviceId });
    assert.equal((await registry.get(deviceId)).responseBody.deviceId, deviceId);
    assert.equal((await registry.getTwin(deviceId)).responseBody.deviceId, deviceId);
    await registry.delete(deviceId);
  });

  test('is read as it was made', async () => {
    const { connectionString, ...made } = await site.register();
    const { responseBody } = await registry.get(made.deviceId);
    assert.ok(responseBody.etag);
    assert.deepEqual({ ...responseBody }, made); // in the SDK's class
  });

  test('is updated by what was read and changed', async () => {
    const { deviceId, etag, authentication } = await site.register();
    const read = (await registry.get(deviceId)).responseBody;
    const { responseBody } = await registry.update({ ...read, status: 'disabled', statusReason: 'lost' });
    assert.equal(responseBody.status, 'disabled');
    assert.equal(responseBody.statusReason, 'lost');
    assert.deepEqual(responseBody.authentication, authentication);
    assert.notEqual(responseBody.etag, etag);
  });

  test('is updated with its etag and with the star, not with a stale one', async () => {
    const { deviceId, etag, authentication } = await site.register();
    const update = (ifMatch) => site.request('PUT', `/devices/${deviceId}`, { deviceId, status: 'enabled', authentication }, { 'If-Match': ifMatch });
    const fresh = await update(`"${etag}"`);
    assert.equal(fresh.status, 200);
    const stale = await update(`"${etag}"`);
    assert.equal(stale.status, 412);
    assert.match(stale.body.Message, /^ErrorCode:PreconditionFailed;/);
    assert.equal((await update('"*"')).status, 200);
  });

  test('is listed', async () => {
    const { deviceId } = await site.register();
    const { responseBody } = await registry.list();
    assert.equal(responseBody.filter((device) => device.deviceId === deviceId).length, 1);
  });

  test('is gone when it is deleted', async () => {
    const { deviceId } = await site.register();
    const { httpResponse } = await registry.delete(deviceId);
    assert.equal(httpResponse.statusCode, 204);
    await site.refusal(registry.get(deviceId), 'DeviceNotFoundError', 404);
    await site.refusal(registry.getTwin(deviceId), 'DeviceNotFoundError', 404);
  });

  test('that is not there cannot be read, updated or deleted', async () => {
    const deviceId = site.uniqueId('nobody');
    await site.refusal(registry.get(deviceId), 'DeviceNotFoundError', 404);
    await site.refusal(registry.update({ deviceId, status: 'enabled' }), 'DeviceNotFoundError', 404);
    await site.refusal(registry.delete(deviceId), 'DeviceNotFoundError', 404);
  });
});

describe('many identities at once', site.suite, () => {
  const batch = () => Array.from({ length: 3 }, () => ({
    deviceId: site.uniqueId('bulk'), status: 'enabled',
    authentication: { symmetricKey: { primaryKey: site.randomKey(), secondaryKey: site.randomKey() } },
  }));
  const read = (devices) => Promise.all(devices.map(async ({ deviceId }) => (await registry.get(deviceId)).responseBody));

  test('are added, updated and removed', async () => {
    const devices = batch();
    assert.equal((await registry.addDevices(devices)).responseBody.isSuccessful, true);
    const added = await read(devices);
    assert.deepEqual(added.map(({ authentication }) => authentication.symmetricKey), devices.map(({ authentication }) => authentication.symmetricKey));

    const changed = added.map((device) => ({ ...device, status: 'disabled' }));
    assert.equal((await registry.updateDevices(changed, false)).responseBody.isSuccessful, true);
    assert.deepEqual((await read(devices)).map(({ status }) => status), ['disabled', 'disabled', 'disabled']);

    assert.equal((await registry.removeDevices(devices, true)).responseBody.isSuccessful, true);
    for (const { deviceId } of devices) {
      await site.refusal(registry.get(deviceId), 'DeviceNotFoundError', 404);
    }
  });

  test('name those that are there already', async () => {
    const devices = batch();
    await registry.create(devices[1]);
    const error = await site.refusal(registry.addDevices(devices), 'ArgumentError', 400);
    const result = JSON.parse(error.responseBody);
    assert.equal(result.isSuccessful, false);
    assert.deepEqual(result.errors.map(({ deviceId, errorCode }) => [deviceId, errorCode]), [[devices[1].deviceId, 'DeviceAlreadyExists']]);
  });

  test('are not updated or removed by a stale etag, but by force', async () => {
    const devices = batch();
    await registry.addDevices(devices);
    const stale = (await read(devices)).map((device) => ({ ...device, status: 'disabled', etag: 'AAAA' }));
    await site.refusal(registry.updateDevices(stale, false), 'ArgumentError', 400);
    await site.refusal(registry.removeDevices(stale, false), 'ArgumentError', 400);
    assert.deepEqual((await read(devices)).map(({ status }) => status), ['enabled', 'enabled', 'enabled']);
    assert.equal((await registry.updateDevices(stale, true)).responseBody.isSuccessful, true);
    assert.deepEqual((await read(devices)).map(({ status }) => status), ['disabled', 'disabled', 'disabled']);
    assert.equal((await registry.removeDevices(await read(devices), false)).responseBody.isSuccessful, true);
  });
});

describe('statistics', site.suite, () => {
  test('count all, enabled and disabled devices', async () => {
    await site.register({ status: 'disabled' });
    const count = async (where) => (await site.query(`SELECT COUNT() AS n FROM devices ${where}`))[0].n;
    // Other tests register devices meanwhile: the numbers agree between two of those.
    await site.until('the statistics agree with queries', async () => {
      const { totalDeviceCount, enabledDeviceCount, disabledDeviceCount } = (await registry.getRegistryStatistics()).responseBody;
      assert.equal(totalDeviceCount, enabledDeviceCount + disabledDeviceCount);
      return totalDeviceCount === await count('') && disabledDeviceCount === await count("WHERE status = 'disabled'");
    });
  });

  test('count the connected devices', async () => {
    await site.until('the statistics agree with a query', async () => {
      const { connectedDeviceCount } = await site.succeed('GET', '/statistics/service');
      const [{ n }] = await site.query("SELECT COUNT() AS n FROM devices WHERE connectionState = 'Connected'");
      return connectedDeviceCount === n && n > 0;
    });
  });
});

describe('who may use the registry', site.suite, () => {
  const host = `HostName=${site.hub.host}`;

  test('not who has a wrong key', async () => {
    const stranger = Registry.fromConnectionString(`${host};SharedAccessKeyName=iothubowner;SharedAccessKey=${site.randomKey()}`);
    await site.refusal(stranger.list(), 'UnauthorizedError', 401);
  });

  test('not who has an expired token', async () => {
    const late = Registry.fromSharedAccessSignature(site.token(site.hub.host, site.ownerKey, -600, 'iothubowner'));
    await site.refusal(late.list(), 'UnauthorizedError', 401);
    const inTime = Registry.fromSharedAccessSignature(site.token(site.hub.host, site.ownerKey, 600, 'iothubowner'));
    assert.ok((await inTime.list()).responseBody.length > 0);
  });

  test('not the policy "service", which may read twins', async () => {
    const { deviceId } = await site.register();
    const servant = Registry.fromConnectionString(site.servicePolicy('service'));
    assert.equal((await servant.getTwin(deviceId)).responseBody.deviceId, deviceId);
    await site.refusal(servant.get(deviceId), 'UnauthorizedError', 401);
  });

  test('only for reading, the policy "registryRead"', async () => {
    const { deviceId } = await site.register();
    const reader = Registry.fromConnectionString(site.servicePolicy('registryRead'));
    assert.equal((await reader.get(deviceId)).responseBody.deviceId, deviceId);
    await site.refusal(reader.delete(deviceId), 'UnauthorizedError', 401);
  });
});
