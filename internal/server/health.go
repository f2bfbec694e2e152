package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"layercake/internal/operate"
)

// checkTime is the limit of a health check.
const checkTime = time.Second

// check is a condition for this replica to get requests.
type check struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// live answers as long as the process does. It never touches the database.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	s.answerClients(w, http.StatusOK, "healthy", nil)
}

// health says whether this replica should get requests, and each reason.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	status, word, checks := s.check(r.Context())
	if !s.cfg.Open {
		for name, c := range checks {
			checks[name] = check{OK: c.OK} // the rest is for operators
		}
	}
	s.answerClients(w, status, word, checks)
}

// diagnose is health for operators: with ?verbose it adds what the database finds about the whole deployment, which changes nothing about
// the status, because one replica cannot mend it.
func (s *Server) diagnose(w http.ResponseWriter, r *http.Request) {
	status, word, checks := s.check(r.Context())
	var diagnosis []operate.Finding
	switch verbose := r.URL.Query().Has("verbose"); {
	case verbose && checks["database"].OK:
		diagnosis = s.diagnosis.Findings(r.Context())
	case verbose:
		diagnosis = operate.Undiagnosed(checks["database"].Detail)
	}
	s.answer(w, status, word, checks, diagnosis)
}

// check returns the conditions for this replica to get requests, and what they come to.
func (s *Server) check(ctx context.Context) (status int, word string, checks map[string]check) {
	checks = map[string]check{
		"database": s.checkDatabase(ctx),
		"listener": {OK: s.core.Wire.Listening()},
		"draining": {OK: true},
	}
	if why := s.unready.Load(); why != nil {
		checks["draining"] = check{Detail: *why}
	}
	if refusal := s.core.DB.Refused(); refusal != "" {
		// Requests wait for the connections that are open, and sending clients elsewhere would not make more of them.
		checks["connections"] = check{OK: true, Detail: "the database refused a connection within the last minute: " + refusal}
	}
	if !checks["listener"].OK {
		checks["listener"] = check{Detail: "events of other replicas come late, by polling"}
	}
	if !checks["database"].OK || !checks["draining"].OK || !checks["listener"].OK {
		return http.StatusServiceUnavailable, "unhealthy", checks
	}
	return http.StatusOK, "healthy", checks
}

func (s *Server) checkDatabase(ctx context.Context) check {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := s.core.DB.System.Ping(ctx); err != nil {
		s.log.WarnContext(ctx, "health: database", "error", err)
		return check{Detail: "the database does not answer"}
	}
	if !s.cfg.Pooled {
		return check{OK: true}
	}
	// Requests go through the pooler, which the ping above did not. A pool whose last connection is in use is no reason to send clients
	// elsewhere.
	use := s.core.DB.Requests.Stat()
	if err := s.core.DB.Requests.Ping(ctx); err != nil && use.AcquiredConns() < use.MaxConns() {
		s.log.WarnContext(ctx, "health: pooler", "error", err)
		return check{Detail: "the pooler in front of the database does not answer"}
	}
	return check{OK: true}
}

// report is what health says.
type report struct {
	Status    string            `json:"status"`
	Service   string            `json:"service"`
	Version   string            `json:"version,omitempty"`
	Checks    map[string]check  `json:"checks,omitempty"`
	Diagnosis []operate.Finding `json:"diagnosis,omitempty"`
}

func (s *Server) report(word string, checks map[string]check, found []operate.Finding) report {
	return report{word, "layercake-server", s.cfg.Version, checks, found}
}

// healthReport is health for agents.
func (s *Server) healthReport(ctx context.Context) any {
	_, word, checks := s.check(ctx)
	return s.report(word, checks, nil)
}

// answerClients answers on the address of clients: without the version where everybody signs in, since nobody did here.
func (s *Server) answerClients(w http.ResponseWriter, status int, word string, checks map[string]check) {
	r := s.report(word, checks, nil)
	if !s.cfg.Open {
		r.Version = ""
	}
	write(w, status, r)
}

func (s *Server) answer(w http.ResponseWriter, status int, word string, checks map[string]check, found []operate.Finding) {
	write(w, status, s.report(word, checks, found))
}

func write(w http.ResponseWriter, status int, r report) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(r) // a client that went away needs no answer
}

// graphiQL returns what answers browsers that show the address of GraphQL: nothing where everybody signs in.
func (s *Server) graphiQL() http.HandlerFunc {
	if !s.cfg.Open {
		return nil
	}
	return s.pages.ServeGraphiQL
}
