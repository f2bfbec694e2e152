package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
)

// File is a file to upload.
type File struct {
	Name    string    // name with its extension
	Kind    string    // nodes, edges, layers or graph; "" to let the replica detect it
	Content io.Reader // bytes, which are read while they are sent
}

// Source is an uploaded file, as the answer to an upload shows it.
type Source struct {
	ID           int    `json:"id"`
	Filename     string `json:"filename"`
	DataType     string `json:"dataType"`
	Status       string `json:"status"`
	FileSize     int64  `json:"fileSize"`
	ContentHash  string `json:"contentHash"`
	RowCount     int    `json:"rowCount"`
	ProblemCount int    `json:"problemCount"`
}

// Upload uploads files to a project in one change. The operation id makes a repeat safe. The error is a *Refusal when the replica gave one.
// After any other error nobody knows whether the files were taken.
func (c *Client) Upload(ctx context.Context, project int, op string, files ...File) ([]Source, error) {
	body, send := io.Pipe()
	form := multipart.NewWriter(send)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost,
		fmt.Sprintf("%s/api/projects/%d/data-sources?op_id=%s", c.url, project, url.QueryEscape(op)), body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", form.FormDataContentType())
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_ = send.CloseWithError(writeForm(form, files)) // never fails
	}()
	answer, err := c.Send(r)
	_ = body.CloseWithError(errors.New("the replica has answered")) // ends the form when it was refused half way
	<-sent
	if err != nil {
		return nil, err
	}
	if answer.Status != http.StatusCreated {
		return nil, routeRefusal(r.URL, answer.Status, answer.Text)
	}
	var data struct{ DataSources []Source }
	if err := json.Unmarshal(answer.Text, &data); err != nil {
		return nil, fmt.Errorf("%s: %w in %.100s", r.URL, err, answer.Text)
	}
	return data.DataSources, nil
}

func writeForm(form *multipart.Writer, files []File) error {
	for _, f := range files {
		if f.Kind != "" {
			if err := form.WriteField("data_type", f.Kind); err != nil {
				return err
			}
		}
		part, err := form.CreateFormFile("file", f.Name)
		if err == nil {
			_, err = io.Copy(part, f.Content)
		}
		if err != nil {
			return err
		}
	}
	return form.Close()
}

// Download hands the body of a path, such as /api/data-sources/1/download/raw, to take. It may have any size. The errors are those of
// Upload and those of take. A body that breaks off is an error when it is read.
func (c *Client) Download(ctx context.Context, path string, take func(io.Reader) error) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url+path, http.NoBody)
	if err != nil {
		return err
	}
	response, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		return errors.Join(routeRefusal(r.URL, response.StatusCode, text), err)
	}
	return take(response.Body)
}

// routeRefusal reads the answer of a route that refuses.
func routeRefusal(u *url.URL, status int, text []byte) error {
	var body struct{ Error map[string]any }
	if json.Unmarshal(text, &body) != nil || body.Error == nil {
		return fmt.Errorf("%s answered %d %s: %.100s", u, status, http.StatusText(status), strings.TrimSpace(string(text)))
	}
	message, _ := body.Error["message"].(string)
	return &Refusal{Message: message, Extensions: body.Error}
}
