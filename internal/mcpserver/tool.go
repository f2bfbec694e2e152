package mcpserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/task"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// definition is what tools/list says of a tool.
type definition struct {
	name, title string
	does        string // description for the model
	set         toolset
	effect      effect
	repeatable  bool // calling it again changes nothing more; true for what only reads

	makesProjects bool // not for clients of one project
	leaves        bool // says itself whether the agent is there
	asks          bool // may ask a person before it does something
}

// effect is what a tool does to projects.
type effect int

const (
	reads effect = iota
	writes
	destroys // may take away what others made
)

// maxResult is the size of the largest result, in bytes. Pages end long before.
const (
	maxResult = 1 << 20
	maxPage   = 60_000
)

// inProject is implemented by the arguments of tools that are about one project.
type inProject interface{ project() int32 }

// add registers a tool. Its schemas are those of In and Out.
func add[In, Out any](h *Handler, d definition, run func(context.Context, call, In) (Out, error)) {
	input, err := schemaOf[In](h.known)
	output, errOut := schemaOf[Out](h.known)
	if err := errors.Join(err, errOut); err != nil {
		panic(fmt.Sprintf("schemas of %s: %v", d.name, err)) // the same for every start, so every test sees it
	}
	resolved, err := input.Resolve(nil)
	if err != nil {
		panic(fmt.Sprintf("schema of %s: %v", d.name, err))
	}
	h.tools[d.name] = d
	no := false
	destroys := d.effect == destroys
	h.server.AddTool(&mcp.Tool{
		Name: d.name, Title: d.title, Description: d.does, InputSchema: input, OutputSchema: output,
		Annotations: &mcp.ToolAnnotations{
			ReadOnlyHint: d.effect == reads, DestructiveHint: &destroys, IdempotentHint: d.repeatable || d.effect == reads, OpenWorldHint: &no,
		},
	}, func(ctx context.Context, request *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		began := time.Now()
		result, err := h.run(ctx, d, func(ctx context.Context, c call) (any, error) {
			return runTyped(ctx, h, d, c, request, resolved, run)
		})
		h.metrics.called(d.name, time.Since(began), result, err)
		return result, nil
	})
}

// runTyped decodes the arguments of a call, checks that the caller may do this there, and does it.
func runTyped[In, Out any](
	ctx context.Context, h *Handler, d definition, c call, request *mcp.CallToolRequest, schema *jsonschema.Resolved,
	run func(context.Context, call, In) (Out, error),
) (any, error) {
	var in In
	if err := arguments(request.Params.Arguments, schema, &in); err != nil {
		return nil, err
	}
	c.request = request
	if at, ok := any(in).(inProject); ok {
		if err := c.scope.checkProject(at.project()); err != nil {
			return nil, err
		}
		c.project = at.project()
		var err error
		if c.access, err = h.rights.Project(ctx, c.Principal, c.project); err != nil {
			return nil, err
		}
		if !d.leaves {
			h.see(c, at.project())
		}
	}
	return run(ctx, c, in)
}

// question is the failure of a tool that wants the answer of a person first. The SDK asks, in the way of each version, and calls again.
type question struct{ requests mcp.InputRequestMap }

func (*question) Error() string { return "a person has to answer first" }

// run calls a tool and turns what it returns into a result. The error is for the metrics: the result says it, too.
func (h *Handler) run(ctx context.Context, d definition, tool func(context.Context, call) (any, error)) (*mcp.CallToolResult, error) {
	c, err := callOf(ctx)
	if err == nil {
		err = c.scope.check(d)
	}
	if err == nil {
		var leave func()
		if leave, err = h.agents.Admit(c.key); err == nil {
			defer leave()
		}
	}
	var out any
	if err == nil {
		var stop func()
		ctx, stop = context.WithCancel(ctx)
		defer stop()
		defer c.onGone(stop)()
		err = h.guard.Do(func() (err error) {
			out, err = tool(ctx, c)
			return err
		})
	}
	if asked := new(question); errors.As(err, &asked) {
		h.metrics.asked.Inc()
		return &mcp.CallToolResult{InputRequests: asked.requests}, nil
	}
	var text []byte
	if err == nil {
		text = compact(out)
		if len(text) > maxResult {
			err = fault.New(fault.BadRequest, "The result is too large: ask for less, by a smaller limit or by ids").
				With("detail", map[string]any{"bytes": len(text), "limit": maxResult})
		}
	}
	if err != nil {
		f := h.faultOf(ctx, d.name, err)
		return failure(ctx, f), f
	}
	return &mcp.CallToolResult{
		StructuredContent: json.RawMessage(text), Content: []mcp.Content{&mcp.TextContent{Text: string(text)}},
	}, nil
}

// compact encodes a result as clients do that encode it again, so that those who compare the text with the structure find them the same.
func compact(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err) // results are structs of texts, numbers, and JSON that was checked
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// hints say what to do about a failure, by its code.
var hints = map[fault.Code]string{
	fault.BadRequest:      "Change the arguments; nothing was done.",
	fault.Unauthenticated: "Ask the user to sign in.",
	fault.Forbidden:       "Nothing was done. Do not try another way; ask the user.",
	fault.NotFound:        "Look for what there is: list_projects, get_plan.",
	fault.Conflict:        "Somebody else was there first. Read with get_plan or list_changes, then decide.",
	fault.RateLimited:     "Wait retryAfterMs, then repeat the call, with the same op_id.",
	fault.Unavailable:     "Wait retryAfterMs, then repeat the call, with the same op_id: it may have happened.",
	fault.Internal:        "Tell the user the requestId; repeating is safe with the same op_id.",
}

// argumentNames are the names that details of faults have as arguments and results of tools.
var argumentNames = map[string]string{"dataSourceId": "data_source_id", "nodeId": "node_id", "opId": "op_id"}

// copyDetails copies the details of a fault, with the names that tools use.
func copyDetails(into, details map[string]any) {
	for name, value := range details {
		into[cmp.Or(argumentNames[name], name)] = value
	}
}

// failure returns the result of a tool that failed: one JSON text, and no structured content, which clients would check against the schema
// of a success.
func failure(ctx context.Context, f *fault.Error) *mcp.CallToolResult {
	said := map[string]any{}
	if retry := caller.AnswerTo(f.Code).Retry; retry > 0 {
		said["retryAfterMs"] = retry.Milliseconds()
	}
	copyDetails(said, f.Details)
	said["code"], said["message"], said["hint"] = f.Code, f.Message, hints[f.Code]
	if id := caller.From(ctx).RequestID; id != "" {
		said["requestId"] = id
	}
	text := compact(map[string]any{"error": said})
	return &mcp.CallToolResult{IsError: true, Content: []mcp.Content{&mcp.TextContent{Text: string(text)}}}
}

// faultOf returns the fault that a caller may see, and logs what they may not.
func (h *Handler) faultOf(ctx context.Context, tool string, err error) *fault.Error {
	f := fault.From(err)
	switch {
	case f != nil && f.Code != fault.Internal:
		return f
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return fault.New(fault.Unavailable, fault.Busy) // the client went away, so nobody reads this
	case f == nil && errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Unavailable, fault.Busy)
	}
	attributes := []any{"error", err, "tool", tool, "request_id", caller.From(ctx).RequestID}
	if panicked := new(task.Panic); errors.As(err, &panicked) {
		attributes = append(attributes, "stack", string(panicked.Stack))
	}
	h.log.ErrorContext(ctx, "tool failed", attributes...)
	return fault.New(fault.Internal, "Internal server error")
}
