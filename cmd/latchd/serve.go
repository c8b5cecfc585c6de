package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"latchd/agent"
	"latchd/agent/health"
	"latchd/firmware"
	"latchd/gpio"
	"latchd/internal/logging"
	"latchd/internal/systemd"
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

// service is one run of the agent: the rooms, wired together.
type service struct {
	configFile string
	simulate   bool
	log        *slog.Logger
	level      *slog.LevelVar

	machine machine
	clock   wallClock
	side    []func(context.Context) // what runs beside the agent
	doors   *doorkeeper
	agent   *agent.Agent
	link    link
	teller  *teller

	mu     sync.Mutex // guards the fields below
	config config     // in force
	fault  string     // what is wrong with the configuration, or with the lock's line
}

// serve runs the agent until ctx ends or the simulated machine goes down. A wrong
// configuration is no reason to end, because the door must stay under control.
func serve(ctx context.Context, configFile string, simulate bool, stderr io.Writer) error {
	level := new(slog.LevelVar)
	s := &service{configFile: configFile, simulate: simulate, level: level, log: newLogger(stderr, level)}
	if !simulate {
		return s.serveHere(ctx)
	}
	cfg, configErr := loadConfig(configFile)
	level.Set(cfg.Log.Level)
	sim, err := firmware.OpenSimulated(cfg.State.Directory, cfg.State.RuntimeDirectory, time.Duration(cfg.Simulate.DownTime))
	if err != nil {
		return err
	}
	s.machine, s.clock = sim, systemClock{since: time.Now()}
	s.doors = newDoorkeeper(sim, simulate, s.log)
	release, err := takeState(cfg.State.Directory, s.log)
	if err != nil {
		return err
	}
	defer release()
	stopping, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-sim.GoingDown():
			stop()
		case <-stopping.Done():
		}
	}()
	if err := s.run(stopping, cfg, configErr); err != nil {
		return err
	}
	if sim.Stopping(ctx) {
		release() // the next boot of this process takes it again
		if err := sim.PowerCycle(ctx); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return nil
}

// serveHere runs the agent on this machine. A line that systemd kept is taken over
// before the configuration is read, whatever that says and however long it takes.
func (s *service) serveHere(ctx context.Context) error {
	dirs := serviceDirs()
	m, err := firmware.OpenLinux(dirs.Directory)
	if err != nil {
		return err
	}
	s.machine = m
	s.doors = newDoorkeeper(m, false, s.log)
	s.doors.adopt(dirs)
	cfg, configErr := loadConfig(s.configFile)
	s.level.Set(cfg.Log.Level)
	release, err := takeState(cfg.State.Directory, s.log)
	if err != nil {
		return err
	}
	defer release()
	watching, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	defer endWatch()
	go m.Watch(watching)
	clock := s.hubClock(cfg)
	s.clock, s.side = clock, append(s.side, clock.Run)
	err = s.run(ctx, cfg, configErr)
	if err := clock.Save(); err != nil {
		s.log.Error("the time is not kept for the next start", "error", err)
	}
	return err
}

// run puts the rooms together, runs them until ctx ends, and stops them in order: no
// new commands, the mark of a shutdown, the door, the hub.
func (s *service) run(ctx context.Context, cfg config, configErr error) error {
	s.config = cfg // alone here yet
	boot := s.machine.Boot()
	s.log.Info("latchd starts", "version", version.Version, "bootId", boot.ID, "simulated", s.simulate)
	if configErr != nil {
		s.log.Error("the configuration cannot be used; the door keeps its last good settings", "error", configErr)
	}
	wall := s.clock.Read
	s.doors.wall.Store(&wall)

	theDoor, policyOfFile := s.doors.take(cfg, configErr)
	s.fault = faultText(configErr, s.doors.notes)
	s.agent = agent.New(agent.Config{
		Door: theDoor, Machine: s.machine, Clock: s.clock, Device: deviceID(cfg.Hub),
		Boot:     agent.Boot{ID: boot.ID, Cause: boot.Cause},
		StateDir: cfg.State.Directory,
		Local:    agent.Local{Fault: s.fault, DoorPolicy: policy(policyOfFile), RebootDelay: time.Duration(cfg.Reboot.Delay)},
		Version:  version.Version, Simulated: s.simulate,
		Information: information(s.machine), Diagnostics: health.New(s.diagnose), Log: s.log,
	})
	s.teller = newTeller(s)
	client := s.newClient()
	s.doors.listenTo(func(c gpio.Change) {
		s.agent.DoorHappened(doorEvents(c), c.Missed)
		s.agent.DoorChanged()
		s.teller.poke()
	})
	return s.work(ctx, client)
}

