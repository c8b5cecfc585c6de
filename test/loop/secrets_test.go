package loop

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"latchd/iothub"
	"latchd/test/site"
)

// TestNoSecretIsWritten runs everything there is to run, at debug level and
// with every mistake that has a key near it, and then looks for each key in
// all that was printed, written, or passed to a process.
func TestNoSecretIsWritten(t *testing.T) {
	t.Parallel()
	s := newWatched(t)
	atOnce(func() { s.operate("table") }, func() { s.operate("json") }, s.misoperate, s.breakDevices, s.askForHelp)
	s.checkProcesses()
	s.disturb()
	s.search()
}

// holders are the files that must hold a key; each is for its owner alone.
// Everything else that a program wrote must hold none.
var holders = regexp.MustCompile(`^(hub/(hub\.json|hub\.db(-wal|-shm)?|ca-key\.pem|server-key\.pem)|[a-z-]+\.(connection|key|broken\.toml))$`)

// watched is a site whose processes find a home and a place for temporary
// files of their own in it, so that whatever they write is in one directory.
type watched struct {
	*site.Site
	agents map[string]*site.Process // by device id

	mu      sync.Mutex        // guards the fields below
	secrets map[string][]byte // what each is, for messages, and its bytes
	outputs int
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	s := &watched{Site: site.New(t), secrets: map[string][]byte{}, agents: map[string]*site.Process{}}
	for _, dir := range []string{"home", "tmp", "out"} {
		if err := os.Mkdir(s.Path(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s.Write("operator.connection", s.Service.Reveal())
	s.Hub.Signal(syscall.SIGTERM)
	s.run("latchhub", "init", "--dir", s.Path("hub"))
	s.run("latchhub", "init", "--dir", s.Path("hub"), "--name", "hub.example")
	s.hub()
	s.AddDevice("door")
	s.AddDevice("wrong")
	s.addCertificateDevice("bolt")
	s.collect("door", "wrong")
	for _, id := range []string{"door", "bolt"} {
		s.agent(id, id+".toml")
		s.AwaitConnected(id)
	}
	return s
}

// environment is that of a process with nothing secret in it.
func (s *watched) environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + s.Path("home"), "TMPDIR=" + s.Path("tmp"), "LATCHCTL_CA=" + s.Path("hub/ca.pem"),
		"LATCHCTL_CONNECTION_STRING_FILE=" + s.Path("operator.connection"),
	}
}

// run runs a program to its end and keeps all it printed.
func (s *watched) run(name string, args ...string) { s.runWith(nil, name, args...) }

func (s *watched) runWith(env []string, name string, args ...string) {
	s.Helper()
	cmd := exec.Command(filepath.Join(site.Programs(), name), args...)
	cmd.Env = append(s.environment(), env...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		s.Errorf("%s: %v", name, err)
		return
	}
	s.mu.Lock()
	s.outputs++
	file := fmt.Sprintf("out/%03d-%s", s.outputs, name)
	s.mu.Unlock()
	s.Write(file, strings.Join(safeArgs(args), " ")+"\n"+string(out))
}

// atOnce runs functions beside each other.
func atOnce(all ...func()) {
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(f)
	}
	running.Wait()
}

// safeArgs leaves out what the test itself passed as a secret.
func safeArgs(args []string) []string {
	var out []string
	for _, a := range args {
		if !strings.Contains(a, "Key") {
			out = append(out, a)
		}
	}
	return out
}

func (s *watched) start(log, name string, args ...string) *site.Process {
	s.Helper()
	cmd := exec.Command(filepath.Join(site.Programs(), name), args...)
	cmd.Env = s.environment()
	return s.StartCommand(log, cmd)
}

// hub starts the hub at debug level where it was before.
func (s *watched) hub() {
	s.Helper()
	var at struct{ MQTT, HTTPS string }
	if err := json.Unmarshal([]byte(s.Read("hub/endpoints.json")), &at); err != nil {
		s.Fatal(err)
	}
	if err := os.Remove(s.Path("hub/endpoints.json")); err != nil {
		s.Fatal(err)
	}
	s.Hub = s.start("hub.log", "latchhub", "serve", "--dir", s.Path("hub"), "--mqtt", at.MQTT, "--https", at.HTTPS, "--verbose")
	s.Await("the hub is ready", func() bool {
		_, err := os.Stat(s.Path("hub/endpoints.json"))
		return err == nil
	})
}

func (s *watched) agent(id, config string) {
	s.Helper()
	s.agents[id] = s.start(id+".log", "latchd", "--simulate", "--config", s.Path(config))
}

