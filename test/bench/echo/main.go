// Command echo is a device with nothing but an MQTT client: it answers every
// direct method with one fixed answer. It is the floor of the comparison in
// the package above: a device that does anything at all takes longer.
//
// It speaks the wire with the same MQTT library as the agent, without the
// agent's device client: no journal, no twin, no guard against late or
// repeated requests, no reconnection, no acknowledged answers. Nobody should
// put it on a door.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
	"latchd/iothub/device"
)

func main() {
	connection := flag.String("connection", "", "`FILE` with the device's connection string")
	ca := flag.String("ca", "", "`FILE` with the hub's authority")
	answer := flag.String("answer", "", "`FILE` with the answer to every method")
	flag.Parse()
	if err := run(*connection, *ca, *answer); err != nil {
		fmt.Fprintln(os.Stderr, "echo:", err)
		os.Exit(1)
	}
}

func run(connectionFile, caFile, answerFile string) error {
	answer, err := os.ReadFile(answerFile)
	if err != nil {
		return err
	}
	options, err := clientOptions(connectionFile, caFile)
	if err != nil {
		return err
	}
	lost := make(chan error, 1)
	options.SetConnectionLostHandler(func(_ mqtt.Client, err error) { lost <- err })
	client := mqtt.NewClient(options)
	if err := wait(client.Connect()); err != nil {
		return err
	}
	echo := func(c mqtt.Client, m mqtt.Message) {
		if t, err := iothub.ParseTopic(m.Topic()); err == nil {
			to := iothub.Topic{Kind: iothub.TopicMethodResponse, Status: 200, RequestID: t.RequestID}
			c.Publish(to.String(), 0, false, answer)
		}
	}
	if err := wait(client.Subscribe(iothub.FilterMethods, 0, echo)); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	select {
	case err := <-lost:
		return err
	case <-ctx.Done():
		client.Disconnect(250)
		return nil
	}
}

func clientOptions(connectionFile, caFile string) (*mqtt.ClientOptions, error) {
	text, err := os.ReadFile(connectionFile)
	if err != nil {
		return nil, err
	}
	cs, err := iothub.ParseDeviceConnectionString(string(text))
	if err != nil {
		return nil, err
	}
	roots, err := device.LoadRootCAs(caFile)
	if err != nil {
		return nil, err
	}
	host, port := cs.DialAddress("8883")
	resource := iothub.DeviceResource(cs.HostName, cs.DeviceID)
	return mqtt.NewClientOptions().
		AddBroker("tls://" + host + ":" + port).
		SetClientID(cs.DeviceID).
		SetUsername(cs.HostName + "/" + cs.DeviceID + "/?api-version=" + iothub.APIVersion).
		SetPassword(iothub.NewSAS(cs.SharedAccessKey, resource, time.Now().Add(time.Hour), "")).
		SetTLSConfig(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}).
		SetProtocolVersion(4).
		SetAutoReconnect(false), nil
}

func wait(t mqtt.Token) error {
	t.Wait()
	return t.Error()
}
