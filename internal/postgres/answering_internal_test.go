package postgres

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// connected returns a connection of answering, and its other end.
func connected(t *testing.T, most time.Duration) (conn, server net.Conn) {
	t.Helper()
	client, server := net.Pipe()
	conn, err := answering(func(context.Context, string, string) (net.Conn, error) { return client, nil }, most)(t.Context(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		_ = server.Close()
	})
	return conn, server
}

func TestAnswering(t *testing.T) {
	t.Parallel()
	const most = 7 * time.Second
	calls := map[string]func(net.Conn) (int, error){
		"read":  func(conn net.Conn) (int, error) { return conn.Read(make([]byte, 1)) },
		"write": func(conn net.Conn) (int, error) { return conn.Write(make([]byte, 1)) },
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				conn, _ := connected(t, most)
				wait := func(want time.Duration) {
					t.Helper()
					began := time.Now()
					if _, err := call(conn); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != want {
						t.Errorf("%v after %v, want it late after %v", err, time.Since(began), want)
					}
				}
				wait(most)
				for who, set := range map[string]func(time.Time) error{
					"both": conn.SetDeadline, "one": map[string]func(time.Time) error{"read": conn.SetReadDeadline, "write": conn.SetWriteDeadline}[name],
				} {
					t.Log(who)
					_ = set(time.Now().Add(time.Second))
					wait(time.Second)
					_ = set(time.Now().Add(time.Hour))
					wait(most)
					_ = set(time.Time{})
					wait(most)
					ending := time.AfterFunc(time.Second, func() { _ = set(time.Now()) }) // as pgx does when a context ends
					wait(time.Second)
					ending.Stop()
					_ = set(time.Time{})
				}
			})
		})
	}
}

// The time is that of a call, not of the connection.
func TestAnsweringWaitsForEachByte(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn, server := connected(t, 2*time.Second)
		const bytes = 10
		go func() {
			for range bytes {
				<-time.After(time.Second)
				_, _ = server.Write([]byte{1})
			}
		}()
		for range bytes {
			if _, err := conn.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
