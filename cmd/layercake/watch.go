package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"layercake/internal/client"
)

// watchCommand shows what happens to a plan.
type watchCommand struct {
	Project int    `arg:"" help:"Id of the project."`
	URL     string `name:"url" default:"http://127.0.0.1:3000" help:"A replica."`
	After   string `placeholder:"CURSOR" help:"Begin after this cursor rather than at the current version."`
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
	return client.Watch(ctx, c.URL, c.Project, c.After, show, func(err error) {
		fmt.Fprintf(os.Stderr, "lost %s, coming back: %v\n", c.URL, err)
	})
}
