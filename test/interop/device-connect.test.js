'use strict';

// How a device proves who it is, and what it sees when it cannot.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Client, SharedAccessKeyAuthenticationProvider } = require('azure-iot-device');
const { NoRetry } = require('azure-iot-common');
const certificates = require('./certificates');
const site = require('./site');
const { Device } = require('./device');

// refused expects that the SDK gives up with UnauthorizedError, at its first
// connection: it does not knock again where it was told to stay out.
async function refused(t, make) {
  const device = new Device(t, make);
  await site.refusal(device.client.open(), 'UnauthorizedError');
  assert.equal(device.connacks, 1);
}

const byString = (text) => (transport) => Client.fromConnectionString(text, transport);

describe('a device with a key', site.suite, () => {
  for (const which of ['primaryKey', 'secondaryKey']) {
    test(`connects with its ${which}, and the hub knows`, async (t) => {
      const { deviceId, authentication } = await site.register();
      const key = authentication.symmetricKey[which];
      const device = await Device.open(t, { connectionString: site.connectionString(deviceId, key) });
      assert.equal((await site.twin(deviceId)).connectionState, 'Connected');
      await device.client.close();
      await site.connected(deviceId, false);
    });
  }

  test('reaches the hub through a gateway name', async (t) => {
    const { deviceId, authentication } = await site.register();
    const { primaryKey } = authentication.symmetricKey;
    const device = new Device(t, byString(
      `HostName=${site.hub.alias};DeviceId=${deviceId};SharedAccessKey=${primaryKey};GatewayHostName=${site.hub.host}:${site.hub.mqttPort}`));
    await device.client.open();
    assert.ok((await device.client.getTwin()).properties.desired.$version >= 1);
  });

  test('is refused with a wrong key', async (t) => {
    const { deviceId } = await site.register();
    await refused(t, byString(site.connectionString(deviceId, site.randomKey())));
  });

  test('is refused with the key of another device', async (t) => {
    const [one, other] = [await site.register(), await site.register()];
    await refused(t, byString(site.connectionString(one.deviceId, other.authentication.symmetricKey.primaryKey)));
  });

  test('is refused with an expired token', async (t) => {
    const { deviceId, authentication } = await site.register();
    const expired = site.token(`${site.hub.host}:${site.hub.mqttPort}/devices/${deviceId}`, authentication.symmetricKey.primaryKey, -600);
    await refused(t, (transport) => Client.fromSharedAccessSignature(expired, transport));
  });

  test('is refused with an id that the hub does not know', async (t) => {
    await refused(t, byString(site.connectionString(site.uniqueId('nobody'), site.randomKey())));
  });

  test('is refused with an id that cannot be', async (t) => {
    const { deviceId, authentication } = await site.register();
    await refused(t, byString(site.connectionString(`${deviceId} malformed`, authentication.symmetricKey.primaryKey)));
  });

  test('is refused while it is disabled', async (t) => {
    await refused(t, byString((await site.register({ status: 'disabled' })).connectionString));
  });

  test('is cut off when it is disabled', async (t) => {
    const identity = await site.register();
    const device = await Device.open(t, identity);
    device.client.setRetryPolicy(new NoRetry());
    const cut = new Promise((resolve) => device.client.once('disconnect', resolve));
    await site.registry.update({ deviceId: identity.deviceId, status: 'disabled', authentication: identity.authentication });
    await cut;
  });

  test('is cut off when its keys are changed, and returns with the new one', async (t) => {
    const identity = await site.register();
    const device = await Device.open(t, identity);
    device.client.setRetryPolicy(new NoRetry());
    const cut = new Promise((resolve) => device.client.once('disconnect', resolve));
    const symmetricKey = { primaryKey: site.randomKey(), secondaryKey: site.randomKey() };
    await site.registry.update({ deviceId: identity.deviceId, status: 'enabled', authentication: { type: 'sas', symmetricKey } });
    await cut;
    await refused(t, byString(identity.connectionString));
    await Device.open(t, { connectionString: site.connectionString(identity.deviceId, symmetricKey.primaryKey) });
  });

  test('takes the place of its former connection', async (t) => {
    const identity = await site.register();
    const first = await Device.open(t, identity);
    first.client.setRetryPolicy(new NoRetry());
    const cut = new Promise((resolve) => first.client.once('disconnect', resolve));
    const second = await Device.open(t, identity);
    await cut;
    assert.ok((await second.client.getTwin()).properties.desired.$version >= 1);
    assert.equal((await site.twin(identity.deviceId)).connectionState, 'Connected');
  });
});

