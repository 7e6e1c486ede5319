package watchfire

import (
	"encoding/json"
	"sort"
)

// Field is a key of the configuration and where its value goes: a *float64, *int, *bool or *string.
type Field struct {
	Key      string
	To       any
	Required bool
}

// Config reads a configuration, a flat JSON object, so that a mistake is named by its key.
func Config(text string, fields ...Field) error {
	read := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte(orEmpty(text)), &read); err != nil || read == nil {
		return &Refusal{Blame: BlameConfig, Message: "the configuration is no JSON object"}
	}
	keys := make([]string, 0, len(read))
	for key := range read {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	known := map[string]Field{}
	for _, field := range fields {
		known[field.Key] = field
	}
	for _, key := range keys {
		field, is := known[key]
		if !is {
			return Refuse(key, "there is no such key")
		}
		if string(read[key]) == "null" || json.Unmarshal(read[key], field.To) != nil {
			return Refuse(key, wanted(field.To)+" is expected")
		}
	}
	for _, field := range fields {
		if _, is := read[field.Key]; field.Required && !is {
			return Refuse(field.Key, "it is missing")
		}
	}
	return nil
}

// Refuse refuses a configuration by one of its keys.
func Refuse(key, message string) error {
	return &Refusal{Blame: BlameConfig, Key: &key, Message: message}
}

func orEmpty(text string) string {
	for _, c := range text {
		if c != ' ' && c != '\t' && c != '\n' && c != '\r' {
			return text
		}
	}
	return "{}"
}

func wanted(to any) string {
	switch to.(type) {
	case *float64:
		return "a number"
	case *int:
		return "a whole number"
	case *bool:
		return "`true` or `false`"
	default:
		return "a text"
	}
}
