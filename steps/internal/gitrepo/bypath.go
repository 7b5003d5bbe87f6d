package gitrepo

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"
)

// byPath is a table by path that survives JSON, which has no way to write a name that is no UTF-8.
type byPath map[string]string

func (b byPath) MarshalJSON() ([]byte, error) {
	quoted := make(map[string]string, len(b))
	for p, v := range b {
		if !utf8.ValidString(p) || strings.HasPrefix(p, `"`) {
			p = strconv.Quote(p)
		}
		quoted[p] = v
	}
	return json.Marshal(quoted)
}

func (b *byPath) UnmarshalJSON(data []byte) error {
	var quoted map[string]string
	if err := json.Unmarshal(data, &quoted); err != nil {
		return err
	}
	*b = make(byPath, len(quoted))
	for p, v := range quoted {
		if strings.HasPrefix(p, `"`) {
			var err error
			if p, err = strconv.Unquote(p); err != nil {
				return err
			}
		}
		(*b)[p] = v
	}
	return nil
}
