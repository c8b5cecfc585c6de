// A device as the official SDK's samples make one: it answers getStatus with
// the answer in a file. The SDK is used as it is published.
//
//   node device.js CONNECTION-FILE CA-FILE ANSWER-FILE

'use strict';

const fs = require('fs');
const { Client } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');

const [connection, ca, answer] = process.argv.slice(2).map((file) => fs.readFileSync(file, 'utf8'));
const status = JSON.parse(answer);

async function main() {
  const client = Client.fromConnectionString(connection.trim(), Mqtt);
  await client.setOptions({ ca });
  client.onDeviceMethod('getStatus', (request, response) => {
    response.send(200, status, (err) => {
      if (err) console.error('the answer was not sent:', err.message);
    });
  });
  await client.open();
}

main().catch((err) => {
  console.error(err);
  process.exit(1);
});
