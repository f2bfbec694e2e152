package bench

import (
	"context"
	"fmt"

	"layercake/internal/client"

	"github.com/google/uuid"
)

// accountName is the user name of one of the accounts of a storm.
func accountName(run string, number int) string { return fmt.Sprintf("%s-%d", run, number) }

// register makes an account that owns the projects of a storm, and one for each mutator, one after the other, since each costs a hash.
// Nobody keeps their passwords.
func (s *RunningStorm) register(ctx context.Context, run string) error {
	if !s.cfg.Accounts {
		return nil
	}
	for i := range s.cfg.Mutators + 1 {
		var account client.Account
		err := s.clients.anywhere(ctx, func(ctx context.Context, one *client.Client) (err error) {
			account, err = one.Register(ctx, accountName(run, i), uuid.NewString())
			return err
		})
		if err != nil {
			return fmt.Errorf("make an account (is LAYERCAKE_REGISTRATION open?): %w", err)
		}
		if i == 0 {
			s.owner = account
		} else {
			s.writers = append(s.writers, account)
		}
	}
	s.clients = s.clients.as(s.owner.Secret) // not before: who registers with a session leaves that one
	return nil
}

// invite makes each mutator an editor of the project that it changes.
func (s *RunningStorm) invite(ctx context.Context, run string) error {
	for i, writer := range s.writers {
		project := s.projects[i%len(s.projects)].id
		err := s.clients.anywhere(ctx, func(ctx context.Context, owner *client.Client) error {
			invitation, err := owner.Invite(ctx, project, accountName(run, i+1), "editor")
			if err != nil {
				return err
			}
			return owner.As(writer.Secret).Accept(ctx, invitation)
		})
		if err != nil {
			return fmt.Errorf("let an account edit: %w", err)
		}
	}
	return nil
}
