package mcpserver

import (
	"mime"
	"net/http"

	"layercake/internal/fault"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
)

// refusals is a response in which what the SDK refuses in plain text becomes an error of JSON-RPC, with the status that it has. Clients
// read nothing else, and look for their request by its id.
type refusals struct {
	http.ResponseWriter

	request *http.Request
	asked   envelope
	status  int // of a refusal that is being written; 0 for none
}

// serve has the SDK serve a message.
func serve(sdk http.Handler, w http.ResponseWriter, r *http.Request, e envelope) {
	sdk.ServeHTTP(&refusals{ResponseWriter: w, request: r, asked: e}, r)
}

// Unwrap lets controllers reach the connection.
func (f *refusals) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// WriteHeader keeps the status of a refusal until its text is there.
func (f *refusals) WriteHeader(status int) {
	if media, _, _ := mime.ParseMediaType(f.Header().Get("Content-Type")); status >= http.StatusBadRequest && media == "text/plain" {
		f.status = status
		return
	}
	f.ResponseWriter.WriteHeader(status)
}

// Write writes a refusal whole: the SDK writes it in one piece.
func (f *refusals) Write(b []byte) (int, error) {
	if f.status == 0 {
		return f.ResponseWriter.Write(b)
	}
	answerError(f.ResponseWriter, f.request, f.status, f.asked.ID, jsonrpc.CodeInvalidRequest, fault.Clip(string(b)), nil)
	f.status = 0
	return len(b), nil
}
