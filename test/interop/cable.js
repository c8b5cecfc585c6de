'use strict';

// A cable between a device and the hub that can be cut: a TCP forwarder that
// sees only TLS. What is cut stays cut; the next connection gets a new one.

const net = require('node:net');
const { once } = require('node:events');
const { hub, connectionString, until } = require('./site');

class Cable {
  constructor() {
    this.links = []; // of {device, hub}, one for each connection so far
    this.server = net.createServer((device) => this.#link(device));
  }

  // lay opens a cable for one test.
  static async lay(test) {
    const cable = new Cable();
    cable.server.listen(0, '127.0.0.1');
    await once(cable.server, 'listening');
    test.after(() => cable.remove());
    return cable;
  }

  #link(device) {
    const link = { device, hub: net.connect(hub.mqttPort, '127.0.0.1') };
    for (const [end, other] of [[link.device, link.hub], [link.hub, link.device]]) {
      end.pipe(other);
      end.on('error', () => {}); // cut on purpose: 'close' follows
      end.on('close', () => other.destroy());
    }
    this.links.push(link);
  }

  // connectionString is a device's, by way of this cable.
  connectionString(identity) {
    return connectionString(identity.deviceId, identity.authentication.symmetricKey.primaryKey, this.server.address().port);
  }

  get current() {
    return this.links.at(-1);
  }

  // fin closes both ends in order, as a proxy does that is stopped.
  fin() {
    this.current.device.end();
    this.current.hub.end();
  }

  // reset breaks both ends at once, as a router does that forgot them.
  reset() {
    const { device, hub: end } = this.current;
    device.resetAndDestroy();
    end.resetAndDestroy();
  }

  // resetHub breaks the hub's end and closes the device's in order.
  resetHub() {
    this.current.hub.resetAndDestroy();
    this.current.device.end();
  }

  // plugged waits for the n-th connection.
  plugged(n) {
    return until(`connection ${n}`, () => this.links.length >= n);
  }

  remove() {
    this.server.close();
    for (const link of this.links) {
      link.device.destroy();
      link.hub.destroy();
    }
  }
}

module.exports = { Cable };
