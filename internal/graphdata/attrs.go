package graphdata

import (
	"bytes"
	"encoding/json"
)

// encodeAttrs returns what a column of attributes holds: null for none.
func encodeAttrs(attrs map[string]any) (any, error) {
	if len(attrs) == 0 {
		return nil, nil //nolint:nilnil // the null of the column
	}
	return json.Marshal(attrs)
}

func decodeAttrs(body []byte) (attrs map[string]any, err error) {
	if len(body) == 0 {
		return nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	return attrs, d.Decode(&attrs)
}