// newClient connects the agent to its hub; nil if it cannot be.
func (s *service) newClient() *device.Client {
	client, err := newClient(s.config, s.agent, s.clock, &s.link, s.log)
	if err != nil {
		s.log.Error("the hub cannot be reached with this configuration; the door works without it", "error", err)
		s.link.changed(false, err)
		return nil
	}
	s.agent.Connect(client)
	return client
}

// work runs everything until ctx ends.
func (s *service) work(ctx context.Context, client *device.Client) error {
	after, end := context.WithCancel(context.WithoutCancel(ctx)) // for what outlives the agent
	defer end()
	var hub, side sync.WaitGroup
	if client != nil {
		hub.Go(func() {
			if err := client.Run(after); err != nil {
				s.log.Error("the hub's client ended", "error", err)
			}
		})
	}
	for _, run := range append(s.side, s.teller.run, s.reloads()) {
		side.Go(func() { run(after) })
	}
	side.Go(func() { s.control(ctx) })

	ended := make(chan error, 1)
	go func() { ended <- s.agent.Run(ctx) }()
	s.log.Debug("the door is under control")
	s.teller.ready()
	<-ctx.Done()
	restart := s.restarts()
	err := s.stopDoor(ended, restart)
	s.tellLast(client)
	end()
	hub.Wait()
	side.Wait()
	s.log.Info("latchd stops")
	return err
}

// agentWithin is how long an ordered stop waits for the agent before it stops the
// door. It takes milliseconds unless a disk or the lock hangs.
const agentWithin = 1500 * time.Millisecond

// stopDoor stops the door once the agent has ended, and soon in any case: nothing
// that hangs may keep it from being locked.
func (s *service) stopDoor(ended <-chan error, restart bool) error {
	timeout := time.NewTimer(agentWithin)
	defer timeout.Stop()
	select {
	case err := <-ended:
		s.doors.stop(restart)
		return err
	case <-timeout.C:
		s.log.Warn("the agent does not end; the door is stopped without it")
		s.doors.stop(restart)
		return <-ended
	}
}

// askSystemd bounds the question whether this stop is a restart.
const askSystemd = 500 * time.Millisecond

// restarts tells whether systemd will start this service again right away, so that
// the door is to be left as it is. Where that cannot be told it is false, and the
// door gets locked.
func (s *service) restarts() bool {
	if s.simulate || !systemd.Managed() {
		return false
	}
	_ = systemd.Stopping() // systemd goes on without it
	ctx, cancel := context.WithTimeout(context.Background(), askSystemd)
	defer cancel()
	if s.machine.Stopping(ctx) {
		return false
	}
	job, err := systemd.Job(ctx)
	if err != nil {
		s.log.Warn("systemd does not say whether this is a restart; the door is locked", "error", err)
		return false
	}
	return job != "stop" // without a job the process was killed by hand, and is started again
}

// faultText is what the twin says of a wrong configuration, and of a line that it
// has left.
func faultText(err error, notes []string) string {
	var all []string
	if err != nil {
		all = append(all, err.Error())
	}
	for _, n := range notes {
		all = append(all, "lockLineChanged: "+n)
	}
	return strings.Join(all, "; ")
}

// tellWithin bounds the last report of an ordered stop; the hub may be away.
const tellWithin = time.Second

// tellLast waits until the hub knows how the door was left, and what happened last
// is on disk; client is nil where there is no hub.
func (s *service) tellLast(client *device.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), tellWithin)
	defer cancel()
	var events sync.WaitGroup
	events.Go(func() { s.agent.FinishEvents(ctx) })
	defer events.Wait()
	if client == nil {
		return
	}
	if err := client.Flush(ctx); err != nil {
		s.log.Info("the hub does not know how the door was left", "error", err)
	}
}

// newClient makes the connection to the hub.
func newClient(cfg config, a *agent.Agent, clock device.Clock, l *link, log *slog.Logger) (*device.Client, error) {
	found, err := findCredentials(cfg.Hub)
	if err != nil {
		return nil, err
	}
	c := found.client()
	c.Log, c.Clock = log, clock
	c.Handler = device.Handler{
		Method: a.Serve, Desired: a.Desired, Reported: a.Reported, Connection: l.changed,
	}
	return device.New(c)
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

func newLogger(stderr io.Writer, level slog.Leveler) *slog.Logger {
	f, isFile := stderr.(*os.File)
	return logging.New(stderr, level, isFile && logging.ToJournal(f))
}