describe('a token that ends', site.suite, () => {
  test('ends the connection', async (t) => {
    const { deviceId, authentication } = await site.register();
    const short = site.token(`${site.hub.host}:${site.hub.mqttPort}/devices/${deviceId}`, authentication.symmetricKey.primaryKey, 8);
    const device = new Device(t, (transport) => Client.fromSharedAccessSignature(short, transport));
    device.client.setRetryPolicy(new NoRetry());
    await device.client.open();
    await new Promise((resolve) => device.client.once('disconnect', resolve));
    await refused(t, (transport) => Client.fromSharedAccessSignature(short, transport));
  });

  test('is renewed by the SDK before that, and desired patches go on', async (t) => {
    const identity = await site.register();
    const [lifetime, margin] = [8, 6]; // seconds: a new token every 2 s
    const device = new Device(t, (transport) => Client.fromAuthenticationProvider(
      SharedAccessKeyAuthenticationProvider.fromConnectionString(identity.connectionString, lifetime, margin), transport));
    await device.client.open();
    const twin = await device.followTwin();
    await site.until('five renewals, longer than one token lives', () => device.connacks >= 6);
    // A patch that falls between two connections is lost, as it must be; the next is not.
    await site.until('a patch arrives', async () => {
      await site.setDesired(identity.deviceId, { renewed: true });
      return twin.properties.desired.renewed;
    });
  });

  test('is renewed by the program, and desired patches go on', async (t) => {
    const { deviceId, authentication } = await site.register();
    const lasting = (seconds) => site.token(`${site.hub.host}:${site.hub.mqttPort}/devices/${deviceId}`, authentication.symmetricKey.primaryKey, seconds);
    const device = new Device(t, (transport) => Client.fromSharedAccessSignature(lasting(60), transport));
    await device.client.open();
    const twin = await device.followTwin();
    await device.client.updateSharedAccessSignature(lasting(3600));
    // The SDK connects twice for one new token: by itself, and when told.
    await site.until('it connects with the new token', () => device.connacks === 3);
    await site.setDesired(deviceId, { renewed: true });
    await site.until('the patch arrives', () => twin.properties.desired.renewed);
  });
});

describe('a device with a certificate', site.suite, () => {
  const byCertificate = (deviceId, pair) => (transport) => {
    const client = Client.fromConnectionString(`HostName=${site.hub.host}:${site.hub.mqttPort};DeviceId=${deviceId};x509=true`, transport);
    client.setOptions(pair);
    return client;
  };
  // works is a whole round trip: the hub answers only to a device it knows.
  async function works(t, deviceId, pair) {
    const device = new Device(t, byCertificate(deviceId, pair));
    await device.client.open();
    assert.ok((await device.client.getTwin()).properties.desired.$version >= 1);
  }
  const trusted = certificates.readAuthority(site.file('device-ca'));
  const byThumbprint = (x509Thumbprint) => site.register({ authentication: { type: 'selfSigned', x509Thumbprint } });
  const byAuthority = () => site.register({ authentication: { type: 'certificateAuthority' } });

  for (const hash of ['sha1', 'sha256']) {
    test(`connects by its ${hash} thumbprint`, async (t) => {
      const pair = certificates.selfSigned('any name');
      const { deviceId } = await byThumbprint({ primaryThumbprint: certificates.thumbprint(pair, hash) });
      await works(t, deviceId, pair);
    });
  }

  test('connects by its secondary thumbprint', async (t) => {
    const pair = certificates.selfSigned('any name');
    const { deviceId } = await byThumbprint({ primaryThumbprint: 'A'.repeat(40), secondaryThumbprint: certificates.thumbprint(pair) });
    await works(t, deviceId, pair);
  });

  test('connects with a certificate of the trusted authority', async (t) => {
    const { deviceId } = await byAuthority();
    await works(t, deviceId, certificates.issue(trusted, deviceId));
  });

  test('is refused with a certificate of another thumbprint', async (t) => {
    const { deviceId } = await byThumbprint({ primaryThumbprint: certificates.thumbprint(certificates.selfSigned('one')) });
    await refused(t, byCertificate(deviceId, certificates.selfSigned('other')));
  });

  const hour = 3600 * 1000;
  for (const [what, begins, ends] of [['has ended', -2 * hour, -hour], ['has not begun', hour, 2 * hour]]) {
    test(`is refused with a certificate that ${what}`, async (t) => {
      const pair = certificates.selfSignedBetween('any name', new Date(Date.now() + begins), new Date(Date.now() + ends));
      const { deviceId } = await byThumbprint({ primaryThumbprint: certificates.thumbprint(pair) });
      await refused(t, byCertificate(deviceId, pair));
    });
  }

  test('is refused with a certificate of an authority that is not trusted', async (t) => {
    const { deviceId } = await byAuthority();
    await refused(t, byCertificate(deviceId, certificates.issue(certificates.authority('somebody'), deviceId)));
  });

  test('is refused with the certificate of another device', async (t) => {
    const [one, other] = [await byAuthority(), await byAuthority()];
    await refused(t, byCertificate(one.deviceId, certificates.issue(trusted, other.deviceId)));
  });

  test('is refused with a key instead', async (t) => {
    const { deviceId } = await byAuthority();
    await refused(t, byString(site.connectionString(deviceId, site.randomKey())));
  });

  test('is refused with a certificate instead of a key', async (t) => {
    const { deviceId } = await site.register();
    await refused(t, byCertificate(deviceId, certificates.issue(trusted, deviceId)));
  });
});
