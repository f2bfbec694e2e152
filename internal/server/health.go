package server

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// checkTime is what a health check may take.
const checkTime = time.Second

// check is one thing that must hold for this replica to get requests.
type check struct {
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// live answers as long as the process does. It never touches the database.
func (s *Server) live(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, "healthy", nil)
}

// health says whether this replica should get requests, and each reason.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	checks := map[string]check{
		"database": s.checkDatabase(r.Context()),
		"listener": {OK: s.wire.Listening()},
		"draining": {OK: !s.draining.Load()},
	}
	if !checks["listener"].OK {
		checks["listener"] = check{Detail: "events of other replicas come late, by polling"}
	}
	status, word := http.StatusOK, "healthy"
	if !checks["database"].OK || !checks["draining"].OK || !checks["listener"].OK {
		status, word = http.StatusServiceUnavailable, "unhealthy"
	}
	s.answer(w, status, word, checks)
}

func (s *Server) checkDatabase(ctx context.Context) check {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	if err := s.db.System.Ping(ctx); err != nil {
		s.log.WarnContext(ctx, "health: database", "error", err)
		return check{Detail: "the database does not answer"}
	}
	return check{OK: true}
}

func (s *Server) answer(w http.ResponseWriter, status int, word string, checks map[string]check) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Status  string           `json:"status"`
		Service string           `json:"service"`
		Version string           `json:"version"`
		Checks  map[string]check `json:"checks,omitempty"`
	}{word, "layercake-server", s.cfg.Version, checks}) // a client that went away needs no answer
}
