package fanout_test

import (
	"slices"
	"testing"

	"layercake/internal/fanout"
	"layercake/internal/postgres/pgtest"
)

// ear is a replica with a topic that no hint can stand for.
type ear struct {
	*replica
	heard  []fanout.Line
	doubts []string
}

func listen(t *testing.T, url, name string, topic fanout.Topic) *ear {
	t.Helper()
	e := &ear{}
	e.replica = start(t, url, name, func(r *replica, cfg *config) {
		often(nil, cfg)
		topic.Hear = func(l fanout.Line) error { r.note(func() { e.heard = append(e.heard, l) }); return nil }
		topic.Doubt = func(reason string) { r.note(func() { e.doubts = append(e.doubts, reason) }) }
		cfg.Topics = append(cfg.Topics, topic)
	})
	return e
}

func TestTopicIsHeardByAllOthersOnItsChannel(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	topic := fanout.Topic{Channel: fanout.Presence, Kinds: map[byte]string{'j': "presence", 'c': "presence", 'l': "presence"}}
	a, b := listen(t, url, "a", topic), listen(t, url, "b", topic)

	said := []fanout.Line{
		{Letter: 'j', Text: `1 c1 {"name":"Ann B"}`},
		{Letter: 'c', Text: `1 c1 {"x":1}`},
		{Letter: 'l', Text: "1 c1 i1"},
	}
	for _, l := range said {
		b.Publish(l)
	}
	a.Publish(said[0])
	a.wait(t, "what b said", func() bool { return len(a.heard) == len(said) })
	b.wait(t, "what a said", func() bool { return len(b.heard) == 1 }) // and b's own words came before
	same := func(x, y fanout.Line) bool { return x.Letter == y.Letter && x.Text == y.Text }
	if !slices.EqualFunc(a.heard, said, same) || !same(b.heard[0], said[0]) {
		t.Errorf("a heard %v, b heard %v, want what the other said of %v", a.heard, b.heard, said)
	}
	b.Publish(fanout.Line{Letter: 'j', Text: "1 c2 two\nlines"})
	a.wait(t, "a doubt about what cannot be said", func() bool { return len(a.doubts) == 2 })
	if len(a.events)+len(b.events) > 0 || len(a.replica.doubts) != 1 {
		t.Errorf("events were heard, or doubted: %q", a.replica.doubts)
	}
}

// A part of the server that is added later speaks to the same part of other replicas, and those of the release before skip what it says.
func TestTopicOfANewerRelease(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	topic := fanout.Topic{Channel: fanout.Events, Kinds: map[byte]string{'g': "build"}}
	a, b, former := listen(t, url, "a", topic), listen(t, url, "b", topic), start(t, url, "former", nil)
	a.Publish(fanout.Line{Letter: 'g', Text: "12 built"})
	a.publish(1, 1, []byte("{}"))
	b.wait(t, "the line", func() bool { return len(b.heard) == 1 })
	if l := b.heard[0]; l.Text != "12 built" || l.Epoch != a.Epoch() {
		t.Errorf("heard %+v", l)
	}
	former.waitEvent(t, 1, 1)
	if n := former.metric(t, "lines_total", `"unknown"`); n != 1 {
		t.Errorf("%v unknown lines, want 1", n)
	}
	if n := former.doubted("hole") + former.doubted("format"); n != 0 {
		t.Errorf("%d doubts of a replica that skips a line, want none", n)
	}
	if n := b.metric(t, "lines_total", `"build"`, `"received"`); n != 1 {
		t.Errorf("%v lines of the new kind, want 1", n)
	}
}

func TestInvalidateMakesAllLook(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	topic := fanout.Topic{Channel: fanout.Presence, Kinds: map[byte]string{'j': "presence"}}
	a, b := listen(t, url, "a", topic), listen(t, url, "b", topic)
	// Until b has heard of a, it cannot know which number comes next.
	a.publish(1, 1, []byte("{}"))
	a.Publish(fanout.Line{Letter: 'j', Text: "1 c1 {}"})
	b.waitEvent(t, 1, 1)
	b.wait(t, "the join", func() bool { return len(b.heard) == 1 })
	a.Invalidate("deletion")
	if a.doubted("deletion") != 1 {
		t.Errorf("the own topics were told %q, want to look at once", a.replica.doubts)
	}
	b.waitDoubts(t, "hole", 1)
	b.wait(t, "doubt on the other channel", func() bool { return slices.Contains(b.doubts, "hole") })
}

// A panic while lines are sent costs these lines and the connection, as a statement that fails does: hints and what comes later are sent.
func TestPublisherThatPanicsGoesOn(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	topic := fanout.Topic{Channel: fanout.Presence, Kinds: map[byte]string{'j': "presence"}}
	database := fanout.Topic{Channel: fanout.Presence, Kinds: map[byte]string{'a': "command"}, FromDatabase: true}
	a := start(t, url, "a", func(_ *replica, cfg *config) {
		often(nil, cfg)
		for _, topic := range []fanout.Topic{topic, database} {
			topic.Hear = func(fanout.Line) error { return nil }
			cfg.Topics = append(cfg.Topics, topic)
		}
	})
	b := listen(t, url, "b", topic)
	a.Publish(fanout.Line{Letter: 'a', Text: "what only the database says"}) // counting it panics
	a.wait(t, "another connection", func() bool { return a.metric(t, "publisher_connects_total") == 2 })
	a.Publish(fanout.Line{Letter: 'j', Text: "1 c1 {}"})
	b.wait(t, "a later line", func() bool { return len(b.heard) == 1 })
}
