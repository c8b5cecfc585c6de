package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"latchd/agent"
	"latchd/firmware"
	"latchd/gpio"
	"latchd/internal/logging"
	"latchd/internal/version"
	"latchd/iothub"
	"latchd/iothub/device"
)

// machine is what the program needs of firmware beyond agent.Machine.
type machine interface {
	agent.Machine
	Boot() firmware.Boot
	Information(softwareVersion string) firmware.Information
}

// serve runs the agent until ctx ends or the simulated machine goes down.
// configErr is what was wrong with the configuration; it is no reason to end,
// because the door must stay under control.
func serve(ctx context.Context, cfg config, configErr error, simulate bool, stderr io.Writer) error {
	log := newLogger(stderr, cfg.Log.Level)
	if configErr != nil {
		log.Error("the configuration cannot be used; the door keeps its last good settings", "error", configErr)
	}
	release, err := takeState(cfg.State.Directory, log)
	if err != nil {
		return err
	}
	defer release()
	var (
		m   machine
		sim *firmware.Simulated
	)
	if simulate {
		sim, err = firmware.OpenSimulated(cfg.State.Directory, cfg.State.RuntimeDirectory, time.Duration(cfg.Simulate.DownTime))
		m = sim
	} else {
		m, err = firmware.OpenLinux(cfg.State.Directory)
	}
	if err != nil {
		return err
	}
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	if sim != nil {
		go func() {
			select {
			case <-sim.GoingDown():
				stop()
			case <-stopping.Done():
			}
		}()
	}
	if err := runAgent(stopping, cfg, configErr, simulate, m, log); err != nil {
		return err
	}
	if sim != nil && sim.Stopping(ctx) {
		release() // the next boot of this process takes it again
		if err := sim.PowerCycle(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// runAgent puts the rooms together, runs them until ctx ends, and stops them
// in order: no new commands, the mark of a shutdown, the door, the hub.
func runAgent(ctx context.Context, cfg config, configErr error, simulate bool, m machine, log *slog.Logger) error {
	boot := m.Boot()
	log.Info("latchd starts", "version", version.Version, "bootId", boot.ID, "simulated", simulate)
	clock := systemClock{since: time.Now()}

	opened := make(chan struct{}) // the lock tells of changes before there is an agent
	var a *agent.Agent
	lock, theDoor, local := openDoor(cfg, configErr, simulate, keptLines(), m, clock.wall, log, func() {
		<-opened
		a.DoorChanged()
	})
	a = agent.New(agent.Config{
		Door: theDoor, Machine: m, Clock: clock, Device: deviceID(cfg.Hub),
		Boot:     agent.Boot{ID: boot.ID, Cause: boot.Cause},
		StateDir: cfg.State.Directory, Fault: faultText(configErr),
		Version: version.Version, Simulated: simulate,
		Information: information(m), DoorPolicy: policy(local),
		RebootDelay: time.Duration(cfg.Reboot.Delay), Log: log,
	})
	client, err := newClient(cfg, a, log)
	if err != nil {
		log.Error("the hub cannot be reached with this configuration; the door works without it", "error", err)
	} else {
		a.Connect(client)
	}
	close(opened)

	hubCtx, disconnect := context.WithCancel(context.WithoutCancel(ctx))
	defer disconnect()
	var hub sync.WaitGroup
	if client != nil {
		hub.Go(func() {
			if err := client.Run(hubCtx); err != nil {
				log.Error("the hub's client ended", "error", err)
			}
		})
	}
	err = a.Run(ctx)
	closeDoor(lock, log)
	if client != nil {
		tellLast(client, log)
	}
	disconnect()
	hub.Wait()
	log.Info("latchd stops")
	return err
}

// faultText is what the twin says of a wrong configuration.
func faultText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// openDoor takes the lock under control. A wrong configuration leaves it at
// its last good settings.
func openDoor(cfg config, configErr error, simulate bool, kept []gpio.Kept, m machine, wall func() (time.Time, bool), log *slog.Logger, changed func()) (*gpio.Lock, agent.Door, gpio.Policy) {
	settings := cfg.settings()
	if configErr != nil {
		last, err := gpio.LastSettings(cfg.State.Directory)
		if err != nil {
			log.Error("there are no earlier door settings to keep, so the door is left alone", "error", err)
			return nil, nil, settings.Policy
		}
		settings = last
	} else if cfg.Door.Line == "" {
		return nil, nil, settings.Policy
	}
	settings, err := settings.Complete()
	if err != nil {
		log.Error("the door's settings cannot be used", "error", err)
		return nil, brokenDoor{err}, settings.Policy
	}
	c := gpio.Config{
		Settings:   settings,
		RuntimeDir: cfg.State.RuntimeDirectory, StateDir: cfg.State.Directory,
		BootTime: m.Uptime, BootID: m.Boot().ID, Wall: wall,
		OnChange: func(gpio.Change) { changed() },
	}
	hardware(&c, simulate, kept, log)
	lock, err := gpio.Open(c)
	if err != nil {
		log.Error("the lock cannot be taken under control", "error", err)
		return nil, brokenDoor{err}, settings.Policy
	}
	for _, w := range lock.Warnings() {
		log.Warn(w)
	}
	return lock, door{lock}, settings.Policy
}

// stopWithin bounds the ordered stop of the door.
const stopWithin = 2 * time.Second

func closeDoor(lock *gpio.Lock, log *slog.Logger) {
	if lock == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := lock.Close(ctx); err != nil {
		log.Error("the door could not be stopped in order", "error", err)
	}
}

// tellWithin bounds the last report of an ordered stop; the hub may be away.
const tellWithin = time.Second

// tellLast waits until the hub knows how the door was left.
func tellLast(client *device.Client, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
	defer cancel()
	if err := client.Flush(ctx); err != nil {
		log.Info("the hub does not know how the door was left", "error", err)
	}
}

// newClient makes the connection to the hub.
func newClient(cfg config, a *agent.Agent, log *slog.Logger) (*device.Client, error) {
	connection, err := connectionString(cfg.Hub)
	if err != nil {
		return nil, err
	}
	c := device.Config{
		Connection: connection,
		Product:    "latchd/" + version.Version,
		ModelID:    modelID,
		Log:        log,
		Handler: device.Handler{
			Method: a.Serve, Desired: a.Desired, Reported: a.Reported,
		},
	}
	if connection.X509 {
		if c.Certificate, err = clientCertificate(cfg.Hub); err != nil {
			return nil, err
		}
	}
	if cfg.Hub.CAFile != "" {
		if c.RootCAs, err = device.LoadRootCAs(cfg.Hub.CAFile); err != nil {
			return nil, err
		}
	}
	return device.New(c)
}

func clientCertificate(h hubConfig) (*tls.Certificate, error) {
	if h.CertificateFile == "" || h.KeyFile == "" {
		return nil, errors.New("the connection string says x509=true, so hub.certificate_file and hub.key_file are needed")
	}
	return device.LoadCertificate(h.CertificateFile, h.KeyFile)
}

// connectionString finds the device's connection string: in the file the
// configuration names, in systemd's credentials, or in the configuration.
func connectionString(h hubConfig) (iothub.ConnectionString, error) {
	if err := h.keyForFile(); err != nil {
		return iothub.ConnectionString{}, err
	}
	file := h.ConnectionStringFile
	if file == "" && h.ConnectionString == "" {
		if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
			file = filepath.Join(dir, "connection-string")
		}
	}
	text := h.ConnectionString
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return iothub.ConnectionString{}, fmt.Errorf("read the connection string: %w", err)
		}
		text = string(b)
	}
	if text == "" {
		return iothub.ConnectionString{}, errors.New("no connection string: set hub.connection_string_file in the configuration")
	}
	return iothub.ParseDeviceConnectionString(text)
}

// deviceID is this device's name at its hub; "" if it cannot be told.
func deviceID(h hubConfig) string {
	connection, err := connectionString(h)
	if err != nil {
		return "" // newClient says why
	}
	return connection.DeviceID
}

func information(m machine) map[string]any {
	doc, err := iothub.ToDocument(m.Information(version.Version))
	if err != nil {
		return nil
	}
	doc["__t"] = "c" // the plug-and-play mark of a component
	return doc
}

func newLogger(stderr io.Writer, level slog.Level) *slog.Logger {
	f, isFile := stderr.(*os.File)
	return logging.New(stderr, level, isFile && logging.ToJournal(f))
}

// systemClock is the system's wall clock, believed as it stands.
type systemClock struct{ since time.Time }

func (systemClock) Now() time.Time                   { return time.Now() }
func (c systemClock) State() (string, time.Time)     { return "synchronized", c.since }
func (c systemClock) wall() (now time.Time, ok bool) { return time.Now(), true }
