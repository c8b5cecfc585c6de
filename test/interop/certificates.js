'use strict';

// Certificates for devices, made by openssl(1), because node can read them but
// not make them. `node certificates.js authority PATH` makes the authority that
// the hub of the tests trusts: PATH.pem, and its key in PATH.key.

const { execFileSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

// openssl's configuration comes from here: the system's differs everywhere.
const configuration = `
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
[device]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
[ca]
default_ca = records
[records]
database = issued
serial = serial
new_certs_dir = .
policy = any
default_md = sha256
[any]
commonName = supplied
`;

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-config', 'openssl.cnf'];

// make lets openssl work in a directory of its own, with these files in it, and
// gives the pair {cert, key} that is made there.
function make(files, ...commands) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'latchd-interop-'));
  try {
    for (const [name, text] of Object.entries({ 'openssl.cnf': configuration, ...files })) {
      fs.writeFileSync(path.join(dir, name), text, { mode: 0o600 });
    }
    for (const command of commands) {
      execFileSync('openssl', command, { cwd: dir, stdio: ['ignore', 'ignore', 'pipe'] });
    }
    const read = (name) => fs.readFileSync(path.join(dir, name), 'utf8');
    return { cert: read('new.pem'), key: read('new.key') };
  } finally {
    fs.rmSync(dir, { recursive: true });
  }
}

// selfSigned makes a certificate for a device's thumbprint.
function selfSigned(commonName, extensions = 'device') {
  return make({}, ['req', '-x509', ...newKey, '-subj', `/CN=${commonName}`, '-days', '2',
    '-extensions', extensions, '-keyout', 'new.key', '-out', 'new.pem']);
}

// selfSignedBetween makes a certificate for a device's thumbprint that is valid
// from one Date to another. Only `openssl ca`, which keeps records, takes dates
// in all its versions.
function selfSignedBetween(commonName, from, to) {
  const date = (d) => d.toISOString().replace(/[-:T]|\.\d+/g, ''); // YYYYMMDDHHMMSSZ
  return make({ issued: '', serial: '01' },
    ['req', '-new', ...newKey, '-subj', `/CN=${commonName}`, '-keyout', 'new.key', '-out', 'new.csr'],
    ['ca', '-batch', '-selfsign', '-notext', '-config', 'openssl.cnf', '-keyfile', 'new.key', '-in', 'new.csr',
      '-startdate', date(from), '-enddate', date(to), '-extensions', 'device', '-out', 'new.pem']);
}

// authority makes a certificate authority.
const authority = (commonName) => selfSigned(commonName, 'authority');

// issue makes a device's certificate that an authority has signed.
function issue(issuer, commonName) {
  return make({ 'ca.pem': issuer.cert, 'ca.key': issuer.key },
    ['req', '-new', ...newKey, '-subj', `/CN=${commonName}`, '-keyout', 'new.key', '-out', 'new.csr'],
    ['x509', '-req', '-in', 'new.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', `0x${crypto.randomBytes(8).toString('hex')}`,
      '-days', '2', '-extfile', 'openssl.cnf', '-extensions', 'device', '-out', 'new.pem']);
}

// readAuthority reads what the command line has written.
function readAuthority(file) {
  return { cert: fs.readFileSync(`${file}.pem`, 'utf8'), key: fs.readFileSync(`${file}.key`, 'utf8') };
}

// thumbprint is what the registry knows a certificate by; the hash is sha1,
// which portals show, or sha256.
function thumbprint({ cert }, hash = 'sha1') {
  return crypto.createHash(hash).update(new crypto.X509Certificate(cert).raw).digest('hex').toUpperCase();
}

module.exports = { selfSigned, selfSignedBetween, authority, issue, readAuthority, thumbprint };

if (require.main === module) {
  const [what, file] = process.argv.slice(2);
  if (what !== 'authority' || !file) {
    throw new Error('usage: node certificates.js authority PATH');
  }
  const made = authority('Device authority of the interop tests');
  fs.writeFileSync(`${file}.pem`, made.cert);
  fs.writeFileSync(`${file}.key`, made.key, { mode: 0o600 });
}
