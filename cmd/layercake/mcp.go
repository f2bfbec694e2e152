package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode/utf8"

	"layercake/internal/bridge"
	"layercake/internal/fault"
)

// mcpCommand connects an agent with a server.
type mcpCommand struct {
	URL      string `name:"url" default:"http://127.0.0.1:3000/mcp" help:"Where a server serves agents."`
	Name     string `placeholder:"NAME" help:"Name of the agent, which others see. What its program calls itself if not given."`
	ReadOnly bool   `help:"Only tools that change nothing."`
	Project  *int   `placeholder:"ID" help:"Only this project."`
	account
}

// longestName is how many characters the name of an agent has at most.
const longestName = 100

// Validate wants a name that fits into a header, and an id.
func (c *mcpCommand) Validate() error {
	switch {
	case utf8.RuneCountInString(c.Name) > longestName, strings.ContainsFunc(c.Name, fault.Hidden):
		return errors.New("--name has at most 100 characters, all of which can be seen")
	case c.Project != nil && *c.Project < 1:
		return errors.New("--project is the id of a project, a number from 1 on")
	}
	return nil
}

// Run carries messages until standard input or ctx ends.
func (c *mcpCommand) Run(ctx context.Context) error {
	project := 0
	if c.Project != nil {
		project = *c.Project
	}
	address, err := bridge.Address(c.URL, c.ReadOnly, project)
	if err != nil {
		return err
	}
	// Otherwise a client that stops reading would end the process before it has ended the session.
	signal.Ignore(syscall.SIGPIPE)
	return bridge.Run(ctx, bridge.Options{URL: address, Agent: c.Name, Token: c.Token, Notes: os.Stderr}, os.Stdin, os.Stdout)
}