// addCertificateDevice registers a device that proves itself by a certificate.
func (s *watched) addCertificateDevice(id string) {
	s.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: id},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		s.Fatal(err)
	}
	keyText, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.Fatal(err)
	}
	s.Write(id+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	s.Write(id+".key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyText})))
	s.secrets["the private key of "+id] = keyText
	thumbprint := sha256.Sum256(der)
	s.AddDevice(id+"-keys", "") // for its configuration, which the next one is made of
	s.run("latchctl", "device", "add", id, "--x509-thumbprint", hex.EncodeToString(thumbprint[:]))
	config := strings.ReplaceAll(s.Read(id+"-keys.toml"), id+"-keys", id)
	device, err := iothub.ParseDeviceConnectionString(s.Read(id + "-keys.connection"))
	if err != nil {
		s.Fatal(err)
	}
	s.Write(id+".connection", fmt.Sprintf("HostName=%s;DeviceId=%s;x509=true", device.HostName, id))
	s.Write(id+".toml", strings.Replace(config, "[hub]", fmt.Sprintf("[hub]\ncertificate_file = %q\nkey_file = %q", id+".crt", id+".key"), 1))
	s.collect(id + "-keys")
}

// collect learns the keys of the hub and of devices.
func (s *watched) collect(devices ...string) {
	s.Helper()
	var config struct {
		Policies map[string]struct{ PrimaryKey, SecondaryKey string }
	}
	if err := json.Unmarshal([]byte(s.Read("hub/hub.json")), &config); err != nil || len(config.Policies) == 0 {
		s.Fatalf("the policies of the hub: %v", err)
	}
	for name, p := range config.Policies {
		s.learn("the primary key of policy "+name, p.PrimaryKey)
		s.learn("the secondary key of policy "+name, p.SecondaryKey)
	}
	for _, id := range devices {
		keys := site.At(s.Object("GET", "/devices/"+id, ""), "authentication", "symmetricKey")
		for _, which := range []string{"primaryKey", "secondaryKey"} {
			s.learn("the "+which+" of "+id, fmt.Sprint(site.At(keys, which)))
		}
	}
	for _, name := range []string{"hub/ca-key.pem", "hub/server-key.pem"} {
		block, _ := pem.Decode([]byte(s.Read(name)))
		if block == nil {
			s.Fatalf("%s holds no key", name)
		}
		s.secrets[name] = block.Bytes
	}
}

func (s *watched) learn(what, key string) {
	s.Helper()
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(b) < 16 {
		s.Errorf("%s is no key: %v", what, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[what] = b
}

// operate does all that an operator can do.
func (s *watched) operate(format string) {
	s.Helper()
	for _, command := range []string{
		"device list", "device show door", "device show bolt", "device add spare-" + format, "device delete spare-" + format,
		"twin show door", `twin set door --desired {"building":43} --tags {"site":"lab"}`,
		"invoke door getStatus", "lock door", "unlock door --for 1s", "reboot door --dry-run",
		"job method lock-" + format + " --where * --method lockDoor --connect-timeout 1s --wait", `job twin floor-` + format + ` --where * --desired {"floor":3}`,
		"job list", "job show lock-" + format + " --devices", "job method later-" + format + " --where * --method lockDoor --in 1h", "job cancel later-" + format,
	} {
		s.run("latchctl", append(strings.Fields(command), "-o", format)...)
	}
	s.run("latchctl", "query", "SELECT * FROM devices", "-o", format)
	s.run("latchctl", "query", "SELECT * FROM devices.jobs", "-o", format)
	if format == "json" {
		s.run("latchctl", "reboot", "door", "--wait", "--delay", "0s") // re-executes the agent
	}
}

func (s *watched) askForHelp() {
	s.Helper()
	s.run("latchhub", "--help")
	s.run("latchd", "--help")
	for _, topic := range []string{"", "device", "device add", "device connection-string", "twin set", "job method", "connection", "exit-codes"} {
		s.run("latchctl", append(strings.Fields(topic), "--help")...)
	}
	s.run("latchctl", "completion", "bash")
}

// misoperate makes mistakes, each with a key in reach.
func (s *watched) misoperate() {
	s.Helper()
	for _, command := range []string{
		"device show nobody", "device add door", "device delete nobody", "invoke door noSuchMethod", "invoke nobody lockDoor",
		"job show nobody", "query SELEKT", "nonsense", "device", "twin set door --desired {", "twin set door --desired {} --etag AAAA", "unlock door --for never",
	} {
		s.run("latchctl", strings.Fields(command)...)
	}
	// Strings that are wrong, each with the real key within.
	whole := s.Service.Reveal()
	for _, wrong := range []string{
		whole + ";Nonsense", whole + ";SharedAccessKey=again", strings.Replace(whole, "HostName=", "Host=", 1),
		strings.Replace(whole, "SharedAccessKeyName=iothubowner;", "", 1), strings.ReplaceAll(whole, ";", ","), whole + "!", "x" + whole, "\"" + whole + "\"",
		s.Read("door.connection"),
	} {
		s.Write("broken.connection", wrong)
		s.run("latchctl", "device", "list", "--connection-string-file", s.Path("broken.connection"))
		s.runWith([]string{"IOTHUB_CONNECTION_STRING=" + wrong}, "latchctl", "device", "list")
		s.run("latchctl", "device", "list", "--connection-string", wrong)
		s.run("latchctl", "device", "show", wrong)
		s.run("latchctl", wrong)
	}
	guess := iothub.GenerateKey()
	s.learn("a key that is not the hub's", guess.Reveal())
	s.Write("guess.connection", strings.Replace(whole, s.Service.SharedAccessKey.Reveal(), guess.Reveal(), 1))
	s.run("latchctl", "device", "list", "--connection-string-file", s.Path("guess.connection"))
	s.run("latchhub", "init", "--dir", s.Path("hub"), "--name", "in.use")
	s.run("latchhub", "serve", "--dir", s.Path("hub"), "--verbose")
	s.run("latchhub", "connection-string", "--dir", s.Path("hub"), "--policy", "nobody")
}

// breakDevices starts agents that have a wrong key or a broken configuration.
func (s *watched) breakDevices() {
	s.Helper()
	right, err := iothub.ParseDeviceConnectionString(s.Read("wrong.connection"))
	if err != nil {
		s.Fatal(err)
	}
	guess := iothub.GenerateKey()
	s.learn("a key that is not the device's", guess.Reveal())
	good := s.Read("wrong.connection")
	s.Write("wrong.connection", strings.Replace(good, right.SharedAccessKey.Reveal(), guess.Reveal(), 1))
	agent := s.start("wrong.log", "latchd", "--simulate", "--config", s.Path("wrong.toml"))
	s.Await("the hub refuses a wrong key", func() bool { return strings.Contains(s.Read("hub.log"), "device refused") })
	agent.Signal(syscall.SIGTERM)

	text := strings.TrimSpace(good)
	config := s.Read("wrong.toml")
	inline := func(line string) string {
		return strings.Replace(config, `connection_string_file = "wrong.connection"`, line, 1)
	}
	for _, broken := range []string{
		inline(`connection_string = "` + text + `;Nonsense"`),
		inline(`connection_string = "` + text), // no end of the string
		inline(`connection_string = ` + text),  // no string
		inline(`conection_string = "` + text + `"`),
		inline(`connection_string_file = "` + text + `"`), // the secret in place of its file
		inline(`connection_string = "` + strings.Replace(text, "DeviceId=", "Device=", 1) + `"`),
		inline(`connection_string = "`+text+`"`) + "\n[door]\n", // twice
	} {
		s.Write("wrong.broken.toml", broken)
		s.run("latchd", "--check-config", "--config", s.Path("wrong.broken.toml"))
		lines := strings.Count(s.Read("wrong.log"), "latchd starts")
		agent := s.start("wrong.log", "latchd", "--simulate", "--config", s.Path("wrong.broken.toml"))
		s.Await("the agent runs with what is left of its configuration", func() bool {
			return strings.Count(s.Read("wrong.log"), "latchd starts") > lines
		})
		agent.Signal(syscall.SIGTERM)
	}
	// Here not even the directories can be read, and the agent would use the
	// real ones.
	s.Write("wrong.broken.toml", inline(`connection_string = ["`+text+`"]`))
	s.run("latchd", "--check-config", "--config", s.Path("wrong.broken.toml"))
	s.Write("bolt.broken.toml", strings.Replace(s.Read("bolt.toml"), `certificate_file = "bolt.crt"`, `certificate_file = "bolt.key"`, 1))
	s.run("latchd", "--check-config", "--config", s.Path("bolt.broken.toml"))
}

// disturb ends programs in every way there is, and lets one be late.
func (s *watched) disturb() {
	s.Helper()
	s.Hub.Signal(syscall.SIGKILL)
	s.hub()
	for id, signal := range map[string]os.Signal{"door": syscall.SIGKILL, "bolt": syscall.SIGTERM} {
		s.agents[id].Signal(signal)
		s.agent(id, id+".toml")
		s.AwaitConnected(id)
	}
	s.Freeze(s.agents["door"])
	s.run("latchctl", "unlock", "door", "--response-timeout", "5s")
	s.Thaw(s.agents["door"])
	s.run("latchctl", "lock", "door")
	s.checkProcesses()
	// A crash prints all stacks.
	s.agents["bolt"].Signal(syscall.SIGQUIT)
	s.agents["door"].Signal(syscall.SIGABRT)
	s.Hub.Signal(syscall.SIGQUIT)
	if !strings.Contains(s.Read("hub.log"), "goroutine ") {
		s.Error("the hub did not crash; what a crash prints was not looked at")
	}
}

// checkProcesses looks at what anybody, or a core dump, would see of the
// processes that run: their arguments, their environment, their children.
func (s *watched) checkProcesses() {
	s.Helper()
	for name, p := range map[string]*site.Process{"latchhub": s.Hub, "the agent of door": s.agents["door"], "the agent of bolt": s.agents["bolt"]} {
		dir := fmt.Sprintf("/proc/%d/", p.Cmd.Process.Pid)
		for _, file := range []string{"cmdline", "environ"} {
			text, err := os.ReadFile(dir + file)
			if os.IsNotExist(err) {
				s.Logf("there is no /proc to look at")
				return
			}
			if err != nil {
				s.Fatal(err)
			}
			s.grep(name+", "+file, string(text))
		}
		children, err := filepath.Glob(dir + "task/*/children")
		if err != nil {
			s.Fatal(err)
		}
		for _, file := range children {
			if text, err := os.ReadFile(file); err == nil && len(text) > 0 {
				s.Errorf("%s has started other processes: %s", name, text)
			}
		}
	}
}

// search reads every file that is left.
func (s *watched) search() {
	s.Helper()
	files, found := 0, map[string]bool{}
	err := filepath.WalkDir(s.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == s.Dir {
			return err
		}
		name, err := filepath.Rel(s.Dir, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		info, err := d.Info()
		if err != nil {
			return err
		}
		private := info.Mode().Perm()&0o077 == 0
		if d.IsDir() {
			if !private {
				s.Errorf("directory %s has permissions %o: others may look into it", name, info.Mode().Perm())
			}
			return nil
		}
		if !info.Mode().IsRegular() {
			return nil
		}
		files++
		if holders.MatchString(name) {
			found[name] = true
			if info.Mode().Perm() != 0o600 {
				s.Errorf("%s holds a key and has permissions %o, want 600", name, info.Mode().Perm())
			}
			return nil
		}
		s.grep(name, s.Read(name))
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, name := range []string{"hub/hub.json", "hub/hub.db", "hub/ca-key.pem", "hub/server-key.pem", "door.connection", "bolt.key"} {
		if !found[name] {
			s.Errorf("%s was not found; the test looks in the wrong place", name)
		}
	}
	s.Logf("%d secrets looked for in %d files", len(s.secrets), files)
}

// token is the part of a shared access signature that must not be seen.
var token = regexp.MustCompile(`(?i)\bsig(=|%3d|\\u003d)[a-z0-9%+/_-]{16,}`)

// grep looks for each secret in a text, in each form that a program might
// print it in.
func (s *watched) grep(where, text string) {
	s.Helper()
	lower := strings.ToLower(text)
	for what, secret := range s.secrets {
		for form, written := range forms(secret) {
			in := text
			if form == "hex" {
				in = lower
			}
			if strings.Contains(in, written) {
				s.Errorf("%s holds %s, as %s", where, what, form)
			}
		}
	}
	if found := token.FindString(text); found != "" {
		s.Errorf("%s holds the signature of a token", where)
	}
	if strings.Contains(text, "PRIVATE KEY-----") {
		s.Errorf("%s holds a private key", where)
	}
}

// forms are the ways to write a secret. A long one, of a certificate, is looked
// for by a part in its middle: it is also broken into lines.
func forms(secret []byte) map[string]string {
	std := base64.StdEncoding.EncodeToString(secret)
	all := map[string]string{
		"base64":            strings.TrimRight(std, "="),
		"base64 for URLs":   base64.RawURLEncoding.EncodeToString(secret),
		"base64 in a URL":   url.QueryEscape(std),
		"base64 in JSON":    strings.ReplaceAll(strings.TrimRight(std, "="), "+", `\u002b`),
		"base64 of base64":  base64.RawStdEncoding.EncodeToString([]byte(std))[:40],
		"hex":               hex.EncodeToString(secret),
		"bytes":             string(secret),
		"bytes, as Go's %v": strings.Trim(fmt.Sprint(secret), "[]"),
	}
	if len(secret) > 64 {
		// The scalar of a P-256 key in PKCS #8 begins at byte 36; its base64
		// stands within the first two lines of the PEM text.
		all["base64"], all["base64 in JSON"] = std[64:104], std[64:104]
		delete(all, "base64 of base64")
		all["hex"] = hex.EncodeToString(secret[36:68])
		all["bytes"] = string(secret[36:68])
	}
	return all
}
