'use strict';

// The service SDK dials port 443 of the host in its connection string, and no
// option changes that. Only root may listen there, so this module sends its
// connections to the port where the hub listens. The SDK itself stays as it is.

const net = require('node:net');

exports.redirect = function redirect(host, port) {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function (...args) {
    // node normalises (options, callback) into one array before it gets here.
    const options = Array.isArray(args[0]) ? args[0][0] : args[0];
    if (options && options.host === host && Number(options.port) === 443) {
      options.port = port;
    }
    return connect.apply(this, args);
  };
};
