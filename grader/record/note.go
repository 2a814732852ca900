package record

import (
	"encoding/base64"
	"encoding/json"
	"unicode/utf8"
)

// noted returns a record with a note as its last member. A record that is no
// object, and so has no members, is wrapped in one.
func noted(raw []byte, note any) ([]byte, error) {
	if b, err := Annotate(raw, NoteMember, note); err == nil {
		return b, nil
	}
	wrapped := struct {
		Raw    string `json:"raw,omitempty"`
		Base64 string `json:"raw_base64,omitempty"`
		Note   any    `json:"winnow"`
	}{Note: note}
	if utf8.Valid(raw) {
		wrapped.Raw = string(raw)
	} else {
		wrapped.Base64 = base64.StdEncoding.EncodeToString(raw)
	}
	return json.Marshal(wrapped)
}
