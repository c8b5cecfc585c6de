'use strict';

// Jobs: a method or a twin update for every device that a condition selects,
// now or later.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { Twin } = require('azure-iothub');
const site = require('./site');

const { jobs, registry } = site;
const door = 'door-jobs';
const maxSeconds = 60; // a job may last
const now = () => new Date();
const later = (seconds) => new Date(Date.now() + seconds * 1000);
const soon = 6; // seconds: time to do something before, on a busy machine too
const read = async (jobId) => (await jobs.getJob(jobId)).jobStatus;

// ends waits until a job has ended, which must be with this status.
async function ends(jobId, status) {
  const job = await site.until(`the end of ${jobId}`, async () => {
    const { status, ...rest } = await read(jobId);
    return !['queued', 'scheduled', 'running'].includes(status) && { status, ...rest };
  });
  assert.equal(job.status, status, JSON.stringify(job));
  return job;
}

// results are a job's results, one for each device.
const results = (jobId) => site.query(`SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '${jobId}'`);

// registerLot registers devices with a tag of their own, offline all of them.
async function registerLot(n) {
  const lot = site.uniqueId('lot');
  const made = await Promise.all(Array.from({ length: n }, () => site.register()));
  await Promise.all(made.map(({ deviceId }) => registry.updateTwin(deviceId, { tags: { lot } }, '*')));
  return { condition: `tags.lot = '${lot}'`, ids: made.map(({ deviceId }) => deviceId) };
}

describe('a job that calls a method', site.suite, () => {
  test('is queued, runs now, and has the answer of each device', async () => {
    const jobId = site.uniqueId('method');
    // Condition and payload as the tutorials write them.
    const { jobStatus } = await jobs.scheduleDeviceMethod(jobId, `DeviceId in ['${door}']`,
      { methodName: 'lockDoor', payload: '{"lockTime":"10m"}', responseTimeoutInSeconds: 30 }, now(), maxSeconds);
    assert.equal(jobStatus.status, 'queued');
    assert.equal(jobStatus.jobId, jobId);

    const job = await ends(jobId, 'completed');
    assert.equal(job.type, 'scheduleDeviceMethod');
    assert.equal(job.queryCondition, `DeviceId in ['${door}']`);
    assert.equal(job.maxExecutionTimeInSeconds, maxSeconds);
    for (const time of ['createdTime', 'startTime', 'endTime']) {
      assert.ok(!Number.isNaN(Date.parse(job[time])), `${time} is ${job[time]}`);
    }
    assert.deepEqual(job.deviceJobStatistics, { deviceCount: 1, failedCount: 0, succeededCount: 1, runningCount: 0, pendingCount: 0 });

    const [result, ...others] = await results(jobId);
    assert.deepEqual(others, []);
    assert.equal(result.deviceId, door);
    assert.equal(result.status, 'completed');
    assert.equal(result.outcome.deviceMethodResponse.status, 200);
    assert.equal(result.outcome.deviceMethodResponse.payload.Response, 'lockDoor called successfully');
    const { reported } = (await registry.getTwin(door)).responseBody.properties;
    assert.equal(reported.door.mode, 'lockdown');
  });

  test('is queued until its time comes', async () => {
    const jobId = site.uniqueId('method');
    const start = later(2);
    const { jobStatus } = await jobs.scheduleDeviceMethod(jobId, `deviceId = '${door}'`, { methodName: 'getStatus' }, start, maxSeconds);
    assert.equal(jobStatus.status, 'queued');
    const job = await ends(jobId, 'completed');
    assert.ok(Date.parse(job.endTime) >= start.getTime(), `it ended at ${job.endTime}`);
    assert.equal(job.deviceJobStatistics.succeededCount, 1);
  });

  test('tells apart the devices that answered and those that were away', async () => {
    const { ids: [away] } = await registerLot(1);
    const jobId = site.uniqueId('method');
    await jobs.scheduleDeviceMethod(jobId, `deviceId IN ['${door}', '${away}']`, { methodName: 'getStatus' }, now(), 3);
    const job = await ends(jobId, 'completed');
    assert.deepEqual(job.deviceJobStatistics, { deviceCount: 2, failedCount: 1, succeededCount: 1, runningCount: 0, pendingCount: 0 });
    const statuses = Object.fromEntries((await results(jobId)).map(({ deviceId, status }) => [deviceId, status]));
    assert.deepEqual(statuses, { [door]: 'completed', [away]: 'failed' });
    const failed = (await results(jobId)).find(({ deviceId }) => deviceId === away);
    assert.ok(failed.error.code, JSON.stringify(failed));
  });
});

