package record

import "strings"

// The keys that hold a conversation's messages, in the order in which they are
// looked for: those of OpenAI's format and of ShareGPT's.
const (
	messagesKey      = "messages"
	conversationsKey = "conversations"
)

// Bounds of a conversation. Each turn has all that stands before it as its
// context, so the work grows with the square of the turns.
const (
	maxTurns    = 1000
	maxMessages = 10 * maxTurns
	maxTexts    = 256 << 20 // bytes of the texts of all turns together
)

// conversation returns a Record for each of the assistant's turns of the record
// rec, whose messages stand at list, behind key. A turn has as Response what the
// assistant said, as Instruction what the user said last before it, and as Input
// what came before that, as a transcript shows it. So a single exchange has the
// texts and the key of the same record in Alpaca form.
//
// Consecutive messages of the user are one, with a blank line between. Where
// others stand between the user and the turn, such as a tool's, the Input goes on
// up to the turn, with the user's message in its place.
//
// What makes it uncertain which turns there are is one Record's Fault. Otherwise
// each turn has its own: a message that cannot be read is the fault of its turn
// and of all turns after it, which have it in their context.
func (rec *Record) conversation(key string, list text) []*Record {
	one := []*Record{rec}
	if list.first != '[' {
		rec.unreadable(WrongType, "%q is %s, want a list of messages", key, kind(list.first))
		return one
	}
	messages, fault := readMessages(rec.Raw, key, list.span)
	if fault == nil {
		fault = countTurns(messages, key)
	}
	if fault != nil {
		rec.Key, rec.Fault = rawKey(rec.Raw), fault
		return one
	}
	texts, turns := turnsOf(messages)
	records, all := make([]Record, len(turns)), make([]*Record, len(turns))
	var raw Key
	size := 0
	for i, t := range turns {
		r := &records[i]
		*r = *rec
		r.Turn, r.Turns = i, len(turns)
		r.Instruction, r.Input, r.Response = t.instruction, texts[:t.context], t.response.Value
		size += len(r.Instruction) + len(r.Input) + len(r.Response)
		fits := size <= maxTexts // else not even a hash of them is worth its time
		if r.Fault = t.fault; r.Fault == nil && !fits {
			r.fault(TooLong, "the texts of the turns up to this one, each with its context, add up to more than %d MiB: split the conversation", maxTexts>>20)
		}
		if fits && (t.fault == nil || t.fault.Status == EmptyResponse && t.response.State == Present) {
			r.Key = contentKey(r.Instruction, r.Input, r.Response)
		} else {
			if raw == (Key{}) {
				raw = rawKey(rec.Raw)
			}
			r.Key = turnKey(raw, i)
		}
		all[i] = r
	}
	return all
}

func countTurns(messages []message, key string) *Fault {
	n := 0
	for _, m := range messages {
		if m.role == assistant {
			n++
		}
	}
	switch {
	case n == 0:
		return faultf(NoResponse, "%q has %d messages and none of the assistant, whose role is one of %s", key, len(messages), rolesOf(assistant))
	case n > maxTurns:
		return faultf(TooLong, "%q has %d messages of the assistant, at most %d are rated: split the conversation", key, n, maxTurns)
	}
	return nil
}

// turn is one message of the assistant with its context.
type turn struct {
	instruction string
	said        bool // the user has said something before it
	context     int  // bytes of the transcript that are its Input
	response    Text
	fault       *Fault
}

// turnsOf returns the transcript of a conversation and its turns.
func turnsOf(messages []message) (texts string, turns []turn) {
	var t transcript
	var said []string      // by the user, since another one spoke
	var now turn           // what the next turn has of the user
	before, behind := 0, 0 // where the user's last message begins and ends in it
	var damage *Fault      // of the first message that cannot be read
	for i, m := range messages {
		if damage == nil {
			damage = m.fault
		}
		switch m.role {
		case user:
			if i == 0 || messages[i-1].role != user {
				said, before = said[:0], t.Len()
			}
			said = append(said, m.text.Value)
			t.add(user, m.text.Value)
			behind = t.Len()
			now.said = true
			continue
		case assistant:
			if len(said) > 0 {
				now.instruction, said = join(said), said[:0]
			}
			a := now
			if a.context = before; t.Len() > behind {
				a.context = t.Len()
			}
			a.response = m.text
			switch {
			case damage != nil:
				a.fault = damage
			case !a.said:
				a.fault = faultf(NoInstruction, "no message of the user stands before message %d, the assistant's", i+1)
			case blank(a.instruction):
				a.fault = faultf(NoInstruction, "the user's message before message %d, the assistant's, has no text", i+1)
			case m.calls != "" && blank(m.text.Value):
				a.fault, a.response.State = faultf(EmptyResponse, "message %d, the assistant's, has tool calls and no text; calls are not rated", i+1), Missing
			case m.text.State == Missing:
				a.fault = faultf(NoResponse, "message %d, the assistant's, has no content", i+1)
			case m.text.State == Null:
				a.fault = faultf(NoResponse, "the content of message %d, the assistant's, is null", i+1)
			case blank(m.text.Value):
				a.fault = faultf(EmptyResponse, "message %d, the assistant's, is empty or only white space", i+1)
			}
			turns = append(turns, a)
		}
		t.add(m.role, m.text.Value)
		t.addCalls(m.calls)
	}
	return t.String(), turns
}

// join puts consecutive messages together: those with a text, with a blank line
// between.
func join(texts []string) string {
	if len(texts) == 1 {
		return texts[0]
	}
	var t transcript
	for _, s := range texts {
		t.add("", s)
	}
	return t.String()
}

// transcript is the plain text of messages: each behind the label of its role, as
// "User: ", with a blank line between two. Those without a text are left out, and
// no byte of the others is changed. What the assistant asked of tools stands behind
// "Assistant, calling tools: " as its JSON. A label in a message's own text looks
// the same: a transcript is for reading, nothing is parsed from it.
type transcript struct{ strings.Builder }

func (t *transcript) add(label role, text string) { t.write(string(label), text) }

func (t *transcript) addCalls(json string) { t.write(string(assistant)+", calling tools", json) }

func (t *transcript) write(label, text string) {
	if blank(text) {
		return
	}
	if t.Len() > 0 {
		t.WriteString("\n\n")
	}
	if label != "" {
		t.WriteString(label + ": ")
	}
	t.WriteString(text)
}
