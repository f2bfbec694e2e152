package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"layercake/internal/client"
	"layercake/internal/fault"

	"github.com/google/uuid"
)

// historyTime is the limit of what the commands of this file ask a replica for.
const historyTime = time.Minute

// historyCommand shows what was done to a plan.
type historyCommand struct {
	Project int    `arg:"" help:"Id of the project."`
	Element string `placeholder:"ID" help:"Only changes that touched this node or edge."`
	Actor   string `placeholder:"ID" help:"Only changes by this actor."`
	All     bool   `help:"Also what the server did by itself, such as states of executions."`
	Limit   int    `default:"20" help:"How many changes, of the newest."`
	Before  int64  `placeholder:"VERSION" help:"Only changes below this version."`
	URL     string `name:"url" default:"http://127.0.0.1:3000" help:"A replica."`
	JSON    bool   `name:"json" help:"One change a line, as JSON, with the values before and after."`
	account
}

// Validate wants at least one change.
func (c *historyCommand) Validate() error {
	if c.Limit < 1 || c.Before < 0 {
		return errors.New("--limit and --before are whole numbers from 1 on")
	}
	return nil
}

// Run prints changes, newest first.
func (c *historyCommand) Run(ctx context.Context) error { return c.show(ctx, os.Stdout) }

func (c *historyCommand) show(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	replica := client.New(c.URL).As(c.Token)
	defer replica.Close()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	lines := json.NewEncoder(out)
	lines.SetEscapeHTML(false)
	shown := 0
	show := func(change client.Change) error {
		if c.JSON {
			return lines.Encode(change)
		}
		if shown++; shown == 1 {
			fmt.Fprintln(table, "VERSION\tTIME\tWHO\tVIA\tWHAT")
		}
		_, err := fmt.Fprintf(table, "%d\t%s\t%s\t%s\t%s\n", change.Version, change.Timestamp.Local().Format(time.DateTime),
			who(change), oneLine(change.Via), whatWasDone(change))
		return err
	}
	oldest, err := replica.History(ctx, client.HistoryQuery{
		Project: c.Project, Before: c.Before, Limit: c.Limit, Element: c.Element, Actor: c.Actor, All: c.All, Operations: c.JSON,
	}, show)
	if err = errors.Join(err, table.Flush()); err != nil || c.JSON {
		return c.explain(err)
	}
	if shown == 0 {
		_, err = fmt.Fprintln(out, "no changes")
	}
	if shown < c.Limit && oldest > 0 {
		_, err = fmt.Fprintf(out, "What was done before version %d is not kept any more.\n", oldest)
	}
	return err
}

// who returns the name of who made a change. Anonymous callers all have one name, so what they call their client tells them apart.
func who(c client.Change) string {
	if c.ActorKind == "anonymous" && c.ClientID != nil {
		return oneLine(c.ActorName + " " + *c.ClientID)
	}
	return oneLine(c.ActorName)
}

// whatWasDone says in a line what a change did, what became of it, and why it was made.
func whatWasDone(c client.Change) string {
	text := oneLine(c.Summary)
	if c.Undoes != nil {
		text += fmt.Sprintf(" (undoes %d)", *c.Undoes)
	}
	if c.UndoneBy != nil {
		text += fmt.Sprintf(" (undone by %d)", *c.UndoneBy)
	}
	if c.Note != nil {
		text += " - " + oneLine(*c.Note)
	}
	return text
}

// oneLine returns a text that others wrote as one that does nothing to a terminal but show.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if fault.Hidden(r) {
			return ' '
		}
		return r
	}, text)
}

