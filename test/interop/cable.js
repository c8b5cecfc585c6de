'use strict';

// A cable between a device and the hub that can be cut: a TCP forwarder that
// sees only TLS. What is cut stays cut; the next connection gets a new link.
// It lasts as long as the process and does not hold it: a device that is just
// coming back when its test ends can do so, and close in order.

const net = require('node:net');
const { once } = require('node:events');
const { hub, connectionString } = require('./site');

class Cable {
  constructor() {
    this.links = []; // of {device, hub}, one for each connection so far
    this.server = net.createServer((device) => this.#link(device));
  }

  // lay opens a cable.
  static async lay() {
    const cable = new Cable();
    cable.server.listen(0, '127.0.0.1');
    await once(cable.server, 'listening');
    cable.server.unref();
    return cable;
  }

  get port() {
    return this.server.address().port;
  }

  #link(device) {
    const link = { device, hub: net.connect(hub.mqttPort, '127.0.0.1') };
    for (const [end, other] of [[link.device, link.hub], [link.hub, link.device]]) {
      end.pipe(other);
      end.on('error', () => {}); // cut on purpose: 'close' follows
      end.on('close', () => other.destroy());
      end.unref();
    }
    this.links.push(link);
  }

  // connectionString is a device's, by way of this cable.
  connectionString(identity) {
    return connectionString(identity.deviceId, identity.authentication.symmetricKey.primaryKey, this.port);
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
}

module.exports = { Cable };
