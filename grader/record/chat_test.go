package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// chats are conversations of all kinds.
var chats = []string{
	`{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"o"}]}`,
	`{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},{"from":"human","value":"c"},{"from":"gpt","value":"d"}],"id":"x"}`,
	`{"messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"i"},{"type":"text","text":"\u00e9"}]},{"role":"assistant","content":null,"tool_calls":[{"id":1}]},{"role":"tool","content":"t"},{"role":"assistant","content":"o"}]}`,
	`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]},{"role":"assistant","content":"o"}]}`,
	`{"messages":[]}`, `{"messages":null,"conversations":{}}`, `{"conversations":[7]}`, `{"messages":[{"role":"x"}]}`,
}

func parseString(s string) []*Record { return Parse([]byte(s), 3, "data.jsonl", 7, Fields{}) }

// want is what a turn must be: texts, or the status of a fault and a part of its
// reason.
type want struct {
	instruction, input, response string
	status                       Status
	reason                       string
}

func checkTurns(t *testing.T, name, raw string, recs []*Record, all []want) {
	t.Helper()
	if len(recs) != len(all) {
		t.Errorf("%s: %d records of %s, want %d", name, len(recs), raw, len(all))
		return
	}
	for i, w := range all {
		rec := recs[i]
		if rec.Index != 3 || rec.Line != 7 || rec.File != "data.jsonl" || string(rec.Raw) != raw || rec.Turn != i || rec.Turns != len(all) || rec.Last() != (i == len(all)-1) {
			t.Errorf("%s: turn %d is %+v", name, i, rec)
		}
		if w.status != "" {
			if rec.Fault == nil || rec.Fault.Status != w.status || !strings.Contains(rec.Fault.Reason, w.reason) {
				t.Errorf("%s: turn %d has the fault %v, want %s with %q", name, i, rec.Fault, w.status, w.reason)
			}
			continue
		}
		if rec.Fault != nil || rec.Instruction != w.instruction || rec.Input != w.input || rec.Response != w.response {
			t.Errorf("%s: turn %d is\n%q\n%q\n%q, fault %v; want\n%q\n%q\n%q", name, i, rec.Instruction, rec.Input, rec.Response, rec.Fault, w.instruction, w.input, w.response)
		}
		if rec.Key != contentKey(w.instruction, w.input, w.response) {
			t.Errorf("%s: the key of turn %d is not that of its texts", name, i)
		}
	}
	for i, a := range recs {
		for _, b := range recs[:i] {
			if a.Key == b.Key && (a.Instruction != b.Instruction || a.Input != b.Input || a.Response != b.Response) {
				t.Errorf("%s: turns %d and %d have the same key", name, a.Turn, b.Turn)
			}
		}
	}
}

func ok(instruction, input, response string) want { return want{instruction, input, response, "", ""} }

func fault(s Status, reason string) want { return want{status: s, reason: reason} }

