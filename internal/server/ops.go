package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"layercake/internal/caller"
	"layercake/internal/fault"
	"layercake/internal/operate"
	"layercake/internal/postgres"
	"layercake/internal/web"

	"github.com/go-chi/chi/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The limits of a request to the page for operators. Its address has none for all requests, since a profile may take minutes.
const (
	opsTime = 10 * time.Second // to send a body, and to read an answer
	opsBody = 16 << 10         // bytes
)

// opsRoutes adds the page for operators, and what it asks for. Who can connect is an operator: nobody signs in there.
func (s *Server) opsRoutes(r chi.Router) {
	r.Group(func(r chi.Router) {
		r.Use(onlyOwnPage(web.OpsPath), caller.Middleware(caller.Config{TrustedProxies: s.cfg.TrustedProxies}))
		r.Get(web.OpsPath, web.ServeOps)
		r.Get(web.OpsPath+"/*", web.ServeOps)
		r.Get(web.OpsPath+"/api/{view}", s.showOps)
		r.Post(web.OpsPath+"/api/{function}", s.callOps)
	})
}

// showOps answers with a view of the schema layercake, or with all that the page shows. Parameters by the names of views filter their rows;
// follow has the ids of commands.
func (s *Server) showOps(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(opsTime)) // not every connection has one
	q := operate.Question{View: chi.URLParam(r, "view"), Filters: map[string]string{}, Follow: []int64{}}
	for name, values := range r.URL.Query() {
		if name != "follow" {
			q.Filters[name] = values[0]
			continue
		}
		for text := range strings.SplitSeq(values[0], ",") {
			id, err := strconv.ParseInt(text, 10, 64)
			if err != nil {
				s.refuseOps(w, r, fault.New(fault.BadRequest, fmt.Sprintf("follow has %q: it is a list of ids, such as 4,7", fault.Clip(text))))
				return
			}
			q.Follow = append(q.Follow, id)
		}
	}
	answer, err := s.console.Show(r.Context(), q)
	if err != nil {
		s.refuseOps(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(answer) // its error is that the browser went away
}

// callOps calls a function of the schema layercake. The body has its arguments: an object of texts by their names.
func (s *Server) callOps(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(opsTime)) // not every connection has one
	_ = control.SetWriteDeadline(time.Now().Add(opsTime))
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		http.Error(w, "The arguments are JSON, of the type application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, opsBody))
	if err != nil {
		http.Error(w, fmt.Sprintf("The arguments did not come, or have more than %d bytes", opsBody), http.StatusRequestEntityTooLarge)
		return
	}
	var arguments map[string]string
	if err := json.Unmarshal(body, &arguments); err != nil {
		s.refuseOps(w, r, fault.New(fault.BadRequest, "The arguments are an object of texts by their names: "+fault.JSONReason(err)))
		return
	}
	function, from := chi.URLParam(r, "function"), ""
	if address := caller.From(r.Context()).Address; address.IsValid() {
		from = address.Unmap().String()
	}
	answer, err := s.console.Call(r.Context(), function, arguments, from)
	if err != nil {
		s.refuseOps(w, r, err)
		return
	}
	s.log.InfoContext(r.Context(), "an operator called a function at /ops", "function", function, "client", from, "result", answer.Result)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// opsError is why something cannot be shown or done, in PostgreSQL's words where these are known.
type opsError struct {
	Message  string `json:"message"`
	Detail   string `json:"detail,omitempty"`
	Hint     string `json:"hint,omitempty"`
	SQLState string `json:"sqlstate,omitempty"`
}

// refuseOps answers with an error.
func (s *Server) refuseOps(w http.ResponseWriter, r *http.Request, err error) {
	status, answer := http.StatusInternalServerError, opsError{Message: "Something went wrong: the log of this replica says what"}
	var pg *pgconn.PgError
	f := fault.From(err)
	switch {
	case errors.As(err, &pg):
		status, answer = http.StatusBadRequest, opsError{pg.Message, pg.Detail, pg.Hint, pg.Code}
		if pg.Code == postgres.InsufficientPrivilege {
			status = http.StatusForbidden
		}
		if f != nil && f.Code == fault.Unavailable {
			status = http.StatusServiceUnavailable
		}
	case f != nil && f.Code == fault.Unavailable:
		status, answer = http.StatusServiceUnavailable, opsError{
			Message: "The database does not answer this replica in time",
			Hint:    "It is away, or has no connection left for the replica's own work. Look at the log of the replica, or ask another one.",
		}
		if r.Method == http.MethodPost {
			answer.Hint = "Whether it was done is not known: look at the commands before you try again."
		}
	case f != nil && f.Code == fault.NotFound:
		status, answer = http.StatusNotFound, opsError{Message: f.Message}
	case f != nil:
		status, answer = http.StatusBadRequest, opsError{Message: f.Message}
	}
	if status >= http.StatusInternalServerError && r.Context().Err() == nil {
		s.log.WarnContext(r.Context(), "ops", "path", r.URL.Path, "error", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]opsError{"error": answer})
}
