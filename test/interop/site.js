'use strict';

// The site that run.sh has started: one hub, with simulated doors connected to
// it, in the directory SITE_DIR. This module knows where the hub is, asks it
// what the SDKs cannot ask, and registers devices. Every test registers devices
// of its own, so that tests can run side by side.

const crypto = require('node:crypto');
const fs = require('node:fs');
const https = require('node:https');
const path = require('node:path');
const { after } = require('node:test');
const { ConnectionString, SharedAccessSignature } = require('azure-iot-common');
const { Registry, Client, JobClient } = require('azure-iothub');
const { redirect } = require('./port-443');

const directory = process.env.SITE_DIR;
if (!directory) {
  throw new Error('SITE_DIR is not set: run these tests by "make interop"');
}

const file = (name) => path.join(directory, name);
const endpoints = JSON.parse(fs.readFileSync(file('hub/endpoints.json'), 'utf8'));
const port = (endpoint) => Number(endpoint.slice(endpoint.lastIndexOf(':') + 1));

// Where the hub is. `alias` is a second name of it that leads nowhere in DNS.
const hub = {
  host: 'localhost',
  alias: 'interop.azure-devices.net',
  mqttPort: port(endpoints.mqtt),
  httpsPort: port(endpoints.https),
};
redirect(hub.host, hub.httpsPort);

// A test gets a minute: everything here is done in seconds, but the machine
// may be busy with other things. Tests of one suite run side by side, if they
// do not share a door: then they run in order.
const timeout = 60_000;
const suite = { timeout, concurrency: true };
const inOrder = { timeout };

// When a test fails, its SDK client may go on trying to connect, which holds
// the process for four minutes. This timer alone holds nothing.
after(() => {
  setTimeout(() => process.exit(), 10_000).unref();
});

// servicePolicy gives the connection string of a policy as the SDKs want it:
// without a port. run.sh has written one file for each.
function servicePolicy(name) {
  return fs.readFileSync(file(`${name}.policy`), 'utf8').trim().replace(/(HostName=[^;:]*):\d+/, '$1');
}

const owner = servicePolicy('iothubowner');
const ownerKey = ConnectionString.parse(owner).SharedAccessKey;
const registry = Registry.fromConnectionString(owner);
const service = Client.fromConnectionString(owner);
const jobs = JobClient.fromConnectionString(owner);

const inSeconds = (n) => Math.floor(Date.now() / 1000) + n;

// token makes a shared access signature that ends in so many seconds; the
// policy is left out for a device's own key.
function token(resource, key, seconds, policy) {
  return SharedAccessSignature.create(encodeURIComponent(resource), policy, key, inSeconds(seconds)).toString();
}

const randomKey = () => crypto.randomBytes(32).toString('base64');

// uniqueId makes an id that no other test uses.
const uniqueId = (prefix) => `${prefix}-${crypto.randomBytes(4).toString('hex')}`;

// request asks the hub's REST API directly, for what an SDK does not say.
// It gives {status, headers, body}, the body parsed.
function request(method, target, body, headers = {}) {
  const text = body === undefined ? '' : JSON.stringify(body);
  const options = {
    host: hub.host,
    port: hub.httpsPort,
    method,
    path: `${target}${target.includes('?') ? '&' : '?'}api-version=2021-04-12`,
    headers: {
      Authorization: token(hub.host, ownerKey, 3600, 'iothubowner'),
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': Buffer.byteLength(text),
      ...headers,
    },
  };
  return new Promise((resolve, reject) => {
    const req = https.request(options, (res) => {
      const chunks = [];
      res.on('data', (chunk) => chunks.push(chunk));
      res.on('error', reject);
      res.on('end', () => {
        const answer = Buffer.concat(chunks).toString();
        resolve({ status: res.statusCode, headers: res.headers, body: answer ? JSON.parse(answer) : undefined });
      });
    });
    req.on('error', reject);
    req.end(text);
  });
}

// succeed is request for what must succeed; it gives the body.
async function succeed(method, target, body, headers) {
  const answer = await request(method, target, body, headers);
  if (answer.status !== 200) {
    throw new Error(`${method} ${target}: ${answer.status} ${JSON.stringify(answer.body)}`);
  }
  return answer.body;
}

// register makes a device with an id of its own. `identity` may hold whatever
// an identity may: authentication, status. It gives the hub's answer, with the
// device's connection string for the official SDK.
async function register(identity = {}) {
  const deviceId = identity.deviceId ?? uniqueId('device');
  const made = await succeed('PUT', `/devices/${deviceId}`, { authentication: { symmetricKey: {} }, ...identity, deviceId });
  return { ...made, connectionString: connectionString(deviceId, made.authentication.symmetricKey.primaryKey) };
}

function connectionString(deviceId, key, port = hub.mqttPort) {
  return `HostName=${hub.host}:${port};DeviceId=${deviceId};SharedAccessKey=${key}`;
}

const twin = (deviceId) => succeed('GET', `/twins/${deviceId}`);

// setDesired patches the desired properties and gives the twin.
function setDesired(deviceId, desired) {
  return succeed('PATCH', `/twins/${deviceId}`, { properties: { desired } }, { 'If-Match': '"*"' });
}

// invoke calls a method over REST and gives {status, body} whatever they are.
// A device that is just subscribing to its methods is waited for.
function invoke(deviceId, methodName, more = {}) {
  const times = { connectTimeoutInSeconds: 10, responseTimeoutInSeconds: 10 };
  return request('POST', `/twins/${deviceId}/methods`, { methodName, ...times, ...more });
}

// query gives the rows of a query that fit on one page.
const query = (text) => succeed('POST', '/devices/query', { query: text });

// connected waits until the hub counts a device as connected, or as not.
function connected(deviceId, yes = true) {
  const want = yes ? 'Connected' : 'Disconnected';
  return until(`${deviceId} is ${want}`, async () => (await twin(deviceId)).connectionState === want);
}

// feed follows the hub's events from now on. The function it gives waits for
// one that fits, and skips those before it.
async function feed() {
  let { last } = await succeed('GET', '/__events?after=-1');
  const ahead = [];
  return (what, fits) => until(`the event ${what}`, async () => {
    if (ahead.length === 0) {
      const more = await succeed('GET', `/__events?after=${last}&wait=1`);
      last = more.last;
      ahead.push(...more.events);
    }
    while (ahead.length > 0) {
      const event = ahead.shift();
      if (fits(event)) {
        return event;
      }
    }
  });
}

// until asks again and again until the answer is neither false nor empty, and
// gives that answer. It is for what another process does in its own time.
async function until(what, ask, seconds = 30) {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    const answer = await ask();
    if (answer) {
      return answer;
    }
    if (Date.now() > end) {
      throw new Error(`waited in vain: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

// refusal waits for a promise to fail with an error of this name, and gives the
// error. `status` is the status of the hub's answer, where there was one.
async function refusal(promise, name, status) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    const got = error.response && error.response.statusCode;
    if (error.name !== name || (status !== undefined && got !== status)) {
      throw new Error(`expected ${name} ${status ?? ''}, not ${error.name} ${got ?? ''}`, { cause: error });
    }
    return error;
  }
  throw new Error(`expected ${name}, but it succeeded: ${JSON.stringify(result?.responseBody ?? result?.result)}`);
}

module.exports = {
  hub, suite, inOrder, file, servicePolicy, ownerKey, registry, service, jobs,
  token, randomKey, uniqueId, request, succeed, register, connectionString,
  twin, setDesired, invoke, query, connected, feed, until, refusal,
};
