package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"latchd/agent"
	"latchd/agent/health"
	"latchd/firmware"
	"latchd/gpio"
	"latchd/internal/logging"
	"latchd/internal/systemd"
	"latchd/internal/version"
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

	hubHost, deviceID string // as at the start, because [hub] needs a restart; "": not known

	reloading sync.Mutex // held while the configuration is put in force

	mu        sync.Mutex // guards the fields below
	config    config     // in force
	configErr error      // why it is not the file's own, but what could be saved of it
	fault     string     // what is wrong with the configuration
}

// logWithin bounds the wait for the log's last lines.
const logWithin = 500 * time.Millisecond

// serve runs the agent until ctx ends or the simulated machine goes down. A wrong
// configuration is no reason to end, because the door must stay under control.
func serve(ctx context.Context, configFile string, simulate bool, stderr io.Writer) error {
	level := new(slog.LevelVar)
	f, isFile := stderr.(*os.File)
	queue := logging.NewQueue(stderr)
	defer queue.Close(logWithin)
	log := logging.New(queue, level, isFile && logging.ToJournal(f))
	s := &service{configFile: configFile, simulate: simulate, level: level, log: log}
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
	if _, err := gpio.Chips(); err != nil { // before there are other files, see gpio
		s.log.Warn("the GPIO chips cannot be told yet", "error", err)
	}
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
	s.clock, s.side = clock, append(s.side, clock.Run, func(ctx context.Context) {
		<-ctx.Done()
		if err := clock.Save(); err != nil {
			s.log.Error("the time is not kept for the next start", "error", err)
		}
	})
	return s.run(ctx, cfg, configErr)
}

// run puts the rooms together, runs them until ctx ends, and stops them in order: no
// new commands, the mark of a shutdown, the door, the hub.
func (s *service) run(ctx context.Context, cfg config, configErr error) error {
	s.config, s.configErr = cfg, configErr // alone here yet
	if connection, err := connectionString(cfg.Hub); err == nil {
		s.hubHost, s.deviceID = connection.HostName, connection.DeviceID
	}
	boot := s.machine.Boot()
	s.log.Info("latchd starts", "version", version.Version, "bootId", boot.ID, "simulated", s.simulate)
	if boot.Evidence != "" {
		s.log.Info("why this machine booted, as far as it shows", "cause", boot.Cause, "evidence", boot.Evidence)
	}
	if configErr != nil {
		s.log.Error("the configuration cannot be used; the door keeps its last good settings", "error", configErr)
	}
	wall := s.clock.Read
	s.doors.wall.Store(&wall)

	theDoor, policyOfFile := s.doors.take(cfg, configErr)
	if configErr != nil {
		s.fault = configErr.Error()
	}
	s.agent = agent.New(agent.Config{
		Door: theDoor, Machine: s.machine, Clock: s.clock, Device: s.deviceID,
		Boot:     agent.Boot{ID: boot.ID, Cause: boot.Cause},
		StateDir: cfg.State.Directory,
		Local:    s.localWith(cfg, policyOfFile),
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
	side.Go(func() { s.doors.retry(ctx, s.configured, s.doorOpened) })

	ended := make(chan error, 1)
	go func() { ended <- s.agent.Run(ctx) }()
	s.log.Debug("the door is under control")
	s.teller.ready()
	<-ctx.Done()
	restarts := make(chan bool, 1)
	go func() { restarts <- s.restarts() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(agentWithin):
		s.log.Warn("the agent does not end; the door is stopped without it")
	}
	restart := <-restarts
	if !restart {
		s.doors.stop(false)
	}
	within(restWithin, func() {
		s.tellLast(client)
		end()
		hub.Wait()
		side.Wait()
	})
	if restart { // last, because until then the button works
		s.doors.stop(true)
	}
	_ = systemd.Status("") // systemd would show the last one for as long as the service is stopped
	s.log.Info("latchd stops")
	return err
}

// A stop takes milliseconds. Where a disk, the hub or D-Bus hangs these bounds keep
// it under five seconds, all together with stopWithin: the service manager's patience
// ends at ten, and a door must have been locked by then.
const (
	// askSystemd is for the question whether this stop is a restart. A small board
	// in the middle of an upgrade was seen to take more than half a second, and
	// without an answer the door gets locked.
	askSystemd  = 2500 * time.Millisecond
	agentWithin = 2 * time.Second // until the agent has ended, at the same time
	restWithin  = time.Second     // for the hub to hear, and all the rest
)

// within runs f, and leaves it behind if it takes longer.
func within(limit time.Duration, f func()) {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
	}
}

// doorOpened is for a lock that could be opened at last.
func (s *service) doorOpened() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.agent.Reload(s.local())
	s.teller.poke()
}

// restarts tells whether systemd will start this service again right away, so that
// the door is to be left as it is. Where that cannot be told it is false, and the
// door gets locked.
func (s *service) restarts() bool {
	if s.simulate || !systemd.Managed() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), askSystemd)
	defer cancel()
	job, err := systemd.Job(ctx)
	if err != nil {
		s.log.Warn("systemd does not say whether this is a restart; the door is locked", "error", err)
		return false
	}
	return job != "stop" // without a job the process was killed by hand, and is started again
}

// tellWithin bounds the last report of an ordered stop; the hub may be away.
const tellWithin = restWithin - 100*time.Millisecond

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
