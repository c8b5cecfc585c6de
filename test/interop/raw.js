'use strict';

// A device without an SDK: the MQTT library alone, for what the SDK does not
// do or does not show.

const mqtt = require('mqtt');
const { hub, token, until } = require('./site');

class RawDevice {
  // connect opens a connection for one test. `options` are those of the MQTT
  // library; without any, the session is one that stays (CleanSession 0).
  static connect(test, { deviceId, authentication }, options = {}) {
    const device = new RawDevice();
    device.received = []; // of {topic, payload, qos, dup}
    device.connection = mqtt.connect({
      protocol: 'mqtts',
      host: hub.host,
      port: hub.mqttPort,
      protocolVersion: 4,
      clean: false,
      clientId: deviceId,
      username: `${hub.host}/${deviceId}/?api-version=2021-04-12`,
      password: token(`${hub.host}/devices/${deviceId}`, authentication.symmetricKey.primaryKey, 3600),
      reconnectPeriod: 0, // a test connects again itself
      resubscribe: false, // and subscribes itself
      ...options,
    });
    device.connection.on('message', (topic, payload, { qos, dup }) =>
      device.received.push({ topic, payload: payload.toString(), qos, dup }));
    device.connection.on('error', () => {}); // a cut connection is on purpose; 'close' follows
    test.after(() => device.connection.end(true));
    return new Promise((resolve, reject) => {
      device.connection.once('error', reject);
      device.connection.once('connect', (connack) => {
        device.sessionPresent = connack.sessionPresent;
        resolve(device);
      });
    });
  }

  // subscribe asks for topic filters, waits for the hub and gives what QoS it grants.
  subscribe(filters, qos) {
    return new Promise((resolve, reject) => {
      this.connection.subscribe(filters, { qos }, (error, granted) => (error ? reject(error) : resolve(granted.map((g) => g.qos))));
    });
  }

  // publish sends a message and waits until the hub has it.
  publish(topic, payload) {
    return new Promise((resolve, reject) => {
      this.connection.publish(topic, payload, { qos: 1 }, (error) => (error ? reject(error) : resolve()));
    });
  }

  // next waits for a message on a topic that begins so, and takes it.
  next(beginning) {
    return until(`a message on ${beginning}`, () => {
      const at = this.received.findIndex((message) => message.topic.startsWith(beginning));
      return at >= 0 && this.received.splice(at, 1)[0];
    });
  }

  // method waits for the request of a method; it gives its payload and its id.
  async method(name) {
    const { topic, payload } = await this.next(`$iothub/methods/POST/${name}/`);
    return { payload, rid: topic.split('$rid=')[1] };
  }

  // answer answers a method.
  answer(rid, status, payload) {
    return this.publish(`$iothub/methods/res/${status}/?$rid=${rid}`, JSON.stringify(payload));
  }

  // twin asks for the twin.
  async twin(rid = String(Math.random())) {
    await this.publish(`$iothub/twin/GET/?$rid=${rid}`, ' ');
    return JSON.parse((await this.next(`$iothub/twin/res/200/?$rid=${rid}`)).payload);
  }
}

module.exports = { RawDevice };