func TestConversation(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      []want
	}{
		{"one exchange", chats[0], []want{ok("i", "", "o")}},
		{"two turns", chats[1], []want{ok("a", "", "b"), ok("c", "User: a\n\nAssistant: b", "d")}},
		{"tools and parts", chats[2], []want{
			fault(EmptyResponse, "message 3, the assistant's, has tool calls and no text"),
			ok("ié", "System: s\n\nUser: ié\n\nAssistant, calling tools: [{\"id\":1}]\n\nTool: t", "o"),
		}},
		{"system", `{"messages":[{"role":"developer","content":"s"},{"role":"user","content":"i"},{"role":"assistant","content":"o"}]}`,
			[]want{ok("i", "System: s", "o")}},
		{"user twice", `{"messages":[{"role":"user","content":"a\n"},{"role":"user","content":" "},{"role":"user","content":"b"},{"role":"assistant","content":"o"}]}`,
			[]want{ok("a\n\n\nb", "", "o")}},
		{"assistant twice", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"assistant","content":"c"},{"role":"user","content":"d"},{"role":"assistant","content":"e"}]}`,
			[]want{ok("a", "", "b"), ok("a", "User: a\n\nAssistant: b", "c"), ok("d", "User: a\n\nAssistant: b\n\nAssistant: c", "e")}},
		{"late system", `{"messages":[{"role":"user","content":"a"},{"role":"system","content":"s"},{"role":"user","content":"b"},{"role":"assistant","content":"o"}]}`,
			[]want{ok("b", "User: a\n\nSystem: s", "o")}},
		{"text stays as it is", `{"conversations":[{"from":"User","value":" i\n"},{"value":"\to ","from":"ChatGPT"}]}`, []want{ok(" i\n", "", "\to ")}},
		{"text beside calls", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"o","tool_calls":[{}],"function_call":null},{"role":"user","content":"j"},{"role":"assistant","content":"p","tool_calls":[ ]}]}`,
			[]want{ok("i", "", "o"), ok("j", "User: i\n\nAssistant: o\n\nAssistant, calling tools: [{}]", "p")}},
		{"ShareGPT tools", `{"conversations":[{"from":"human","value":"i"},{"from":"function_call","value":"{\"f\":1}"},{"from":"observation","value":"7"},{"from":"gpt","value":"o"}]}`,
			[]want{fault(EmptyResponse, "message 2"), ok("i", "User: i\n\nAssistant, calling tools: {\"f\":1}\n\nTool: 7", "o")}},
		{"keys stand twice", `{"messages":[],"messages":[{"role":"user","role":"assistant","content":"x"},{"role":"user","content":"x","content":"i"},{"role":"assistant","content":"o"}]}`,
			[]want{fault(NoInstruction, "before message 1"), ok("i", "Assistant: x", "o")}},
		{"both lists", `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}],"messages":[{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`,
			[]want{ok("c", "", "d")}},
		{"empty instruction's key", `{"instruction":null,"output":null,"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, []want{ok("a", "", "b")}},
		{"an instruction as well", `{"instruction":"i","messages":[{"role":"user","content":"c"},{"role":"assistant","content":"d"}],"output":"o"}`, []want{ok("i", "", "o")}},
		{"null members", `{"messages":[{"role":null,"from":"user","content":null,"value":"i"},{"from":"gpt","value":"o"}]}`, []want{ok("i", "", "o")}},

		{"no user", `{"messages":[{"role":"system","content":"s"},{"role":"assistant","content":"a"},{"role":"user","content":"i"},{"role":"assistant","content":"o"}]}`,
			[]want{fault(NoInstruction, "no message of the user stands before message 2"), ok("i", "System: s\n\nAssistant: a", "o")}},
		{"blank user", `{"messages":[{"role":"system","content":"s"},{"role":"user","content":" "},{"role":"assistant","content":"o"}]}`,
			[]want{fault(NoInstruction, "the user's message before message 3, the assistant's, has no text")}},
		{"blank turn", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"\n"},{"role":"user","content":"j"},{"role":"assistant","content":"o"}]}`,
			[]want{fault(EmptyResponse, "message 2, the assistant's, is empty or only white space"), ok("j", "User: i", "o")}},
		{"turn without content", `{"messages":[{"role":"user","content":"i"},{"role":"assistant"},{"role":"assistant","content":null},{"role":"assistant","content":[]},{"role":"assistant","content":"o"}]}`,
			[]want{fault(NoResponse, "has no content"), fault(NoResponse, "is null"), fault(EmptyResponse, "message 4"), ok("i", "", "o")}},
		{"image", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"o"},{"role":"user","content":[{"type":"text","text":"x"},{"type":"image_url"}]},{"role":"assistant","content":"p"}]}`,
			[]want{ok("i", "", "o"), fault(WrongType, `part 2 of message 3 has the type "image_url", only "text" can be rated`)}},
		{"part without type", `{"messages":[{"role":"user","content":[{"text":"x"}]},{"role":"assistant","content":"p"}]}`, []want{fault(WrongType, `part 1 of message 1 has the type ""`)}},
		{"part without text", `{"messages":[{"role":"user","content":[{"type":"text","text":5}]},{"role":"assistant","content":"p"}]}`, []want{fault(WrongType, `part 1 of message 1 has no string`)}},
		{"bare part", `{"messages":[{"role":"user","content":["x"]},{"role":"assistant","content":"p"}]}`, []want{fault(WrongType, "part 1 of message 1 is a string")}},
		{"content of a wrong type", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":{}},{"role":"user","content":"j"},{"role":"assistant","content":"o"}]}`,
			[]want{fault(WrongType, "the content of message 2 is an object"), fault(WrongType, "the content of message 2 is an object")}},
		{"half a pair", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"a"},{"role":"user","content":"\ud800"},{"role":"assistant","content":"o"}]}`,
			[]want{ok("i", "", "a"), fault(InvalidUTF8, "message 3 has half of a surrogate pair")}},
		{"half a pair in a part", `{"messages":[{"role":"user","content":[{"type":"text","text":"\udc00"}]},{"role":"assistant","content":"o"}]}`, []want{fault(InvalidUTF8, "message 1")}},

		{"no list", `{"messages":"hello"}`, []want{fault(WrongType, `"messages" is a string, want a list of messages`)}},
		{"no messages", `{"messages":[]}`, []want{fault(NoResponse, `"messages" has 0 messages and none of the assistant, whose role is one of assistant, gpt,`)}},
		{"no turn", `{"conversations":[{"from":"human","value":"i"}]}`, []want{fault(NoResponse, `"conversations" has 1 messages and none of the assistant`)}},
		{"no message", `{"messages":[{"role":"user","content":"i"},5]}`, []want{fault(WrongType, `message 2 of "messages" is a number, want an object`)}},
		{"no role", `{"messages":[{"content":"i"}]}`, []want{fault(WrongType, `message 1 of "messages" has no role: want the key "role" or "from" with one of system,`)}},
		{"role of a wrong type", `{"messages":[{"role":1,"content":"i"}]}`, []want{fault(WrongType, `the role of message 1 of "messages" is a number`)}},
		{"unknown role", `{"messages":[{"role":"user","content":"i"},{"role":"assistant","content":"o"},{"role":"narrator","content":"o"}]}`,
			[]want{fault(WrongType, `message 3 of "messages" has the unknown role "narrator", want one of system, developer, user, human, assistant,`)}},
		{"not UTF-8", "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", []want{fault(InvalidUTF8, "0xff")}},
		{"no JSON", `{"messages":[{"role":"user" "content":"i"}]}`, []want{fault(BadJSON, "want ',' or '}'")}},
	} {
		checkTurns(t, c.name, c.raw, parseString(c.raw), c.want)
	}
}

// A conversation of one exchange is the record that it is in Alpaca form.
func TestConversationLikeAlpaca(t *testing.T) {
	for _, c := range []struct{ instruction, response string }{{"i", "o"}, {" é\n", "\"x\""}, {"i", ""}, {"i", " \n"}} {
		i, o := string(asJSON(t, c.instruction)), string(asJSON(t, c.response))
		alpaca := parseString(`{"instruction":` + i + `,"input":"","output":` + o + `}`)[0]
		for _, raw := range []string{
			`{"messages":[{"role":"user","content":` + i + `},{"role":"assistant","content":` + o + `}]}`,
			`{"conversations":[{"from":"human","value":` + i + `},{"from":"gpt","value":` + o + `}]}`,
			`{"messages":[{"role":"user","content":[{"type":"text","text":` + i + `}]},{"role":"assistant","content":[{"text":` + o + `,"type":"text"}]}]}`,
		} {
			chat := parseString(raw)[0]
			if chat.Instruction != alpaca.Instruction || chat.Input != "" || chat.Response != alpaca.Response || chat.Key != alpaca.Key || (chat.Fault == nil) != (alpaca.Fault == nil) {
				t.Errorf("%s: %+v, want what Alpaca's form gives, %+v", raw, chat, alpaca)
			}
			if chat.Fault != nil && chat.Fault.Status != alpaca.Fault.Status {
				t.Errorf("%s: status %s, want %s", raw, chat.Fault.Status, alpaca.Fault.Status)
			}
		}
	}
}

func asJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A list by another name goes before an instruction, and then no other name counts.
func TestConversationFields(t *testing.T) {
	f, err := ParseFields("messages=dialog")
	if err != nil || f != (Fields{"instruction", "input", "output", "dialog"}) {
		t.Fatalf("fields %+v, error %v", f, err)
	}
	list := `[{"role":"user","content":"i"},{"role":"assistant","content":"o"}]`
	for raw, want := range map[string]want{
		`{"dialog":` + list + `}`:                                ok("i", "", "o"),
		`{"dialog":` + list + `,"instruction":"x","output":"y"}`: ok("i", "", "o"),
		`{"dialog":null,"instruction":"x","output":"y"}`:         ok("x", "", "y"),
		`{"messages":` + list + `,"output":"y"}`:                 fault(NoInstruction, `the record's keys are "messages", "output"`),
		`{"":` + list + `}`:                                      fault(NoInstruction, `the key "instruction" is missing`),
		`{"dialog":7}`:                                           fault(WrongType, `"dialog" is a number`),
	} {
		recs := Parse([]byte(raw), 3, "data.jsonl", 7, f)
		if len(recs) != 1 || (want.status == "") != (recs[0].Fault == nil) || want.status == "" && (recs[0].Instruction != want.instruction || recs[0].Response != want.response) {
			t.Errorf("%s: %+v, fault %v; want %+v", raw, recs[0], recs[0].Fault, want)
			continue
		}
		if f := recs[0].Fault; f != nil && (f.Status != want.status || !strings.Contains(f.Reason, want.reason)) {
			t.Errorf("%s: fault %v, want %+v", raw, f, want)
		}
	}
}

