package agent

import (
	"encoding/json"

	"latchd/agent/ledger"
	"latchd/iothub"
)

// answer is what a method answers: a status and a payload whose Response is
// for people.
type answer struct {
	status  int
	payload map[string]any
	acted   bool        // a failure that may have moved something: a repeat must not act again
	sent    func(error) // called when the answer has reached the hub, or never will
}

func reply(status int, response string) answer {
	return answer{status: status, payload: map[string]any{"Response": response}}
}

func (a answer) with(key string, value any) answer {
	if value != nil {
		a.payload[key] = value
	}
	return a
}

// accepted tells whether the command was carried out or will be.
func (a answer) accepted() bool { return a.status >= 200 && a.status < 300 }

func (a answer) encode() []byte {
	text, err := json.Marshal(a.payload)
	if err != nil { // only values of this package's making are in it
		return []byte(`{"Response":"internal error: the answer cannot be encoded"}`)
	}
	return text
}

func (a answer) response() iothub.MethodResponse {
	return iothub.MethodResponse{Status: a.status, Payload: a.encode(), Sent: a.sent}
}

func (a answer) stored() ledger.Answer {
	return ledger.Answer{Status: a.status, Payload: a.encode()}
}

// replayed is a stored answer, marked.
func replayed(stored *ledger.Answer) answer {
	payload, err := iothub.DecodeObject(stored.Payload)
	if err != nil {
		payload = map[string]any{"Response": "the stored answer cannot be read"}
	}
	payload["replayed"] = true
	return answer{status: stored.Status, payload: payload}
}
