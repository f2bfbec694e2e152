package server_test

import (
	"context"
	"testing"
	"time"

	"layercake/internal/postgres/pgtest"
	"layercake/internal/server"
	"layercake/internal/server/servertest"
)

// People whose leaving no line told are gone elsewhere soon, also where the listener's connection breaks again and again.
func TestPeopleLeaveThoughListenersReconnect(t *testing.T) {
	t.Parallel()
	database := pgtest.New(t)
	first := true
	replicas := servertest.StartOn(t, database, 2, func(c *server.Config) {
		if first {
			c.Loss = 1
		}
		first = false
	})
	here, there := replicas[0].URL, replicas[1].URL
	newProject(t, here)
	f := follow(t, there, collaborationEvents, "1")
	begin(t, there, f)
	ann := tab(t, here, "ann")
	f.tells("USER_JOINED ann") // as the table says
	stop, stopped := make(chan struct{}), make(chan struct{})
	dba := openConsole(t, database)
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			_, err := dba.conn.Exec(context.WithoutCancel(t.Context()), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE datname = current_database() AND application_name LIKE 'layercake/%/listener'`)
			if err != nil {
				t.Error(err)
				return
			}
			select {
			case <-stop:
				return
			case <-tick.C:
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
	})
	ann.CloseNow()
	f.tells("USER_LEFT ann")
}