// Every role that a reason lists is known, in any case, and has its label.
func TestRoles(t *testing.T) {
	n := 0
	for name := range strings.SplitSeq(rolesOf(""), ", ") {
		n++
		for _, s := range []string{name, strings.ToUpper(name)} {
			raw := fmt.Sprintf(`{"messages":[{"role":"user","content":"i"},{"role":%q,"content":"text"},{"role":"assistant","content":"o"}]}`, s)
			recs := parseString(raw)
			if last := recs[len(recs)-1]; last.Fault != nil || roleOf(s) != user && !strings.HasSuffix(last.Input, "\n\n"+string(roleOf(s))+": text") {
				t.Errorf("%s: input %q, fault %v", s, last.Input, last.Fault)
			}
		}
	}
	if n < 15 || roleOf("") != "" || roleOf("users") != "" {
		t.Errorf("%d roles, the role of nothing is %q", n, roleOf(""))
	}
}

func TestConversationBounds(t *testing.T) {
	chat := func(turns, users int, text string) string {
		return `{"messages":[` + strings.Repeat(`{"role":"user","content":"u"},`, users) + strings.Repeat(`{"role":"assistant","content":"`+text+`"},`, turns-1) + `{"role":"assistant","content":"` + text + `"}]}`
	}
	if recs := parseString(chat(maxTurns, 1, "o")); len(recs) != maxTurns || recs[maxTurns-1].Fault != nil {
		t.Errorf("%d turns of %d", len(recs), maxTurns)
	}
	recs := parseString(chat(maxTurns+1, 1, "o"))
	if len(recs) != 1 || recs[0].Fault == nil || recs[0].Fault.Status != TooLong || !strings.Contains(recs[0].Fault.Reason, "1001 messages of the assistant, at most 1000") {
		t.Errorf("more turns than are rated: %d records, fault %v", len(recs), recs[0].Fault)
	}
	recs = parseString(chat(1, maxMessages, "o"))
	if len(recs) != 1 || recs[0].Fault == nil || recs[0].Fault.Status != TooLong || !strings.Contains(recs[0].Fault.Reason, "10001 messages, at most 10000") {
		t.Errorf("more messages than are read: %d records, fault %v", len(recs), recs[0].Fault)
	}

	// 40 turns of 1 MiB: their contexts together pass the bound.
	recs = parseString(chat(40, 1, strings.Repeat("x", 1<<20)))
	size, keys := 0, map[Key]bool{}
	for i, rec := range recs {
		size += len(rec.Instruction) + len(rec.Input) + len(rec.Response)
		if fits := size <= maxTexts; fits != (rec.Fault == nil) || !fits && (rec.Fault.Status != TooLong || !strings.Contains(rec.Fault.Reason, "256 MiB")) {
			t.Fatalf("turn %d with %d bytes until then: fault %v", i, size, rec.Fault)
		}
		keys[rec.Key] = true
	}
	if len(recs) != 40 || size <= maxTexts || len(keys) != 40 {
		t.Errorf("%d turns of %d bytes with %d keys", len(recs), size, len(keys))
	}
}

