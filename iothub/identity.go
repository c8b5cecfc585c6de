package iothub

import (
	"errors"
	"fmt"
	"strings"
)

// MaxDeviceID is the longest device id, in characters (Learn, "Identity
// registry").
const MaxDeviceID = 128

// deviceIDPunctuation is what a device id may hold beside ASCII letters and
// digits. IoT Hub lists "#" and "+" too, but such a device cannot use its own
// MQTT topics (Azure/azure-iot-sdk-python#953), so they are refused here.
const deviceIDPunctuation = "-:.%_*?!(),=@;$'"

// CheckDeviceID tells what is wrong with a device id.
func CheckDeviceID(id string) error {
	if id == "" {
		return errors.New("the device id is empty")
	}
	if len(id) > MaxDeviceID {
		return fmt.Errorf("the device id has %d characters; at most %d are allowed", len(id), MaxDeviceID)
	}
	if id == "." || id == ".." {
		return errors.New("a device id cannot be . or .., which URLs take for folders")
	}
	for _, r := range id {
		if !isAlphanumeric(r) && !strings.ContainsRune(deviceIDPunctuation, r) {
			return fmt.Errorf("%q cannot be part of a device id (allowed: ASCII letters, digits and %s)", r, deviceIDPunctuation)
		}
	}
	return nil
}

// CheckMethodName tells what is wrong with the name of a direct method:
// printable US-ASCII without the separators of HTTP (Learn, "Direct
// methods"), and without "#" and "+", which no MQTT topic can carry.
func CheckMethodName(name string) error {
	if name == "" {
		return errors.New("the method name is empty")
	}
	const longest = 128 // ours: Learn names no limit, and a topic must stay readable
	if len(name) > longest {
		return fmt.Errorf("the method name has %d characters; at most %d are allowed", len(name), longest)
	}
	for _, r := range name {
		if r <= ' ' || r > '~' || strings.ContainsRune(`$()<>@,;:\"/[]?={}#+`, r) {
			return fmt.Errorf("%q cannot be part of a method name", r)
		}
	}
	return nil
}

// CheckJobID tells what is wrong with the id of a job: up to 64 ASCII letters,
// digits and dashes (Learn, "Schedule jobs").
func CheckJobID(id string) error {
	if id == "" || len(id) > 64 {
		return errors.New("a job id has 1 to 64 characters")
	}
	for _, r := range id {
		if !isAlphanumeric(r) && r != '-' {
			return fmt.Errorf("%q cannot be part of a job id (allowed: ASCII letters, digits and -)", r)
		}
	}
	return nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}
