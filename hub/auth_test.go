package hub_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"latchd/hub"
	"latchd/iothub"
)

func TestRights(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	all := []string{"iothubowner", "service", "device", "registryRead", "registryReadWrite"}
	for _, row := range []struct {
		method, path, body string
		allowed            string
	}{
		{"GET", "/devices", "", "iothubowner registryRead registryReadWrite"},
		{"GET", "/devices/d", "", "iothubowner registryRead registryReadWrite"},
		{"PUT", "/devices/d", "{}", "iothubowner registryReadWrite"},
		{"POST", "/devices", "[]", "iothubowner registryReadWrite"},
		{"DELETE", "/devices/none", "", "iothubowner registryReadWrite"},
		{"GET", "/statistics/devices", "", "iothubowner service registryRead registryReadWrite"},
		{"GET", "/statistics/service", "", "iothubowner service registryRead registryReadWrite"},
		{"GET", "/twins/d", "", "iothubowner service"},
		{"PATCH", "/twins/d", "{}", "iothubowner service"},
		{"PUT", "/twins/d", "{}", "iothubowner service"},
		{"POST", "/twins/d/methods", "{}", "iothubowner service"},
		{"POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, "iothubowner service"},
		{"GET", "/jobs", "", "iothubowner service"},
		{"GET", "/jobs/v2/query", "", "iothubowner service"},
		{"PUT", "/jobs/v2/j", "{}", "iothubowner service"},
		{"GET", "/jobs/v2/j", "", "iothubowner service"},
		{"POST", "/jobs/v2/j/cancel", "", "iothubowner service"},
		{"GET", "/__events", "", "iothubowner service"},
		{"GET", "/__endpoints", "", "iothubowner service registryRead registryReadWrite"},
	} {
		for _, policy := range all {
			a := r.callAs(r.token(policy), row.method, row.path, row.body)
			if !strings.Contains(" "+row.allowed+" ", " "+policy+" ") {
				a.fails(iothub.IotHubUnauthorizedAccess)
			} else if a.status == 401 {
				t.Errorf("%s %s as %s: %s", row.method, row.path, policy, a.body)
			}
		}
	}
}

func TestServiceTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deviceKey := r.addDevice("d")
	owner := r.policy("iothubowner").SharedAccessKey
	soon := time.Now().Add(time.Hour)
	good := iothub.NewSAS(owner, "localhost", soon, "iothubowner")
	for _, row := range []struct {
		name, token string
		ok          bool
	}{
		{"the whole hub", good, true},
		{"with a port", iothub.NewSAS(owner, "localhost:"+port(r.https), soon, "iothubowner"), true},
		{"another port", iothub.NewSAS(owner, "localhost:1", soon, "iothubowner"), true},
		{"in capitals", iothub.NewSAS(owner, "LOCALHOST", soon, "iothubowner"), true},
		{"by address", iothub.NewSAS(owner, "127.0.0.1", soon, "iothubowner"), true},
		{"for the path", iothub.NewSAS(owner, "localhost/twins/d", soon, "iothubowner"), true},
		{"for the folder", iothub.NewSAS(owner, "localhost/twins", soon, "iothubowner"), true},
		{"for another path", iothub.NewSAS(owner, "localhost/devices", soon, "iothubowner"), false},
		{"for a longer id", iothub.NewSAS(owner, "localhost/twins/d2", soon, "iothubowner"), false},
		{"another hub", iothub.NewSAS(owner, "example.net", soon, "iothubowner"), false},
		{"expired", iothub.NewSAS(owner, "localhost", time.Now().Add(-time.Second), "iothubowner"), false},
		{"another key", iothub.NewSAS(iothub.GenerateKey(), "localhost", soon, "iothubowner"), false},
		{"another policy's name", iothub.NewSAS(owner, "localhost", soon, "service"), false},
		{"an unknown policy", iothub.NewSAS(owner, "localhost", soon, "root"), false},
		{"no policy", iothub.NewSAS(owner, "localhost", soon, ""), false},
		{"a device's key", iothub.NewSAS(deviceKey, "localhost/devices/d", soon, ""), false},
		{"a device's key for the hub", iothub.NewSAS(deviceKey, "localhost", soon, ""), false},
		{"a device's key with a policy", iothub.NewSAS(deviceKey, "localhost", soon, "iothubowner"), false},
		{"nothing", "", false},
		{"a bearer", "Bearer abc", false},
		{"half a token", good[:len(good)/2], false},
		{"a changed end", strings.Replace(good, "&se=", "&se=9", 1), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.callAs(row.token, "GET", "/twins/d", "")
			a.t = t
			if row.ok {
				a.want(200)
				return
			}
			a.fails(iothub.IotHubUnauthorizedAccess)
			if !strings.HasPrefix(string(a.body), `{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized","ExceptionMessage":"Tracking ID:`) {
				t.Errorf("%s", a.body)
			}
		})
	}
}

func TestDeviceTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	other := r.addDevice("d2")
	two := strings.Trim(r.call("GET", "/devices/d", "").at("authentication", "symmetricKey", "secondaryKey"), `"`)
	secondary, err := iothub.ParseKey(two)
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now().Add(time.Hour)
	sas := func(k iothub.Key, resource, policy string) string { return iothub.NewSAS(k, resource, soon, policy) }
	for _, row := range []struct {
		name, token string
		ok          bool
	}{
		{"primary key", sas(key, "localhost/devices/d", ""), true},
		{"secondary key", sas(secondary, "localhost/devices/d", ""), true},
		{"the whole hub", sas(key, "localhost", ""), true},
		{"with the port", sas(key, "localhost:"+port(r.mqtt)+"/devices/d", ""), true},
		{"the device policy", sas(r.policy("device").SharedAccessKey, "localhost/devices/d", "device"), true},
		{"the owner", sas(r.policy("iothubowner").SharedAccessKey, "localhost", "iothubowner"), true},
		{"the service policy", sas(r.policy("service").SharedAccessKey, "localhost/devices/d", "service"), false},
		{"another device's key", sas(other, "localhost/devices/d", ""), false},
		{"a longer id", sas(key, "localhost/devices/d2", ""), false},
		{"an id in capitals", sas(key, "localhost/devices/D", ""), false},
		{"another hub", sas(key, "example.net/devices/d", ""), false},
		{"expired", iothub.NewSAS(key, "localhost/devices/d", time.Now().Add(-time.Second), ""), false},
		{"no token", "x", false},
		{"nothing", "", false},
	} {
		_, err := r.dial("d", row.token, nil)
		checkAdmission(t, row.name, err, row.ok)
	}
	_, err = r.dial("nobody", sas(key, "localhost/devices/nobody", ""), nil)
	checkAdmission(t, "an unknown device", err, false)
}

// checkAdmission checks what a CONNECT came to. A refusal is a CONNACK that says
// so: a connection that is only closed looks like a bad network to a device,
// which would try again and again. So it also looks when a credential that has
// ended is let in, and the connection ends with it.
func checkAdmission(t *testing.T, name string, err error, ok bool) {
	t.Helper()
	if ok && err != nil || !ok && !errors.Is(err, packets.ErrorRefusedNotAuthorised) {
		t.Errorf("%s: %v; want it let in: %v", name, err, ok)
	}
}

// What happens to a device that is connected when its identity changes.
func TestIdentityChangesDisconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, row := range []struct {
		name, verb, body string
		stays            bool
	}{
		{"reason", "PUT", `{"statusReason":"x"}`, true},
		{"keys", "PUT", `{"authentication":{"symmetricKey":{"primaryKey":"a2V5MQ==","secondaryKey":"a2V5Mg=="}}}`, false},
		{"type", "PUT", `{"authentication":{"type":"certificateAuthority"}}`, false},
		{"disabled", "PUT", `{"status":"disabled"}`, false},
		{"deleted", "DELETE", ``, false},
	} {
		key := r.addDevice(row.name)
		d, err := r.dial(row.name, deviceToken(row.name, key), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.call(row.verb, "/devices/"+row.name, row.body, `If-Match: "*"`)
		if row.stays {
			d.listen(t)
			continue
		}
		eventually(t, row.name+" is disconnected", func() bool { return !d.IsConnectionOpen() })
		_, err = r.dial(row.name, deviceToken(row.name, key), nil)
		checkAdmission(t, row.name+", again", err, false)
	}
	eventually(t, "one is connected", func() bool {
		return string(r.call("GET", "/statistics/service", "").body) == `{"connectedDeviceCount":1}`
	})
}

