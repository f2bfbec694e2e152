package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The smallest contents of their types: an image of one dot, a sound without samples.
const (
	dot     = "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDATx\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
	silence = "RIFF\x24\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00\x40\x1f\x00\x00\x01\x00\x08\x00data\x00\x00\x00\x00"
)

var image = &mcp.ImageContent{Data: []byte(dot), MIMEType: "image/png"}

func words(text string) *mcp.TextContent { return &mcp.TextContent{Text: text} }

func embedded(uri, media, text string) *mcp.EmbeddedResource {
	return &mcp.EmbeddedResource{Resource: &mcp.ResourceContents{URI: uri, MIMEType: media, Text: text}}
}

func says(text string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{words(text)}}
}

// addFixtures adds the tools, resources and prompts that the conformance suites call by name. Each of their scenarios says what it wants.
func addFixtures(s *mcp.Server) {
	addAnsweringTools(s)
	addTalkingTools(s)
	addAskingTools(s)
	addTestResources(s)
	addTestPrompts(s)
}

// addTool adds a tool that takes any arguments.
func addTool(s *mcp.Server, name string, handle mcp.ToolHandler) {
	s.AddTool(&mcp.Tool{Name: name, Description: "For the conformance suite.", InputSchema: json.RawMessage(`{"type":"object"}`)}, handle)
}

// addAnsweringTools adds the tools that always give the same answer.
func addAnsweringTools(s *mcp.Server) {
	const text = "This is a simple text response for testing."
	for name, result := range map[string]*mcp.CallToolResult{
		"test_simple_text":       says(text),
		"test_image_content":     {Content: []mcp.Content{image}},
		"test_audio_content":     {Content: []mcp.Content{&mcp.AudioContent{Data: []byte(silence), MIMEType: "audio/wav"}}},
		"test_embedded_resource": {Content: []mcp.Content{embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")}},
		"test_multiple_content_types": {Content: []mcp.Content{
			words("Multiple content types test:"), image, embedded("test://mixed-content-resource", "application/json", `{"test":"data","value":123}`),
		}},
		"test_error_handling":        {IsError: true, Content: []mcp.Content{words("This tool intentionally returns an error for testing")}},
		"test_streaming_elicitation": says("The stream has this result and nothing else."),
	} {
		addTool(s, name, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			answer := *result // the SDK writes into it
			return &answer, nil
		})
	}
	s.AddTool(&mcp.Tool{
		Name: "json_schema_2020_12_tool", Description: "Has a schema of many words, which must arrive as they are.",
		InputSchema: json.RawMessage(`{
			"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object", "additionalProperties": false,
			"$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {"street": {"type": "string"}, "city": {"type": "string"}}}},
			"properties": {
				"name": {"type": "string"}, "address": {"$ref": "#/$defs/address"}, "phone": {"type": "string"}, "email": {"type": "string"},
				"contactMethod": {"type": "string", "enum": ["phone", "email"]}
			},
			"allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
			"if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
			"then": {"required": ["phone"]}, "else": {"required": ["email"]}
		}`),
	}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return says(text), nil })
	s.AddTool(&mcp.Tool{
		Name: "test_headers", Description: "Has an argument that is also in a header.",
		InputSchema: json.RawMessage(`{"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}`),
	}, func(context.Context, *mcp.CallToolRequest) (*mcp.CallToolResult, error) { return says(text), nil })
}

// addTalkingTools adds the tools that say something before they answer, or look at what the client can do.
func addTalkingTools(s *mcp.Server) {
	addTool(s, "test_tool_with_progress", func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if token := r.Params.GetProgressToken(); token != nil {
			for _, done := range []float64{0, 50, 100} {
				if err := r.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{ProgressToken: token, Progress: done, Total: 100}); err != nil {
					return nil, err
				}
			}
		}
		return says("The progress was told."), nil
	})
	logs := func(lines ...string) mcp.ToolHandler {
		return func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			for _, line := range lines {
				if err := r.Session.Log(ctx, &mcp.LoggingMessageParams{Level: "info", Data: line}); err != nil {
					return nil, err
				}
			}
			return says("The lines were logged."), nil
		}
	}
	addTool(s, "test_logging_tool", logs("one line"))
	addTool(s, "test_tool_with_logging", logs("Tool execution started", "Tool processing data", "Tool execution completed"))
	addTool(s, "test_missing_capability", func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		if c := r.ClientCapabilities(); c != nil && c.Sampling != nil {
			return says("The client has what this takes."), nil
		}
		return nil, &jsonrpc.Error{
			Code: mcp.CodeMissingRequiredClientCapabilities, Message: "This takes a client that samples",
			Data: json.RawMessage(`{"requiredCapabilities":{"sampling":{}}}`),
		}
	})
}