// The key of a conversation is that of its turns in their order; one turn's own if
// there is no other.
func TestConversationKey(t *testing.T) {
	a, b := &Record{Key: Key{1}}, &Record{Key: Key{2}}
	list := []Key{a.Key, b.Key, ConversationKey([]*Record{a, b}), ConversationKey([]*Record{b, a}), ConversationKey([]*Record{a, b, b}), ConversationKey([]*Record{a, a})}
	for i, k := range list {
		for _, other := range list[:i] {
			if k == other {
				t.Errorf("key %d, %s, is not its own", i, k)
			}
		}
	}
	if ConversationKey([]*Record{a}) != a.Key {
		t.Error("the key of a conversation of one turn is not the turn's")
	}
}

// Parse takes whatever bytes come, and says of each whether it can be rated.
func TestConversationMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	words := []string{`"user"`, `"human"`, `"assistant"`, `"gpt"`, `"tool"`, `"content"`, `"value"`, `"i"`, `"o"`, `"type"`, `"text"`, `null`, `[]`, `{}`, `[{}]`}
	rated := 0
	for range 20_000 {
		raw := []byte(chats[random.IntN(len(chats))])
		for range 1 + random.IntN(3) {
			at := random.IntN(len(raw))
			switch random.IntN(8) {
			case 0:
				raw[at] ^= 1 << random.IntN(8)
			case 1:
				raw = append(raw[:at], raw[min(len(raw), at+1+random.IntN(9)):]...)
			case 2:
				raw[at] = `"\{}[]:,0n `[random.IntN(11)]
			case 3:
				other := chats[random.IntN(len(chats))]
				raw = append(raw[:at:at], other[random.IntN(len(other)):]...)
			default: // one value for another
				from, to := words[random.IntN(len(words))], words[random.IntN(len(words))]
				raw = bytes.Replace(raw, []byte(from), []byte(to), 1)
			}
			if len(raw) == 0 {
				raw = []byte("{")
			}
		}
		recs := Parse(raw, 0, "data", 1, Fields{})
		if len(recs) == 0 {
			t.Fatalf("%q: no record", raw)
		}
		for i, rec := range recs {
			if rec.Turn != i || rec.Turns != len(recs) || rec.Key == (Key{}) || rec.Fault != nil && (rec.Fault.Status == "" || rec.Fault.Reason == "") {
				t.Fatalf("%q: %+v, fault %v", raw, rec, rec.Fault)
			}
			if rec.Fault == nil {
				rated++
				if blank(rec.Response) || rec.Key != contentKey(rec.Instruction, rec.Input, rec.Response) || !json.Valid(raw) {
					t.Fatalf("%q: %+v", raw, rec)
				}
			}
		}
	}
	if rated < 1000 {
		t.Errorf("%d turns could be rated, want at least 1000", rated)
	}
}