// certificate makes a certificate for a device, signed by itself or by another.
// It is valid for an hour before and after now, unless change says otherwise.
func certificate(t *testing.T, cn string, by *tls.Certificate, ca bool, change ...func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: cn},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true,
	}
	for _, f := range change {
		f(template)
	}
	parent, signer := template, any(key)
	if by != nil {
		parent, signer = by.Leaf, by.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestThumbprints(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cert, other := certificate(t, "anything", nil, false), certificate(t, "anything", nil, false)
	one, two := sha1.Sum(cert.Certificate[0]), sha256.Sum256(cert.Certificate[0])
	var colons []string
	for _, b := range two {
		colons = append(colons, hex.EncodeToString([]byte{b}))
	}
	unused := strings.Repeat("AB", 20)
	for i, row := range []struct{ primary, secondary string }{
		{strings.ToUpper(hex.EncodeToString(one[:])), unused},
		{hex.EncodeToString(two[:]), ""},
		{unused, strings.Join(colons, ":")},
	} {
		id := fmt.Sprintf("x%d", i)
		r.call("PUT", "/devices/"+id, `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"`+row.primary+`","secondaryThumbprint":"`+row.secondary+`"}}}`).want(200)
		_, err := r.dial(id, "", &cert)
		checkAdmission(t, fmt.Sprint(row), err, true)
		_, err = r.dial(id, "", &other)
		checkAdmission(t, fmt.Sprintf("%v, another certificate", row), err, false)
		_, err = r.dial(id, "", nil)
		checkAdmission(t, fmt.Sprintf("%v, no certificate", row), err, false)
	}
	key := r.addDevice("sas")
	_, err := r.dial("sas", "", &cert)
	checkAdmission(t, "a certificate in place of a token", err, false)
	_, err = r.dial("x0", iothub.NewSAS(key, "localhost/devices/x0", time.Now().Add(time.Hour), ""), &cert)
	checkAdmission(t, "a token in place of a certificate", err, false)
}

// The registry knows the certificate; only its time is wrong.
func TestThumbprintsOutOfTime(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, row := range []struct {
		name   string
		change func(*x509.Certificate)
	}{
		{"ended", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }},
		{"not begun", func(c *x509.Certificate) { c.NotBefore = time.Now().Add(30 * time.Minute) }},
	} {
		id := fmt.Sprintf("x%d", i)
		cert := certificate(t, id, nil, false, row.change)
		thumbprint := sha256.Sum256(cert.Certificate[0])
		r.call("PUT", "/devices/"+id, `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"`+hex.EncodeToString(thumbprint[:])+`"}}}`).want(200)
		_, err := r.dial(id, "", &cert)
		checkAdmission(t, row.name, err, false)
	}
}

func TestDeviceCertificateAuthority(t *testing.T) {
	t.Parallel()
	ca, stranger := certificate(t, "our devices", nil, true), certificate(t, "our devices", nil, true)
	file := filepath.Join(t.TempDir(), "devices.pem")
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: ca.Certificate[0]}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	r := serveRig(t, dir, hub.Options{DeviceCA: file})
	r.call("PUT", "/devices/d", `{"authentication":{"type":"certificateAuthority"}}`).want(200)
	middle := certificate(t, "a site", &ca, true)
	chained := certificate(t, "d", &middle, false)
	chained.Certificate = append(chained.Certificate, middle.Certificate[0])
	for _, row := range []struct {
		name string
		cert tls.Certificate
		ok   bool
	}{
		{"signed by it", certificate(t, "d", &ca, false), true},
		{"through an intermediate", chained, true},
		{"for another device", certificate(t, "e", &ca, false), false},
		{"signed by a stranger of that name", certificate(t, "d", &stranger, false), false},
		{"signed by itself", certificate(t, "d", nil, false), false},
	} {
		_, err := r.dial("d", "", &row.cert)
		checkAdmission(t, row.name, err, row.ok)
	}
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{bad, filepath.Join(t.TempDir(), "none")} {
		if _, err := hub.Open(filepath.Join(t.TempDir(), "x"), hub.Options{DeviceCA: path}); err == nil {
			t.Errorf("%s was taken for certificates", path)
		}
	}
}
