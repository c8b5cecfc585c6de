package iothub_test

import (
	"encoding/json"
	"fmt"

	"latchd/iothub"
)

func ExampleParseDeviceConnectionString() {
	c, err := iothub.ParseDeviceConnectionString("HostName=localhost:18883;DeviceId=door-1;SharedAccessKey=c2VjcmV0")
	if err != nil {
		fmt.Println(err)
		return
	}
	host, port := c.DialAddress("8883")
	fmt.Println(host, port)
	fmt.Println(c)

	_, err = iothub.ParseDeviceConnectionString("HostName=localhost;DeviceId=door-1;SharedAccessKey=c2Vjcm")
	fmt.Println(err)
	// Output:
	// localhost 18883
	// HostName=localhost:18883;DeviceId=door-1;SharedAccessKey=(hidden)
	// device connection string: SharedAccessKey: the key is not valid base64 (copy it whole, with the = at its end)
}

func ExampleDiff() {
	from, _ := iothub.DecodeObject([]byte(`{"door":{"mode":"lockdown","until":"02:41"},"floor":3}`))
	to, _ := iothub.DecodeObject([]byte(`{"door":{"mode":"resting"},"floor":3.0}`))
	patch := iothub.Diff(from, to)
	text, _ := json.Marshal(patch)
	fmt.Println(string(text))
	fmt.Println(iothub.Equal(iothub.Merge(from, patch), to))
	// Output:
	// {"door":{"mode":"resting","until":null}}
	// true
}
