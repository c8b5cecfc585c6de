package iothub

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestSecretsDoNotShow prints a key, and what holds one, in every way that Go
// has, and looks for the key as text, as bytes, in hex and as numbers.
func TestSecretsDoNotShow(t *testing.T) {
	key, err := ParseKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	c, err := ParseDeviceConnectionString("HostName=h;DeviceId=d;SharedAccessKey=" + secret)
	if err != nil {
		t.Fatal(err)
	}
	type within struct {
		key        Key
		connection ConnectionString
		pointer    *Key
		list       []Key
		byName     map[string]ConnectionString
		any        any
	}
	w := within{key, c, &key, []Key{key}, map[string]ConnectionString{"c": c}, c}
	values := map[string]any{
		"key": key, "pointer to key": &key, "connection string": c, "pointer to connection string": &c,
		"struct": w, "pointer to struct": &w, "slice": []any{key, c, w},
		"error": fmt.Errorf("tried %v: %w", c, &Error{Info: map[string]any{"c": c}}),
	}
	raw, _ := base64.StdEncoding.DecodeString(secret)
	numbers := strings.Trim(fmt.Sprint(raw[:6]), "[]")
	forbidden := []string{string(raw[:6]), hex.EncodeToString(raw[:6]), numbers, strings.ReplaceAll(numbers, " ", ", ")}
	expectHidden := func(what, text string) {
		t.Helper()
		expectNoSecret(t, what, text)
		for _, f := range forbidden {
			if strings.Contains(strings.ToLower(text), strings.ToLower(f)) {
				t.Errorf("%s shows the key: %s", what, text)
			}
		}
	}
	for name, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%+s", "%q", "%#q", "%x", "% x", "%X", "%#x", "%d", "%c", "%U", "%b", "%o", "%t", "%p", "%T", "%w", "%!"} {
			expectHidden(name+" with "+verb, fmt.Sprintf(verb, v)) //nolint:govet // wrong verbs are the point
		}
		if text, err := json.Marshal(v); err == nil {
			expectHidden(name+" as JSON", string(text))
		}
		var out bytes.Buffer
		for _, handler := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(handler).With("with", v).WithGroup("g").Info("m", "v", v, slog.Group("in", "v", v))
		}
		expectHidden(name+" in a log", out.String())
	}
	if got, _ := json.Marshal(c); !strings.Contains(string(got), hidden) {
		t.Errorf("JSON of a connection string: %s", got)
	}
}

func TestKey(t *testing.T) {
	key := mustKey(t)
	if key.IsZero() || key.Reveal() != testKey {
		t.Errorf("read and revealed: %q", key.Reveal())
	}
	if !key.Verify("text", key.Sign("text")) {
		t.Error("a key does not know its own signature")
	}
	for what, ok := range map[string]bool{
		"another text":      key.Verify("Text", key.Sign("text")),
		"another key":       GenerateKey().Verify("text", key.Sign("text")),
		"no signature":      key.Verify("text", nil),
		"half a signature":  key.Verify("text", key.Sign("text")[:16]),
		"no key":            Key{}.Verify("text", key.Sign("text")),
		"no key, none made": Key{}.Verify("text", Key{}.Sign("text")),
	} {
		if ok {
			t.Errorf("%s: verified", what)
		}
	}
	if zero := (Key{}); !zero.IsZero() || zero.Reveal() != "" || zero.Sign("x") != nil || zero.String() != hidden {
		t.Errorf("the zero key: %q, %x", zero.Reveal(), zero.Sign("x"))
	}
	for _, text := range []string{"", "=", "a", "ab", "a b=", "YQ", "YQ=", "YQ===", "_-8=", "\n"} {
		if k, err := ParseKey(text); err == nil {
			t.Errorf("%q gives a key of %d characters", text, len(k.Reveal()))
		}
	}
}

func TestGenerateKey(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		text := GenerateKey().Reveal()
		if len(text) != 44 || seen[text] {
			t.Errorf("generated %q", text)
		}
		seen[text] = true
	}
}

var testExpiry = time.Unix(1900000000, 0).UTC()
