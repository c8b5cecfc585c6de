'use strict';

// A device by the official SDK, and what it says on the wire.

const { Client } = require('azure-iot-device');
const { Mqtt } = require('azure-iot-device-mqtt');
const { MqttBase } = require('azure-iot-mqtt-base');
const mqtt = require('mqtt');
const { until } = require('./site');

// watched gives the SDK's MQTT transport with its own MQTT library, of which
// every packet sent and received is noted in `packets` as {sent, ...packet}.
function watched(packets) {
  const library = {
    connect(url, options) {
      const connection = mqtt.connect(url, options);
      connection.on('packetsend', (packet) => packets.push({ ...packet, sent: true }));
      connection.on('packetreceive', (packet) => packets.push({ ...packet, sent: false }));
      return connection;
    },
  };
  return class extends Mqtt {
    constructor(authentication) {
      super(authentication, new MqttBase(library));
    }
  };
}

// A Device is a client of the SDK that closes with its test.
class Device {
  constructor(test, make) {
    this.packets = [];
    this.client = make(watched(this.packets));
    test.after(() => this.close());
  }

  // open connects a registered device to the hub, for one test.
  static async open(test, identity) {
    const device = new Device(test, (transport) => Client.fromConnectionString(identity.connectionString, transport));
    await device.client.open();
    return device;
  }

  // connacks counts how often the hub has answered to a connection, with yes
  // or no.
  get connacks() {
    return this.packets.filter((packet) => packet.cmd === 'connack').length;
  }

  // subscribes are the topic filters the SDK has asked for since packet n.
  subscribes(n = 0) {
    return this.packets.slice(n)
      .filter((packet) => packet.sent && packet.cmd === 'subscribe')
      .flatMap((packet) => packet.subscriptions.map((subscription) => subscription.topic));
  }

  // granted waits until the hub has granted a topic filter.
  granted(topic) {
    return until(`the hub grants ${topic}`, () => this.packets.some((packet) =>
      packet.sent && packet.cmd === 'subscribe' && packet.subscriptions[0].topic === topic &&
      this.packets.some((answer) => !answer.sent && answer.cmd === 'suback' && answer.messageId === packet.messageId)));
  }

  // followTwin gets the twin and keeps its desired properties up to date. It
  // gives the SDK's twin; `patches` collects the desired patches.
  async followTwin(patches = []) {
    const twin = await this.client.getTwin();
    twin.on('properties.desired', (patch) => patches.push(structuredClone(patch)));
    await this.granted('$iothub/twin/PATCH/properties/desired/#');
    return twin;
  }

  // onMethod answers a method, and waits until the hub has granted methods.
  async onMethod(name, answer) {
    this.client.onDeviceMethod(name, answer);
    await this.granted('$iothub/methods/POST/#');
  }

  // close ends the connection. While the SDK is busy reconnecting, its close
  // waits for that, which must not outlast the test.
  async close() {
    const patience = new Promise((resolve) => setTimeout(resolve, 5000).unref());
    await Promise.race([this.client.close().catch(() => {}), patience]);
  }
}

// report sends reported properties and waits for the hub's answer.
function report(twin, patch) {
  return new Promise((resolve, reject) => {
    twin.properties.reported.update(patch, (error) => (error ? reject(error) : resolve()));
  });
}

module.exports = { Device, report };
