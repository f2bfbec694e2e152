package client_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"layercake/internal/client"
)

func TestUpload(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/api/projects/7/data-sources" || r.URL.Query().Get("op_id") != "a&b" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		var got []string
		for {
			part, err := form.NextPart()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Error(err)
				return
			}
			text, err := io.ReadAll(part)
			if err != nil {
				t.Error(err)
			}
			got = append(got, part.FormName()+" "+part.FileName()+" "+string(text))
		}
		if want := "data_type  nodes|file n.csv id\n1\n|file e.csv id,source,target\n"; strings.Join(got, "|") != want {
			t.Errorf("form %q, want %q", got, want)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprint(w, `{"dataSources": [{"id": 3, "dataType": "nodes", "rowCount": 1}, {"id": 4}], "version": 2}`)
	})
	sources, err := c.Upload(within(t), 7, "a&b",
		client.File{Name: "n.csv", Kind: "nodes", Content: strings.NewReader("id\n1\n")},
		client.File{Name: "e.csv", Content: strings.NewReader("id,source,target\n")})
	if err != nil || len(sources) != 2 || sources[0].ID != 3 || sources[0].DataType != "nodes" || sources[0].RowCount != 1 || sources[1].ID != 4 {
		t.Errorf("%+v, %v", sources, err)
	}
}

// A replica may refuse a file before it has read it.
func TestRefusedRoutes(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = fmt.Fprint(w, `{"error": {"code": "RATE_LIMITED", "message": "This server takes 4 uploads at once"}}`)
	})
	endless := io.MultiReader(strings.NewReader("id\n"), forever{})
	_, err := c.Upload(within(t), 1, "", client.File{Name: "n.csv", Content: endless})
	// The connection may break under the rest of the file before the answer is read.
	if r := new(client.Refusal); err == nil || errors.As(err, &r) && (r.Code() != "RATE_LIMITED" || !r.Temporary()) {
		t.Errorf("upload: %v, want RATE_LIMITED", err)
	}
	err = c.Download(within(t), "/api/data-sources/1/download/raw", func(io.Reader) error { return nil })
	if r := new(client.Refusal); !errors.As(err, &r) || r.Code() != "RATE_LIMITED" {
		t.Errorf("download: %v, want RATE_LIMITED", err)
	}
}

// forever is a file without an end.
type forever struct{}

func (forever) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = '\n'
	}
	return len(b), nil
}

func TestDownloadThatBreaksOff(t *testing.T) {
	t.Parallel()
	c := connect(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "half of it")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	err := c.Download(within(t), "/", func(body io.Reader) error {
		text, err := io.ReadAll(body)
		if string(text) != "half of it" {
			t.Errorf("body %q", text)
		}
		return err
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want an unexpected end", err)
	}
}
