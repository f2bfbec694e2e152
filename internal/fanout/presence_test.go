package fanout_test

import (
	"slices"
	"testing"

	"layercake/internal/fanout"
	"layercake/internal/postgres/pgtest"
)

func TestPresenceIsHeardByAllOnAChannelOfItsOwn(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	type ear struct {
		*replica
		heard  []fanout.Presence
		doubts int
	}
	listen := func(name string) *ear {
		e := &ear{}
		e.replica = start(t, url, name, func(r *replica, cfg *fanout.Config) {
			cfg.OnPresence = func(p fanout.Presence) { r.note(func() { e.heard = append(e.heard, p) }) }
			cfg.OnPresenceDoubt = func(string) { r.note(func() { e.doubts++ }) }
		})
		return e
	}
	a, b := listen("a"), listen("b")

	said := []fanout.Presence{
		{Kind: fanout.Joined, Project: 1, Connection: "c1", Body: []byte(`{"name":"Ann B"}`)},
		{Kind: fanout.Moved, Project: 1, Connection: "c1", Body: []byte(`{"x":1}`)},
		{Kind: fanout.Left, Project: 1, Connection: "c1", Body: []byte("i1")},
	}
	for _, p := range said {
		b.PublishPresence(p)
	}
	a.wait(t, "what b said", func() bool { return len(a.heard) == len(said) })
	b.wait(t, "its own words", func() bool { return len(b.heard) == len(said) })
	same := func(x, y fanout.Presence) bool {
		return x.Kind == y.Kind && x.Project == y.Project && x.Connection == y.Connection && string(x.Body) == string(y.Body)
	}
	if !slices.EqualFunc(a.heard, said, same) || !slices.EqualFunc(b.heard, said, same) {
		t.Errorf("a heard %v, b heard %v, want %v", a.heard, b.heard, said)
	}
	if a.heard[0].Own || !b.heard[0].Own {
		t.Error("own words are not told from those of others")
	}
	b.PublishPresence(fanout.Presence{Kind: fanout.Joined, Project: 1, Connection: "c2", Body: []byte("two\nlines")})
	a.wait(t, "a doubt about what cannot be said", func() bool { return a.doubts == 2 })
	if len(a.events)+len(b.events) > 0 {
		t.Error("events were heard")
	}
}
