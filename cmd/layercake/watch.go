package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"layercake/internal/client"
)

// account is the flag of commands that ask a server as clients do.
type account struct {
	Token string `env:"LAYERCAKE_TOKEN" placeholder:"SECRET" help:"Token of the account to act for, where everybody signs in. Give it by the variable: everybody on the machine can read a command line."`
}

// explain says what to do where a server wants a credential.
func (a account) explain(err error) error {
	switch {
	case !client.IsUnauthenticated(err):
		return err
	case a.Token == "":
		return fmt.Errorf("%w; set LAYERCAKE_TOKEN to a token of your account, which the page /connect of the server makes", err)
	}
	return fmt.Errorf("%w; the token of LAYERCAKE_TOKEN does not count: it may have ended, or be of another server", err)
}

// watchCommand shows what happens to a plan.
type watchCommand struct {
	Project int    `arg:"" help:"Id of the project."`
	URL     string `name:"url" default:"http://127.0.0.1:3000" help:"A replica."`
	After   string `placeholder:"CURSOR" help:"Begin after this cursor rather than at the current version."`
	account
}

// Run prints one event a line, as JSON, until ctx ends.
func (c watchCommand) Run(ctx context.Context) error {
	fmt.Fprintf(os.Stderr, "watching project %d on %s; ^C ends\n", c.Project, c.URL)
	show := func(event json.RawMessage) error {
		var line bytes.Buffer
		if err := json.Compact(&line, event); err != nil {
			return err
		}
		_, err := fmt.Println(line.String())
		return err
	}
	replica := client.New(c.URL).As(c.Token)
	defer replica.Close()
	return c.explain(replica.Watch(ctx, c.Project, c.After, show, func(err error) {
		fmt.Fprintf(os.Stderr, "lost %s, coming back: %v\n", c.URL, err)
	}))
}
