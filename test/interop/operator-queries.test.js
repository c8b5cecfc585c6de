'use strict';

// Queries, page by page, as the SDK reads them.

const assert = require('node:assert/strict');
const { before, describe, test } = require('node:test');
const site = require('./site');

const { registry } = site;
const group = site.uniqueId('queries');
const select = `SELECT * FROM devices WHERE tags.grp = '${group}'`;
const ids = Array.from({ length: 5 }, (_, n) => `${group}-${n + 1}`);

// pages reads a query to its end, by the callback or by nextAsTwin.
async function pages(query, next) {
  const all = [];
  while (query.hasMoreResults) {
    all.push(await next(query));
    assert.ok(all.length <= ids.length, 'the query does not end');
  }
  return all;
}
// The callback form; awaited without one, next() forgets where it was (a known defect of this SDK).
const byCallback = (query) => new Promise((resolve, reject) => {
  query.next((error, rows) => (error ? reject(error) : resolve(rows)));
});
const asTwins = async (query) => (await query.nextAsTwin()).result;

describe('a query', site.suite, () => {
  before(async () => {
    for (const [n, deviceId] of ids.entries()) {
      await site.register({ deviceId, status: n === 4 ? 'disabled' : 'enabled' });
      await registry.updateTwin(deviceId, { tags: { grp: group, n: n + 1 }, properties: { desired: { floor: n % 2 } } }, '*');
    }
  });

  for (const [what, next] of [['by the callback', byCallback], ['as twins', asTwins]]) {
    test(`comes in pages, ${what}`, async () => {
      const read = await pages(registry.createQuery(select, 2), next);
      assert.deepEqual(read.map((page) => page.map(({ deviceId }) => deviceId)), [ids.slice(0, 2), ids.slice(2, 4), ids.slice(4)]);
    });

    test(`that fits on its page has no other, ${what}`, async () => {
      const read = await pages(registry.createQuery(select, ids.length), next);
      assert.deepEqual(read.map((page) => page.length), [5]);
    });

    test(`without a result ends, ${what}`, async () => {
      const read = await pages(registry.createQuery(`${select} AND tags.n > 5`, 2), next);
      assert.deepEqual(read, [[]]);
    });
  }

  test('gives twins that can be updated', async () => {
    const [twin] = await asTwins(registry.createQuery(`${select} AND tags.n = 1`));
    await twin.update({ tags: { seen: true } });
    assert.equal((await site.twin(ids[0])).tags.seen, true);
  });

  const conditions = [
    ['tags.n > 3', [4, 5]],
    ['tags.n >= 2 AND tags.n != 4 AND NOT tags.n = 5', [2, 3]],
    ['(tags.n = 1 OR tags.n = 5)', [1, 5]],
    ['properties.desired.floor = 1', [2, 4]],
    ["status = 'disabled'", [5]],
    [`deviceId IN ['${ids[0]}', '${ids[2]}']`, [1, 3]],
    [`deviceId = '${ids[1]}'`, [2]],
    [`STARTSWITH(deviceId, '${ids[3]}')`, [4]],
    ['IS_DEFINED(tags.nothing)', []],
    ["connectionState = 'Connected'", []],
  ];
  for (const [condition, expected] of conditions) {
    test(`finds by ${condition.replaceAll(group, 'device')}`, async () => {
      const rows = await byCallback(registry.createQuery(`${select} AND ${condition}`));
      assert.deepEqual(rows.map(({ tags }) => tags.n), expected);
    });
  }

  test('counts', async () => {
    const rows = await byCallback(registry.createQuery(`SELECT COUNT() AS numberOfDevices FROM devices WHERE tags.grp = '${group}'`));
    assert.deepEqual(rows, [{ numberOfDevices: 5 }]);
  });

  test('counts by group', async () => {
    const rows = await byCallback(registry.createQuery(
      `SELECT properties.desired.floor AS floor, COUNT() AS n FROM devices WHERE tags.grp = '${group}' GROUP BY properties.desired.floor`));
    assert.deepEqual(rows.sort((a, b) => a.floor - b.floor), [{ floor: 0, n: 3 }, { floor: 1, n: 2 }]);
  });

  test('selects columns', async () => {
    const rows = await byCallback(registry.createQuery(`SELECT deviceId, tags.n AS number FROM devices WHERE tags.grp = '${group}' AND tags.n = 3`));
    assert.deepEqual(rows, [{ deviceId: ids[2], number: 3 }]);
  });

  test('may be in lower case', async () => {
    const rows = await byCallback(registry.createQuery(`select * from devices where tags.grp = '${group}'`));
    assert.equal(rows.length, 5);
  });

  test('finds doors by what they report', async () => {
    const rows = await byCallback(registry.createQuery("SELECT * FROM devices WHERE properties.reported.agent.simulated = true AND connectionState = 'Connected' AND deviceId = 'door-twins'"));
    assert.deepEqual(rows.map(({ deviceId }) => deviceId), ['door-twins']);
  });

  for (const bad of ['SELEKT * FRUM devices', 'SELECT * FROM doors', 'SELECT * FROM devices WHERE', "SELECT * FROM devices WHERE tags.a = 'open"]) {
    test(`with a fault is an ArgumentError: ${bad}`, async () => {
      await site.refusal(registry.createQuery(bad).nextAsTwin(), 'ArgumentError', 400);
    });
  }

  test('does not go on from a place that the hub did not give', async () => {
    const { status } = await site.request('POST', '/devices/query', { query: select }, { 'x-ms-max-item-count': '2', 'x-ms-continuation': 'nonsense' });
    assert.equal(status, 400);
  });
});
