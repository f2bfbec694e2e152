package main

import (
	"fmt"
	"strings"

	"layercake/internal/export"
	"layercake/internal/fault"
	"layercake/internal/planfile"
)

type generateCommand struct {
	Sample   sampleCommand   `cmd:"" help:"Write a sample project."`
	Graph    graphCommand    `cmd:"" help:"Write a large generated project, to measure with."`
	Template templateCommand `cmd:"" help:"Print the template of a built-in format, to start one's own from."`
}

type sampleCommand struct {
	Name string `arg:"" help:"Name of the sample."`
	Dir  string `arg:"" help:"Folder to write to; it is created, and files in it are not replaced."`
}

// Help lists the samples.
func (c *sampleCommand) Help() string {
	return "Samples: " + strings.Join(planfile.SampleNames(), ", ")
}

// Run writes the sample.
func (c *sampleCommand) Run() error { return planfile.WriteSample(c.Name, c.Dir) }

type graphCommand struct {
	Nodes int    `default:"1000" help:"Number of nodes, with the partitions."`
	Edges int    `default:"3000" help:"Number of edges."`
	Seed  uint64 `default:"1" help:"Another seed gives another graph."`
	Dir   string `arg:"" help:"Folder to write to; it is created, and files in it are not replaced."`
}

// Run writes the generated project.
func (c *graphCommand) Run() error {
	return planfile.WriteGenerated(c.Dir, planfile.Size{Nodes: c.Nodes, Edges: c.Edges, Seed: c.Seed})
}

type templateCommand struct {
	Name string `arg:"" help:"Name of the template."`
}

// Help lists the templates.
func (c *templateCommand) Help() string {
	return "Templates: " + strings.Join(export.TemplateNames(), ", ")
}

// Run prints the template.
func (c *templateCommand) Run() error {
	text, err := export.BuiltinTemplate(c.Name)
	if f := fault.From(err); f != nil {
		return fmt.Errorf("%w: %v", err, f.Details["detail"])
	}
	if err != nil {
		return err
	}
	_, err = fmt.Print(text)
	return err
}
