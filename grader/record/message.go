package record

import (
	"bytes"
	"strings"
)

// role is who speaks, in the word that a transcript has for it.
type role string

const (
	system    role = "System"
	user      role = "User"
	assistant role = "Assistant"
	tool      role = "Tool"

	// caller is the assistant where its message is nothing but a call of a tool.
	caller role = "Assistant, calling tools"
)

// roleNames are the names of roles in data, in lower case.
var roleNames = [...]struct {
	role  role
	names []string
}{
	{system, []string{"system", "developer"}},
	{user, []string{"user", "human"}},
	{assistant, []string{"assistant", "gpt", "chatgpt", "bard", "bing", "claude", "gemini", "model", "bot"}},
	{tool, []string{"tool", "function", "observation", "tool_response", "function_response"}},
	{caller, []string{"function_call", "tool_call"}},
}

// rolesOf lists the names of a role, or of all if it is empty.
func rolesOf(r role) string {
	var list []string
	for _, known := range roleNames {
		if r == "" || r == known.role {
			list = append(list, known.names...)
		}
	}
	return strings.Join(list, ", ")
}

// roleOf returns the role of a name; it is empty if the name is unknown.
func roleOf(name string) role {
	for _, known := range roleNames {
		for _, n := range known.names {
			if strings.EqualFold(n, name) {
				return known.role
			}
		}
	}
	return ""
}

// message is one message of a conversation.
type message struct {
	role  role
	text  Text
	calls string // of tools, by the assistant, as JSON; empty if there are none
	fault *Fault // why the text cannot be read
}

// readMessages reads the list of messages at a place of a sound object. A fault
// means that there is no telling who says what.
func readMessages(raw []byte, key string, list span) (messages []message, fault *Fault) {
	n := 0
	eachElement(raw, list, func(at span) {
		if n++; fault != nil || n > maxMessages {
			return
		}
		var m message
		if m, fault = readMessage(raw, at, n, key); fault == nil {
			messages = append(messages, m)
		}
	})
	if fault == nil && n > maxMessages {
		fault = faultf(TooLong, "%q has %d messages, at most %d are read: split the conversation", key, n, maxMessages)
	}
	return messages, fault
}

// readMessage reads message n, counted from 1.
func readMessage(raw []byte, at span, n int, key string) (m message, fault *Fault) {
	if raw[at.from] != '{' {
		return m, faultf(WrongType, "message %d of %q is %s, want an object with a role and a text", n, key, kind(raw[at.from]))
	}
	values := members(raw, at, "role", "from", "content", "value", "tool_calls", "function_call")
	who, what := values[0].or(values[1]), values[2].or(values[3])
	switch {
	case who.absent():
		return m, faultf(WrongType, "message %d of %q has no role: want the key \"role\" or \"from\" with one of %s", n, key, rolesOf(""))
	case who.first != '"':
		return m, faultf(WrongType, "the role of message %d of %q is %s, want one of %s", n, key, kind(who.first), rolesOf(""))
	}
	name, _ := unquote(raw[who.from:who.to], who.escaped)
	if m.role = roleOf(name); m.role == "" {
		return m, faultf(WrongType, "message %d of %q has the unknown role %.40q, want one of %s", n, key, name, rolesOf(""))
	}
	switch m.text.State = Present; what.first {
	case 0:
		m.text.State = Missing
	case 'n':
		m.text.State = Null
	case '"':
		m.text.Value, m.fault = readText(raw, what, n)
	case '[':
		m.text.Value, m.fault = readParts(raw, what.span, n)
	default:
		m.fault = faultf(WrongType, "the content of message %d is %s, want a string or a list of parts", n, kind(what.first))
	}
	switch m.role {
	case caller:
		m.role, m.calls, m.text = assistant, m.text.Value, Text{}
	case assistant:
		for _, t := range values[4:] {
			if t.first == '{' || t.first == '[' && len(bytes.Trim(raw[t.from+1:t.to-1], space)) > 0 {
				m.calls = string(raw[t.from:t.to])
				break
			}
		}
	}
	return m, nil
}

// members returns the values of an object's members with these names, at most
// six. Of keys that stand twice the last one counts.
func members(raw []byte, object span, names ...string) (list [6]text) {
	eachMember(raw, object, func(m member) {
		for i, name := range names {
			if keyIs(raw, m.key, name) {
				list[i] = text{m.val, raw[m.val.from]}
			}
		}
	})
	return list
}

// or returns t, or other if t has no value and other is there.
func (t text) or(other text) text {
	if t.absent() && other.first != 0 {
		return other
	}
	return t
}

// readText reads a string of message n.
func readText(raw []byte, t text, n int) (string, *Fault) {
	s, paired := unquote(raw[t.from:t.to], t.escaped)
	if !paired {
		return "", faultf(InvalidUTF8, "message %d has half of a surrogate pair among its \\u escapes, which is not a character", n)
	}
	return s, nil
}

// readParts reads the text of a list of parts, with nothing between them, as chat
// templates do.
func readParts(raw []byte, list span, n int) (value string, fault *Fault) {
	var b strings.Builder
	part := 0
	eachElement(raw, list, func(at span) {
		if part++; fault != nil {
			return
		}
		if raw[at.from] != '{' {
			fault = faultf(WrongType, "part %d of message %d is %s, want an object with a type and a text", part, n, kind(raw[at.from]))
			return
		}
		values := members(raw, at, "type", "text")
		what, form, name := values[1], values[0], ""
		if form.first == '"' {
			name, _ = unquote(raw[form.from:form.to], form.escaped)
		}
		if name != "text" {
			fault = faultf(WrongType, "part %d of message %d has the type %.40q, only \"text\" can be rated", part, n, name)
			return
		}
		if what.first != '"' {
			fault = faultf(WrongType, "part %d of message %d has no string as its \"text\"", part, n)
			return
		}
		var s string
		if s, fault = readText(raw, what, n); fault == nil {
			b.WriteString(s)
		}
	})
	if fault != nil {
		return "", fault
	}
	return b.String(), nil
}
