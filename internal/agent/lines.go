package agent

import (
	"fmt"

	"layercake/internal/fanout"

	"github.com/google/uuid"
)

// letterSession begins the line of replicas about a session, "m <session>": something of it changed, or waits, so look at the tables. No
// hint can stand for one. Nothing is in it that would have to be true.
const letterSession = 'm'

// topic is how the services of all replicas speak to each other. Its channel is that of presence, so that agents who send much do not
// delay the events of plans.
func (s *Service) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Presence,
		Kinds:   map[byte]string{letterSession: "agent_session"},
		Hear: func(l fanout.Line) error {
			session, err := parseLine(l)
			if err == nil {
				s.forget(session)
				s.wake(session)
			}
			return err
		},
		Doubt: s.doubt,
	}
}

func encodeLine(session uuid.UUID) fanout.Line {
	return fanout.Line{Letter: letterSession, Text: session.String()}
}

func parseLine(l fanout.Line) (uuid.UUID, error) {
	session, err := uuid.Parse(l.Text)
	if err != nil || session.String() != l.Text || session == uuid.Nil {
		return uuid.Nil, fmt.Errorf("malformed line about a session: %.80q", l.Text)
	}
	return session, nil
}

// tell makes every replica look at what it has of a session. It never waits.
func (s *Service) tell(session uuid.UUID) {
	s.forget(session) // own lines are not heard
	s.wake(session)
	s.cfg.Wire.Publish(encodeLine(session))
}