// form is a question to a person, with a schema of the answer.
func form(message, schema string) *mcp.ElicitParams {
	return &mcp.ElicitParams{Message: message, RequestedSchema: json.RawMessage(schema)}
}

func sample(prompt string) *mcp.CreateMessageParams {
	return &mcp.CreateMessageParams{MaxTokens: 100, Messages: []*mcp.SamplingMessage{{Role: "user", Content: words(prompt)}}}
}

const (
	nameSchema    = `{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}`
	colorSchema   = `{"type":"object","properties":{"color":{"type":"string"}},"required":["color"]}`
	confirmSchema = `{"type":"object","properties":{"ok":{"type":"boolean"}},"required":["ok"]}`
	contextSchema = `{"type":"object","properties":{"context":{"type":"string"}},"required":["context"]}`
	userSchema    = `{"type":"object","properties":{"username":{"type":"string"},"email":{"type":"string"}},"required":["username","email"]}`

	defaultsSchema = `{"type": "object", "properties": {
		"name": {"type": "string", "default": "John Doe"}, "age": {"type": "integer", "default": 30},
		"score": {"type": "number", "default": 95.5}, "verified": {"type": "boolean", "default": true},
		"status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"}
	}}`
	enumsSchema = `{"type": "object", "properties": {
		"untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
		"titledSingle": {"type": "string", "oneOf": [
			{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"}, {"const": "value3", "title": "Third Option"}]},
		"legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
		"untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
		"titledMulti": {"type": "array", "items": {"anyOf": [
			{"const": "value1", "title": "First Choice"}, {"const": "value2", "title": "Second Choice"}, {"const": "value3", "title": "Third Choice"}]}}
	}}`
)

// round is what a tool asks for at once. Its state tells that it was asked; "" for none.
type round struct {
	state string
	asks  mcp.InputRequestMap
}

// answered reports whether there is an answer of the right kind to every question.
func (r round) answered(answers mcp.InputResponseMap) bool {
	for key, question := range r.asks {
		var ok bool
		switch question.(type) {
		case *mcp.ElicitParams:
			var a *mcp.ElicitResult
			a, ok = answers[key].(*mcp.ElicitResult)
			ok = ok && (a.Action != "accept" || a.Content != nil)
		case *mcp.ListRootsParams:
			_, ok = answers[key].(*mcp.ListRootsResult)
		default:
			_, ok = answers[key].(*mcp.CreateMessageWithToolsResult)
		}
		if !ok {
			return false
		}
	}
	return true
}

// asking is a tool that asks its rounds one after the other.
func asking(rounds ...round) mcp.ToolHandler {
	return func(_ context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		state, answers := r.Params.RequestState, r.Params.InputResponses
		i := 0
		if state != "" {
			i = slices.IndexFunc(rounds, func(r round) bool { return r.state == state })
		}
		if i < 0 {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: fmt.Sprintf("There is no state %q", state)}
		}
		if rounds[i].state == state && rounds[i].answered(answers) {
			i++
		}
		if i < len(rounds) {
			return &mcp.CallToolResult{InputRequests: rounds[i].asks, RequestState: rounds[i].state}, nil
		}
		text, err := json.Marshal(answers)
		return says(state + " " + string(text)), err
	}
}

// addAskingTools adds the tools that want to know something of the client first. The SDK asks a client with a session by itself.
func addAskingTools(s *mcp.Server) {
	confirm := mcp.InputRequestMap{"confirm": form("Please confirm", confirmSchema)}
	for name, rounds := range map[string][]round{
		"test_elicitation_sep1034_defaults":         {{asks: mcp.InputRequestMap{"defaults": form("Take the defaults?", defaultsSchema)}}},
		"test_elicitation_sep1330_enums":            {{asks: mcp.InputRequestMap{"enums": form("Choose", enumsSchema)}}},
		"test_input_required_result_elicitation":    {{asks: mcp.InputRequestMap{"user_name": form("What is your name?", nameSchema)}}},
		"test_input_required_result_sampling":       {{asks: mcp.InputRequestMap{"capital_question": sample("What is the capital of France?")}}},
		"test_input_required_result_list_roots":     {{asks: mcp.InputRequestMap{"client_roots": &mcp.ListRootsParams{}}}},
		"test_input_required_result_request_state":  {{"state-ok", confirm}},
		"test_input_required_result_tampered_state": {{"state", confirm}},
		"test_input_required_result_multiple_inputs": {{"several", mcp.InputRequestMap{
			"user_name": form("What is your name?", nameSchema), "greeting": sample("Generate a greeting"), "client_roots": &mcp.ListRootsParams{},
		}}},
		"test_input_required_result_multi_round": {
			{"first", mcp.InputRequestMap{"step1": form("Step 1: What is your name?", nameSchema)}},
			{"second", mcp.InputRequestMap{"step2": form("Step 2: What is your favorite color?", colorSchema)}},
		},
	} {
		addTool(s, name, asking(rounds...))
	}
	type arguments struct{ Message, Prompt string }
	for name, asks := range map[string]func(arguments) mcp.InputRequest{
		"test_elicitation": func(a arguments) mcp.InputRequest { return form(a.Message, userSchema) },
		"test_sampling":    func(a arguments) mcp.InputRequest { return sample(a.Prompt) },
	} {
		addTool(s, name, func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			var a arguments
			if err := json.Unmarshal(r.Params.Arguments, &a); err != nil {
				return nil, err
			}
			return asking(round{asks: mcp.InputRequestMap{"user": asks(a)}})(ctx, r)
		})
	}
	addTool(s, "test_input_required_result_capabilities", func(ctx context.Context, r *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		asks := mcp.InputRequestMap{}
		can := r.ClientCapabilities()
		if can != nil && can.Sampling != nil {
			asks["greeting"] = sample("Generate a greeting")
		}
		if can != nil && can.Elicitation != nil {
			asks["user_name"] = form("What is your name?", nameSchema)
		}
		return asking(round{asks: asks})(ctx, r)
	})
}

