package feed

import "testing"

// FuzzCursor reads anything: a cursor or a label that is accepted names one place, which its text names again.
func FuzzCursor(f *testing.F) {
	for _, s := range []string{
		"7351~1a2b3c4d.31", "1ml6gqp8f0jq8-1~1a2b3c4d.31", "e-2.0", "e.+5", "e~.5", "~1a2b3c4d.5", "e.-1", ".1", "", "31~1a2b3c4d", "31@2", "31@", "031", "31~",
		"e.\xff", "e.9223372036854775808",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err == nil {
			if c.Epoch == "" || c.Version < 0 || c.Hash != "" && !isHash(c.Hash) {
				t.Errorf("%q is %+v", s, c)
			}
			if again, err := ParseCursor(c.String()); err != nil || again != c {
				t.Errorf("%q is %+v, and written again %+v, %v", s, c, again, err)
			}
			for _, hashes := range []bool{false, true} {
				version, hash, ok := ParseLabel(c.Label(hashes))
				if !ok || version != c.Version || hash != "" && hash != c.Hash {
					t.Errorf("%+v has the label %q, which is read as %d %q %t", c, c.Label(hashes), version, hash, ok)
				}
			}
		}
		version, hash, ok := ParseLabel(s)
		if !ok {
			return
		}
		if version < 0 || hash != "" && !isHash(hash) {
			t.Errorf("the label %q is %d %q", s, version, hash)
		}
		again := Cursor{Epoch: "e-1", Version: version, Hash: hash}.Label(true)
		if v, h, ok := ParseLabel(again); !ok || v != version || h != hash {
			t.Errorf("the label %q becomes %q", s, again)
		}
	})
}
