package bench

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"latchd/test/site"
)

// contestant is one device that is measured.
type contestant struct {
	title   string
	device  string // its id at the hub
	method  string
	payload func(i int) string // of the i-th call
	calls   int                // that are timed
	warmUp  int                // calls before them
	command func() *exec.Cmd
	apart   bool // not compared: it does something else
}

// Devices at the hub.
const (
	agentID     = "latchd"
	nodeID      = "node"
	echoID      = "echo"
	journalled  = "journal"
	answerFile  = "answer.json"
	nothingSent = "null"
)

// journalledCalls is how often a round calls a command that is written to the
// journal. The agent remembers 1,024 of them for a week, and takes no more.
const journalledCalls, journalledWarmUp = 900, 100

// contestants registers the devices and gives what is measured, in the order
// of the table.
func contestants(s *site.Site, calls, warmUp int) []contestant {
	for _, id := range []string{agentID, nodeID, echoID, journalled} {
		s.AddDevice(id)
		// With the log as it is unless somebody asks for more.
		s.Write(id+".toml", strings.Replace(s.Read(id+".toml"), `level = "debug"`, `level = "info"`, 1))
	}
	agent := func(id string) func() *exec.Cmd {
		return func() *exec.Cmd {
			// Each start is the first one: with an old state there is more to read.
			for _, dir := range []string{".state", ".run"} {
				if err := os.RemoveAll(s.Path(id + dir)); err != nil {
					s.Fatal(err)
				}
			}
			return exec.Command(filepath.Join(site.Programs(), "latchd"), "--simulate", "--config", s.Path(id+".toml"))
		}
	}
	status := contestant{method: "getStatus", payload: func(int) string { return nothingSent }, calls: calls, warmUp: warmUp}
	with := func(title, id string, command func() *exec.Cmd) contestant {
		c := status
		c.title, c.device, c.command = title, id, command
		return c
	}
	lock := contestant{
		title: "latchd, journalled", device: journalled, command: agent(journalled), apart: true,
		method:  "lockDoor",
		payload: func(i int) string { return fmt.Sprintf(`{"commandId":"bench-%d"}`, i) },
		calls:   min(calls, journalledCalls), warmUp: min(warmUp, journalledWarmUp),
	}
	return []contestant{
		with("latchd", agentID, agent(agentID)),
		with("Node device SDK", nodeID, func() *exec.Cmd {
			script, err := filepath.Abs("device.js")
			if err != nil {
				s.Fatal(err)
			}
			cmd := exec.Command("node", script, s.Path(nodeID+".connection"), s.Path("hub/ca.pem"), s.Path(answerFile))
			cmd.Env = append(os.Environ(), "NODE_PATH="+*modules)
			return cmd
		}),
		with("bare client", echoID, func() *exec.Cmd {
			return exec.Command(filepath.Join(site.Programs(), "echo"),
				"-connection", s.Path(echoID+".connection"), "-ca", s.Path("hub/ca.pem"), "-answer", s.Path(answerFile))
		}),
		lock,
	}
}

// learnAnswer has the agent answer getStatus once, for the others to say the
// same.
func learnAnswer(s *site.Site, o *operator, agent contestant) {
	p := s.StartCommand(agent.device+".log", agent.command())
	s.AwaitConnected(agent.device)
	s.Await("the agent has told all it has to tell", func() bool { return s.Reported(agent.device, "agent") != nil })
	_, answer, err := o.call(agent.device, agent.method, nothingSent)
	if err != nil {
		s.Fatal(err)
	}
	s.Write(answerFile, string(answer))
	stop(s, p, agent.device)
}

// stop ends a device and waits until the hub has noticed.
func stop(s *site.Site, p *site.Process, id string) {
	p.Signal(syscall.SIGTERM)
	s.Await(id+" is gone", func() bool { return s.Twin(id)["connectionState"] == "Disconnected" })
}