// undoCommand takes a change back.
type undoCommand struct {
	Project    int    `arg:"" help:"Id of the project."`
	Version    int64  `arg:"" help:"Version of the change, as history shows it."`
	Redo       bool   `help:"The version is that of an undo: take it back."`
	OnConflict string `enum:"fail,skip,overwrite" default:"fail" help:"What becomes of parts that somebody touched since: fail changes nothing, skip leaves them, overwrite takes them back, too."`
	DryRun     bool   `help:"Only say what would be."`
	Note       string `placeholder:"TEXT" help:"Why, for people."`
	URL        string `name:"url" default:"http://127.0.0.1:3000" help:"A replica."`
	account
}

// errConflicts says that nothing was taken back. What is in conflict was printed.
var errConflicts = errors.New("nothing was changed: --on-conflict=skip leaves these parts and takes the rest back, " +
	"--on-conflict=overwrite takes them back, too")

// Run takes the change back and prints what became of it. It fails when there are conflicts.
func (c *undoCommand) Run(ctx context.Context) error { return c.undo(ctx, os.Stdout) }

func (c *undoCommand) undo(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, historyTime)
	defer cancel()
	replica := client.New(c.URL).As(c.Token)
	defer replica.Close()
	done, err := replica.Undo(ctx, client.Undo{
		Project: c.Project, Version: c.Version, Redo: c.Redo, OnConflict: strings.ToUpper(c.OnConflict), DryRun: c.DryRun, Note: c.Note,
		OpID: uuid.NewString(),
	})
	var text strings.Builder
	var refusal *client.Refusal
	switch {
	case errors.As(err, &refusal) && len(refusal.Conflicts()) > 0:
		fmt.Fprintln(&text, oneLine(refusal.Message))
		writeConflicts(&text, refusal.Conflicts())
		err = errConflicts
	case err != nil:
		return c.explain(err)
	default:
		c.write(&text, done)
	}
	if _, err := io.WriteString(out, text.String()); err != nil {
		return err
	}
	return err
}

// write says what became of an undo.
func (c *undoCommand) write(out io.Writer, done client.Undone) {
	switch {
	case done.Change == nil:
		fmt.Fprintf(out, "Nothing was left to do; the plan is at version %d.\n", done.Version)
	case c.DryRun:
		fmt.Fprintf(out, "It would be: %s\n", oneLine(done.Change.Summary))
	default:
		fmt.Fprintf(out, "Version %d: %s\n", done.Version, oneLine(done.Change.Summary))
	}
	if len(done.Conflicts) > 0 {
		fmt.Fprintln(out, map[string]string{"skip": "Skipped:", "overwrite": "Overwritten:"}[c.OnConflict])
		writeConflicts(out, done.Conflicts)
	}
	for _, note := range done.Notes {
		fmt.Fprintln(out, "Note:", oneLine(note))
	}
}

// writeConflicts writes what is in conflict, what it was, what it is, and by whom.
func writeConflicts(out io.Writer, conflicts []client.Conflict) {
	for _, c := range conflicts {
		kind, _, _ := strings.Cut(strings.ToLower(c.Kind), "_")
		fmt.Fprintf(out, "  %s %s, %s: %s\n", kind, oneLine(c.ID), oneLine(c.Part), oneLine(c.Reason))
		fmt.Fprintf(out, "    it was %s, it is %s\n", valueText(c.Expected), valueText(c.Current))
		if len(c.Versions) > 0 {
			fmt.Fprintf(out, "    touched since by %s (%s)\n", oneLine(strings.Join(c.ActorNames, ", ")), versions(c.Versions))
		}
	}
}

// longestValue is how many characters of a value people are shown.
const longestValue = 100

// valueText returns a value of a conflict as people are shown it.
func valueText(value json.RawMessage) string {
	text := []rune(oneLine(cmp.Or(string(value), "null")))
	switch {
	case string(text) == "null":
		return "not there"
	case len(text) > longestValue:
		return string(text[:longestValue]) + "..."
	}
	return string(text)
}

func versions(list []int64) string {
	texts := make([]string, len(list))
	for i, version := range list {
		texts[i] = strconv.FormatInt(version, 10)
	}
	return "version " + strings.Join(texts, ", ")
}
