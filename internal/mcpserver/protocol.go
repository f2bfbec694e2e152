package mcpserver

import (
	"context"
	"errors"

	"layercake/internal/caller"
	"layercake/internal/fault"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// answer does what a request asks that is no tool call, until its client has gone. Its errors are those of the protocol.
func answer[Out any](ctx context.Context, h *Handler, method string, do func(context.Context, call) (Out, error)) (out Out, err error) {
	c, err := callOf(ctx)
	if err == nil {
		err = h.guard.Do(func() (err error) {
			ctx, stop := context.WithCancel(ctx)
			defer stop()
			defer c.onGone(stop)()
			out, err = do(ctx, c)
			return err
		})
	}
	if err != nil {
		return out, h.protocolError(ctx, method, err)
	}
	return out, nil
}

// protocolError returns a failure as an error of JSON-RPC: invalid parameters, or an internal error where the request may be sent again.
// Its data are the fault's code and details.
func (h *Handler) protocolError(ctx context.Context, method string, err error) error {
	if said := new(jsonrpc.Error); errors.As(err, &said) {
		return said
	}
	f := h.faultOf(ctx, method, err)
	data := map[string]any{}
	if retry := caller.AnswerTo(f.Code).Retry; retry > 0 {
		data["retryAfterMs"] = retry.Milliseconds()
	}
	copyDetails(data, f.Details)
	data["code"] = f.Code
	if id := caller.From(ctx).RequestID; id != "" {
		data["requestId"] = id
	}
	code := int64(jsonrpc.CodeInternalError)
	switch f.Code {
	case fault.BadRequest, fault.Forbidden, fault.NotFound:
		code = jsonrpc.CodeInvalidParams
	}
	return &jsonrpc.Error{Code: code, Message: f.Message, Data: compact(data)}
}
