package executor

import (
	"fmt"

	"layercake/internal/fanout"
)

// letterWork is the line of replicas about builds, "x work": somebody asked for more than they build themselves, so look for work. No hint
// can stand for it, and when it is lost the look of each second finds the same.
const (
	letterWork = 'x'
	textWork   = "work"
)

// topic is how the services of all replicas speak to each other. Its channel is that of presence, so that it delays no event.
func (s *Service) topic() fanout.Topic {
	return fanout.Topic{
		Channel: fanout.Presence,
		Kinds:   map[byte]string{letterWork: "work"},
		Hear: func(l fanout.Line) error {
			if l.Text != textWork {
				return fmt.Errorf("malformed line about work: %.80q", l.Text)
			}
			s.look(false)
			return nil
		},
	}
}

// tell makes every other replica look for work. It never waits.
func (s *Service) tell() { s.cfg.Wire.Publish(fanout.Line{Letter: letterWork, Text: textWork}) }