describe('a job that updates twins', site.suite, () => {
  test('is queued, runs now, and the door acknowledges', async () => {
    const jobId = site.uniqueId('twin');
    const { jobStatus } = await jobs.scheduleTwinUpdate(jobId, `deviceId IN ['${door}']`,
      { etag: '*', properties: { desired: { building: 43, floor: 3 } } }, now(), maxSeconds);
    assert.equal(jobStatus.status, 'queued');
    const job = await ends(jobId, 'completed');
    assert.equal(job.type, 'scheduleUpdateTwin');
    assert.equal(job.deviceJobStatistics.succeededCount, 1);
    await site.until('the door acknowledges', async () => {
      const { reported } = (await registry.getTwin(door)).responseBody.properties;
      return reported.building?.value === 43 && reported.floor?.value === 3 && reported.floor.ac === 200;
    });
  });

  test('takes a Twin of the SDK', async () => {
    const { condition, ids: [deviceId] } = await registerLot(1);
    const twin = new Twin(deviceId, registry);
    twin.etag = '*';
    twin.tags = { byJob: 'yes' };
    const jobId = site.uniqueId('twin');
    await jobs.scheduleTwinUpdate(jobId, condition, twin, now(), maxSeconds);
    await ends(jobId, 'completed');
    assert.equal((await site.twin(deviceId)).tags.byJob, 'yes');
  });

  test('is queued until its time comes, and reaches those that fit then', async () => {
    const { condition, ids } = await registerLot(3);
    const jobId = site.uniqueId('twin');
    await jobs.scheduleTwinUpdate(jobId, condition, { etag: '*', tags: { byJob: 'yes' } }, later(soon), maxSeconds);
    assert.equal((await read(jobId)).status, 'queued');
    assert.equal((await site.twin(ids[0])).tags?.byJob, undefined);
    await registry.updateTwin(ids[2], { tags: { lot: null } }, '*'); // no longer one of them
    const job = await ends(jobId, 'completed');
    assert.equal(job.deviceJobStatistics.deviceCount, 2);
    const tags = await Promise.all(ids.map(async (deviceId) => (await site.twin(deviceId)).tags?.byJob));
    assert.deepEqual(tags, ['yes', 'yes', undefined]);
  });

  test('for a condition that fits nobody completes', async () => {
    const jobId = site.uniqueId('twin');
    await jobs.scheduleTwinUpdate(jobId, "tags.lot = 'nobody'", { etag: '*', tags: { byJob: 'yes' } }, now(), maxSeconds);
    assert.equal((await ends(jobId, 'completed')).deviceJobStatistics.deviceCount, 0);
  });
});

describe('a job', site.suite, () => {
  // schedule makes a job that would run in an hour.
  async function schedule() {
    const { condition, ids: [deviceId] } = await registerLot(1);
    const jobId = site.uniqueId('job');
    await jobs.scheduleTwinUpdate(jobId, condition, { etag: '*', tags: { byJob: 'yes' } }, later(3600), maxSeconds);
    return { jobId, deviceId };
  }

  test('that is cancelled stays so', async () => {
    const { jobId } = await schedule();
    assert.equal((await jobs.cancelJob(jobId)).jobStatus.status, 'cancelled');
    assert.equal((await read(jobId)).status, 'cancelled');
  });

  test('that would call a method is cancelled in the same way', async () => {
    const jobId = site.uniqueId('job');
    await jobs.scheduleDeviceMethod(jobId, `deviceId = '${door}'`, { methodName: 'getStatus' }, later(3600), maxSeconds);
    assert.equal((await jobs.cancelJob(jobId)).jobStatus.status, 'cancelled');
    const { status, type } = await read(jobId);
    assert.deepEqual([status, type], ['cancelled', 'scheduleDeviceMethod']);
  });

  test('that is cancelled before its time never runs', async () => {
    const { condition, ids: [deviceId] } = await registerLot(1);
    const [cancelled, other] = [site.uniqueId('job'), site.uniqueId('job')];
    const start = later(soon);
    await jobs.scheduleTwinUpdate(cancelled, condition, { etag: '*', tags: { cancelled: 'ran' } }, start, maxSeconds);
    await jobs.scheduleTwinUpdate(other, condition, { etag: '*', tags: { other: 'ran' } }, new Date(start.getTime() + 500), maxSeconds);
    await jobs.cancelJob(cancelled);
    await ends(other, 'completed'); // so the time of both has come
    const { tags } = await site.twin(deviceId);
    assert.deepEqual([tags.cancelled, tags.other], [undefined, 'ran']);
    assert.equal((await read(cancelled)).status, 'cancelled');
  });

  test('that does not exist is not found', async () => {
    const missing = site.uniqueId('nothing');
    for (const ask of [() => jobs.getJob(missing), () => jobs.cancelJob(missing)]) {
      const error = await ask().then(() => assert.fail('it was found'), (e) => e);
      assert.equal(error.response.statusCode, 404);
      assert.match(error.responseBody, /JobNotFound/);
    }
  });

  test('cannot have the id of another', async () => {
    const { jobId } = await schedule();
    await site.refusal(jobs.scheduleTwinUpdate(jobId, '*', { etag: '*', tags: { a: 1 } }, later(3600), maxSeconds), 'DeviceAlreadyExistsError', 409);
  });

  test('with a condition that is none fails, and says why', async () => {
    const jobId = site.uniqueId('job');
    await jobs.scheduleTwinUpdate(jobId, 'this is nonsense', { etag: '*', tags: { a: 1 } }, now(), maxSeconds);
    const job = await ends(jobId, 'failed');
    assert.match(job.failureReason, /condition|query/i);
  });

  test('is listed by type and status, in pages', async () => {
    const cancelled = await Promise.all([schedule(), schedule(), schedule()]);
    await Promise.all(cancelled.map(({ jobId }) => jobs.cancelJob(jobId)));
    const { jobId: queued } = await schedule();
    const list = async (query) => {
      const rows = [];
      while (query.hasMoreResults) {
        rows.push(...await new Promise((resolve, reject) => query.next((error, page) => (error ? reject(error) : resolve(page)))));
      }
      return rows;
    };
    const listed = await list(jobs.createQuery('scheduleUpdateTwin', 'cancelled', 2));
    assert.ok(listed.every(({ type, status }) => type === 'scheduleUpdateTwin' && status === 'cancelled'));
    const ids = listed.map(({ jobId }) => jobId);
    assert.equal(new Set(ids).size, ids.length, 'a job is listed twice');
    for (const { jobId } of cancelled) {
      assert.ok(ids.includes(jobId), `${jobId} is not listed`);
    }
    assert.ok(!ids.includes(queued));
    assert.ok((await list(jobs.createQuery())).some(({ jobId }) => jobId === queued));
  });
});
