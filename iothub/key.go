package iothub

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
)

// Key is a symmetric key. It signs; it does not show itself: every way of
// printing or logging it gives "(hidden)", also when it sits in a struct that
// is printed whole. Only [Key.Reveal] gives the text.
//
// The zero Key is "no key": it signs nothing and matches nothing.
type Key struct {
	// fmt prints an unexported field without asking String, and with a verb
	// that does not fit (%s of a struct) it even follows a pointer. Nothing
	// follows a function. The pointer keeps keys comparable.
	bytes *func() []byte
}

func newKey(b []byte) Key {
	bytes := func() []byte { return b }
	return Key{&bytes}
}

// GeneratedKeyBytes is the size of the keys that the hub makes: 32 bytes, 44
// characters of base64, as IoT Hub's own.
const GeneratedKeyBytes = 32

// ParseKey reads a key in standard base64. The error never repeats the text.
func ParseKey(text string) (Key, error) {
	if text == "" {
		return Key{}, errors.New("the key is empty")
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Key{}, errors.New("the key is not valid base64 (copy it whole, with the = at its end)")
	}
	if len(b) == 0 {
		return Key{}, errors.New("the key is empty")
	}
	return newKey(b), nil
}

// GenerateKey makes a random key.
func GenerateKey() Key {
	b := make([]byte, GeneratedKeyBytes)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the program instead
	return newKey(b)
}

// IsZero tells whether there is no key.
func (k Key) IsZero() bool { return k.bytes == nil }

// Reveal gives the key as base64 text, "" for the zero Key. Its result must
// go to the operator who asked for it or to a 0600 file, nowhere else.
func (k Key) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return base64.StdEncoding.EncodeToString((*k.bytes)())
}

// Sign gives the HMAC-SHA256 of the text.
func (k Key) Sign(text string) []byte {
	if k.IsZero() {
		return nil
	}
	mac := hmac.New(sha256.New, (*k.bytes)())
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// Verify tells, in constant time, whether the signature over text is this
// key's.
func (k Key) Verify(text string, signature []byte) bool {
	return !k.IsZero() && hmac.Equal(k.Sign(text), signature)
}

const hidden = "(hidden)"

func (Key) String() string               { return hidden }
func (Key) GoString() string             { return hidden }
func (Key) LogValue() slog.Value         { return slog.StringValue(hidden) }
func (Key) MarshalText() ([]byte, error) { return []byte(hidden), nil }