func addTestResources(s *mcp.Server) {
	for uri, contents := range map[string]mcp.ResourceContents{
		"test://static-text":      {MIMEType: "text/plain", Text: "This is the content of the static text resource."},
		"test://static-binary":    {MIMEType: "image/png", Blob: []byte(dot)},
		"test://watched-resource": {MIMEType: "text/plain", Text: "This is watched."},
	} {
		contents.URI = uri
		s.AddResource(&mcp.Resource{
			URI: uri, Name: strings.TrimPrefix(uri, "test://"), Description: "For the conformance suite.", MIMEType: contents.MIMEType,
		}, func(context.Context, *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
			return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{&contents}}, nil
		})
	}
	s.AddResourceTemplate(&mcp.ResourceTemplate{
		URITemplate: "test://template/{id}/data", Name: "template", Description: "For the conformance suite.", MIMEType: "application/json",
	}, func(_ context.Context, r *mcp.ReadResourceRequest) (*mcp.ReadResourceResult, error) {
		id := strings.TrimSuffix(strings.TrimPrefix(r.Params.URI, "test://template/"), "/data")
		return &mcp.ReadResourceResult{Contents: []*mcp.ResourceContents{{
			URI: r.Params.URI, MIMEType: "application/json", Text: fmt.Sprintf(`{"id":%q,"templateTest":true,"data":"Data for ID: %s"}`, id, id),
		}}}, nil
	})
}

func addTestPrompts(s *mcp.Server) {
	user := func(contents ...mcp.Content) *mcp.GetPromptResult {
		result := &mcp.GetPromptResult{}
		for _, c := range contents {
			result.Messages = append(result.Messages, &mcp.PromptMessage{Role: "user", Content: c})
		}
		return result
	}
	add := func(name string, arguments []string, render func(*mcp.GetPromptParams) *mcp.GetPromptResult) {
		p := &mcp.Prompt{Name: name, Description: "For the conformance suite."}
		for _, a := range arguments {
			p.Arguments = append(p.Arguments, &mcp.PromptArgument{Name: a, Description: "Anything.", Required: true})
		}
		s.AddPrompt(p, func(_ context.Context, r *mcp.GetPromptRequest) (*mcp.GetPromptResult, error) {
			return render(r.Params), nil
		})
	}
	add("test_simple_prompt", nil, func(*mcp.GetPromptParams) *mcp.GetPromptResult {
		return user(words("This is a simple prompt for testing."))
	})
	add("test_prompt_with_arguments", []string{"arg1", "arg2"}, func(p *mcp.GetPromptParams) *mcp.GetPromptResult {
		return user(words(fmt.Sprintf("Prompt with arguments: arg1='%s', arg2='%s'", p.Arguments["arg1"], p.Arguments["arg2"])))
	})
	add("test_prompt_with_embedded_resource", []string{"resourceUri"}, func(p *mcp.GetPromptParams) *mcp.GetPromptResult {
		return user(embedded(p.Arguments["resourceUri"], "text/plain", "Embedded resource content for testing."),
			words("Please process the embedded resource above."))
	})
	add("test_prompt_with_image", nil, func(*mcp.GetPromptParams) *mcp.GetPromptResult {
		return user(image, words("Please analyze the image above."))
	})
	asked := round{asks: mcp.InputRequestMap{"user_context": form("What context should the prompt use?", contextSchema)}}
	add("test_input_required_result_prompt", nil, func(p *mcp.GetPromptParams) *mcp.GetPromptResult {
		if !asked.answered(p.InputResponses) {
			return &mcp.GetPromptResult{InputRequests: asked.asks}
		}
		return user(words("The context was told."))
	})
}
